#include "entrypoint/facts.h"

#include "common/buf.h"
#include "common/fd.h"
#include "confgen/hadoop_xml.h"
#include "confgen/pairs.h"
#include "confgen/properties.h"
#include "entrypoint/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_FILE_BYTES ((size_t)16 << 20)

struct fact {
    char *key, *value;
};

struct facts {
    struct fact *list; /* the last one of a key counts */
    size_t count, cap;
    bool out_of_memory; /* a callback had to stop its reader */
};

/* A value's end and start without the blanks that String.trim() takes off. */
static char *copy_trimmed(const char *value, size_t len)
{
    while (len && (unsigned char)value[len - 1] <= ' ')
        len--;
    while (len && (unsigned char)*value <= ' ') {
        value++;
        len--;
    }
    return strndup(value, len);
}

static void wipe_string(char *string)
{
    if (string)
        explicit_bzero(string, strlen(string));
    free(string);
}

static int grow(struct facts *facts)
{
    size_t cap = facts->cap * 2 + 64;
    struct fact *list = reallocarray(facts->list, cap, sizeof(*list));

    if (!list)
        return -1;
    facts->list = list;
    facts->cap = cap;
    return 0;
}

static int add(struct facts *facts, const char *key, const char *value, size_t len)
{
    struct fact fact = {0};

    if (facts->count < facts->cap || grow(facts) == 0)
        fact = (struct fact){.key = strdup(key), .value = copy_trimmed(value, len)};
    if (!fact.key || !fact.value) {
        free(fact.key);
        wipe_string(fact.value);
        facts->out_of_memory = true;
        return -1;
    }
    facts->list[facts->count++] = fact;
    return 0;
}

/* Hadoop reads an empty <value> as unset. */
static int add_hadoop(void *context, const char *key, const char *value, size_t len)
{
    return len ? add(context, key, value, len) : 0;
}

/* spark.hadoop.X reaches Hadoop's configuration as X, spark.hive.X as hive.X
 * (SparkHadoopUtil.appendSparkHadoopConfigs, appendSparkHiveConfigs). */
static int add_spark(void *context, const char *key, const char *value, size_t len)
{
    static const char hadoop[] = "spark.hadoop.", hive[] = "spark.hive.";

    if (strncmp(key, hadoop, strlen(hadoop)) == 0 &&
        add(context, key + strlen(hadoop), value, len) < 0)
        return -1;
    if (strncmp(key, hive, strlen(hive)) == 0 &&
        add(context, key + strlen("spark."), value, len) < 0)
        return -1;
    return add(context, key, value, len);
}

typedef int (*reader_fn)(const char *data, size_t len, pairs_fn fn, void *context, struct err *err);

static int read_one(struct facts *facts, const char *folder, const char *name, reader_fn reader,
                    pairs_fn fn, struct err *err)
{
    BUF_AUTO content = BUF_INIT(MAX_FILE_BYTES);
    char path[4096];

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return err_set(err, EXIT_CONFIG, "%s: the path is too long", folder);
    if (fd_read_file(path, &content) < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, EXIT_CONFIG, "%s", path);
    if (reader(buf_str(&content), content.len, fn, facts, err) == 0)
        return 0;
    if (facts->out_of_memory)
        err_set(err, EXIT_INTERNAL, "out of memory");
    return err_wrap(err, "%s", path);
}

struct facts *facts_read(const char *folder, struct err *err)
{
    struct facts *facts = calloc(1, sizeof(*facts));

    if (!facts) {
        err_set(err, EXIT_INTERNAL, "out of memory");
        return NULL;
    }
    if (read_one(facts, folder, "hive-site.xml", hadoop_xml_read, add_hadoop, err) < 0 ||
        read_one(facts, folder, "metastore-site.xml", hadoop_xml_read, add_hadoop, err) < 0 ||
        read_one(facts, folder, "spark-defaults.conf", properties_read, add_spark, err) < 0) {
        facts_free(facts);
        return NULL;
    }
    return facts;
}

void facts_free(struct facts *facts)
{
    if (!facts)
        return;
    for (size_t i = 0; i < facts->count; i++) {
        free(facts->list[i].key);
        wipe_string(facts->list[i].value);
    }
    free(facts->list);
    free(facts);
}

const char *facts_get(const struct facts *facts, const char *key)
{
    for (size_t i = facts->count; i > 0; i--) {
        if (strcmp(facts->list[i - 1].key, key) == 0)
            return facts->list[i - 1].value;
    }
    return NULL;
}

