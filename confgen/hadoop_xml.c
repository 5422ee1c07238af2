#include "confgen/hadoop_xml.h"

#include "confgen/xml_flat.h"

#include <stdbool.h>
#include <string.h>

/* ---- escaping ---- */

static bool escape(struct buf *out, const char *value, size_t len, bool in_attribute)
{
    static const char bytes[] = "&<>\r\"'\t\n"; /* the first four in text as well */
    static const char *const references[] = {"&amp;",  "&lt;",  "&gt;", "&#13;",
                                             "&quot;", "&#39;", "&#9;", "&#10;"};

    if (xml_span(value, len) < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *byte = memchr(bytes, value[i], in_attribute ? 8 : 4);

        if (byte)
            (void)buf_add_str(out, references[byte - bytes]);
        else
            (void)buf_add_char(out, value[i]);
    }
    return true;
}

static bool escape_attribute(struct buf *out, const char *value, size_t len)
{
    return escape(out, value, len, true);
}

/* A "]" at the end could meet the template's "]>" or ">", and "]]>" must not stand in text. */
static bool escape_text(struct buf *out, const char *value, size_t len)
{
    bool bracket = value[len - 1] == ']';

    if (!escape(out, value, len - bracket, false))
        return false;
    if (bracket)
        (void)buf_add_str(out, "&#93;");
    return true;
}

/* The section is closed and opened again inside of each "]]>", wherever its bytes come from, and
 * around a CR, which a parser would turn into LF. */
static bool escape_cdata(struct buf *out, const char *value, size_t len)
{
    if (xml_span(value, len) < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '\r') {
            (void)buf_add_str(out, "]]>&#13;<![CDATA[");
            continue;
        }
        if (value[i] == '>' && out->len >= 2 && memcmp(out->data + out->len - 2, "]]", 2) == 0)
            (void)buf_add_str(out, "]]><![CDATA[");
        (void)buf_add_char(out, value[i]);
    }
    if (value[len - 1] == ']')
        (void)buf_add_str(out, "]]><![CDATA[");
    return true;
}

const struct expansion_place hadoop_xml_text = {"XML text", escape_text};
const struct expansion_place hadoop_xml_attribute = {"an XML attribute", escape_attribute};
static const struct expansion_place cdata_place = {"CDATA", escape_cdata};

/* ---- expanding ---- */

/* Where a pass over a well-formed template stands. */
struct scan {
    struct expansion *expansion;
    size_t depth;              /* open elements */
    size_t open[3];            /* where the names of the outermost ones begin */
    size_t keep_from, keep_to; /* text outside is blank and dropped */
};

enum markup { TEXT, CDATA, START_TAG, END_TAG, OTHER /* comment, processing instruction */ };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether word stands at that offset of the template. */
static bool at(const struct expansion *expansion, size_t pos, const char *word)
{
    size_t len = strlen(word);

    return expansion->len - pos >= len && memcmp(expansion->data + pos, word, len) == 0;
}

/* The offset behind the next word; the template's length if there is none. */
static size_t behind(const struct expansion *expansion, size_t from, const char *word)
{
    const char *found = memmem(expansion->data + from, expansion->len - from, word, strlen(word));

    return found ? (size_t)(found - expansion->data) + strlen(word) : expansion->len;
}

/* What begins at that offset; it ends at *ret_end, a start tag before its name. */
static enum markup markup_at(const struct expansion *expansion, size_t pos, size_t *ret_end)
{
    static const struct {
        enum markup kind;
        const char *opens, *closes;
    } table[] = {
        {OTHER, "<!--", "-->"}, {CDATA, "<![CDATA[", "]]>"}, {OTHER, "<?", "?>"},
        {END_TAG, "</", ">"},   {START_TAG, "<", ""},
    };
    const char *angle;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && at(expansion, pos, "<"); i++) {
        if (at(expansion, pos, table[i].opens)) {
            *ret_end = behind(expansion, pos + strlen(table[i].opens), table[i].closes);
            return table[i].kind;
        }
    }
    angle = memchr(expansion->data + pos, '<', expansion->len - pos);
    *ret_end = angle ? (size_t)(angle - expansion->data) : expansion->len;
    return TEXT;
}

static void keep_all(struct scan *scan)
{
    scan->keep_from = 0;
    scan->keep_to = scan->expansion->len;
}

/* Keep what of an element's content, which begins here, is neither blank text around it nor a
 * comment; all if it is blank, or holds an element, which is nothing that Hadoop reads. */
static void find_content(struct scan *scan)
{
    const struct expansion *expansion = scan->expansion;
    size_t first = expansion->len, last = 0, end;

    for (size_t p = expansion->pos; p < expansion->len; p = end) {
        enum markup kind = markup_at(expansion, p, &end);
        size_t from = p, to = end;

        if (kind == START_TAG)
            return;
        if (kind == END_TAG)
            break;
        while (from < to && is_blank(expansion->data[from]))
            from++;
        while (from < to && is_blank(expansion->data[to - 1]))
            to--;
        if (kind == OTHER || from == to)
            continue;
        first = from < first ? from : first;
        last = to;
    }
    if (first < last) {
        scan->keep_from = first;
        scan->keep_to = last;
    }
}

