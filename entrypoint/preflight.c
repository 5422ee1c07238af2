#include "entrypoint/preflight.h"

#include "common/fd.h"
#include "confgen/render.h"
#include "entrypoint/commands.h"
#include "entrypoint/kubernetes.h"
#include "entrypoint/masking.h"
#include "entrypoint/rendering.h"
#include "entrypoint/service.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What the services read, in the order in which a later one wins. */
static const char *const file_names[] = {"core-site.xml", "hive-site.xml", "hivemetastore-site.xml",
                                         "metastore-site.xml", "spark-defaults.conf"};
#define FILES (sizeof(file_names) / sizeof(file_names[0]))
#define SPARK_DEFAULTS (FILES - 1)

struct rendered {
    char *source; /* the template; NULL: none made this file */
    struct buf template, result;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* ---- lines of others ---- */

/* Take "FILE:LINE:COL: MESSAGE" or "FILE:LINE: MESSAGE" apart, in place. */
static void part_line(char *text, struct finding *ret)
{
    char *message = strstr(text, ": "), *colon = message;

    ret->what = text;
    ret->file = NULL;
    ret->line = 0;
    while (colon) {
        char *digits = colon;

        while (digits > text && isdigit((unsigned char)digits[-1]))
            digits--;
        if (digits == colon || digits == text || digits[-1] != ':')
            break;
        colon = digits - 1;
    }
    if (colon == message)
        return;
    for (const char *p = colon + 1; isdigit((unsigned char)*p); p++)
        ret->line = ret->line * 10 + (size_t)(*p - '0');
    *colon = '\0';
    ret->file = text;
    ret->what = message + 2;
}

/* Add a finding for each line. */
static void add_lines(struct findings *findings, const struct buf *lines,
                      enum finding_severity severity, enum exit_status status)
{
    const char *line = buf_str(lines), *end;

    for (; (end = strchr(line, '\n')); line = end + 1) {
        struct finding finding = {.severity = severity, .status = status};
        char *text = strndup(line, (size_t)(end - line));

        if (!text)
            return;
        part_line(text, &finding);
        findings_add(findings, &finding);
        free(text);
    }
}

/* ---- settings ---- */

static void check_settings(struct config *config, const char *file, char *const *environment,
                           struct findings *findings)
{
    struct err err = {0};

    findings_begin(findings, "settings");
    if (config_load(config, file, environment, &err) < 0 && config->faults.len == 0)
        findings_add_err(findings, "settings", &err);
    add_lines(findings, &config->faults, FINDING_ERROR, EXIT_CONFIG);
    add_lines(findings, &config->warnings, FINDING_WARNING, EXIT_DONE);
    if (config->faults.len == 0 && config_check(config, &err) < 0)
        findings_add_err(findings, NULL, &err);
}

/* ---- templates ---- */

static void keep_result(void *context, const struct render_file *file, const struct buf *template,
                        const struct buf *result)
{
    struct rendered *rendered = context;

    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(base_name(file->source), file_names[i]) != 0)
            continue;
        rendered[i].source = strdup(file->source);
        (void)buf_add(&rendered[i].template, buf_str(template), template->len);
        (void)buf_add(&rendered[i].result, buf_str(result), result->len);
    }
}

static void check_templates(const struct preflight *preflight, const struct role *role,
                            const char *conf_folder, struct rendered *rendered)
{
    const struct config *config = preflight->config;
    struct findings *findings = preflight->findings;
    struct render_file folder = {
        .source = config->render.source,
        .target = conf_folder,
        .is_published =
            role->is_published && service_getenv(preflight->environment, "KUBERNETES_SERVICE_HOST"),
        .see = keep_result,
        .context = rendered,
    };
    struct render_report report = {0};
    struct variables *variables;
    struct err err = {0};
    int found = rendering_has_templates(config, &err);

    findings_begin(findings, "templates");
    if (found < 0)
        findings_add_err(findings, NULL, &err);
    if (found <= 0)
        return;
    variables =
        variables_new(preflight->environment, config->render.secrets, config->render.secret_names);
    if (variables) {
        if (render_folder(&folder, variables, &report, &err) < 0 && report.fault_count == 0)
            findings_add_err(findings, NULL, &err);
        add_lines(findings, variables_warnings(variables), FINDING_WARNING, EXIT_DONE);
    }
    add_lines(findings, &report.warnings, FINDING_WARNING, EXIT_DONE);
    add_lines(findings, &report.faults, FINDING_ERROR, EXIT_DATA);
    render_report_free(&report);
    variables_free(variables);
}