const char *facts_get_either(const struct facts *facts, const char *key, const char *other)
{
    const char *value = facts_get(facts, key);

    return value ? value : facts_get(facts, other);
}

bool facts_is_true(const struct facts *facts, const char *key, bool fallback)
{
    const char *value = facts_get(facts, key);

    return value ? strcasecmp(value, "true") == 0 : fallback;
}

/* A port for the URL text: 1 to 65535, else -1 with err, which names where it was set. */
static int check_port(const char *port, const char *origin, struct err *err)
{
    size_t digits = strspn(port, "0123456789");
    unsigned number = 0;

    for (const char *p = port; digits <= 5 && *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (unsigned)(*p - '0');
    if (digits > 0 && !port[digits] && number >= 1 && number <= 65535)
        return 0;
    return err_set(err, EXIT_CONFIG, "%s: \"%.80s\" is not a port", origin, port);
}

/* What a server bound to bind_host is reached at from its own machine. */
static const char *local_host(const char *bind_host)
{
    static const char *const all[] = {"", "0.0.0.0", "::", "[::]"};

    if (!bind_host)
        return "127.0.0.1";
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(bind_host, all[i]) == 0)
            return "127.0.0.1";
    }
    return bind_host;
}

/* Parse "SCHEME://HOST:PORT" + path, an IPv6 address put in brackets. */
static int parse_local(const char *scheme, const char *host, const char *port, const char *path,
                       struct target *ret, struct err *err)
{
    bool bare_ipv6 = strchr(host, ':') && *host != '[';
    char url[TARGET_URL_BYTES];

    if ((size_t)snprintf(url, sizeof(url), "%s://%s%s%s:%s%s", scheme, bare_ipv6 ? "[" : "", host,
                         bare_ipv6 ? "]" : "", port, path) >= sizeof(url))
        return err_set(err, EXIT_CONFIG, "%.80s…: the host name is too long", host);
    if (target_parse(url, ret, err) == 0)
        return 0;
    err->status = EXIT_CONFIG;
    return -1;
}

int facts_postgres(const struct facts *facts, struct target *ret, struct err *err)
{
    static const char key[] = "javax.jdo.option.ConnectionURL", kind[] = "jdbc:postgresql:";
    const char *url = facts_get(facts, key);

    if (!url || strncmp(url, kind, strlen(kind)) != 0)
        return 0;
    if (target_parse(url, ret, err) < 0) {
        err->status = EXIT_CONFIG;
        return err_wrap(err, "%s", key);
    }
    if (target_set_login(ret, facts_get(facts, "javax.jdo.option.ConnectionUserName"),
                         facts_get(facts, "javax.jdo.option.ConnectionPassword")) == 0)
        return 1;
    target_free(ret);
    return err_set(err, EXIT_INTERNAL, "out of memory");
}

/* The metastore's keys have two names, and MetastoreConf asks for metastore.* first. */
static bool is_true_either(const struct facts *facts, const char *key, const char *other)
{
    return facts_is_true(facts, facts_get(facts, key) ? key : other, false);
}

/* What a metastore's clients and the server itself say in the same words. */
static void set_metastore_transport(const struct facts *facts, struct target *target)
{
    target->tls = is_true_either(facts, "metastore.use.SSL", "hive.metastore.use.SSL");
    /* Kerberos: only a connection can be tried. */
    if (is_true_either(facts, "metastore.sasl.enabled", "hive.metastore.sasl.enabled"))
        target->kind = TARGET_TCP;
}

int facts_metastore(const struct facts *facts, struct target *ret, struct err *err)
{
    static const char key[] = "hive.metastore.uris";
    const char *uris = facts_get_either(facts, key, "metastore.thrift.uris");

    if (!uris || !*uris)
        return 0;
    if (target_parse(uris, ret, err) < 0) {
        err->status = EXIT_CONFIG;
        return err_wrap(err, "%s", key);
    }
    if (ret->kind != TARGET_METASTORE) {
        target_free(ret);
        return err_set(err, EXIT_CONFIG, "%s: \"%.200s\" does not begin with thrift://", key, uris);
    }
    set_metastore_transport(facts, ret);
    return 1;
}

