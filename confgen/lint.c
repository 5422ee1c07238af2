#include "confgen/lint.h"

#include "confgen/hadoop_xml.h"
#include "confgen/properties.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SETTINGS ((size_t)10000) /* each is compared with each */
#define MAX_LINES_BYTES ((size_t)16 << 20)
#define PATTERN_BYTES 128

struct lint {
    struct buf settings; /* of struct lint_setting */
};

static struct lint_setting *settings_of(const struct lint *lint, size_t *ret_count)
{
    *ret_count = lint->settings.len / sizeof(struct lint_setting);
    return (void *)lint->settings.data;
}

struct lint *lint_new(void)
{
    struct lint *lint = calloc(1, sizeof(*lint));

    if (lint)
        lint->settings = BUF_INIT(MAX_SETTINGS * sizeof(struct lint_setting));
    return lint;
}

static void setting_free(struct lint_setting *setting)
{
    if (setting->value)
        explicit_bzero(setting->value, strlen(setting->value));
    free(setting->key);
    free(setting->written);
    free(setting->value);
    free(setting->file);
}

void lint_free(struct lint **lint)
{
    size_t count;
    struct lint_setting *settings;

    if (!*lint)
        return;
    settings = settings_of(*lint, &count);
    while (count)
        setting_free(&settings[--count]);
    buf_free(&(*lint)->settings);
    free(*lint);
    *lint = NULL;
}

/* ---- reading ---- */

struct reading {
    struct lint *lint;
    const char *file;
    struct buf *lines; /* of the template, by number, size_t each; or NULL */
    bool is_xml;
};

/* spark.hadoop.X reaches Hadoop's configuration as X, spark.hive.X as hive.X; what is not spark.*
 * in spark-defaults.conf reaches nobody, nor does what is in a Hadoop file. */
static char *effective_key(const struct reading *reading, const char *key)
{
    static const char hadoop[] = "spark.hadoop.", hive[] = "spark.hive.";
    bool is_spark = strncmp(key, "spark.", strlen("spark.")) == 0;
    char *ignored;

    if (reading->is_xml && !is_spark)
        return strdup(key);
    if (!reading->is_xml && strncmp(key, hadoop, strlen(hadoop)) == 0)
        return strdup(key + strlen(hadoop));
    if (!reading->is_xml && strncmp(key, hive, strlen(hive)) == 0)
        return strdup(key + strlen("spark."));
    if (!reading->is_xml && is_spark)
        return strdup(key);
    return asprintf(&ignored, "ignored:%s", key) < 0 ? NULL : ignored;
}

static char *trimmed(const char *value)
{
    size_t len = strlen(value);

    while (len && (unsigned char)value[len - 1] <= ' ')
        len--;
    while (len && (unsigned char)*value <= ' ')
        value++, len--;
    return strndup(value, len);
}

static int add(struct lint *lint, struct lint_setting *setting)
{
    size_t count;
    struct lint_setting *all = settings_of(lint, &count);

    if (!setting->key || !setting->written || !setting->value || !setting->file) {
        setting_free(setting);
        return -1;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].key, setting->key) == 0)
            all[i].is_last = false;
    if (buf_add(&lint->settings, setting, sizeof(*setting)) < 0) {
        setting_free(setting);
        return -1;
    }
    return 0;
}

static int add_pair(void *context, const struct pair *pair)
{
    const struct reading *reading = context;
    struct lint_setting setting = {
        .key = effective_key(reading, pair->key),
        .written = strdup(pair->key),
        /* Nothing of a login is trimmed by who reads it. */
        .value = strncmp(pair->key, "javax.", 6) == 0 ? strdup(pair->value) : trimmed(pair->value),
        .file = strdup(reading->file),
        .line = pair->line,
        .is_xml = reading->is_xml,
        .is_last = true,
    };

    if (reading->lines && pair->number < reading->lines->len / sizeof(size_t))
        setting.line = ((const size_t *)(const void *)reading->lines->data)[pair->number];
    return add(reading->lint, &setting);
}

/* For a template: note each pair's line under its number. */
static int add_line(void *lines, const struct pair *pair)
{
    struct buf *buf = lines;

    while (buf->len / sizeof(size_t) <= pair->number)
        if (buf_add(buf, &pair->line, sizeof(pair->line)) < 0)
            return -1;
    return 0;
}

