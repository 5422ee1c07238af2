/* thrift-server, metastore, run: from the command line to PID 1's loop. */
#include "entrypoint/commands.h"
#include "entrypoint/service.h"
#include "entrypoint/supervisor.h"
#include "probes/server.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

/* What the command line says; the lists of URLs have a NULL at the end. */
struct pod {
    struct config config;
    char *config_file;
    char *waits[SERVICE_MAX_TARGETS + 1];
    char *probe[2];
};

/* The flags up to "--"; optind is behind it afterwards. */
static int parse_flags(struct pod *pod, const struct invocation *invocation, bool is_run)
{
    const struct flag flags[] = {{"config", &pod->config_file, 1},
                                 {is_run ? "wait" : NULL, pod->waits, SERVICE_MAX_TARGETS},
                                 {"probe", pod->probe, 1},
                                 {.name = NULL}};
    const char *name = invocation->argv[0];
    int status = command_flags(invocation, flags, true);

    if (status != EXIT_DONE)
        return status;
    if (is_run && optind == invocation->argc)
        return command_usage(name, "a COMMAND is missing");
    if (!is_run && optind < invocation->argc && strcmp(invocation->argv[optind - 1], "--") != 0)
        return command_usage(name, "unexpected argument %s; arguments for the service go behind --",
                             invocation->argv[optind]);
    return EXIT_DONE;
}

/* What is wrong with a URL or its password is to be known before anything is started. */
static int check_urls(char *const *urls, const struct config *config, char *const *environment,
                      struct err *err)
{
    struct target targets[SERVICE_MAX_TARGETS] = {0};
    int count = service_parse_urls(urls, config, environment, targets, err);

    for (size_t i = 0; i < SERVICE_MAX_TARGETS; i++)
        target_free(&targets[i]);
    return count < 0 ? -1 : 0;
}

/* health.user is of use to a Thrift Server only. */
static int check_user(const struct config *config, char *const *environment, struct err *err)
{
    TARGET_AUTO target = {.kind = TARGET_HIVESERVER2};

    return service_set_user(config, environment, &target, err);
}

static int run_pod(struct pod *pod, const struct invocation *invocation, const struct role *role)
{
    struct err err = {0};
    char folder[PATH_MAX];
    struct service service = {
        .role = role,
        .config = &pod->config,
        .environment = invocation->environment,
        .args = invocation->argv + optind,
        .waits = pod->waits,
        .probe = pod->probe,
    };
    int listen_fd = -1, status;

    service.conf_folder =
        service_conf_folder(role, &pod->config, invocation->environment, folder, sizeof(folder));
    if (!service.conf_folder) {
        err_set(&err, EXIT_CONFIG,
                "where to write the configuration? Set render.target "
                "(SPARKPOD_RENDER_TARGET) or the distribution's home");
        return command_fail(role->name, &err);
    }
    if (config_check(&pod->config, &err) < 0 ||
        check_urls(pod->waits, &pod->config, invocation->environment, &err) < 0 ||
        check_urls(pod->probe, &pod->config, invocation->environment, &err) < 0 ||
        (role->is_published && check_user(&pod->config, invocation->environment, &err) < 0) ||
        (pod->config.health.port &&
         (listen_fd = server_listen((uint16_t)pod->config.health.port, &err)) < 0))
        return command_refuse(role->name, &err);
    status = supervisor_run(&service, invocation->entry, listen_fd, &err);
    return status < 0 ? command_fail(role->name, &err) : status;
}

int command_pod(const struct invocation *invocation)
{
    const struct role *role = service_find_role(invocation->argv[0]);
    struct pod pod = {.config_file = NULL};
    int status;

    entry_block_signals(); /* first of all: a SIGTERM may be on its way */
    status = parse_flags(&pod, invocation, role->has_terminal);

    if (status == EXIT_DONE)
        status = command_load_config(&pod.config, pod.config_file, invocation->environment);
    if (status == EXIT_DONE)
        status = run_pod(&pod, invocation, role);
    config_free(&pod.config);
    return status;
}
