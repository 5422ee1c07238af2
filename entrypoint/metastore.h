/* The Hive metastore, of an apache/hive image or standalone: its database, its schema, its command
 * and heap, and what to ask it once it runs. */
#ifndef SPARKPOD_ENTRYPOINT_METASTORE_H
#define SPARKPOD_ENTRYPOINT_METASTORE_H

#include "common/err.h"
#include "entrypoint/service.h"

/* The functions of the role, as service.h says. */
int metastore_fill_targets(const struct service *service, struct target *ret, struct err *err);
int metastore_prepare(const struct service *service, struct err *err);
int metastore_make_command(const struct service *service, struct command *ret, struct err *err);
int metastore_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err);

#endif
