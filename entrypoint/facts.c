#include "entrypoint/facts.h"

#include "common/buf.h"
#include "common/fd.h"
#include "confgen/hadoop_xml.h"
#include "confgen/pairs.h"
#include "confgen/properties.h"
#include "entrypoint/masking.h"
#include "entrypoint/service.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_FILE_BYTES ((size_t)16 << 20)
#define UI_TLS_OFFSET 400 /* WebUI, JettyUtils.startJettyServer() */

struct facts {
    struct buf pairs; /* KEY NUL VALUE NUL … */
};

/* As spark.redaction.regex has it by default, and Azure's account keys. */
static bool is_secret(const char *key)
{
    static const char *const words[] = {"password", "secret", "token", "access.key", "account.key"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(key, words[i]))
            return true;
    }
    return false;
}

static void add_exactly(struct facts *facts, const char *key, const char *value, size_t len)
{
    if (is_secret(key))
        masking_add(value, len);
    buf_add(&facts->pairs, key, strlen(key) + 1);
    buf_add(&facts->pairs, value, strnlen(value, len));
    buf_add_char(&facts->pairs, '\0');
}

/* Without the blanks that String.trim() takes off. */
static void add(struct facts *facts, const char *key, const char *value, size_t len)
{
    while (len && (unsigned char)value[len - 1] <= ' ')
        len--;
    while (len && (unsigned char)*value <= ' ') {
        value++;
        len--;
    }
    add_exactly(facts, key, value, len);
}

/* Hadoop reads an empty <value> as unset. It trims what it reads as a number, a class or a list,
 * but neither a user nor a password. */
static int add_hadoop(void *facts, const struct pair *pair)
{
    static const char login[] = "javax.jdo.option.Connection";
    const char *key = pair->key, *value = pair->value;
    size_t len = pair->value_len;

    if (len && strncmp(key, login, strlen(login)) == 0 && strcmp(key + strlen(login), "URL") != 0)
        add_exactly(facts, key, value, len);
    else if (len)
        add(facts, key, value, len);
    return 0;
}

/* spark.hadoop.X reaches Hadoop's configuration as X, spark.hive.X as hive.X
 * (SparkHadoopUtil.appendSparkHadoopConfigs, appendSparkHiveConfigs). */
static int add_spark(void *facts, const struct pair *pair)
{
    static const char hadoop[] = "spark.hadoop.", hive[] = "spark.hive.";
    const char *key = pair->key, *value = pair->value;
    size_t len = pair->value_len;

    add(facts, key, value, len);
    if (strncmp(key, hadoop, strlen(hadoop)) == 0)
        add(facts, key + strlen(hadoop), value, len);
    if (strncmp(key, hive, strlen(hive)) == 0)
        add(facts, key + strlen("spark."), value, len);
    return 0;
}

typedef int (*reader_fn)(const char *data, size_t len, pairs_fn fn, void *context, struct err *err);

static int read_one(struct facts *facts, const char *folder, const char *name, reader_fn reader,
                    pairs_fn fn, struct err *err)
{
    BUF_AUTO content = BUF_INIT(MAX_FILE_BYTES);
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (fd_read_file(path, &content) < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, EXIT_CONFIG, "%s", path);
    if (reader(buf_str(&content), content.len, fn, facts, err) < 0)
        return err_wrap(err, "%s", path);
    return 0;
}

/* One argument that sets something; flag has len bytes. */
static void add_arg(struct facts *facts, const char *flag, size_t len, const char *value)
{
    static const struct {
        const char *flag, *key; /* NULL: the value is KEY=VALUE */
    } flags[] = {{"--conf", NULL},
                 {"-c", NULL},
                 {"--hiveconf", NULL},
                 {"--master", "spark.master"},
                 {"-p", "-p"}};
    size_t key_len = strcspn(value, "=");
    char key[256];

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strlen(flags[i].flag) != len || strncmp(flags[i].flag, flag, len) != 0)
            continue;
        (void)snprintf(key, sizeof(key), "%.*s", (int)key_len, value);
        if (flags[i].key)
            add(facts, flags[i].key, value, strlen(value));
        else if (value[key_len])
            add_spark(facts, &(struct pair){.key = key,
                                            .value = value + key_len + 1,
                                            .value_len = strlen(value + key_len + 1)});
    }
}

static void add_args(struct facts *facts, char *const *args)
{
    for (; args && *args; args++) {
        size_t len = strcspn(*args, "=");
        const char *value = (*args)[len] ? *args + len + 1 : args[1];

        if (value)
            add_arg(facts, *args, len, value);
    }
}

static bool find_properties_file(char *const *args)
{
    static const char flag[] = "--properties-file";

    for (; args && *args; args++) {
        if (strncmp(*args, flag, strlen(flag)) == 0)
            return true;
    }
    return false;
}

