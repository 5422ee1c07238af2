#include "confgen/expansion.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* U+F8FF, of the private use area: legal in XML, of no meaning to any reader. A mark is
 * MARK number MARK. A template that holds just that gets a fault, never a wrong result. */
#define MARK "\xEF\xA3\xBF"
#define MARK_BYTES (sizeof(MARK) - 1)

/* ${X} has four bytes, a mark up to fourteen. */
#define MARKED_GROWTH 4

#define SHOWN_NAME_BYTES 200

struct expansion_value {
    struct template_token token;
    const char *value; /* borrowed from the variables */
    size_t len;
};

/* A stretch of a marked text: the template's own bytes, or a value. */
struct piece {
    const char *data;
    size_t len;
    const struct expansion_value *from; /* NULL for the template's */
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
        .marked = BUF_INIT(max_bytes * MARKED_GROWTH),
    };
}

void expansion_free(struct expansion *expansion)
{
    buf_free(&expansion->result);
    buf_free(&expansion->marked);
    free(expansion->values);
    expansion->values = NULL;
}

static void __attribute__((format(printf, 4, 0)))
add_fault(struct expansion *expansion, size_t line, size_t column, const char *format, va_list args)
{
    char message[ERR_MESSAGE_BYTES];

    (void)vsnprintf(message, sizeof(message), format, args);
    expansion->fault_count++;
    (void)buf_printf(expansion->faults, "%s:%zu:%zu: %s\n", expansion->file, line, column, message);
}

void expansion_fault(struct expansion *expansion, size_t offset, const char *format, ...)
{
    va_list args;

    template_locate(expansion->data, offset, &expansion->position);
    va_start(args, format);
    add_fault(expansion, expansion->position.line, expansion->position.column, format, args);
    va_end(args);
}

void expansion_fault_at(struct expansion *expansion, size_t line, size_t column, const char *format,
                        ...)
{
    va_list args;

    va_start(args, format);
    add_fault(expansion, line, column, format, args);
    va_end(args);
}

static int name_width(const struct template_token *token)
{
    return token->name_len < SHOWN_NAME_BYTES ? (int)token->name_len : SHOWN_NAME_BYTES;
}

