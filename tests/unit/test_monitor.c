/* The health worker as PID 1 starts it: a forked process. The service it asks is another of our own
 * HTTP servers, over a snapshot that the test holds: SERVING answers 200, any other phase 503. */
#include "common/clock.h"
#include "common/fd.h"
#include "probes/monitor.h"
#include "probes/server.h"
#include "probes/verdict.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000

/* What the worker's make_plan hands out, and what it counts: shared with the worker. */
struct rig {
    char url[64];    /* empty: no service */
    char ui_url[64]; /* empty: no UI */
    char metastore_url[64];
    int64_t timeout_ms;
    int plan_failures; /* before the first success */
    atomic_int plans;
};

static struct rig *rig;
static struct snapshot *snapshot; /* the pod's */
static struct snapshot *service;  /* the service's own */
static int service_fd, ready[2];
static pid_t worker, service_pid;

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address;
    socklen_t size = sizeof(address);

    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin6_port);
}

static void set_up(void)
{
    struct err err = {0};

    rig = mmap(NULL, sizeof(*rig), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(rig, MAP_FAILED);
    rig->timeout_ms = 2000;
    snapshot = snapshot_new("run");
    service = snapshot_new("service");
    cr_assert(snapshot && service);
    service_fd = server_listen(0, &err);
    cr_assert_geq(service_fd, 0, "%s", err.message);
    (void)snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%u/readyz", port_of(service_fd));
    cr_assert_eq(pipe(ready), 0);
}

/* In a process of its own: a worker that is forked beside a thread may inherit a lock of it. */
static pid_t start_server(const struct snapshot *page, int fd)
{
    struct server *server = NULL;
    struct err err = {0};
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (server_start(page, fd, &server, &err) == 0)
            (void)pause();
        _exit(1);
    }
    return pid;
}

static void start_service(void)
{
    service_pid = start_server(service, service_fd);
}

static void end(pid_t *pid)
{
    if (*pid > 0) {
        (void)kill(*pid, SIGKILL);
        (void)waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static void tear_down(void)
{
    end(&worker);
    end(&service_pid);
    fd_close(&service_fd);
    fd_close(&ready[0]);
    fd_close(&ready[1]);
}

TestSuite(monitor, .init = set_up, .fini = tear_down, .timeout = 60);

static int make_plan(void *context, struct monitor_plan *ret, struct err *err)
{
    (void)context;
    if (atomic_fetch_add(&rig->plans, 1) < rig->plan_failures)
        return err_set(err, EXIT_CONFIG, "hive-site.xml is not there");
    memset(ret, 0, sizeof(*ret));
    ret->interval_ms = 200;
    ret->timeout_ms = rig->timeout_ms;
    ret->has_service = rig->url[0] != '\0';
    ret->has_ui = rig->ui_url[0] != '\0';
    ret->has_metastore = rig->metastore_url[0] != '\0';
    if (ret->has_service && target_parse(rig->url, &ret->service, err) < 0)
        return -1;
    if (ret->has_ui && target_parse(rig->ui_url, &ret->ui, err) < 0)
        return -1;
    if (ret->has_metastore && target_parse(rig->metastore_url, &ret->metastore, err) < 0)
        return -1;
    ret->ui.any_status = true;
    return 0;
}

static void start_worker(int listen_fd)
{
    worker = fork();
    cr_assert_geq(worker, 0);
    if (worker == 0) {
        struct monitor monitor = {.snapshot = snapshot,
                                  .listen_fd = listen_fd,
                                  .ready_fd = ready[1],
                                  .make_plan = make_plan};

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(monitor_run(&monitor));
    }
}

/* The worker's byte, within ms. */
static bool was_announced(int ms)
{
    struct pollfd poll_fd = {.fd = ready[0], .events = POLLIN};
    char byte;

    return poll(&poll_fd, 1, ms) == 1 && read(ready[0], &byte, 1) == 1;
}

static bool has_state(enum snapshot_check check, enum check_state state)
{
    int64_t deadline = clock_ms() + PATIENCE_MS;

    while (clock_ms() < deadline) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (result.asked && result.state == state)
            return true;
        (void)usleep(20000);
    }
    return false;
}

static uint64_t asked(void)
{
    struct snapshot_result result = snapshot_result(snapshot, SNAPSHOT_ALIVE);

    return result.passed + result.failed;
}

static bool is_asked_again(void)
{
    int64_t deadline = clock_ms() + PATIENCE_MS;
    uint64_t before = asked();

    while (clock_ms() < deadline && asked() == before)
        (void)usleep(20000);
    return asked() != before;
}

Test(monitor, nothing_is_asked_before_the_service_starts)
{
    snapshot_set_phase(snapshot, PHASE_WAITING);
    start_worker(-1);
    cr_expect_not(was_announced(700));
    cr_expect_eq(atomic_load(&rig->plans), 0);
    cr_expect_eq(asked(), 0);
}

Test(monitor, the_first_success_is_announced_once_and_failures_come_and_go)
{
    snapshot_set_phase(snapshot, PHASE_STARTING);
    start_service();
    start_worker(-1);
    cr_expect(has_state(SNAPSHOT_ALIVE, CHECK_RETRY));
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_RETRY));
    cr_expect_not(was_announced(0));

    snapshot_set_phase(service, PHASE_SERVING);
    cr_assert(was_announced(PATIENCE_MS));
    cr_expect(has_state(SNAPSHOT_ALIVE, CHECK_READY));
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_READY));
    cr_expect_not(snapshot_result(snapshot, SNAPSHOT_UI).asked);

    snapshot_set_phase(snapshot, PHASE_SERVING);
    snapshot_set_phase(service, PHASE_STOPPING);
    cr_expect(has_state(SNAPSHOT_ALIVE, CHECK_RETRY));
    snapshot_set_phase(service, PHASE_SERVING);
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_READY));
    cr_expect_not(was_announced(500), "only the first success is announced");
}

