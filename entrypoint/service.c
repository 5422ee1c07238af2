#include "entrypoint/service.h"

#include "common/buf.h"
#include "common/log.h"
#include "confgen/variables.h"
#include "entrypoint/drain.h"
#include "entrypoint/metastore.h"
#include "entrypoint/thrift_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                            struct err *err);
static int run_make_command(const struct service *service, struct command *ret, struct err *err);
static int run_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err);

static const struct role roles[] = {
    {
        .name = "thrift-server",
        .is_server = true,
        .is_rendered = true,
        .find_targets = thrift_server_find_targets,
        .make_command = thrift_server_make_command,
        .make_plan = thrift_server_make_plan,
        .stop_target_word = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
        .stop_target_not = "org.apache.spark.launcher.Main",
        .drain = drain_thrift_server,
    },
    {
        .name = "metastore",
        .is_server = true,
        .is_rendered = true,
        .find_targets = metastore_find_targets,
        .prepare = metastore_prepare,
        .make_command = metastore_make_command,
        .make_plan = metastore_make_plan,
    },
    {
        .name = "run",
        .has_terminal = true,
        .find_targets = run_find_targets,
        .make_command = run_make_command,
        .make_plan = run_make_plan,
    },
};
#define ROLES (sizeof(roles) / sizeof(roles[0]))

/* Where each role's software keeps its configuration, in the order it is looked for there. */
static const struct conf_place {
    const char *role, *variable, *subfolder;
} conf_places[] = {
    {"thrift-server", "SPARK_CONF_DIR", ""}, {"thrift-server", "SPARK_HOME", "/conf"},
    {"metastore", "HIVE_CONF_DIR", ""},      {"metastore", "METASTORE_CONF_DIR", ""},
    {"metastore", "HIVE_HOME", "/conf"},     {"metastore", "METASTORE_HOME", "/conf"},
};

/* What in the environment would break the service or take it elsewhere. With always false, only a
 * Kubernetes service link is removed: a Service of that name sets it to tcp://HOST:PORT, which the
 * service reads as a number. */
static const struct trap {
    const char *role, *name, *why;
    bool always;
} traps[] = {
    {"thrift-server", "HIVE_SERVER2_THRIFT_PORT", NULL, false},
    {"thrift-server", "HIVE_SERVER2_THRIFT_HTTP_PORT", NULL, false},
    {"thrift-server", "SPARK_MASTER", "spark-daemon.sh would rsync from it", true},
    {"thrift-server", "SPARK_REMOTE", "it contradicts spark.master", true},
    {"thrift-server", "MASTER", "spark.master says it", true},
    {"thrift-server", "DEPLOY_MODE", "a Thrift Server runs in client mode only", true},
    {"metastore", "METASTORE_PORT", NULL, false},
};

const struct role *service_find_role(const char *name)
{
    for (size_t i = 0; i < ROLES; i++) {
        if (strcmp(roles[i].name, name) == 0)
            return &roles[i];
    }
    return NULL;
}

static bool is_service_link(const char *value)
{
    return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
}

/* NAME=value: the value if the name is name. */
static const char *value_of(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

const char *service_getenv(char *const *environment, const char *name)
{
    for (; *environment; environment++) {
        const char *value = value_of(*environment, name);

        if (value)
            return is_service_link(value) ? NULL : value;
    }
    return NULL;
}

const char *service_conf_folder(const struct role *role, const struct config *config,
                                char *const *environment, char *buffer, size_t size)
{
    if (!role->is_rendered)
        return "";
    if (*config->render.target)
        return config->render.target;
    for (size_t i = 0; i < sizeof(conf_places) / sizeof(conf_places[0]); i++) {
        const struct conf_place *place = &conf_places[i];
        const char *value = service_getenv(environment, place->variable);

        if (strcmp(place->role, role->name) != 0 || !value || !*value)
            continue;
        if ((size_t)snprintf(buffer, size, "%s%s", value, place->subfolder) < size)
            return buffer;
    }
    return NULL;
}

void service_free_targets(struct target *targets, size_t count)
{
    for (size_t i = 0; targets && i < count; i++)
        target_free(&targets[i]);
    free(targets);
}

/* GCC's analyzer loses sight of a string once it stands in a list. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Lists of strings, NULL at the end; they grow by one at a time, being short. */

static int list_add(char ***list, const char *string, struct err *err)
{
    char **longer;
    size_t count = 0;

    while (*list && (*list)[count])
        count++;
    longer = reallocarray(*list, count + 2, sizeof(*longer));
    if (longer) {
        *list = longer;
        longer[count] = strdup(string);
        longer[count + 1] = NULL;
    }
    return longer && longer[count] ? 0 : err_set(err, EXIT_INTERNAL, "out of memory");
}

static void wipe_string(char *string)
{
    if (string)
        explicit_bzero(string, strlen(string));
    free(string);
}

static void list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        wipe_string(list[i]);
    free(list);
}