/* A fault whose message is the placeholder's name and what follows. */
static void __attribute__((format(printf, 3, 4)))
name_fault(struct expansion *expansion, const struct template_token *token, const char *format, ...)
{
    char message[ERR_MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    expansion_fault(expansion, token->start, "%.*s%s", name_width(token),
                    expansion->data + token->name, message);
}

static void add_both(struct expansion *expansion, const char *data, size_t len)
{
    (void)buf_add(&expansion->result, data, len);
    (void)buf_add(&expansion->marked, data, len);
}

void expansion_copy(struct expansion *expansion, size_t from, size_t to)
{
    add_both(expansion, expansion->data + from, to - from);
}

static void fault_of_absent(struct expansion *expansion, const struct template_token *token,
                            bool empty)
{
    const char *name = expansion->data + token->name;
    int width = name_width(token);

    if (token->kind == TEMPLATE_MESSAGE && token->word_len)
        name_fault(expansion, token, ": %.*s", (int)(token->word_len & INT16_MAX),
                   expansion->data + token->word);
    else if (empty)
        name_fault(expansion, token,
                   " is set but empty: give it a value, or write ${%.*s:-} if it may be "
                   "empty",
                   width, name);
    else
        name_fault(expansion, token,
                   " is not set: set it, or %.*s_FILE, or give a default as ${%.*s:-…}", width,
                   name, width, name);
}

/* Kubernetes sets NAME_PORT=tcp://10.0.0.1:9083 for every Service called "name". */
static bool is_service_link(const char *name, size_t name_len, const struct variable *variable)
{
    return name_len > 5 && memcmp(name + name_len - 5, "_PORT", 5) == 0 &&
           strncmp(variable->value, "tcp://", 6) == 0;
}

/* 1 and the value, 0 for the default, -1 with a fault. */
static int look_up(struct expansion *expansion, const struct template_token *token,
                   struct variable *ret)
{
    const char *name = expansion->data + token->name;
    struct err err;
    int found = variables_get(expansion->variables, name, token->name_len, ret, &err);

    if (found < 0) {
        expansion_fault(expansion, token->start, "%s", err.message);
        return -1;
    }
    if (found && is_service_link(name, token->name_len, ret)) {
        name_fault(expansion, token,
                   " holds tcp://…, the address of a Kubernetes Service of that name: set "
                   "it in the pod, or set enableServiceLinks: false there");
        return -1;
    }
    if (found && ret->len)
        return 1;
    if (token->kind == TEMPLATE_DEFAULT)
        return 0;
    fault_of_absent(expansion, token, found);
    return -1;
}

static bool add_mark(struct expansion *expansion, const struct template_token *token,
                     const struct variable *variable)
{
    if (expansion->value_count == expansion->value_room) {
        size_t room = expansion->value_room ? expansion->value_room * 2 : 32;
        void *values = reallocarray(expansion->values, room, sizeof(*expansion->values));

        if (!values)
            return false;
        expansion->values = values;
        expansion->value_room = room;
    }
    expansion->values[expansion->value_count] =
        (struct expansion_value){*token, variable->value, variable->len};
    return buf_printf(&expansion->marked, MARK "%zu" MARK, expansion->value_count++) == 0;
}

static void put_value(struct expansion *expansion, const struct template_token *token,
                      const struct variable *variable, expansion_escape_fn escape)
{
    if (!escape(&expansion->result, variable->value, variable->len))
        name_fault(expansion, token,
                   " holds bytes that cannot stand here: a control character, or not "
                   "UTF-8");
    else if (!add_mark(expansion, token, variable))
        name_fault(expansion, token, " does not fit: out of memory");
}

static void put_placeholder(struct expansion *expansion, const struct template_token *token,
                            expansion_escape_fn escape)
{
    struct variable variable;

    expansion->placeholder_count++;
    expansion->last = *token;
    switch (look_up(expansion, token, &variable)) {
    case 1:
        put_value(expansion, token, &variable, escape);
        break;
    case 0:
        expansion_copy(expansion, token->word, token->word + token->word_len);
        break;
    default:
        add_both(expansion, "?", 1); /* or a name would be called empty on top of it */
    }
}

void expansion_put(struct expansion *expansion, const struct template_token *token,
                   expansion_escape_fn escape)
{
    switch (token->kind) {
    case TEMPLATE_LITERAL:
        expansion_copy(expansion, token->start, token->end);
        break;
    case TEMPLATE_ESCAPE:
        expansion_copy(expansion, token->start + 1, token->end);
        break;
    case TEMPLATE_UNCLOSED:
        name_fault(expansion, token,
                   ": the placeholder has no } before the end of the place it stands in");
        break;
    case TEMPLATE_REQUIRED:
    case TEMPLATE_DEFAULT:
    case TEMPLATE_MESSAGE:
        put_placeholder(expansion, token, escape);
        break;
    }
}

void expansion_put_all(struct expansion *expansion, size_t from, size_t to,
                       expansion_escape_fn escape)
{
    while (from < to) {
        struct template_token token = template_next(expansion->data, from, to);

        expansion_put(expansion, &token, escape);
        from = token.end;
    }
}

void expansion_check_name(struct expansion *expansion, size_t placeholders, size_t bytes)
{
    if (bytes == 0 && expansion->placeholder_count > placeholders)
        name_fault(expansion, &expansion->last,
                   " is empty and leaves the name of a setting empty: give it a value");
}

/* The value whose mark is at p. *ret_end is behind it then. */
static const struct expansion_value *value_at(const struct expansion *expansion, const char *p,
                                              const char *end, const char **ret_end)
{
    size_t number = 0;
    const char *digit = p + MARK_BYTES;

    for (; digit < end && *digit >= '0' && *digit <= '9' && number < SIZE_MAX / 10 - 1; digit++)
        number = number * 10 + (size_t)(*digit - '0');
    if (digit == p + MARK_BYTES || (size_t)(end - digit) < MARK_BYTES ||
        memcmp(digit, MARK, MARK_BYTES) != 0 || number >= expansion->value_count)
        return NULL;
    *ret_end = digit + MARK_BYTES;
    return &expansion->values[number];
}

/* Take the next piece of the marked text at *p. false at its end. */
static bool next_piece(const struct expansion *expansion, const char **p, const char *end,
                       struct piece *ret)
{
    const char *behind, *mark = *p;

    if (*p == end)
        return false;
    while ((mark = memmem(mark, (size_t)(end - mark), MARK, MARK_BYTES)) != NULL) {
        const struct expansion_value *value = value_at(expansion, mark, end, &behind);

        if (!value) {
            mark += MARK_BYTES;
            continue;
        }
        if (mark > *p)
            break;
        *ret = (struct piece){value->value, value->len, value};
        *p = behind;
        return true;
    }
    *ret = (struct piece){*p, (size_t)((mark ? mark : end) - *p), NULL};
    *p += ret->len;
    return true;
}

bool expansion_equal(const struct expansion *expansion, const char *text, size_t len,
                     const char *actual, size_t actual_len)
{
    const char *p = text, *end = text + len;
    struct piece piece;

    while (next_piece(expansion, &p, end, &piece)) {
        if (piece.len > actual_len || memcmp(piece.data, actual, piece.len) != 0)
            return false;
        actual += piece.len;
        actual_len -= piece.len;
    }
    return actual_len == 0;
}

/* A "${" is new if it is not wholly in one stretch of the template. */
static void judge_variables(struct expansion *expansion, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    const struct expansion_value *before = NULL, *culprit;
    bool dollar = false;
    struct piece piece;

    for (; next_piece(expansion, &p, end, &piece); before = piece.from) {
        culprit = piece.from && memmem(piece.data, piece.len, "${", 2) ? piece.from : NULL;
        if (!culprit && dollar && piece.data[0] == '{')
            culprit = piece.from ? piece.from : before;
        if (culprit)
            name_fault(expansion, &culprit->token,
                       " brings a new ${ into this setting, which its reader would expand "
                       "and which cannot be escaped: change the value");
        dollar = piece.data[piece.len - 1] == '$';
    }
}

static bool is_trimmed(char c)
{
    return (unsigned char)c <= ' ' && c != '\r' && c != '\n';
}

static void blank_fault(struct expansion *expansion, const struct expansion_value *value)
{
    name_fault(expansion, &value->token,
               " has a blank at an end of this setting, which its reader trims: change the "
               "value");
}

/* Every blank before the first and behind the last other byte is trimmed. */
static void judge_ends(struct expansion *expansion, const char *text, size_t len)
{
    const struct expansion_value *trailing = NULL;
    const char *p = text, *end = text + len;
    bool leading = true;
    struct piece piece;

    while (next_piece(expansion, &p, end, &piece)) {
        size_t head = 0, tail = piece.len;

        while (head < piece.len && is_trimmed(piece.data[head]))
            head++;
        if (leading && head && piece.from) {
            blank_fault(expansion, piece.from);
            return;
        }
        if (head == piece.len) {
            trailing = piece.from ? piece.from : trailing;
            continue;
        }
        leading = false;
        while (is_trimmed(piece.data[tail - 1]))
            tail--;
        trailing = tail < piece.len ? piece.from : NULL;
    }
    if (trailing)
        blank_fault(expansion, trailing);
}

void expansion_judge(struct expansion *expansion, const char *text, size_t len, bool trims)
{
    judge_variables(expansion, text, len);
    if (trims)
        judge_ends(expansion, text, len);
}
