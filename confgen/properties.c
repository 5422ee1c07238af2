#include "confgen/properties.h"

#include "confgen/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define MAX_DUPLICATES 20 /* that are shown */

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

static bool is_separator(char c)
{
    return is_blank(c) || c == '=' || c == ':';
}

/* A natural line: what stands between two line ends. The terms are Java's. */
struct line {
    size_t from, to; /* without the blanks that it begins with */
    size_t next;     /* where the next one begins */
    bool continued;  /* ends with a backslash, no part of the setting, which goes on */
};

static struct line line_at(const char *data, size_t len, size_t pos)
{
    struct line line;
    size_t slashes;

    while (pos < len && is_blank(data[pos]))
        pos++;
    line.from = line.to = pos;
    while (line.to < len && !is_line_end(data[line.to]))
        line.to++;
    line.next = line.to + (line.to < len);
    line.next += line.next < len && data[line.to] == '\r' && data[line.next] == '\n';
    for (slashes = line.to; slashes > line.from && data[slashes - 1] == '\\';)
        slashes--;
    line.continued = (line.to - slashes) % 2 == 1;
    return line;
}

/* Whether a comment begins at the offset, where a logical line may begin. */
static bool is_comment(const char *data, const struct line *line)
{
    return line->from < line->to && (data[line->from] == '#' || data[line->from] == '!');
}

/* ---- reading ---- */

struct reader {
    const char *data;
    size_t len, pos;
    size_t start;    /* where the logical line begins */
    struct buf line; /* itself: continuations joined, escapes still there */
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
 * Properties.LineReader: a line of nothing but a backslash counts at the end of the data, unless
 * CRLF follows. false at the end of the data. */
static bool read_line(struct reader *reader)
{
    struct line line = {0};

    buf_clear(&reader->line);
    while (reader->pos < reader->len) {
        line = line_at(reader->data, reader->len, reader->pos);
        reader->pos = line.next;
        if (reader->line.len == 0 && is_comment(reader->data, &line)) {
            line.continued = false;
            continue;
        }
        if (reader->line.len == 0)
            reader->start = line.from;
        (void)buf_add(&reader->line, reader->data + line.from,
                      line.to - line.from - line.continued);
        if (!line.continued && reader->line.len)
            return true;
    }
    return reader->line.len || (line.continued && line.next - line.to < 2);
}

/* The four hexadecimal digits at p; -1 if they are not that. */
static int32_t hex4(const char *p, const char *end)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    int32_t code = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digit = memchr(digits, p[i], sizeof(digits) - 1);

