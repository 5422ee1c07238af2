#include "probes/target.h"

#include <curl/curl.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_TRANSPORT_PORT 10001
#define PATH_BYTES 8192

struct scheme {
    const char *prefix;
    enum target_kind kind;
    uint16_t port; /* 0: must be given */
    int (*parse)(const struct scheme *scheme, const char *url, struct target *ret, struct err *err);
};

static void free_curl_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

static int no_memory(struct err *err)
{
    return err_set(err, EXIT_INTERNAL, "out of memory");
}

/* A copy of text that strsep() may cut up, in buf; NULL if it is too long. */
static char *copy_into(struct buf *buf, const char *text, size_t len)
{
    return buf_add(buf, text, len) < 0 ? NULL : buf->data;
}

static int too_long(struct err *err)
{
    return err_set(err, EXIT_USAGE, "the URL is too long");
}

static int refuse_password(struct err *err)
{
    return err_set(err, EXIT_USAGE,
                   "a password does not belong in a URL: set it in the environment or a file");
}

/* ---- hosts ---- */

/* 0 for what is not a port. */
static uint16_t read_port(const char *text)
{
    unsigned long port = 0;

    for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    return *text || port > UINT16_MAX ? 0 : (uint16_t)port;
}

static int add_host(struct target *target, const char *name, uint16_t port, struct err *err)
{
    struct target_host *host = &target->hosts[target->host_count];
    size_t len = strlen(name);

    if (target->host_count == TARGET_MAX_HOSTS)
        return err_set(err, EXIT_USAGE, "more than %d hosts", TARGET_MAX_HOSTS);
    if (len > 2 && name[0] == '[' && name[len - 1] == ']') {
        name++;
        len -= 2;
    }
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

/* One part of url, decoded, freed by the caller with curl_free(); NULL where there is none. */
static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    return curl_url_get(url, part, &text, part == CURLUPART_USER ? CURLU_URLDECODE : 0) ? NULL
                                                                                        : text;
}

static int take_user(CURLU *url, struct target *ret, struct err *err)
{
    char *user = url_part(url, CURLUPART_USER), *password = url_part(url, CURLUPART_PASSWORD);
    int result = 0;

    if (password)
        result = refuse_password(err);
    else if (user && target_set_login(ret, user, NULL) < 0)
        result = no_memory(err);
    curl_free(user);
    curl_free(password);
    return result;
}

static int take_host(CURLU *url, uint16_t default_port, struct target *ret, struct err *err)
{
    char *host = url_part(url, CURLUPART_HOST), *port = url_part(url, CURLUPART_PORT);
    int result;

    result = add_host(ret, host ? host : "", port ? read_port(port) : default_port, err);
    curl_free(host);
    curl_free(port);
    return result;
}

/* Let libcurl take one http URL apart; what it cannot read is a fault of the URL. */
static int read_url(CURLU *url, const char *text, struct err *err)
{
    CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;

    if (code == CURLUE_OUT_OF_MEMORY)
        return no_memory(err);
    return code ? err_set(err, EXIT_USAGE, "%s", curl_url_strerror(code)) : 0;
}

/* The list "host[:port],…"; hive.metastore.uris repeats the scheme at each item. */
static int parse_hosts(const struct scheme *scheme, const char *list, size_t len,
                       struct target *ret, struct err *err)
{
    BUF_AUTO copy = BUF_INIT(PATH_BYTES);
    char *rest = copy_into(&copy, list, len), *item;

