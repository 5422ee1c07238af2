#include "entrypoint/service.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(text) ((char *)(uintptr_t)(text))

static char empty[] = "", names[] = "*PASSWORD* *SECRET* *TOKEN* *KEY*", passed[] = "AWS_*";

static struct config make_config(void)
{
    return (struct config){
        .render = {
            .target = empty, .secrets = empty, .secret_names = names, .pass_secrets = passed}};
}

/* Whether the environment that role's service gets has entry. */
static bool is_passed(const char *role, char *const *environment, const char *entry)
{
    struct config config = make_config();
    struct service service = {
        .role = service_find_role(role), .config = &config, .environment = environment};
    struct command command = {0};
    struct err err = {0};
    bool found = false;

    service_clean_environment(&service, &command);
    cr_assert_eq(command_check(&command, &err), 0, "%s", err.message);
    for (char **e = command.environment; e && *e; e++)
        found = found || strcmp(*e, entry) == 0;
    command_free(&command);
    return found;
}

Test(service, every_role_has_what_a_start_needs)
{
    static const char *const roles[] = {"thrift-server", "metastore", "run"};

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        const struct role *role = service_find_role(roles[i]);

        cr_assert(role, "%s", roles[i]);
        cr_expect(role->find_targets && role->make_command && role->make_plan, "%s", roles[i]);
    }
    cr_expect_null(service_find_role("hiveserver2"));
}

