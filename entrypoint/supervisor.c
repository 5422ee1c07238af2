#include "entrypoint/supervisor.h"

#include "common/cgroup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/signal_name.h"
#include "entrypoint/ending.h"
#include "entrypoint/helpers.h"
#include "entrypoint/lifecycle.h"
#include "entrypoint/process.h"
#include "probes/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ladder behind shutdown.grace; their sum is the 7 s of shutdown.budget. */
#define SWEEP_MS 5000
#define DUMP_MS 2000
#define KILL_AGAIN_MS 100
#define KILL_ROUNDS 100

/* What a helper that knows its own deadline may take past it. */
#define HELPER_SLACK_MS 1000

/* A health worker that ends is started again after this, doubled each time up to the maximum. */
#define WORKER_BACKOFF_MS 100
#define WORKER_BACKOFF_MAX_MS 10000
/* One that lived this long starts over at the shortest. */
#define WORKER_LIVED_MS 30000

struct supervisor {
    const struct service *service;
    const struct entry_state *entry;
    struct helper helper; /* what helpers are given */
    int signal_fd, timer_fd, ready_fd;

    enum lifecycle_phase phase;
    int64_t deadline_ms; /* of the phase */
    int64_t started_ms;  /* the service */
    int64_t oom_kills;   /* in this container, before it */

    pid_t step;     /* the phase's helper, 0: none */
    bool step_over; /* its phase is over, it was killed and is not reaped yet */
    pid_t worker;   /* the health worker, 0: none */
    int64_t worker_at_ms, worker_since_ms, worker_backoff_ms;

    pid_t child;       /* the service's direct child, 0 once reaped */
    pid_t stop_target; /* the JVM below a wrapper, 0: not known, or the child itself */
    bool gone;         /* EVENT_GONE was raised */
    bool killing;      /* KILL was sent once */
    bool unkillable;   /* what is left may not be killed by us */
    struct lifecycle_ending ending;
};

/* As descendants are listed; static, as PID 1 allocates nothing. */
static pid_t descendants[PROCESS_MAX];

static size_t list_descendants(const struct supervisor *s)
{
    const pid_t helpers[] = {s->worker, s->step};

    return process_descendants(helpers, 2, descendants);
}

/* ---- the stop target ---------------------------------------------------------------------- */

static bool is_stop_target(const struct role *role, pid_t pid)
{
    return process_is_java(pid) && process_argv_has(pid, role->stop_target_word) &&
           !(role->stop_target_not && process_argv_has(pid, role->stop_target_not));
}

/* Look for the JVM below the wrapper; keep the one that was found while it lives. */
static void find_stop_target(struct supervisor *s)
{
    const struct role *role = s->service->role;
    size_t count;

    /* A zombie is kept: its status is still to be reaped. */
    if (!role->stop_target_word || (s->stop_target && kill(s->stop_target, 0) == 0))
        return;
    s->stop_target = 0;
    count = list_descendants(s);
    for (size_t i = 0; i < count && !s->stop_target; i++) {
        if (is_stop_target(role, descendants[i]))
            s->stop_target = descendants[i];
    }
}

/* Pass a signal on: to the stop target; to the whole group while a wrapper has none yet. */
static void signal_service(struct supervisor *s, int signo)
{
    find_stop_target(s);
    if (s->stop_target)
        (void)kill(s->stop_target, signo);
    else if (s->child)
        (void)kill(s->service->role->stop_target_word ? -s->child : s->child, signo);
}

/* ---- forking ------------------------------------------------------------------------------ */

static int (*step_body(const struct supervisor *s))(void *)
{
    switch (s->phase) {
    case LIFE_RENDER:
        return helper_render;
    case LIFE_WAIT:
        return helper_wait;
    case LIFE_PREPARE:
        return s->service->role->prepare ? helper_prepare : NULL;
    case LIFE_DRAIN:
        return s->service->role->drain && s->service->config->shutdown.drain ? helper_drain : NULL;
    case LIFE_CLEAN:
        return s->service->role->clean && !lifecycle_ended_cleanly(&s->ending) ? helper_clean
                                                                               : NULL;
    case LIFE_START:
    case LIFE_SERVE:
    case LIFE_DELAY:
    case LIFE_TERM:
    case LIFE_SWEEP:
    case LIFE_DUMP:
    case LIFE_KILL:
    case LIFE_END:
        break;
    }
    return NULL;
}