    if (!rest)
        return too_long(err);
    while ((item = strsep(&rest, ","))) {
        __attribute__((cleanup(free_curl_url))) CURLU *url = curl_url();
        BUF_AUTO text = BUF_INIT(PATH_BYTES);

        if (strncmp(item, scheme->prefix, strlen(scheme->prefix)) == 0)
            item += strlen(scheme->prefix);
        if (buf_printf(&text, "http://%s", item) < 0)
            return too_long(err);
        if (read_url(url, buf_str(&text), err) < 0 || take_user(url, ret, err) < 0 ||
            take_host(url, scheme->port, ret, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- one function per kind of URL; url is what follows the prefix, but for http ---- */

static int parse_list(const struct scheme *scheme, const char *url, struct target *ret,
                      struct err *err)
{
    return parse_hosts(scheme, url, strlen(url), ret, err);
}

static int parse_http(const struct scheme *scheme, const char *rest, struct target *ret,
                      struct err *err)
{
    __attribute__((cleanup(free_curl_url))) CURLU *url = curl_url();
    const char *whole = rest - strlen(scheme->prefix);
    BUF_AUTO path = BUF_INIT(PATH_BYTES);
    char *part, *query;

    if (read_url(url, whole, err) < 0 || take_user(url, ret, err) < 0 ||
        take_host(url, scheme->port, ret, err) < 0)
        return -1;
    part = url_part(url, CURLUPART_PATH);
    query = url_part(url, CURLUPART_QUERY);
    (void)buf_printf(&path, "%s%s%s", part ? part : "/", query ? "?" : "", query ? query : "");
    curl_free(part);
    curl_free(query);
    ret->tls = scheme->port == 443;
    ret->path = buf_failed(&path) ? NULL : buf_steal(&path);
    return ret->path ? 0 : too_long(err);
}

/* One session variable of a Hive JDBC URL (org.apache.hive.jdbc.Utils.JdbcConnectionParams). */
static int take_hive_parameter(const char *name, const char *value, struct target *ret,
                               struct err *err)
{
    BUF_AUTO path = BUF_INIT(PATH_BYTES);

    if (strcmp(name, "password") == 0)
        return refuse_password(err);
    if (strcmp(name, "serviceDiscoveryMode") == 0)
        return err_set(err, EXIT_USAGE, "%s is not supported: name the server itself", name);
    if (strcmp(name, "user") == 0)
        return target_set_login(ret, value, NULL) < 0 ? no_memory(err) : 0;
    if (strcmp(name, "ssl") == 0)
        ret->tls = strcmp(value, "true") == 0;
    else if (strcmp(name, "transportMode") == 0)
        ret->http_transport = strcmp(value, "http") == 0;
    else if (strcmp(name, "principal") == 0)
        ret->auth = TARGET_AUTH_OTHER;
    else if (strcmp(name, "auth") == 0 && strcmp(value, "noSasl") == 0)
        ret->auth = TARGET_AUTH_NOSASL;
    if (strcmp(name, "httpPath") != 0)
        return 0;
    (void)buf_printf(&path, "/%s", value + (*value == '/'));
    free(ret->path);
    ret->path = buf_failed(&path) ? NULL : buf_steal(&path);
    return ret->path ? 0 : too_long(err);
}

/* host:port[,…][/db][;name=value…][?hive confs][#hive variables] */
static int parse_hive2(const struct scheme *scheme, const char *url, struct target *ret,
                       struct err *err)
{
    struct scheme actual = *scheme;
    const char *variables = url + strcspn(url, ";?#");
    BUF_AUTO copy = BUF_INIT(PATH_BYTES);
    char *rest = copy_into(&copy, variables, strcspn(variables, "?#")), *name, *value;

    if (!rest)
        return too_long(err);
    while ((name = strsep(&rest, ";"))) {
        value = strchr(name, '=');
        if (value)
            *value++ = '\0';
        if (value && take_hive_parameter(name, value, ret, err) < 0)
            return -1;
    }
    if (ret->http_transport) {
        actual.port = HTTP_TRANSPORT_PORT;
        if (!ret->path && !(ret->path = strdup("/cliservice")))
            return no_memory(err);
    }
    return parse_hosts(&actual, url, strcspn(url, "/;?#"), ret, err);
}

/* ---- PostgreSQL ---- */

static void free_options(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && *options->val ? options->val : NULL;
    return NULL;
}

/* libpq's lists of hosts and ports; one port serves all hosts, an empty one is the default. */
static int take_postgres_hosts(const struct scheme *scheme, const PQconninfoOption *options,
                               struct target *ret, struct err *err)
{
    const char *host = option(options, "host"), *port = option(options, "port");
    BUF_AUTO hosts = BUF_INIT(PATH_BYTES);
    BUF_AUTO ports = BUF_INIT(PATH_BYTES);
    char *next_host = copy_into(&hosts, host ? host : "", host ? strlen(host) : 0);
    char *next_port = copy_into(&ports, port ? port : "", port ? strlen(port) : 0);
    char *name;
    uint16_t number = scheme->port;
    bool several = port && strchr(port, ',');

    if (!next_host || !next_port)
        return too_long(err);
    while ((name = strsep(&next_host, ","))) {
        const char *text = next_port ? strsep(&next_port, ",") : NULL;

        if (text)
            number = *text ? read_port(text) : scheme->port;
        else if (several)
            return err_set(err, EXIT_USAGE, "more hosts than ports");
        if (add_host(ret, name, number, err) < 0)
            return -1;
    }
    return 0;
}

/* libpq's texts can quote a password; those about a query parameter name it and no more. */
static int blame_uri(char *message, struct err *err)
{
    bool harmless = message && strstr(message, "query parameter");

    if (harmless)
        message[strcspn(message, "\n")] = '\0';
    err_set(err, EXIT_USAGE, "%s", harmless ? message : "not a PostgreSQL URI");
    PQfreemem(message);
    return -1;
}

/* url is a whole libpq URI. */
static int take_postgres_uri(const struct scheme *scheme, const char *url, struct target *ret,
                             struct err *err)
{
    char *message = NULL;
    __attribute__((cleanup(free_options))) PQconninfoOption *options =
        PQconninfoParse(url, &message);
    const char *user = options ? option(options, "user") : NULL;

    if (!options)
        return blame_uri(message, err);
    if (option(options, "password") || option(options, "sslpassword"))
        return refuse_password(err);
    if (option(options, "service"))
        return err_set(err, EXIT_USAGE, "service files are not read");
    ret->conninfo = strdup(url);
    if (!ret->conninfo || (user && target_set_login(ret, user, NULL) < 0))
        return no_memory(err);
    return take_postgres_hosts(scheme, options, ret, err);
}

static int parse_postgres(const struct scheme *scheme, const char *url, struct target *ret,
                          struct err *err)
{
    return take_postgres_uri(scheme, url - strlen(scheme->prefix), ret, err);
}

struct jdbc_tls {
    bool on;      /* ssl=true */
    bool trusted; /* sslfactory=…NonValidatingFactory: no questions asked */
    bool has_mode;
};

/* libpq's word for pgjdbc's targetServerType, or NULL. */
static const char *session_attrs(const char *server_type)
{
    static const char *const words[][2] = {
        {"primary", "primary"},   {"master", "primary"},
        {"secondary", "standby"}, {"preferSecondary", "prefer-standby"},
        {"slave", "standby"},     {"preferSlave", "prefer-standby"},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(server_type, words[i][0]) == 0)
            return words[i][1];
    return NULL;
}

/* Append one pgjdbc parameter under libpq's name; those that libpq does not have are dropped. */
static void map_parameter(const char *name, const char *value, struct buf *uri,
                          struct jdbc_tls *tls)
{
    static const char *const names[][2] = {
        {"user", "user"},       {"ApplicationName", "application_name"},
        {"sslmode", "sslmode"}, {"sslrootcert", "sslrootcert"},
        {"sslcert", "sslcert"}, {"sslkey", "sslkey"},
        {"options", "options"}, {"gssEncMode", "gssencmode"},
    };

    if (strcmp(name, "ssl") == 0)
        tls->on = *value == '\0' || strcmp(value, "true") == 0;
    if (strcmp(name, "sslfactory") == 0)
        tls->trusted = strstr(value, "NonValidatingFactory") != NULL;
    if (strcmp(name, "sslmode") == 0)
        tls->has_mode = true;
    if (strcmp(name, "targetServerType") == 0 && session_attrs(value))
        (void)buf_printf(uri, "target_session_attrs=%s&", session_attrs(value));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i][0]) != 0)
            continue;
        (void)buf_printf(uri, "%s=", names[i][1]);
        for (; *value; value++) /* java.net.URLDecoder reads '+' as a blank, libpq does not */
            (void)(*value == '+' ? buf_add_str(uri, "%20") : buf_add_char(uri, *value));
        (void)buf_add_char(uri, '&');
    }
}

