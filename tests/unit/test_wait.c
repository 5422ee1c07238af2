#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "probes/ports.h"
#include "probes/wait.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct wait_options patient = {
    .try_timeout_ms = 5000,
    .fatal_grace_ms = 60000,
    .cancel_fd = -1,
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket with a port; it refuses connections until it listens. */
static int bound(uint16_t *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static struct target target_at(const char *scheme, uint16_t port)
{
    struct err err = {.message = ""};
    struct target target;
    char url[64];

    (void)snprintf(url, sizeof(url), "%s127.0.0.1:%u", scheme, port);
    cr_assert_eq(target_parse(url, &target, &err), 0, "%s", err.message);
    return target;
}

static void expect_no_child(void)
{
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
    cr_expect_eq(errno, ECHILD);
}

/* ---- what changed() is told ---- */

struct changes {
    unsigned count;
    struct {
        size_t index;
        enum check_state state;
    } seen[16];
    int listen_fd; /* begins to listen at the first change */
};

static void note(void *context, size_t index, const struct check_result *result)
{
    struct changes *changes = context;

    cr_assert_lt(changes->count, 16);
    changes->seen[changes->count].index = index;
    changes->seen[changes->count].state = result->state;
    if (changes->count++ == 0 && changes->listen_fd >= 0)
        cr_assert_eq(listen(changes->listen_fd, 4), 0);
}

/* fd 2 into a file while body runs; its content in text. */
static void capture(void (*body)(void), struct buf *text)
{
    FILE *file = tmpfile();
    int saved = dup(2);

    dup2(fileno(file), 2);
    log_open();
    body();
    dup2(saved, 2);
    close(saved);
    (void)lseek(fileno(file), 0, SEEK_SET);
    cr_assert_eq(fd_read_all(fileno(file), text), 0);
    fclose(file);
}

static size_t lines_with(const char *text, const char *part)
{
    size_t count = 0;

    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        count++;
    return count;
}

/* ---- tests ---- */

Test(wait, nothing_to_wait_for_is_ready)
{
    cr_expect_eq(wait_for_targets(NULL, 0, &patient, NULL), 0);
}

static void wait_until_open(void)
{
    struct changes changes = {.count = 0};
    struct wait_options options = patient;
    struct target targets[2];
    struct err err = {.message = ""};
    uint16_t early, late;
    int fd = bound(&early);

    cr_assert_eq(listen(fd, 4), 0);
    changes.listen_fd = bound(&late);
    targets[0] = target_at("tcp://", late);
    targets[1] = target_at("tcp://", early);
    options.changed = note;
    options.context = &changes;
    cr_expect_eq(wait_for_targets(targets, 2, &options, &err), 0, "%s", err.message);
    cr_expect_geq(changes.count, 2);
    cr_expect_leq(changes.count, 3, "one call per change of state");
    expect_no_child();
    target_free(&targets[0]);
    target_free(&targets[1]);
    close(changes.listen_fd);
    close(fd);
}

Test(wait, ends_when_the_last_target_is_ready_with_a_line_per_change)
{
    BUF_AUTO text = BUF_INIT(65536);

    capture(wait_until_open, &text);
    cr_expect_eq(lines_with(buf_str(&text), " ready after "), 2, "%s", buf_str(&text));
    cr_expect_leq(lines_with(buf_str(&text), " not yet: connection refused"), 1, "%s",
                  buf_str(&text));
}

Test(wait, timeout_says_what_each_target_last_said)
{
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target targets[2];
    uint16_t port, open_port;
    int fd = bound(&port), open_fd = bound(&open_port);

    cr_assert_eq(listen(open_fd, 4), 0);
    options.timeout_ms = 400;
    targets[0] = target_at("thrift://", port);
    targets[1] = target_at("tcp://", open_port);
    cr_expect_eq(wait_for_targets(targets, 2, &options, &err), -1);
    cr_expect_eq(err.status, EXIT_UNAVAILABLE);
    cr_expect_neq(strstr(err.message, "not ready after 400ms: thrift://127.0.0.1"), NULL, "%s",
                  err.message);
    cr_expect_neq(strstr(err.message, "connection refused"), NULL, "%s", err.message);
    cr_expect_null(strstr(err.message, "tcp://"), "%s", err.message);
    expect_no_child();
    target_free(&targets[0]);
    target_free(&targets[1]);
    close(fd);
    close(open_fd);
}

Test(wait, a_try_ends_at_its_deadline_and_is_made_again)
{
    struct changes changes = {.listen_fd = -1};
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    uint16_t port;
    int fd = bound(&port);

    cr_assert_eq(listen(fd, 8), 0); /* accepted by the kernel, answered by nobody */
    options.try_timeout_ms = 100;
    options.timeout_ms = 700;
    options.changed = note;
    options.context = &changes;
    target = target_at("thrift://", port);
    cr_expect_eq(wait_for_targets(&target, 1, &options, &err), -1);
    cr_expect_neq(strstr(err.message, "timed out after"), NULL, "%s", err.message);
    cr_expect_eq(changes.count, 1, "another duration is no change");
    expect_no_child();
    target_free(&target);
    close(fd);
}

/* The stand-in for a wrong password: a server that wants SASL, which no waiting cures. */
static pid_t start_sasl_server(int fd)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            int client = accept(fd, NULL, NULL);
            char byte;

            if (read(client, &byte, 1) == 1 && write(client, "\x03\x00\x00\x00\x00", 5) == 5)
                usleep(20000);
            close(client);
        }
    }
    return pid;
}

