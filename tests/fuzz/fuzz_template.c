/* The first byte says where a range ends, the rest is a template. Its tokens are what it was cut
 * into without a gap, a literal holds nothing that is ours, a token is the same in a shorter range
 * that holds all of it, and positions are counted right. */
#include "confgen/template.h"

#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <string.h>

/* Whether the text stands at that offset; *pos is moved behind it. */
static bool skip(const char *data, size_t end, size_t *pos, const char *text, size_t len)
{
    if (end - *pos < len || memcmp(data + *pos, text, len) != 0)
        return false;
    *pos += len;
    return true;
}

/* Whether the bytes from pos on are a placeholder or an escape, found otherwise than template.c
 * does it. */
static bool is_special(const char *data, size_t pos, size_t end)
{
    size_t name;

    if (skip(data, end, &pos, "$${", 3))
        return true;
    if (!skip(data, end, &pos, "${", 2))
        return false;
    for (name = pos; pos < end && (isalnum((unsigned char)data[pos]) || data[pos] == '_');)
        pos++;
    if (pos == name || isdigit((unsigned char)data[name]))
        return false;
    return skip(data, end, &pos, "}", 1) || skip(data, end, &pos, ":-", 2) ||
           skip(data, end, &pos, ":?", 2);
}

/* What the token says it is, piece by piece, is what stands there. */
static void check_token(const char *data, size_t end, const struct template_token *token)
{
    const char *opens[] = {[TEMPLATE_DEFAULT] = ":-", [TEMPLATE_MESSAGE] = ":?"};
    size_t pos = token->start;

    switch (token->kind) {
    case TEMPLATE_LITERAL:
        for (; pos < token->end; pos++)
            demand(data[pos] != '$' || !is_special(data, pos, end));
        break;
    case TEMPLATE_ESCAPE:
        demand(skip(data, end, &pos, "$${", 3));
        break;
    case TEMPLATE_REQUIRED:
    case TEMPLATE_DEFAULT:
    case TEMPLATE_MESSAGE:
    case TEMPLATE_UNCLOSED:
        demand(is_special(data, pos, end) && data[pos + 1] == '{');
        demand(token->name == pos + 2 && token->name_len > 0);
        pos = token->name + token->name_len;
        if (token->kind == TEMPLATE_UNCLOSED) {
            demand(skip(data, end, &pos, ":-", 2) || skip(data, end, &pos, ":?", 2));
            demand(!memchr(data + pos, '}', end - pos));
            pos = end;
            break;
        }
        if (token->kind != TEMPLATE_REQUIRED) {
            demand(skip(data, end, &pos, opens[token->kind], 2) && token->word == pos);
            demand(!memchr(data + pos, '}', token->word_len));
            pos += token->word_len;
        }
        demand(skip(data, end, &pos, "}", 1));
        break;
    }
    demand(pos == token->end);
}

static void check_position(const char *data, size_t offset, struct template_position *position)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < offset; i++, column++)
        if (data[i] == '\n')
            line++, column = 0;
    template_locate(data, offset, position);
    demand(position->line == line && position->column == column);
}

/* Cut the bytes up to end into tokens, of which those within the offset whole are the same as in
 * that longer range. */
static void cut(const char *data, size_t end, size_t whole)
{
    struct template_position position = {0};
    enum template_kind before = TEMPLATE_ESCAPE;
    struct template_token token;

    for (size_t p = 0; p < end; p = token.end) {
        token = template_next(data, p, end);
        demand(token.start == p && token.end > p && token.end <= end);
        demand(token.kind != TEMPLATE_LITERAL || before != TEMPLATE_LITERAL);
        check_token(data, end, &token);
        check_position(data, p, &position);
        if (token.kind != TEMPLATE_LITERAL && token.kind != TEMPLATE_UNCLOSED) {
            struct template_token other = template_next(data, p, whole);

            demand(other.kind == token.kind && other.end == token.end &&
                   other.name_len == token.name_len && other.word_len == token.word_len);
        }
        before = token.kind;
    }
    check_position(data, end / 2, &position);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes + 1;

    if (size < 2)
        return 0;
    size--;
    cut(data, size, size);
    cut(data, bytes[0] % size, size);
    return 0;
}
