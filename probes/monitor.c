#include "probes/monitor.h"

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "probes/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 200 /* how soon a new phase is seen, and the interval until the first success */
#define PLAN_RETRY_MS 1000
#define SERVER_TICKS 25 /* without a pass of the server's thread: it hangs */

struct worker {
    const struct monitor *monitor;
    struct monitor_plan plan;
    bool has_plan;
    bool plan_failed;                /* and said so */
    struct check_session *session;   /* NULL without a service */
    struct check_session *metastore; /* NULL without one to ask */
    unsigned connects_before;        /* those of earlier workers */
    bool announced;                  /* the service was usable once */
    int64_t next_ms;
    struct server *server; /* NULL: none wanted */
    unsigned passes;       /* of its thread, and how many ticks ago they changed */
    int idle_ticks;
};

/* What the watchdog's handler needs to know: which check hangs, and its result. */
static struct {
    struct snapshot *snapshot;
    enum snapshot_check check;
    struct check_result hung;
} watched = {
    .hung = {.state = CHECK_RETRY, .status = EXIT_UNAVAILABLE, .reason = "the check itself hung"}};

void monitor_plan_free(struct monitor_plan *plan)
{
    target_free(&plan->service);
    target_free(&plan->ui);
    target_free(&plan->metastore);
    memset(plan, 0, sizeof(*plan));
}

/* A check that hangs past its own deadline must not leave its last good result standing. */
static void on_alarm(int signal_number)
{
    (void)signal_number;
    snapshot_put_result(watched.snapshot, watched.check, &watched.hung);
    _exit(EXIT_INTERNAL);
}

static void watchdog_init(struct snapshot *snapshot)
{
    struct sigaction action = {.sa_handler = on_alarm};

    watched.snapshot = snapshot;
    (void)sigaction(SIGALRM, &action, NULL);
}

/* End the process if check, which may take timeout_ms, takes twice that; 0 disarms. */
static void watch_over(enum snapshot_check check, int64_t timeout_ms)
{
    int64_t ms = 2 * timeout_ms;
    const struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)}};

    watched.check = check;
    watched.hung.latency_us = 1000 * ms;
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* Store a result, and return whether the check counts as good; one log line if it did not before.
 * Failures before the first success are what starting looks like, and /readyz tells them. */
static bool record(const struct worker *worker, enum snapshot_check check,
                   const struct check_result *result)
{
    struct snapshot *snapshot = worker->monitor->snapshot;
    bool was_up = snapshot_result(snapshot, check).up, is_up;
    const char *name = snapshot_check_name(check);

    snapshot_put_result(snapshot, check, result);
    is_up = snapshot_result(snapshot, check).up;
    if (is_up && !was_up)
        log_info("health", "%s ok: %s", name, result->reason);
    else if (was_up && !is_up)
        log_warn("health", "%s failed: %s", name, result->reason);
    return is_up;
}

/* Spark opens its UI before its Thrift port. Where the service answers and the UI never has, Spark
 * found spark.ui.port taken and took another one, and a restart would not help. */
static void ask_ui(struct worker *worker, int64_t deadline_ms, struct check_result *ret)
{
    struct snapshot *snapshot = worker->monitor->snapshot;
    struct snapshot_result alive = snapshot_result(snapshot, SNAPSHOT_ALIVE);

    check_target(&worker->plan.ui, deadline_ms, ret);
    if (ret->state == CHECK_READY)
        snapshot_see_ui(snapshot);
    worker->plan.service.has_ui = snapshot_has_seen_ui(snapshot);
    if (worker->plan.service.has_ui || !alive.asked || alive.state != CHECK_READY)
        return;
    *ret = (struct check_result){.state = CHECK_READY, .latency_us = ret->latency_us};
    (void)snprintf(ret->reason, sizeof(ret->reason),
                   "no answer at port %u while the service serves: left out",
                   worker->plan.ui.hosts[0].port);
}

static bool ask(struct worker *worker, enum snapshot_check check)
{
    const struct monitor_plan *plan = &worker->plan;
    int64_t deadline_ms = clock_ms() + plan->timeout_ms;
    enum check_question question = check == SNAPSHOT_ALIVE ? CHECK_ALIVE : CHECK_USABLE;
    struct check_result result = {0};

    watch_over(check, plan->timeout_ms);
    if (check == SNAPSHOT_UI)
        ask_ui(worker, deadline_ms, &result);
    else
        check_session_ask(check == SNAPSHOT_METASTORE ? worker->metastore : worker->session,
                          question, deadline_ms, &result);
    watch_over(check, 0);
    return record(worker, check, &result);
}

/* A new connection is tried only where the kept one and the UI answer: nobody could be served
 * otherwise. */
