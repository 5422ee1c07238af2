#include "probes/target.h"

#include "probes/postgres_url.h"
#include "probes/target_parts.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_TRANSPORT_PORT 10001

struct scheme {
    const char *prefix;
    enum target_kind kind;
    uint16_t port; /* 0: must be given */
    /* rest is what follows the prefix, a copy that may be cut up. */
    int (*parse)(const struct scheme *scheme, char *rest, struct target *ret, struct err *err);
};

int target_refuse_password(struct err *err)
{
    return err_set(err, EXIT_USAGE,
                   "a password does not belong in a URL: set it beside it (PGPASSWORD, or "
                   "javax.jdo.option.ConnectionPassword)");
}

/* The next "name=value" of *rest; value is "" where there is none. NULL at the end. */
static const char *next_pair(char **rest, const char *separator, const char **ret_value)
{
    char *value = strsep(rest, separator), *name = strsep(&value, "=");

    *ret_value = value ? value : "";
    return name;
}

/* Cut text at the first of stops; what follows it, "" if there is none. */
static char *cut(char *text, const char *stops)
{
    char *at = text + strcspn(text, stops);

    if (*at)
        *at++ = '\0';
    return at;
}

/* ---- hosts ---- */

uint16_t target_read_port(const char *text)
{
    unsigned long port = 0;

    for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    return *text || port > UINT16_MAX ? 0 : (uint16_t)port;
}

int target_add_host(struct target *target, const char *name, uint16_t port, struct err *err)
{
    struct target_host *host = &target->hosts[target->host_count];
    size_t len = strlen(name);

    if (target->host_count == TARGET_MAX_HOSTS)
        return err_set(err, EXIT_USAGE, "more than %d hosts", TARGET_MAX_HOSTS);
    if (len == 0 || len >= sizeof(host->name))
        return err_set(err, EXIT_USAGE, len ? "the host name is too long" : "no host");
    if (port == 0)
        return err_set(err, EXIT_USAGE, "no valid port for %s", name);
    memcpy(host->name, name, len);
    host->name[len] = '\0';
    host->port = port;
    target->host_count++;
    return 0;
}

static void free_curl_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

/* "" where url has no such part. */
static const char *copy_part(CURLU *url, CURLUPart part, char ret[static TARGET_MAX_URL_BYTES])
{
    char *text = NULL;

    (void)curl_url_get(url, part, &text, part == CURLUPART_USER ? CURLU_URLDECODE : 0);
    (void)snprintf(ret, TARGET_MAX_URL_BYTES, "%s", text ? text : "");
    curl_free(text);
    return ret;
}

/* Take "[user@]host[:port]", which libcurl reads as an http URL. */
static int take_host(const char *text, uint16_t port, struct target *ret, struct err *err)
{
    __attribute__((cleanup(free_curl_url))) CURLU *url = curl_url();
    char part[TARGET_MAX_URL_BYTES + sizeof("http://")];
    CURLUcode code;

    (void)snprintf(part, sizeof(part), "http://%s", text);
    code = curl_url_set(url, CURLUPART_URL, part, 0);
    if (code != CURLUE_OK)
        return err_set(err, EXIT_USAGE, "%s", curl_url_strerror(code));
    if (*copy_part(url, CURLUPART_PASSWORD, part))
        return target_refuse_password(err);
    if (*copy_part(url, CURLUPART_USER, part) && target_set_login(ret, part, NULL) < 0)
        return err_no_memory(err);
    if (*copy_part(url, CURLUPART_PORT, part))
        port = target_read_port(part);
    (void)copy_part(url, CURLUPART_HOST, part);
    part[strcspn(part, "]")] = '\0';
    return target_add_host(ret, part + (*part == '['), port, err);
}

/* ---- one function per kind of URL ---- */

/* The list "host[:port],…"; hive.metastore.uris repeats the scheme at each item. */
static int parse_list(const struct scheme *scheme, char *rest, struct target *ret, struct err *err)
{
    size_t prefix_len = strlen(scheme->prefix);
    const char *item;

    while ((item = strsep(&rest, ","))) {
        if (strncmp(item, scheme->prefix, prefix_len) == 0)
            item += prefix_len;
        if (take_host(item, scheme->port, ret, err) < 0)
            return -1;
    }
    return 0;
}

