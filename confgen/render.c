#include "confgen/render.h"

#include "common/fd.h"
#include "confgen/expansion.h"
#include "confgen/hadoop_xml.h"
#include "confgen/properties.h"
#include "confgen/write.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_MAX_BYTES ((size_t)1 << 20)

/* A template on its way. */
struct job {
    struct render_file file;
    char *owned_source, *owned_target;
    bool verbatim; /* no template: copied */
    struct buf result;
};

struct jobs {
    struct job *list;
    size_t count;
};

/* The job is zeroed then. */
static void job_free(struct job *job)
{
    buf_free(&job->result);
    free(job->owned_source);
    free(job->owned_target);
    *job = (struct job){0};
}

static void jobs_free(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        job_free(&jobs->list[i]);
    free(jobs->list);
}

static void free_set(struct write_set **set)
{
    write_set_free(*set);
}
#define WRITE_SET_AUTO __attribute__((cleanup(free_set))) struct write_set *

void render_report_free(struct render_report *report)
{
    buf_free(&report->faults);
    buf_free(&report->warnings);
}

int render_parse_format(const char *name, enum render_format *ret)
{
    static const char *const names[] = {
        [RENDER_AUTO] = "auto",
        [RENDER_XML] = "xml",
        [RENDER_PROPERTIES] = "properties",
        [RENDER_TEXT] = "text",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum render_format)i;
            return 0;
        }
    }
    return -1;
}

static bool is_stdio(const char *name)
{
    return name && strcmp(name, "-") == 0;
}

static enum render_format format_of_name(const char *name)
{
    const char *dot = name ? strrchr(name, '.') : NULL;

    if (dot && strcmp(dot, ".xml") == 0)
        return RENDER_XML;
    if (dot && (strcmp(dot, ".properties") == 0 || strcmp(dot, ".conf") == 0))
        return RENDER_PROPERTIES;
    return RENDER_TEXT;
}

/* By the template's name, or by the target's for the likes of hive-site.xml.tmpl. */
static enum render_format format_of(const struct render_file *file)
{
    enum render_format format = file->format;

    if (format == RENDER_AUTO)
        format = format_of_name(file->source);
    if (file->format == RENDER_AUTO && format == RENDER_TEXT)
        format = format_of_name(file->target);
    return format;
}

static int read_err(struct err *err, const char *path)
{
    return err_set_errno(err, errno == EACCES ? EXIT_REFUSED : EXIT_CONFIG, "cannot read %s", path);
}

static int read_source(const struct render_file *file, struct buf *content, struct err *err)
{
    int result = is_stdio(file->source) ? fd_read_all(STDIN_FILENO, content)
                                        : fd_read_file(file->source, content);

    if (result == 0)
        return 0;
    if (errno == EFBIG)
        return err_set(err, EXIT_CONFIG, "%s is larger than 16 MiB", file->source);
    return read_err(err, file->source);
}

/* Text carries all but NUL, which no configuration means. */
static bool escape_text(struct buf *out, const char *value, size_t len)
{
    if (memchr(value, '\0', len))
        return false;
    (void)buf_add(out, value, len);
    return true;
}

static void expand(struct expansion *expansion, enum render_format format)
{
    switch (format) {
    case RENDER_XML:
        hadoop_xml_expand(expansion);
        break;
    case RENDER_PROPERTIES:
        properties_expand(expansion);
        break;
    case RENDER_TEXT:
    case RENDER_AUTO:
        expansion_put_all(expansion, 0, expansion->len, escape_text);
        break;
    }
    if (buf_failed(&expansion->result) || buf_failed(&expansion->marked))
        expansion_fault_at(expansion, 1, 1, "the result is larger than 16 MiB");
}

static struct buf take(struct buf *buf)
{
    struct buf taken = *buf;

    *buf = BUF_INIT(buf->max);
    return taken;
}

static int render_job(struct job *job, struct variables *variables, struct render_report *report,
                      struct err *err)
{
    BUF_AUTO content = BUF_INIT(RENDER_MAX_BYTES);
    __attribute__((cleanup(expansion_free))) struct expansion expansion = {0};