Test(wait, a_fatal_answer_ends_it_after_its_grace)
{
    struct changes changes = {.listen_fd = -1};
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    uint16_t port;
    int fd = bound(&port);
    int64_t started_ms = clock_ms();
    pid_t server;

    cr_assert_eq(listen(fd, 8), 0);
    server = start_sasl_server(fd);
    options.fatal_grace_ms = 300;
    options.changed = note;
    options.context = &changes;
    target = target_at("thrift://", port);
    cr_expect_eq(wait_for_targets(&target, 1, &options, &err), -1);
    cr_expect_eq(err.status, EXIT_CONFIG);
    cr_expect_neq(strstr(err.message, "SASL"), NULL, "%s", err.message);
    cr_expect_geq(clock_ms() - started_ms, 300);
    cr_expect_eq(changes.count, 1);
    cr_expect_eq(changes.seen[0].state, CHECK_FATAL);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    expect_no_child();
    target_free(&target);
    close(fd);
}

Test(wait, a_refused_login_that_may_lock_an_account_has_no_grace)
{
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    uint16_t port;
    int fd = bound(&port);
    pid_t server;

    cr_assert_eq(listen(fd, 8), 0);
    server = start_sasl_server(fd);
    options.timeout_ms = 20000;
    target = target_at("hive2://u@", port);
    cr_assert_eq(target_set_login(&target, NULL, "wrong"), 0);
    cr_expect_eq(wait_for_targets(&target, 1, &options, &err), -1);
    cr_expect_eq(err.status, EXIT_REFUSED, "%s", err.message);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    target_free(&target);
    close(fd);
}

/* ---- what refused is given something new ---- */

static unsigned refreshes;

static bool find_nothing_new(void *context)
{
    (void)context;
    refreshes++;
    return false;
}

/* The first time a port where somebody is ready. */
static bool find_another_port(void *context)
{
    struct target *target = context;
    struct target fresh = target_at("tcp://", target->hosts[1].port);
    bool changed = target_replace(target, &fresh);

    target_free(&fresh);
    refreshes++;
    return changed;
}

