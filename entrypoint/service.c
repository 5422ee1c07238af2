#include "entrypoint/service.h"

#include "common/buf.h"
#include "common/log.h"
#include "confgen/variables.h"
#include "entrypoint/drain.h"
#include "entrypoint/leftovers.h"
#include "entrypoint/masking.h"
#include "entrypoint/metastore.h"
#include "entrypoint/thrift_server.h"
#include "entrypoint/user.h"

#include <ctype.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                        struct err *err);
static int run_fill_targets(const struct service *service, struct target *ret, struct err *err);
static int run_make_command(const struct service *service, struct command *ret, struct err *err);
static int run_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err);

static const struct role roles[] = {
    {
        .name = "thrift-server",
        .user = "spark",
        .is_server = true,
        .is_rendered = true,
        .is_published = true,
        .find_targets = find_targets,
        .fill_targets = thrift_server_fill_targets,
        .make_command = thrift_server_make_command,
        .make_plan = thrift_server_make_plan,
        .stop_target_word = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
        .stop_target_not = "org.apache.spark.launcher.Main",
        .drain = drain_thrift_server,
        .clean = leftovers_delete,
    },
    {
        .name = "metastore",
        .user = "hive",
        .is_server = true,
        .is_rendered = true,
        .find_targets = find_targets,
        .fill_targets = metastore_fill_targets,
        .prepare = metastore_prepare,
        .make_command = metastore_make_command,
        .make_plan = metastore_make_plan,
    },
    {
        .name = "run",
        .has_terminal = true,
        .find_targets = find_targets,
        .fill_targets = run_fill_targets,
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
    for (; environment && *environment; environment++) {
        const char *value = value_of(*environment, name);

        if (value)
            return is_service_link(value) ? NULL : value;
    }
    return NULL;
}

void service_jar_version(const char *home, const char *pattern, char *ret, size_t size)
{
    char path[PATH_MAX];
    const char *at;
    glob_t jars = {0};

    *ret = '\0';
    (void)snprintf(path, sizeof(path), "%s/%s", home ?: "", pattern);
    if (home && glob(path, 0, NULL, &jars) == 0) {
        at = strrchr(jars.gl_pathv[0], '/');
        while ((at = strchr(at + 1, '-')) && !isdigit((unsigned char)at[1]))
            ;
        if (at)
            (void)snprintf(ret, size, "%.*s", (int)(strlen(at + 1) - strlen(".jar")), at + 1);
    }
    globfree(&jars);
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

static int find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                        struct err *err)
{
    int count = -1;

    *ret = calloc(SERVICE_MAX_TARGETS, sizeof(**ret));
    if (*ret)
        count = service->role->fill_targets(service, *ret, err);
    else
        err_no_memory(err);
    for (size_t i = 0; count < 0 && *ret && i < SERVICE_MAX_TARGETS; i++)
        target_free(&(*ret)[i]);
    *ret_count = count < 0 ? 0 : (size_t)count;
    return count < 0 ? -1 : 0;
}

void service_free_targets(struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        target_free(&targets[i]);
    free(targets);
}

/* Append string, which is taken, to a list of the command; they grow by one, being short. */
static void append(struct command *command, char ***list, char *string)
{
    size_t count = 0;
    char **longer;

    while (*list && (*list)[count])
        count++;
    longer = string ? reallocarray(*list, count + 2, sizeof(*longer)) : NULL;
    if (!longer) {
        free(string);
        command->failed = true;
        return;
    }
    longer[count] = string;
    longer[count + 1] = NULL;
    *list = longer;
}

void command_add(struct command *command, const char *arg)
{
    append(command, &command->argv, strdup(arg));
}

void command_add_all(struct command *command, char *const *args)
{
    for (; *args; args++)
        command_add(command, *args);
}

void command_set(struct command *command, const char *name, const char *value)
{
    char **to = command->environment, *entry;

    for (char **from = to; from && *from; from++) {
        if (value_of(*from, name))
            free(*from);
        else
            *to++ = *from;
    }
    if (to)
        *to = NULL;
    append(command, &command->environment,
           asprintf(&entry, "%s=%s", name, value) < 0 ? NULL : entry);
}

static void free_list(char **list)
{
    for (char **string = list; string && *string; string++)
        free(*string);
    free(list);
}

void command_free(struct command *command)
{
    free_list(command->argv);
    free_list(command->environment);
    *command = (struct command){0};
}

int command_check(struct command *command, struct err *err)
{
    if (!command->failed)
        return 0;
    command_free(command);
    return err_no_memory(err);
}

bool service_is_withheld(const struct config *config, const char *name)
{
    /* A file's path is no secret, and the service may need it (AZURE_FEDERATED_TOKEN_FILE,
     * HADOOP_TOKEN_FILE_LOCATION). */
    return variables_name_matches(config->render.secret_names, name) &&
           !variables_name_matches(config->render.pass_secrets, name) &&
           !variables_name_matches("*_FILE *_FILE_LOCATION", name);
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

/* Append the name to secrets when the entry is a secret that the service does not get. */
static bool is_left_out(const struct service *service, const char *entry, struct buf *secrets)
{
    char name[256];
    const char *value = variables_part_entry(entry, name, sizeof(name));

    if (!value)
        return false;
    if (strncmp(name, "SPARKPOD_", strlen("SPARKPOD_")) == 0)
        return true;
    if (service_is_withheld(service->config, name)) {
        buf_printf(secrets, " %s", name);
        return true;
    }
    return is_trap(service->role, name, value);
}

void service_clean_environment(const struct service *service, struct command *command)
{
    BUF_AUTO secrets = BUF_INIT(2048);

    for (char *const *entry = service->environment; *entry; entry++) {
        if (!is_left_out(service, *entry, &secrets))
            append(command, &command->environment, strdup(*entry));
    }
    if (secrets.len)
        log_info("service", "secrets kept from the service's environment:%s", buf_str(&secrets));
    user_add_entry(command, service->role->user);
}

/* `run`: any command, with the environment as it is. */

/* 1 if name has a value, 0 if not, -1 with err. */
static int add_password(const struct config *config, char *const *environment, const char *name,
                        struct target *target, struct err *err)
{
    struct variables *variables =
        variables_new(environment, config->render.secrets, config->render.secret_names);
    struct variable password;
    int found;

    if (!variables)
        return err_no_memory(err);
    found = variables_get(variables, name, strlen(name), &password, err);
    if (found == 1 && password.len) {
        masking_add(password.value, password.len);
        if (target_set_login(target, NULL, password.value) < 0)
            found = err_no_memory(err);
    }
    variables_free(variables);
    return found;
}

int service_set_trust(const struct config *config, struct target *target, struct err *err)
{
    target->insecure = target->tls && config->wait.insecure;
    return target_set_tls(target, config->wait.ca_file, NULL) < 0 ? err_no_memory(err) : 0;
}

int service_set_own_trust(const struct config *config, struct target *target, struct err *err)
{
    target->insecure = target->tls && *config->health.ca_file == '\0';
    if (target_set_tls(target, config->health.ca_file, config->health.server_name) < 0)
        return err_no_memory(err);
    return 0;
}

/* A variable's value is overwritten once the files are rendered, and workers come and go. */
int service_set_user(const struct config *config, char *const *environment, struct target *target,
                     struct err *err)
{
    static const char name[] = "HIVE2_PASSWORD";
    int found = 0;

    if (*config->health.user == '\0')
        return 0;
    if (target_set_login(target, config->health.user, NULL) < 0)
        return err_no_memory(err);
    if (!service_getenv(environment, name))
        found = add_password(config, environment, name, target, err);
    if (found == 0 || (found == 1 && !target->password))
        return err_set(
            err, EXIT_CONFIG,
            "health.user has no password: name its file in HIVE2_PASSWORD_FILE, or put a "
            "file HIVE2_PASSWORD into a folder of render.secrets (a variable will not do)");
    return found < 0 ? -1 : 0;
}

/* The variable that holds the password for a URL; NULL: it needs none. */
static const char *password_name(const struct target *target)
{
    if (target->kind == TARGET_POSTGRES)
        return "PGPASSWORD";
    return target->kind == TARGET_HIVESERVER2 && target->user ? "HIVE2_PASSWORD" : NULL;
}

int service_parse_urls(char *const *urls, const struct config *config, char *const *environment,
                       struct target *ret, struct err *err)
{
    int count = 0;

    for (; urls[count]; count++) {
        const char *name;

        if (count == SERVICE_MAX_TARGETS)
            return err_set(err, EXIT_USAGE, "more than %d URLs", SERVICE_MAX_TARGETS);
        if (target_parse(urls[count], &ret[count], err) < 0 ||
            service_set_trust(config, &ret[count], err) < 0)
            return -1;
        name = password_name(&ret[count]);
        if (name && add_password(config, environment, name, &ret[count], err) < 0)
            return -1;
    }
    return count;
}

static int run_fill_targets(const struct service *service, struct target *ret, struct err *err)
{
    return service_parse_urls(service->waits, service->config, service->environment, ret, err);
}

static int run_make_command(const struct service *service, struct command *ret, struct err *err)
{
    *ret = (struct command){0};
    command_add_all(ret, service->args);
    for (char *const *entry = service->environment; *entry; entry++)
        append(ret, &ret->environment, strdup(*entry));
    return command_check(ret, err);
}

static int run_make_plan(const struct service *service, struct monitor_plan *ret, struct err *err)
{
    int count = service_parse_urls(service->probe, service->config, service->environment,
                                   &ret->service, err);

    ret->has_service = count == 1;
    return count < 0 ? -1 : 0;
}
