#include "entrypoint/rendering.h"

#include "common/log.h"
#include "confgen/variables.h"

#include <string.h>
#include <sys/stat.h>

static void mask_value(void *context, const char *value, size_t len)
{
    (void)context;
    (void)log_mask_add(value, len);
}

static void log_lines(enum log_level level, const struct buf *lines)
{
    const char *line = buf_str(lines), *end;

    for (; (end = strchr(line, '\n')); line = end + 1)
        log_write(level, "render", "%.*s", (int)(end - line), line);
}

static int render(const struct render_file *file, struct variables *variables, struct err *err)
{
    struct render_report report = {0};
    struct stat info;
    int result;

    if (strcmp(file->source, "-") != 0 && stat(file->source, &info) == 0 && S_ISDIR(info.st_mode))
        result = render_folder(file->source, file->target, variables, &report, err);
    else
        result = render_files(file, 1, variables, &report, err);
    variables_each_secret(variables, mask_value, NULL);
    log_lines(LOG_WARN, &report.warnings);
    log_lines(LOG_ERROR, &report.faults);
    if (result == 0)
        log_info("render", "%s → %s: %zu file%s, %zu placeholder%s filled", file->source,
                 file->target ?: "nowhere", report.file_count, report.file_count == 1 ? "" : "s",
                 report.placeholder_count, report.placeholder_count == 1 ? "" : "s");
    render_report_free(&report);
    return result;
}

int rendering_run(const struct render_file *file, const struct config *config,
                  char *const *environment, const char *more_folders, struct err *err)
{
    BUF_AUTO folders = BUF_INIT(65536);
    struct variables *variables;
    int result;

    (void)buf_printf(&folders, "%s %s", more_folders, config->render.secrets);
    variables = variables_new(environment, buf_str(&folders), config->render.secret_names);
    if (!variables || buf_failed(&folders))
        result = err_set(err, EXIT_INTERNAL, "out of memory");
    else
        result = render(file, variables, err);
    variables_free(variables);
    return result;
}