/* "…;ssl=true" says of a metastore what hive.metastore.use.SSL does. */
static int parse_thrift(const struct scheme *scheme, char *rest, struct target *ret,
                        struct err *err)
{
    char *variables = cut(rest, ";");

    ret->tls = strcmp(variables, "ssl=true") == 0;
    if (*variables && !ret->tls)
        return err_set(err, EXIT_USAGE, "only ;ssl=true may follow the hosts");
    return parse_list(scheme, rest, ret, err);
}

static int set_path(struct target *target, const char *path, struct err *err)
{
    free(target->path);
    if (asprintf(&target->path, "%s%s", *path == '/' ? "" : "/", path) >= 0)
        return 0;
    target->path = NULL;
    return err_no_memory(err);
}

static int parse_http(const struct scheme *scheme, char *rest, struct target *ret, struct err *err)
{
    ret->tls = scheme->port == 443;
    (void)cut(rest, "#");
    if (set_path(ret, rest + strcspn(rest, "/?"), err) < 0)
        return -1;
    return take_host(rest, scheme->port, ret, err);
}

/* One session variable of a Hive JDBC URL (org.apache.hive.jdbc.Utils.JdbcConnectionParams). */
static int take_hive_variable(const char *name, const char *value, struct target *ret,
                              struct err *err)
{
    if (strcmp(name, "password") == 0)
        return target_refuse_password(err);
    if (strcmp(name, "serviceDiscoveryMode") == 0)
        return err_set(err, EXIT_USAGE, "%s is not supported: name the server itself", name);
    if (strcmp(name, "user") == 0 && target_set_login(ret, value, NULL) < 0)
        return err_no_memory(err);
    if (strcmp(name, "httpPath") == 0)
        return set_path(ret, value, err);
    if (strcmp(name, "ssl") == 0)
        ret->tls = strcmp(value, "true") == 0;
    if (strcmp(name, "transportMode") == 0)
        ret->http_transport = strcmp(value, "http") == 0;
    if (strcmp(name, "principal") == 0)
        ret->auth = TARGET_AUTH_OTHER;
    if (strcmp(name, "auth") == 0 && strcmp(value, "noSasl") == 0)
        ret->auth = TARGET_AUTH_NOSASL;
    return 0;
}

/* host:port[,…][/db][;name=value…][?hive confs][#hive variables] */
static int parse_hive2(const struct scheme *scheme, char *rest, struct target *ret, struct err *err)
{
    struct scheme actual = *scheme;
    const char *name, *value;
    char *variables;

    (void)cut(rest, "?#");
    variables = cut(rest, ";");
    (void)cut(rest, "/");
    while ((name = next_pair(&variables, ";", &value)))
        if (take_hive_variable(name, value, ret, err) < 0)
            return -1;
    if (ret->http_transport) {
        actual.port = HTTP_TRANSPORT_PORT;
        if (!ret->path && set_path(ret, "cliservice", err) < 0)
            return -1;
    }
    if (parse_list(&actual, rest, ret, err) < 0)
        return -1;
    ret->lockout = ret->user != NULL;
    return 0;
}

static int parse_postgres(const struct scheme *scheme, char *rest, struct target *ret,
                          struct err *err)
{
    (void)scheme;
    return postgres_parse_uri(rest, ret, err);
}

static int parse_jdbc_postgres(const struct scheme *scheme, char *rest, struct target *ret,
                               struct err *err)
{
    (void)scheme;
    return postgres_parse_jdbc(rest, ret, err);
}

/* ---- all kinds ---- */

static const struct scheme schemes[] = {
    {"postgres://", TARGET_POSTGRES, POSTGRES_PORT, parse_postgres},
    {"postgresql://", TARGET_POSTGRES, POSTGRES_PORT, parse_postgres},
    {"jdbc:postgresql:", TARGET_POSTGRES, POSTGRES_PORT, parse_jdbc_postgres},
    {"thrift://", TARGET_METASTORE, 9083, parse_thrift},
    {"hive2://", TARGET_HIVESERVER2, 10000, parse_hive2},
    {"jdbc:hive2://", TARGET_HIVESERVER2, 10000, parse_hive2},
    {"http://", TARGET_HTTP, 80, parse_http},
    {"https://", TARGET_HTTP, 443, parse_http},
    {"tcp://", TARGET_TCP, 0, parse_list},
};

