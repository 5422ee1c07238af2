#include "common/buf.h"
#include "common/fd.h"
#include "probes/server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct snapshot *snapshot;
static struct server *server;
static int listen_fd;
static uint16_t port;

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address;
    socklen_t size = sizeof(address);

    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin6_port);
}

static void start(void)
{
    struct err err = {0};

    snapshot = snapshot_new("metastore");
    cr_assert_not_null(snapshot);
    listen_fd = server_listen(0, &err);
    cr_assert_geq(listen_fd, 0, "%s", err.message);
    port = port_of(listen_fd);
    cr_assert_eq(server_start(snapshot, listen_fd, &server, &err), 0, "%s", err.message);
}

static void stop(void)
{
    server_stop(server);
    fd_close(&listen_fd);
}

TestSuite(server, .init = start, .fini = stop, .timeout = 30);

static int dial_from(in_addr_t client)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(client)};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&source, sizeof(source)), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int dial(void)
{
    return dial_from(INADDR_LOOPBACK);
}

/* Send bytes as they are and read until the server closes. */
static void exchange(const char *bytes, struct buf *ret)
{
    FD_AUTO fd = dial();

    cr_assert_eq(fd_write_all(fd, bytes, strlen(bytes)), 0);
    cr_assert_eq(fd_read_all(fd, ret), 0);
}

/* One request; ret is the whole answer, its body is returned. */
static const char *ask(const char *method, const char *path, struct buf *ret)
{
    char request[256];
    const char *end;

    (void)snprintf(request, sizeof(request),
                   "%s %s HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n", method, path);
    buf_clear(ret);
    exchange(request, ret);
    end = strstr(buf_str(ret), "\r\n\r\n");
    cr_assert_not_null(end, "%s", buf_str(ret));
    return end + 4;
}

static int status_of(const struct buf *answer)
{
    int status = 0;

    cr_assert_eq(sscanf(buf_str(answer), "HTTP/1.1 %d ", &status), 1, "%s", buf_str(answer));
    return status;
}

static bool has_header(const struct buf *answer, const char *header)
{
    const char *found = strcasestr(buf_str(answer), header);

    return found && found < strstr(buf_str(answer), "\r\n\r\n");
}

static void put(enum snapshot_check check, enum check_state state, const char *reason)
{
    struct check_result result = {.state = state};

    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    snapshot_put_result(snapshot, check, &result);
}

Test(server, a_probe_answers_ok_or_the_reason_on_one_line)
{
    BUF_AUTO answer = BUF_INIT(65536);

    cr_expect_str_eq(ask("GET", "/livez", &answer), "ok\n");
    cr_expect_eq(status_of(&answer), 200);
    cr_expect_str_eq(ask("GET", "/readyz", &answer), "rendering\n");
    cr_expect_eq(status_of(&answer), 503);
    cr_expect_str_eq(ask("GET", "/startupz", &answer), "rendering\n");
    cr_expect_eq(status_of(&answer), 503);

    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(SNAPSHOT_USABLE, CHECK_RETRY, "timed out after 5.0s");
    cr_expect_str_eq(ask("GET", "/readyz", &answer), "usable: timed out after 5.0s\n");
    cr_expect_eq(status_of(&answer), 503);
    put(SNAPSHOT_USABLE, CHECK_READY, "default");
    cr_expect_str_eq(ask("GET", "/readyz", &answer), "ok\n");
    cr_expect_eq(status_of(&answer), 200);
}

Test(server, verbose_lists_the_checks_that_count)
{
    BUF_AUTO answer = BUF_INIT(65536);

    cr_expect_str_eq(ask("GET", "/readyz?verbose", &answer),
                     "[-]phase failed: rendering\nreadyz check failed\n");
    cr_expect_eq(status_of(&answer), 503);

    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(SNAPSHOT_ALIVE, CHECK_READY, "ALIVE");
    put(SNAPSHOT_USABLE, CHECK_RETRY, "connection refused");
    cr_expect_str_eq(ask("GET", "/readyz?verbose", &answer),
                     "[+]phase ok\n[+]alive ok\n[-]usable failed: connection refused\n"
                     "readyz check failed\n");
    cr_expect_eq(status_of(&answer), 503);
    cr_expect_str_eq(ask("GET", "/livez?verbose=1", &answer),
                     "[+]phase ok\n[+]alive ok\nlivez check passed\n");
    cr_expect_eq(status_of(&answer), 200);
    cr_expect_str_eq(ask("GET", "/startupz?a=b&verbose", &answer),
                     "[+]phase ok\nstartupz check passed\n");
}

