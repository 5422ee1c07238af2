#include "entrypoint/config.h"

#include "common/clock.h"
#include "confgen/utf8.h"
#include "entrypoint/java.h"
#include "entrypoint/service.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "/etc/sparkpod/sparkpod.ini"
#define PREFIX "SPARKPOD_"

/* What inih 55 can hold (INI_MAX_LINE): past that it splits silently, so that our reader refuses
 * such a line first. */
#define MAX_LINE_BYTES 198

/* TERM, thread dump and KILL to what is left take this long at most (see the supervisor). */
#define SWEEP_MS 7000

#define BYTE_ORDER_MARK "\xEF\xBB\xBF" /* inih skips one */
#define BLANKS " \t\n\v\f\r"           /* isspace() to inih */

#define NAME_BYTES 64

enum setting_type { TYPE_STRING, TYPE_DURATION, TYPE_NUMBER, TYPE_WORD };

#define SETTING(field, type_, fallback_)                                                           \
    .name = #field, .offset = offsetof(struct config, field), .type = TYPE_##type_,                \
    .fallback = fallback_

/* What each of them means is said in docs/settings.md. */
static const struct setting {
    const char *name; /* "section.key" */
    size_t offset;    /* of the field in struct config: char * or int64_t */
    enum setting_type type;
    const char *fallback;
    int64_t least;     /* TYPE_DURATION, TYPE_NUMBER */
    int64_t most;      /* TYPE_NUMBER */
    const char *words; /* TYPE_WORD: in the order of the enum */
} settings[] = {
    {SETTING(render.source, STRING, "/etc/sparkpod/templates")},
    {SETTING(render.target, STRING, "")},
    {SETTING(render.secrets, STRING, "")},
    {SETTING(render.secret_names, STRING, "*PASSWORD* *SECRET* *TOKEN* *KEY*")},
    {SETTING(render.pass_secrets, STRING, "")},
    {SETTING(wait.timeout, DURATION, "0")},
    {SETTING(wait.fatal_grace, DURATION, "30s")},
    {SETTING(wait.ca_file, STRING, "")},
    {SETTING(wait.insecure, WORD, "false"), .words = "false true"},
    {SETTING(spark.executor_image, STRING, "")},
    {SETTING(java.archive, STRING, JAVA_ARCHIVE)},
    {SETTING(kubernetes.namespace, STRING, "")},
    {SETTING(kubernetes.pod_name, STRING, "")},
    {SETTING(kubernetes.pod_ip, STRING, "")},
    {SETTING(kubernetes.service_account, STRING, "")},
    {SETTING(kubernetes.image_pull_secrets, STRING, "")},
    {SETTING(metastore.schema, WORD, "init"), .words = "init verify"},
    {SETTING(metastore.allow_derby, WORD, "false"), .words = "false true"},
    {SETTING(health.port, NUMBER, "8085"), .most = 65535},
    {SETTING(health.interval, DURATION, "5s"), .least = 100},
    {SETTING(health.timeout, DURATION, "5s"), .least = 100},
    {SETTING(health.failure_threshold, NUMBER, "1"), .least = 1, .most = 100},
    {SETTING(health.success_threshold, NUMBER, "1"), .least = 1, .most = 100},
    {SETTING(health.start_deadline, DURATION, "10m")},
    {SETTING(health.user, STRING, "")},
    {SETTING(health.ca_file, STRING, "")},
    {SETTING(health.server_name, STRING, "")},
    {SETTING(shutdown.endpoint_delay, DURATION, "5s")},
    {SETTING(shutdown.drain, DURATION, "1m")},
    {SETTING(shutdown.grace, DURATION, "45s")},
    {SETTING(shutdown.budget, DURATION, "2m")},
    {SETTING(log.format, WORD, "text"), .words = "text json"},
    {SETTING(log.level, WORD, "info"), .words = "error warn info debug"},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* What a setting was set to, as written, and by whom. */
struct config_entry {
    char *text;
    char origin[NAME_BYTES]; /* "default", "file, line 3", the variable's name, "flag" */
};

static const struct setting *find_setting(const char *name)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    }
    return NULL;
}

static struct config_entry *entry_of(const struct config *config, const struct setting *setting)
{
    return &config->entries[setting - settings];
}