static void note_failed_step(struct supervisor *s, int status)
{
    if (s->phase > LIFE_PREPARE)
        return; /* a drain or clean that failed is over: the stop goes on */
    s->ending.step_failed = true;
    s->ending.step_status = status;
}

/* Fork the phase's helper. True if there is none to wait for: the event to raise is in *ret. */
static bool start_step(struct supervisor *s, enum lifecycle_event *ret)
{
    static const int keep[] = {-1};
    int (*body)(void *) = step_body(s);

    *ret = EVENT_STEP_DONE;
    if (!body)
        return true;
    s->step = step_fork(body, &s->helper, keep);
    s->step_over = false;
    if (s->step > 0)
        return false;
    log_error("pid1", "cannot fork a helper for %s: %s", lifecycle_phase_name(s->phase),
              strerror(errno));
    s->step = 0;
    note_failed_step(s, EXIT_INTERNAL);
    *ret = EVENT_STEP_FAILED;
    return true;
}

/* A helper whose phase is over has nothing more to say. */
static void end_step(struct supervisor *s)
{
    if (s->step)
        (void)kill(-s->step, SIGKILL);
    s->step_over = true;
}

static void start_worker(struct supervisor *s)
{
    const int keep[] = {s->helper.ready_fd, s->helper.listen_fd, -1};

    s->worker_at_ms = CLOCK_NEVER;
    s->worker_since_ms = clock_ms();
    s->worker = step_fork(helper_health, &s->helper, keep);
    if (s->worker > 0) {
        snapshot_count_worker(s->helper.snapshot);
        return;
    }
    log_error("pid1", "cannot fork the health worker: %s", strerror(errno));
    s->worker = 0;
    s->worker_at_ms = s->worker_since_ms + WORKER_BACKOFF_MAX_MS;
}

/* In the child: become the service. Never returns. */
static void __attribute__((noreturn)) exec_service(const struct supervisor *s)
{
    struct command command = {0};
    sigset_t pipe_only;
    struct err err;
    int null;

    (void)setpgid(0, 0);
    if (s->service->role->make_command(s->service, &command, &err) < 0) {
        log_error("service", "%s", err.message);
        _exit(err.status);
    }
    if (s->service->role->has_terminal) {
        if (tcgetpgrp(STDIN_FILENO) == getpgid(getppid())) /* -1 where stdin is no terminal */
            (void)tcsetpgrp(STDIN_FILENO, getpid());
    } else {
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null >= 0)
            (void)dup2(null, STDIN_FILENO);
    }
    /* Our own lines may have raised it; unblocked, it would end us before the exec. */
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
    entry_restore(s->entry);
    (void)execvpe(command.argv[0], command.argv, command.environment);
    log_error("service", "cannot execute %s: %s", command.argv[0], strerror(errno));
    _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static bool start_service(struct supervisor *s, enum lifecycle_event *ret)
{
    pid_t pid = fork();

    if (pid == 0)
        exec_service(s);
    if (pid < 0) {
        log_error("pid1", "cannot fork the service: %s", strerror(errno));
        s->ending.step_failed = true;
        s->ending.step_status = EXIT_INTERNAL;
        *ret = EVENT_STEP_FAILED;
        return true;
    }
    (void)setpgid(pid, pid); /* both sides do, whoever is first */
    s->child = pid;
    s->started_ms = clock_ms();
    s->oom_kills = cgroup_oom_kills(CGROUP_FOLDER);
    s->ending.ran = true;
    log_info("pid1", "%s started, pid %d", s->service->role->name, (int)pid);
    return false;
}

/* ---- actions ------------------------------------------------------------------------------ */

static void say_late(struct supervisor *s)
{
    char reason[CHECK_REASON_BYTES], elapsed[CLOCK_DURATION_BYTES];
    bool is_java;

    (void)verdict_passes(s->helper.snapshot, PROBE_READY, reason, sizeof(reason));
    find_stop_target(s);
    is_java = process_is_java(s->stop_target ? s->stop_target : s->child);
    log_error("pid1", "%s not usable %s after its start (health.start_deadline): %s; %sstopping it",
              s->service->role->name,
              clock_format_duration(clock_ms() - s->started_ms, elapsed, sizeof(elapsed)), reason,
              is_java ? "asking for a thread dump and " : "");
    if (is_java)
        signal_service(s, SIGQUIT);
    s->ending.late = true;
}

