/* The subcommands that need no PID 1: render, wait, probe, config, version. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/log.h"
#include "common/version.h"
#include "confgen/variables.h"
#include "entrypoint/commands.h"
#include "entrypoint/rendering.h"
#include "probes/check.h"
#include "probes/wait.h"

#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <libxml/xmlversion.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MAX_TARGETS 16
#define WAIT_TIMEOUT "5m"
#define PROBE_TIMEOUT_MS 5000

int command_load_config(struct config *config, const char *file, char *const *environment)
{
    struct err err;
    const char *line, *end;

    if (config_load(config, file, environment, &err) < 0)
        return command_fail("config", &err);
    log_set_format((enum log_format)config->log.format);
    log_set_level((enum log_level)config->log.level);
    for (line = buf_str(&config->warnings); (end = strchr(line, '\n')); line = end + 1)
        log_warn("config", "%.*s", (int)(end - line), line);
    return EXIT_DONE;
}

static int unknown_option(const struct invocation *invocation)
{
    return command_usage(invocation->argv[0], "unknown or incomplete option %s",
                         invocation->argv[optind - 1]);
}

static int write_stdout(const struct buf *text)
{
    struct err err;

    if (!buf_failed(text) && fd_write_all(STDOUT_FILENO, buf_str(text), text->len) == 0)
        return EXIT_DONE;
    err_set_errno(&err, EXIT_INTERNAL, "cannot write to standard output");
    return command_fail("sparkpod", &err);
}

/* ---- render ------------------------------------------------------------------------------- */

int command_render(const struct invocation *invocation)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"secrets", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    BUF_AUTO folders = BUF_INIT(65536);
    struct render_file file = {.format = RENDER_AUTO};
    const char *config_file = NULL;
    struct config config;
    struct err err = {0};
    int option, status;

    opterr = 0;
    while ((option = getopt_long(invocation->argc, invocation->argv, ":", options, NULL)) != -1) {
        if (option == 'c')
            config_file = optarg;
        else if (option == 's')
            (void)buf_printf(&folders, " %s", optarg);
        else if (option != 'f')
            return unknown_option(invocation);
        else if (render_parse_format(optarg, &file.format) < 0)
            return command_usage("render", "unknown format %s", optarg);
    }
    if (invocation->argc - optind != 2)
        return command_usage("render", "TEMPLATE and OUTPUT are needed");
    file.source = invocation->argv[optind];
    file.target = invocation->argv[optind + 1];
    status = command_load_config(&config, config_file, invocation->environment);
    if (status == EXIT_DONE &&
        rendering_run(&file, &config, invocation->environment, buf_str(&folders), &err) < 0)
        status = command_fail("render", &err);
    config_free(&config);
    return status;
}

/* ---- wait, probe -------------------------------------------------------------------------- */

int command_add_passwords(struct target *targets, size_t count, const struct config *config,
                          char *const *environment, struct err *err)
{
    struct variables *variables =
        variables_new(environment, config->render.secrets, config->render.secret_names);
    struct variable password;
    int found;

    if (!variables)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    found = variables_get(variables, "PGPASSWORD", strlen("PGPASSWORD"), &password, err);
    if (found == 1)
        (void)log_mask_add(password.value, password.len);
    for (size_t i = 0; found == 1 && i < count; i++) {
        if (targets[i].kind == TARGET_POSTGRES &&
            target_set_login(&targets[i], NULL, password.value) < 0)
            found = err_set(err, EXIT_INTERNAL, "out of memory");
    }
    variables_free(variables);
    return found < 0 ? -1 : 0;
}

static int parse_targets(struct target *targets, size_t count, char *const *urls,
                         const struct config *config, char *const *environment, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (target_parse(urls[i], &targets[i], err) < 0)
            return -1;
    }
    return command_add_passwords(targets, count, config, environment, err);
}

/* TERM and INT end the wait with 143, as PID 1 of an init container too, where the default action
 * would not end it. */