/* ---- values ---- */

/* The place of word in a blank-separated list; -1 if it is not there. */
static int find_word(const char *words, const char *word)
{
    for (int place = 0; *words; place++) {
        size_t len = strcspn(words, " ");

        if (strlen(word) == len && strncmp(words, word, len) == 0)
            return place;
        words += len + (words[len] == ' ');
    }
    return -1;
}

static int refuse(const char *text, const char *expected, struct err *err)
{
    return err_set(err, EXIT_CONFIG, "\"%.80s\" is not %s", text, expected);
}

static int parse_number(const struct setting *setting, const char *text, int64_t *ret,
                        struct err *err)
{
    char least[CLOCK_DURATION_BYTES], *end;

    switch (setting->type) {
    case TYPE_STRING:
        break;
    case TYPE_DURATION:
        if (clock_parse_duration(text, ret) < 0)
            return refuse(text, "a duration such as 500ms, 30s or 5m", err);
        if (*ret < setting->least)
            return err_set(err, EXIT_CONFIG, "%s is less than %s", text,
                           clock_format_duration(setting->least, least, sizeof(least)));
        break;
    case TYPE_NUMBER:
        *ret = strtoll(text, &end, 10); /* checked: all of it, in range */
        if (end == text || *end || *ret < setting->least || *ret > setting->most)
            return err_set(err, EXIT_CONFIG,
                           "\"%.80s\" is not a number from %" PRId64 " to %" PRId64, text,
                           setting->least, setting->most);
        break;
    case TYPE_WORD:
        *ret = find_word(setting->words, text);
        if (*ret < 0)
            return err_set(err, EXIT_CONFIG, "\"%.80s\" is not one of %s", text, setting->words);
        break;
    }
    return 0;
}

static int assign(struct config *config, const struct setting *setting, const char *text,
                  const char *origin, struct err *err)
{
    struct config_entry *entry = entry_of(config, setting);
    void *field = (char *)config + setting->offset;
    int64_t number = 0;
    char *copy;

    if (!utf8_valid(text, strlen(text)))
        return err_set(err, EXIT_CONFIG, "the value is not UTF-8");
    if (parse_number(setting, text, &number, err) < 0)
        return -1;
    copy = strdup(text);
    if (!copy)
        return err_no_memory(err);
    free(entry->text);
    entry->text = copy;
    (void)snprintf(entry->origin, sizeof(entry->origin), "%s", origin);
    if (setting->type == TYPE_STRING)
        *(char **)field = copy;
    else
        *(int64_t *)field = number;
    return 0;
}

/* ---- the file: inih parses; our reader counts the lines and refuses what inih would garble ----
 */

struct file_reader {
    struct config *config;
    FILE *stream;
    const char *path;
    char *text; /* the line, as getline() has it */
    size_t size;
    int line;
    struct err err; /* of this line */
    struct err *first;
};

/* One more fault; the first one is what config_load() returns. */
static void add_fault(struct config *config, const struct err *fault, struct err *first)
{
    if (config->faults.len == 0)
        *first = *fault;
    buf_printf(&config->faults, "%s\n", fault->message);
}

/* What reader->err says is wrong with the line. */
static void blame_line(struct file_reader *reader)
{
    err_wrap(&reader->err, "%s:%d", reader->path, reader->line);
    add_fault(reader->config, &reader->err, reader->first);
}

/* The first ";" behind a blank, where inih begins a comment; NULL if there is none. */
static const char *find_comment(const char *line)
{
    for (; *line; line++) {
        if (strchr(BLANKS, *line) && line[1] == ';')
            return line + 1;
    }
    return NULL;
}

/* A line that inih would read otherwise than a person does; NULL if it would not. len is what inih
 * has to hold. */
