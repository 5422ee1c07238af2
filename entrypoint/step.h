/* One helper: a fork of this program without exec, in its own process group, that dies with PID 1
 * and holds no descriptor but its own. What can block or crash runs in one, so that PID 1 cannot.
 * Its report is its exit status; it logs its own failure. */
#ifndef SPARKPOD_ENTRYPOINT_STEP_H
#define SPARKPOD_ENTRYPOINT_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* How this process was when it was started: what the service is to find. */
struct entry_state {
    uint64_t mask; /* the kernel's own set of signals */
    bool sigchld_ignored;
    struct rlimit core;
};

/* Before anything else: SIGCHLD to its default (ignored at entry, waitpid() would fail), fds 0 to 2
 * opened if closed, our core dumps off (soft limit). */
void entry_normalise(struct entry_state *ret);

/* Block every signal: as PID 1, one that is not blocked and has no handler is lost; as any other
 * process it ends us. */
void entry_block_signals(void);

/* A signalfd for them, close-on-exec and non-blocking; -1 with errno. */
int entry_signal_fd(void);

/* In a child about to exec: everything as it was at entry. */
void entry_restore(const struct entry_state *state);

/* Fork a helper that runs body(context) and exits with what it returns. keep lists the descriptors
 * it keeps besides 0 to 2 and the log's, -1 at the end. Signals have their default meaning in it
 * and are not blocked. Its pid, or -1 with errno. */
pid_t step_fork(int (*body)(void *context), void *context, const int *keep);

#endif
