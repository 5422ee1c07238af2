#include "probes/transport.h"

#include "common/clock.h"
#include "common/http.h"

#include <poll.h>
#include <stdlib.h>

struct transport {
    CURL *curl;
    curl_socket_t socket;
    int64_t started_ms;
};

int transport_timed_out(int64_t started_ms, struct err *err)
{
    return http_failed(NULL, CURLE_OPERATION_TIMEDOUT, started_ms, err);
}

static int connect_by(struct transport *transport, const char *url, int64_t deadline_ms,
                      struct err *err)
{
    CURL *curl = transport->curl;
    CURLcode code;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, http_timeout_ms(deadline_ms));
    code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &transport->socket);
    return code == CURLE_OK ? 0 : http_failed(curl, code, transport->started_ms, err);
}

int transport_open(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                   struct transport **ret, struct err *err)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    BUF_AUTO url = BUF_INIT(16384);

    (void)target_put_url(target, host, &url);
    if (transport)
        transport->curl = http_handle_new(NULL, target->insecure);
    if (!transport || !transport->curl || buf_failed(&url)) {
        free(transport);
        return err_set(err, EXIT_INTERNAL, "out of memory");
    }
    transport->socket = CURL_SOCKET_BAD;
    transport->started_ms = clock_ms();
    if (connect_by(transport, buf_str(&url), deadline_ms, err) < 0) {
        transport_free(transport);
        return -1;
    }
    *ret = transport;
    return 0;
}

/* Wait until the socket is ready for events. false when the deadline passed. */
static bool await(const struct transport *transport, short events, int64_t deadline_ms)
{
    struct pollfd fd = {.fd = transport->socket, .events = events};
    int ready;

    do {
        ready = poll(&fd, 1, clock_left_ms(deadline_ms));
    } while (ready < 0 || (ready == 0 && clock_left_ms(deadline_ms) != 0));
    return ready > 0;
}

int transport_send(struct transport *transport, const void *data, size_t len, int64_t deadline_ms,
                   struct err *err)
{
    const char *p = data;
    int64_t started_ms = clock_ms();
    CURLcode code;
    size_t put;

    while (len) {
        put = 0;
        code = curl_easy_send(transport->curl, p, len, &put);
        if (code != CURLE_OK && code != CURLE_AGAIN)
            return http_failed(transport->curl, code, started_ms, err);
        if (code == CURLE_AGAIN && !await(transport, POLLOUT, deadline_ms))
            return transport_timed_out(started_ms, err);
        p += put;
        len -= put;
    }
    return 0;
}

ssize_t transport_receive_some(struct transport *transport, void *data, size_t size,
                               int64_t deadline_ms, struct err *err)
{
    size_t got = 0;
    CURLcode code;

    while ((code = curl_easy_recv(transport->curl, data, size, &got)) == CURLE_AGAIN)
        if (!await(transport, POLLIN, deadline_ms))
            return 0;
    if (code == CURLE_OK && got == 0)
        code = CURLE_GOT_NOTHING;
    return code == CURLE_OK ? (ssize_t)got : http_failed(transport->curl, code, 0, err);
}

int transport_receive(struct transport *transport, void *data, size_t len, int64_t deadline_ms,
                      struct err *err)
{
    char *p = data;
    int64_t started_ms = clock_ms();
    ssize_t got;

    for (; len; p += got, len -= (size_t)got) {
        got = transport_receive_some(transport, p, len, deadline_ms, err);
        if (got <= 0)
            return got < 0 ? -1 : transport_timed_out(started_ms, err);
    }
    return 0;
}

void transport_free(struct transport *transport)
{
    char rest[4096];
    size_t got;

    if (!transport)
        return;
    for (int i = 0; transport->socket != CURL_SOCKET_BAD && i < 16; i++)
        if (curl_easy_recv(transport->curl, rest, sizeof(rest), &got) != CURLE_OK || got == 0)
            break;
    curl_easy_cleanup(transport->curl);
    free(transport);
}