static const char *find_trap(const char *line, size_t len)
{
    const char *first = line + strspn(line, BLANKS), *comment = find_comment(first), *close;

    if (*first == '\0' || *first == '#' || *first == ';')
        return NULL;
    if (len > MAX_LINE_BYTES)
        return "the line is longer than 198 bytes";
    if (first != line)
        return "the line is indented, which would continue the value above";
    if (*first == '[') {
        close = strchr(line, ']');
        if (!close || (comment && comment < close))
            return "the section's name does not end with \"]\"";
        close += 1 + strspn(close + 1, BLANKS);
        return *close && !strchr("#;", *close) ? "what stands behind \"]\" would be ignored" : NULL;
    }
    if (comment)
        return "\" ;\" would begin a comment and cut the value; put comments on lines of their own";
    if (!strchr(line, '='))
        return "expected KEY = VALUE";
    if (strcspn(line, ":") < strcspn(line, "="))
        return "the key would end at \":\"; write KEY = VALUE";
    return NULL;
}

/* Comments may be as long as they like; to inih a line at fault is one. */
static char *read_line(char *line, int size, void *stream)
{
    struct file_reader *reader = stream;
    size_t mark = strlen(BYTE_ORDER_MARK);
    const char *trap;
    ssize_t len;

    if ((len = getline(&reader->text, &reader->size, reader->stream)) < 0)
        return NULL;
    if (++reader->line > 1 || strncmp(reader->text, BYTE_ORDER_MARK, mark) != 0)
        mark = 0;
    trap = strlen(reader->text) < (size_t)len ? "the line holds a NUL byte"
                                              : find_trap(reader->text + mark, (size_t)len);
    if (trap) {
        err_set(&reader->err, EXIT_CONFIG, "%s", trap);
        blame_line(reader);
    }
    (void)snprintf(line, (size_t)size, "%s", trap || len > MAX_LINE_BYTES ? "#\n" : reader->text);
    return line;
}

static bool is_section(const char *section)
{
    size_t len = strlen(section);

    for (size_t i = 0; i < SETTINGS; i++) {
        if (strncmp(settings[i].name, section, len) == 0 && settings[i].name[len] == '.')
            return true;
    }
    return false;
}

static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = user;
    char name[2 * MAX_LINE_BYTES], origin[NAME_BYTES];
    const struct setting *setting;

    (void)snprintf(name, sizeof(name), "%s.%s", section, key);
    (void)snprintf(origin, sizeof(origin), "file, line %d", reader->line);
    setting = find_setting(name);
    if (!is_section(section))
        err_set(&reader->err, EXIT_CONFIG, "unknown section [%s]", section);
    else if (!setting)
        err_set(&reader->err, EXIT_CONFIG, "unknown key \"%s\" in [%s]", key, section);
    else if (assign(reader->config, setting, value, origin, &reader->err) < 0)
        err_wrap(&reader->err, "%s", name);
    else
        return 1;
    blame_line(reader);
    return 0;
}

static int load_file(struct config *config, const char *path, bool required, struct err *err)
{
    struct file_reader reader = {.config = config, .path = path, .first = err};
    bool failed;

    reader.stream = fopen(path, "re");
    if (!reader.stream && errno == ENOENT && !required)
        return 0;
    if (!reader.stream)
        return err_set_errno(err, EXIT_CONFIG, "%s", path);
    failed = ini_parse_stream(read_line, &reader, take_pair, &reader) != 0 || ferror(reader.stream);
    if (failed && config->faults.len == 0)
        err_set(err, EXIT_CONFIG, "%s: cannot be read", path);
    (void)fclose(reader.stream);
    free(reader.text);
    return failed || config->faults.len ? -1 : 0;
}

/* ---- the environment ---- */

static const struct setting *find_by_variable(const char *variable)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        char name[NAME_BYTES];

        (void)snprintf(name, sizeof(name), PREFIX "%s", settings[i].name);
        for (char *p = name; *p; p++)
            *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        if (strcmp(name, variable) == 0)
            return &settings[i];
    }
    return NULL;
}

static int load_variable(struct config *config, const char *entry, struct err *err)
{
    const char *equals = strchr(entry, '=');
    const struct setting *setting;
    char name[NAME_BYTES];

    /* A Kubernetes service link is that of a Service that happens to be called sparkpod-… */
    if (!equals || strncmp(entry, PREFIX, strlen(PREFIX)) != 0 ||
        strncmp(equals, "=tcp://", strlen("=tcp://")) == 0)
        return 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - entry), entry);
    setting = find_by_variable(name);
    if (setting)
        return assign(config, setting, equals + 1, name, err) < 0 ? err_wrap(err, "%s", name) : 0;
    if (strcmp(name, PREFIX "CONFIG") != 0 &&
        strncmp(name, PREFIX "SERVICE_", strlen(PREFIX "SERVICE_")) != 0)
        buf_printf(&config->warnings, "%s is set, but there is no such setting\n", name);
    return 0;
}