/* ---- rules ---- */

static void add_finding(void *context, const struct lint_rule *rule,
                        const struct lint_setting *setting)
{
    findings_add(context,
                 &(struct finding){
                     .severity = rule->severity == LINT_ERROR ? FINDING_ERROR : FINDING_WARNING,
                     .status = EXIT_CONFIG,
                     .rule = rule->id,
                     .file = setting && *setting->file ? setting->file : NULL,
                     .line = setting ? setting->line : 0,
                     .key = setting ? setting->written : NULL,
                     .what = rule->what,
                     .why = rule->why,
                     .instead = rule->instead,
                 });
}

static void set_version(const struct preflight *preflight, const char *key, const char *home,
                        const char *pattern)
{
    char version[64];

    service_jar_version(service_getenv(preflight->environment, home), pattern, version,
                        sizeof(version));
    (void)lint_set(preflight->settings, key, version, NULL);
}

/* What no file has, for the rules' conditions. */
static void set_facts(const struct preflight *preflight, bool is_metastore)
{
    const struct config *config = preflight->config;
    char port[24];

    (void)snprintf(port, sizeof(port), "%" PRId64, config->health.port);
    (void)lint_set(preflight->settings, "sparkpod.health.port", port, NULL);
    (void)lint_set(preflight->settings, "sparkpod.executor_image", config->spark.executor_image,
                   NULL);
    if (is_metastore)
        set_version(preflight, "sparkpod.hadoop.version", "HADOOP_HOME",
                    "share/hadoop/common/hadoop-common-[0-9]*[0-9].jar");
    else
        set_version(preflight, "sparkpod.hadoop.version", "SPARK_HOME",
                    "jars/hadoop-client-api-*.jar");
    set_version(preflight, "sparkpod.hadoop-azure.version", "SPARK_HOME",
                "jars/hadoop-azure-[0-9]*.jar");
    set_version(preflight, "sparkpod.spark.version", "SPARK_HOME", "jars/spark-core_*.jar");
}

/* A file that no template makes is taken as it is; one whose template is at fault, not at all.
 * Whether it was read, if it is there. */
static bool add_file(const struct preflight *preflight, const char *conf_folder, const char *name,
                     const struct rendered *rendered)
{
    BUF_AUTO content = BUF_INIT(RENDER_MAX_BYTES);
    char path[PATH_MAX];
    struct err err = {0};
    int result;

    (void)snprintf(path, sizeof(path), "%s/%s", preflight->config->render.source, name);
    if (!rendered->source && access(path, F_OK) == 0)
        return false;
    (void)snprintf(path, sizeof(path), "%s/%s", conf_folder ?: "", name);
    if (rendered->source)
        result = lint_add(preflight->settings, name, rendered->source, &rendered->result,
                          &rendered->template, &err);
    else if (fd_read_file(path, &content) == 0)
        result = lint_add(preflight->settings, name, path, &content, NULL, &err);
    else
        result = errno == ENOENT ? 0 : err_set_errno(&err, EXIT_CONFIG, "cannot be read");
    if (result < 0)
        findings_add_err(preflight->findings, rendered->source ?: path, &err);
    return result == 0;
}

