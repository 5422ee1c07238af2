#include "entrypoint/thrift_server.h"

#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(text) ((char *)(uintptr_t)(text))

static char *const outside[] = {TEXT("HOME=/"), NULL};
static char *const inside[] = {TEXT("KUBERNETES_SERVICE_HOST=10.96.0.1"),
                               TEXT("KUBERNETES_SERVICE_PORT=443"), TEXT("HOSTNAME=sts-7d9f-abcde"),
                               TEXT("POD_UID=1234-5678"), NULL};

/* A driver in Kubernetes that misses nothing; cases change what they are about. */
struct situation {
    const char *defaults; /* spark-defaults.conf */
    char *const *environment;
    char *args[8];
    const char *image, *pod_ip, *pod_name, *namespace, *token_namespace;
    int64_t memory_limit, grace;
    const char *version;
};

static const struct situation complete = {
    .defaults = "",
    .environment = inside,
    .image = "registry/spark:3.5.6",
    .pod_ip = "10.244.0.7",
    .pod_name = "",
    .namespace = "",
    .token_namespace = "spark",
    .version = "3.5.9",
};

static struct facts *read_defaults(const char *text, char *const *args, struct err *err)
{
    char folder[] = "/tmp/sparkpod-test-XXXXXX", path[64];
    struct facts *facts;
    FILE *file;

    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/spark-defaults.conf", folder);
    file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
    facts = facts_read(folder, args, err);
    unlink(path);
    rmdir(folder);
    cr_assert(facts, "%s", err->message);
    return facts;
}

static int add_confs(const struct situation *situation, struct command *ret, struct err *err)
{
    struct config config = {
        .spark.executor_image = TEXT(situation->image),
        .java.archive = TEXT("/usr/local/lib/sparkpod/archive"),
        .kubernetes = {.namespace = TEXT(situation->namespace),
                       .pod_name = TEXT(situation->pod_name),
                       .pod_ip = TEXT(situation->pod_ip),
                       .service_account = TEXT("executors"),
                       .image_pull_secrets = TEXT("acr-secret")},
        .shutdown.grace = situation->grace,
    };
    FACTS_AUTO *facts = read_defaults(situation->defaults, (char *const *)situation->args, err);
    struct thrift_server_driver driver = {
        .facts = facts,
        .config = &config,
        .environment = situation->environment,
        .namespace = situation->token_namespace,
        .address = "",
        .memory_limit = situation->memory_limit,
        .start = 0x6543210f,
        .version = situation->version,
    };

    *ret = (struct command){0};
    return thrift_server_add_confs(&driver, ret, err);
}

/* The value that the confs give key; NULL if they do not. */
static const char *find(const struct command *command, const char *key)
{
    size_t len = strlen(key);

    for (char **arg = command->argv; arg && *arg; arg += 2) {
        cr_assert_str_eq(*arg, "--conf");
        if (strncmp(arg[1], key, len) == 0 && arg[1][len] == '=')
            return arg[1] + len + 1;
    }
    return NULL;
}

static void expect(const struct situation *situation, const char *key, const char *value)
{
    struct command command;
    struct err err = {0};
    const char *found;

    cr_assert_eq(add_confs(situation, &command, &err), 0, "%s", err.message);
    found = find(&command, key);
    if (value) {
        cr_assert(found, "%s is not set", key);
        cr_expect_str_eq(found, value);
    } else {
        cr_expect_null(found, "%s=%s", key, found);
    }
    command_free(&command);
}

Test(thrift_server, outside_kubernetes_it_runs_in_one_process)
{
    struct situation situation = complete;

    situation.environment = outside;
    expect(&situation, "spark.master", "local[*]");
    expect(&situation, "spark.hadoop.hive.server2.enable.doAs", "false");
    expect(&situation, "spark.kubernetes.namespace", NULL);
    expect(&situation, "spark.driver.host", NULL);
}