/* ---- all together ---- */

int config_load(struct config *config, const char *file, char *const *environment, struct err *err)
{
    struct err fault;
    const char *named = file ?: service_getenv(environment, PREFIX "CONFIG");

    *config = (struct config){.warnings = BUF_INIT(65536), .faults = BUF_INIT(65536)};
    config->entries = calloc(SETTINGS, sizeof(*config->entries));
    if (!config->entries)
        return err_no_memory(err);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (assign(config, &settings[i], settings[i].fallback, "default", err) < 0)
            return err_wrap(err, "default of %s", settings[i].name);
    }
    if (load_file(config, named ?: DEFAULT_FILE, named != NULL, err) < 0 && config->faults.len == 0)
        buf_printf(&config->faults, "%s\n", err->message);
    for (; *environment; environment++) {
        if (load_variable(config, *environment, &fault) < 0)
            add_fault(config, &fault, err);
    }
    return config->faults.len ? -1 : 0;
}

int config_set(struct config *config, const char *name, const char *value, struct err *err)
{
    const struct setting *setting = find_setting(name);

    if (!setting)
        return err_set(err, EXIT_USAGE, "there is no setting %s", name);
    if (assign(config, setting, value, "flag", err) == 0)
        return 0;
    err->status = EXIT_USAGE;
    return err_wrap(err, "%s", name);
}

int config_check(const struct config *config, struct err *err)
{
    int64_t need = config->shutdown.endpoint_delay + config->shutdown.drain +
                   config->shutdown.grace + SWEEP_MS;

    if (config->shutdown.budget > 0 && need > config->shutdown.budget)
        return err_set(err, EXIT_CONFIG,
                       "shutdown: endpoint_delay + drain + grace + 7s is %" PRId64
                       "s, more than shutdown.budget (%" PRId64
                       "s): shorten one, or raise the budget and "
                       "terminationGracePeriodSeconds with it",
                       need / 1000, config->shutdown.budget / 1000);
    return 0;
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct setting *setting = find_setting(name);

    return setting && strcmp(entry_of(config, setting)->origin, "default") != 0;
}

int config_write_ini(const struct config *config, struct buf *out)
{
    const char *last = "";

    for (size_t i = 0; i < SETTINGS; i++) {
        const char *name = settings[i].name, *key = strchr(name, '.') + 1;
        const char *text = config->entries[i].text;

        if (strncmp(last, name, (size_t)(key - name)) != 0)
            buf_printf(out, "%s[%.*s]\n", i ? "\n" : "", (int)(key - name - 1), name);
        last = name;
        /* Behind a blank a ";" would begin a comment. */
        buf_printf(out, "# %s\n%s =%s%s\n", config->entries[i].origin, key, *text == ';' ? "" : " ",
                   text);
    }
    return buf_failed(out) ? -1 : 0;
}

int config_write_json(const struct config *config, struct buf *out)
{
    json_t *root = json_object();
    char *text;

    for (size_t i = 0; i < SETTINGS; i++) {
        char name[NAME_BYTES], *key = name, *section;
        json_t *value = json_pack("{s:s, s:s}", "value", config->entries[i].text, "origin",
                                  config->entries[i].origin);

        (void)snprintf(name, sizeof(name), "%s", settings[i].name);
        section = strsep(&key, ".");
        if (!json_object_get(root, section))
            json_object_set_new(root, section, json_object());
        json_object_set_new(json_object_get(root, section), key, value);
    }
    text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (!text)
        return -1;
    buf_printf(out, "%s\n", text);
    free(text);
    return buf_failed(out) ? -1 : 0;
}

void config_free(struct config *config)
{
    for (size_t i = 0; config->entries && i < SETTINGS; i++)
        free(config->entries[i].text);
    free(config->entries);
    buf_free(&config->warnings);
    buf_free(&config->faults);
    *config = (struct config){0};
}
