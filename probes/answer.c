#include "probes/answer.h"

#include "common/buf.h"
#include "probes/metrics.h"
#include "probes/page.h"
#include "probes/status.h"
#include "probes/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ANSWER_MAX_BYTES ((size_t)64 * 1024)

#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"
#define METHODS "GET, HEAD"

/* One request, as far as an answer depends on it. */
struct request {
    const struct snapshot *snapshot;
    const struct route *route;
    bool verbose;
    char nonce[33];
};

/* A path: its answer function puts the body into out and returns the status. */
struct route {
    const char *path;
    const char *type;
    unsigned (*answer)(const struct request *request, struct buf *out);
    enum probe probe; /* for answer_probe */
};

static void list_item(struct buf *out, const char *name, bool ok, const char *reason)
{
    if (ok)
        (void)buf_printf(out, "[+]%s ok\n", name);
    else
        (void)buf_printf(out, "[-]%s failed: %s\n", name, reason);
}

/* As Kubernetes' own servers list theirs. Results count while serving only, so only then are they
 * listed. */
static void list_checks(const struct request *request, bool ok, const char *reason, struct buf *out)
{
    bool serving = snapshot_phase(request->snapshot) == PHASE_SERVING;

    list_item(out, "phase", ok || serving, reason);
    for (enum snapshot_check check = 0; serving && check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(request->snapshot, check);

        if (result.asked && verdict_counts(request->route->probe, check))
            list_item(out, snapshot_check_name(check), result.up, result.reason);
    }
    (void)buf_printf(out, "%s check %s\n", request->route->path + 1, ok ? "passed" : "failed");
}

static unsigned answer_probe(const struct request *request, struct buf *out)
{
    char reason[VERDICT_REASON_BYTES];
    bool ok = verdict_passes(request->snapshot, request->route->probe, reason, sizeof(reason));

    if (request->verbose)
        list_checks(request, ok, reason, out);
    else
        (void)buf_printf(out, "%s\n", ok ? "ok" : reason);
    return ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned answer_status(const struct request *request, struct buf *out)
{
    char *json = status_json(request->snapshot);

    if (!json)
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    (void)buf_printf(out, "%s\n", json);
    free(json);
    return MHD_HTTP_OK;
}

static unsigned answer_metrics(const struct request *request, struct buf *out)
{
    (void)metrics_write(request->snapshot, out);
    return MHD_HTTP_OK;
}

static unsigned answer_page(const struct request *request, struct buf *out)
{
    (void)page_write(request->snapshot, request->nonce, out);
    return MHD_HTTP_OK;
}

static const struct route routes[] = {
    {"/", PAGE_CONTENT_TYPE, answer_page, 0},
    {"/livez", TEXT_TYPE, answer_probe, PROBE_LIVE},
    {"/readyz", TEXT_TYPE, answer_probe, PROBE_READY},
    {"/startupz", TEXT_TYPE, answer_probe, PROBE_STARTUP},
    {"/status", JSON_TYPE, answer_status, 0},
    {"/metrics", METRICS_CONTENT_TYPE, answer_metrics, 0},
};

#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < ROUTES; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    return NULL;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, unsigned status,
                                   const char *type, const char *nonce, struct buf *body)
{
    char policy[sizeof(PAGE_POLICY) + 32];
    size_t len = body->len;
    char *data = buf_steal(body);
    struct MHD_Response *response =
        data ? MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE) : NULL;
    enum MHD_Result result;

    if (!response) {
        free(data);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)snprintf(policy, sizeof(policy), PAGE_POLICY, nonce);
    if (strcmp(type, PAGE_CONTENT_TYPE) == 0)
        (void)MHD_add_response_header(response, "Content-Security-Policy", policy);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, METHODS);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* "?verbose" alone has no value, which MHD_lookup_connection_value() cannot tell from none. */
static bool is_verbose(struct MHD_Connection *connection)
{
    return MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "verbose",
                                         strlen("verbose"), NULL, NULL) == MHD_YES;
}

enum MHD_Result answer_request(const struct snapshot *snapshot, struct MHD_Connection *connection,
                               const char *path, const char *method)
{
    BUF_AUTO body = BUF_INIT(ANSWER_MAX_BYTES);
    struct request request = {snapshot, find_route(path), is_verbose(connection), ""};
    const char *type = TEXT_TYPE;
    uint64_t random[2] = {0};
    unsigned status;

    (void)!getrandom(random, sizeof(random), 0);
    (void)snprintf(request.nonce, sizeof(request.nonce), "%016" PRIx64 "%016" PRIx64, random[0],
                   random[1]);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        (void)buf_add_str(&body, "only " METHODS "\n");
    } else if (!request.route) {
        status = MHD_HTTP_NOT_FOUND;
        (void)buf_add_str(&body, "no such page; / lists those there are\n");
    } else {
        status = request.route->answer(&request, &body);
        type = request.route->type;
    }
    return buf_failed(&body) ? MHD_NO : send_answer(connection, status, type, request.nonce, &body);
}
