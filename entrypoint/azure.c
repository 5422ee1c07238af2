#include "entrypoint/azure.h"

#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BYTES ((size_t)65536)
#define KEY_PREFIX "fs.azure.account."
#define PROVIDER(name) "org.apache.hadoop.fs.azurebfs.oauth2." name
#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
#define V2 "/oauth2/v2.0/"

/* AuthConfigurations of hadoop-azure 3.4.1. */
#define DEFAULT_AUTHORITY "https://login.microsoftonline.com/"
#define DEFAULT_TOKEN_FILE "/var/run/secrets/azure/tokens/azure-identity-token"

static const char *const wanted_headers[] = {"Date", "x-ms-error-code"};

bool azure_parse(const char *url, struct azure_container *ret)
{
    const char *name = strstr(url, "://"), *at = name ? strchr(name, '@') : NULL;
    size_t name_len, account_len;

    if (!at || (strncmp(url, "abfs://", 7) != 0 && strncmp(url, "abfss://", 8) != 0))
        return false;
    name += 3;
    name_len = (size_t)(at - name);
    account_len = strcspn(at + 1, "/?#@");
    /* Letters, digits and a few signs: nothing that would mean anything in our URL. */
    if (name_len == 0 || account_len == 0 || at[1 + account_len] == '@' ||
        name_len >= sizeof(ret->name) || account_len >= sizeof(ret->account))
        return false;
    (void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)name_len, name);
    (void)snprintf(ret->account, sizeof(ret->account), "%.*s", (int)account_len, at + 1);
    return ret->name[strspn(ret->name, WORD "$_")] == '\0' &&
           ret->account[strspn(ret->account, WORD ".:")] == '\0';
}

/* ---- keys ---- */

struct account {
    const struct azure_container *container;
    const struct lint *settings;
    int64_t timeout_ms;
    int64_t skew_s;
};

/* The value of a key: that of this account, else of all (AbfsConfiguration.accountConf()). */
static const char *get(const struct account *account, const char *key)
{
    char full[512], bare[512];
    const char *host = account->container->account;

    (void)snprintf(full, sizeof(full), KEY_PREFIX "%s.%s", key, host);
    (void)snprintf(bare, sizeof(bare), KEY_PREFIX "%s", key);
    return lint_get(account->settings, full) ?: lint_get(account->settings, bare);
}

static const char *require(const struct account *account, const char *key, struct err *err)
{
    const char *value = get(account, key);

    if (!value)
        err_set(err, EXIT_CONFIG, KEY_PREFIX "%s is not set", key);
    else if (!strstr(value, "${"))
        return value;
    else
        err_set(err, EXIT_UNAVAILABLE, KEY_PREFIX "%s holds a variable that only Hadoop expands",
                key);
    return NULL;
}

/* ---- requests ---- */

/* Append "&NAME=" and the value, percent-encoded. */
static void add_field(struct buf *body, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, (int)strlen(value));

    buf_printf(body, "%s%s=%s", body->len ? "&" : "", name, escaped ?: "");
    if (escaped)
        explicit_bzero(escaped, strlen(escaped));
    else
        body->failed = true;
    curl_free(escaped);
}

static int send_request(struct account *account, struct http_request *request,
                        struct http_reply *ret, struct err *err)
{
    time_t theirs;

    request->deadline_ms = clock_ms() + account->timeout_ms;
    request->max_bytes = MAX_BYTES;
    memcpy(request->wanted, wanted_headers, sizeof(wanted_headers));
    if (http_send(request, ret, err) < 0)
        return -1;
    theirs = curl_getdate(ret->headers[0], NULL);
    if (theirs > 0)
        account->skew_s = (int64_t)time(NULL) - (int64_t)theirs;
    if (ret->status == 429 || ret->status >= 500)
        return err_set(err, EXIT_UNAVAILABLE, "Azure answered %d", ret->status);
    return 0;
}

/* ---- tokens ---- */

