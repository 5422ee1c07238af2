#include "entrypoint/metastore.h"

#include "common/cgroup.h"
#include "entrypoint/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(text) ((char *)(uintptr_t)(text))

static char home[64];

static void make_home(void)
{
    char path[96];

    snprintf(home, sizeof(home), "/tmp/sparkpod-test-XXXXXX");
    cr_assert(mkdtemp(home));
    snprintf(path, sizeof(path), "%s/bin", home);
    cr_assert_eq(mkdir(path, 0755), 0);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", home, name);
    file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void remove_home(void)
{
    static const char *const names[] = {"/bin/hive", "/bin/start-metastore", "/bin",
                                        "/hive-site.xml", ""};
    char path[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", home, names[i]);
        (void)remove(path);
    }
}

TestSuite(metastore, .init = make_home, .fini = remove_home);

static void write_url(const char *url)
{
    char xml[512];

    snprintf(xml, sizeof(xml),
             "<configuration><property><name>javax.jdo.option.ConnectionURL</name>"
             "<value>%s</value></property></configuration>",
             url);
    write_file("hive-site.xml", xml, 0600);
}

static int find_targets(bool allow_derby, size_t *ret_count, struct err *err)
{
    struct config config = {.metastore.allow_derby = allow_derby};
    struct service service = {
        .role = service_find_role("metastore"), .config = &config, .conf_folder = home};
    struct target *targets;
    int result = service.role->find_targets(&service, &targets, ret_count, err);

    service_free_targets(targets, *ret_count);
    return result;
}

Test(metastore, it_waits_for_postgres)
{
    struct err err = {0};
    size_t count;

    write_url("jdbc:postgresql://db/hive");
    cr_assert_eq(find_targets(false, &count, &err), 0, "%s", err.message);
    cr_expect_eq(count, 1);
}

Test(metastore, another_database_needs_permission_and_its_url_is_not_repeated)
{
    static const struct {
        const char *url, *message;
    } cases[] = {
        {"jdbc:mysql://root:s3cret@db/hive", "\"jdbc:mysql\""},
        {"jdbc:derby:;databaseName=s3cret", "\"jdbc:derby\""},
        {"", "not set"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        size_t count;

        write_url(cases[i].url);
        cr_expect_eq(find_targets(false, &count, &err), -1);
        cr_expect_eq(err.status, EXIT_CONFIG);
        cr_expect(strstr(err.message, cases[i].message), "%s", err.message);
        cr_expect_null(strstr(err.message, "s3cret"), "%s", err.message);
        cr_expect_eq(find_targets(true, &count, &err), 0);
        cr_expect_eq(count, 0);
    }
}

/* The command for a distribution in home, named by variable. */
static int make_command(const char *variable, const char *heap, struct command *ret,
                        struct err *err)
{
    char entry[128], text[] = "";
    char *const environment[] = {entry, TEXT(heap), NULL};
    char *const args[] = {TEXT("--verbose"), NULL};
    struct config config = {.render = {.secret_names = text, .pass_secrets = text},
                            .java.archive = text};
    struct service service = {.role = service_find_role("metastore"),
                              .config = &config,
                              .conf_folder = "/conf",
                              .environment = environment,
                              .args = args};

    snprintf(entry, sizeof(entry), "%s=%s", variable, home);
    return service.role->make_command(&service, ret, err);
}

static bool has(char *const *list, const char *string)
{
    for (; *list; list++) {
        if (strcmp(*list, string) == 0)
            return true;
    }
    return false;
}

Test(metastore, hive_is_started_where_it_is_and_the_standalone_script_elsewhere)
{
    static const struct {
        const char *variable, *program, *last;
    } cases[] = {
        {"HIVE_HOME", "bin/hive", "metastore"},
        {"HIVE_HOME", "bin/start-metastore", "--skiphadoopversion"},
        {"METASTORE_HOME", "bin/start-metastore", "--skiphadoopversion"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command command;
        struct err err = {0};
        char program[128];
        size_t count = 0;

        snprintf(program, sizeof(program), "%s/%s", home, cases[i].program);
        write_file(cases[i].program, "#!/bin/sh\n", 0755);
        cr_assert_eq(make_command(cases[i].variable, NULL, &command, &err), 0, "%s", err.message);
        while (command.argv[count])
            count++;
        cr_expect_str_eq(command.argv[0], program);
        cr_expect_str_eq(command.argv[count - 2], cases[i].last);
        cr_expect_str_eq(command.argv[count - 1], "--verbose");
        cr_expect(has(command.environment, "HIVE_CONF_DIR=/conf"));
        cr_expect(has(command.environment, "METASTORE_CONF_DIR=/conf"));
        command_free(&command);
        unlink(program);
    }
}

Test(metastore, a_heap_that_somebody_set_is_left_alone)
{
    struct command command;
    struct err err = {0};

    write_file("bin/hive", "#!/bin/sh\n", 0755);
    cr_assert_eq(make_command("HIVE_HOME", "HADOOP_HEAPSIZE=777", &command, &err), 0);
    cr_expect(has(command.environment, "HADOOP_HEAPSIZE=777"));
    command_free(&command);
}

Test(metastore, without_a_distribution_it_says_what_to_set)
{
    struct command command;
    struct err err = {0};

    cr_expect_eq(make_command("HIVE_HOME", NULL, &command, &err), -1);
    cr_expect_eq(err.status, EXIT_CONFIG);
    cr_expect(strstr(err.message, "METASTORE_HOME"), "%s", err.message);
}

Test(metastore, the_containers_limit_is_read_from_either_cgroup)
{
    static const struct {
        const char *file, *content;
        int64_t limit;
    } cases[] = {
        {"memory.max", "4294967296\n", (int64_t)4 << 30},
        {"memory.max", "max\n", 0},
        {"memory.max", "", 0},
        {"memory.max", "12x\n", 0},
        {"memory/memory.limit_in_bytes", "1073741824\n", (int64_t)1 << 30},
        {"memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
    };
    char path[128];

    snprintf(path, sizeof(path), "%s/memory", home);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_expect_eq(cgroup_memory_limit(home), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(cases[i].file, cases[i].content, 0644);
        cr_expect_eq(cgroup_memory_limit(home), cases[i].limit, "case %zu", i);
        snprintf(path, sizeof(path), "%s/%s", home, cases[i].file);
        unlink(path);
    }
    cr_expect_eq(cgroup_memory_usage(home), 0);
    write_file("memory.current", "1048576\n", 0644);
    cr_expect_eq(cgroup_memory_usage(home), 1 << 20);
    snprintf(path, sizeof(path), "%s/memory.current", home);
    unlink(path);
    snprintf(path, sizeof(path), "%s/memory", home);
    rmdir(path);
}

Test(metastore, heaps_leave_room_for_the_rest_of_the_jvm)
{
    const int64_t gib = (int64_t)1 << 30;

    cr_expect_eq(memory_metastore_heap_mib(0), 1024);
    cr_expect_eq(memory_metastore_heap_mib(2 * gib), 1433);
    cr_expect_eq(memory_driver_heap_mib(gib / 2), 256);
    cr_expect_eq(memory_driver_heap_mib(gib), 512);
    cr_expect_eq(memory_driver_heap_mib(4 * gib), 3072);
    cr_expect_eq(memory_driver_heap_mib(64 * gib), 60 * 1024);
}

Test(metastore, and_drivers_heaps_are_read_as_spark_writes_them)
{
    static const struct {
        const char *text;
        int64_t mib;
    } cases[] = {
        {"512m", 512}, {"4g", 4096},    {"4GB", 4096}, {"2048", 2048},
        {"2048k", 2},  {"1t", 1 << 20}, {"", 0},       {"g", 0},
        {"-1g", 0},    {"4x", 0},       {"4gg", 0},    {"99999999999999999999g", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(memory_parse_mib(cases[i].text), cases[i].mib, "%s", cases[i].text);
    cr_expect_eq(memory_with_overhead_mib(1024), 1024 + 384);
    cr_expect_eq(memory_with_overhead_mib(10240), 11264);
}
