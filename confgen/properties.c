#include "confgen/properties.h"

#include "confgen/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A line of a file that was read into a buf; the marked text is up to four times a result. */
#define LINE_MAX_BYTES ((size_t)64 << 20)

/* A backslash and one of the letters stand for the byte of the same place. */
static const char escape_letters[] = "tnrf", escaped_bytes[] = "\t\n\r\f";

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

/* The offset of the end of the natural line that from is in. */
static size_t line_end(const char *data, size_t from, size_t len)
{
    while (from < len && !is_line_end(data[from]))
        from++;
    return from;
}

/* ---- reading ---- */

struct reader {
    const char *data;
    size_t len, pos;
    struct buf line; /* a logical line: continuations joined, escapes still there */
    struct buf key, value;
};

static struct reader reader_of(const char *data, size_t len)
{
    return (struct reader){.data = data,
                           .len = len,
                           .line = BUF_INIT(LINE_MAX_BYTES),
                           .key = BUF_INIT(LINE_MAX_BYTES),
                           .value = BUF_INIT(LINE_MAX_BYTES)};
}

static void reader_free(struct reader *reader)
{
    buf_free(&reader->line);
    buf_free(&reader->key);
    buf_free(&reader->value);
}
#define READER_AUTO __attribute__((cleanup(reader_free))) struct reader

/* Read a logical line, comments and empty lines left out. Its steps are those of
 * Properties.LineReader, odd ends included. false at the end of the data. */
static bool read_line(struct reader *reader)
{
    bool skipping = true, continued = false, backslash = false;

    buf_clear(&reader->line);
    while (reader->pos < reader->len) {
        char c = reader->data[reader->pos++];

        if (skipping && (is_blank(c) || (!continued && is_line_end(c))))
            continue;
        skipping = continued = false;
        if (reader->line.len == 0 && (c == '#' || c == '!')) {
            reader->pos = line_end(reader->data, reader->pos, reader->len);
            skipping = true;
        } else if (!is_line_end(c)) {
            (void)buf_add_char(&reader->line, c);
            backslash = c == '\\' && !backslash;
        } else if (reader->line.len == 0) {
            skipping = true;
        } else if (!backslash) {
            return true;
        } else {
            reader->line.len--;
            if (reader->pos == reader->len)
                return true;
            if (c == '\r' && reader->data[reader->pos] == '\n')
                reader->pos++;
            skipping = continued = true;
            backslash = false;
        }
    }
    reader->line.len -= backslash;
    return reader->line.len || backslash;
}

/* The four hexadecimal digits at p; -1 if they are not that. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t code = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* Decode what follows "\u" at *p; two that are a surrogate pair become one character. */
static int decode_unicode(const char **p, const char *end, struct buf *out)
{
    int32_t code = hex4(*p, end), low;

    if (code < 0)
        return -1;
    *p += 4;
    if (code >= 0xD800 && code < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        low = hex4(*p + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            *p += 6;
        }
    }
    utf8_add(out, (uint32_t)code);
    return 0;
}

/* Decode the line's bytes [from, to) into out. */
static int decode(const struct buf *line, size_t from, size_t to, struct buf *out)
{
    const char *p = line->data + from, *end = line->data + to, *letter;

    buf_clear(out);
    while (p < end) {
        char c = *p++;

        if (c != '\\' || p == end) {
            (void)buf_add_char(out, c);
            continue;
        }
        c = *p++;
        if (c == 'u') {
            if (decode_unicode(&p, end, out) < 0)
                return -1;
            continue;
        }
        letter = c ? strchr(escape_letters, c) : NULL;
        if (letter)
            c = escaped_bytes[letter - escape_letters];
        (void)buf_add_char(out, c);
    }
    return 0;
}

