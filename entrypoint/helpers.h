/* What each helper process of PID 1 does. Every function here runs after step_fork(), logs its own
 * failure, and returns the helper's exit status. */
#ifndef SPARKPOD_ENTRYPOINT_HELPERS_H
#define SPARKPOD_ENTRYPOINT_HELPERS_H

#include "entrypoint/service.h"
#include "probes/snapshot.h"

/* What a helper is given: a struct helper. */
struct helper {
    const struct service *service;
    struct snapshot *snapshot;
    int listen_fd; /* health server; -1: none */
    int ready_fd;  /* the health worker writes a byte here */
};

int helper_render(void *helper);
int helper_wait(void *helper);
int helper_prepare(void *helper);
int helper_drain(void *helper);
int helper_clean(void *helper);
int helper_health(void *helper);

/* Wait for what service waits for, telling snapshot (may be NULL) what each target says, until
 * cancel_fd is readable (-1: never). What is refused is asked again with what the secrets say by
 * then, rendered again for a role that renders. 0, or -1 with err as of wait_for_targets(). */
int helper_wait_for(const struct service *service, struct snapshot *snapshot, int cancel_fd,
                    struct err *err);

/* Overwrite the secrets in this process's environment, in place, so that /proc/PID/environ does not
 * show them: all that the service is not to get either. For a role that renders; `run` hands its
 * environment on as it is. */
void helper_wipe_secrets(const struct service *service);

#endif