static bool ask_all(struct worker *worker)
{
    static const struct check_result not_asked = {.state = CHECK_RETRY,
                                                  .status = EXIT_UNAVAILABLE,
                                                  .latency_us = -1,
                                                  .reason = "not asked while others fail"};
    bool live = !worker->plan.has_service || ask(worker, SNAPSHOT_ALIVE), usable;

    if (worker->plan.has_ui)
        live = ask(worker, SNAPSHOT_UI) && live;
    if (!worker->plan.has_service)
        return live;
    if (!live) {
        (void)record(worker, SNAPSHOT_USABLE, &not_asked);
        return false;
    }
    usable = ask(worker, SNAPSHOT_USABLE);
    /* Each time is a line in its log: not while a start polls. */
    if (usable && worker->plan.has_metastore)
        (void)ask(worker, SNAPSHOT_METASTORE);
    return usable;
}

static int open_session(const struct target *target, struct check_session **ret, struct err *err)
{
    check_session_free(*ret); /* of a plan that failed half-way */
    *ret = check_session_new(target);
    return *ret ? 0 : err_no_memory(err);
}

static bool make_plan(struct worker *worker)
{
    const struct monitor *monitor = worker->monitor;
    struct check_result unknown = {
        .state = CHECK_RETRY, .status = EXIT_UNAVAILABLE, .latency_us = -1};
    struct err err = {0};
    int result = monitor->make_plan(monitor->context, &worker->plan, &err);

    if (result == 0 && worker->plan.has_service)
        result = open_session(&worker->plan.service, &worker->session, &err);
    if (result == 0 && worker->plan.has_metastore)
        result = open_session(&worker->plan.metastore, &worker->metastore, &err);
    worker->plan.service.has_ui = worker->plan.has_ui && snapshot_has_seen_ui(monitor->snapshot);
    if (result == 0)
        return true;
    /* Whatever an earlier worker found out says nothing of now. */
    (void)snprintf(unknown.reason, sizeof(unknown.reason), "what to check is not known: %.200s",
                   err.message);
    (void)record(worker, SNAPSHOT_USABLE, &unknown);
    if (!worker->plan_failed)
        log_error("health", "what to check is not known: %s", err.message);
    worker->plan_failed = true;
    monitor_plan_free(&worker->plan);
    return false;
}

/* Tell PID 1 once that the service is usable. */
static void announce(struct worker *worker)
{
    if (!worker->announced && fd_write_all(worker->monitor->ready_fd, "", 1) < 0)
        log_error("health", "PID 1 cannot be told that the service is usable: %m");
    worker->announced = true;
}

/* Ask what is due. */
static void watch(struct worker *worker, enum phase phase)
{
    int64_t now_ms = clock_ms();
    unsigned connects;
    bool usable;

    worker->has_plan = worker->has_plan || make_plan(worker);
    if (!worker->has_plan) {
        worker->next_ms = now_ms + PLAN_RETRY_MS;
        return;
    }
    usable = ask_all(worker);
    connects = check_session_connects(worker->session) + check_session_connects(worker->metastore);
    snapshot_set_connects(worker->monitor->snapshot, worker->connects_before + connects);
    if (usable && phase == PHASE_STARTING)
        announce(worker);
    if (phase == PHASE_SERVING || worker->announced)
        worker->next_ms = now_ms + worker->plan.interval_ms;
}

static bool server_hangs(struct worker *worker)
{
    unsigned passes = worker->server ? server_passes(worker->server) : 0;

    worker->idle_ticks = worker->server && passes == worker->passes ? worker->idle_ticks + 1 : 0;
    worker->passes = passes;
    return worker->idle_ticks > SERVER_TICKS;
}

/* Once the pod drains nothing is asked any more. The kept connection stays open all the same: to
 * close it would cost a stack trace in Spark 3.5's log. */
static void follow_phases(struct worker *worker)
{
    const struct timespec tick = {.tv_nsec = (long)TICK_MS * 1000000};

    while (!server_hangs(worker)) {
        enum phase phase = snapshot_phase(worker->monitor->snapshot);

        if ((phase == PHASE_STARTING || phase == PHASE_SERVING) && clock_ms() >= worker->next_ms)
            watch(worker, phase);
        (void)nanosleep(&tick, NULL);
    }
}

int monitor_run(const struct monitor *monitor)
{
    struct worker worker = {.monitor = monitor,
                            .connects_before = snapshot_connects(monitor->snapshot)};
    struct err err = {0};

    watchdog_init(monitor->snapshot);
    if (monitor->listen_fd >= 0 &&
        server_start(monitor->snapshot, monitor->listen_fd, &worker.server, &err) < 0) {
        log_error("health", "%s", err.message);
        return (int)err.status;
    }
    follow_phases(&worker);
    log_error("health", "the HTTP server hangs");
    return EXIT_INTERNAL;
}
