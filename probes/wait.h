/* Many targets at once, until all are ready: first try at once, then 50 ms growing to 1 s with
 * jitter, one log line per change of state. Each target has a process of its own, since libpq and
 * DNS may block; a try that passes its deadline is killed and made again. */
#ifndef SPARKPOD_PROBES_WAIT_H
#define SPARKPOD_PROBES_WAIT_H

#include "common/err.h"
#include "probes/check.h"
#include "probes/target.h"

#include <stddef.h>
#include <stdint.h>

struct wait_options {
    int64_t timeout_ms;     /* 0: for ever */
    int64_t try_timeout_ms; /* one try's deadline */
    int64_t fatal_grace_ms; /* how long a fatal answer may persist before it ends the wait */
    int cancel_fd;          /* the wait ends when this becomes readable; -1: never */
    /* Called at each change of a target's state, for a status page; may be NULL. */
    void (*changed)(void *context, size_t index, const struct check_result *result);
    void *context;
};

/* Wait. 0 when all are ready; -1 with err: EXIT_UNAVAILABLE after the timeout (each target's last
 * reason), the status of a fatal result, EXIT_SIGNAL_BASE + SIGTERM when cancelled. */
int wait_for_targets(const struct target *targets, size_t count, const struct wait_options *options,
                     struct err *err);

#endif
