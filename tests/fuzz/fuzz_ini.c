/* The input is a settings file. What is accepted is what a person reads there, line by line, and
 * can be written and read back; what is refused is refused with a line. */
#include "entrypoint/config.h"

#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MAX_SETTINGS 64
#define MAX_BYTES ((size_t)1 << 20)
#define LONGEST_LINE 198

/* ---- the file that config.c opens ---- */

static const char *file_data;
static size_t file_len;

/* Stands in for fopen() in all of the program (--wrap), libFuzzer included. */
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (strcmp(path, "f") != 0)
        return __real_fopen(path, mode);
    return fmemopen((void *)(uintptr_t)file_data, file_len, "r");
}

static int load(struct config *config, const char *data, size_t len, struct err *err)
{
    char *const no_environment[] = {NULL};

    file_data = data;
    file_len = len;
    return config_load(config, "f", no_environment, err);
}

/* ---- what a person reads in it ---- */

/* Bytes of a file, borrowed. */
struct span {
    const char *data;
    size_t len;
};

struct setting {
    struct span section, key, value;
    size_t line; /* 0: the default */
};

struct settings {
    struct setting all[MAX_SETTINGS];
    size_t count;
};

static struct span trim(const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (from < to && isspace((unsigned char)to[-1]))
        to--;
    return (struct span){from, (size_t)(to - from)};
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_comment(struct span line)
{
    return line.len == 0 || *line.data == '#' || *line.data == ';';
}

static struct setting *find(struct settings *settings, struct span section, struct span key)
{
    for (size_t i = 0; i < settings->count; i++)
        if (same(settings->all[i].section, section) && same(settings->all[i].key, key))
            return &settings->all[i];
    return NULL;
}

static void put(struct settings *settings, struct span section, struct span key, struct span value,
                size_t line, bool may_add)
{
    struct setting *setting = find(settings, section, key);

    if (!setting) {
        demand(may_add && settings->count < MAX_SETTINGS);
        setting = &settings->all[settings->count++];
    }
    *setting = (struct setting){section, key, value, line};
}

/* Put what the file says into settings; whether it may name new ones. */
static void read_file(struct settings *settings, const char *data, size_t len, bool may_add)
{
    const char *end = data + len, *next, *equals;
    struct span section = {"", 0};
    size_t number = 0;

    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        data += 3;
    for (; data < end; data = next + 1) {
        struct span line;

        next = memchr(data, '\n', (size_t)(end - data)) ?: end;
        line = trim(data, next);
        number++;
        if (is_comment(line))
            continue;
        if (*line.data == '[') {
            const char *close = memchr(line.data, ']', line.len);

            demand(close && is_comment(trim(close + 1, next)));
            section = (struct span){line.data + 1, (size_t)(close - line.data - 1)};
            continue;
        }
        equals = memchr(line.data, '=', line.len);
        demand(equals != NULL);
        put(settings, section, trim(line.data, equals), trim(equals + 1, next), number, may_add);
    }
}

/* ---- what config.c read in it ---- */

/* The settings of an empty file. */
static const struct settings *defaults(void)
{
    static struct buf text = BUF_INIT(MAX_BYTES);
    static struct settings settings;
    struct config config;
    struct err err;

    if (settings.count)
        return &settings;
    demand(load(&config, "", 0, &err) == 0 && config_write_ini(&config, &text) == 0);
    config_free(&config);
    read_file(&settings, buf_str(&text), text.len, true);
    for (size_t i = 0; i < settings.count; i++)
        settings.all[i].line = 0;
    return &settings;
}

/* The settings that were written are those expected, and came from there. */
static void compare_ini(const struct settings *expected, const struct buf *text)
{
    struct settings written = {.count = 0};

    read_file(&written, buf_str(text), text->len, true);
    demand(written.count == expected->count);
    for (size_t i = 0; i < written.count; i++) {
        const struct setting *a = &written.all[i], *b = &expected->all[i];
        char origin[64] = "# default\n";

        if (b->line)
            (void)snprintf(origin, sizeof(origin), "# file, line %zu\n", b->line);
        demand(same(a->section, b->section) && same(a->key, b->key) && same(a->value, b->value));
        demand(memcmp(a->key.data - strlen(origin), origin, strlen(origin)) == 0);
    }
}

/* Values are the same in JSON. */
static void compare_json(const struct settings *expected, const struct buf *text)
{
    json_t *root = json_loadb(text->data, text->len, 0, NULL);

    demand(root != NULL);
    for (size_t i = 0; i < expected->count; i++) {
        const struct setting *setting = &expected->all[i];
        char section[64], key[64];
        json_t *value;

        (void)snprintf(section, sizeof(section), "%.*s", (int)setting->section.len,
                       setting->section.data);
        (void)snprintf(key, sizeof(key), "%.*s", (int)setting->key.len, setting->key.data);
        value = json_object_get(json_object_get(json_object_get(root, section), key), "value");
        demand(value && json_string_length(value) == setting->value.len &&
               memcmp(json_string_value(value), setting->value.data, setting->value.len) == 0);
    }
    json_decref(root);
}

static bool has_long_line(const struct buf *text)
{
    const char *line = buf_str(text);

    while (strcspn(line, "\n") < LONGEST_LINE && strchr(line, '\n'))
        line = strchr(line, '\n') + 1;
    return *line != '\0';
}

/* What was written is read as the same, and then written as the same but for the origins. */
static void check_again(const struct settings *expected, const struct buf *text)
{
    struct settings again = *defaults();
    BUF_AUTO other = BUF_INIT(MAX_BYTES);
    struct config config;
    struct err err;

    demand(load(&config, buf_str(text), text->len, &err) == 0);
    demand(config_write_ini(&config, &other) == 0);
    config_free(&config);
    read_file(&again, buf_str(text), text->len, false);
    compare_ini(&again, &other);
    for (size_t i = 0; i < again.count; i++)
        demand(same(again.all[i].value, expected->all[i].value));
}

static void check_accepted(const struct config *config, const uint8_t *bytes, size_t size)
{
    struct settings expected = *defaults();
    BUF_AUTO ini = BUF_INIT(MAX_BYTES);
    BUF_AUTO json = BUF_INIT(MAX_BYTES);
    struct err err;

    read_file(&expected, (const char *)bytes, size, false);
    demand(config_write_ini(config, &ini) == 0);
    compare_ini(&expected, &ini);
    if (!has_long_line(&ini))
        check_again(&expected, &ini);
    if (size % 8 == 0) {
        demand(config_write_json(config, &json) == 0);
        compare_json(&expected, &json);
    }
    (void)config_check(config, &err);
}

static void check_refused(const struct err *err, const uint8_t *bytes, size_t size)
{
    unsigned long line = 0, lines = 1;
    int end = 0;

    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n';
    demand(err->status == EXIT_CONFIG);
    demand(sscanf(err->message, "f:%lu: %n", &line, &end) == 1 && end > 0 && err->message[end]);
    demand(line > 0 && line <= lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct err err = {0};
    struct config config;

    (void)defaults();
    if (load(&config, (const char *)bytes, size, &err) == 0)
        check_accepted(&config, bytes, size);
    else
        check_refused(&err, bytes, size);
    config_free(&config);
    return 0;
}
