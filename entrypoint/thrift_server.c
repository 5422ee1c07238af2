#include "entrypoint/thrift_server.h"

#include "common/cgroup.h"
#include "common/fd.h"
#include "common/log.h"
#include "entrypoint/java.h"
#include "entrypoint/kubernetes.h"
#include "entrypoint/memory.h"

#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* KUBERNETES_POD_NAME_PREFIX_MAX_LENGTH: "-exec-" and ten digits must fit a DNS-1123 name. */
#define PREFIX_MAX_BYTES 237

#define VALUE_MAX_BYTES ((size_t)1 << 20)

static const char *spark_home(char *const *environment)
{
    const char *home = service_getenv(environment, "SPARK_HOME");

    return home && *home ? home : "/opt/spark";
}

int thrift_server_fill_targets(const struct service *service, struct target *ret, struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);
    int found = facts ? facts_metastore(facts, ret, err) : -1;

    if (found == 1 && service_set_trust(service->config, ret, err) < 0)
        found = -1;
    if (found == 0)
        log_warn("service", "hive.metastore.uris is not set: the catalogue is an embedded one and "
                            "goes with the pod");
    return found;
}

/* Without it no table can be queried. Where only a connection could be tried, with Kerberos for
 * instance, nothing is: each would be a stack trace in the metastore's log. */
static int add_metastore(const struct service *service, const struct facts *facts,
                         struct monitor_plan *ret, struct err *err)
{
    int found = facts_metastore(facts, &ret->metastore, err);

    if (found == 1 && service_set_trust(service->config, &ret->metastore, err) < 0)
        found = -1;
    ret->has_metastore = found == 1 && ret->metastore.kind == TARGET_METASTORE;
    return found < 0 ? -1 : 0;
}

static int find_own(const struct service *service, const struct facts *facts,
                    struct monitor_plan *ret, struct err *err)
{
    int has_ui;

    if (facts_thrift_server(facts, service->environment, &ret->service, err) < 0 ||
        service_set_own_trust(service->config, &ret->service, err) < 0)
        return -1;
    has_ui = facts_ui(facts, service->environment, &ret->ui, err);
    ret->has_service = true;
    ret->has_ui = has_ui == 1;
    return has_ui < 0 ? -1 : service_set_own_trust(service->config, &ret->ui, err);
}

int thrift_server_find(const struct service *service, struct monitor_plan *ret, struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);

    return facts ? find_own(service, facts, ret, err) : -1;
}

int thrift_server_make_plan(const struct service *service, struct monitor_plan *ret,
                            struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);

    if (!facts || find_own(service, facts, ret, err) < 0 ||
        service_set_user(service->config, service->environment, &ret->service, err) < 0)
        return -1;
    service_jar_version(spark_home(service->environment), "jars/spark-core_*.jar",
                        ret->service.version, sizeof(ret->service.version));
    return add_metastore(service, facts, ret, err);
}

bool thrift_server_has_executor_pods(const struct facts *facts, char *const *environment)
{
    const char *master = facts_get(facts, "spark.master");

    return service_getenv(environment, "KUBERNETES_SERVICE_HOST") &&
           (!master || strncmp(master, "k8s:", 4) == 0);
}

static void add_address(const char *address, struct buf *value)
{
    if (strchr(address, ':') && *address != '[')
        buf_printf(value, "[%s]", address);
    else
        buf_add_str(value, address);
}

/* The finders: each writes the value, or nothing if the key is not to be set. */

static void find_master(const struct thrift_server_driver *driver, struct buf *value)
{
    const char *host = service_getenv(driver->environment, "KUBERNETES_SERVICE_HOST");
    const char *port = service_getenv(driver->environment, "KUBERNETES_SERVICE_PORT");

    if (host) {
        buf_add_str(value, "k8s://https://");
        add_address(host, value);
        buf_printf(value, ":%s", port ?: "443");
    } else {
        buf_add_str(value, "local[*]");
    }
}

static void find_driver_memory(const struct thrift_server_driver *driver, struct buf *value)
{
    if (driver->memory_limit && !service_getenv(driver->environment, "SPARK_DRIVER_MEMORY"))
        buf_printf(value, "%" PRId64 "m", memory_driver_heap_mib(driver->memory_limit));
}

static void find_namespace(const struct thrift_server_driver *driver, struct buf *value)
{
    const char *set = driver->config->kubernetes.namespace;

    buf_add_str(value, *set ? set : driver->namespace);
}