static void scan_text(struct scan *scan, size_t end)
{
    struct expansion *expansion = scan->expansion;

    if (expansion->pos < scan->keep_from)
        expansion->pos = scan->keep_from < end ? scan->keep_from : end;
    expansion_put_to(expansion, end < scan->keep_to ? end : scan->keep_to, &hadoop_xml_text);
    expansion->pos = end;
}

/* Whether the open element of that depth has that name. */
static bool is_open(const struct scan *scan, size_t depth, const char *name)
{
    size_t pos = scan->open[depth];

    return at(scan->expansion, pos, name) &&
           strchr(" \t\r\n/>", scan->expansion->data[pos + strlen(name)]);
}

/* Whether a property's name or value is the innermost open element. */
static bool in_setting(const struct scan *scan)
{
    return scan->depth == 3 && is_open(scan, 0, "configuration") && is_open(scan, 1, "property") &&
           (is_open(scan, 2, "name") || is_open(scan, 2, "value"));
}

static void enter_element(struct scan *scan, size_t name)
{
    if (scan->depth < 3)
        scan->open[scan->depth] = name;
    scan->depth++;
    if (in_setting(scan)) {
        find_content(scan);
        expansion_begin_name(scan->expansion);
    }
}

static void leave_element(struct scan *scan)
{
    if (in_setting(scan)) {
        if (is_open(scan, 2, "name"))
            expansion_end_name(scan->expansion);
        keep_all(scan);
    }
    scan->depth--;
}

/* Expand a start tag, whose name begins at that offset, and its attributes. */
static void scan_start_tag(struct scan *scan, size_t name)
{
    struct expansion *expansion = scan->expansion;
    char quote[2] = "";
    size_t p = name;

    while (p < expansion->len && (quote[0] = expansion->data[p++]) != '>') {
        if (quote[0] != '"' && quote[0] != '\'')
            continue;
        expansion_copy_to(expansion, p);
        p = behind(expansion, p, quote);
        expansion_put_to(expansion, p - 1, &hadoop_xml_attribute);
    }
    expansion_copy_to(expansion, p);
    if (expansion->data[p - 2] != '/')
        enter_element(scan, name);
}

static void scan_document(struct scan *scan)
{
    struct expansion *expansion = scan->expansion;
    size_t end;

    while (expansion->pos < expansion->len) {
        switch (markup_at(expansion, expansion->pos, &end)) {
        case TEXT:
            scan_text(scan, end);
            break;
        case CDATA:
            expansion_copy_to(expansion, expansion->pos + strlen("<![CDATA["));
            expansion_put_to(expansion, end - strlen("]]>"), &cdata_place);
            expansion_copy_to(expansion, end);
            break;
        case START_TAG:
            scan_start_tag(scan, end);
            break;
        case END_TAG:
            leave_element(scan);
            expansion_copy_to(expansion, end);
            break;
        case OTHER:
            expansion_copy_to(expansion, end);
            break;
        }
    }
}

/* ---- verifying ---- */

/* Judge what the marked text came to: each attribute's value, and the text of each setting as a
 * whole, since Hadoop reads a <value> across comments and unknown elements in it. */
static void judge(struct expansion *expansion, const struct buf *flat)
{
    BUF_AUTO text = BUF_INIT(flat->len);
    struct xml_piece piece;
    size_t pos = 0, depth = 0;

    while (xml_next_piece(flat, &pos, &piece)) {
        depth += piece.kind == XML_ELEMENT;
        if ((piece.kind == XML_ELEMENT || piece.kind == XML_END) && depth <= 3) {
            expansion_judge(expansion, buf_str(&text), text.len, false);
            buf_clear(&text);
        }
        depth -= piece.kind == XML_END;
        if (piece.kind == XML_VALUE)
            expansion_judge(expansion, piece.text, piece.len, false);
        else if (piece.kind == XML_TEXT)
            (void)buf_add(&text, piece.text, piece.len);
    }
}

static void verify(struct expansion *expansion)
{
    BUF_AUTO marked = BUF_INIT(expansion->marked.len);
    BUF_AUTO result = BUF_INIT(expansion->result.len);
    bool is_sound = expansion_is_sound(expansion);
    struct xml_problem problem;

    if (xml_flatten(buf_str(&expansion->marked), expansion->marked.len, &marked, NULL, &problem) <
        0) {
        expansion_fault(expansion, &problem.position, "once expanded: %s", problem.message);
        return;
    }
    judge(expansion, &marked);
    if (!is_sound)
        return;
    /* From here on libxml2's words may hold values. */
    if (xml_flatten(buf_str(&expansion->result), expansion->result.len, &result, NULL, &problem) <
            0 ||
        !expansion_equal(expansion, buf_str(&marked), marked.len, buf_str(&result), result.len))
        expansion_fault(expansion, &template_top,
                        "the result does not read back as the template with its values");
}

