#include "entrypoint/config.h"

#include "common/clock.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_FILE "/etc/sparkpod/sparkpod.ini"
#define PREFIX "SPARKPOD_"

/* What inih 55 can hold (INI_MAX_LINE, MAX_SECTION): past that it splits or cuts silently, so that
 * our reader refuses such a line first. */
#define MAX_LINE_BYTES 198
#define MAX_SECTION_BYTES 49

enum setting_type { TYPE_STRING, TYPE_DURATION, TYPE_NUMBER, TYPE_FLAG, TYPE_WORD };

enum origin_kind { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

struct origin {
    enum origin_kind kind;
    int line; /* of the file */
};

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset; /* of the field in struct config */
    const char *fallback;
    int64_t least, most;      /* durations and numbers */
    const char *const *words; /* TYPE_WORD: in the order of the enum, NULL at the end */
};

static const char *const schema_words[] = {"init", "verify", NULL};
static const char *const format_words[] = {"text", "json", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const flag_words[] = {"false", "true", NULL};

#define AT(field) offsetof(struct config, field)
#define STRING(s, k, field, fallback)                                                              \
    {                                                                                              \
        s, k, TYPE_STRING, AT(field), fallback, 0, 0, NULL                                         \
    }
#define DURATION(s, k, field, fallback, least)                                                     \
    {                                                                                              \
        s, k, TYPE_DURATION, AT(field), fallback, least, INT64_MAX, NULL                           \
    }
#define WORD(s, k, field, fallback, words)                                                         \
    {                                                                                              \
        s, k, TYPE_WORD, AT(field), fallback, 0, 0, words                                          \
    }

/* What each of them means is said in docs/settings.md. */
static const struct setting settings[] = {
    STRING("render", "source", render.source, "/etc/sparkpod/templates"),
    STRING("render", "target", render.target, ""),
    STRING("render", "secrets", render.secrets, ""),
    STRING("render", "secret_names", render.secret_names, "*PASSWORD* *SECRET* *TOKEN* *KEY*"),
    STRING("render", "pass_secrets", render.pass_secrets, ""),
    DURATION("wait", "timeout", wait.timeout, "0", 0),
    DURATION("wait", "fatal_grace", wait.fatal_grace, "30s", 0),
    STRING("spark", "executor_image", spark.executor_image, ""),
    STRING("kubernetes", "namespace", kubernetes.namespace, ""),
    STRING("kubernetes", "pod_name", kubernetes.pod_name, ""),
    STRING("kubernetes", "pod_ip", kubernetes.pod_ip, ""),
    STRING("kubernetes", "service_account", kubernetes.service_account, ""),
    STRING("kubernetes", "image_pull_secrets", kubernetes.image_pull_secrets, ""),
    WORD("metastore", "schema", metastore.schema, "init", schema_words),
    {"metastore", "allow_derby", TYPE_FLAG, AT(metastore.allow_derby), "false", 0, 0, flag_words},
    {"health", "port", TYPE_NUMBER, AT(health.port), "8085", 0, 65535, NULL},
    DURATION("health", "interval", health.interval, "5s", 100),
    DURATION("health", "timeout", health.timeout, "5s", 100),
    DURATION("health", "start_deadline", health.start_deadline, "10m", 0),
    DURATION("shutdown", "endpoint_delay", shutdown.endpoint_delay, "5s", 0),
    DURATION("shutdown", "drain", shutdown.drain, "60s", 0),
    DURATION("shutdown", "grace", shutdown.grace, "45s", 0),
    DURATION("shutdown", "budget", shutdown.budget, "120s", 0),
    WORD("log", "format", log.format, "text", format_words),
    WORD("log", "level", log.level, "info", level_words),
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* TERM, thread dump and KILL to what is left take this long at most (see the supervisor). */
#define SWEEP_MS 7000

static void *field_of(const struct config *config, const struct setting *setting)
{
    return (char *)config + setting->offset;
}

static int parse_number(const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 10); /* checked: all of it, in range */
    return errno || end == text || *end ? -1 : 0;
}

static int find_word(const char *const *words, const char *text)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    return -1;
}

static int refuse(const char *text, const char *expected, struct err *err)
{
    return err_set(err, EXIT_CONFIG, "\"%.80s\" is not %s", text, expected);
}