int lint_set(struct lint *lint, const char *key, const char *value, struct err *err)
{
    struct lint_setting setting = {.key = strdup(key),
                                   .written = strdup(key),
                                   .value = strdup(value),
                                   .file = strdup(""),
                                   .is_last = true};

    return add(lint, &setting) < 0 ? err_no_memory(err) : 0;
}

int lint_add(struct lint *lint, const char *name, const char *file, const struct buf *content,
             const struct buf *template, struct err *err)
{
    size_t len = strlen(name);
    BUF_AUTO lines = BUF_INIT(MAX_LINES_BYTES);
    struct reading reading = {.lint = lint, .file = file, .lines = template ? &lines : NULL};

    reading.is_xml = len > 4 && strcmp(name + len - 4, ".xml") == 0;
    if (template)
        (void)(reading.is_xml ? hadoop_xml_read : properties_read)(buf_str(template), template->len,
                                                                   add_line, &lines, NULL);
    err_set(err, EXIT_DATA, "more than %zu settings", MAX_SETTINGS); /* if add_pair() stops it */
    return (reading.is_xml ? hadoop_xml_read : properties_read)(buf_str(content), content->len,
                                                                add_pair, &reading, err);
}

/* ---- asking ---- */

/* Whether text matches one of the blank-separated patterns. */
static bool matches(const char *patterns, const char *text, int flags)
{
    while (*patterns) {
        size_t len = strcspn(patterns, " ");
        char pattern[PATTERN_BYTES];

        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)len, patterns);
        if (fnmatch(pattern, text, FNM_NOESCAPE | flags) == 0)
            return true;
        patterns += len + strspn(patterns + len, " ");
    }
    return false;
}

const struct lint_setting *lint_next(const struct lint *lint, const char *patterns, size_t *pos)
{
    size_t count;
    const struct lint_setting *all = settings_of(lint, &count);

    while (*pos < count) {
        const struct lint_setting *setting = &all[(*pos)++];

        if (setting->is_last && *setting->value && matches(patterns, setting->key, 0))
            return setting;
    }
    return NULL;
}

const char *lint_get(const struct lint *lint, const char *key)
{
    const struct lint_setting *setting;
    size_t pos = 0;

    while ((setting = lint_next(lint, "*", &pos)))
        if (strcmp(setting->key, key) == 0)
            return setting->value;
    return NULL;
}

bool lint_holds(const struct lint *lint, const char *condition)
{
    size_t key_len = strcspn(condition, "="), pos = 0;
    const struct lint_setting *setting;
    char keys[PATTERN_BYTES];

    (void)snprintf(keys, sizeof(keys), "%.*s", (int)key_len, condition);
    while ((setting = lint_next(lint, keys, &pos)))
        if (matches(condition + key_len + 1, setting->value, FNM_CASEFOLD))
            return true;
    return false;
}

static bool applies(const struct lint *lint, const struct lint_rule *rule, unsigned scope)
{
    bool result = (rule->scope & ~(unsigned)LINT_XML & ~scope) == 0;

    for (size_t i = 0; result && i < sizeof(rule->unless) / sizeof(rule->unless[0]); i++)
        result = !rule->unless[i] || !lint_holds(lint, rule->unless[i]);
    return result && (!rule->when || lint_holds(lint, rule->when));
}

static bool is_trap(const struct lint *lint, const struct lint_rule *rule,
                    const struct lint_setting *setting)
{
    return (!(rule->scope & LINT_XML) || setting->is_xml) &&
           (!rule->values || matches(rule->values, setting->value, FNM_CASEFOLD)) &&
           (!rule->but || !matches(rule->but, setting->value, 0)) &&
           (!rule->test || rule->test(lint, setting));
}

void lint_run(const struct lint *lint, unsigned scope, lint_see_fn see, void *context)
{
    const struct lint_setting *setting;

    for (const struct lint_rule *rule = lint_rules; rule->id; rule++) {
        size_t pos = 0;

        if (!applies(lint, rule, scope))
            continue;
        if (rule->is_absent && (scope & LINT_COMPLETE) && !lint_next(lint, rule->keys, &pos))
            see(context, rule, NULL);
        pos = 0;
        while ((!rule->is_absent || rule->values) && (setting = lint_next(lint, rule->keys, &pos)))
            if (is_trap(lint, rule, setting))
                see(context, rule, setting);
    }
}