static int open_cancel_fd(void)
{
    sigset_t stop;

    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    return signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int wait_with(const struct config *config, const struct target *targets, size_t count)
{
    struct wait_options options = {
        .timeout_ms = config->wait.timeout,
        .try_timeout_ms = config->health.timeout,
        .fatal_grace_ms = config->wait.fatal_grace,
        .cancel_fd = open_cancel_fd(),
    };
    struct err err;

    if (wait_for_targets(targets, count, &options, &err) < 0)
        return command_fail("wait", &err);
    return EXIT_DONE;
}

int command_wait(const struct invocation *invocation)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    const char *config_file = NULL, *timeout = NULL;
    struct target targets[MAX_TARGETS] = {0};
    size_t count;
    struct config config;
    struct err err = {0};
    int option, status;

    opterr = 0;
    while ((option = getopt_long(invocation->argc, invocation->argv, ":", options, NULL)) != -1) {
        if (option == 'c')
            config_file = optarg;
        else if (option == 't')
            timeout = optarg;
        else
            return unknown_option(invocation);
    }
    count = (size_t)(invocation->argc - optind);
    if (count == 0 || count > MAX_TARGETS)
        return command_usage("wait", "between 1 and %d URLs are needed", MAX_TARGETS);
    status = command_load_config(&config, config_file, invocation->environment);
    if (!timeout && !config_is_set(&config, "wait.timeout"))
        timeout = WAIT_TIMEOUT; /* roles wait for ever; here somebody waits for an answer */
    if (status == EXIT_DONE && timeout && config_set(&config, "wait.timeout", timeout, &err) < 0)
        status = command_usage("wait", "%s", err.message);
    if (status == EXIT_DONE && parse_targets(targets, count, invocation->argv + optind, &config,
                                             invocation->environment, &err) < 0)
        status = err.status == EXIT_USAGE ? command_usage("wait", "%s", err.message)
                                          : command_fail("wait", &err);
    if (status == EXIT_DONE)
        status = wait_with(&config, targets, count);
    for (size_t i = 0; i < count; i++)
        target_free(&targets[i]);
    config_free(&config);
    return status;
}

/* Ask the sparkpod of this container, as a kubelet would. */
static int probe_self(const struct config *config, const char *probe)
{
    struct http_reply reply = {0};
    struct err err;
    char url[64];
    int status;

    if (config->health.port == 0) {
        err_set(&err, EXIT_CONFIG, "health.port is 0: there is no server to ask");
        return command_fail("probe", &err);
    }
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%" PRId64 "/%sz", config->health.port,
                   strcmp(probe, "startup") == 0 ? "startup" : probe);
    if (http_get(url, clock_ms() + PROBE_TIMEOUT_MS, 65536, &reply, &err) < 0) {
        err.status = EXIT_UNAVAILABLE;
        return command_fail("probe", &err);
    }
    (void)write_stdout(&reply.body);
    status = reply.status == 200 ? EXIT_DONE : EXIT_FAILED;
    http_reply_free(&reply);
    return status;
}

static int probe_url(const struct config *config, char *const *url, char *const *environment)
{
    TARGET_AUTO target = {0};
    struct check_result result;
    struct err err = {0};

    if (parse_targets(&target, 1, url, config, environment, &err) < 0)
        return command_usage("probe", "%s", err.message);
    check_target(&target, clock_ms() + config->health.timeout, &result);
    (void)printf("%s %s: %s (%.1f ms)\n", target.url,
                 result.state == CHECK_READY ? "ready" : "not ready", result.reason,
                 (double)result.latency_us / 1000);
    if (result.state == CHECK_READY)
        return EXIT_DONE;
    return result.state == CHECK_FATAL ? (int)result.status : EXIT_UNAVAILABLE;
}

int command_probe(const struct invocation *invocation)
{
    char *const *what = invocation->argv + 1;
    struct config config;
    int status;

    if (invocation->argc != 2)
        return command_usage("probe", "one of live, ready, startup or a URL is needed");
    status = command_load_config(&config, NULL, invocation->environment);
    if (status == EXIT_DONE) {
        if (strcmp(*what, "live") == 0 || strcmp(*what, "ready") == 0 ||
            strcmp(*what, "startup") == 0)
            status = probe_self(&config, *what);
        else
            status = probe_url(&config, what, invocation->environment);
    }
    config_free(&config);
    return status;
}

/* ---- config, version ---------------------------------------------------------------------- */

int command_config(const struct invocation *invocation)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"format", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    BUF_AUTO text = BUF_INIT(1 << 20);
    const char *config_file = NULL, *format = "ini";
    struct config config;
    struct err err;
    int option, status;

    opterr = 0;
    while ((option = getopt_long(invocation->argc, invocation->argv, ":", options, NULL)) != -1) {
        if (option == 'c')
            config_file = optarg;
        else if (option == 'f')
            format = optarg;
        else
            return unknown_option(invocation);
    }
    if (optind < invocation->argc || (strcmp(format, "ini") != 0 && strcmp(format, "json") != 0))
        return command_usage("config", "expected [--format ini|json]");
    status = command_load_config(&config, config_file, invocation->environment);
    if (status == EXIT_DONE) {
        (void)(strcmp(format, "ini") == 0 ? config_write_ini : config_write_json)(&config, &text);
        status = write_stdout(&text);
        if (config_check(&config, &err) < 0)
            status = command_fail("config", &err);
    }
    config_free(&config);
    return status;
}

int command_version(const struct invocation *invocation)
{
    int pq = PQlibVersion();

    (void)invocation;
    (void)printf("sparkpod %s (commit %s)\n%s\nlibxml2/%s libpq/%d.%d libmicrohttpd/%s "
                 "jansson/%s inih/%d\n",
                 SPARKPOD_VERSION, version_commit, curl_version(), LIBXML_DOTTED_VERSION,
                 pq / 10000, pq % 10000, MHD_get_version(), jansson_version_str(), 55);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_INTERNAL;
}