static int refuse_word(const struct setting *setting, const char *text, struct err *err)
{
    char expected[128] = "one of";
    size_t len = strlen(expected);

    for (const char *const *word = setting->words; *word && len < sizeof(expected); word++)
        len += (size_t)snprintf(expected + len, sizeof(expected) - len, " %s", *word);
    return refuse(text, expected, err);
}

static int assign_amount(const struct setting *setting, int64_t *field, const char *text,
                         struct err *err)
{
    char least[CLOCK_DURATION_BYTES];
    int64_t value;

    if (setting->type == TYPE_NUMBER) {
        if (parse_number(text, &value) < 0 || value < setting->least || value > setting->most)
            return err_set(err, EXIT_CONFIG,
                           "\"%.80s\" is not a number from %" PRId64 " to %" PRId64, text,
                           setting->least, setting->most);
    } else {
        if (clock_parse_duration(text, &value) < 0)
            return refuse(text, "a duration such as 500ms, 30s or 5m", err);
        if (value < setting->least)
            return err_set(err, EXIT_CONFIG, "%s is less than %s", text,
                           clock_format_duration(setting->least, least, sizeof(least)));
    }
    *field = value;
    return 0;
}

static int assign(struct config *config, const struct setting *setting, const char *text,
                  struct origin origin, struct err *err)
{
    void *field = field_of(config, setting);
    char *copy;
    int word;

    switch (setting->type) {
    case TYPE_STRING:
        copy = strdup(text);
        if (!copy)
            return err_set(err, EXIT_INTERNAL, "out of memory");
        free(*(char **)field);
        *(char **)field = copy;
        break;
    case TYPE_DURATION:
    case TYPE_NUMBER:
        if (assign_amount(setting, field, text, err) < 0)
            return -1;
        break;
    case TYPE_FLAG:
    case TYPE_WORD:
        word = find_word(setting->words, text);
        if (word < 0)
            return refuse_word(setting, text, err);
        if (setting->type == TYPE_FLAG)
            *(bool *)field = word == 1;
        else
            *(int *)field = word;
        break;
    }
    config->origins[setting - settings] = origin;
    return 0;
}

static const struct setting *find_setting(const char *section, const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].key, key) == 0)
            return &settings[i];
    }
    return NULL;
}

static bool is_section(const char *section)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].section, section) == 0)
            return true;
    }
    return false;
}

/* The file. inih parses; our reader counts the lines and refuses what inih would garble. */
struct file_reader {
    struct config *config;
    FILE *stream;
    const char *path;
    int line;
    bool failed;
    struct err *err;
};

static void fail_line(struct file_reader *reader, const char *problem)
{
    if (!reader->failed)
        err_set(reader->err, EXIT_CONFIG, "%s:%d: %s", reader->path, reader->line, problem);
    reader->failed = true;
}

static const char *find_section_trap(const char *name)
{
    size_t len = strcspn(name, "]");

    if (name[len] != ']')
        return "the section's name does not end with \"]\"";
    return len > MAX_SECTION_BYTES ? "the section's name is too long" : NULL;
}

/* A line that inih would read otherwise than a person does; NULL if it would not. */
static const char *find_trap(const char *line)
{
    const char *first = line + strspn(line, " \t"), *comment = strstr(line, " ;");

    if (*first == '\n' || *first == '\0' || *first == '#' || *first == ';')
        return NULL;
    if (strlen(line) > MAX_LINE_BYTES)
        return "the line is longer than 198 bytes";
    if (first != line)
        return "the line is indented, which would continue the value above";
    if (*first == '[')
        return find_section_trap(first + 1);
    if (comment)
        return "\" ;\" would begin a comment and cut the value; put comments on lines of their own";
    if (!strchr(line, '='))
        return "expected KEY = VALUE";
    if (strcspn(line, ":") < strcspn(line, "="))
        return "the key would end at \":\"; write KEY = VALUE";
    return NULL;
}

/* Of a line that did not fit: a comment may be as long as it likes. */
static void skip_rest(const char *line, FILE *stream)
{
    int byte = strchr(line, '\n') ? '\n' : 0;

    while (byte != '\n' && byte != EOF)
        byte = fgetc(stream);
}