static void signal_rest(struct supervisor *s, int signo, bool only_java)
{
    size_t count = list_descendants(s), sent = 0, refused = 0;

    for (size_t i = 0; i < count; i++) {
        if ((only_java && !process_is_java(descendants[i])) ||
            (signo == SIGTERM && descendants[i] == s->stop_target))
            continue;
        if (kill(descendants[i], signo) == 0)
            sent++;
        else if (errno == EPERM)
            refused++;
    }
    if (sent && !s->killing)
        log_warn("pid1", "SIG%s to %zu process%s that did not end with the service",
                 signal_name(signo), sent, sent == 1 ? "" : "es");
    if (only_java && !sent)
        s->deadline_ms = clock_ms(); /* no thread dump to wait for */
    s->unkillable = signo == SIGKILL && refused && refused == count;
    if (s->unkillable)
        log_error("pid1", "%zu process%s of another user cannot be ended", refused,
                  refused == 1 ? "" : "es");
}

/* What forks and ends all the time has ended by the time /proc has been read; but the orphan that
 * it leaves is our child at once, and our children are listed in an instant. */
static void kill_orphans(const struct supervisor *s)
{
    for (int round = 0; round < KILL_ROUNDS; round++) {
        size_t count = process_children(descendants);

        for (size_t i = 0; i < count; i++) {
            if (descendants[i] != s->worker)
                (void)kill(descendants[i], SIGKILL);
        }
    }
}

static void kill_all(struct supervisor *s)
{
    if (!s->gone)
        s->ending.killed = true;
    signal_rest(s, SIGKILL, false);
    s->killing = true;
    if (getpid() == 1)
        (void)kill(-1, SIGKILL); /* what has left our tree, too */
    else
        kill_orphans(s);
}

/* Carry out what the cell says. True if that ended at once: the event to raise is in *ret. */
static bool act(struct supervisor *s, unsigned actions, enum lifecycle_event *ret)
{
    bool ended = false;

    if (actions & ACTION_STEP)
        ended = start_step(s, ret);
    if (actions & ACTION_SERVICE)
        ended = start_service(s, ret);
    if (actions & ACTION_TERM) {
        signal_service(s, SIGTERM);
        s->ending.stop_passed = true;
    }
    if (actions & ACTION_TERM_REST)
        signal_rest(s, SIGTERM, false);
    if (actions & ACTION_DUMP)
        signal_rest(s, SIGQUIT, true);
    if (actions & ACTION_KILL)
        kill_all(s);
    return ended;
}

/* ---- phases ------------------------------------------------------------------------------- */

static int64_t phase_deadline(const struct supervisor *s)
{
    const struct config *config = s->service->config;
    int64_t now = clock_ms();

    switch (s->phase) {
    case LIFE_START:
        return config->health.start_deadline ? now + config->health.start_deadline : CLOCK_NEVER;
    case LIFE_DELAY:
        return now + config->shutdown.endpoint_delay;
    case LIFE_DRAIN:
        return now + config->shutdown.drain;
    case LIFE_TERM:
        return now + config->shutdown.grace;
    case LIFE_SWEEP:
        return now + SWEEP_MS;
    case LIFE_DUMP:
        return now + DUMP_MS;
    case LIFE_KILL:
        return now + KILL_AGAIN_MS;
    case LIFE_CLEAN:
        return now + config->health.timeout + HELPER_SLACK_MS;
    case LIFE_RENDER:
    case LIFE_WAIT:
    case LIFE_PREPARE:
    case LIFE_SERVE:
    case LIFE_END:
        break;
    }
    return CLOCK_NEVER;
}

static void enter(struct supervisor *s, enum lifecycle_phase phase)
{
    int64_t public_deadline_ms;

    if (phase != s->phase && phase <= LIFE_TERM) /* what follows logs whom it signals */
        log_info("pid1", "%s", lifecycle_phase_name(phase));
    s->phase = phase;
    s->deadline_ms = phase_deadline(s);
    public_deadline_ms = s->deadline_ms;
    if (phase == LIFE_DELAY)
        public_deadline_ms += s->service->config->shutdown.drain;
    snapshot_set_deadline(s->helper.snapshot, public_deadline_ms);
    snapshot_set_phase(s->helper.snapshot, lifecycle_public_phase(phase));
}

static void raise_event(struct supervisor *s, enum lifecycle_event event)
{
    const struct lifecycle_cell *cell;

    do {
        cell = lifecycle_step(s->phase, event);
        if (cell->ignored)
            return;
        end_step(s);
        if (cell->actions & ACTION_LATE)
            say_late(s); /* the reason is that of the phase that ends */
        enter(s, cell->next);
    } while (act(s, cell->actions, &event));
}