static void find_pod_name(const struct thrift_server_driver *driver, struct buf *value)
{
    const char *set = driver->config->kubernetes.pod_name;

    buf_add_str(value, *set ? set : service_getenv(driver->environment, "HOSTNAME") ?: "");
}

/* The pod's name and the start: executors of an earlier start may still be there, and a name that
 * is taken costs Spark an executor id and a second each. */
static void find_pod_name_prefix(const struct thrift_server_driver *driver, struct buf *value)
{
    BUF_AUTO name = BUF_INIT(4096);
    char start[24];
    size_t most = PREFIX_MAX_BYTES -
                  (size_t)snprintf(start, sizeof(start), "-%" PRIx64, (uint64_t)driver->start);
    size_t len;

    find_pod_name(driver, &name);
    len = name.len < most ? name.len : most;
    while (len && (name.data[len - 1] == '-' || name.data[len - 1] == '.'))
        len--;
    buf_add(value, buf_str(&name), len);
    buf_add_str(value, len ? start : "");
}

static const char *get_pod_ip(const struct thrift_server_driver *driver)
{
    const char *set = driver->config->kubernetes.pod_ip;

    return *set ? set : driver->address;
}

static void find_driver_host(const struct thrift_server_driver *driver, struct buf *value)
{
    add_address(get_pod_ip(driver), value);
}

static void find_bind_address(const struct thrift_server_driver *driver, struct buf *value)
{
    buf_add_str(value, strchr(get_pod_ip(driver), ':') ? "[::]" : "0.0.0.0");
}

static void find_pod_uid(const struct thrift_server_driver *driver, struct buf *value)
{
    buf_add_str(value, service_getenv(driver->environment, "POD_UID") ?: "");
}

/* Spark's default is for ever, which for a server that never ends means that no executor with
 * shuffle data is ever given back. */
static void find_shuffle_timeout(const struct thrift_server_driver *driver, struct buf *value)
{
    const char *enabled = facts_get(driver->facts, "spark.dynamicAllocation.enabled");

    if (enabled && strcmp(enabled, "true") == 0)
        buf_add_str(value, "30min");
}

static bool is_authenticated(const struct thrift_server_driver *driver)
{
    const char *enabled = facts_get(driver->facts, "spark.authenticate");

    return enabled && strcmp(enabled, "true") == 0;
}

/* Who holds spark.authenticate's secret is known; what is then sent, storage secrets among it, is
 * to be read by nobody else. */
static void find_encryption(const struct thrift_server_driver *driver, struct buf *value)
{
    if (is_authenticated(driver))
        buf_add_str(value, "true");
}

/* Spark has AES/GCM since 3.5.2, but before 3.5.9 and in the first 4.x it loses every message but
 * the first of a connection (SPARK-56227). */
static bool has_gcm(const char *version)
{
    unsigned major = 0, minor = 0, patch = 0;

    return sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch) == 3 &&
           ((major == 3 && minor == 5 && patch >= 9) || (major == 4 && minor >= 3) || major > 4);
}

static void find_cipher(const struct thrift_server_driver *driver, struct buf *value)
{
    if (is_authenticated(driver) && has_gcm(driver->version))
        buf_add_str(value, "AES/GCM/NoPadding");
}

/* Keys derived as they should be, which GCM's release brought. */
static void find_auth_engine(const struct thrift_server_driver *driver, struct buf *value)
{
    if (is_authenticated(driver) && has_gcm(driver->version))
        buf_add_str(value, "2");
}

enum place { ANYWHERE, IN_KUBERNETES };

#define SETTING(field) offsetof(struct config, field)