static void refuse_and_refresh(bool (*refresh)(void *), int want_status, unsigned want_refreshes)
{
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    uint16_t port, open_port;
    int fd = bound(&port), open_fd = bound(&open_port);
    pid_t server;
    int result;

    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(listen(open_fd, 8), 0);
    server = start_sasl_server(fd);
    target = target_at("thrift://", port);
    target.hosts[1].port = open_port; /* not one of its hosts: only kept there */
    options.fatal_grace_ms = 7000;
    options.refresh = refresh;
    options.context = &target;
    result = wait_for_targets(&target, 1, &options, &err);
    cr_expect_eq(result < 0 ? (int)err.status : 0, want_status, "%s", err.message);
    cr_expect_eq(refreshes, want_refreshes, "%u", refreshes);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    target_free(&target);
    close(fd);
    close(open_fd);
}

Test(wait, asks_for_new_secrets_before_it_asks_again_what_refused)
{
    refuse_and_refresh(find_nothing_new, EXIT_CONFIG, 1);
}

Test(wait, what_refused_is_asked_again_with_what_is_new)
{
    refuse_and_refresh(find_another_port, 0, 1);
}

Test(wait, sees_a_port_that_is_opened_here_without_a_connection)
{
    uint16_t port;
    int fd = bound(&port);

    cr_expect_not(ports_is_open(port), "bound, but nobody listens");
    cr_assert_eq(listen(fd, 1), 0);
    cr_expect(ports_is_open(port));
    close(fd);
    cr_expect_not(ports_is_open(port));
}

static void cancel_in(int fd, useconds_t us)
{
    if (fork() == 0) {
        usleep(us);
        _exit(write(fd, "x", 1) == 1 ? 0 : 1);
    }
}

Test(wait, is_cancelled_in_the_middle_of_a_try)
{
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    int cancel[2], fd;
    uint16_t port;

    fd = bound(&port);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(pipe(cancel), 0);
    options.cancel_fd = cancel[0];
    options.try_timeout_ms = 60000;
    target = target_at("thrift://", port);
    cancel_in(cancel[1], 200000);
    cr_expect_eq(wait_for_targets(&target, 1, &options, &err), -1);
    cr_expect_eq(err.status, EXIT_SIGNAL_BASE + SIGTERM);
    cr_expect_gt(waitpid(-1, NULL, 0), 0, "the canceller");
    expect_no_child();
    target_free(&target);
    close(cancel[0]);
    close(cancel[1]);
    close(fd);
}

/* A helper whose check ignores its deadline, as DNS can, is stopped from outside: the signal stands
 * in for that. */
Test(wait, a_try_that_hangs_past_its_deadline_is_killed)
{
    struct wait_options options = patient;
    struct err err = {.message = ""};
    struct target target;
    pid_t stopper, self = getpid();
    uint16_t port;
    int fd = bound(&port);

    cr_assert_eq(listen(fd, 8), 0);
    options.try_timeout_ms = 300;
    options.timeout_ms = 1200;
    target = target_at("thrift://", port);
    stopper = fork();
    if (stopper == 0) {
        char command[128], path[64];
        int pid = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", self, self);
        usleep(100000);
        FILE *file = fopen(path, "r");
        while (file && fscanf(file, "%127s", command) == 1)
            if (sscanf(command, "%d", &pid) == 1 && pid != getpid())
                (void)kill(pid, SIGSTOP);
        _exit(0);
    }
    cr_expect_eq(wait_for_targets(&target, 1, &options, &err), -1);
    cr_expect_eq(waitpid(stopper, NULL, 0), stopper);
    expect_no_child();
    cr_expect_eq(err.status, EXIT_UNAVAILABLE);
    target_free(&target);
    close(fd);
}

Test(wait, tries_do_not_inherit_blocked_signals)
{
    struct err err = {.message = ""};
    struct target target;
    sigset_t all;
    uint16_t port;
    int fd = bound(&port);

    cr_assert_eq(listen(fd, 4), 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    target = target_at("tcp://", port);
    cr_expect_eq(wait_for_targets(&target, 1, &patient, &err), 0, "%s", err.message);
    expect_no_child();
    target_free(&target);
    close(fd);
}
