/* What the cases of battery.py run under an init: commands that do one thing each, and `as`, which
 * arranges the process before it becomes the init. Small and static, so that a fork costs little.
 * What they saw they write into files, since a log may be what the case has blocked. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Forkers end themselves, as not every init ends them. */
#define FORKER_S 20
#define FORKER_PAUSE_US 200
#define STORM_MS 500
#define STORM_MOST 400

static const char *folder = ".";

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_ms(long ms)
{
    const struct timespec duration = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, NULL);
}

/* Append a line to a file of the case's folder; the file is whole when it appears. */
static void note(const char *name, const char *text)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        _exit(99);
    close(fd);
}

static void note_number(const char *name, long long number)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld\n", number);
    note(name, text);
}

static void block_term(void)
{
    sigset_t term;

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
}

/* TERM must be blocked. */
static void wait_for_term(void)
{
    sigset_t term;

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    while (sigwaitinfo(&term, NULL) != SIGTERM)
        ;
}

/* ---- as [--mask HEX] [--ignore N]… [--close FD]… [--stdout PATH] … ARGV… ------------------ */

/* In our session and group, but no child of ours. */
static void start_bystander(void)
{
    pid_t between = fork();

    if (between == 0) {
        if (fork() != 0)
            _exit(0);
        while (getppid() == between)
            sleep_ms(1);
        note_number("bystander", getpid());
        sleep_ms(60000L);
        _exit(0);
    }
    (void)waitpid(between, NULL, 0);
}

