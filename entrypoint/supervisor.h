/* PID 1: one thread, one poll() over a signalfd, a timerfd and a pipe. It raises the events of
 * lifecycle.h and carries the actions out; after its start it allocates nothing, parses nothing and
 * resolves nothing. */
#ifndef SPARKPOD_ENTRYPOINT_SUPERVISOR_H
#define SPARKPOD_ENTRYPOINT_SUPERVISOR_H

#include "common/err.h"
#include "entrypoint/service.h"
#include "entrypoint/step.h"

/* Take service from its templates to its end. listen_fd is the health server's socket or -1. Every
 * signal is blocked already. Returns the exit status; err only where it could not even begin. */
int supervisor_run(const struct service *service, const struct entry_state *entry, int listen_fd,
                   struct err *err);

#endif
