#include "confgen/template.h"

#include <stdbool.h>
#include <string.h>

const struct template_position template_top = {.line = 1, .column = 1};

/* isalpha() would ask the locale. */
static bool name_byte(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Read what follows "${NAME:-" or "${NAME:?". */
static void read_word(const char *data, size_t end, struct template_token *token)
{
    const char *brace = memchr(data + token->word, '}', end - token->word);

    if (!brace) {
        token->kind = TEMPLATE_UNCLOSED;
        token->end = end;
        return;
    }
    token->word_len = (size_t)(brace - data) - token->word;
    token->end = token->word + token->word_len + 1;
}

/* Whether a placeholder begins at from; it fills *token then. */
static bool read_placeholder(const char *data, size_t from, size_t end,
                             struct template_token *token)
{
    size_t p = from + 2;

    if (end - from < 4 || data[from + 1] != '{')
        return false;
    while (p < end && name_byte(data[p], p == from + 2))
        p++;
    *token = (struct template_token){.start = from, .name = from + 2, .name_len = p - from - 2};
    if (token->name_len == 0 || p == end)
        return false;
    if (data[p] == '}') {
        token->kind = TEMPLATE_REQUIRED;
        token->end = p + 1;
        return true;
    }
    if (data[p] != ':' || end - p < 2 || (data[p + 1] != '-' && data[p + 1] != '?'))
        return false;
    token->kind = data[p + 1] == '-' ? TEMPLATE_DEFAULT : TEMPLATE_MESSAGE;
    token->word = p + 2;
    read_word(data, end, token);
    return true;
}

/* Whether something other than a literal begins at the '$' at from. */
static bool read_special(const char *data, size_t from, size_t end, struct template_token *token)
{
    if (end - from >= 3 && memcmp(data + from, "$${", 3) == 0) {
        *token = (struct template_token){TEMPLATE_ESCAPE, .start = from, .end = from + 3};
        return true;
    }
    return read_placeholder(data, from, end, token);
}

struct template_token template_next(const char *data, size_t from, size_t end)
{
    struct template_token token;
    const char *dollar = data + from;

    while ((dollar = memchr(dollar, '$', (size_t)(data + end - dollar))) != NULL) {
        size_t at = (size_t)(dollar - data);

        if (!read_special(data, at, end, &token)) {
            dollar++;
            continue;
        }
        if (at == from)
            return token;
        end = at;
        break;
    }
    return (struct template_token){TEMPLATE_LITERAL, .start = from, .end = end};
}

void template_locate(const char *data, size_t offset, struct template_position *position)
{
    const char *newline;

    if (position->line == 0 || offset < position->offset)
        *position = (struct template_position){.line = 1};
    while ((newline = memchr(data + position->offset, '\n', offset - position->offset)) != NULL) {
        position->line++;
        position->offset = position->line_start = (size_t)(newline - data) + 1;
    }
    position->offset = offset;
    position->column = offset - position->line_start + 1;
}