Test(server, a_head_request_gets_the_header_of_a_get_and_no_body)
{
    BUF_AUTO answer = BUF_INIT(65536);

    cr_expect_str_eq(ask("HEAD", "/livez", &answer), "");
    cr_expect_eq(status_of(&answer), 200);
    cr_expect(has_header(&answer, "\r\nContent-Length: 3\r\n"), "%s", buf_str(&answer));
    cr_expect_str_eq(ask("HEAD", "/readyz", &answer), "");
    cr_expect_eq(status_of(&answer), 503);
}

Test(server, other_methods_are_refused_with_those_allowed)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"};
    BUF_AUTO answer = BUF_INIT(65536);

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        (void)ask(methods[i], "/livez", &answer);
        cr_expect_eq(status_of(&answer), 405, "%s", methods[i]);
        cr_expect(has_header(&answer, "\r\nAllow: GET, HEAD\r\n"), "%s", buf_str(&answer));
    }
}

Test(server, a_request_with_a_body_is_answered_and_the_connection_goes_on)
{
    BUF_AUTO answer = BUF_INIT(65536);

    exchange("POST /livez HTTP/1.1\r\nHost: pod\r\nContent-Length: 5\r\n\r\nhello"
             "GET /livez HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n",
             &answer);
    cr_expect_eq(status_of(&answer), 405);
    cr_expect_not_null(strstr(buf_str(&answer), "HTTP/1.1 200 "), "%s", buf_str(&answer));
}

Test(server, an_unknown_path_is_not_found)
{
    static const char *const paths[] = {"/livez/", "/LIVEZ", "/nothing", "/../livez", "//"};
    BUF_AUTO answer = BUF_INIT(65536);

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)ask("GET", paths[i], &answer);
        cr_expect_eq(status_of(&answer), 404, "%s", paths[i]);
    }
}

Test(server, every_answer_has_its_type_is_not_stored_and_names_no_server)
{
    static const struct {
        const char *path, *type;
    } pages[] = {
        {"/", "text/html; charset=utf-8"},
        {"/livez", "text/plain"},
        {"/readyz", "text/plain"},
        {"/status", "application/json"},
        {"/metrics", "text/plain; version=0.0.4"},
        {"/nothing", "text/plain"},
    };
    BUF_AUTO answer = BUF_INIT(65536);
    char type[128];

    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        (void)ask("GET", pages[i].path, &answer);
        (void)snprintf(type, sizeof(type), "\r\nContent-Type: %s", pages[i].type);
        cr_expect(has_header(&answer, type), "%s: %s", pages[i].path, buf_str(&answer));
        cr_expect(has_header(&answer, "\r\nCache-Control: no-store\r\n"), "%s", pages[i].path);
        cr_expect_not(has_header(&answer, "\r\nServer:"), "%s", pages[i].path);
    }
}

Test(server, status_and_metrics_show_the_snapshot)
{
    BUF_AUTO answer = BUF_INIT(65536);

    cr_expect_not_null(strstr(ask("GET", "/status", &answer), "\"role\": \"metastore\""));
    cr_expect_not_null(
        strstr(ask("GET", "/metrics", &answer), "\nsparkpod_phase{phase=\"rendering\"} 1\n"));
}

Test(server, the_page_may_use_its_own_style_sheet_and_nothing_else)
{
    BUF_AUTO answer = BUF_INIT(65536);
    char nonces[2][33], style[64];

    for (int i = 0; i < 2; i++) {
        const char *body = ask("GET", "/", &answer);
        const char *policy = strstr(buf_str(&answer), "\r\nContent-Security-Policy: default-src "
                                                      "'none'; style-src 'nonce-");

        cr_assert_not_null(policy, "%s", buf_str(&answer));
        cr_assert_eq(sscanf(strstr(policy, "nonce-"), "nonce-%32[0-9a-f]'", nonces[i]), 1);
        cr_expect_eq(strlen(nonces[i]), 32);
        (void)snprintf(style, sizeof(style), "<style nonce=\"%s\">", nonces[i]);
        cr_expect_not_null(strstr(body, style));
    }
    cr_expect_str_neq(nonces[0], nonces[1]);
    (void)ask("GET", "/status", &answer);
    cr_expect_not(has_header(&answer, "\r\nContent-Security-Policy:"));
    cr_expect(has_header(&answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
}

Test(server, nonsense_does_not_end_it)
{
    static const char *const requests[] = {
        "\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x01\x01", "GET /livez HTTP/9.9\r\n\r\n",
        "GET /%00%ff?verbose=%0d%0a HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"};
    BUF_AUTO answer = BUF_INIT(65536);

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        FD_AUTO fd = dial();

        cr_assert_eq(fd_write_all(fd, requests[i], strlen(requests[i])), 0);
    }
    cr_expect_str_eq(ask("GET", "/livez", &answer), "ok\n");
}

Test(server, a_client_that_opens_many_connections_does_not_keep_others_out)
{
    BUF_AUTO answer = BUF_INIT(65536);
    int fds[200], refused = 0;
    char byte;

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        fds[i] = dial_from(INADDR_LOOPBACK + 1);
    cr_expect_str_eq(ask("GET", "/livez", &answer), "ok\n");
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        refused += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
        fd_close(&fds[i]);
    }
    cr_expect_gt(refused, 0);
    cr_expect_lt(refused, 200);
}

