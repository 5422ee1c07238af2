/* HTTP requests through libcurl: no redirects, no proxy, certificates verified, one deadline for
 * the whole, DNS included, and a limit for the body. They block, and libcurl is initialised in the
 * first process that asks: for helper processes, never for PID 1. */
#ifndef SPARKPOD_COMMON_HTTP_H
#define SPARKPOD_COMMON_HTTP_H

#include "common/buf.h"
#include "common/err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_WANTED 2

struct http_request {
    const char *url;
    const char *method;         /* NULL: GET, or POST where there is a body; HEAD reads none */
    const char *const *headers; /* "Name: value", ended by NULL; NULL: none of our own */
    const void *body;           /* NULL: none */
    size_t body_len;
    const char *user; /* Basic authentication; NULL: none */
    const char *password;
    const char *ca_file;    /* certificates to trust; NULL: the system's */
    bool insecure;          /* do not verify the server's certificate */
    const char *connect_to; /* "host:port" to connect to, whoever url names; NULL: as it says */
    CURLSH *share;          /* of http_share_new(); NULL: a connection of its own */
    int64_t deadline_ms;    /* of clock_ms() */
    size_t max_bytes;       /* of the body that are kept */
    const char *wanted[HTTP_MAX_WANTED]; /* names of headers to keep; NULL: no more */
};

struct http_reply {
    int status;
    bool cut;        /* the body is longer than max_bytes: the rest was not read */
    struct buf body; /* freed by http_reply_free() */
    char headers[HTTP_MAX_WANTED][128]; /* those wanted, cut; "" where there is none */
};

/* Send a request and read the answer, whatever its status. 0, or -1 with EXIT_UNAVAILABLE and a
 * reason for people ("connection refused"). Free *ret in either case. */
int http_send(const struct http_request *request, struct http_reply *ret, struct err *err);

/* http_send() for a plain GET. */
int http_get(const char *url, int64_t deadline_ms, size_t max_bytes, struct http_reply *ret,
             struct err *err);

void http_reply_free(struct http_reply *reply);
#define HTTP_REPLY_AUTO __attribute__((cleanup(http_reply_free))) struct http_reply

/* The file of certificates this system trusts ($SSL_CERT_FILE, or where distributions keep it);
 * NULL if there is none. */
const char *http_ca_bundle(void);

/* A libcurl handle with the rules above and what request says of url and TLS, for connections that
 * speak something else. The caller frees it with curl_easy_cleanup() and, after the connect,
 * *ret_list with curl_slist_free_all(). NULL without memory. */
CURL *http_handle_new(const struct http_request *request, struct curl_slist **ret_list);

/* What requests, one after the other, keep their connection in. The caller frees it with
 * curl_share_cleanup(). NULL without memory. */
CURLSH *http_share_new(void);

/* What is left until deadline_ms as libcurl's timeouts want it: 0 is none. */
long http_timeout_ms(int64_t deadline_ms);

/* What it says of a port that nobody listens at. */
#define HTTP_REFUSED "connection refused"

/* Set err (EXIT_UNAVAILABLE) to what code means for people. Returns -1. */
int http_failed(CURL *curl, CURLcode code, int64_t started_ms, struct err *err);

#endif
