#include "common/clock.h"
#include "probes/check.h"
#include "probes/thrift.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOMENT_MS 300
#define LONG_MS 20000
#define BYTES(literal) (literal), sizeof(literal) - 1
#define GET_STATUS "\x00\x00\x00\x09getStatus"
#define DATABASE                                                                                   \
    "\x80\x01\x00\x02\x00\x00\x00\x0cget_database\x00\x00\x00\x02"                                 \
    "\x0c\x00\x00\x0b\x00\x01\x00\x00\x00\x07"                                                     \
    "default\x00\x00"
#define NO_POOL                                                                                    \
    "\x80\x01\x00\x02\x00\x00\x00\x0cget_database\x00\x00\x00\x02"                                 \
    "\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x07no pool\x00\x00"
#define GUID "0123456789abcdef"
#define SESSION                                                                                    \
    "\x80\x01\x00\x02\x00\x00\x00\x0bOpenSession\x00\x00\x00\x01"                                  \
    "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00\x0c\x00\x03\x0c\x00\x01"             \
    "\x0b\x00\x01\x00\x00\x00\x10" GUID "\x0b\x00\x02\x00\x00\x00\x10" GUID "\x00\x00\x00\x00"
#define ALIVE "\x08\x00\x00\x00\x00\x00\x02\x00"

/* ---- a stand-in server: what it answers to each read, connection by connection ---- */

struct stand_in {
    int fd;
    uint16_t port;
    pthread_t thread;
    unsigned connections; /* to serve, then it ends */
    unsigned answers;     /* to give per connection, before it is closed */
    const char *answer;   /* the last byte before ALIVE counts up where seqid_at says so */
    size_t len, seqid_at; /* 0: the answer is the same each time */
    const char *second;   /* given from the second answer of a connection on; NULL: the same */
    size_t second_len;
    bool by_byte;      /* each byte of an answer is sent alone */
    unsigned delay_ms; /* before the first answer of a connection */
    unsigned served;
    char last[4096];
    size_t last_len;
};

