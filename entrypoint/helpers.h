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
int helper_health(void *helper);

/* Overwrite the values of secret variables in this process's environment, in place, so that
 * /proc/PID/environ does not show them; those the service is to get stay with keep_passed. */
void helper_wipe_secrets(const struct service *service, bool keep_passed);

#endif