Test(monitor, an_interface_that_answers_anything_is_up_and_its_loss_keeps_clients_away)
{
    struct err err = {0};
    struct snapshot *ui_snapshot = snapshot_new("ui");
    FD_AUTO ui_fd = server_listen(0, &err);
    pid_t ui;

    cr_assert_geq(ui_fd, 0, "%s", err.message);
    (void)snprintf(rig->ui_url, sizeof(rig->ui_url), "http://127.0.0.1:%u/none", port_of(ui_fd));
    rig->timeout_ms = 500;
    ui = start_server(ui_snapshot, ui_fd);
    start_service();
    snapshot_set_phase(service, PHASE_SERVING);
    snapshot_set_phase(snapshot, PHASE_STARTING);
    start_worker(-1);
    cr_assert(was_announced(PATIENCE_MS));
    cr_expect(has_state(SNAPSHOT_UI, CHECK_READY), "a 404 is an answer");

    end(&ui);
    cr_expect(has_state(SNAPSHOT_UI, CHECK_RETRY));
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_RETRY));
    cr_expect(has_state(SNAPSHOT_ALIVE, CHECK_READY));
}

Test(monitor, an_interface_that_was_never_seen_at_its_port_keeps_nobody_away)
{
    uint16_t port;
    int taken = server_listen(0, &(struct err){0});

    cr_assert_geq(taken, 0);
    port = port_of(taken);
    (void)snprintf(rig->ui_url, sizeof(rig->ui_url), "http://127.0.0.1:%u/", port);
    rig->timeout_ms = 300; /* whoever has it does not answer */
    snapshot_set_phase(service, PHASE_STARTING);
    start_service();
    snapshot_set_phase(snapshot, PHASE_STARTING);
    start_worker(-1);
    cr_expect(has_state(SNAPSHOT_UI, CHECK_RETRY), "the service does not answer either");
    snapshot_set_phase(service, PHASE_SERVING);
    cr_expect(was_announced(PATIENCE_MS));
    cr_expect(has_state(SNAPSHOT_UI, CHECK_READY));
    fd_close(&taken);
    cr_expect(is_asked_again());
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_READY));
    cr_expect(has_state(SNAPSHOT_UI, CHECK_READY));
}

