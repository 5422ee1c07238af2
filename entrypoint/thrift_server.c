#include "entrypoint/thrift_server.h"

#include "common/fd.h"
#include "common/log.h"
#include "entrypoint/memory.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMESPACE_FILE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

/* KUBERNETES_POD_NAME_PREFIX_MAX_LENGTH: "-exec-" and ten digits must fit a DNS-1123 name. */
#define PREFIX_MAX_BYTES 237

#define VALUE_MAX_BYTES 65536

int thrift_server_find_targets(const struct service *service, struct target **ret,
                               size_t *ret_count, struct err *err)
{
    struct facts *facts = facts_read(service->conf_folder, err);
    int found = -1;

    *ret_count = 0;
    *ret = facts ? calloc(1, sizeof(**ret)) : NULL;
    if (*ret)
        found = facts_metastore(facts, *ret, err);
    else if (facts)
        err_set(err, EXIT_INTERNAL, "out of memory");
    facts_free(facts);
    if (found == 0)
        log_warn("service", "hive.metastore.uris is not set: the catalogue is an embedded one and "
                            "goes with the pod");
    if (found == 1) {
        *ret_count = 1;
        return 0;
    }
    free(*ret);
    *ret = NULL;
    return found;
}

int thrift_server_make_plan(const struct service *service, struct monitor_plan *ret,
                            struct err *err)
{
    struct facts *facts = facts_read(service->conf_folder, err);
    int result;

    *ret = (struct monitor_plan){.has_service = true};
    if (!facts)
        return -1;
    result = facts_thrift_server(facts, service->environment, &ret->service, &ret->ui, &ret->has_ui,
                                 err);
    facts_free(facts);
    return result;
}

/* The value that the user's arguments give key: "--conf KEY=VALUE", "-c KEY=VALUE" or
 * "--conf=KEY=VALUE". NULL if none. */
static const char *get_conf_arg(char *const *args, const char *key)
{
    static const char conf[] = "--conf=";
    size_t len = strlen(key);

    for (; args && *args; args++) {
        const char *pair = *args;

        if (strncmp(pair, conf, strlen(conf)) == 0)
            pair += strlen(conf);
        if (strncmp(pair, key, len) == 0 && pair[len] == '=')
            return pair + len + 1;
    }
    return NULL;
}

/* "--master X" or "--master=X" among the arguments. */
static const char *get_master_arg(char *const *args)
{
    static const char master[] = "--master";

    for (; args && *args; args++) {
        if (strcmp(*args, master) == 0)
            return args[1];
        if (strncmp(*args, master, strlen(master)) == 0 && (*args)[strlen(master)] == '=')
            return *args + strlen(master) + 1;
    }
    return get_conf_arg(args, "spark.master");
}

static const char *get_given(const struct thrift_server_driver *driver, const char *key)
{
    const char *value = get_conf_arg(driver->args, key);

    if (!value && strcmp(key, "spark.master") == 0)
        value = get_master_arg(driver->args);
    return value ? value : facts_get(driver->facts, key);
}

/* Whether executors are to run as pods of the cluster this driver runs in. */
static bool is_in_kubernetes(const struct thrift_server_driver *driver)
{
    const char *master = get_given(driver, "spark.master");

    return service_getenv(driver->environment, "KUBERNETES_SERVICE_HOST") &&
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
        buf_printf(value, ":%s", port ? port : "443");
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
    const char *host = service_getenv(driver->environment, "HOSTNAME");

    buf_add_str(value, *set || !host ? set : host);
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
    const char *uid = service_getenv(driver->environment, "POD_UID");

    buf_add_str(value, uid ? uid : "");
}

/* Spark's default is for ever, which for a server that never ends means that no executor with
 * shuffle data is ever given back. */
static void find_shuffle_timeout(const struct thrift_server_driver *driver, struct buf *value)
{
    const char *enabled = get_given(driver, "spark.dynamicAllocation.enabled");

    if (enabled && strcmp(enabled, "true") == 0)
        buf_add_str(value, "30min");
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
    {IN_KUBERNETES, "spark.executor.failuresValidityInterval", .value = "1h"},
    {IN_KUBERNETES, "spark.dynamicAllocation.shuffleTracking.timeout",
     .find = find_shuffle_timeout},
};

static int add_conf(struct command *command, const char *key, const char *value, struct err *err)
{
    BUF_AUTO pair = BUF_INIT(VALUE_MAX_BYTES);

    if (buf_printf(&pair, "%s=%s", key, value) < 0)
        return err_set(err, EXIT_CONFIG, "%s: the value is too long", key);
    if (command_add(command, "--conf", err) < 0)
        return -1;
    return command_add(command, buf_str(&pair), err);
}