/* libxml2 rejected the template; say what it cannot know. */
static void template_fault(struct expansion *expansion, const struct xml_problem *problem)
{
    const char *hint = "";
    size_t p = 0;

    for (size_t line = 1; line < problem->position.line; line++)
        p = behind(expansion, p, "\n");
    p += problem->position.column - 1;
    if (p < expansion->len && at(expansion, p, "${"))
        hint = " (a placeholder can stand in text and in attribute values only)";
    expansion_fault(expansion, &problem->position, "%s%s", problem->message, hint);
}

void hadoop_xml_expand(struct expansion *expansion)
{
    struct scan scan = {.expansion = expansion};
    struct xml_problem problem;

    if (xml_flatten(expansion->data, expansion->len, NULL, NULL, &problem) < 0) {
        template_fault(expansion, &problem);
        return;
    }
    keep_all(&scan);
    scan_document(&scan);
    verify(expansion);
}

/* ---- reading ---- */

/* Cut off what String.trim() does. */
static char *trim(char *text)
{
    size_t len;

    while (*text && (unsigned char)*text <= ' ')
        text++;
    for (len = strlen(text); len && (unsigned char)text[len - 1] <= ' '; len--)
        text[len - 1] = '\0';
    return text;
}

/* Where a pass over a finished file stands. */
struct reading {
    size_t depth;
    struct buf name, value; /* of the property */
    struct buf text;        /* of the element in it */
    struct buf *target;     /* the name or value that the element or attribute gives; or NULL */
    bool in_property;
    const size_t *lines; /* of each element */
    size_t elements;     /* so far */
    struct pair pair;    /* line: of the property's name */
};

static bool is(const struct xml_piece *piece, const char *word)
{
    return piece->len == strlen(word) && memcmp(piece->text, word, piece->len) == 0;
}

static struct buf *target_of(struct reading *reading, const struct xml_piece *piece)
{
    if (!reading->in_property)
        return NULL;
    return is(piece, "name") ? &reading->name : is(piece, "value") ? &reading->value : NULL;
}

/* An empty text leaves what the attribute or an element before it said. */
static void take(struct buf *target, const char *text, size_t len)
{
    if (!target || len == 0)
        return;
    buf_clear(target);
    (void)buf_add(target, text, len);
}

static void begin_element(struct reading *reading, const struct xml_piece *piece)
{
    size_t line = reading->lines[reading->elements++];

    reading->depth++;
    if (reading->depth == 2) {
        reading->pair.number = reading->elements;
        reading->pair.line = line;
        reading->in_property = is(piece, "property");
        buf_clear(&reading->name);
        buf_clear(&reading->value);
    } else if (reading->depth == 3) {
        reading->target = target_of(reading, piece);
        if (reading->target == &reading->name)
            reading->pair.line = line;
        buf_clear(&reading->text);
    }
}

static int end_element(struct reading *reading, pairs_fn fn, void *context)
{
    size_t depth = reading->depth--;

    if (depth == 3)
        take(reading->target, buf_str(&reading->text), reading->text.len);
    if (depth != 2 || reading->name.len == 0 || reading->value.len == 0)
        return 0;
    reading->pair.key = trim(reading->name.data);
    reading->pair.value = buf_str(&reading->value);
    reading->pair.value_len = reading->value.len;
    return fn(context, &reading->pair);
}

static int read_flat(const struct buf *flat, struct reading *reading, pairs_fn fn, void *context)
{
    struct xml_piece piece;
    size_t pos = 0;
    int result = 0;

    while (result == 0 && xml_next_piece(flat, &pos, &piece)) {
        switch (piece.kind) {
        case XML_ELEMENT:
            begin_element(reading, &piece);
            break;
        case XML_ATTRIBUTE:
            if (reading->depth == 2)
                reading->target = target_of(reading, &piece);
            break;
        case XML_VALUE:
            if (reading->depth == 2)
                take(reading->target, piece.text, piece.len);
            break;
        case XML_TEXT:
            if (reading->depth >= 3)
                (void)buf_add(&reading->text, piece.text, piece.len);
            break;
        case XML_END:
            result = end_element(reading, fn, context);
            break;
        }
    }
    return result;
}

int hadoop_xml_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err)
{
    BUF_AUTO flat = BUF_INIT(len), lines = BUF_INIT(len * sizeof(size_t));
    struct reading reading = {.name = BUF_INIT(len), .value = BUF_INIT(len), .text = BUF_INIT(len)};
    struct xml_problem problem;
    struct xml_piece root;
    size_t pos = 0;
    int result;

    if (xml_flatten(data, len, &flat, &lines, &problem) < 0)
        return err_set(err, EXIT_DATA, "line %zu, column %zu: %s", problem.position.line,
                       problem.position.column,
                       problem.quotes ? "not well-formed XML" : problem.message);
    if (!xml_next_piece(&flat, &pos, &root) || !is(&root, "configuration"))
        return err_set(err, EXIT_DATA, "the root element is not <configuration>");
    reading.lines = (const size_t *)(const void *)lines.data;
    result = read_flat(&flat, &reading, fn, context);
    buf_free(&reading.name);
    buf_free(&reading.value);
    buf_free(&reading.text);
    return result;
}