Test(thrift_server, in_kubernetes_everything_that_executors_need_is_set)
{
    static const char *const confs[][2] = {
        {"spark.master", "k8s://https://10.96.0.1:443"},
        {"spark.submit.deployMode", "client"},
        {"spark.kubernetes.namespace", "spark"},
        {"spark.kubernetes.driver.pod.name", "sts-7d9f-abcde"},
        {"spark.kubernetes.executor.podNamePrefix", "sts-7d9f-abcde-6543210f"},
        {"spark.driver.host", "10.244.0.7"},
        {"spark.driver.bindAddress", "0.0.0.0"},
        {"spark.driver.port", "7078"},
        {"spark.driver.blockManager.port", "7079"},
        {"spark.kubernetes.container.image", "registry/spark:3.5.6"},
        {"spark.kubernetes.container.image.pullSecrets", "acr-secret"},
        {"spark.kubernetes.authenticate.executor.serviceAccountName", "executors"},
        {"spark.kubernetes.executor.label." THRIFT_SERVER_UID_LABEL, "1234-5678"},
        {"spark.executorEnv.SPARKPOD_JAVA_ARCHIVE", "/usr/local/lib/sparkpod/archive"},
        {"spark.executor.failuresValidityInterval", "1h"},
        {"spark.executor.maxNumFailures", "2147483647"},
        {"spark.dynamicAllocation.shuffleTracking.timeout", NULL},
        {"spark.driver.memory", NULL},
        {"spark.driver.defaultJavaOptions", "-XX:+ExitOnOutOfMemoryError"},
    };

    for (size_t i = 0; i < sizeof(confs) / sizeof(confs[0]); i++)
        expect(&complete, confs[i][0], confs[i][1]);
}

Test(thrift_server, what_executors_are_told_is_encrypted_as_well_as_spark_can)
{
    static const struct {
        const char *version, *cipher;
    } cases[] = {
        {"3.5.9", "AES/GCM/NoPadding"},
        {"3.5.10", "AES/GCM/NoPadding"},
        {"4.3.0", "AES/GCM/NoPadding"},
        {"5.0.0", "AES/GCM/NoPadding"},
        {"3.5.8", NULL},
        {"3.5.0", NULL},
        {"4.0.1", NULL},
        {"", NULL},
        {"3.5", NULL},
    };
    struct situation situation = complete;

    situation.defaults = "spark.authenticate=true\n";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        situation.version = cases[i].version;
        expect(&situation, "spark.network.crypto.enabled", "true");
        expect(&situation, "spark.network.crypto.cipher", cases[i].cipher);
        expect(&situation, "spark.network.crypto.authEngineVersion", cases[i].cipher ? "2" : NULL);
    }
    situation.defaults = "spark.authenticate=true\nspark.network.crypto.enabled=false\n";
    expect(&situation, "spark.network.crypto.enabled", NULL);
    expect(&complete, "spark.network.crypto.enabled", NULL);
    expect(&complete, "spark.network.crypto.cipher", NULL);
}

Test(thrift_server, ipv6_addresses_stand_in_brackets)
{
    static char *const environment[] = {TEXT("KUBERNETES_SERVICE_HOST=fd00::1"),
                                        TEXT("HOSTNAME=pod"), NULL};
    struct situation situation = complete;

    situation.environment = environment;
    situation.pod_ip = "fd00::7";
    expect(&situation, "spark.master", "k8s://https://[fd00::1]:443");
    expect(&situation, "spark.driver.host", "[fd00::7]");
    expect(&situation, "spark.driver.bindAddress", "[::]");
    expect(&situation, "spark.kubernetes.executor.label." THRIFT_SERVER_UID_LABEL, NULL);
}

