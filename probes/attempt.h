/* One try at a target in a process of its own, as DNS and libpq may block past any deadline. */
#ifndef SPARKPOD_PROBES_ATTEMPT_H
#define SPARKPOD_PROBES_ATTEMPT_H

#include "probes/target.h"

#include <stdint.h>
#include <sys/types.h>

struct attempt {
    pid_t pid;            /* 0: none is under way */
    int fd;               /* a struct check_result comes here, or the end of file; -1: none */
    int64_t killed_at_ms; /* when to end it, come what may */
};

/* Ask target until deadline_ms of clock_ms(). 0, or -1 with errno. */
int attempt_start(struct attempt *attempt, const struct target *target, int64_t deadline_ms);

/* It has nothing left to do, or is not to be waited for: kill and reap the process, if any. */
void attempt_end(struct attempt *attempt);

#endif
