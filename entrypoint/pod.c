/* thrift-server, metastore, run: from the command line to PID 1's loop. */
#include "common/log.h"
#include "entrypoint/commands.h"
#include "entrypoint/service.h"
#include "entrypoint/supervisor.h"
#include "probes/server.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAITS 16

/* What the command line says. */
struct pod {
    struct config config;
    const char *config_file;
    struct target waits[MAX_WAITS];
    size_t wait_count;
    struct target probe;
    bool has_probe;
};

static void free_pod(struct pod *pod)
{
    config_free(&pod->config);
    for (size_t i = 0; i < pod->wait_count; i++)
        target_free(&pod->waits[i]);
    target_free(&pod->probe);
}

static int add_wait(struct pod *pod, const char *url, struct err *err)
{
    if (pod->wait_count == MAX_WAITS)
        return err_set(err, EXIT_USAGE, "more than %d --wait", MAX_WAITS);
    if (target_parse(url, &pod->waits[pod->wait_count], err) < 0)
        return -1;
    pod->wait_count++;
    return 0;
}

static int add_probe(struct pod *pod, const char *url, struct err *err)
{
    if (pod->has_probe)
        return err_set(err, EXIT_USAGE, "more than one --probe");
    if (target_parse(url, &pod->probe, err) < 0)
        return -1;
    pod->has_probe = true;
    return 0;
}

/* The flags up to "--"; optind is behind it afterwards. */
static int parse_flags(struct pod *pod, const struct invocation *invocation, bool is_run)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {"probe", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    const char *name = invocation->argv[0];
    struct err err = {0};
    int option, result = 0;

    opterr = 0;
    while (result == 0 &&
           (option = getopt_long(invocation->argc, invocation->argv, "+:", options, NULL)) != -1) {
        if (option == 'c')
            pod->config_file = optarg;
        else if (option == 'w' && is_run)
            result = add_wait(pod, optarg, &err);
        else if (option == 'p' && is_run)
            result = add_probe(pod, optarg, &err);
        else
            return command_usage(name, "unknown or incomplete option %s",
                                 invocation->argv[optind - 1]);
    }
    if (result < 0)
        return command_usage(name, "%s", err.message);
    if (is_run && optind == invocation->argc)
        return command_usage(name, "a COMMAND is missing");
    if (!is_run && optind < invocation->argc && strcmp(invocation->argv[optind - 1], "--") != 0)
        return command_usage(name, "unexpected argument %s; arguments for the service go behind --",
                             invocation->argv[optind]);
    return EXIT_DONE;
}

static int open_health_port(const struct config *config, int *ret_fd, struct err *err)
{
    *ret_fd = -1;
    if (config->health.port == 0)
        return 0;
    *ret_fd = server_listen((uint16_t)config->health.port, err);
    return *ret_fd < 0 ? -1 : 0;
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
        .wait_count = pod->wait_count,
        .probe = pod->has_probe ? &pod->probe : NULL,
    };
    int listen_fd, status;

    service.conf_folder =
        service_conf_folder(role, &pod->config, invocation->environment, folder, sizeof(folder));
    if (!service.conf_folder) {
        err_set(&err, EXIT_CONFIG,
                "where to write the configuration? Set render.target "
                "(SPARKPOD_RENDER_TARGET) or the distribution's home");
        return command_fail(role->name, &err);
    }
    if (config_check(&pod->config, &err) < 0 ||
        command_add_passwords(pod->waits, pod->wait_count, &pod->config, invocation->environment,
                              &err) < 0 ||
        command_add_passwords(&pod->probe, 1, &pod->config, invocation->environment, &err) < 0 ||
        open_health_port(&pod->config, &listen_fd, &err) < 0)
        return command_fail(role->name, &err);
    entry_block_signals();
    status = supervisor_run(&service, invocation->entry, listen_fd, &err);
    return status < 0 ? command_fail(role->name, &err) : status;
}

int command_pod(const struct invocation *invocation)
{
    const struct role *role = service_find_role(invocation->argv[0]);
    struct pod pod = {0};
    int status;

    status = parse_flags(&pod, invocation, role->has_terminal);
    if (status == EXIT_DONE)
        status = command_load_config(&pod.config, pod.config_file, invocation->environment);
    if (status == EXIT_DONE)
        status = run_pod(&pod, invocation, role);
    free_pod(&pod);
    return status;
}