/* https://jdbc.postgresql.org/documentation/use: ssl=true alone means verify-full there. */
static int parse_jdbc_postgres(const struct scheme *scheme, const char *url, struct target *ret,
                               struct err *err)
{
    size_t plain = strcspn(url, "?");
    const char *query = url + plain + (url[plain] == '?');
    BUF_AUTO copy = BUF_INIT(PATH_BYTES);
    BUF_AUTO uri = BUF_INIT(PATH_BYTES);
    char *rest = copy_into(&copy, query, strlen(query)), *name, *value;
    struct jdbc_tls tls = {.on = false};

    if (!rest)
        return too_long(err);
    (void)buf_add_str(&uri, "postgresql://");
    (void)buf_add(&uri, url, plain);
    (void)buf_add_char(&uri, '?');
    while ((name = strsep(&rest, "&"))) {
        value = strchr(name, '=');
        if (value)
            *value++ = '\0';
        if (strcmp(name, "password") == 0 || strcmp(name, "sslpassword") == 0)
            return refuse_password(err);
        map_parameter(name, value ? value : "", &uri, &tls);
    }
    if (tls.on && !tls.has_mode)
        (void)buf_printf(&uri, "sslmode=%s", tls.trusted ? "require" : "verify-full");
    if (buf_failed(&uri))
        return too_long(err);
    if (uri.data[uri.len - 1] == '&' || uri.data[uri.len - 1] == '?')
        uri.data[--uri.len] = '\0';
    return take_postgres_uri(scheme, buf_str(&uri), ret, err);
}

