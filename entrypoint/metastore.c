#include "entrypoint/metastore.h"

#include "common/log.h"
#include "entrypoint/facts.h"
#include "entrypoint/memory.h"
#include "entrypoint/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* The database is not PostgreSQL. The URL may hold a password: only its kind is named. */
static int judge_other_database(const struct facts *facts, const struct config *config,
                                struct err *err)
{
    const char *url = facts_get(facts, "javax.jdo.option.ConnectionURL");
    const char *name = url ? strchr(url, ':') : NULL;
    int kind_len = name ? (int)(name + 1 + strcspn(name + 1, ":/?") - url) : 0;

    if (config->metastore.allow_derby) {
        log_warn("metastore", "the database is not PostgreSQL (metastore.allow_derby): it is "
                              "neither waited for nor given a schema");
        return 0;
    }
    if (!url || !*url)
        return err_set(err, EXIT_CONFIG,
                       "javax.jdo.option.ConnectionURL is not set: the metastore would keep its "
                       "tables in an embedded Derby that goes with the pod "
                       "(metastore.allow_derby=true permits it)");
    return err_set(err, EXIT_CONFIG,
                   "javax.jdo.option.ConnectionURL begins with \"%.*s\": only jdbc:postgresql:// "
                   "is served (metastore.allow_derby=true permits others)",
                   kind_len, url);
}

/* 1 and *ret; 0 where another database is permitted; -1. */
static int find_database(const struct service *service, struct target *ret, struct err *err)
{
    struct facts *facts = facts_read(service->conf_folder, err);
    int found;

    if (!facts)
        return -1;
    found = facts_postgres(facts, ret, err);
    if (found == 0)
        found = judge_other_database(facts, service->config, err);
    facts_free(facts);
    return found;
}

int metastore_find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                           struct err *err)
{
    int found;

    *ret_count = 0;
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    found = find_database(service, *ret, err);
    if (found == 1) {
        *ret_count = 1;
        return 0;
    }
    free(*ret);
    *ret = NULL;
    return found;
}

int metastore_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err)
{
    struct facts *facts = facts_read(service->conf_folder, err);
    int result;

    *ret = (struct monitor_plan){.has_service = true};
    if (!facts)
        return -1;
    result = facts_own_metastore(facts, service->environment, &ret->service, err);
    facts_free(facts);
    return result;
}

/* How a distribution is started: apache/hive has bin/hive, the standalone metastore does not. */
static const struct launcher {
    const char *variable, *program;
    const char *args[5];
} launchers[] = {
    /* Without the two skips bin/hive starts a JVM each to ask for Hadoop's version and for HBase's
     * class path. */
    {"HIVE_HOME",
     "bin/hive",
     {"--skiphadoopversion", "--skiphbasecp", "--service", "metastore", NULL}},
    {"METASTORE_HOME", "bin/start-metastore", {"--skiphadoopversion", NULL}},
    {"HIVE_HOME", "bin/start-metastore", {"--skiphadoopversion", NULL}},
};

/* The launcher that is there, *ret_home its folder and program (PATH_BYTES) its path; or NULL. */
static const struct launcher *find_launcher(char *const *environment, const char **ret_home,
                                            char *program)
{
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        const struct launcher *launcher = &launchers[i];

        *ret_home = service_getenv(environment, launcher->variable);
        if (!*ret_home || !**ret_home)
            continue;
        (void)snprintf(program, PATH_BYTES, "%s/%s", *ret_home, launcher->program);
        if (access(program, X_OK) == 0)
            return launcher;
    }
    return NULL;
}

static int refuse_no_launcher(struct err *err)
{
    return err_set(err, EXIT_CONFIG,
                   "there is neither $HIVE_HOME/bin/hive nor $METASTORE_HOME/bin/start-metastore; "
                   "set HIVE_HOME or METASTORE_HOME to the distribution");
}

int metastore_prepare(const struct service *service, struct err *err)
{
    TARGET_AUTO database = {0};
    char program[PATH_BYTES];
    const char *home;
    int found = find_database(service, &database, err);

    if (found <= 0)
        return found;
    if (!find_launcher(service->environment, &home, program))
        return refuse_no_launcher(err);
    return schema_ensure(&database, home, (enum metastore_schema)service->config->metastore.schema,
                         err);
}

/* bin/hive and bin/start-metastore give the JVM 256 MiB where nothing is said. */
static int set_heap(const struct service *service, struct command *ret, struct err *err)
{
    char heap[24];

    if (service_getenv(service->environment, "HADOOP_HEAPSIZE"))
        return 0;
    (void)snprintf(heap, sizeof(heap), "%" PRId64,
                   memory_metastore_heap_mib(memory_limit(MEMORY_CGROUP_FOLDER)));
    return command_set(ret, "HADOOP_HEAPSIZE", heap, err);
}

static int set_environment(const struct service *service, struct command *ret, struct err *err)
{
    if (service_clean_environment(service, ret, err) < 0 ||
        command_set(ret, "HIVE_CONF_DIR", service->conf_folder, err) < 0 ||
        command_set(ret, "METASTORE_CONF_DIR", service->conf_folder, err) < 0)
        return -1;
    return set_heap(service, ret, err);
}

int metastore_make_command(const struct service *service, struct command *ret, struct err *err)
{
    char program[PATH_BYTES];
    const char *home;
    const struct launcher *launcher = find_launcher(service->environment, &home, program);

    *ret = (struct command){0};
    if (!launcher)
        return refuse_no_launcher(err);
    if (set_environment(service, ret, err) == 0 && command_add(ret, program, err) == 0 &&
        command_add_all(ret, (char *const *)(uintptr_t)launcher->args, err) == 0 &&
        command_add_all(ret, service->args, err) == 0)
        return 0;
    command_free(ret);
    return -1;
}