static const struct scheme *find_scheme(const char *url)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    return NULL;
}

/* For an error text: the scheme and what follows the last '@', so that no part of a password is
 * shown, wherever it stands. */
static int blame(const struct scheme *scheme, const char *url, struct err *err)
{
    const char *rest = url + strlen(scheme->prefix), *at = strrchr(rest, '@');

    rest = at ? at + 1 : rest;
    return err_wrap(err, "%s%.*s", scheme->prefix, (int)strcspn(rest, "?;#"), rest);
}

static bool has_blank_or_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    return false;
}

static int parse(const struct scheme *scheme, const char *url, struct target *ret, struct err *err)
{
    char rest[TARGET_MAX_URL_BYTES];

    if (strlen(url) >= sizeof(rest))
        return err_set(err, EXIT_USAGE, "the URL is too long");
    if (has_blank_or_control(url))
        return err_set(err, EXIT_USAGE, "the URL contains a blank or a control character");
    (void)snprintf(rest, sizeof(rest), "%s", url + strlen(scheme->prefix));
    return scheme->parse(scheme, rest, ret, err);
}

int target_parse(const char *url, struct target *ret, struct err *err)
{
    const struct scheme *scheme = find_scheme(url);

    *ret = (struct target){.auth = TARGET_AUTH_PLAIN};
    if (!scheme)
        return err_set(err, EXIT_USAGE,
                       "not a URL with one of the schemes postgres://, jdbc:postgresql://, "
                       "thrift://, hive2://, jdbc:hive2://, http://, https://, tcp://");
    ret->kind = scheme->kind;
    if (parse(scheme, url, ret, err) < 0) {
        target_free(ret);
        return blame(scheme, url, err);
    }
    (void)snprintf(ret->url, sizeof(ret->url), "%.*s", (int)strcspn(url, "?;#"), url);
    return 0;
}

static void wipe(char **string)
{
    if (*string)
        explicit_bzero(*string, strlen(*string));
    free(*string);
    *string = NULL;
}

/* NULL leaves what is there. */
static int replace(char **field, const char *value)
{
    char *copy = value ? strdup(value) : NULL;

    if (!value)
        return 0;
    if (!copy)
        return -1;
    wipe(field);
    *field = copy;
    return 0;
}

int target_set_login(struct target *target, const char *user, const char *password)
{
    return replace(&target->user, user) < 0 ? -1 : replace(&target->password, password);
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool target_replace(struct target *target, struct target *fresh)
{
    struct target old = *target;

    *target = *fresh;
    *fresh = old;
    return !is_same(target->url, old.url) || !is_same(target->conninfo, old.conninfo) ||
           !is_same(target->user, old.user) || !is_same(target->password, old.password) ||
           memcmp(target->hosts, old.hosts, sizeof(old.hosts)) != 0;
}

int target_set_tls(struct target *target, const char *ca_file, const char *server_name)
{
    if (replace(&target->ca_file, ca_file && *ca_file ? ca_file : NULL) < 0)
        return -1;
    return replace(&target->server_name, server_name && *server_name ? server_name : NULL);
}

static int put_address(const char *name, uint16_t port, struct buf *buf)
{
    bool literal_v6 = strchr(name, ':') != NULL;

    return buf_printf(buf, "%s%s%s:%u", literal_v6 ? "[" : "", name, literal_v6 ? "]" : "", port);
}

int target_put_url(const struct target *target, const struct target_host *host, struct buf *buf)
{
    bool renamed = target->tls && target->server_name;

    (void)buf_add_str(buf, target->tls ? "https://" : "http://");
    (void)put_address(renamed ? target->server_name : host->name, host->port, buf);
    return buf_add_str(buf, target->path ? target->path : "/");
}

int target_put_address(const struct target_host *host, struct buf *buf)
{
    return put_address(host->name, host->port, buf);
}

void target_free(struct target *target)
{
    wipe(&target->user);
    wipe(&target->password);
    free(target->conninfo);
    free(target->path);
    free(target->ca_file);
    free(target->server_name);
    *target = (struct target){.host_count = 0};
}
