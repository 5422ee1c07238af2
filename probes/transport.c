#include "probes/transport.h"

#include "common/clock.h"
#include "common/http.h"

#include <poll.h>

int transport_timed_out(int64_t started_ms, struct err *err)
{
    return http_failed(NULL, CURLE_OPERATION_TIMEDOUT, started_ms, err);
}

int transport_address(const struct target *target, const struct target_host *host,
                      int64_t deadline_ms, struct transport_address *ret,
                      struct http_request *request)
{
    *ret = (struct transport_address){.url = BUF_INIT(16384), .connect_to = BUF_INIT(512)};
    if (target_put_url(target, host, &ret->url) < 0 ||
        target_put_address(host, &ret->connect_to) < 0)
        return -1;
    request->url = buf_str(&ret->url);
    request->connect_to = target->server_name ? buf_str(&ret->connect_to) : NULL;
    request->ca_file = target->ca_file;
    request->insecure = target->insecure;
    request->deadline_ms = deadline_ms;
    return 0;
}

void transport_address_free(struct transport_address *address)
{
    buf_free(&address->url);
    buf_free(&address->connect_to);
}

int transport_open(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                   CURL **ret, struct err *err)
{
    TRANSPORT_ADDRESS_AUTO address;
    struct http_request request = {0};
    struct curl_slist *destination = NULL;
    int64_t started_ms = clock_ms();
    CURL *curl = NULL;
    CURLcode code;

    if (transport_address(target, host, deadline_ms, &address, &request) == 0)
        curl = http_handle_new(&request, &destination);
    if (!curl) {
        curl_slist_free_all(destination);
        return err_no_memory(err);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, http_timeout_ms(deadline_ms));
    code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, NULL);
    curl_slist_free_all(destination);
    if (code != CURLE_OK) {
        http_failed(curl, code, started_ms, err);
        curl_easy_cleanup(curl);
        return -1;
    }
    *ret = curl;
    return 0;
}

/* Wait until the socket is ready for events. false when the deadline passed. */
static bool await(CURL *transport, short events, int64_t deadline_ms)
{
    curl_socket_t socket = CURL_SOCKET_BAD;
    struct pollfd fd = {.events = events};

    (void)curl_easy_getinfo(transport, CURLINFO_ACTIVESOCKET, &socket);
    fd.fd = socket;
    while (poll(&fd, 1, clock_left_ms(deadline_ms)) <= 0)
        if (clock_left_ms(deadline_ms) == 0)
            return false;
    return true;
}

int transport_send(CURL *transport, const void *data, size_t len, int64_t deadline_ms,
                   struct err *err)
{
    const char *p = data;
    int64_t started_ms = clock_ms();
    CURLcode code;
    size_t put;

    for (; len; p += put, len -= put) {
        put = 0;
        code = curl_easy_send(transport, p, len, &put);
        if (code != CURLE_OK && code != CURLE_AGAIN)
            return http_failed(transport, code, started_ms, err);
        if (code == CURLE_AGAIN && !await(transport, POLLOUT, deadline_ms))
            return transport_timed_out(started_ms, err);
    }
    return 0;
}

ssize_t transport_receive_some(CURL *transport, void *data, size_t size, int64_t deadline_ms,
                               struct err *err)
{
    size_t got = 0;
    CURLcode code;

    while ((code = curl_easy_recv(transport, data, size, &got)) == CURLE_AGAIN)
        if (!await(transport, POLLIN, deadline_ms))
            return 0;
    if (code == CURLE_OK && got == 0)
        code = CURLE_GOT_NOTHING;
    return code == CURLE_OK ? (ssize_t)got : http_failed(transport, code, 0, err);
}

int transport_receive(CURL *transport, void *data, size_t len, int64_t deadline_ms, struct err *err)
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

void transport_free(CURL *transport)
{
    char rest[4096];
    size_t got = 1;

    for (int i = 0; transport && got && i < 16; i++)
        if (curl_easy_recv(transport, rest, sizeof(rest), &got) != CURLE_OK)
            break;
    curl_easy_cleanup(transport);
}