/* Codes of Microsoft Entra ID:
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
static int token_refused(const struct http_reply *reply, struct err *err)
{
    static const struct {
        json_int_t code;
        enum exit_status status;
        const char *words;
    } rows[] = {
        {7000215, EXIT_REFUSED,
         "the client secret is wrong: was the Secret ID pasted instead of the Value?"},
        {7000222, EXIT_REFUSED, "the client secret has expired: make a new one"},
        {700016, EXIT_CONFIG, "there is no application with this client id in this tenant"},
        {7000112, EXIT_REFUSED, "the application is disabled"},
        {90002, EXIT_CONFIG, "there is no such tenant: look at the endpoint"},
        {500011, EXIT_CONFIG, "the tenant does not know Azure Storage"},
        {70021, EXIT_REFUSED,
         "no federated credential of the application matches: compare issuer, subject and "
         "audience"},
        {700213, EXIT_REFUSED,
         "no federated credential of the application matches the subject: is it "
         "system:serviceaccount:NAMESPACE:NAME?"},
        {700024, EXIT_REFUSED, "the federated token's time is over, or a clock is wrong"},
    };
    json_t *root = json_loadb(buf_str(&reply->body), reply->body.len, 0, NULL);
    json_int_t code = json_integer_value(json_array_get(json_object_get(root, "error_codes"), 0));
    int result = 0;

    json_decref(root);
    for (size_t i = 0; result == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (code == rows[i].code)
            result = err_set(err, rows[i].status, "AADSTS%lld: %s", (long long)code, rows[i].words);
    if (result == 0 && code > 0)
        result = err_set(err, EXIT_REFUSED,
                         "AADSTS%lld: see https://login.microsoftonline.com/error?code=%lld",
                         (long long)code, (long long)code);
    return result ?: err_set(err, EXIT_REFUSED, "the token endpoint answered %d", reply->status);
}

/* Ask for a token with a form whose last fields are body's. */
static int get_token(struct account *account, const char *url, struct buf *body,
                     struct buf *ret_header, struct err *err)
{
    HTTP_REPLY_AUTO reply = {0};
    struct http_request request = {.url = url};
    const char *token;
    json_t *root;

    if (strncmp(url, "https://", 8) != 0)
        return err_set(err, EXIT_UNAVAILABLE, "the token endpoint is not https");
    add_field(body, "grant_type", "client_credentials");
    if (strstr(url, V2))
        add_field(body, "scope", "https://storage.azure.com/.default");
    else
        add_field(body, "resource", "https://storage.azure.com/");
    if (buf_failed(body))
        return err_no_memory(err);
    request.body = buf_str(body);
    request.body_len = body->len;
    if (send_request(account, &request, &reply, err) < 0)
        return err_wrap(err, "token endpoint");
    if (reply.status != 200)
        return token_refused(&reply, err);
    root = json_loadb(buf_str(&reply.body), reply.body.len, 0, NULL);
    token = json_string_value(json_object_get(root, "access_token"));
    if (token)
        buf_printf(ret_header, "Authorization: Bearer %s", token);
    json_decref(root);
    return ret_header->len ? 0
                           : err_set(err, EXIT_UNAVAILABLE, "the endpoint's answer is no token");
}

static int by_client_secret(struct account *account, struct buf *ret_header, struct err *err)
{
    const char *endpoint = require(account, "oauth2.client.endpoint", err);
    const char *id = endpoint ? require(account, "oauth2.client.id", err) : NULL;
    const char *secret = id ? require(account, "oauth2.client.secret", err) : NULL;
    BUF_AUTO body = BUF_INIT(MAX_BYTES);

    if (!secret)
        return -1;
    add_field(&body, "client_id", id);
    add_field(&body, "client_secret", secret);
    return get_token(account, endpoint, &body, ret_header, err);
}