static void check_rules(const struct preflight *preflight, const char *conf_folder,
                        const struct rendered *rendered, bool is_metastore)
{
    unsigned scope = LINT_COMPLETE | (is_metastore ? LINT_METASTORE : LINT_THRIFT_SERVER);

    findings_begin(preflight->findings, "rules");
    set_facts(preflight, is_metastore);
    for (size_t i = 0; i < FILES - is_metastore; i++) /* it does not read spark-defaults.conf */
        if (!add_file(preflight, conf_folder, file_names[i], &rendered[i]))
            scope &= ~(unsigned)LINT_COMPLETE;
    if (service_getenv(preflight->environment, "KUBERNETES_SERVICE_HOST"))
        scope |= LINT_KUBERNETES;
    if (!preflight->config->metastore.allow_derby)
        scope |= LINT_POSTGRES;
    lint_run(preflight->settings, scope, add_finding, preflight->findings);
}

/* ---- all together ---- */

static void check_all(const struct preflight *preflight, const struct role *role)
{
    bool is_metastore = strcmp(role->name, "metastore") == 0;
    struct rendered rendered[FILES] = {{.source = NULL}};
    char folder[PATH_MAX];
    const char *conf_folder = service_conf_folder(role, preflight->config, preflight->environment,
                                                  folder, sizeof(folder));

    if (!conf_folder)
        findings_add(preflight->findings,
                     &(struct finding){.severity = FINDING_ERROR,
                                       .status = EXIT_CONFIG,
                                       .key = "render.target",
                                       .what = "it is not set, nor is the distribution's home",
                                       .why = "nobody knows where to write the configuration",
                                       .instead = "render.target (SPARKPOD_RENDER_TARGET)"});
    for (size_t i = 0; i < FILES; i++)
        rendered[i].template = rendered[i].result = BUF_INIT(RENDER_MAX_BYTES);
    check_templates(preflight, role, conf_folder, rendered);
    check_rules(preflight, conf_folder, rendered, is_metastore);
    if (!is_metastore && preflight_has_executor_pods(preflight))
        preflight_kubernetes(preflight, KUBERNETES_SERVICE_ACCOUNT);
    preflight_azure(preflight);
    for (size_t i = 0; i < FILES; i++) {
        free(rendered[i].source);
        buf_free(&rendered[i].template);
        buf_free(&rendered[i].result);
    }
}

static int write_findings(const struct findings *findings, bool json)
{
    BUF_AUTO text = BUF_INIT((size_t)16 << 20);
    struct err err;

    if (json)
        findings_write_json(findings, &text);
    else
        findings_write_text(findings, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), &text);
    if (!buf_failed(&text) && fd_write_all(STDOUT_FILENO, buf_str(&text), text.len) == 0)
        return (int)findings->status;
    err_set(&err, EXIT_INTERNAL, "cannot write to standard output");
    return command_fail("check", &err);
}

/* The role that this image is made for. */
static const char *guess_role(char *const *environment)
{
    bool is_metastore =
        !service_getenv(environment, "SPARK_HOME") &&
        (service_getenv(environment, "HIVE_HOME") || service_getenv(environment, "METASTORE_HOME"));

    return is_metastore ? "metastore" : "thrift-server";
}

int command_preflight(const struct invocation *invocation)
{
    char *config_file = NULL, *role_name = NULL, *format = NULL;
    const struct flag flags[] = {{"config", &config_file, 1},
                                 {"role", &role_name, 1},
                                 {"format", &format, 1},
                                 {.name = NULL}};
    LINT_AUTO *settings = lint_new();
    struct findings findings;
    struct config config;
    struct preflight preflight = {&config, invocation->environment, settings, &findings};
    const struct role *role;
    int status = command_flags(invocation, flags, false);

    if (status != EXIT_DONE)
        return status;
    role = service_find_role(role_name ?: guess_role(invocation->environment));
    if (optind < invocation->argc || !role || !role->is_rendered)
        return command_usage("check", "expected [--role thrift-server|metastore]");
    if (format && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
        return command_usage("check", "unknown format %s", format);
    if (!settings || findings_init(&findings) < 0)
        return EXIT_INTERNAL;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* there will be secrets in memory */
    check_settings(&config, config_file, invocation->environment, &findings);
    check_all(&preflight, role);
    status = write_findings(&findings, format && strcmp(format, "json") == 0);
    findings_free(&findings);
    config_free(&config);
    return status;
}