static int apply(const struct rule *rule, const struct thrift_server_driver *driver,
                 struct command *ret, struct err *err)
{
    const void *at = (const char *)driver->config + rule->setting;
    BUF_AUTO found = BUF_INIT(VALUE_MAX_BYTES);

    if (rule->place == IN_KUBERNETES && !is_in_kubernetes(driver))
        return 0;
    if (get_given(driver, rule->key) || (rule->instead && get_given(driver, rule->instead)))
        return 0;
    if (rule->find)
        rule->find(driver, &found);
    else
        buf_add_str(&found, rule->value ? rule->value : *(char *const *)at);
    if (buf_failed(&found))
        return err_set(err, EXIT_CONFIG, "%s: the value is too long", rule->key);
    if (found.len)
        return add_conf(ret, rule->key, buf_str(&found), err);
    return rule->missing ? err_set(err, EXIT_CONFIG, "%s", rule->missing) : 0;
}

/* Spark puts the default options in front of spark.driver.extraJavaOptions, which are left alone:
 * they may hold a secret. spark.shutdown.timeout is read by Spark 4, before any SparkConf, hence as
 * -D; to 3.5 it is an unknown key (there, hadoop.service.shutdown.timeout in core-site.xml does
 * it). */
static int add_java_options(const struct thrift_server_driver *driver, struct command *ret,
                            struct err *err)
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
    if (buf_failed(&options))
        return err_set(err, EXIT_CONFIG, "%s: the value is too long", key);
    return add_conf(ret, key, buf_str(&options), err);
}

int thrift_server_add_confs(const struct thrift_server_driver *driver, struct command *ret,
                            struct err *err)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (apply(&rules[i], driver, ret, err) < 0)
            return -1;
    }
    return add_java_options(driver, ret, err);
}

/* The first address of an interface that is up and not the loopback: a pod has one. */
static void read_own_address(char *address, size_t size)
{
    struct ifaddrs *all;

    *address = '\0';
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *one = all; one && !*address; one = one->ifa_next) {
        int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
        bool usable = (one->ifa_flags & IFF_UP) && !(one->ifa_flags & IFF_LOOPBACK);

        if (!usable || (family != AF_INET && family != AF_INET6))
            continue;
        (void)getnameinfo(one->ifa_addr,
                          family == AF_INET ? sizeof(struct sockaddr_in)
                                            : sizeof(struct sockaddr_in6),
                          address, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
        if (strchr(address, '%')) /* link-local */
            *address = '\0';
    }
    freeifaddrs(all);
}

static int add_confs(const struct service *service, struct command *ret, struct err *err)
{
    BUF_AUTO namespace = BUF_INIT(256);
    char address[64];
    struct facts *facts = facts_read(service->conf_folder, err);
    struct thrift_server_driver driver = {
        .facts = facts,
        .config = service->config,
        .environment = service->environment,
        .args = service->args,
        .memory_limit = memory_limit(MEMORY_CGROUP_FOLDER),
        .start = (int64_t)time(NULL),
        .address = address,
    };
    int result;

    if (!facts)
        return -1;
    read_own_address(address, sizeof(address));
    (void)fd_read_file(NAMESPACE_FILE, &namespace);
    driver.namespace = buf_str(&namespace); /* Kubernetes writes no newline */
    result = thrift_server_add_confs(&driver, ret, err);
    facts_free(facts);
    return result;
}

static int set_environment(const struct service *service, const char *home, struct command *ret,
                           struct err *err)
{
    if (service_clean_environment(service, ret, err) < 0 ||
        command_set(ret, "SPARK_HOME", home, err) < 0 ||
        command_set(ret, "SPARK_CONF_DIR", service->conf_folder, err) < 0)
        return -1;
    /* Any value keeps spark-daemon.sh in the foreground. */
    return command_set(ret, "SPARK_NO_DAEMONIZE", "1", err);
}

int thrift_server_make_command(const struct service *service, struct command *ret, struct err *err)
{
    const char *home = service_getenv(service->environment, "SPARK_HOME");
    char script[4096];

    *ret = (struct command){0};
    if (!home || !*home)
        home = "/opt/spark";
    (void)snprintf(script, sizeof(script), "%s/sbin/start-thriftserver.sh", home);
    /* start-thriftserver.sh prints its usage and ends when all its arguments, joined, end in "-h",
     * hence the last one, which means nothing to Spark. */
    if (set_environment(service, home, ret, err) == 0 && command_add(ret, script, err) == 0 &&
        add_confs(service, ret, err) == 0 && command_add_all(ret, service->args, err) == 0 &&
        command_add(ret, "--conf", err) == 0 && command_add(ret, "spark.sparkpod=true", err) == 0)
        return 0;
    command_free(ret);
    return -1;
}