static char *read_line(char *line, int size, void *stream)
{
    struct file_reader *reader = stream;
    char whole[4096];
    const char *trap;

    if (reader->failed || !fgets(whole, sizeof(whole), reader->stream))
        return NULL;
    reader->line++;
    skip_rest(whole, reader->stream);
    trap = find_trap(whole);
    if (trap) {
        fail_line(reader, trap);
        return NULL;
    }
    (void)snprintf(line, (size_t)size, "%s", strlen(whole) > MAX_LINE_BYTES ? "#\n" : whole);
    return line;
}

static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = user;
    const struct setting *setting = find_setting(section, key);
    char problem[256];

    if (reader->failed)
        return 0;
    if (!is_section(section)) {
        (void)snprintf(problem, sizeof(problem), "unknown section [%s]", section);
        fail_line(reader, problem);
    } else if (!setting) {
        (void)snprintf(problem, sizeof(problem), "unknown key \"%s\" in [%s]", key, section);
        fail_line(reader, problem);
    } else if (assign(reader->config, setting, value,
                      (struct origin){.kind = FROM_FILE, .line = reader->line}, reader->err) < 0) {
        reader->failed = true;
        return err_wrap(reader->err, "%s:%d: %s.%s", reader->path, reader->line, section, key), 0;
    }
    return !reader->failed;
}

static int load_file(struct config *config, const char *path, bool required, struct err *err)
{
    struct file_reader reader = {.config = config, .path = path, .err = err};
    int result;

    reader.stream = fopen(path, "re");
    if (!reader.stream && errno == ENOENT && !required)
        return 0;
    if (!reader.stream)
        return err_set_errno(err, EXIT_CONFIG, "%s", path);
    result = ini_parse_stream(read_line, &reader, take_pair, &reader);
    if (ferror(reader.stream) && !reader.failed) {
        err_set(err, EXIT_CONFIG, "%s: cannot be read", path);
        reader.failed = true;
    }
    (void)fclose(reader.stream);
    if (result != 0 && !reader.failed) {
        reader.line = result;
        fail_line(&reader, "expected [section] or KEY = VALUE");
    }
    return reader.failed ? -1 : 0;
}

