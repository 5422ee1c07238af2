#include "confgen/expansion.h"

#include "confgen/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The marks are the characters from U+100000 on, of the private use area: legal in XML, of no
 * meaning to any reader, and no longer than a placeholder. A template that holds one of those in
 * use gets a fault, never a wrong result. */
#define FIRST_MARK 0x100000
#define MAX_MARKS 0xFFFE
#define MARK_BYTES 4
#define MARK_LEAD 0xF4 /* the first of them */

#define SHOWN_NAME_BYTES 200

struct expansion_value {
    struct template_token token;
    const char *value; /* borrowed from the variables */
    size_t len;
};

void expansion_init(struct expansion *expansion, const char *file, const char *data, size_t len,
                    size_t max_bytes, struct variables *variables, struct buf *faults)
{
    *expansion = (struct expansion){
        .file = file,
        .data = data,
        .len = len,
        .variables = variables,
        .faults = faults,
        .result = BUF_INIT(max_bytes),
        .marked = BUF_INIT(max_bytes),
        .values = BUF_INIT(MAX_MARKS * sizeof(struct expansion_value)),
    };
    /* As a rule a result is little longer, so that it need not grow. */
    if (len + len / 32 + 1024 < max_bytes)
        (void)buf_reserve(&expansion->result, len + len / 32 + 1024);
}

void expansion_free(struct expansion *expansion)
{
    buf_free(&expansion->result);
    buf_free(&expansion->marked);
    buf_free(&expansion->values);
}

/* ---- faults ---- */

const struct template_position *expansion_locate(struct expansion *expansion, size_t offset)
{
    template_locate(expansion->data, offset, &expansion->position);
    return &expansion->position;
}

static __attribute__((format(printf, 4, 0))) void add_line(const struct expansion *expansion,
                                                           struct buf *lines,
                                                           const struct template_position *position,
                                                           const char *format, va_list args)
{
    char message[ERR_MESSAGE_BYTES];

    (void)vsnprintf(message, sizeof(message), format, args);
    (void)buf_printf(lines, "%s:%zu:%zu: %s\n", expansion->file, position->line, position->column,
                     message);
}

void expansion_fault(struct expansion *expansion, const struct template_position *position,
                     const char *format, ...)
{
    va_list args;

    expansion->fault_count++;
    va_start(args, format);
    add_line(expansion, expansion->faults, position, format, args);
    va_end(args);
}

void expansion_note(struct expansion *expansion, struct buf *lines, size_t offset,
                    const char *format, ...)
{
    va_list args;

    if (!lines)
        return;
    va_start(args, format);
    add_line(expansion, lines, expansion_locate(expansion, offset), format, args);
    va_end(args);
}

/* How much of a name or message to show. */
static int shown(size_t len, int most)
{
    return len < (size_t)most ? (int)len : most;
}

/* A fault whose message is the placeholder's name and what follows. */
static void name_fault(struct expansion *expansion, const struct template_token *token,
                       const char *message)
{
    expansion_fault(expansion, expansion_locate(expansion, token->start), "%.*s%s",
                    shown(token->name_len, SHOWN_NAME_BYTES), expansion->data + token->name,
                    message);
}

static void fault_of_absent(struct expansion *expansion, const struct template_token *token,
                            bool empty)
{
    const struct template_position *position = expansion_locate(expansion, token->start);
    const char *name = expansion->data + token->name;
    int width = shown(token->name_len, SHOWN_NAME_BYTES);

    if (token->kind == TEMPLATE_MESSAGE && token->word_len)
        expansion_fault(expansion, position, "%.*s: %.*s", width, name,
                        shown(token->word_len, ERR_MESSAGE_BYTES), expansion->data + token->word);
    else if (empty)
        expansion_fault(expansion, position,
                        "%.*s is set but empty: give it a value, or write ${%.*s:-} if it may be "
                        "empty",
                        width, name, width, name);
    else
        expansion_fault(expansion, position,
                        "%.*s is not set: set it, or %.*s_FILE, or give a default as ${%.*s:-…}",
                        width, name, width, name, width, name);
}

/* ---- putting ---- */

static void add_both(struct expansion *expansion, const char *data, size_t len)
{
    (void)buf_add(&expansion->result, data, len);
    if (!expansion->is_plain)
        (void)buf_add(&expansion->marked, data, len);
}

void expansion_copy_to(struct expansion *expansion, size_t end)
{
    add_both(expansion, expansion->data + expansion->pos, end - expansion->pos);
    expansion->pos = end;
}

/* Kubernetes sets NAME_PORT=tcp://10.0.0.1:9083 for every Service called "name". */
static bool is_service_link(const char *name, size_t name_len, const struct variable *variable)
{
    return name_len > 5 && memcmp(name + name_len - 5, "_PORT", 5) == 0 &&
           strncmp(variable->value, "tcp://", 6) == 0;
}

