#include "entrypoint/kubernetes.h"

#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "entrypoint/masking.h"
#include "entrypoint/service.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)65536)
#define ANSWER_MAX_BYTES ((size_t)65536)
/* Of objects Spark made, the metadata of one are 2 to 4 KiB. */
#define PAGE_OBJECTS 250
#define PAGE_MAX_BYTES ((size_t)4 << 20)

static int read_token(struct kubernetes *kubernetes, const char *path)
{
    BUF_AUTO token = BUF_INIT(FILE_MAX_BYTES);

    if (fd_read_file(path, &token) < 0 || token.len == 0)
        return -1;
    masking_add(token.data, token.len);
    return buf_printf(&kubernetes->authorization, "Authorization: Bearer %.*s",
                      (int)strcspn(token.data, "\r\n"), token.data);
}

int kubernetes_open(struct kubernetes *ret, const char *folder, char *const *environment,
                    int64_t timeout_ms, struct err *err)
{
    const char *host = service_getenv(environment, "KUBERNETES_SERVICE_HOST") ?: "";
    const char *port = service_getenv(environment, "KUBERNETES_SERVICE_PORT") ?: "443";
    bool is_ipv6 = strchr(host, ':') && *host != '[';
    BUF_AUTO missing = BUF_INIT(64);
    char path[PATH_MAX];

    *ret = (struct kubernetes){.namespace = BUF_INIT(256),
                               .authorization = BUF_INIT(2 * FILE_MAX_BYTES),
                               .share = http_share_new(),
                               .timeout_ms = timeout_ms,
                               .deadline_ms = CLOCK_NEVER};
    (void)snprintf(ret->server, sizeof(ret->server), "https://%s%s%s:%s", is_ipv6 ? "[" : "", host,
                   is_ipv6 ? "]" : "", port);
    (void)snprintf(ret->ca_file, sizeof(ret->ca_file), "%s/ca.crt", folder);
    if (access(ret->ca_file, R_OK) < 0)
        buf_add_str(&missing, ", ca.crt");
    (void)snprintf(path, sizeof(path), "%s/token", folder);
    if (read_token(ret, path) < 0)
        buf_add_str(&missing, ", token");
    (void)snprintf(path, sizeof(path), "%s/namespace", folder);
    if (fd_read_file(path, &ret->namespace) < 0)
        buf_add_str(&missing, ", namespace");
    if (missing.len == 0)
        return 0;
    return err_set(err, EXIT_REFUSED, "cannot read %s in %s: is automountServiceAccountToken on?",
                   buf_str(&missing) + 2, folder);
}

void kubernetes_close(struct kubernetes *kubernetes)
{
    buf_free(&kubernetes->namespace);
    buf_free(&kubernetes->authorization);
    (void)curl_share_cleanup(kubernetes->share);
}

struct question {
    const char *method; /* NULL: GET, or POST where there is a body */
    const char *path;
    const char *accept; /* the header */
    const char *body;   /* JSON; NULL: none */
    size_t max_bytes;   /* of the answer; 0: ANSWER_MAX_BYTES */
    const char *what;   /* what the service account may not do, if it may not */
};

static int ask(const struct kubernetes *kubernetes, const struct question *question,
               struct http_reply *ret, struct err *err)
{
    BUF_AUTO url = BUF_INIT(16384);
    const char *body = question->body;
    const char *const headers[] = {buf_str(&kubernetes->authorization), question->accept,
                                   body ? "Content-Type: application/json" : NULL, NULL};
    int64_t deadline_ms = clock_ms() + kubernetes->timeout_ms;
    struct http_request request = {
        .method = question->method,
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .ca_file = kubernetes->ca_file,
        .share = kubernetes->share,
        .deadline_ms =
            deadline_ms < kubernetes->deadline_ms ? deadline_ms : kubernetes->deadline_ms,
        .max_bytes = question->max_bytes ?: ANSWER_MAX_BYTES,
    };

    if (buf_printf(&url, "%s%s", kubernetes->server, question->path) < 0)
        return err_no_memory(err);
    request.url = buf_str(&url);
    if (http_send(&request, ret, err) < 0)
        return err_wrap(err, "%s", kubernetes->server);
    if (ret->status == 401)
        return err_set(err, EXIT_REFUSED,
                       "the API server does not accept the service account's "
                       "token");
    if (ret->status == 403)
        return err_set(err, EXIT_REFUSED, "the service account may not %s", question->what);
    return 0;
}

static int answer_failed(const struct http_reply *reply, struct err *err)
{
    return err_set(err, EXIT_UNAVAILABLE, "the API server answered %d%s", reply->status,
                   !reply->cut                          ? ""
                   : reply->body.max > ANSWER_MAX_BYTES ? " with more than 4 MiB"
                                                        : " with more than 64 KiB");
}

/* What a namespace or an object may be called: nothing that would mean anything in a URL. */
static bool is_name(const char *name)
{
    return *name && *name != '.' && strlen(name) < 254 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.")] == '\0';
}