Test(monitor, a_metastore_that_is_gone_keeps_clients_away_and_costs_no_restart)
{
    char reason[VERDICT_REASON_BYTES];
    int closed = server_listen(0, &(struct err){0});

    (void)snprintf(rig->metastore_url, sizeof(rig->metastore_url), "tcp://127.0.0.1:%u",
                   port_of(closed));
    fd_close(&closed);
    snapshot_set_phase(service, PHASE_SERVING);
    start_service();
    snapshot_set_phase(snapshot, PHASE_STARTING);
    start_worker(-1);
    cr_expect(was_announced(PATIENCE_MS), "the service itself has started");
    snapshot_set_phase(snapshot, PHASE_SERVING);
    cr_expect(has_state(SNAPSHOT_METASTORE, CHECK_RETRY));
    cr_expect(verdict_passes(snapshot, PROBE_LIVE, reason, sizeof(reason)));
    cr_expect_not(verdict_passes(snapshot, PROBE_READY, reason, sizeof(reason)));
    cr_expect_str_eq(reason, "metastore: connection refused");
}

Test(monitor, a_new_worker_of_a_serving_pod_takes_over_quietly)
{
    snapshot_set_phase(snapshot, PHASE_SERVING);
    snapshot_set_connects(snapshot, 5);
    snapshot_set_phase(service, PHASE_SERVING);
    start_service();
    start_worker(-1);
    cr_expect(has_state(SNAPSHOT_USABLE, CHECK_READY));
    cr_expect_not(was_announced(500));
    cr_expect_geq(snapshot_connects(snapshot), 5, "the connections of earlier workers count");
}

Test(monitor, a_new_worker_goes_on_counting_failures)
{
    struct snapshot_result result = {.asked = false};
    int64_t deadline = clock_ms() + PATIENCE_MS;

    snapshot_set_thresholds(snapshot, 1000, 1);
    snapshot_set_phase(snapshot, PHASE_SERVING);
    snapshot_set_phase(service, PHASE_SERVING);
    start_service();
    start_worker(-1);
    cr_assert(has_state(SNAPSHOT_USABLE, CHECK_READY));
    snapshot_set_phase(service, PHASE_STOPPING);
    cr_assert(has_state(SNAPSHOT_USABLE, CHECK_RETRY));
    end(&worker);
    cr_expect(snapshot_result(snapshot, SNAPSHOT_USABLE).up, "one failure is not enough");
    snapshot_set_thresholds(snapshot, 4, 1);
    start_worker(-1);
    while (clock_ms() < deadline && result.streak > -4) {
        result = snapshot_result(snapshot, SNAPSHOT_USABLE);
        (void)usleep(20000);
    }
    cr_expect_leq(result.streak, -4);
    cr_expect_not(snapshot_result(snapshot, SNAPSHOT_USABLE).up);
    cr_expect_leq(result.failed, 6, "those of the worker before counted");
}

Test(monitor, a_draining_pod_is_not_asked_any_more)
{
    uint64_t before;

    snapshot_set_phase(snapshot, PHASE_SERVING);
    snapshot_set_phase(service, PHASE_SERVING);
    start_service();
    start_worker(-1);
    cr_assert(has_state(SNAPSHOT_USABLE, CHECK_READY));
    cr_expect(is_asked_again());
    snapshot_set_phase(snapshot, PHASE_DRAINING);
    (void)usleep(600000);
    before = asked();
    (void)usleep(800000);
    cr_expect_eq(asked(), before);
}