struct facts *facts_read(const char *folder, char *const *args, struct err *err)
{
    /* In the order of MetastoreConf.newMetastoreConf(), later ones winning. */
    static const char *const hadoop_files[] = {"core-site.xml", "hive-site.xml",
                                               "hivemetastore-site.xml", "metastore-site.xml"};
    struct facts *facts = calloc(1, sizeof(*facts));
    int result = 0;

    if (!facts) {
        err_no_memory(err);
        return NULL;
    }
    facts->pairs = BUF_INIT(4 * MAX_FILE_BYTES);
    for (size_t i = 0; i < sizeof(hadoop_files) / sizeof(hadoop_files[0]) && result == 0; i++)
        result = read_one(facts, folder, hadoop_files[i], hadoop_xml_read, add_hadoop, err);
    if (result < 0 ||
        read_one(facts, folder, "spark-defaults.conf", properties_read, add_spark, err) < 0) {
        facts_free(&facts);
        return NULL;
    }
    if (find_properties_file(args)) {
        err_set(err, EXIT_USAGE,
                "--properties-file makes Spark ignore the rendered spark-defaults.conf: put its "
                "settings there, or give them as --conf KEY=VALUE");
        facts_free(&facts);
        return NULL;
    }
    add_args(facts, args);
    if (buf_failed(&facts->pairs)) {
        err_no_memory(err);
        facts_free(&facts);
    }
    return facts;
}

void facts_free(struct facts **facts)
{
    if (*facts)
        buf_free(&(*facts)->pairs);
    free(*facts);
    *facts = NULL;
}

const char *facts_get(const struct facts *facts, const char *key)
{
    const char *at = buf_str(&facts->pairs), *end = at + facts->pairs.len, *found = NULL;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcmp(at, key) == 0)
            found = value;
        at = value + strlen(value) + 1;
    }
    return found;
}

/* As Boolean.parseBoolean() reads it. */
static bool is_true(const char *value)
{
    return value && strcasecmp(value, "true") == 0;
}

/* What is wrong with a URL is wrong with the configuration's key. */
static int blame(const char *key, struct err *err)
{
    err->status = EXIT_CONFIG;
    return err_wrap(err, "%s", key);
}

/* Parse "SCHEME://HOST:PORT" + rest: what a server on this machine that is bound to bind_host (NULL
 * is all) is reached at. key is where the port was set. */
static int parse_own(const char *key, const char *scheme, const char *bind_host, const char *port,
                     const char *rest, struct target *ret, struct err *err)
{
    static const char *const all[] = {"", "0.0.0.0", "::", "[::]"};
    const char *host = bind_host ?: "";
    BUF_AUTO url = BUF_INIT(8192);
    bool bare_ipv6;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(host, all[i]) == 0)
            host = "127.0.0.1";
    }
    bare_ipv6 = strchr(host, ':') && *host != '[';
    buf_printf(&url, "%s://%s%s%s:%s%s", scheme, bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "",
               port, rest);
    return target_parse(buf_str(&url), ret, err) < 0 ? blame(key, err) : 0;
}

/* Hadoop would expand ${env.X} and ${x} where we read the files as they are. What follows a "?" may
 * be a password. */
static int refuse_variable(const char *key, const char *value, struct err *err)
{
    int len = (int)strcspn(value, "?");

    if (!strstr(value, "${"))
        return 0;
    return err_set(err, EXIT_CONFIG,
                   "%s: \"%.*s\" holds a variable that only Hadoop expands: write ${NAME} in the "
                   "template instead",
                   key, len < 200 ? len : 200, value);
}

/* The driver lets the URL's user win. */
int facts_postgres(const struct facts *facts, struct target *ret, struct err *err)
{
    static const char key[] = "javax.jdo.option.ConnectionURL", kind[] = "jdbc:postgresql:";
    const char *url = facts_get(facts, key);
    const char *user = facts_get(facts, "javax.jdo.option.ConnectionUserName");
    const char *password = facts_get(facts, "javax.jdo.option.ConnectionPassword");

    if (!url || strncmp(url, kind, strlen(kind)) != 0)
        return 0;
    if (refuse_variable(key, url, err) < 0)
        return -1;
    if (target_parse(url, ret, err) < 0)
        return blame(key, err);
    ret->deep = true;
    if (target_set_login(ret, ret->user ? NULL : user, password) < 0) {
        target_free(ret);
        return err_no_memory(err);
    }
    return 1;
}

/* The metastore's keys have two names, and MetastoreConf asks for metastore.* first. */
static const char *get_either(const struct facts *facts, const char *hive_key)
{
    return facts_get(facts, hive_key + strlen("hive.")) ?: facts_get(facts, hive_key);
}

/* With Kerberos, the compact protocol or (from 4.0 on) HTTP only a connection can be tried. */
static void set_metastore_transport(const struct facts *facts, const char *mode_key,
                                    struct target *target)
{
    const char *mode = get_either(facts, mode_key);