Test(thrift_server, what_the_file_or_the_arguments_set_is_left_alone)
{
    struct situation situation = complete;

    situation.defaults = "spark.driver.port 9000\n"
                         "spark.blockManager.port 9001\n"
                         "spark.hadoop.hive.server2.enable.doAs true\n"
                         "spark.redaction.regex x\n";
    situation.args[0] = TEXT("--conf");
    situation.args[1] = TEXT("spark.driver.host=sts-0.sts");
    situation.args[2] = TEXT("--conf=spark.kubernetes.namespace=other");
    expect(&situation, "spark.driver.port", NULL);
    expect(&situation, "spark.driver.blockManager.port", NULL);
    expect(&situation, "spark.hadoop.hive.server2.enable.doAs", NULL);
    expect(&situation, "spark.redaction.regex", NULL);
    expect(&situation, "spark.driver.host", NULL);
    expect(&situation, "spark.kubernetes.namespace", NULL);
}

Test(thrift_server, a_master_of_the_users_choice_makes_kubernetes_keys_needless)
{
    static const struct {
        const char *defaults, *args[2];
    } cases[] = {
        {"spark.master local[2]\n", {NULL, NULL}},
        {"", {"--master", "local[2]"}},
        {"", {"--master=local[2]", NULL}},
        {"", {"--conf", "spark.master=local[2]"}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct situation situation = complete;

        situation.image = "";
        situation.defaults = cases[i].defaults;
        situation.args[0] = TEXT(cases[i].args[0]);
        situation.args[1] = TEXT(cases[i].args[1]);
        expect(&situation, "spark.master", NULL);
        expect(&situation, "spark.kubernetes.driver.pod.name", NULL);
    }
}

Test(thrift_server, what_is_missing_is_a_configuration_error_that_names_the_setting)
{
    static char *const nameless[] = {TEXT("KUBERNETES_SERVICE_HOST=10.96.0.1"), NULL};
    struct situation cases[4] = {complete, complete, complete, complete};
    static const char *const settings[] = {
        "SPARKPOD_SPARK_EXECUTOR_IMAGE", "SPARKPOD_KUBERNETES_POD_IP",
        "SPARKPOD_KUBERNETES_NAMESPACE", "SPARKPOD_KUBERNETES_POD_NAME"};

    cases[0].image = "";
    cases[1].pod_ip = "";
    cases[2].token_namespace = "";
    cases[3].environment = nameless;
    for (size_t i = 0; i < 4; i++) {
        struct command command;
        struct err err = {0};

        cr_expect_eq(add_confs(&cases[i], &command, &err), -1, "case %zu", i);
        cr_expect_eq(err.status, EXIT_CONFIG, "case %zu", i);
        cr_expect(strstr(err.message, settings[i]), "%s", err.message);
        command_free(&command);
    }
}

Test(thrift_server, an_image_for_the_executors_alone_is_enough)
{
    struct situation situation = complete;

    situation.image = "";
    situation.defaults = "spark.kubernetes.executor.container.image x\n";
    expect(&situation, "spark.kubernetes.container.image", NULL);
}

Test(thrift_server, the_executors_names_fit_a_dns_name_however_long_the_pods_is)
{
    static const char pattern[] =
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    char name[254];
    regex_t regex;

    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    for (size_t len = 1; len < sizeof(name); len++) {
        struct situation situation = complete;
        struct command command;
        struct err err = {0};
        const char *prefix;

        memset(name, 'a', len);
        if (len > 1)
            memset(name + len / 2, len % 3 ? '-' : 'b', len - len / 2);
        name[len - 1] = 'z';
        name[len] = '\0';
        situation.pod_name = name;
        cr_assert_eq(add_confs(&situation, &command, &err), 0, "%s", err.message);
        prefix = find(&command, "spark.kubernetes.executor.podNamePrefix");
        cr_assert(prefix);
        cr_expect(strlen(prefix) <= 237, "%zu: %s", len, prefix);
        cr_expect_eq(regexec(&regex, prefix, 0, NULL, 0), 0, "%zu: %s", len, prefix);
        command_free(&command);
    }
    regfree(&regex);
}

Test(thrift_server, shuffle_data_is_given_back_when_executors_come_and_go)
{
    struct situation situation = complete;

    situation.defaults = "spark.dynamicAllocation.enabled true\n";
    expect(&situation, "spark.dynamicAllocation.shuffleTracking.timeout", "30min");
}

Test(thrift_server, the_heap_follows_the_containers_limit_unless_somebody_set_it)
{
    static char *const environment[] = {TEXT("SPARK_DRIVER_MEMORY=2g"), NULL};
    struct situation situation = complete;

    situation.memory_limit = (int64_t)4 << 30;
    expect(&situation, "spark.driver.memory", "3072m");
    situation.defaults = "spark.driver.memory 1g\n";
    expect(&situation, "spark.driver.memory", NULL);
    situation.defaults = "";
    situation.environment = environment;
    expect(&situation, "spark.driver.memory", NULL);
}

Test(thrift_server, java_options_of_the_file_are_kept_and_secrets_in_them_are_not_shown)
{
    struct situation situation = complete;

    situation.grace = 45000;
    situation.defaults = "spark.driver.defaultJavaOptions -Xss2m\n"
                         "spark.driver.extraJavaOptions -Dtrust.password=s3cret\n";
    expect(&situation, "spark.driver.defaultJavaOptions",
           "-Xss2m -XX:+ExitOnOutOfMemoryError -Dspark.shutdown.timeout=45000ms");
    expect(&situation, "spark.driver.extraJavaOptions", NULL);
}

Test(thrift_server, no_value_of_the_file_is_repeated_on_the_command_line)
{
    struct situation situation = complete;
    struct command command;
    struct err err = {0};

    situation.defaults = "spark.hadoop.fs.azure.account.key.x s3cret\nspark.master k8s://s3cret\n";
    cr_assert_eq(add_confs(&situation, &command, &err), 0);
    for (char **arg = command.argv; *arg; arg++)
        cr_expect_null(strstr(*arg, "s3cret"), "%s", *arg);
    command_free(&command);
}

/* start-thriftserver.sh prints its usage when the joined arguments end in "-h" or "--help". */
Test(thrift_server, the_arguments_never_end_in_a_call_for_help)
{
    static char *const environment[] = {TEXT("SPARK_HOME=/opt/spark"), TEXT("DB_PASSWORD=x"), NULL};
    static char *const args[] = {TEXT("--name"), TEXT("prod-h"), NULL};
    char text[] = "", names[] = "*PASSWORD*", folder[] = "/nonexistent";
    struct config config = {
        .render = {.target = text, .secret_names = names, .pass_secrets = text},
        .spark.executor_image = text,
        .java.archive = text,
        .kubernetes = {text, text, text, text, text},
    };
    struct service service = {.role = service_find_role("thrift-server"),
                              .config = &config,
                              .conf_folder = folder,
                              .environment = environment,
                              .args = args};
    struct command command;
    struct err err = {0};
    bool foreground = false;
    char **arg;

    cr_assert_eq(service.role->make_command(&service, &command, &err), 0, "%s", err.message);
    cr_expect_str_eq(command.argv[0], "/opt/spark/sbin/start-thriftserver.sh");
    for (arg = command.argv; arg[1]; arg++)
        cr_expect_null(strstr(*arg, "PASSWORD"));
    cr_expect_str_eq(*arg, "spark.sparkpod=true");
    cr_expect_str_eq(arg[-2], "prod-h");
    for (char **entry = command.environment; *entry; entry++)
        foreground = foreground || strcmp(*entry, "SPARK_NO_DAEMONIZE=1") == 0;
    cr_expect(foreground);
    command_free(&command);
}

Test(thrift_server, without_a_metastore_there_is_nothing_to_wait_for)
{
    char folder[] = "/nonexistent";
    struct service service = {.role = service_find_role("thrift-server"), .conf_folder = folder};
    struct target *targets;
    struct err err = {0};
    size_t count;

    cr_assert_eq(service.role->find_targets(&service, &targets, &count, &err), 0, "%s",
                 err.message);
    cr_expect_eq(count, 0);
    service_free_targets(targets, count);
}