/* Where the key of a logical line ends and its value begins. */
static size_t split(const struct buf *line, size_t *ret_value)
{
    size_t key = 0, value;
    bool separator = false;

    while (key < line->len && !is_blank(line->data[key]) && line->data[key] != '=' &&
           line->data[key] != ':')
        key += line->data[key] == '\\' ? 2 : 1;
    if (key > line->len)
        key = line->len;
    for (value = key; value < line->len; value++) {
        char c = line->data[value];

        if (is_blank(c))
            continue;
        if (separator || (c != '=' && c != ':'))
            break;
        separator = true;
    }
    *ret_value = value;
    return key;
}

/* The natural line that the logical line read last ends on, from 1. */
static size_t line_number(const struct reader *reader)
{
    struct template_position position = {0};

    template_locate(reader->data, reader->pos ? reader->pos - 1 : 0, &position);
    return position.line;
}

/* Read the next key and value. 1, 0 at the end, or -1. */
static int read_pair(struct reader *reader, struct err *err)
{
    size_t key_end, value;

    if (!read_line(reader))
        return 0;
    key_end = split(&reader->line, &value);
    if (decode(&reader->line, 0, key_end, &reader->key) < 0 ||
        decode(&reader->line, value, reader->line.len, &reader->value) < 0)
        return err_set(err, EXIT_DATA,
                       "a \\u is not followed by four hexadecimal digits (a backslash is written "
                       "\\\\)");
    if (buf_failed(&reader->line) || buf_failed(&reader->key) || buf_failed(&reader->value))
        return err_set(err, EXIT_INTERNAL, "out of memory");
    return 1;
}

int properties_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err)
{
    READER_AUTO reader = reader_of(data, len);
    int more;

    while ((more = read_pair(&reader, err)) > 0)
        if (fn(context, buf_str(&reader.key), buf_str(&reader.value), reader.value.len) < 0)
            return -1;
    return more < 0 ? err_wrap(err, "line %zu", line_number(&reader)) : 0;
}

/* ---- expanding ---- */