static int listen_at(uint16_t *ret_port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int send_answer(const struct stand_in *server, int fd, const char *answer, size_t len)
{
    size_t step = server->by_byte ? 1 : len;

    for (size_t at = 0; at < len; at += step) {
        if (server->by_byte)
            usleep(500);
        if (write(fd, answer + at, step) < 0)
            return -1;
    }
    return 0;
}

static void serve_one(struct stand_in *server, int fd)
{
    char answer[4096];
    ssize_t got;

    memcpy(answer, server->answer, server->len);
    for (unsigned i = 0; i < server->answers; i++) {
        bool second = i > 0 && server->second;

        got = read(fd, server->last, sizeof(server->last));
        if (got <= 0)
            return;
        server->last_len = (size_t)got;
        if (i == 0)
            usleep(server->delay_ms * 1000);
        if (server->seqid_at)
            answer[server->seqid_at] = (char)(i + 1);
        if (send_answer(server, fd, second ? server->second : answer,
                        second ? server->second_len : server->len) < 0)
            return;
        server->served++;
    }
}

static void *serve(void *context)
{
    struct stand_in *server = context;

    for (unsigned i = 0; i < server->connections; i++) {
        int fd = accept(server->fd, NULL, NULL);

        serve_one(server, fd);
        close(fd);
    }
    return NULL;
}

static void start(struct stand_in *server)
{
    server->fd = listen_at(&server->port, 8);
    cr_assert_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct stand_in *server)
{
    pthread_join(server->thread, NULL);
    close(server->fd);
}

static struct target target_at(const char *scheme, uint16_t port, const char *rest)
{
    struct err err = {.message = ""};
    struct target target;
    char url[128];

    (void)snprintf(url, sizeof(url), "%s127.0.0.1:%u%s", scheme, port, rest);
    cr_assert_eq(target_parse(url, &target, &err), 0, "%s", err.message);
    return target;
}

static struct check_result check(const char *scheme, uint16_t port, const char *rest,
                                 int64_t timeout_ms)
{
    TARGET_AUTO target = target_at(scheme, port, rest);
    struct check_result result;

    check_target(&target, clock_ms() + timeout_ms, &result);
    return result;
}

static void expect(struct check_result result, enum check_state state, enum exit_status status,
                   const char *reason)
{
    cr_expect_eq(result.state, state, "%d: %s", result.state, result.reason);
    cr_expect_eq(result.status, status, "%d: %s", result.status, result.reason);
    cr_expect_neq(strstr(result.reason, reason), NULL, "%s", result.reason);
    cr_expect_gt(result.latency_us, 0);
}

/* ---- connections ---- */

static uint16_t closed_port(void)
{
    uint16_t port;

    close(listen_at(&port, 1));
    return port;
}

Test(check, a_closed_port_is_refused_for_every_kind_of_target)
{
    static const char *const schemes[] = {"tcp://", "thrift://", "hive2://", "http://",
                                          "postgres://u@"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        expect(check(schemes[i], closed_port(), "", LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE,
               "connection refused");
}

Test(check, a_port_that_accepts_is_open)
{
    uint16_t port;
    int fd = listen_at(&port, 1);

    expect(check("tcp://", port, "", LONG_MS), CHECK_READY, EXIT_DONE, "is open");
    close(fd);
}

Test(check, a_name_that_does_not_resolve_is_named)
{
    TARGET_AUTO target;
    struct check_result result;

    cr_assert_eq(target_parse("thrift://no-such-host.invalid", &target, NULL), 0);
    check_target(&target, clock_ms() + LONG_MS, &result);
    expect(result, CHECK_RETRY, EXIT_UNAVAILABLE, "cannot resolve no-such-host.invalid");
}

/* libcurl asks the resolver in a thread of its own; this one answers when it is told to. */
static sem_t answered;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (name && strcmp(name, "hangs.invalid") == 0) {
        (void)sem_wait(&answered);
        return EAI_AGAIN;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, ret);
}

Test(check, a_resolver_that_hangs_is_not_waited_for_past_the_deadline, .timeout = 60)
{
    TARGET_AUTO target;
    struct check_result result;

    cr_assert_eq(sem_init(&answered, 0, 0), 0);
    cr_assert_eq(target_parse("thrift://hangs.invalid", &target, NULL), 0);
    check_target(&target, clock_ms() + MOMENT_MS, &result);
    expect(result, CHECK_RETRY, EXIT_UNAVAILABLE, "timed out after");
    cr_assert_eq(sem_post(&answered), 0);
}

/* Linux drops the SYN of a connection that the accept queue has no room for. */
Test(check, a_black_hole_times_out)
{
    uint16_t port;
    int fd = listen_at(&port, 0), fill[4];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    address.sin_port = htons(port);
    for (size_t i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&address, sizeof(address));
    }
    usleep(50000);
    expect(check("tcp://", port, "", MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "timed out after");
    for (size_t i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
}

Test(check, a_server_that_accepts_and_is_silent_times_out)
{
    static const char *const schemes[] = {"thrift://", "hive2://", "http://", "postgres://u@"};
    uint16_t port;
    int fd = listen_at(&port, 16);

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        expect(check(schemes[i], port, "", MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE,
               "timed out after");
    close(fd);
}

/* ---- what servers say ---- */

static struct check_result check_against(const char *scheme, const char *rest, const char *answer,
                                         size_t len)
{
    struct stand_in server = {.connections = 1, .answers = 1, .answer = answer, .len = len};
    struct check_result result;

    start(&server);
    result = check(scheme, server.port, rest, LONG_MS);
    stop(&server);
    return result;
}

static struct check_result check_metastore_against(const char *second, size_t len, bool by_byte)
{
    struct stand_in server = {
        .connections = 1,
        .answers = 2,
        .answer = "\x80\x01\x00\x02" GET_STATUS "\x00\x00\x00\x01" ALIVE,
        .len = 29,
        .second = second,
        .second_len = len,
        .by_byte = by_byte,
    };
    struct check_result result;

    start(&server);
    result = check("thrift://", server.port, "", LONG_MS);
    stop(&server);
    return result;
}

Test(check, a_metastore_is_ready_once_its_database_answers_too)
{
    expect(check_metastore_against(BYTES(DATABASE), false), CHECK_READY, EXIT_DONE,
           "its database answers");
}

Test(check, answers_may_come_byte_by_byte)
{
    expect(check_metastore_against(BYTES(DATABASE), true), CHECK_READY, EXIT_DONE,
           "its database answers");
}

Test(check, a_metaexception_is_a_failure_though_it_comes_as_a_reply)
{
    expect(check_metastore_against(BYTES(NO_POOL), false), CHECK_RETRY, EXIT_UNAVAILABLE,
           "MetaException: no pool");
}

Test(check, another_protocol_is_named_and_fatal)
{
    expect(check_against("thrift://", "", BYTES("\x03\x00\x00\x00\x13Invalid status -128")),
           CHECK_FATAL, EXIT_CONFIG, "SASL");
    expect(check_against("thrift://", "", BYTES("\x15\x03\x03\x00\x02\x02\x46")), CHECK_FATAL,
           EXIT_CONFIG, "speaks TLS");
    expect(check_against("thrift://", "", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n")), CHECK_FATAL,
           EXIT_CONFIG, "speaks HTTP");
    expect(check_against("hive2://", "", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n")), CHECK_FATAL,
           EXIT_CONFIG, "speaks HTTP");
}

Test(check, nonsense_may_pass)
{
    expect(check_against("thrift://", "", BYTES("\x7fwhat?")), CHECK_RETRY, EXIT_UNAVAILABLE,
           "not Thrift");
    expect(check_against("thrift://", "", BYTES("")), CHECK_RETRY, EXIT_UNAVAILABLE,
           "connection closed");
}

Test(check, a_refused_login_is_fatal_and_its_text_is_one_line_of_ascii)
{
    expect(check_against("hive2://", "",
                         BYTES("\x03\x00\x00\x00\x0a"
                               "bad\nlog\xc3\xafn")),
           CHECK_FATAL, EXIT_REFUSED, "login refused for user probe: bad log??n");
}

Test(check, an_http_status_decides)
{
    expect(check_against("http://", "/x", BYTES("HTTP/1.0 204 No Content\r\n\r\n")), CHECK_READY,
           EXIT_DONE, "answered 204");
    expect(check_against("http://", "/x", BYTES("HTTP/1.0 302 Found\r\nLocation: /y\r\n\r\n")),
           CHECK_READY, EXIT_DONE, "answered 302");
    expect(check_against("http://", "/x", BYTES("HTTP/1.0 503 Busy\r\n\r\nsorry")), CHECK_RETRY,
           EXIT_UNAVAILABLE, "answered 503");
}

Test(check, any_status_will_do_where_asked)
{
    struct stand_in server = {
        .connections = 1, .answers = 1, .answer = "HTTP/1.0 401 No\r\n\r\n", .len = 19};
    struct check_result result;
    struct target target;

    start(&server);
    target = target_at("http://", server.port, "/");
    target.any_status = true;
    check_target(&target, clock_ms() + LONG_MS, &result);
    stop(&server);
    expect(result, CHECK_READY, EXIT_DONE, "answered 401");
    target_free(&target);
}

Test(check, one_of_several_hosts_is_enough)
{
    struct stand_in server = {
        .connections = 1,
        .answers = 2,
        .answer = "\x80\x01\x00\x02" GET_STATUS "\x00\x00\x00\x01" ALIVE,
        .len = 29,
        .second = DATABASE,
        .second_len = sizeof(DATABASE) - 1,
    };
    struct check_result result;
    TARGET_AUTO target;
    char url[128];

    start(&server);
    (void)snprintf(url, sizeof(url), "thrift://127.0.0.1:%u,127.0.0.1:%u", closed_port(),
                   server.port);
    cr_assert_eq(target_parse(url, &target, NULL), 0);
    check_target(&target, clock_ms() + LONG_MS, &result);
    stop(&server);
    expect(result, CHECK_READY, EXIT_DONE, "ALIVE");
}

Test(check, each_of_several_hosts_is_heard)
{
    struct check_result result;
    TARGET_AUTO target;
    char url[128];

    (void)snprintf(url, sizeof(url), "thrift://127.0.0.1:%u,localhost:%u", closed_port(),
                   closed_port());
    cr_assert_eq(target_parse(url, &target, NULL), 0);
    check_target(&target, clock_ms() + LONG_MS, &result);
    expect(result, CHECK_RETRY, EXIT_UNAVAILABLE,
           "127.0.0.1: connection refused; localhost: connection refused");
}

Test(check, accounts_that_can_be_locked_are_not_tried_without_a_login)
{
    uint16_t port;
    int fd = listen_at(&port, 4);
    struct check_result result;
    struct target target = target_at("hive2://", port, "");

    target.lockout = true;
    check_target(&target, clock_ms() + MOMENT_MS, &result);
    expect(result, CHECK_READY, EXIT_DONE, "is open");
    target_free(&target);
    close(fd);
}

/* ---- sessions ---- */

#define STATUS_SEQID_AT 20 /* version, length, "getStatus", three bytes */

static struct check_result ask(struct check_session *session, enum check_question question,
                               int64_t timeout_ms)
{
    struct check_result result;

    check_session_ask(session, question, clock_ms() + timeout_ms, &result);
    return result;
}

static struct stand_in metastore(unsigned connections, unsigned answers)
{
    return (struct stand_in){
        .connections = connections,
        .answers = answers,
        .answer = "\x80\x01\x00\x02" GET_STATUS "\x00\x00\x00\x01" ALIVE,
        .len = 29,
        .seqid_at = STATUS_SEQID_AT,
    };
}

Test(check, a_session_keeps_its_connection)
{
    struct stand_in server = metastore(1, 3);
    struct check_session *session;
    struct target target;

    start(&server);
    target = target_at("thrift://", server.port, "");
    session = check_session_new(&target);
    for (int i = 0; i < 3; i++)
        expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "ALIVE");
    cr_expect_eq(check_session_connects(session), 1);
    check_session_free(session);
    stop(&server);
    target_free(&target);
}

Test(check, a_session_opens_a_connection_that_has_ended_again)
{
    struct stand_in server = metastore(3, 1);
    struct check_session *session;
    struct target target;

    start(&server);
    target = target_at("thrift://", server.port, "");
    session = check_session_new(&target);
    for (unsigned i = 1; i <= 3; i++) {
        /* The stand-in counts from 1 on each connection, as a session does. */
        expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "ALIVE");
        cr_expect_eq(check_session_connects(session), i);
    }
    check_session_free(session);
    stop(&server);
    target_free(&target);
}

Test(check, a_late_answer_is_waited_for_and_not_asked_for_twice)
{
    struct stand_in server = metastore(1, 2);
    struct check_session *session;
    struct target target;

    server.delay_ms = 2 * MOMENT_MS;
    start(&server);
    target = target_at("thrift://", server.port, "");
    session = check_session_new(&target);
    expect(ask(session, CHECK_ALIVE, MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "timed out after");
    cr_expect_eq(server.served, 0);
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "ALIVE");
    cr_expect_eq(check_session_connects(session), 1);
    check_session_free(session);
    stop(&server);
    cr_expect_eq(server.served, 2);
    target_free(&target);
}

Test(check, a_session_goes_on_after_its_service_was_away)
{
    struct target target = target_at("thrift://", closed_port(), "");
    struct check_session *session = check_session_new(&target);
    struct stand_in server = metastore(1, 1);

    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    expect(ask(session, CHECK_USABLE, LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    cr_expect_eq(check_session_connects(session), 0);
    start(&server);
    target.hosts[0].port = server.port;
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "ALIVE");
    check_session_free(session);
    stop(&server);
    target_free(&target);
}

/* The quiet way of Spark 3.5: what is sent is a START with a mechanism nobody has. */
Test(check, a_new_connection_is_proved_by_an_unknown_mechanism)
{
    struct stand_in server = {
        .connections = 1, .answers = 1, .answer = "\x03\x00\x00\x00\x02no", .len = 7};
    struct check_session *session;
    struct target target;

    start(&server);
    target = target_at("hive2://", server.port, "");
    memcpy(target.version, "3.5.6", sizeof("3.5.6"));
    session = check_session_new(&target);
    expect(ask(session, CHECK_USABLE, LONG_MS), CHECK_READY, EXIT_DONE, "served");
    stop(&server);
    cr_expect_eq(server.last_len, 5 + server.last[4]);
    cr_expect_eq(server.last[0], 1);
    cr_expect_null(memmem(server.last, server.last_len, BYTES("PLAIN")));
    check_session_free(session);
    target_free(&target);
}

Test(check, a_refused_login_leaves_the_server_alive_and_is_not_repeated)
{
    struct stand_in server = {
        .connections = 2, .answers = 1, .answer = "\x03\x00\x00\x00\x02no", .len = 7};
    struct check_session *session;
    struct target target;

    start(&server);
    target = target_at("hive2://", server.port, "");
    session = check_session_new(&target);
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "login refused");
    cr_expect_eq(server.last_len, 27);
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "is open");
    stop(&server);
    cr_expect_eq(server.served, 1);
    check_session_free(session);
    target_free(&target);
}

/* A login, then GetInfo, which says which Spark it is. */
#define COMPLETE "\x05\x00\x00\x00\x00"
#define SPARK(version)                                                                             \
    "\x00\x00\x00\x33\x80\x01\x00\x02\x00\x00\x00\x07GetInfo\x00\x00\x00\x01"                      \
    "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00"                                     \
    "\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x05" version "\x00\x00\x00"

Test(check, the_version_that_getinfo_tells_decides_how_a_new_connection_is_tried)
{
    static const struct {
        const char *answer;
        unsigned char first;
        bool plain;
    } cases[] = {{SPARK("3.5.6"), 1, false}, {SPARK("4.3.0"), 1, true}};

    for (size_t i = 0; i < 2; i++) {
        struct stand_in server = {.connections = 2,
                                  .answers = 2,
                                  .answer = COMPLETE,
                                  .len = 5,
                                  .second = cases[i].answer,
                                  .second_len = sizeof(SPARK("3.5.6")) - 1};
        struct check_session *session;
        struct target target;

        start(&server);
        target = target_at("hive2://", server.port, "");
        session = check_session_new(&target);
        expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "Spark ");
        expect(ask(session, CHECK_USABLE, LONG_MS), CHECK_READY, EXIT_DONE, "served");
        cr_expect_eq(memmem(server.last, server.last_len, BYTES("PLAIN")) != NULL, cases[i].plain);
        check_session_free(session);
        stop(&server);
        target_free(&target);
    }
}

/* A stopped SparkContext: the port is closed, the kept connection goes on. */
Test(check, a_port_that_closed_fails_what_the_kept_connection_would_pass)
{
    struct stand_in server = {
        .connections = 3,
        .answers = 9,
        .answer = COMPLETE,
        .len = 5,
        .second = SPARK("3.5.6"),
        .second_len = sizeof(SPARK("3.5.6")) - 1,
    };
    struct check_session *session;
    struct target target;
    uint16_t open_port;

    start(&server);
    target = target_at("hive2://", server.port, "");
    open_port = server.port;
    session = check_session_new(&target);
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "Spark 3.5.6");
    target.hosts[0].port = closed_port();
    expect(ask(session, CHECK_USABLE, LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    target.hosts[0].port = open_port;
    expect(ask(session, CHECK_ALIVE, LONG_MS), CHECK_READY, EXIT_DONE, "Spark 3.5.6");
    check_session_free(session);
    stop(&server);
    target_free(&target);
}

Test(check, a_server_that_goes_in_the_middle_of_a_session_is_told)
{
    struct stand_in server = {
        .connections = 1, .answers = 1, .answer = SESSION, .len = sizeof(SESSION) - 1};
    struct check_result result;
    struct target target;

    start(&server);
    target = target_at("hive2://", server.port, "/;auth=noSasl");
    target.deep = true;
    check_target(&target, clock_ms() + LONG_MS, &result);
    expect(result, CHECK_RETRY, EXIT_UNAVAILABLE, "ExecuteStatement: connection closed");
    stop(&server);
    target_free(&target);
}

/* All workers taken, and no connection of ours among those that are served. */
Test(check, without_a_kept_connection_only_the_ui_tells_a_hang_from_a_crowd)
{
    uint16_t port;
    int fd = listen_at(&port, 4);
    struct target target = target_at("hive2://", port, "");
    struct check_session *session = check_session_new(&target);

    expect(ask(session, CHECK_ALIVE, MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "timed out");
    target.has_ui = true;
    expect(ask(session, CHECK_ALIVE, MOMENT_MS), CHECK_READY, EXIT_DONE, "left to the UI");
    expect(ask(session, CHECK_USABLE, MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "timed out");
    close(fd);
    target.hosts[0].port = closed_port();
    expect(ask(session, CHECK_ALIVE, MOMENT_MS), CHECK_RETRY, EXIT_UNAVAILABLE, "refused");
    check_session_free(session);
    target_free(&target);
}

Test(check, a_closed_nothing_is_closed)
{
    check_session_free(NULL);
}