Test(service, a_version_is_what_follows_the_name_of_its_jar)
{
    static const char *const cases[][2] = {
        {"spark-core_2.12-3.5.6.jar", "3.5.6"},
        {"spark-core_2.13-4.0.0-preview2.jar", "4.0.0-preview2"},
        {"spark-core_2.12-3.5.1-amzn-1.jar", "3.5.1-amzn-1"},
        {"spark-core_2.12.jar", ""},
        {"spark-core_2.12-3.5.1234567890123.jar", "3.5.12345678901"},
        {"spark-sql_2.12-3.5.6.jar", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char home[] = "/tmp/home-4-XXXXXX", path[128], version[16] = "old";
        FILE *file;

        cr_assert(mkdtemp(home));
        (void)snprintf(path, sizeof(path), "%s/%s", home, cases[i][0]);
        cr_assert(file = fopen(path, "w"));
        (void)fclose(file);
        service_jar_version(home, "spark-core_*.jar", version, sizeof(version));
        cr_expect_str_eq(version, cases[i][1], "%s: %s", cases[i][0], version);
        (void)unlink(path);
        (void)rmdir(home);
    }
}

Test(service, the_configuration_goes_where_the_software_looks_for_it)
{
    static const struct {
        const char *role, *target, *environment[3], *folder;
    } cases[] = {
        {"thrift-server", "/conf", {"SPARK_CONF_DIR=/a", NULL, NULL}, "/conf"},
        {"thrift-server", "", {"SPARK_HOME=/opt/spark", "SPARK_CONF_DIR=/a", NULL}, "/a"},
        {"thrift-server", "", {"SPARK_HOME=/opt/spark", NULL, NULL}, "/opt/spark/conf"},
        {"thrift-server", "", {"HIVE_HOME=/opt/hive", NULL, NULL}, NULL},
        {"metastore", "", {"HIVE_HOME=/opt/hive", "HIVE_CONF_DIR=/c", NULL}, "/c"},
        {"metastore", "", {"METASTORE_HOME=/opt/ms", NULL, NULL}, "/opt/ms/conf"},
        {"run", "/conf", {NULL, NULL, NULL}, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config config = {.render.target = ENTRY(cases[i].target)};
        char buffer[256];
        const char *folder = service_conf_folder(service_find_role(cases[i].role), &config,
                                                 (char *const *)(uintptr_t)cases[i].environment,
                                                 buffer, sizeof(buffer));

        if (cases[i].folder) {
            cr_assert(folder, "case %zu", i);
            cr_expect_str_eq(folder, cases[i].folder, "case %zu", i);
        } else {
            cr_expect_null(folder, "case %zu", i);
        }
    }
}

Test(service, a_service_link_counts_as_absent)
{
    char *const environment[] = {ENTRY("A=tcp://10.0.0.1:80"), ENTRY("B=80"), ENTRY("C="), NULL};

    cr_expect_null(service_getenv(environment, "A"));
    cr_expect_str_eq(service_getenv(environment, "B"), "80");
    cr_expect_str_eq(service_getenv(environment, "C"), "");
    cr_expect_null(service_getenv(environment, "D"));
}

Test(service, secrets_stay_here_but_for_those_that_are_listed_and_for_paths)
{
    char *const environment[] = {ENTRY("DB_PASSWORD=x"),    ENTRY("DB_PASSWORD_FILE=/run/x"),
                                 ENTRY("AWS_SECRET_KEY=x"), ENTRY("HADOOP_TOKEN_FILE_LOCATION=/t"),
                                 ENTRY("PATH=/bin"),        ENTRY("SPARKPOD_LOG_LEVEL=debug"),
                                 ENTRY("NO_EQUALS_SIGN"),   NULL};

    cr_expect(!is_passed("thrift-server", environment, "DB_PASSWORD=x"));
    cr_expect(is_passed("thrift-server", environment, "DB_PASSWORD_FILE=/run/x"));
    cr_expect(is_passed("thrift-server", environment, "AWS_SECRET_KEY=x"));
    cr_expect(is_passed("thrift-server", environment, "HADOOP_TOKEN_FILE_LOCATION=/t"));
    cr_expect(is_passed("thrift-server", environment, "PATH=/bin"));
    cr_expect(!is_passed("thrift-server", environment, "SPARKPOD_LOG_LEVEL=debug"));
}

Test(service, what_would_break_a_role_is_removed_for_that_role)
{
    static const struct {
        const char *role, *entry;
        bool passed;
    } cases[] = {
        {"thrift-server", "HIVE_SERVER2_THRIFT_PORT=tcp://10.0.0.1:10000", false},
        {"thrift-server", "HIVE_SERVER2_THRIFT_PORT=10009", true},
        {"thrift-server", "SPARK_MASTER=local", false},
        {"thrift-server", "SPARK_REMOTE=sc://x", false},
        {"thrift-server", "MASTER=yarn", false},
        {"thrift-server", "DEPLOY_MODE=cluster", false},
        {"thrift-server", "METASTORE_PORT=tcp://10.0.0.1:9083", true},
        {"metastore", "METASTORE_PORT=tcp://10.0.0.1:9083", false},
        {"metastore", "METASTORE_PORT=9083", true},
        {"metastore", "MASTER=yarn", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *const environment[] = {ENTRY(cases[i].entry), NULL};

        cr_expect_eq(is_passed(cases[i].role, environment, cases[i].entry), cases[i].passed,
                     "%s, %s", cases[i].role, cases[i].entry);
    }
}

Test(service, setting_a_variable_replaces_it)
{
    struct command command = {0};
    struct err err = {0};

    command_set(&command, "A", "1");
    command_set(&command, "AB", "2");
    command_set(&command, "A", "3");
    cr_assert_eq(command_check(&command, &err), 0);
    cr_expect_str_eq(command.environment[0], "AB=2");
    cr_expect_str_eq(command.environment[1], "A=3");
    cr_expect_null(command.environment[2]);
    command_free(&command);
}

Test(service, run_passes_command_and_environment_as_they_are)
{
    char *const environment[] = {ENTRY("DB_PASSWORD=x"), ENTRY("SPARK_MASTER=y"), NULL};
    char *const args[] = {ENTRY("sleep"), ENTRY("60"), NULL};
    struct config config = make_config();
    struct service service = {.role = service_find_role("run"),
                              .config = &config,
                              .environment = environment,
                              .args = args};
    struct command command;
    struct err err = {0};

    cr_assert_eq(service.role->make_command(&service, &command, &err), 0, "%s", err.message);
    cr_expect_str_eq(command.argv[0], "sleep");
    cr_expect_str_eq(command.argv[1], "60");
    cr_expect_null(command.argv[2]);
    cr_expect_str_eq(command.environment[0], "DB_PASSWORD=x");
    cr_expect_str_eq(command.environment[1], "SPARK_MASTER=y");
    command_free(&command);
}

Test(service, run_hands_its_waits_and_its_probe_on_with_their_logins)
{
    char *const environment[] = {ENTRY("PGPASSWORD=secret"), NULL};
    char *const waits[] = {ENTRY("tcp://a:1"), ENTRY("postgres://u@b:2/c"), NULL};
    char *const probe[] = {ENTRY("http://127.0.0.1:3/"), NULL};
    struct config config = make_config();
    struct service service = {.role = service_find_role("run"),
                              .config = &config,
                              .environment = environment,
                              .waits = waits,
                              .probe = probe};
    struct monitor_plan plan = {0};
    struct target *found;
    struct err err = {0};
    size_t count;

    cr_assert_eq(service.role->find_targets(&service, &found, &count, &err), 0, "%s", err.message);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(found[0].hosts[0].name, "a");
    cr_expect_null(found[0].password);
    cr_expect_str_eq(found[1].password, "secret");
    service_free_targets(found, count);
    cr_assert_eq(service.role->make_plan(&service, &plan, &err), 0);
    cr_expect(plan.has_service && !plan.has_ui);
    cr_expect_eq(plan.service.hosts[0].port, 3);
    monitor_plan_free(&plan);
}

Test(service, run_without_a_probe_has_nothing_to_ask)
{
    char *const none[] = {NULL};
    struct service service = {.role = service_find_role("run"), .environment = none, .probe = none};
    struct monitor_plan plan = {0};
    struct err err = {0};

    cr_assert_eq(service.role->make_plan(&service, &plan, &err), 0);
    cr_expect(!plan.has_service);
}