/* "SPARKPOD_SECTION_KEY", compared without building it. */
static bool is_variable_of(const struct setting *setting, const char *name, size_t len)
{
    char expected[128];
    int want =
        snprintf(expected, sizeof(expected), "%s%s_%s", PREFIX, setting->section, setting->key);

    return (size_t)want == len && strncasecmp(expected, name, len) == 0 &&
           strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

static int load_variable(struct config *config, const char *entry, struct err *err)
{
    const char *equals = strchr(entry, '=');
    size_t len;

    if (!equals || strncmp(entry, PREFIX, strlen(PREFIX)) != 0)
        return 0;
    len = (size_t)(equals - entry);
    /* A Kubernetes service link of a Service that happens to be called sparkpod-… */
    if (strncmp(equals + 1, "tcp://", 6) == 0)
        return 0;
    for (size_t i = 0; i < SETTINGS; i++) {
        if (!is_variable_of(&settings[i], entry, len))
            continue;
        if (assign(config, &settings[i], equals + 1, (struct origin){.kind = FROM_ENVIRONMENT},
                   err) < 0)
            return err_wrap(err, "%.*s", (int)len, entry);
        return 0;
    }
    if (strncmp(entry, PREFIX "CONFIG=", strlen(PREFIX "CONFIG=")) != 0 &&
        strncmp(entry, PREFIX "SERVICE_", strlen(PREFIX "SERVICE_")) != 0)
        buf_printf(&config->warnings, "%.*s is set, but there is no such setting\n", (int)len,
                   entry);
    return 0;
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t len = strlen(name);

    for (; *environment; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    }
    return NULL;
}

int config_load(struct config *config, const char *file, char *const *environment, struct err *err)
{
    const char *named = file ? file : find_variable(environment, PREFIX "CONFIG");

    *config = (struct config){.warnings = BUF_INIT(65536)};
    config->origins = calloc(SETTINGS, sizeof(*config->origins));
    if (!config->origins)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    for (size_t i = 0; i < SETTINGS; i++) {
        if (assign(config, &settings[i], settings[i].fallback,
                   (struct origin){.kind = FROM_DEFAULT}, err) < 0)
            return err_wrap(err, "default of %s.%s", settings[i].section, settings[i].key);
    }
    if (load_file(config, named ? named : DEFAULT_FILE, named != NULL, err) < 0)
        return -1;
    for (; *environment; environment++) {
        if (load_variable(config, *environment, err) < 0)
            return -1;
    }
    return 0;
}

static const struct setting *find_by_name(const char *name)
{
    char section[64];
    const char *dot = strchr(name, '.');

    if (!dot || (size_t)(dot - name) >= sizeof(section))
        return NULL;
    (void)snprintf(section, sizeof(section), "%.*s", (int)(dot - name), name);
    return find_setting(section, dot + 1);
}

int config_set(struct config *config, const char *name, const char *value, struct err *err)
{
    const struct setting *setting = find_by_name(name);

    if (!setting)
        return err_set(err, EXIT_USAGE, "there is no setting %s", name);
    if (assign(config, setting, value, (struct origin){.kind = FROM_FLAG}, err) < 0) {
        err_wrap(err, "%s", name);
        if (err)
            err->status = EXIT_USAGE;
        return -1;
    }
    return 0;
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
    const struct setting *setting = find_by_name(name);

    return setting && config->origins[setting - settings].kind != FROM_DEFAULT;
}

/* The value as it would be written in the file. */
static const char *write_value(const struct config *config, const struct setting *setting,
                               char *buffer, size_t size)
{
    const void *field = field_of(config, setting);
    int64_t amount;

    switch (setting->type) {
    case TYPE_STRING:
        return *(char *const *)field;
    case TYPE_FLAG:
        return setting->words[*(const bool *)field ? 1 : 0];
    case TYPE_WORD:
        return setting->words[*(const int *)field];
    case TYPE_NUMBER:
        (void)snprintf(buffer, size, "%" PRId64, *(const int64_t *)field);
        return buffer;
    case TYPE_DURATION:
        break;
    }
    amount = *(const int64_t *)field;
    if (amount == 0)
        (void)snprintf(buffer, size, "0");
    else if (amount % 60000 == 0)
        (void)snprintf(buffer, size, "%" PRId64 "m", amount / 60000);
    else if (amount % 1000 == 0)
        (void)snprintf(buffer, size, "%" PRId64 "s", amount / 1000);
    else
        (void)snprintf(buffer, size, "%" PRId64 "ms", amount);
    return buffer;
}

static const char *write_origin(const struct config *config, const struct setting *setting,
                                char *buffer, size_t size)
{
    const struct origin *origin = &config->origins[setting - settings];

    switch (origin->kind) {
    case FROM_DEFAULT:
        return "default";
    case FROM_FLAG:
        return "flag";
    case FROM_FILE:
        (void)snprintf(buffer, size, "file, line %d", origin->line);
        return buffer;
    case FROM_ENVIRONMENT:
        (void)snprintf(buffer, size, PREFIX "%s_%s", setting->section, setting->key);
        for (char *p = buffer; *p; p++) {
            if (*p >= 'a' && *p <= 'z')
                *p = (char)(*p - 'a' + 'A');
        }
        return buffer;
    }
    return "";
}

int config_write_ini(const struct config *config, struct buf *out)
{
    const char *section = "";
    char value[32], origin[128];

    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];

        if (strcmp(section, s->section) != 0)
            buf_printf(out, "%s[%s]\n", i ? "\n" : "", s->section);
        section = s->section;
        buf_printf(out, "# %s\n%s = %s\n", write_origin(config, s, origin, sizeof(origin)), s->key,
                   write_value(config, s, value, sizeof(value)));
    }
    return buf_failed(out) ? -1 : 0;
}

int config_write_json(const struct config *config, struct buf *out)
{
    json_t *root = json_object();
    char value[32], origin[128], *text;

    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        json_t *section = json_object_get(root, s->section);

        if (!section) {
            section = json_object();
            json_object_set_new(root, s->section, section);
        }
        json_object_set_new(section, s->key,
                            json_pack("{s:s, s:s}", "value",
                                      write_value(config, s, value, sizeof(value)), "origin",
                                      write_origin(config, s, origin, sizeof(origin))));
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
    for (size_t i = 0; i < SETTINGS; i++) {
        if (settings[i].type == TYPE_STRING)
            free(*(char **)field_of(config, &settings[i]));
    }
    free(config->origins);
    buf_free(&config->warnings);
    *config = (struct config){0};
}