static bool escape(struct buf *out, const char *value, size_t len, bool key)
{
    if (memchr(value, '\0', len) || !utf8_valid(value, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        const char *short_form = strchr(escaped_bytes, c);

        if (short_form)
            (void)buf_printf(out, "\\%c", escape_letters[short_form - escaped_bytes]);
        else if ((unsigned char)c < ' ' || c == 0x7F)
            (void)buf_printf(out, "\\u%04X", (unsigned)c);
        else if (c == '\\' || ((key || i == 0) && strchr(" =:#!", c)))
            (void)buf_printf(out, "\\%c", c);
        else
            (void)buf_add_char(out, c);
    }
    return true;
}

static bool escape_key(struct buf *out, const char *value, size_t len)
{
    return escape(out, value, len, true);
}

/* The first byte is escaped wherever it stands: behind a separator or on a continuation line it
 * would be taken for one. */
static bool escape_value(struct buf *out, const char *value, size_t len)
{
    return escape(out, value, len, false);
}

/* Where a logical line stands. A placeholder is one unit here: the ':' in it separates nothing. */
struct scan {
    struct expansion *expansion;
    size_t pos;
    bool in_key;
    bool escaped;        /* behind a backslash */
    size_t key_start;    /* in the result */
    size_t placeholders; /* before the key */
};

static void copy_to(struct scan *scan, size_t end)
{
    expansion_copy(scan->expansion, scan->pos, end);
    scan->pos = end;
}

/* Copy all up to the first byte of a key. */
static void skip_to_key(struct scan *scan)
{
    const char *data = scan->expansion->data;
    size_t p = scan->pos, len = scan->expansion->len;

    while (p < len) {
        if (data[p] == '#' || data[p] == '!')
            p = line_end(data, p, len);
        else if (is_blank(data[p]) || is_line_end(data[p]))
            p++;
        else if (data[p] == '\\' && p + 1 < len && is_line_end(data[p + 1]))
            p += 2;
        else
            break;
    }
    copy_to(scan, p);
}

/* Copy a line end, CRLF being one, and the blanks behind it, which a continued line skips. */
static void skip_continuation(struct scan *scan)
{
    const char *data = scan->expansion->data;
    size_t p = scan->pos, len = scan->expansion->len;

    p += data[p] == '\r' && p + 1 < len && data[p + 1] == '\n' ? 2 : 1;
    while (p < len && is_blank(data[p]))
        p++;
    copy_to(scan, p);
}

static void end_key(struct scan *scan)
{
    expansion_check_name(scan->expansion, scan->placeholders,
                         scan->expansion->result.len - scan->key_start);
    scan->in_key = false;
}

static void scan_literal(struct scan *scan, size_t end)
{
    for (size_t p = scan->pos; p < end; p++) {
        char c = scan->expansion->data[p];

        if (scan->in_key && !scan->escaped && (is_blank(c) || c == '=' || c == ':')) {
            copy_to(scan, p);
            end_key(scan);
        }
        scan->escaped = c == '\\' && !scan->escaped;
    }
    copy_to(scan, end);
}

static void scan_token(struct scan *scan, const struct template_token *token)
{
    if (scan->escaped && token->kind != TEMPLATE_ESCAPE)
        expansion_fault(scan->expansion, token->start,
                        "a backslash in front of a placeholder would escape the value's first "
                        "byte: write \\\\ for a backslash, or $${ for a literal ${");
    scan->escaped = false;
    expansion_put(scan->expansion, token, scan->in_key ? escape_key : escape_value);
    scan->pos = token->end;
}

/* Expand a logical line up to its line end. */
static void scan_line(struct scan *scan)
{
    struct expansion *expansion = scan->expansion;
    size_t end = line_end(expansion->data, scan->pos, expansion->len);

    scan->in_key = true;
    scan->escaped = false;
    scan->key_start = expansion->result.len;
    scan->placeholders = expansion->placeholder_count;
    while (scan->pos < end) {
        struct template_token token = template_next(expansion->data, scan->pos, end);

        if (token.kind == TEMPLATE_LITERAL)
            scan_literal(scan, token.end);
        else
            scan_token(scan, &token);
        if (scan->pos == end && scan->escaped && end < expansion->len) {
            skip_continuation(scan);
            scan->escaped = false;
            end = line_end(expansion->data, scan->pos, expansion->len);
        }
    }
    if (scan->in_key)
        end_key(scan);
}

static bool same(const struct expansion *expansion, const struct buf *marked,
                 const struct buf *result)
{
    return expansion_equal(expansion, buf_str(marked), marked->len, buf_str(result), result->len);
}

/* Read the marked text and the result in step. */
static void verify(struct expansion *expansion)
{
    READER_AUTO marked = reader_of(expansion->marked.data, expansion->marked.len);
    READER_AUTO result = reader_of(expansion->result.data, expansion->result.len);
    const char *fault = NULL;
    struct err err;
    int more;

    while (!fault && (more = read_pair(&marked, &err)) > 0) {
        if (read_pair(&result, NULL) <= 0 || !same(expansion, &marked.key, &result.key) ||
            !same(expansion, &marked.value, &result.value))
            fault = "the result does not read back as the template with its values";
        expansion_judge(expansion, buf_str(&marked.key), marked.key.len, false);
        expansion_judge(expansion, buf_str(&marked.value), marked.value.len, true);
    }
    if (!fault && more < 0)
        fault = err.message;
    if (!fault && read_pair(&result, NULL) != 0)
        fault = "the result has more settings than the template";
    if (fault)
        expansion_fault_at(expansion, line_number(&marked), 1, "%s", fault);
}

void properties_expand(struct expansion *expansion)
{
    struct scan scan = {.expansion = expansion};

    for (skip_to_key(&scan); scan.pos < expansion->len; skip_to_key(&scan))
        scan_line(&scan);
    if (expansion->fault_count == 0)
        verify(expansion);
}
