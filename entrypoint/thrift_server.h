/* The Spark Thrift Server in client mode: what it waits for, the --conf arguments that its rendered
 * spark-defaults.conf does not make needless, and what to ask it once it runs. */
#ifndef SPARKPOD_ENTRYPOINT_THRIFT_SERVER_H
#define SPARKPOD_ENTRYPOINT_THRIFT_SERVER_H

#include "common/err.h"
#include "entrypoint/facts.h"
#include "entrypoint/service.h"

#include <stdbool.h>
#include <stdint.h>

/* The label of the executors that names the driver's pod, so that a later start finds what an
 * earlier one left. Its value is the pod's uid, from the variable POD_UID. */
#define THRIFT_SERVER_UID_LABEL "sparkpod-driver-uid"

/* The functions of the role, as service.h says. */
int thrift_server_fill_targets(const struct service *service, struct target *ret, struct err *err);
int thrift_server_make_command(const struct service *service, struct command *ret, struct err *err);
int thrift_server_make_plan(const struct service *service, struct monitor_plan *ret,
                            struct err *err);

/* Where the server and its UI are, and no more: what a drain needs. *ret is all zero before and
 * freed after a failure, too. 0, or -1 with err. */
int thrift_server_find(const struct service *service, struct monitor_plan *ret, struct err *err);

/* Whether executors are to run as pods of the cluster this driver runs in. */
bool thrift_server_has_executor_pods(const struct facts *facts, char *const *environment);

/* All that the confs are made from; borrowed. */
struct thrift_server_driver {
    const struct facts *facts; /* the user's arguments among them */
    const struct config *config;
    char *const *environment;
    const char *namespace; /* of the service account, "" if unknown */
    const char *address;   /* this machine's own, "" if unknown */
    int64_t memory_limit;  /* bytes, 0: none */
    int64_t start;         /* differs from start to start: seconds since 1970 */
    const char *version;   /* Spark's, "" if unknown */
};

/* Append "--conf", "KEY=VALUE" for each key that neither the files nor the user's arguments set.
 * Pure. 0, or -1 with EXIT_CONFIG that says which setting is missing. */
int thrift_server_add_confs(const struct thrift_server_driver *driver, struct command *ret,
                            struct err *err);

#endif