    if (read_source(&job->file, &content, err) < 0)
        return -1;
    report->file_count++;
    if (job->verbatim) {
        job->result = take(&content);
        return 0;
    }
    expansion_init(&expansion, is_stdio(job->file.source) ? "<stdin>" : job->file.source,
                   buf_str(&content), content.len, RENDER_MAX_BYTES, variables, &report->faults);
    expand(&expansion, format_of(&job->file));
    report->fault_count += expansion.fault_count;
    report->placeholder_count += expansion.placeholder_count;
    job->result = take(&expansion.result);
    return 0;
}

static int write_stdout(const struct jobs *jobs, struct err *err)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = &jobs->list[i];

        if (is_stdio(job->file.target) &&
            fd_write_all(STDOUT_FILENO, buf_str(&job->result), job->result.len) < 0)
            return err_set_errno(err, EXIT_INTERNAL, "cannot write to standard output");
    }
    return 0;
}

static int write_results(const struct jobs *jobs, struct buf *warnings, struct err *err)
{
    WRITE_SET_AUTO set = write_set_new();

    if (!set)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = &jobs->list[i];

        if (job->file.target && !is_stdio(job->file.target) &&
            write_stage(set, job->file.target, buf_str(&job->result), job->result.len, err) < 0)
            return -1;
    }
    if (write_stdout(jobs, err) < 0)
        return -1;
    return write_commit(set, warnings, err);
}

static int render_jobs(struct jobs *jobs, struct variables *variables, struct render_report *report,
                       struct err *err)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (render_job(&jobs->list[i], variables, report, err) < 0)
            return -1;
    if (report->fault_count)
        return err_set(err, EXIT_DATA, "%zu fault%s in the templates; nothing was written",
                       report->fault_count, report->fault_count == 1 ? "" : "s");
    return write_results(jobs, &report->warnings, err);
}

static void report_init(struct render_report *report)
{
    *report = (struct render_report){
        .faults = BUF_INIT(REPORT_MAX_BYTES),
        .warnings = BUF_INIT(REPORT_MAX_BYTES),
    };
}

int render_files(const struct render_file *files, size_t count, struct variables *variables,
                 struct render_report *report, struct err *err)
{
    struct jobs jobs = {.list = calloc(count, sizeof(*jobs.list))};
    int result;

    report_init(report);
    if (!jobs.list && count)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    for (; jobs.count < count; jobs.count++)
        jobs.list[jobs.count].file = files[jobs.count];
    result = render_jobs(&jobs, variables, report, err);
    jobs_free(&jobs);
    return result;
}

/* ---- folders ---- */

/* For scandir(): Kubernetes keeps its own links ("..data") beside the files. */
static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* alphasort() would ask the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* FOLDER/NAME; NULL without memory. */
static char *join(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* Add a job for a name in source, unless it is no regular file. */
static int add_job(struct jobs *jobs, const char *source, const char *target, const char *name,
                   struct err *err)
{
    struct job *job = &jobs->list[jobs->count];
    struct stat status;

    job->owned_source = join(source, name);
    job->owned_target = target ? join(target, name) : NULL;
    job->file = (struct render_file){job->owned_source, job->owned_target, RENDER_AUTO};
    job->verbatim = format_of_name(name) == RENDER_TEXT;
    jobs->count++;
    if (!job->owned_source || (target && !job->owned_target))
        return err_set(err, EXIT_INTERNAL, "out of memory");
    if (stat(job->owned_source, &status) < 0)
        return read_err(err, job->owned_source);
    if (!S_ISREG(status.st_mode))
        job_free(&jobs->list[--jobs->count]);
    return 0;
}

int render_folder(const char *source, const char *target, struct variables *variables,
                  struct render_report *report, struct err *err)
{
    struct jobs jobs = {0};
    struct dirent **names;
    int count, result = 0;

    report_init(report);
    count = scandir(source, &names, is_visible, by_name);
    if (count < 0)
        return read_err(err, source);
    jobs.list = calloc((size_t)count + 1, sizeof(*jobs.list));
    for (int i = 0; i < count; i++) {
        if (jobs.list && result == 0)
            result = add_job(&jobs, source, target, names[i]->d_name, err);
        free(names[i]);
    }
    free(names);
    if (!jobs.list)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    if (result == 0)
        result = render_jobs(&jobs, variables, report, err);
    jobs_free(&jobs);
    return result;
}
