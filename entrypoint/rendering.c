#include "entrypoint/rendering.h"

#include "common/fd.h"
#include "common/log.h"
#include "confgen/variables.h"
#include "entrypoint/masking.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_TRIES 3 /* kubelet replaces a Secret once a minute at most */

static void log_lines(enum log_level level, const struct buf *lines)
{
    const char *line = buf_str(lines), *end;

    for (; (end = strchr(line, '\n')); line = end + 1)
        log_write(level, "render", "%.*s", (int)(end - line), line);
}

static int render(const struct render_file *file, struct variables *variables,
                  struct render_report *report, struct err *err)
{
    struct stat info;

    if (strcmp(file->source, "-") != 0 && stat(file->source, &info) == 0 && S_ISDIR(info.st_mode))
        return render_folder(file, variables, report, err);
    return render_files(file, 1, variables, report, err);
}

/* Say what came of it. */
static int tell(const struct render_file *file, const struct variables *variables,
                const struct render_report *report, int result, bool quiet, struct err *err)
{
    variables_each_secret(variables, masking_add);
    log_lines(quiet ? LOG_DEBUG : LOG_WARN, variables_warnings(variables));
    log_lines(quiet ? LOG_DEBUG : LOG_WARN, &report->warnings);
    log_lines(quiet ? LOG_DEBUG : LOG_ERROR, &report->faults);
    if (fd_write_all(STDOUT_FILENO, buf_str(&report->listing), report->listing.len) < 0)
        return err_set_errno(err, EXIT_INTERNAL, "cannot write to standard output");
    if (result == 0)
        log_write(quiet ? LOG_DEBUG : LOG_INFO, "render",
                  "%s → %s: %zu file%s, %zu placeholder%s filled", file->source,
                  file->target ?: "nowhere", report->file_count, report->file_count == 1 ? "" : "s",
                  report->placeholder_count, report->placeholder_count == 1 ? "" : "s");
    return result;
}

int rendering_has_templates(const struct config *config, struct err *err)
{
    struct stat info;

    if (stat(config->render.source, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return 1;
        return err_set(err, EXIT_CONFIG, "render.source: %s is not a folder",
                       config->render.source);
    }
    if (errno == ENOENT && !config_is_set(config, "render.source"))
        return 0;
    return err_set_errno(err, EXIT_CONFIG, "render.source: %s", config->render.source);
}

int rendering_run(const struct render_file *file, const struct config *config,
                  char *const *environment, const char *more_folders, bool quiet, struct err *err)
{
    BUF_AUTO folders = BUF_INIT(65536);
    int result = -1;

    /* The soft limit on core files does not hold where the kernel pipes them to a program. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)buf_printf(&folders, "%s %s", more_folders, config->render.secrets);
    for (int tries = 1; result < 0; tries++) {
        struct render_report report = {0};
        struct variables *variables =
            variables_new(environment, buf_str(&folders), config->render.secret_names);
        bool again;

        if (!variables || buf_failed(&folders)) {
            variables_free(variables);
            return err_no_memory(err);
        }
        result = render(file, variables, &report, err);
        again = result < 0 && tries < MOST_TRIES && variables_are_stale(variables);
        if (!again)
            result = tell(file, variables, &report, result, quiet, err);
        render_report_free(&report);
        variables_free(variables);
        if (!again)
            break;
    }
    return result;
}