        if (!digit)
            return -1;
        code = code * 16 + (int32_t)(digit - digits) - (digit - digits < 16 ? 0 : 6);
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

/* Decode what begins at *p up to the end, or up to the separator that ends a key. */
static int decode(const char **p, const char *end, bool key, struct buf *out)
{
    buf_clear(out);
    for (;;) {
        const char *from = *p, *letter;

        while (*p < end && **p != '\\' && !(key && is_separator(**p)))
            (*p)++;
        (void)buf_add(out, from, (size_t)(*p - from));
        if (*p == end || **p != '\\')
            return 0;
        if (++*p == end)
            return buf_add_char(out, '\\');
        letter = memchr(escape_letters, **p, sizeof(escape_letters) - 1);
        if (*(*p)++ != 'u')
            (void)buf_add_char(out, letter ? escaped_bytes[letter - escape_letters] : (*p)[-1]);
        else if (decode_unicode(p, end, out) < 0)
            return -1;
    }
}

/* Behind the blanks, with at most one '=' or ':' among them, that part key and value. */
static const char *skip_separator(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    if (p < end && is_separator(*p))
        p++;
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* The natural line that the logical line read last ends on. */
static struct template_position position_of(const struct reader *reader)
{
    struct template_position position = {0};

    template_locate(reader->data, reader->pos ? reader->pos - 1 : 0, &position);
    position.column = 1;
    return position;
}

/* Read the next key and value. 1, 0 at the end, or -1. */
static int read_pair(struct reader *reader, struct err *err)
{
    const char *p, *end;
    int result;

    if (!read_line(reader))
        return 0;
    p = buf_str(&reader->line);
    end = p + reader->line.len;
    result = decode(&p, end, true, &reader->key);
    p = skip_separator(p, end);
    if (result < 0 || decode(&p, end, false, &reader->value) < 0)
        return err_set(err, EXIT_DATA,
                       "a \\u is not followed by four hexadecimal digits (a backslash is written "
                       "\\\\)");
    if (buf_failed(&reader->line) || buf_failed(&reader->key) || buf_failed(&reader->value))
        return err_no_memory(err);
    return 1;
}

int properties_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err)
{
    READER_AUTO reader = reader_of(data, len);
    struct template_position position = {0};
    struct pair pair = {.number = 0};
    int more;

    for (; (more = read_pair(&reader, err)) > 0; pair.number++) {
        template_locate(data, reader.start, &position);
        pair.line = position.line;
        pair.key = buf_str(&reader.key);
        pair.value = buf_str(&reader.value);
        pair.value_len = reader.value.len;
        if (fn(context, &pair) < 0)
            return -1;
    }
    return more < 0 ? err_wrap(err, "line %zu", position_of(&reader).line) : 0;
}

/* ---- expanding ---- */

static bool escape(struct buf *out, const char *value, size_t len, bool key)
{
    if (memchr(value, '\0', len) || !utf8_valid(value, len))
        return false;
    for (const char *p = value, *end = value + len, *next = p; p < end; p = next) {
        const char *short_form = strchr(escaped_bytes, *p);
        int32_t code = utf8_next(&next, end);

        if (short_form)
            (void)buf_printf(out, "\\%c", escape_letters[short_form - escaped_bytes]);
        else if (code > 0xFFFF)
            (void)buf_printf(out, "\\u%04X\\u%04X", (unsigned)(0xD7C0 + (code >> 10)),
                             (unsigned)(0xDC00 | (code & 0x3FF)));
        else if (code < ' ' || code >= 0x7F) /* most readers but Spark's own take Latin-1 */
            (void)buf_printf(out, "\\u%04X", (unsigned)code);
        else if (*p == '\\' || ((key || p == value) && strchr(" =:#!", *p)))
            (void)buf_printf(out, "\\%c", *p);
        else
            (void)buf_add_char(out, *p);
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

static const struct expansion_place key_place = {"a properties key", escape_key};
const struct expansion_place properties_value = {"a properties value", escape_value};

/* Where a logical line stands. A placeholder is one unit here: the ':' in it separates nothing. */
struct scan {
    struct expansion *expansion;
    enum { START, KEY, VALUE } part;
    bool escaped; /* behind a backslash */
};

static void end_part(struct scan *scan, int next)
{
    if (scan->part == KEY)
        expansion_end_name(scan->expansion);
    scan->part = next;
}

static void scan_literal(struct scan *scan, size_t end)
{
    for (size_t p = scan->expansion->pos; p < end; p++) {
        char c = scan->expansion->data[p];

        if (scan->part == KEY && !scan->escaped && is_separator(c)) {
            expansion_copy_to(scan->expansion, p);
            end_part(scan, VALUE);
        }
        scan->escaped = c == '\\' && !scan->escaped;
    }
    expansion_copy_to(scan->expansion, end);
}

static void scan_token(struct scan *scan, const struct template_token *token)
{
    if (scan->escaped && token->kind != TEMPLATE_ESCAPE)
        expansion_fault(scan->expansion, expansion_locate(scan->expansion, token->start),
                        "a backslash in front of a placeholder would escape the value's first "
                        "byte: write \\\\ for a backslash, or $${ for a literal ${");
    scan->escaped = false;
    expansion_put(scan->expansion, token, scan->part == KEY ? &key_place : &properties_value);
}

/* Expand a natural line that is no comment. */
static void scan_line(struct scan *scan, const struct line *line)
{
    struct expansion *expansion = scan->expansion;

    if (scan->part == START && line->to - line->from > line->continued) {
        expansion_begin_name(expansion);
        scan->part = KEY;
    }
    scan->escaped = false;
    if (!utf8_valid(expansion->data + line->from, line->to - line->from))
        expansion_note(expansion, expansion->warnings, line->from,
                       "this line is not UTF-8, which Spark reads: save it as UTF-8, or write "
                       "\\uXXXX");
    while (expansion->pos < line->to) {
        struct template_token token = template_next(expansion->data, expansion->pos, line->to);

        if (token.kind == TEMPLATE_LITERAL)
            scan_literal(scan, token.end);
        else
            scan_token(scan, &token);
    }
    if (!line->continued || line->next == expansion->len)
        end_part(scan, START);
}

static bool same(const struct expansion *expansion, const struct buf *marked,
                 const struct buf *result)
{
    return expansion_equal(expansion, buf_str(marked), marked->len, buf_str(result), result->len);
}

/* A key, to find those that are set twice; kept as a hash, since files of megabytes have many. */
struct seen_key {
    uint64_t hash;
    size_t offset; /* in the marked text: in the logical line's last natural line */
};

static void add_key(struct buf *keys, const struct buf *name, size_t end)
{
    struct seen_key key = {.hash = 0xCBF29CE484222325, .offset = end ? end - 1 : 0};

    for (size_t i = 0; i < name->len; i++) /* FNV-1a */
        key.hash = (key.hash ^ (unsigned char)name->data[i]) * 0x100000001B3;
    (void)buf_add(keys, &key, sizeof(key));
}

static int compare_keys(const void *a, const void *b)
{
    const struct seen_key *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The lines of the marked text are those of the template. */
static void warn_of_duplicates(struct expansion *expansion, struct buf *keys)
{
    struct seen_key *key = (void *)keys->data;
    size_t count = keys->len / sizeof(*key), shown = 0;
    struct template_position first = {0}, again = {0};

    if (count == 0 || !expansion->warnings)
        return;
    qsort(key, count, sizeof(*key), compare_keys);
    for (size_t i = 1; i < count && shown < MAX_DUPLICATES; i++) {
        if (key[i].hash != key[i - 1].hash)
            continue;
        shown++;
        template_locate(buf_str(&expansion->marked), key[i - 1].offset, &first);
        template_locate(buf_str(&expansion->marked), key[i].offset, &again);
        (void)buf_printf(expansion->warnings,
                         "%s:%zu:1: this key was set in line %zu already: the last one counts\n",
                         expansion->file, again.line, first.line);
    }
}

/* Read the marked text and the result in step; with faults before there is no result to compare,
 * and what its reader would change is told beside them. */
static void verify(struct expansion *expansion)
{
    READER_AUTO marked = reader_of(expansion->marked.data, expansion->marked.len);
    READER_AUTO result = reader_of(expansion->result.data, expansion->result.len);
    BUF_AUTO keys = BUF_INIT(LINE_MAX_BYTES);
    bool is_sound = expansion_is_sound(expansion);
    struct err err;
    int more, result_more;

    do {
        more = read_pair(&marked, &err);
        result_more = read_pair(&result, NULL);
        if (is_sound && more >= 0 &&
            (more != result_more || !same(expansion, &marked.key, &result.key) ||
             !same(expansion, &marked.value, &result.value)))
            more = err_set(&err, EXIT_DATA,
                           "the result does not read back as the template with its values");
        if (more > 0) {
            expansion_judge(expansion, buf_str(&marked.key), marked.key.len, false);
            expansion_judge(expansion, buf_str(&marked.value), marked.value.len, true);
            if (is_sound) /* or a refused key would leave nothing, and two of them the same */
                add_key(&keys, &result.key, marked.pos);
        }
    } while (more > 0);
    if (more < 0) {
        struct template_position position = position_of(&marked);

        expansion_fault(expansion, &position, "%s", err.message);
    }
    warn_of_duplicates(expansion, &keys);
}

void properties_expand(struct expansion *expansion)
{
    struct scan scan = {.expansion = expansion};

    while (expansion->pos < expansion->len) {
        struct line line = line_at(expansion->data, expansion->len, expansion->pos);

        expansion_copy_to(expansion, line.from);
        if (scan.part != START || !is_comment(expansion->data, &line))
            scan_line(&scan, &line);
        expansion_copy_to(expansion, line.next);
    }
    verify(expansion);
}
