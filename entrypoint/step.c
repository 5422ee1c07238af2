#include "entrypoint/step.h"

#include "common/err.h"
#include "common/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_KEPT 8

void entry_normalise(struct entry_state *ret)
{
    struct sigaction action;
    struct rlimit none;
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_NOCTTY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);

    (void)sigaction(SIGCHLD, NULL, &action);
    ret->sigchld_ignored = action.sa_handler == SIG_IGN;
    (void)signal(SIGCHLD, SIG_DFL);
    (void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &ret->mask, sizeof(ret->mask));

    (void)getrlimit(RLIMIT_CORE, &ret->core);
    none = ret->core;
    none.rlim_cur = 0;
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* The kernel's own set: sigset_t's functions leave out what libc keeps for itself (32 and 33, with
 * musl 34 too), which a process without threads has no use for. A fault of our own ends us even
 * while its signal is blocked. */
static const uint64_t all_signals = UINT64_MAX;

void entry_block_signals(void)
{
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, NULL, sizeof(all_signals));
}

int entry_signal_fd(void)
{
    return (int)syscall(SYS_signalfd4, -1, &all_signals, sizeof(all_signals),
                        SFD_CLOEXEC | SFD_NONBLOCK);
}

void entry_restore(const struct entry_state *state)
{
    (void)setrlimit(RLIMIT_CORE, &state->core);
    if (state->sigchld_ignored)
        (void)signal(SIGCHLD, SIG_IGN);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &state->mask, NULL, sizeof(state->mask));
}

static void close_between(int first, int last)
{
    if (first > last || syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0) == 0)
        return;
    for (int fd = first; fd <= last && fd < 1024; fd++) /* a kernel before 5.9, or seccomp */
        close(fd);
}

/* Close everything from 3 on but what is kept. */
static void close_others(const int *keep)
{
    int kept[MAX_KEPT], count = 0, from = STDERR_FILENO + 1;

    kept[count++] = log_fd();
    for (; *keep >= 0 && count < MAX_KEPT; keep++)
        kept[count++] = *keep;
    for (;;) {
        int next = INT32_MAX;

        for (int i = 0; i < count; i++) {
            if (kept[i] >= from && kept[i] < next)
                next = kept[i];
        }
        close_between(from, next - 1);
        if (next == INT32_MAX)
            return;
        from = next + 1;
    }
}

pid_t step_fork(int (*body)(void *context), void *context, const int *keep)
{
    pid_t parent = getpid(), pid = fork();
    sigset_t none;

    if (pid > 0)
        (void)setpgid(pid, pid); /* both sides do, whoever is first */
    if (pid != 0)
        return pid;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_SIGNAL_BASE + SIGKILL);
    close_others(keep);
    (void)signal(SIGPIPE, SIG_IGN); /* a log nobody reads is no reason to end */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    _exit(body(context));
}