    target->tls = is_true(get_either(facts, "hive.metastore.use.SSL"));
    target->framed = is_true(get_either(facts, "hive.metastore.thrift.framed.transport.enabled"));
    if (is_true(get_either(facts, "hive.metastore.sasl.enabled")) ||
        is_true(get_either(facts, "hive.metastore.thrift.compact.protocol.enabled")) ||
        (mode && strcasecmp(mode, "http") == 0))
        target->kind = TARGET_TCP;
}

int facts_metastore(const struct facts *facts, struct target *ret, struct err *err)
{
    static const char key[] = "hive.metastore.uris";
    const char *uris = facts_get(facts, key) ?: facts_get(facts, "metastore.thrift.uris");

    if (!uris || !*uris)
        return 0;
    if (refuse_variable(key, uris, err) < 0)
        return -1;
    if (target_parse(uris, ret, err) < 0)
        return blame(key, err);
    if (ret->kind != TARGET_METASTORE) {
        target_free(ret);
        return err_set(err, EXIT_CONFIG, "%s: \"%.200s\" does not begin with thrift://", key, uris);
    }
    set_metastore_transport(facts, "hive.metastore.client.thrift.transport.mode", ret);
    return 1;
}

int facts_own_metastore(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err)
{
    static const char key[] = "METASTORE_PORT or metastore.thrift.port";
    const char *port = facts_get(facts, "-p")
                           ?: service_getenv(environment, "METASTORE_PORT")
                           ?: facts_get(facts, "metastore.thrift.port")
                           ?: facts_get(facts, "hive.metastore.port")
                           ?: "9083";
    const char *host = facts_get(facts, "metastore.thrift.bind.host")
                           ?: facts_get(facts, "hive.metastore.bind.host");

    if (parse_own(key, "thrift", host, port, "", ret, err) < 0)
        return -1;
    set_metastore_transport(facts, "hive.metastore.server.thrift.transport.mode", ret);
    return 0;
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

/* ThriftHttpCLIService.getHttpPath(): slashes at both ends are added, a last asterisk too. */
static void add_http_transport(const struct facts *facts, struct buf *url)
{
    const char *path = facts_get(facts, "hive.server2.thrift.http.path") ?: "cliservice";
    size_t len = strlen(path);

    while (len && (path[len - 1] == '*' || path[len - 1] == '/'))
        len--;
    buf_printf(url, ";transportMode=http;httpPath=%.*s", (int)len, path);
}

/* ThriftCLIService.init() asks the environment first. */
int facts_thrift_server(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err)
{
    const char *mode = facts_get(facts, "hive.server2.transport.mode");
    bool http = mode && strcasecmp(mode, "http") == 0;
    const char *variable = http ? "HIVE_SERVER2_THRIFT_HTTP_PORT" : "HIVE_SERVER2_THRIFT_PORT";
    const char *key = http ? "hive.server2.thrift.http.port" : "hive.server2.thrift.port";
    const char *port = service_getenv(environment, variable)
                           ?: facts_get(facts, key)
                           ?: (http ? "10001" : "10000");
    const char *host = service_getenv(environment, "HIVE_SERVER2_THRIFT_BIND_HOST")
                           ?: facts_get(facts, "hive.server2.thrift.bind.host");
    BUF_AUTO rest = BUF_INIT(4096);

    if (http)
        add_http_transport(facts, &rest);
    if (parse_own(key, "hive2", host, port, buf_str(&rest), ret, err) < 0)
        return -1;
    set_authentication(facts_get(facts, "hive.server2.authentication") ?: "NONE", ret);
    ret->tls = is_true(facts_get(facts, "hive.server2.use.SSL"));
    return 0;
}

/* WebUI binds to SPARK_LOCAL_IP where that is set. "/" is a redirection, which costs Spark nothing,
 * while the first call of the REST API takes seconds on a busy machine. */
int facts_ui(const struct facts *facts, char *const *environment, struct target *ret,
             struct err *err)
{
    static const char key[] = "spark.ui.port";
    const char *host = service_getenv(environment, "SPARK_LOCAL_IP");
    const char *port = facts_get(facts, key) ?: "4040";
    const char *tls_port = facts_get(facts, "spark.ssl.ui.port") ?: "0";
    bool tls =
        is_true(facts_get(facts, "spark.ssl.ui.enabled") ?: facts_get(facts, "spark.ssl.enabled"));

    if (!is_true(facts_get(facts, "spark.ui.enabled") ?: "true") || strcmp(port, "0") == 0)
        return 0;
    if (parse_own(key, tls ? "https" : "http", host,
                  tls && strcmp(tls_port, "0") != 0 ? tls_port : port, "/", ret, err) < 0)
        return -1;
    if (tls && strcmp(tls_port, "0") == 0)
        ret->hosts[0].port = (uint16_t)(ret->hosts[0].port + UI_TLS_OFFSET);
    ret->any_status = true;
    return 1;
}
