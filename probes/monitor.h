/* The health worker: a helper process that asks the service on a schedule, writes the answers into
 * the snapshot, and serves them over HTTP. PID 1 starts another when it ends. */
#ifndef SPARKPOD_PROBES_MONITOR_H
#define SPARKPOD_PROBES_MONITOR_H

#include "common/err.h"
#include "probes/snapshot.h"
#include "probes/target.h"

#include <stdbool.h>
#include <stdint.h>

struct monitor_plan {
    bool has_service;      /* false: nothing to ask, the service counts as usable once it runs */
    struct target service; /* owned by the plan */
    bool has_ui;
    struct target ui; /* http, any status */
    bool has_metastore;
    struct target metastore; /* what a Thrift Server's clients need as well */
    int64_t interval_ms;
    int64_t timeout_ms; /* of one check */
};

/* Free what the plan owns; it is all zero afterwards. */
void monitor_plan_free(struct monitor_plan *plan);

struct monitor {
    struct snapshot *snapshot;
    int listen_fd; /* listening socket of PID 1; -1: no HTTP server */
    int ready_fd;  /* one byte is written here when the service is usable for the first time */
    /* Called once the phase is STARTING, in this process, and again while it fails: reads the
     * rendered files. *ret is all zero before; what is in it is freed after a failure, too. */
    int (*make_plan)(void *context, struct monitor_plan *ret, struct err *err);
    void *context;
};

/* Run until killed, or until a check hangs past twice its deadline: then its result is a failure
 * and the process ends with EXIT_INTERNAL, which is also what this returns if it cannot begin, and
 * once the thread of the HTTP server hangs or has ended. */
int monitor_run(const struct monitor *monitor);

#endif