int kubernetes_may(const struct kubernetes *kubernetes, const char *namespace, const char *resource,
                   const char *verb, struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    char body[1024];
    json_t *answer, *allowed;
    int result;

    if (!is_name(namespace))
        return err_set(err, EXIT_CONFIG, "\"%.80s\" is no name that Kubernetes takes", namespace);
    (void)snprintf(body, sizeof(body),
                   "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":"
                   "\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":{\"namespace\":"
                   "\"%.253s\",\"verb\":\"%s\",\"resource\":\"%s\"}}}",
                   namespace, verb, resource);
    if (ask(kubernetes,
            &(struct question){.path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                               .accept = "Accept: application/json",
                               .body = body,
                               .what = "read this"},
            &reply, err) < 0)
        return -1;
    answer = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
    allowed = json_object_get(json_object_get(answer, "status"), "allowed");
    if (reply.status / 100 != 2 || !json_is_boolean(allowed))
        result = answer_failed(&reply, err);
    else
        result = json_is_true(allowed);
    json_decref(answer);
    return result;
}

int kubernetes_has(const struct kubernetes *kubernetes, const char *namespace, const char *resource,
                   const char *name, struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    char path[1024];

    if (!is_name(namespace) || !is_name(name))
        return err_set(err, EXIT_CONFIG, "\"%.80s\" or \"%.80s\" is no name that Kubernetes takes",
                       namespace, name);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/%s/%s", namespace, resource, name);
    if (ask(kubernetes,
            &(struct question){
                .path = path,
                .accept = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                .what = "read this"},
            &reply, err) < 0)
        return -1;
    if (reply.status != 200 && reply.status != 404)
        return answer_failed(&reply, err);
    return reply.status == 200;
}

/* "?labelSelector=…" and whatever options follow, a continue token at the end. */
static int make_list_path(struct buf *path, const char *namespace, const char *resource,
                          const char *selector, const char *from)
{
    char *labels = curl_easy_escape(NULL, selector, 0), *token = curl_easy_escape(NULL, from, 0);

    if (!labels || !token)
        path->failed = true;
    buf_printf(path, "/api/v1/namespaces/%s/%s?labelSelector=%s", namespace, resource,
               labels ?: "");
    if (*from)
        buf_printf(path, "&continue=%s", token ?: "");
    curl_free(labels);
    curl_free(token);
    return buf_failed(path) ? -1 : 0;
}

static void format_what(char *ret, size_t size, const char *verb, const char *resource,
                        const char *namespace)
{
    (void)snprintf(ret, size, "%s %s in namespace %s", verb, resource, namespace);
}

int kubernetes_list(const struct kubernetes *kubernetes, const char *namespace,
                    const char *resource, const char *selector, const char *from, json_t **ret,
                    struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    BUF_AUTO path = BUF_INIT(12288);
    char what[400];

    *ret = NULL;
    if (!is_name(namespace))
        return err_set(err, EXIT_CONFIG, "\"%.80s\" is no name that Kubernetes takes", namespace);
    format_what(what, sizeof(what), "list", resource, namespace);
    if (make_list_path(&path, namespace, resource, selector, from) < 0 ||
        buf_printf(&path, "&limit=%d", PAGE_OBJECTS) < 0)
        return err_no_memory(err);
    if (ask(kubernetes,
            &(struct question){.path = buf_str(&path),
                               .accept = "Accept: application/json;as=PartialObjectMetadataList;"
                                         "g=meta.k8s.io;v=v1",
                               .max_bytes = PAGE_MAX_BYTES,
                               .what = what},
            &reply, err) < 0)
        return -1;
    if (reply.status == 200 && !reply.cut)
        *ret = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
    if (!*ret && reply.status == 200 && !reply.cut)
        return err_set(err, EXIT_UNAVAILABLE, "the API server's answer is no JSON");
    return *ret ? 0 : answer_failed(&reply, err);
}

/* Send a DELETE with the DeleteOptions that options (", …" or "") completes. */
static int send_delete(const struct kubernetes *kubernetes, const char *path, const char *options,
                       const char *what, struct http_reply *ret, struct err *err)
{
    char body[512];

    (void)snprintf(body, sizeof(body),
                   "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\","
                   "\"propagationPolicy\":\"Background\"%s}",
                   options);
    return ask(kubernetes,
               &(struct question){.method = "DELETE",
                                  .path = path,
                                  .accept = "Accept: application/json",
                                  .body = body,
                                  .what = what},
               ret, err);
}

int kubernetes_delete(const struct kubernetes *kubernetes, const char *namespace,
                      const char *resource, const char *name, const char *uid, struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    char path[1024], what[400], options[400];

    if (!is_name(namespace) || !is_name(name) || !is_name(uid))
        return err_set(err, EXIT_CONFIG,
                       "\"%.80s\", \"%.80s\" or \"%.80s\" is no name that "
                       "Kubernetes takes",
                       namespace, name, uid);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/%s/%s", namespace, resource, name);
    (void)snprintf(options, sizeof(options), ",\"preconditions\":{\"uid\":\"%s\"}", uid);
    format_what(what, sizeof(what), "delete", resource, namespace);
    if (send_delete(kubernetes, path, options, what, &reply, err) < 0)
        return -1;
    if (reply.status / 100 != 2 && reply.status != 404 && reply.status != 409)
        return answer_failed(&reply, err);
    return reply.status / 100 == 2;
}

int kubernetes_delete_all(const struct kubernetes *kubernetes, const char *namespace,
                          const char *resource, const char *selector, int grace_s, struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    BUF_AUTO path = BUF_INIT(12288);
    char what[400], options[64];

    if (!is_name(namespace))
        return err_set(err, EXIT_CONFIG, "\"%.80s\" is no name that Kubernetes takes", namespace);
    if (make_list_path(&path, namespace, resource, selector, "") < 0)
        return err_no_memory(err);
    (void)snprintf(options, sizeof(options), ",\"gracePeriodSeconds\":%d", grace_s);
    format_what(what, sizeof(what), "deletecollection", resource, namespace);
    if (send_delete(kubernetes, buf_str(&path), options, what, &reply, err) < 0)
        return -1;
    return reply.status / 100 == 2 ? 0 : answer_failed(&reply, err);
}