static size_t mark_count(const struct expansion *expansion)
{
    return expansion->values.len / sizeof(struct expansion_value);
}

/* Say where a value comes from and how it is escaped; variable is NULL for a default. */
static void list(struct expansion *expansion, const struct template_token *token,
                 const struct variable *variable, const struct expansion_place *place)
{
    int width = shown(token->name_len, SHOWN_NAME_BYTES);
    const char *name = expansion->data + token->name;

    if (!variable)
        expansion_note(expansion, expansion->listing, token->start,
                       "%.*s: the default, as it is written", width, name);
    else
        expansion_note(expansion, expansion->listing, token->start, "%.*s: %sfrom %s, as %s", width,
                       name, variable->secret ? "a secret " : "",
                       variable->file ?: "the environment", place->name);
}

/* For what is at fault: or a name would be called empty on top of it. */
static void put_dummy(struct expansion *expansion)
{
    add_both(expansion, "?", 1);
}

static void put_value(struct expansion *expansion, const struct template_token *token,
                      const struct variable *variable, const struct expansion_place *place)
{
    const struct expansion_value value = {*token, variable->value, variable->len};

    if (buf_failed(&expansion->result))
        return;
    list(expansion, token, variable, place);
    if (variable->secret)
        expansion_note(expansion, expansion->published, token->start,
                       "%.*s is a secret, and Spark copies this file into a ConfigMap for its "
                       "executors: put the setting into spark-defaults.conf as spark.hadoop.…, or "
                       "set spark.kubernetes.executor.disableConfigMap=true there",
                       shown(token->name_len, SHOWN_NAME_BYTES), expansion->data + token->name);
    if (place->escape(&expansion->result, variable->value, variable->len)) {
        if (expansion->is_plain)
            return;
        utf8_add(&expansion->marked, (uint32_t)(FIRST_MARK + mark_count(expansion)));
        if (buf_add(&expansion->values, &value, sizeof(value)) == 0)
            return;
        name_fault(expansion, token, " does not fit: out of memory, or of marks for placeholders");
    } else {
        name_fault(expansion, token,
                   " holds bytes that cannot stand here: a control character, or not UTF-8");
        put_dummy(expansion);
    }
}

static void put_placeholder(struct expansion *expansion, const struct template_token *token,
                            const struct expansion_place *place)
{
    const char *name = expansion->data + token->name;
    struct variable variable;
    struct err err;
    int found = variables_get(expansion->variables, name, token->name_len, &variable, &err);

    expansion->placeholder_count++;
    expansion->last = *token;
    if (found < 0) {
        expansion_fault(expansion, expansion_locate(expansion, token->start), "%s", err.message);
    } else if (found && is_service_link(name, token->name_len, &variable)) {
        name_fault(expansion, token,
                   " holds tcp://…, the address of a Kubernetes Service of that name: set it in "
                   "the pod, or set enableServiceLinks: false there");
    } else if (found && variable.len) {
        put_value(expansion, token, &variable, place);
        return;
    } else if (token->kind == TEMPLATE_DEFAULT) {
        list(expansion, token, NULL, place);
        add_both(expansion, expansion->data + token->word, token->word_len);
        return;
    } else {
        fault_of_absent(expansion, token, found);
    }
    put_dummy(expansion);
}

void expansion_put(struct expansion *expansion, const struct template_token *token,
                   const struct expansion_place *place)
{
    switch (token->kind) {
    case TEMPLATE_LITERAL:
        expansion_copy_to(expansion, token->end);
        break;
    case TEMPLATE_ESCAPE:
        add_both(expansion, "${", 2);
        break;
    case TEMPLATE_UNCLOSED:
        name_fault(expansion, token,
                   ": the placeholder has no } before the end of the place it stands in");
        break;
    case TEMPLATE_REQUIRED:
    case TEMPLATE_DEFAULT:
    case TEMPLATE_MESSAGE:
        put_placeholder(expansion, token, place);
        break;
    }
    expansion->pos = token->end;
}

void expansion_put_to(struct expansion *expansion, size_t end, const struct expansion_place *place)
{
    while (expansion->pos < end) {
        struct template_token token = template_next(expansion->data, expansion->pos, end);

        expansion_put(expansion, &token, place);
    }
}

void expansion_begin_name(struct expansion *expansion)
{
    expansion->name_pos = expansion->pos;
    expansion->name_start = expansion->marked.len;
}

void expansion_end_name(struct expansion *expansion)
{
    if (expansion->marked.len == expansion->name_start && expansion->last.end > expansion->name_pos)
        name_fault(expansion, &expansion->last,
                   " is empty and leaves the name of a setting empty: give it a value");
}

/* ---- judging ---- */

/* A walk over the bytes that a marked text stands for. */
struct walk {
    const char *p, *end;
    const struct expansion_value *value; /* the last byte is of this; NULL for the template's */
    size_t used;                         /* of the value */
};