/* ---- all kinds ---- */

static const struct scheme schemes[] = {
    {"postgres://", TARGET_POSTGRES, 5432, parse_postgres},
    {"postgresql://", TARGET_POSTGRES, 5432, parse_postgres},
    {"jdbc:postgresql://", TARGET_POSTGRES, 5432, parse_jdbc_postgres},
    {"thrift://", TARGET_METASTORE, 9083, parse_list},
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

int target_parse(const char *url, struct target *ret, struct err *err)
{
    const struct scheme *scheme = find_scheme(url);
    size_t shown = strcspn(url, "?;#");

    *ret = (struct target){.auth = TARGET_AUTH_PLAIN};
    if (!scheme)
        return err_set(err, EXIT_USAGE,
                       "not a URL with one of the schemes postgres://, jdbc:postgresql://, "
                       "thrift://, hive2://, jdbc:hive2://, http://, https://, tcp://");
    ret->kind = scheme->kind;
    if (has_blank_or_control(url))
        err_set(err, EXIT_USAGE, "the URL contains a blank or a control character");
    else if (scheme->parse(scheme, url + strlen(scheme->prefix), ret, err) == 0) {
        if (shown >= sizeof(ret->url))
            shown = sizeof(ret->url) - 1;
        memcpy(ret->url, url, shown);
        return 0;
    }
    target_free(ret);
    return blame(scheme, url, err);
}

static void wipe(char **string)
{
    if (*string)
        explicit_bzero(*string, strlen(*string));
    free(*string);
    *string = NULL;
}

static int replace(char **field, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -1;
    wipe(field);
    *field = copy;
    return 0;
}

int target_set_login(struct target *target, const char *user, const char *password)
{
    if (user && replace(&target->user, user) < 0)
        return -1;
    return password ? replace(&target->password, password) : 0;
}

int target_put_url(const struct target *target, const struct target_host *host, struct buf *buf)
{
    bool literal_v6 = strchr(host->name, ':') != NULL;

    return buf_printf(buf, "%s://%s%s%s:%u%s", target->tls ? "https" : "http",
                      literal_v6 ? "[" : "", host->name, literal_v6 ? "]" : "", host->port,
                      target->path ? target->path : "/");
}

void target_free(struct target *target)
{
    wipe(&target->user);
    wipe(&target->password);
    free(target->conninfo);
    free(target->path);
    *target = (struct target){.host_count = 0};
}