/* What is set where nobody else does: to value, or what find() writes, or a setting of ours. */
static const struct rule {
    enum place place;
    const char *key;
    const char *value;
    void (*find)(const struct thrift_server_driver *driver, struct buf *value);
    size_t setting;      /* offset of the string in struct config */
    const char *missing; /* what to do when there is no value; NULL: the key is left out */
    const char *instead; /* a key that, set by the user, makes this one needless */
} rules[] = {
    {ANYWHERE, "spark.master", .find = find_master},
    {ANYWHERE, "spark.driver.memory", .find = find_driver_memory},
    {ANYWHERE, "spark.hadoop.hive.server2.enable.doAs", .value = "false",
     .instead = "hive.server2.enable.doAs"},
    {ANYWHERE, "spark.redaction.regex",
     .value = "(?i)secret|password|token|access[.]?key|account[.]key"},
    {IN_KUBERNETES, "spark.submit.deployMode", .value = "client"},
    {IN_KUBERNETES, "spark.kubernetes.namespace", .find = find_namespace,
     .missing = "set kubernetes.namespace (SPARKPOD_KUBERNETES_NAMESPACE): there is no service "
                "account to take it from"},
    {IN_KUBERNETES, "spark.kubernetes.driver.pod.name", .find = find_pod_name,
     .missing = "set kubernetes.pod_name (SPARKPOD_KUBERNETES_POD_NAME) to the pod's "
                "metadata.name"},
    {IN_KUBERNETES, "spark.kubernetes.executor.podNamePrefix", .find = find_pod_name_prefix},
    {IN_KUBERNETES, "spark.driver.host", .find = find_driver_host,
     .missing = "set kubernetes.pod_ip (SPARKPOD_KUBERNETES_POD_IP) to the pod's status.podIP: "
                "the executors need it to reach the driver"},
    {IN_KUBERNETES, "spark.driver.bindAddress", .find = find_bind_address},
    {IN_KUBERNETES, "spark.driver.port", .value = "7078"},
    {IN_KUBERNETES, "spark.driver.blockManager.port", .value = "7079",
     .instead = "spark.blockManager.port"},
    {IN_KUBERNETES, "spark.kubernetes.container.image", .setting = SETTING(spark.executor_image),
     .missing = "no image for the executors: set spark.executor_image "
                "(SPARKPOD_SPARK_EXECUTOR_IMAGE), or spark.kubernetes.container.image in "
                "spark-defaults.conf",
     .instead = "spark.kubernetes.executor.container.image"},
    {IN_KUBERNETES, "spark.kubernetes.container.image.pullSecrets",
     .setting = SETTING(kubernetes.image_pull_secrets)},
    {IN_KUBERNETES, "spark.kubernetes.authenticate.driver.serviceAccountName",
     .setting = SETTING(kubernetes.service_account)},
    {IN_KUBERNETES, "spark.kubernetes.authenticate.executor.serviceAccountName",
     .setting = SETTING(kubernetes.service_account)},
    {IN_KUBERNETES, "spark.kubernetes.executor.label." THRIFT_SERVER_UID_LABEL,
     .find = find_pod_uid},
    {IN_KUBERNETES, "spark.executorEnv.SPARKPOD_JAVA_ARCHIVE", .setting = SETTING(java.archive)},
    {IN_KUBERNETES, "spark.network.crypto.enabled", .find = find_encryption},
    {IN_KUBERNETES, "spark.network.crypto.cipher", .find = find_cipher},
    {IN_KUBERNETES, "spark.network.crypto.authEngineVersion", .find = find_auth_engine},
    {IN_KUBERNETES, "spark.executor.failuresValidityInterval", .value = "1h"},
    /* One bad statement costs four executors, and Spark's limit is twice as many as there are: it
     * would end the server, and with it everybody's sessions. A new server would not fail less. */
    {IN_KUBERNETES, "spark.executor.maxNumFailures", .value = "2147483647"},
    {IN_KUBERNETES, "spark.dynamicAllocation.shuffleTracking.timeout",
     .find = find_shuffle_timeout},
};

static void add_conf(struct command *command, const char *key, const struct buf *value)
{
    BUF_AUTO pair = BUF_INIT(VALUE_MAX_BYTES);

    buf_printf(&pair, "%s=%s", key, buf_str(value));
    command->failed |= buf_failed(value) || buf_failed(&pair);
    command_add(command, "--conf");
    command_add(command, buf_str(&pair));
}

static int apply(const struct rule *rule, const struct thrift_server_driver *driver,
                 struct command *ret, struct err *err)
{
    const char *const *setting = (const void *)((const char *)driver->config + rule->setting);
    BUF_AUTO value = BUF_INIT(VALUE_MAX_BYTES);

    if ((rule->place == IN_KUBERNETES &&
         !thrift_server_has_executor_pods(driver->facts, driver->environment)) ||
        facts_get(driver->facts, rule->key) ||
        (rule->instead && facts_get(driver->facts, rule->instead)))
        return 0;
    if (rule->find)
        rule->find(driver, &value);
    else
        buf_add_str(&value, rule->value ?: *setting);
    if (value.len)
        add_conf(ret, rule->key, &value);
    else if (rule->missing)
        return err_set(err, EXIT_CONFIG, "%s", rule->missing);
    return 0;
}

/* Spark puts the default options in front of spark.driver.extraJavaOptions, which are left alone:
 * they may hold a secret. spark.shutdown.timeout is read by Spark 4, before any SparkConf, hence as
 * -D; to 3.5 it is an unknown key (there, hadoop.service.shutdown.timeout in core-site.xml does
 * it). */
