#include "confgen/render.h"

#include "common/fd.h"
#include "confgen/expansion.h"
#include "confgen/hadoop_xml.h"
#include "confgen/properties.h"
#include "confgen/write.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_MAX_BYTES ((size_t)1 << 20)

static void report_init(struct render_report *report)
{
    *report = (struct render_report){
        .faults = BUF_INIT(REPORT_MAX_BYTES),
        .warnings = BUF_INIT(REPORT_MAX_BYTES),
        .listing = BUF_INIT(REPORT_MAX_BYTES),
        .published = BUF_INIT(REPORT_MAX_BYTES),
    };
}

void render_report_free(struct render_report *report)
{
    buf_free(&report->faults);
    buf_free(&report->warnings);
    buf_free(&report->listing);
    buf_free(&report->published);
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

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
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
    enum render_format by_source = format_of_name(file->source);

    if (file->format != RENDER_AUTO)
        return file->format;
    return by_source == RENDER_TEXT ? format_of_name(file->target) : by_source;
}

/* ---- expanding ---- */

static int read_err(struct err *err, const char *path)
{
    if (errno == EFBIG)
        return err_set(err, EXIT_CONFIG, "%s is larger than 16 MiB", path);
    return err_set_errno(err, errno == EACCES ? EXIT_REFUSED : EXIT_CONFIG, "cannot read %s", path);
}

/* Text carries all but NUL, which no configuration means. */
static bool escape_text(struct buf *out, const char *value, size_t len)
{
    if (memchr(value, '\0', len))
        return false;
    (void)buf_add(out, value, len);
    return true;
}

static const struct expansion_place text_place = {"text, without escaping", escape_text};

static void expand(struct expansion *expansion, enum render_format format)
{
    switch (format) {
    case RENDER_XML:
        hadoop_xml_expand(expansion);
        break;
    case RENDER_PROPERTIES:
        properties_expand(expansion);
        break;
    case RENDER_COPY:
        expansion_copy_to(expansion, expansion->len);
        expansion_check_size(expansion);
        break;
    case RENDER_TEXT:
    case RENDER_AUTO:
        expansion_put_to(expansion, expansion->len, &text_place);
        expansion_check_size(expansion);
        break;
    }
}

/* Spark copies every file of its conf folder but its own and archives
 * (KubernetesClientUtils.loadSparkConfDirFiles). */
static bool is_copied_by_spark(const struct render_file *file)
{
    static const char *const left_out[] = {
        "*.template", "spark*conf", "spark*properties", "*.gz", "*.zip", "*.jar", "*.tar"};

    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (!file->target || fnmatch(left_out[i], base_name(file->target), 0) == 0)
            return false;
    return file->is_published;
}

static int render_file(const struct render_file *file, struct variables *variables,
                       struct render_report *report, struct buf *ret_result, struct err *err)
{
    BUF_AUTO content = BUF_INIT(RENDER_MAX_BYTES);
    struct expansion expansion;
    enum render_format format = format_of(file);
    bool from_stdin = is_stdio(file->source);

    if ((from_stdin ? fd_read_all(STDIN_FILENO, &content) : fd_read_file(file->source, &content)) <
        0)
        return read_err(err, file->source);
    expansion_init(&expansion, from_stdin ? "<stdin>" : file->source, buf_str(&content),
                   content.len, RENDER_MAX_BYTES, variables, &report->faults);
    expansion.is_plain = format == RENDER_TEXT || format == RENDER_COPY;
    expansion.warnings = &report->warnings;
    expansion.listing = file->target ? NULL : &report->listing;
    expansion.published = is_copied_by_spark(file) ? &report->published : NULL;
    expand(&expansion, format);
    report->file_count++;
    report->fault_count += expansion.fault_count;
    report->placeholder_count += expansion.placeholder_count;
    if (file->see && expansion.fault_count == 0)
        file->see(file->context, file, &content, &expansion.result);
    *ret_result = expansion.result;
    expansion.result = BUF_INIT(0);
    expansion_free(&expansion);
    return 0;
}

/* ---- sets ---- */

static bool is_file(const struct write_file *output)
{
    return output->target && !is_stdio(output->target);
}

/* Nothing is replaced before all is staged. */
static int write_all(struct write_file *outputs, size_t count, struct buf *warnings,
                     struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (is_file(&outputs[i]) && write_stage(&outputs[i], err) < 0)
            return -1;
    for (size_t i = 0; i < count; i++)
        if (is_stdio(outputs[i].target) &&
            fd_write_all(STDOUT_FILENO, buf_str(&outputs[i].content), outputs[i].content.len) < 0)
            return err_set_errno(err, EXIT_INTERNAL, "cannot write to standard output");
    for (size_t i = 0; i < count; i++)
        if (is_file(&outputs[i]) && write_commit(&outputs[i], warnings, err) < 0)
            return -1;
    return 0;
}