static int become(int argc, char **argv)
{
    uint64_t mask = 0;
    int at = 0;

    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        long value = strtol(argv[at + 1], NULL, 0);

        if (strcmp(argv[at], "--mask") == 0)
            mask = strtoull(argv[at + 1], NULL, 16);
        else if (strcmp(argv[at], "--ignore") == 0)
            (void)signal((int)value, SIG_IGN);
        else if (strcmp(argv[at], "--close") == 0)
            close((int)value);
        else if (strcmp(argv[at], "--stdout") == 0)
            (void)dup2(open(argv[at + 1], O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        else if (strcmp(argv[at], "--stderr") == 0)
            (void)dup2(open(argv[at + 1], O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        else if (strcmp(argv[at], "--bystander") == 0)
            start_bystander();
        else
            return 64;
    }
    if (mask)
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
    (void)execvp(argv[at], argv + at);
    return 98;
}

/* ---- signals ------------------------------------------------------------------------------ */

static int die_of(int signo)
{
    const struct rlimit none = {0};
    const uint64_t by_default[4] = {0}; /* the kernel's struct sigaction */
    uint64_t mask = 0;

    (void)setrlimit(RLIMIT_CORE, &none);
    /* By hand: libc keeps 32 and 33 to itself, and make may have us started with both ignored. */
    (void)syscall(SYS_rt_sigaction, signo, by_default, NULL, sizeof(mask));
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
    (void)syscall(SYS_kill, getpid(), signo);
    sleep_ms(1000);
    return 97;
}

/* Note every signal that arrives, by number, libc's own too; TERM is the last one. */
static int record(void)
{
    uint64_t all = UINT64_MAX;
    long signo;

    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
    note("up", "");
    do {
        signo = syscall(SYS_rt_sigtimedwait, &all, NULL, NULL, sizeof(all));
        if (signo > 0)
            note_number("signals", signo);
    } while (signo != SIGTERM);
    return 0;
}

/* What /proc says of this process: signals and open files. */
static int look(void)
{
    char text[8192], path[64], target[256];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, text, sizeof(text) - 1);

    close(fd);
    if (got < 0)
        return 99;
    text[got] = '\0';
    for (int i = 0; i < 1024; i++) {
        ssize_t len;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
        len = readlink(path, target, sizeof(target) - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        (void)snprintf(path, sizeof(path), "%d ", i);
        note("files", path);
        note("files", target);
        note("files", "\n");
    }
    note("status", text);
    return 7;
}

/* On TERM take that long, then end with that status. */
static int trap(long ms, int status)
{
    block_term();
    note("up", "");
    wait_for_term();
    note("term", "");
    sleep_ms(ms);
    note("clean", "");
    return status;
}

/* Write when TERM came. */
static void take_time(int signo)
{
    int64_t now = now_ns();

    (void)signo;
    (void)!write(STDOUT_FILENO, &now, sizeof(now));
    _exit(0);
}

static __attribute__((noreturn)) void tell_time(void)
{
    (void)signal(SIGTERM, take_time);
    note("up", "");
    for (;;)
        (void)pause();
}

/* ---- families ----------------------------------------------------------------------------- */

static int orphans(long count)
{
    block_term();
    note("up", "");
    for (long i = 0; i < count; i++) {
        pid_t between = fork();

        if (between < 0)
            return 96;
        if (between == 0) {
            (void)fork(); /* ours dies with us or before, its child is nobody's */
            _exit(0);
        }
        (void)waitpid(between, NULL, 0);
    }
    note("done", "");
    wait_for_term();
    return 0;
}

/* A grandchild that left (setsid, setpgid) or stayed, and takes ms after TERM to clean up. */
static int family(const char *kind, long ms, bool child_ends)
{
    pid_t child;

    block_term();
    child = fork();
    if (child == 0) {
        if (strcmp(kind, "session") == 0)
            (void)setsid();
        if (strcmp(kind, "group") == 0)
            (void)setpgid(0, 0);
        _exit(trap(ms, 0));
    }
    if (child_ends) {
        char path[4096];
        struct stat info;

        (void)snprintf(path, sizeof(path), "%s/up", folder);
        while (stat(path, &info) < 0)
            sleep_ms(1);
        return 3;
    }
    wait_for_term();
    return 0;
}

/* On TERM, for a while, children that have children. */
static int storm(void)
{
    int64_t until;
    int count = 0;

    (void)signal(SIGCHLD, SIG_IGN);
    block_term();
    note("up", "");
    wait_for_term();
    until = now_ns() + (int64_t)STORM_MS * 1000000;
    while (now_ns() < until && count++ < STORM_MOST) {
        if (fork() == 0) {
            if (fork() == 0) {
                (void)setsid();
                sleep_ms(200);
            }
            sleep_ms(100);
            _exit(0);
        }
        sleep_ms(1);
    }
    return 0;
}

/* One that is so short-lived can hardly be seen or killed: what they share counts their forks, and
 * the case ends them through it, before the machine is full of what is to be reaped. */
static volatile struct {
    uint64_t count, over;
} * forks;

static void open_counter(void)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/forks", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, sizeof(*forks)) < 0)
        _exit(99);
    forks = mmap(NULL, sizeof(*forks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (forks == MAP_FAILED)
        _exit(99);
    close(fd);
}

/* Each one forks the next and ends, all in one group or each in a session of its own. */
static void fork_chain(bool sessions, int64_t until)
{
    while (!forks->over && now_ns() < until) {
        forks->count++;
        pid_t next = fork();

        if (next > 0)
            _exit(0);
        if (next < 0)
            sleep_ms(1);
        if (next == 0 && sessions)
            (void)setsid();
        (void)usleep(FORKER_PAUSE_US);
    }
    _exit(0);
}

/* One that goes on having children. */
static void fork_broad(int64_t until)
{
    (void)signal(SIGCHLD, SIG_IGN);
    while (!forks->over && now_ns() < until) {
        forks->count++;
        if (fork() == 0) {
            sleep_ms(50);
            _exit(0);
        }
        sleep_ms(1);
    }
    _exit(0);
}

/* A descendant that forks for ever, whatever TERM says. */
static int forker(const char *kind)
{
    int64_t until = now_ns() + (int64_t)FORKER_S * 1000000000;

    open_counter();
    block_term();
    if (fork() == 0) {
        if (strcmp(kind, "broad") == 0)
            fork_broad(until);
        fork_chain(strcmp(kind, "sessions") == 0, until);
    }
    note("up", "");
    wait_for_term();
    return 0;
}

/* A start in steps, as a script has them; only from the middle on TERM is caught. */
static int start(long ms)
{
    enum { STEPS = 12 };

    for (int step = 0; step < STEPS; step++) {
        pid_t child = fork();

        if (child == 0) {
            if (fork() == 0) {
                (void)setsid();
                sleep_ms(2 * ms / STEPS);
                _exit(0);
            }
            sleep_ms(ms / STEPS);
            _exit(0);
        }
        if (step == STEPS / 2)
            block_term();
        (void)waitpid(child, NULL, 0);
    }
    note("up", "");
    wait_for_term();
    return 0;
}

static int be_idle(void)
{
    block_term();
    note("up", "");
    wait_for_term();
    return 0;
}

/* FOLDER VERB [ARG…], or as … */
int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    const char *word = argc > 3 ? argv[3] : "";
    long first = strtol(word, NULL, 10), second = argc > 4 ? strtol(argv[4], NULL, 10) : 0;

    if (argc > 1)
        folder = argv[1];
    if (strcmp(verb, "as") == 0)
        return become(argc - 3, argv + 3);
    if (strcmp(verb, "exit") == 0)
        return (int)first;
    if (strcmp(verb, "die") == 0)
        return die_of((int)first);
    if (strcmp(verb, "record") == 0)
        return record();
    if (strcmp(verb, "look") == 0)
        return look();
    if (strcmp(verb, "trap") == 0)
        return trap(first, (int)second);
    if (strcmp(verb, "time") == 0)
        tell_time();
    if (strcmp(verb, "orphans") == 0)
        return orphans(first);
    if (strcmp(verb, "family") == 0)
        return family(word, second, argc > 5);
    if (strcmp(verb, "storm") == 0)
        return storm();
    if (strcmp(verb, "forker") == 0)
        return forker(word);
    if (strcmp(verb, "start") == 0)
        return start(first);
    if (strcmp(verb, "idle") == 0)
        return be_idle();
    return 64;
}