int command_add(struct command *command, const char *arg, struct err *err)
{
    return list_add(&command->argv, arg, err);
}

static int list_add_all(char ***list, char *const *strings, struct err *err)
{
    for (; strings && *strings; strings++) {
        if (list_add(list, *strings, err) < 0)
            return -1;
    }
    return 0;
}

int command_add_all(struct command *command, char *const *args, struct err *err)
{
    return list_add_all(&command->argv, args, err);
}

static void unset(struct command *command, const char *name)
{
    char **to = command->environment;

    for (char **from = to; from && *from; from++) {
        if (value_of(*from, name))
            wipe_string(*from);
        else
            *to++ = *from;
    }
    if (to)
        *to = NULL;
}

int command_set(struct command *command, const char *name, const char *value, struct err *err)
{
    BUF_AUTO entry = BUF_INIT(1 << 20);

    unset(command, name);
    if (buf_printf(&entry, "%s=%s", name, value) < 0)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    return list_add(&command->environment, buf_str(&entry), err);
}

void command_free(struct command *command)
{
    list_free(command->argv);
    list_free(command->environment);
    *command = (struct command){0};
}

static bool ends_with(const char *string, const char *end)
{
    size_t len = strlen(string), end_len = strlen(end);

    return len >= end_len && strcmp(string + len - end_len, end) == 0;
}

/* A file's path is no secret, and the service may need it (AZURE_FEDERATED_TOKEN_FILE,
 * HADOOP_TOKEN_FILE_LOCATION). */
static bool is_path(const char *name)
{
    return ends_with(name, "_FILE") || ends_with(name, "_FILE_LOCATION");
}

bool service_is_withheld(const struct config *config, const char *name)
{
    return variables_name_matches(config->render.secret_names, name) && !is_path(name) &&
           !variables_name_matches(config->render.pass_secrets, name);
}

/* Whether a trap is what the entry is; the user is told, once for each start. */
static bool is_trap(const struct role *role, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
        const struct trap *trap = &traps[i];

        if (strcmp(trap->role, role->name) != 0 || strcmp(trap->name, name) != 0)
            continue;
        if (is_service_link(value)) {
            log_info("service", "%s holds a Kubernetes service link and is not passed on", name);
            return true;
        }
        if (trap->always)
            log_warn("service", "%s is not passed on: %s", name, trap->why);
        return trap->always;
    }
    return false;
}

/* Append "NAME " to names when the entry is a secret that the service does not get. */
static bool is_left_out(const struct service *service, const char *entry, struct buf *secrets)
{
    const char *equals = strchr(entry, '=');
    char name[256];

    if (!equals || (size_t)(equals - entry) >= sizeof(name))
        return false;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - entry), entry);
    if (strncmp(name, "SPARKPOD_", strlen("SPARKPOD_")) == 0)
        return true;
    if (service_is_withheld(service->config, name)) {
        buf_printf(secrets, " %s", name);
        return true;
    }
    return is_trap(service->role, name, equals + 1);
}

int service_clean_environment(const struct service *service, struct command *command,
                              struct err *err)
{
    BUF_AUTO secrets = BUF_INIT(2048);

    for (char *const *entry = service->environment; *entry; entry++) {
        if (!is_left_out(service, *entry, &secrets) &&
            list_add(&command->environment, *entry, err) < 0)
            return -1;
    }
    if (secrets.len)
        log_info("service", "secrets kept from the service's environment:%s", buf_str(&secrets));
    return 0;
}

/* `run`: any command, with the environment as it is. */

static int copy_target(const struct target *from, struct target *to, struct err *err)
{
    if (target_parse(from->url, to, err) < 0)
        return -1;
    if (target_set_login(to, from->user, from->password) == 0)
        return 0;
    target_free(to);
    return err_set(err, EXIT_INTERNAL, "out of memory");
}

static int run_find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                            struct err *err)
{
    *ret_count = 0;
    *ret = service->wait_count ? calloc(service->wait_count, sizeof(**ret)) : NULL;
    if (service->wait_count && !*ret)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    for (; *ret_count < service->wait_count; (*ret_count)++) {
        if (copy_target(&service->waits[*ret_count], &(*ret)[*ret_count], err) == 0)
            continue;
        service_free_targets(*ret, *ret_count);
        *ret = NULL;
        return -1;
    }
    return 0;
}

static int run_make_command(const struct service *service, struct command *ret, struct err *err)
{
    *ret = (struct command){0};
    if (!service->args || !service->args[0])
        return err_set(err, EXIT_USAGE, "run: no command; write it behind \"--\"");
    if (list_add_all(&ret->environment, service->environment, err) == 0 &&
        list_add_all(&ret->argv, service->args, err) == 0)
        return 0;
    command_free(ret);
    return -1;
}

static int run_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err)
{
    *ret = (struct monitor_plan){0};
    if (!service->probe)
        return 0;
    if (copy_target(service->probe, &ret->service, err) < 0)
        return -1;
    ret->has_service = true;
    return 0;
}
