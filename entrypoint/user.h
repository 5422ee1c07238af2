/* A name for the user that the service runs as. OpenShift gives a pod an arbitrary uid, which
 * /etc/passwd does not know, and Hadoop's login fails without an entry. */
#ifndef SPARKPOD_ENTRYPOINT_USER_H
#define SPARKPOD_ENTRYPOINT_USER_H

#include "entrypoint/service.h"

/* Where this process's uid has no entry, give the command's environment one called name by
 * libnss_wrapper (LD_PRELOAD, NSS_WRAPPER_PASSWD, NSS_WRAPPER_GROUP), as Spark's own entrypoint
 * does; where that library is not there, warn. For the service child after its fork. */
void user_add_entry(struct command *command, const char *name);

#endif