int facts_own_metastore(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err)
{
    const char *port = service_getenv(environment, "METASTORE_PORT");
    const char *host =
        facts_get_either(facts, "metastore.thrift.bind.host", "hive.metastore.bind.host");

    if (!port)
        port = facts_get_either(facts, "metastore.thrift.port", "hive.metastore.port");
    if (!port)
        port = "9083";
    if (check_port(port, "METASTORE_PORT or metastore.thrift.port", err) < 0 ||
        parse_local("thrift", local_host(host), port, "", ret, err) < 0)
        return -1;
    set_metastore_transport(facts, ret);
    return 0;
}

/* The environment's value if there is one: ThriftCLIService.init() asks it first. */
static const char *get_over(const struct facts *facts, char *const *environment, const char *name,
                            const char *key, const char *fallback)
{
    const char *value = service_getenv(environment, name);

    if (!value)
        value = facts_get(facts, key);
    return value ? value : fallback;
}

/* ThriftHttpCLIService.getHttpPath(): slashes at both ends are added, a last asterisk too. */
static char *make_http_path(const char *path)
{
    size_t len = strlen(path);
    BUF_AUTO out = BUF_INIT(4096);

    while (len && (path[len - 1] == '*' || path[len - 1] == '/'))
        len--;
    if (*path != '/')
        buf_add_char(&out, '/');
    buf_add(&out, path, len);
    return buf_failed(&out) ? NULL : buf_steal(&out);
}

/* HiveAuthFactory compares these without regard to case. */
static void set_authentication(const char *name, struct target *server)
{
    if (strcasecmp(name, "NOSASL") == 0)
        server->auth = TARGET_AUTH_NOSASL;
    else if (strcasecmp(name, "KERBEROS") == 0)
        server->auth = TARGET_AUTH_OTHER;
    else
        server->auth = TARGET_AUTH_PLAIN;
    server->lockout = server->auth == TARGET_AUTH_PLAIN && strcasecmp(name, "NONE") != 0;
}

static int find_server(const struct facts *facts, char *const *environment, struct target *ret,
                       struct err *err)
{
    const char *mode = facts_get(facts, "hive.server2.transport.mode");
    const char *authentication = facts_get(facts, "hive.server2.authentication");
    const char *path = facts_get(facts, "hive.server2.thrift.http.path");
    const char *host = get_over(facts, environment, "HIVE_SERVER2_THRIFT_BIND_HOST",
                                "hive.server2.thrift.bind.host", NULL);
    bool http = mode && strcasecmp(mode, "http") == 0;
    const char *key = http ? "hive.server2.thrift.http.port" : "hive.server2.thrift.port";
    const char *port =
        http ? get_over(facts, environment, "HIVE_SERVER2_THRIFT_HTTP_PORT", key, "10001")
             : get_over(facts, environment, "HIVE_SERVER2_THRIFT_PORT", key, "10000");

    if (check_port(port, key, err) < 0 ||
        parse_local("hive2", local_host(host), port, "", ret, err) < 0)
        return -1;
    set_authentication(authentication ? authentication : "NONE", ret);
    ret->tls = facts_is_true(facts, "hive.server2.use.SSL", false);
    ret->http_transport = http;
    if (!http)
        return 0;
    free(ret->path);
    ret->path = make_http_path(path ? path : "cliservice");
    if (ret->path)
        return 0;
    target_free(ret);
    return err_set(err, EXIT_INTERNAL, "out of memory");
}

/* WebUI binds to SPARK_LOCAL_IP where that is set. "/" is a redirection, which costs Spark nothing,
 * while the first call of the REST API takes seconds on a busy machine. */
static int find_ui(const struct facts *facts, char *const *environment, struct target *ret,
                   bool *ret_has_ui, struct err *err)
{
    const char *port = facts_get(facts, "spark.ui.port");
    const char *host = service_getenv(environment, "SPARK_LOCAL_IP");

    *ret_has_ui =
        facts_is_true(facts, "spark.ui.enabled", true) && !(port && strcmp(port, "0") == 0);
    *ret = (struct target){0};
    if (!*ret_has_ui)
        return 0;
    if (!port)
        port = "4040";
    if (check_port(port, "spark.ui.port", err) < 0 ||
        parse_local("http", local_host(host), port, "/", ret, err) < 0)
        return -1;
    ret->any_status = true;
    return 0;
}

int facts_thrift_server(const struct facts *facts, char *const *environment,
                        struct target *ret_server, struct target *ret_ui, bool *ret_has_ui,
                        struct err *err)
{
    if (find_server(facts, environment, ret_server, err) < 0)
        return -1;
    if (find_ui(facts, environment, ret_ui, ret_has_ui, err) == 0)
        return 0;
    target_free(ret_server);
    return -1;
}