/* ---- events ------------------------------------------------------------------------------- */

static void take_stop(struct supervisor *s, int signo)
{
    log_info("pid1", "SIG%s: %s", signal_name(signo),
             s->phase >= LIFE_DELAY ? "stopping without waiting any longer" : "stopping");
    raise_event(s, EVENT_STOP);
}

static void take_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int signo = (int)info.ssi_signo;

        if (signo == SIGTERM || signo == SIGINT)
            take_stop(s, signo);
        else if (signo != SIGCHLD && info.ssi_pid != (uint32_t)getpid()) /* SIGPIPE of our own */
            signal_service(s, signo);
    }
}

static void reap_step(struct supervisor *s, int status)
{
    s->step = 0;
    if (s->step_over)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        bool rendered = s->phase == LIFE_RENDER;

        raise_event(s, EVENT_STEP_DONE);
        if (rendered) /* the helper that waits, which may render again, has been forked */
            helper_wipe_secrets(s->service);
        return;
    }
    if (WIFSIGNALED(status))
        log_error("pid1", "the helper for %s was ended by SIG%s", lifecycle_phase_name(s->phase),
                  signal_name(WTERMSIG(status)));
    note_failed_step(s, WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL);
    raise_event(s, EVENT_STEP_FAILED);
}

static void reap_worker(struct supervisor *s, int status)
{
    int64_t now = clock_ms();
    bool lived = now - s->worker_since_ms >= WORKER_LIVED_MS;
    int64_t backoff = lived || !s->worker_backoff_ms ? WORKER_BACKOFF_MS : s->worker_backoff_ms * 2;

    s->worker = 0;
    if (s->phase == LIFE_KILL)
        return;
    s->worker_backoff_ms = backoff < WORKER_BACKOFF_MAX_MS ? backoff : WORKER_BACKOFF_MAX_MS;
    s->worker_at_ms = now + s->worker_backoff_ms;
    if (WIFSIGNALED(status))
        log_warn("pid1", "the health worker was ended by SIG%s, starting another",
                 signal_name(WTERMSIG(status)));
    else
        log_warn("pid1", "the health worker ended with %d, starting another", WEXITSTATUS(status));
}

static int64_t oom_kills_since_start(const struct supervisor *s)
{
    return s->oom_kills < 0 ? -1 : cgroup_oom_kills(CGROUP_FOLDER) - s->oom_kills;
}

static void log_end(const struct supervisor *s, int status)
{
    char elapsed[CLOCK_DURATION_BYTES];
    const char *name = s->service->role->name, *words = "";
    enum log_level level = s->ending.stop_passed ? LOG_INFO : LOG_ERROR;

    if (!s->service->role->is_server && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        level = LOG_INFO;
    if (!s->ending.stop_passed)
        words = ending_in_words(name, status, oom_kills_since_start(s));
    clock_format_duration(clock_ms() - s->started_ms, elapsed, sizeof(elapsed));
    if (WIFSIGNALED(status))
        log_write(level, "pid1", "%s was ended by SIG%s after %s%s", name,
                  signal_name(WTERMSIG(status)), elapsed, words);
    else
        log_write(level, "pid1", "%s ended with %d after %s%s", name, WEXITSTATUS(status), elapsed,
                  words);
}

/* After the direct child was reaped: is the service gone, or only its wrapper? */
static void judge_service(struct supervisor *s)
{
    if (!s->ending.ran || s->child || s->gone)
        return;
    find_stop_target(s);
    if (s->stop_target)
        return;
    s->gone = true;
    log_end(s, s->ending.wait_status);
    raise_event(s, EVENT_GONE);
}

/* Whether we still have children. */
static bool reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == s->step) {
            reap_step(s, status);
        } else if (pid == s->worker) {
            reap_worker(s, status);
        } else if (pid == s->child) {
            s->child = 0;
            s->ending.wait_status = status;
            find_stop_target(s);
            if (s->stop_target)
                log_warn("pid1", "the wrapper of %s ended; the JVM, pid %d, lives and is watched",
                         s->service->role->name, (int)s->stop_target);
        } else if (pid == s->stop_target) {
            s->stop_target = 0;
            s->ending.wait_status = status;
        }
    }
    judge_service(s);
    return pid == 0;
}

