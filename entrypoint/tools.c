/* The subcommands that need no PID 1: render, wait, probe, config, version. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/log.h"
#include "common/version.h"
#include "entrypoint/commands.h"
#include "entrypoint/helpers.h"
#include "entrypoint/masking.h"
#include "entrypoint/rendering.h"
#include "entrypoint/service.h"
#include "probes/check.h"

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

#define MAX_FOLDERS 16
#define DEEP_TIMEOUT "30s" /* a server's first statement takes seconds */
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
    masking_add_environment(config, environment);
    for (line = buf_str(&config->warnings); (end = strchr(line, '\n')); line = end + 1)
        log_warn("config", "%.*s", (int)(end - line), line);
    return EXIT_DONE;
}

int command_refuse(const char *name, const struct err *err)
{
    return err->status == EXIT_USAGE ? command_usage(name, "%s", err->message)
                                     : command_fail(name, err);
}

int command_flags(const struct invocation *invocation, const struct flag *flags, bool strict)
{
    struct option options[8] = {{.name = NULL}};
    size_t seen[8] = {0};
    int i;

    for (i = 0; flags[i].name; i++)
        options[i] = (struct option){flags[i].name, flags[i].most ? required_argument : no_argument,
                                     NULL, i};
    opterr = 0;
    while ((i = getopt_long(invocation->argc, invocation->argv, strict ? "+:" : ":", options,
                            NULL)) != -1) {
        if (i == '?' || i == ':')
            return command_usage(invocation->argv[0], "unknown or incomplete option %s",
                                 invocation->argv[optind - 1]);
        if (flags[i].most && seen[i] == flags[i].most)
            return command_usage(invocation->argv[0], "more than %zu --%s", seen[i], flags[i].name);
        flags[i].values[flags[i].most ? seen[i]++ : 0] = optarg ?: invocation->argv[0];
    }
    return EXIT_DONE;
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
    char *config_file = NULL, *format = NULL, *check = NULL, *secrets[MAX_FOLDERS + 1] = {NULL};
    const struct flag flags[] = {{"check", &check, 0},
                                 {"config", &config_file, 1},
                                 {"format", &format, 1},
                                 {"secrets", secrets, MAX_FOLDERS},
                                 {.name = NULL}};
    BUF_AUTO folders = BUF_INIT(65536);
    struct render_file file = {.format = RENDER_AUTO};
    struct config config;
    struct err err = {0};
    int status = command_flags(invocation, flags, false);

    if (status != EXIT_DONE)
        return status;
    if (format && render_parse_format(format, &file.format) < 0)
        return command_usage("render", "unknown format %s", format);
    if (invocation->argc - optind != (check ? 1 : 2))
        return command_usage("render", check ? "--check takes a TEMPLATE alone"
                                             : "TEMPLATE and OUTPUT are needed");
    file.source = invocation->argv[optind];
    file.target = check ? NULL : invocation->argv[optind + 1];
    for (char **folder = secrets; *folder; folder++)
        (void)buf_printf(&folders, " %s", *folder);
    status = command_load_config(&config, config_file, invocation->environment);
    if (status == EXIT_DONE &&
        rendering_run(&file, &config, invocation->environment, buf_str(&folders), false, &err) < 0)
        status = command_fail("render", &err);
    config_free(&config);
    return status;
}

/* ---- wait, probe -------------------------------------------------------------------------- */

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

static int wait_for_urls(char *const *urls, const struct config *config, char *const *environment,
                         int cancel_fd)
{
    const struct service service = {.role = service_find_role("run"),
                                    .config = config,
                                    .environment = environment,
                                    .waits = urls};
    struct err err;

    if (helper_wait_for(&service, NULL, cancel_fd, &err) < 0)
        return command_refuse("wait", &err);
    return EXIT_DONE;
}

int command_wait(const struct invocation *invocation)
{
    char *config_file = NULL, *timeout = NULL;
    const struct flag flags[] = {
        {"config", &config_file, 1}, {"timeout", &timeout, 1}, {.name = NULL}};
    int cancel_fd = open_cancel_fd(); /* first of all: a SIGTERM may be on its way */
    int status = command_flags(invocation, flags, false);
    struct config config;
    struct err err;

    if (status != EXIT_DONE)
        return status;
    if (optind == invocation->argc)
        return command_usage("wait", "a URL is needed");
    status = command_load_config(&config, config_file, invocation->environment);
    /* Roles wait for ever; here somebody waits for an answer. */
    if (status == EXIT_DONE && (timeout || !config_is_set(&config, "wait.timeout")) &&
        config_set(&config, "wait.timeout", timeout ?: WAIT_TIMEOUT, &err) < 0)
        status = command_refuse("wait", &err);
    if (status == EXIT_DONE)
        status =
            wait_for_urls(invocation->argv + optind, &config, invocation->environment, cancel_fd);
    config_free(&config);
    return status;
}

