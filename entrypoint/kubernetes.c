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
                               .timeout_ms = timeout_ms};
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
}

/* Send what is asked of path; accept is the Accept header. */
static int ask(const struct kubernetes *kubernetes, const char *path, const char *accept,
               const char *body, struct http_reply *ret, struct err *err)
{
    BUF_AUTO url = BUF_INIT(2048);
    const char *const headers[] = {buf_str(&kubernetes->authorization), accept,
                                   body ? "Content-Type: application/json" : NULL, NULL};
    struct http_request request = {
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .ca_file = kubernetes->ca_file,
        .deadline_ms = clock_ms() + kubernetes->timeout_ms,
        .max_bytes = ANSWER_MAX_BYTES,
    };

    buf_printf(&url, "%s%s", kubernetes->server, path);
    request.url = buf_str(&url);
    if (http_send(&request, ret, err) < 0)
        return err_wrap(err, "%s", kubernetes->server);
    if (ret->status == 401)
        return err_set(err, EXIT_REFUSED,
                       "the API server does not accept the service account's "
                       "token");
    if (ret->status == 403)
        return err_set(err, EXIT_REFUSED, "the service account may not read this");
    return 0;
}

static int answer_failed(const struct http_reply *reply, struct err *err)
{
    return err_set(err, EXIT_UNAVAILABLE, "the API server answered %d%s", reply->status,
                   reply->cut ? " with more than 64 KiB" : "");
}

/* What a namespace or an object may be called: nothing that would mean anything in a URL. */
static bool is_name(const char *name)
{
    return *name && strlen(name) < 254 &&
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
    if (ask(kubernetes, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "Accept: application/json", body, &reply, err) < 0)
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
    if (ask(kubernetes, path,
            "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", NULL, &reply,
            err) < 0)
        return -1;
    if (reply.status != 200 && reply.status != 404)
        return answer_failed(&reply, err);
    return reply.status == 200;
}
