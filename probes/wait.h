/* Many targets at once, until all are ready, with one log line per change of state and a status
 * line on a terminal. Each target has a process of its own, since libpq and DNS may block; a try
 * that passes its deadline is killed and made again.
 *
 * The first try is made at once. The delays after it grow with the time since the target last said
 * something new, from 50 ms to 1 s, with jitter: what begins to answer differently will soon be
 * ready. However often that happens, a minute never has 80 tries. Fatal answers are asked again
 * every 5 s. A port that is opened on this machine (a proxy beside us) is seen without a try. */
#ifndef SPARKPOD_PROBES_WAIT_H
#define SPARKPOD_PROBES_WAIT_H

#include "common/err.h"
#include "probes/check.h"
#include "probes/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wait_options {
    int64_t timeout_ms;     /* 0: for ever */
    int64_t try_timeout_ms; /* one try's deadline */
    int64_t fatal_grace_ms; /* how long a fatal answer may persist before it ends the wait */
    int cancel_fd;          /* the wait ends when this becomes readable; -1: never */
    /* Called at each change of a target's state, for a status page; may be NULL. */
    void (*changed)(void *context, size_t index, const struct check_result *result);
    /* Called before what was refused is tried again: read the targets' logins anew, in place, and
     * say whether any has changed; may be NULL. */
    bool (*refresh)(void *context);
    void *context;
};

/* Wait. 0 when all are ready; -1 with err: EXIT_UNAVAILABLE after the timeout (each target's last
 * reason), the status of a fatal result, EXIT_SIGNAL_BASE + SIGTERM when cancelled. */
int wait_for_targets(const struct target *targets, size_t count, const struct wait_options *options,
                     struct err *err);

#endif
