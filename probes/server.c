#include "probes/server.h"

#include "common/clock.h"
#include "common/fd.h"
#include "probes/answer.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 128
#define REQUEST_MS 10000
#define REQUEST_MEMORY_BYTES                                                                       \
    ((size_t)16 * 1024)     /* of each connection: header and answer's header */
#define ACCEPTED_AT_ONCE 16 /* then those that sent something are answered */
#define PASS_MS 1000
#define NO_DESCRIPTOR_MS 100

struct connection {
    int fd; /* libmicrohttpd's; -1: none */
    struct in6_addr peer;
    int peers;        /* how many connections that peer has */
    int64_t since_ms; /* accepted, or the last answer sent */
};

struct server {
    const struct snapshot *snapshot;
    int listen_fd, stop_fd;
    pthread_t thread;
    atomic_uint passes;
    struct MHD_Daemon *http;
    struct connection connections[MAX_CONNECTIONS];
    struct connection *accepted; /* the one that is being handed to libmicrohttpd */
};

static int open_listener(const void *address, socklen_t size)
{
    const int on = 1, off = 0;
    int family = ((const struct sockaddr *)address)->sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* REUSEADDR: a restarted container must not trip over connections in TIME_WAIT. */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) &&
        bind(fd, address, size) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    fd_close(&fd);
    return -1;
}

int server_listen(uint16_t port, struct err *err)
{
    const struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = open_listener(&any6, sizeof(any6));

    /* Without IPv6 in the kernel, or with it switched off by sysctl. */
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
        fd = open_listener(&any4, sizeof(any4));
    if (fd < 0)
        return err_set_errno(err, EXIT_CONFIG,
                             "port %u for the health server (health.port, SPARKPOD_HEALTH_PORT)",
                             (unsigned)port);
    return fd;
}

/* ---- connections ---- */

/* The oldest connection of the peer that has most. */
static struct connection *find_victim(struct server *server)
{
    struct connection *victim = &server->connections[0];

    for (int i = 1; i < MAX_CONNECTIONS; i++) {
        struct connection *one = &server->connections[i];

        if (one->peers > victim->peers ||
            (one->peers == victim->peers && one->since_ms < victim->since_ms))
            victim = one;
    }
    return victim;
}

/* change is 1 for a connection that is new in the table, -1 for one that was just taken out. */
static void count_peers(struct server *server, struct connection *changed, int change)
{
    changed->peers = 0;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *one = &server->connections[i];

        if (one->fd < 0 || !IN6_ARE_ADDR_EQUAL(&one->peer, &changed->peer))
            continue;
        changed->peers++;
        if (one != changed)
            one->peers += change;
    }
}

static struct connection *find_free(struct server *server)
{
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (server->connections[i].fd < 0)
            return &server->connections[i];
    return NULL;
}

/* Whoever is new has a question: the one that waits longest has to go, not they. */
static struct connection *make_room(struct server *server)
{
    struct connection *place = find_free(server);

    if (place)
        return place;
    (void)shutdown(find_victim(server)->fd, SHUT_RDWR);
    (void)MHD_run(server->http); /* closes it */
    return find_free(server);
}

static void take_peer(const struct sockaddr_storage *address, struct in6_addr *ret)
{
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;

    if (address->ss_family == AF_INET6) {
        *ret = ((const struct sockaddr_in6 *)address)->sin6_addr;
        return;
    }
    *ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ret->s6_addr[12], &ipv4->sin_addr, sizeof(ipv4->sin_addr));
}

static void accept_some(struct server *server)
{
    for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        int fd = accept4(server->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
            (void)poll(NULL, 0, NO_DESCRIPTOR_MS);
        if (fd < 0)
            return;
        server->accepted = make_room(server);
        if (!server->accepted) {
            (void)close(fd);
            return;
        }
        *server->accepted = (struct connection){.fd = fd, .since_ms = clock_ms()};
        take_peer(&address, &server->accepted->peer);
        if (MHD_add_connection(server->http, fd, (struct sockaddr *)&address, size) != MHD_YES)
            server->accepted->fd = -1; /* closed there */
    }
}

/* Idle, or a byte a second, or reading the answer as slowly: all the same. */
static void end_late(struct server *server)
{
    int64_t late_ms = clock_ms() - REQUEST_MS;

    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (server->connections[i].fd >= 0 && server->connections[i].since_ms <= late_ms)
            (void)shutdown(server->connections[i].fd, SHUT_RDWR);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **place,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = context;
    struct connection *one;

    (void)connection;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *place = server->accepted;
        count_peers(server, server->accepted, 1);
    } else {
        one = *place;
        one->fd = -1;
        count_peers(server, one, -1);
    }
}

static void on_answered(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode why)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *place = info->socket_context;

    (void)context;
    (void)request;
    (void)why;
    place->since_ms = clock_ms();
}

/* libmicrohttpd calls this once for the header, then for each piece of a request's body, and a last
 * time with none: only then is it answered, whatever the method, so that connections stay usable.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request)
{
    static char header_seen;
    struct server *server = context;

    (void)version;
    (void)upload;
    if (!*request) {
        *request = &header_seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    return answer_request(server->snapshot, connection, path, method);
}

/* ---- the thread ---- */

static int poll_timeout(struct server *server)
{
    MHD_UNSIGNED_LONG_LONG pending_ms;

    if (MHD_get_timeout(server->http, &pending_ms) == MHD_YES && pending_ms < PASS_MS)
        return (int)pending_ms;
    return PASS_MS;
}

static void *serve(void *context)
{
    struct server *server = context;
    struct pollfd fds[] = {
        {.fd = server->listen_fd, .events = POLLIN},
        {.fd = MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
         .events = POLLIN},
        {.fd = server->stop_fd, .events = POLLIN},
    };

    while (!fds[2].revents) {
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), poll_timeout(server)) < 0 && errno != EINTR)
            break;
        if (fds[0].revents & ~POLLIN)
            break;
        if (fds[0].revents)
            accept_some(server);
        if (MHD_run(server->http) != MHD_YES)
            break;
        end_late(server);
        atomic_fetch_add(&server->passes, 1);
    }
    return NULL;
}

static struct MHD_Daemon *start_http(struct server *server)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request,
                            server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MEMORY_BYTES,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                            MHD_OPTION_NOTIFY_COMPLETED, on_answered, NULL, MHD_OPTION_END);
}

int server_start(const struct snapshot *snapshot, int listen_fd, struct server **ret,
                 struct err *err)
{
    struct server *server = calloc(1, sizeof(*server));

    if (!server)
        return err_no_memory(err);
    server->snapshot = snapshot;
    server->listen_fd = listen_fd;
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        server->connections[i].fd = -1;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    server->http = start_http(server);
    if (server->stop_fd >= 0 && server->http &&
        pthread_create(&server->thread, NULL, serve, server) == 0) {
        *ret = server;
        return 0;
    }
    MHD_stop_daemon(server->http);
    fd_close(&server->stop_fd);
    free(server);
    return err_set(err, EXIT_INTERNAL, "the health server did not start");
}

unsigned server_passes(const struct server *server)
{
    return atomic_load(&server->passes);
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    (void)eventfd_write(server->stop_fd, 1);
    (void)pthread_join(server->thread, NULL);
    MHD_stop_daemon(server->http);
    fd_close(&server->stop_fd);
    free(server);
}
