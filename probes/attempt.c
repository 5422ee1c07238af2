#include "probes/attempt.h"

#include "common/clock.h"
#include "common/fd.h"
#include "probes/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLACK_MS 500 /* what a try may take past its deadline before it is killed */

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the new process: ask, write the result, end. A parent that died before prctl() is noticed by
 * getppid(). */
__attribute__((noreturn)) static void run(const struct target *target, pid_t parent,
                                          int64_t deadline_ms, int fd)
{
    struct check_result result;

    reset_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(EXIT_INTERNAL);
    check_target(target, deadline_ms, &result);
    _exit(fd_write_all(fd, &result, sizeof(result)) < 0 ? EXIT_INTERNAL : EXIT_DONE);
}

int attempt_start(struct attempt *attempt, const struct target *target, int64_t deadline_ms)
{
    pid_t parent = getpid();
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    attempt->pid = fork();
    if (attempt->pid == 0)
        run(target, parent, deadline_ms, fds[1]);
    fd_close(&fds[1]);
    if (attempt->pid < 0) {
        attempt->pid = 0;
        fd_close(&fds[0]);
        return -1;
    }
    attempt->fd = fds[0];
    attempt->killed_at_ms = deadline_ms == CLOCK_NEVER ? CLOCK_NEVER : deadline_ms + SLACK_MS;
    return 0;
}

void attempt_end(struct attempt *attempt)
{
    if (attempt->pid == 0)
        return;
    (void)kill(attempt->pid, SIGKILL);
    while (waitpid(attempt->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    attempt->pid = 0;
    fd_close(&attempt->fd);
}