static void take_timeouts(struct supervisor *s)
{
    int64_t now = clock_ms();

    if (now >= s->worker_at_ms)
        start_worker(s);
    if (now >= s->deadline_ms) {
        s->deadline_ms = CLOCK_NEVER;
        if (s->phase == LIFE_DRAIN)
            log_warn("pid1", "shutdown.drain is over, what still runs is cut off");
        if (s->phase == LIFE_TERM)
            log_warn("pid1", "shutdown.grace is over");
        raise_event(s, EVENT_TIMEOUT);
    }
}

static void take_usable(struct supervisor *s)
{
    char bytes[16], elapsed[CLOCK_DURATION_BYTES];

    if (read(s->ready_fd, bytes, sizeof(bytes)) <= 0 || s->phase != LIFE_START)
        return;
    find_stop_target(s);
    log_info("pid1", "%s is usable %s after its start", s->service->role->name,
             clock_format_duration(clock_ms() - s->started_ms, elapsed, sizeof(elapsed)));
    raise_event(s, EVENT_USABLE);
}

static void end_helper(pid_t *helper)
{
    if (!*helper)
        return;
    (void)kill(-*helper, SIGKILL);
    (void)waitpid(*helper, NULL, 0);
    *helper = 0;
}

static void end_worker(struct supervisor *s)
{
    s->worker_at_ms = CLOCK_NEVER;
    end_helper(&s->worker);
}

/* Whether nothing is left but helpers, and then these are not either. /proc is no snapshot, and
 * what forks and ends all the time may not stand in it; but as long as anything lives, it or an
 * orphan above it is our child. */
static bool is_all_gone(struct supervisor *s)
{
    if (s->unkillable)
        return true;
    if (list_descendants(s) > 0)
        return false;
    end_worker(s);
    return !reap(s);
}

static void arm_timer(const struct supervisor *s)
{
    int64_t next = s->deadline_ms < s->worker_at_ms ? s->deadline_ms : s->worker_at_ms;
    struct itimerspec when = {0};

    if (next != CLOCK_NEVER) {
        when.it_value.tv_sec = next / 1000;
        when.it_value.tv_nsec = next % 1000 * 1000000 + 1; /* all zero would disarm it */
    }
    (void)timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void loop(struct supervisor *s)
{
    struct pollfd fds[] = {
        {.fd = s->signal_fd, .events = POLLIN},
        {.fd = s->timer_fd, .events = POLLIN},
        {.fd = s->ready_fd, .events = POLLIN},
    };
    uint64_t ticks;

    while (s->phase != LIFE_END) {
        if (s->phase >= LIFE_SWEEP && s->phase < LIFE_CLEAN && is_all_gone(s)) {
            raise_event(s, EVENT_ALL_GONE);
            continue;
        }
        arm_timer(s);
        (void)poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
        (void)!read(s->timer_fd, &ticks, sizeof(ticks));
        take_signals(s);
        (void)reap(s);
        take_usable(s);
        take_timeouts(s);
    }
}

static int open_descriptors(struct supervisor *s)
{
    int ready[2];

    s->signal_fd = entry_signal_fd();
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->signal_fd < 0 || s->timer_fd < 0 || pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    s->ready_fd = ready[0];
    s->helper.ready_fd = ready[1];
    return 0;
}

int supervisor_run(const struct service *service, const struct entry_state *entry, int listen_fd,
                   struct err *err)
{
    struct supervisor s = {
        .service = service,
        .entry = entry,
        .helper = {.service = service, .listen_fd = listen_fd},
        .deadline_ms = CLOCK_NEVER,
        .ending = {.is_server = service->role->is_server},
    };
    enum lifecycle_event event;
    int status;

    s.helper.snapshot = snapshot_new(service->role->name);
    if (!s.helper.snapshot || open_descriptors(&s) < 0)
        return err_set_errno(err, EXIT_INTERNAL, "cannot start PID 1's work");
    if (getpid() != 1)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    snapshot_set_thresholds(s.helper.snapshot, (int)service->config->health.failure_threshold,
                            (int)service->config->health.success_threshold);
    enter(&s, LIFE_RENDER);
    start_worker(&s);
    if (start_step(&s, &event))
        raise_event(&s, event);
    loop(&s);
    end_worker(&s);
    end_helper(&s.step);
    status = lifecycle_exit_status(&s.ending);
    log_info("pid1", "exit %d", status);
    return status;
}