static struct walk walk_over(const char *text, size_t len)
{
    return (struct walk){.p = text, .end = text + len};
}

/* The value whose mark is at p, or NULL. */
static const struct expansion_value *value_at(const struct expansion *expansion, const char *p,
                                              const char *end)
{
    const void *values = expansion->values.data;
    int32_t number = utf8_next(&p, end) - FIRST_MARK;

    if (number < 0 || (size_t)number >= mark_count(expansion))
        return NULL;
    return (const struct expansion_value *)values + number;
}

/* The next byte; -1 at the end. */
static int next_byte(const struct expansion *expansion, struct walk *walk)
{
    if (!walk->value || walk->used == walk->value->len) {
        if (walk->p == walk->end)
            return -1;
        walk->value = value_at(expansion, walk->p, walk->end);
        walk->used = 0;
        walk->p += walk->value ? MARK_BYTES : 1;
    }
    return (unsigned char)(walk->value ? walk->value->value[walk->used++] : walk->p[-1]);
}

/* The first mark at p or behind it, with its value; the end and NULL if there is none. */
static const char *find_mark(const struct expansion *expansion, const char *p, const char *end,
                             const struct expansion_value **ret_value)
{
    for (; (p = memchr(p, MARK_LEAD, (size_t)(end - p))) != NULL; p++) {
        *ret_value = value_at(expansion, p, end);
        if (*ret_value)
            return p;
    }
    *ret_value = NULL;
    return end;
}

/* Move *p behind these bytes if they stand there. */
static bool skip(const char **p, const char *end, const char *bytes, size_t len)
{
    if ((size_t)(end - *p) < len || memcmp(*p, bytes, len) != 0)
        return false;
    *p += len;
    return true;
}

void expansion_check_size(struct expansion *expansion)
{
    if (buf_failed(&expansion->result) || buf_failed(&expansion->marked))
        expansion_fault(expansion, &template_top,
                        "the result is larger than %zu MiB, or than the memory",
                        expansion->result.max >> 20);
}

bool expansion_is_sound(struct expansion *expansion)
{
    const struct expansion_value *value;
    const char *mark =
        find_mark(expansion, expansion->data, expansion->data + expansion->len, &value);

    if (value)
        expansion_fault(expansion, expansion_locate(expansion, (size_t)(mark - expansion->data)),
                        "a template with placeholders cannot hold the private-use characters from "
                        "U+100000 on: give this one as a value");
    expansion_check_size(expansion);
    return expansion->fault_count == 0;
}

bool expansion_equal(const struct expansion *expansion, const char *text, size_t len,
                     const char *actual, size_t actual_len)
{
    const char *end = text + len, *actual_end = actual + actual_len;
    const struct expansion_value *value;

    do {
        const char *mark = find_mark(expansion, text, end, &value);

        if (!skip(&actual, actual_end, text, (size_t)(mark - text)) ||
            (value && !skip(&actual, actual_end, value->value, value->len)))
            return false;
        text = mark + MARK_BYTES;
    } while (value);
    return actual == actual_end;
}

/* A "${" is new if one of its bytes is of a value. */
static void judge_variables(struct expansion *expansion, struct walk walk)
{
    const struct expansion_value *before = NULL, *accused = NULL;
    int byte, previous = 0;

    for (; (byte = next_byte(expansion, &walk)) >= 0; previous = byte, before = walk.value) {
        const struct expansion_value *culprit = walk.value ? walk.value : before;

        if (previous != '$' || byte != '{' || !culprit || culprit == accused)
            continue;
        name_fault(expansion, &culprit->token,
                   " brings a new ${ into this setting, which its reader would expand and which "
                   "cannot be escaped: change the value");
        accused = culprit;
    }
}

static void fault_of_blank(struct expansion *expansion, const struct expansion_value *culprit)
{
    name_fault(expansion, &culprit->token,
               " has a blank at an end of this setting, which its reader trims: change the value");
}

/* Every blank before the first and behind the last other byte is trimmed. */
static void judge_ends(struct expansion *expansion, struct walk walk)
{
    const struct expansion_value *first = NULL, *last = NULL;
    bool leading = true;
    int byte;

    while ((byte = next_byte(expansion, &walk)) >= 0) {
        if (byte > ' ' || byte == '\r' || byte == '\n') {
            leading = false;
            last = NULL;
        } else if (walk.value) {
            last = walk.value;
            first = leading && !first ? last : first;
        }
    }
    if (first)
        fault_of_blank(expansion, first);
    if (last && last != first)
        fault_of_blank(expansion, last);
}

void expansion_judge(struct expansion *expansion, const char *text, size_t len, bool trims)
{
    const struct expansion_value *value;

    (void)find_mark(expansion, text, text + len, &value);
    if (!value)
        return;
    judge_variables(expansion, walk_over(text, len));
    if (trims)
        judge_ends(expansion, walk_over(text, len));
}