static void add_java_options(const struct thrift_server_driver *driver, struct command *ret)
{
    static const char key[] = "spark.driver.defaultJavaOptions";
    const char *given = facts_get(driver->facts, key);
    int64_t grace = driver->config->shutdown.grace;
    BUF_AUTO options = BUF_INIT(VALUE_MAX_BYTES);

    if (given)
        buf_printf(&options, "%s ", given);
    buf_add_str(&options, "-XX:+ExitOnOutOfMemoryError");
    if (grace > 0)
        buf_printf(&options, " -Dspark.shutdown.timeout=%" PRId64 "ms", grace);
    add_conf(ret, key, &options);
}

int thrift_server_add_confs(const struct thrift_server_driver *driver, struct command *ret,
                            struct err *err)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (apply(&rules[i], driver, ret, err) < 0)
            return -1;
    }
    add_java_options(driver, ret);
    return 0;
}

/* The address that this machine speaks to the API server from, whose pods are to reach it. */
static void read_own_address(const char *server, char *address, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *info;
    struct sockaddr_storage own;
    socklen_t len = sizeof(own);
    FD_AUTO fd = -1;

    *address = '\0';
    if (!server || getaddrinfo(server, "443", &hints, &info) != 0)
        return;
    fd = socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, info->ai_addr, info->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&own, len, address, (socklen_t)size, NULL, 0,
                          NI_NUMERICHOST);
    freeaddrinfo(info);
}

/* A heap that the user chose may not fit; Kubernetes would only say OOMKilled, hours later. */
static void warn_of_memory(const struct thrift_server_driver *driver)
{
    const char *set = facts_get(driver->facts, "spark.driver.memory")
                          ?: service_getenv(driver->environment, "SPARK_DRIVER_MEMORY");
    int64_t heap = set ? memory_parse_mib(set) : 0, limit = driver->memory_limit >> 20;

    if (heap && limit && memory_with_overhead_mib(heap) > limit)
        log_warn("service",
                 "spark.driver.memory %s needs about %" PRId64 " MiB with what a JVM needs beside "
                 "its heap, the container's limit is %" PRId64 " MiB: set at most %" PRId64 "m, or "
                 "leave it to sparkpod",
                 set, memory_with_overhead_mib(heap), limit,
                 memory_driver_heap_mib(driver->memory_limit));
}

static int add_confs(const struct service *service, struct command *ret, struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);
    BUF_AUTO namespace = BUF_INIT(256);
    char address[64], version[16];
    struct thrift_server_driver driver = {
        .facts = facts,
        .config = service->config,
        .environment = service->environment,
        .address = address,
        .memory_limit = cgroup_memory_limit(CGROUP_FOLDER),
        .start = (int64_t)time(NULL),
        .version = version,
    };

    if (!facts)
        return -1;
    service_jar_version(spark_home(service->environment), "jars/spark-core_*.jar", version,
                        sizeof(version));
    read_own_address(service_getenv(service->environment, "KUBERNETES_SERVICE_HOST"), address,
                     sizeof(address));
    (void)fd_read_file(KUBERNETES_SERVICE_ACCOUNT "/namespace", &namespace);
    warn_of_memory(&driver);
    driver.namespace = buf_str(&namespace); /* Kubernetes writes no newline */
    return thrift_server_add_confs(&driver, ret, err);
}

int thrift_server_make_command(const struct service *service, struct command *ret, struct err *err)
{
    const char *home = spark_home(service->environment);
    char script[PATH_MAX];

    *ret = (struct command){0};
    service_clean_environment(service, ret);
    java_lead_command(service, ret);
    command_set(ret, "SPARK_HOME", home);
    command_set(ret, "SPARK_CONF_DIR", service->conf_folder);
    command_set(ret, "SPARK_NO_DAEMONIZE", "1"); /* any value keeps it in the foreground */
    (void)snprintf(script, sizeof(script), "%s/sbin/start-thriftserver.sh", home);
    command_add(ret, script);
    if (add_confs(service, ret, err) < 0) {
        command_free(ret);
        return -1;
    }
    command_add_all(ret, service->args);
    /* start-thriftserver.sh prints its usage and ends when all its arguments, joined, end in "-h",
     * hence the last one, which means nothing to Spark. */
    command_add(ret, "--conf");
    command_add(ret, "spark.sparkpod=true");
    return command_check(ret, err);
}