/* Ask the sparkpod of this container, as a kubelet would. */
static int probe_self(const struct config *config, const char *probe)
{
    HTTP_REPLY_AUTO reply = {0};
    struct err err;
    char url[64];

    if (config->health.port == 0) {
        err_set(&err, EXIT_CONFIG, "health.port is 0: there is no server to ask");
        return command_fail("probe", &err);
    }
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%" PRId64 "/%sz", config->health.port,
                   probe);
    if (http_get(url, clock_ms() + PROBE_TIMEOUT_MS, 65536, &reply, &err) < 0)
        return command_fail("probe", &err);
    (void)write_stdout(&reply.body);
    return reply.status == 200 ? EXIT_DONE : EXIT_FAILED;
}

/* What `probe` was asked beside the URL. */
struct probe_options {
    char *config_file, *timeout, *ca_file, *server_name, *insecure, *deep;
};

static int probe_url(const struct config *config, char *const *url,
                     const struct probe_options *options, char *const *environment)
{
    TARGET_AUTO target = {0};
    struct check_result result;
    struct err err;

    if (service_parse_urls(url, config, environment, &target, &err) < 0)
        return command_refuse("probe", &err);
    if (options->deep && (target.kind == TARGET_HTTP || target.kind == TARGET_TCP))
        return command_usage("probe", "--deep is for hive2://, thrift:// and postgres://");
    target.deep = options->deep;
    if (target_set_tls(&target, options->ca_file, options->server_name) < 0) {
        err_no_memory(&err);
        return command_fail("probe", &err);
    }
    target.insecure |= target.tls && options->insecure;
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
    struct probe_options options = {0};
    const struct flag flags[] = {{"config", &options.config_file, 1},
                                 {"timeout", &options.timeout, 1},
                                 {"ca-file", &options.ca_file, 1},
                                 {"server-name", &options.server_name, 1},
                                 {"insecure", &options.insecure, 0},
                                 {"deep", &options.deep, 0},
                                 {.name = NULL}};
    int status = command_flags(invocation, flags, false);
    char *const *what = invocation->argv + optind;
    const char *timeout = options.timeout;
    struct config config;
    struct err err;

    if (status != EXIT_DONE)
        return status;
    if (invocation->argc - optind != 1)
        return command_usage("probe", "one of live, ready, startup or a URL is needed");
    status = command_load_config(&config, options.config_file, invocation->environment);
    if (!timeout && options.deep && !config_is_set(&config, "health.timeout"))
        timeout = DEEP_TIMEOUT;
    if (status == EXIT_DONE && timeout && config_set(&config, "health.timeout", timeout, &err) < 0)
        status = command_refuse("probe", &err);
    if (status == EXIT_DONE && (strcmp(*what, "live") == 0 || strcmp(*what, "ready") == 0 ||
                                strcmp(*what, "startup") == 0))
        status = probe_self(&config, *what);
    else if (status == EXIT_DONE)
        status = probe_url(&config, what, &options, invocation->environment);
    config_free(&config);
    return status;
}

/* ---- config, version ---------------------------------------------------------------------- */

int command_config(const struct invocation *invocation)
{
    char *config_file = NULL, *format = NULL;
    const struct flag flags[] = {
        {"config", &config_file, 1}, {"format", &format, 1}, {.name = NULL}};
    BUF_AUTO text = BUF_INIT(1 << 20);
    struct config config;
    struct err err;
    bool json;
    int status = command_flags(invocation, flags, false);

    if (status != EXIT_DONE)
        return status;
    json = format && strcmp(format, "json") == 0;
    if (optind < invocation->argc || (format && !json && strcmp(format, "ini") != 0))
        return command_usage("config", "expected [--format ini|json]");
    status = command_load_config(&config, config_file, invocation->environment);
    if (status == EXIT_DONE) {
        (void)(json ? config_write_json : config_write_ini)(&config, &text);
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