/* For properties_read(): what keeps Spark from making the ConfigMap. */
static int find_disabled(void *disabled, const struct pair *pair)
{
    if ((strcmp(pair->key, "spark.kubernetes.executor.disableConfigMap") == 0 &&
         strcasecmp(pair->value, "true") == 0) ||
        (strcmp(pair->key, "spark.master") == 0 && strncmp(pair->value, "k8s:", 4) != 0))
        *(bool *)disabled = true;
    return 0;
}

/* Make faults of the secrets that Spark would publish. */
static void guard(const struct write_file *outputs, size_t count, struct render_report *report)
{
    const char *line = buf_str(&report->published);
    bool disabled = false;

    for (size_t i = 0; i < count; i++)
        if (outputs[i].target && strcmp(base_name(outputs[i].target), "spark-defaults.conf") == 0)
            (void)properties_read(buf_str(&outputs[i].content), outputs[i].content.len,
                                  find_disabled, &disabled, NULL);
    if (disabled)
        return;
    (void)buf_add(&report->faults, line, report->published.len);
    for (; (line = strchr(line, '\n')) != NULL; line++)
        report->fault_count++;
}

static int render_all(const struct render_file *files, size_t count, struct write_file *outputs,
                      struct variables *variables, struct render_report *report, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        outputs[i].target = files[i].target;
        if (render_file(&files[i], variables, report, &outputs[i].content, err) < 0)
            return -1;
    }
    guard(outputs, count, report);
    if (report->fault_count)
        return err_set(err, EXIT_DATA, "%zu fault%s in the templates; nothing was written%s",
                       report->fault_count, report->fault_count == 1 ? "" : "s",
                       buf_failed(&report->faults) ? " (the first ones are listed)" : "");
    return files[0].see ? 0 : write_all(outputs, count, &report->warnings, err);
}

int render_files(const struct render_file *files, size_t count, struct variables *variables,
                 struct render_report *report, struct err *err)
{
    struct write_file *outputs = calloc(count + 1, sizeof(*outputs));
    int result;

    report_init(report);
    if (!outputs)
        return err_no_memory(err);
    result = render_all(files, count, outputs, variables, report, err);
    for (size_t i = 0; i < count; i++)
        write_free(&outputs[i]);
    free(outputs);
    return result;
}

/* ---- folders ---- */

/* For scandir(): Kubernetes keeps its own links ("..data") beside the files. */
static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* FOLDER/NAME; NULL without memory. */
static char *join(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static void file_free(struct render_file *file)
{
    free((char *)file->source);
    free((char *)file->target);
}

/* Add a name of the folder to files unless it is no regular file. The paths are owned. */
static int add_file(struct render_file *files, size_t *count, const struct render_file *folder,
                    const char *name, struct err *err)
{
    struct render_file *file = &files[(*count)++];
    struct stat status;

    *file = (struct render_file){
        .source = join(folder->source, name),
        .target = folder->target ? join(folder->target, name) : NULL,
        .format = format_of_name(name) == RENDER_TEXT ? RENDER_COPY : RENDER_AUTO,
        .is_published = folder->is_published,
        .see = folder->see,
        .context = folder->context,
    };
    if (!file->source || (folder->target && !file->target))
        return err_no_memory(err);
    if (stat(file->source, &status) < 0)
        return read_err(err, file->source);
    if (!S_ISREG(status.st_mode))
        file_free(&files[--*count]);
    return 0;
}

int render_folder(const struct render_file *folder, struct variables *variables,
                  struct render_report *report, struct err *err)
{
    struct render_file *files;
    struct dirent **names;
    size_t file_count = 0;
    int count, result = 0;

    report_init(report);
    count = scandir(folder->source, &names, is_visible, alphasort);
    if (count < 0)
        return read_err(err, folder->source);
    files = calloc((size_t)count + 1, sizeof(*files));
    for (int i = 0; i < count; i++) {
        if (files && result == 0)
            result = add_file(files, &file_count, folder, names[i]->d_name, err);
        free(names[i]);
    }
    free(names);
    if (!files)
        return err_no_memory(err);
    if (result == 0)
        result = render_files(files, file_count, variables, report, err);
    while (file_count)
        file_free(&files[--file_count]);
    free(files);
    return result;
}