/* WorkloadIdentityTokenProvider of hadoop-azure 3.4.1. */
static int by_workload_identity(struct account *account, struct buf *ret_header, struct err *err)
{
    const char *authority = get(account, "oauth2.msi.authority") ?: DEFAULT_AUTHORITY;
    const char *path = get(account, "oauth2.token.file") ?: DEFAULT_TOKEN_FILE;
    const char *tenant = require(account, "oauth2.msi.tenant", err);
    const char *id = tenant ? require(account, "oauth2.client.id", err) : NULL;
    BUF_AUTO body = BUF_INIT(2 * MAX_BYTES), assertion = BUF_INIT(MAX_BYTES), url = BUF_INIT(1024);

    if (!id)
        return -1;
    if (fd_read_file(path, &assertion) < 0)
        return err_set_errno(err, EXIT_REFUSED, "the federated token %s", path);
    add_field(&body, "client_id", id);
    add_field(&body, "client_assertion_type",
              "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    add_field(&body, "client_assertion", buf_str(&assertion));
    buf_printf(&url, "%s%s%s" V2 "token", authority,
               authority[strlen(authority) - 1] == '/' ? "" : "/", tenant);
    return get_token(account, buf_str(&url), &body, ret_header, err);
}

static int find_token(struct account *account, struct buf *ret_header, struct err *err)
{
    static const struct {
        const char *class;
        int (*get)(struct account *account, struct buf *ret_header, struct err *err);
    } providers[] = {
        {PROVIDER("ClientCredsTokenProvider"), by_client_secret},
        {PROVIDER("WorkloadIdentityTokenProvider"), by_workload_identity},
    };
    const char *type = get(account, "auth.type") ?: "SharedKey";
    const char *class;

    if (strcmp(type, "OAuth") != 0)
        return err_set(err, EXIT_UNAVAILABLE, "authentication by %.20s is not tried%s", type,
                       get(account, "key") ? "; there is an account key" : "");
    class = require(account, "oauth.provider.type", err);
    for (size_t i = 0; class && i < sizeof(providers) / sizeof(providers[0]); i++)
        if (strcmp(class, providers[i].class) == 0)
            return providers[i].get(account, ret_header, err);
    return class ? err_set(err, EXIT_UNAVAILABLE, "%.120s is not tried", class) : -1;
}

/* ---- the container ---- */

/* https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, and those of
 * Blob and Data Lake Storage. HEAD has no body: the code stands in a header. */
static int container_refused(const struct http_reply *reply, struct err *err)
{
    static const struct {
        const char *code;
        enum exit_status status;
        const char *words;
    } rows[] = {
        {"FilesystemNotFound", EXIT_CONFIG, "there is no such container"},
        {"ContainerNotFound", EXIT_CONFIG, "there is no such container"},
        {"AuthorizationPermissionMismatch", EXIT_REFUSED,
         "the identity has no data role here: give it Storage Blob Data Contributor on the "
         "container or account, which takes minutes to count"},
        {"AuthorizationFailure", EXIT_REFUSED,
         "the account's firewall or network rules do not let this pod in"},
        {"InvalidAuthenticationInfo", EXIT_REFUSED,
         "the token is not accepted: of another tenant?"},
        {"AuthenticationFailed", EXIT_REFUSED, "the token is not accepted: is the clock right?"},
        {"AccountIsDisabled", EXIT_REFUSED, "the account is disabled"},
    };
    const char *code = reply->headers[1];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(code, rows[i].code) == 0)
            return err_set(err, rows[i].status, "%s: %s", code, rows[i].words);
    return err_set(err, reply->status == 404 ? EXIT_CONFIG : EXIT_REFUSED,
                   "the storage answered %d%s%.80s", reply->status, *code ? " " : "", code);
}

static int ask_container(struct account *account, const struct buf *authorization, struct err *err)
{
    const char *const headers[] = {buf_str(authorization), "x-ms-version: 2019-12-12", NULL};
    HTTP_REPLY_AUTO reply = {0};
    char url[512];
    struct http_request request = {.url = url, .method = "HEAD", .headers = headers};

    (void)snprintf(url, sizeof(url), "https://%s/%s?resource=filesystem",
                   account->container->account, account->container->name);
    if (send_request(account, &request, &reply, err) < 0)
        return err_wrap(err, "storage");
    return reply.status == 200 ? 0 : container_refused(&reply, err);
}

int azure_check(const struct azure_container *container, const struct lint *settings,
                int64_t timeout_ms, int64_t *ret_skew_s, struct err *err)
{
    struct account account = {
        .container = container, .settings = settings, .timeout_ms = timeout_ms};
    BUF_AUTO authorization = BUF_INIT(2 * MAX_BYTES);
    int result = find_token(&account, &authorization, err);

    if (result == 0)
        result = ask_container(&account, &authorization, err);
    *ret_skew_s = account.skew_s;
    return result;
}
