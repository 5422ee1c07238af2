#include "entrypoint/metastore.h"

#include "common/cgroup.h"
#include "common/log.h"
#include "entrypoint/facts.h"
#include "entrypoint/java.h"
#include "entrypoint/memory.h"
#include "entrypoint/schema.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int metastore_fill_targets(const struct service *service, struct target *ret, struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);
    int found = facts ? facts_postgres(facts, ret, err) : -1;

    return found == 0 ? judge_other_database(facts, service->config, err) : found;
}

int metastore_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err)
{
    FACTS_AUTO *facts = facts_read(service->conf_folder, service->args, err);

    ret->has_service = true;
    if (!facts || facts_own_metastore(facts, service->environment, &ret->service, err) < 0)
        return -1;
    return service_set_own_trust(service->config, &ret->service, err);
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

/* The launcher that is there, *ret_home its folder and program (PATH_MAX) its path; or NULL. */
static const struct launcher *find_launcher(char *const *environment, const char **ret_home,
                                            char *program, struct err *err)
{
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        *ret_home = service_getenv(environment, launchers[i].variable) ?: "";
        (void)snprintf(program, PATH_MAX, "%s/%s", *ret_home, launchers[i].program);
        if (**ret_home && access(program, X_OK) == 0)
            return &launchers[i];
    }
    err_set(err, EXIT_CONFIG,
            "there is neither $HIVE_HOME/bin/hive nor $METASTORE_HOME/bin/start-metastore; set "
            "HIVE_HOME or METASTORE_HOME to the distribution");
    return NULL;
}

int metastore_prepare(const struct service *service, struct err *err)
{
    TARGET_AUTO database = {0};
    char program[PATH_MAX];
    const char *home;
    int found = metastore_fill_targets(service, &database, err);

    if (found <= 0)
        return found;
    if (!find_launcher(service->environment, &home, program, err))
        return -1;
    return schema_ensure(&database, home, (enum metastore_schema)service->config->metastore.schema,
                         err);
}

int metastore_make_command(const struct service *service, struct command *ret, struct err *err)
{
    char program[PATH_MAX], heap[24];
    const char *home;
    const struct launcher *launcher = find_launcher(service->environment, &home, program, err);

    *ret = (struct command){0};
    if (!launcher)
        return -1;
    service_clean_environment(service, ret);
    java_lead_command(service, ret);
    command_set(ret, "HIVE_CONF_DIR", service->conf_folder);
    command_set(ret, "METASTORE_CONF_DIR", service->conf_folder);
    /* Both programs give the JVM 256 MiB where nothing is said. */
    if (!service_getenv(service->environment, "HADOOP_HEAPSIZE")) {
        (void)snprintf(heap, sizeof(heap), "%" PRId64,
                       memory_metastore_heap_mib(cgroup_memory_limit(CGROUP_FOLDER)));
        command_set(ret, "HADOOP_HEAPSIZE", heap);
    }
    command_add(ret, program);
    for (const char *const *arg = launcher->args; *arg; arg++)
        command_add(ret, *arg);
    command_add_all(ret, service->args);
    return command_check(ret, err);
}