/* One request on a connection that stays open. */
static bool is_answered(int fd)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: pod\r\n\r\n";
    char answer[1024];
    ssize_t got;

    return send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 &&
           (got = recv(fd, answer, sizeof(answer) - 1, 0)) > 0 &&
           (answer[got] = '\0', strstr(answer, " 200 ")) != NULL;
}

Test(server, a_kept_connection_outlives_a_hog_of_another_address)
{
    FD_AUTO kept = dial();
    int hog[300];

    cr_assert(is_answered(kept));
    for (size_t i = 0; i < sizeof(hog) / sizeof(hog[0]); i++)
        hog[i] = dial_from(INADDR_LOOPBACK + 1);
    cr_expect(is_answered(kept));
    for (size_t i = 0; i < sizeof(hog) / sizeof(hog[0]); i++)
        fd_close(&hog[i]);
}

Test(server, among_connections_of_one_address_the_one_that_waits_longest_goes)
{
    int fds[129]; /* one more than there may be */
    BUF_AUTO answer = BUF_INIT(65536);

    for (size_t i = 0; i < 128; i++) {
        fds[i] = dial();
        cr_assert(is_answered(fds[i]));
        (void)usleep(2000);
    }
    cr_expect(is_answered(fds[0]), "the oldest connection, but not the one that waits longest");
    fds[128] = dial();
    cr_expect(is_answered(fds[128]));
    cr_expect_not(is_answered(fds[1]));
    cr_expect(is_answered(fds[0]));
    cr_expect(is_answered(fds[2]));
    for (size_t i = 0; i < 129; i++)
        fd_close(&fds[i]);
}

Test(server, its_thread_looks_for_work_even_when_nobody_asks)
{
    unsigned before = server_passes(server);

    (void)usleep(2500000);
    cr_expect_geq(server_passes(server) - before, 2);
}

Test(server, a_header_beyond_the_limit_is_refused)
{
    BUF_AUTO request = BUF_INIT(65536);
    BUF_AUTO answer = BUF_INIT(65536);

    (void)buf_add_str(&request, "GET /livez HTTP/1.1\r\nX: ");
    for (int i = 0; i < 20000; i++)
        (void)buf_add_char(&request, 'x');
    (void)buf_add_str(&request, "\r\n\r\n");
    {
        FD_AUTO fd = dial();

        (void)fd_write_all(fd, request.data, request.len);
        (void)fd_read_all(fd, &answer);
    }
    cr_expect_null(strstr(buf_str(&answer), " 200 "), "%s", buf_str(&answer));
    buf_clear(&answer);
    cr_expect_str_eq(ask("GET", "/livez", &answer), "ok\n");
}

Test(server, the_next_server_takes_the_socket_over)
{
    BUF_AUTO answer = BUF_INIT(65536);
    struct err err = {0};

    server_stop(server);
    server = NULL;
    cr_assert_eq(server_start(snapshot, listen_fd, &server, &err), 0, "%s", err.message);
    cr_expect_str_eq(ask("GET", "/livez", &answer), "ok\n");
}

Test(server, a_port_that_is_taken_is_an_error_that_names_the_setting)
{
    char text[32];
    struct err err = {0};

    cr_assert_eq(server_listen(port, &err), -1);
    cr_expect_eq(err.status, EXIT_CONFIG);
    (void)snprintf(text, sizeof(text), "port %u ", (unsigned)port);
    cr_expect_not_null(strstr(err.message, text), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "health.port"), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "SPARKPOD_HEALTH_PORT"), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "Address already in use"), "%s", err.message);
}

Test(server, the_listening_socket_is_close_on_exec_and_does_not_block)
{
    cr_expect(fcntl(listen_fd, F_GETFD) & FD_CLOEXEC);
    cr_expect(fcntl(listen_fd, F_GETFL) & O_NONBLOCK);
}