Test(monitor, a_plan_that_cannot_be_made_is_tried_again)
{
    rig->plan_failures = 2;
    snapshot_set_phase(snapshot, PHASE_STARTING);
    snapshot_set_phase(service, PHASE_SERVING);
    start_service();
    start_worker(-1);
    cr_expect(was_announced(PATIENCE_MS));
    cr_expect_eq(atomic_load(&rig->plans), 3, "and made once");
}

Test(monitor, without_a_service_to_ask_a_running_one_counts_as_usable)
{
    rig->url[0] = '\0';
    snapshot_set_phase(snapshot, PHASE_STARTING);
    start_worker(-1);
    cr_expect(was_announced(PATIENCE_MS));
    cr_expect_eq(asked(), 0);
}

Test(monitor, a_check_that_hangs_ends_the_worker_and_fails_the_probe)
{
    struct snapshot_result result;
    int status;

    /* Nobody accepts: the kernel completes the connection and the answer never comes. The alarm is
     * sent rather than waited for, because a check that keeps its deadline cannot be made to hang.
     */
    rig->timeout_ms = 30000;
    snapshot_set_phase(snapshot, PHASE_SERVING);
    start_worker(-1);
    while (atomic_load(&rig->plans) == 0)
        (void)usleep(20000);
    (void)usleep(300000);
    cr_assert_eq(kill(worker, SIGALRM), 0);
    cr_assert_eq(waitpid(worker, &status, 0), worker);
    worker = 0;
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_INTERNAL, "%#x", status);
    result = snapshot_result(snapshot, SNAPSHOT_ALIVE);
    cr_expect(result.asked && result.state == CHECK_RETRY);
    cr_expect_str_eq(result.reason, "the check itself hung");
}

/* The thread that is not the first one. */
static pid_t second_thread(pid_t pid)
{
    char path[64];
    struct dirent *entry;
    pid_t found = 0;
    DIR *folder;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    folder = opendir(path);
    cr_assert_not_null(folder);
    while ((entry = readdir(folder)))
        if (atoi(entry->d_name) > pid)
            found = atoi(entry->d_name);
    (void)closedir(folder);
    return found;
}

Test(monitor, a_server_whose_thread_hangs_ends_the_worker)
{
    struct err err = {0};
    FD_AUTO listen_fd = server_listen(0, &err);
    int64_t deadline = clock_ms() + PATIENCE_MS;
    pid_t thread;
    int status;

    cr_assert_geq(listen_fd, 0, "%s", err.message);
    rig->url[0] = '\0';
    start_worker(listen_fd);
    while ((thread = second_thread(worker)) == 0 && clock_ms() < deadline)
        (void)usleep(20000);
    cr_assert_eq(ptrace(PTRACE_SEIZE, thread, NULL, NULL), 0);
    cr_assert_eq(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), 0);
    while (waitpid(-1, &status, __WALL) != worker) /* the thread's stop and end come before */
        ;
    worker = 0;
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_INTERNAL, "%#x", status);
}

Test(monitor, it_serves_the_snapshot_in_every_phase)
{
    struct err err = {0};
    FD_AUTO listen_fd = server_listen(0, &err);
    TARGET_AUTO live = {0}, ready_target = {0};
    struct check_result result;
    char url[64];

    cr_assert_geq(listen_fd, 0, "%s", err.message);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/livez", port_of(listen_fd));
    cr_assert_eq(target_parse(url, &live, &err), 0, "%s", err.message);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/readyz", port_of(listen_fd));
    cr_assert_eq(target_parse(url, &ready_target, &err), 0, "%s", err.message);
    rig->url[0] = '\0';
    start_worker(listen_fd);
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        snapshot_set_phase(snapshot, phase);
        check_target(&live, clock_ms() + PATIENCE_MS, &result);
        cr_expect_eq(result.state, CHECK_READY, "%s: %s", phase_name(phase), result.reason);
        check_target(&ready_target, clock_ms() + PATIENCE_MS, &result);
        cr_expect_eq(result.state == CHECK_READY, phase == PHASE_SERVING, "%s", phase_name(phase));
    }
}
