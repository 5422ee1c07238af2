#include "common/http.h"

#include "common/clock.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_handle(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void free_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

const char *http_ca_bundle(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Red Hat */
        "/etc/ssl/ca-bundle.pem",             /* SUSE */
        "/etc/ssl/cert.pem",
    };
    const char *named = getenv("SSL_CERT_FILE");

    if (named && *named)
        return named;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

/* OpenSSL writes without MSG_NOSIGNAL, and CURLOPT_NOSIGNAL tells libcurl to leave SIGPIPE be. */
static int initialise(void)
{
    static bool done;

    if (done)
        return 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -1;
    (void)signal(SIGPIPE, SIG_IGN);
    done = true;
    return 0;
}

/* CURLOPT_CONNECT_TO: an entry without host and port stands for every connection. */
static int set_destination(CURL *curl, const char *connect_to, struct curl_slist **ret_list)
{
    BUF_AUTO entry = BUF_INIT(1024);

    *ret_list = NULL;
    if (!connect_to)
        return 0;
    if (buf_printf(&entry, "::%s", connect_to) == 0)
        *ret_list = curl_slist_append(NULL, buf_str(&entry));
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, *ret_list);
    return *ret_list ? 0 : -1;
}

CURL *http_handle_new(const struct http_request *request, struct curl_slist **ret_list)
{
    const char *ca_file = request->ca_file ? request->ca_file : http_ca_bundle();
    bool insecure = request->insecure;
    CURL *curl = initialise() < 0 ? NULL : curl_easy_init();

    if (!curl || set_destination(curl, request->connect_to, ret_list) < 0 ||
        curl_easy_setopt(curl, CURLOPT_URL, request->url) != CURLE_OK) {
        curl_easy_cleanup(curl);
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* no join of a resolver's thread that hangs */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
    return curl;
}

CURLSH *http_share_new(void)
{
    CURLSH *share = initialise() < 0 ? NULL : curl_share_init();

    (void)curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
    return share;
}

long http_timeout_ms(int64_t deadline_ms)
{
    int left = clock_left_ms(deadline_ms);

    return left < 0 ? 0 : left == 0 ? 1 : left;
}

static int resolve_failed(CURL *curl, struct err *err)
{
    CURLU *url = curl_url();
    char *text = NULL, *host = NULL;

    curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &text);
    if (url && text && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        (void)curl_url_get(url, CURLUPART_HOST, &host, 0);
    err_set(err, EXIT_UNAVAILABLE, "cannot resolve %s", host ? host : "the host name");
    curl_free(host);
    curl_url_cleanup(url);
    return -1;
}

static int connect_failed(CURL *curl, struct err *err)
{
    long code = 0;

    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &code);
    switch (code) {
    case 0:
        return err_set(err, EXIT_UNAVAILABLE, "cannot connect");
    case ECONNREFUSED:
        return err_set(err, EXIT_UNAVAILABLE, HTTP_REFUSED);
    case EHOSTUNREACH:
        return err_set(err, EXIT_UNAVAILABLE, "no route to host");
    case ENETUNREACH:
        return err_set(err, EXIT_UNAVAILABLE, "network is unreachable");
    default:
        return err_set(err, EXIT_UNAVAILABLE, "cannot connect: %s", strerror((int)code));
    }
}

/* libcurl looks at the name itself once OpenSSL has found nothing wrong. */
static int verification_failed(CURL *curl, struct err *err)
{
    long result = X509_V_OK;

    (void)curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &result);
    return err_set(err, EXIT_UNAVAILABLE, "the server's certificate is not trusted: %s",
                   result == X509_V_OK ? "it is another name's"
                                       : X509_verify_cert_error_string(result));
}

int http_failed(CURL *curl, CURLcode code, int64_t started_ms, struct err *err)
{
    char took[CLOCK_DURATION_BYTES];

    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return resolve_failed(curl, err);
    if (code == CURLE_COULDNT_CONNECT)
        return connect_failed(curl, err);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, EXIT_UNAVAILABLE, "timed out after %s",
                       clock_format_duration(clock_ms() - started_ms, took, sizeof(took)));
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return verification_failed(curl, err);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, EXIT_CONFIG, "the file of certificates to trust cannot be read");
    if (code == CURLE_SSL_CONNECT_ERROR)
        return err_set(err, EXIT_UNAVAILABLE, "TLS handshake failed");
    if (code == CURLE_UNSUPPORTED_PROTOCOL) /* an answer that looks like HTTP/0.9 */
        return err_set(err, EXIT_UNAVAILABLE, "the answer is not HTTP");
    if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
        return err_set(err, EXIT_UNAVAILABLE, "connection closed without an answer");
    return err_set(err, EXIT_UNAVAILABLE, "%s", curl_easy_strerror(code));
}

static size_t keep_body(char *data, size_t size, size_t count, void *context)
{
    struct http_reply *reply = context;
    size_t room = reply->body.max - reply->body.len, len = size * count;

    reply->cut = len > room;
    return buf_add(&reply->body, data, reply->cut ? room : len) < 0 || reply->cut ? 0 : len;
}

static void set_body(CURL *curl, const struct http_request *request)
{
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void keep_headers(CURL *curl, const struct http_request *request, struct http_reply *reply)
{
    struct curl_header *header;

    for (size_t i = 0; i < HTTP_MAX_WANTED && request->wanted[i]; i++)
        if (curl_easy_header(curl, request->wanted[i], 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
            (void)snprintf(reply->headers[i], sizeof(reply->headers[i]), "%s", header->value);
}

static void set_login(CURL *curl, const struct http_request *request)
{
    if (!request->user)
        return;
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERNAME, request->user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, request->password ? request->password : "");
}

int http_send(const struct http_request *request, struct http_reply *ret, struct err *err)
{
    __attribute__((cleanup(free_handle))) CURL *curl = NULL;
    __attribute__((cleanup(free_list))) struct curl_slist *headers = NULL;
    __attribute__((cleanup(free_list))) struct curl_slist *destination = NULL;
    int64_t started_ms = clock_ms();
    long status = 0;
    CURLcode code;

    *ret = (struct http_reply){.body = BUF_INIT(request->max_bytes)};
    curl = http_handle_new(request, &destination);
    for (const char *const *line = request->headers; curl && line && *line; line++) {
        struct curl_slist *longer = curl_slist_append(headers, *line);

        if (!longer)
            return err_no_memory(err);
        headers = longer;
    }
    if (!curl)
        return err_no_memory(err);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_SHARE, request->share);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, http_timeout_ms(request->deadline_ms));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret);
    set_body(curl, request);
    set_login(curl, request);

    code = curl_easy_perform(curl);
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && ret->cut))
        return http_failed(curl, code, started_ms, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (int)status;
    keep_headers(curl, request, ret);
    return 0;
}

int http_get(const char *url, int64_t deadline_ms, size_t max_bytes, struct http_reply *ret,
             struct err *err)
{
    struct http_request request = {.url = url, .deadline_ms = deadline_ms, .max_bytes = max_bytes};

    return http_send(&request, ret, err);
}

void http_reply_free(struct http_reply *reply)
{
    buf_free(&reply->body);
}
