#include "confgen/hadoop_xml.h"

#include "confgen/utf8.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- parsing ---- */

/* Why a document was refused. */
struct problem {
    struct template_position position;
    bool quotes; /* the message holds text of the document */
    char message[256];
};

static void free_document(xmlDocPtr *doc)
{
    xmlFreeDoc(*doc);
    *doc = NULL;
}
#define DOCUMENT_AUTO __attribute__((cleanup(free_document))) xmlDocPtr

static void free_string(xmlChar **string)
{
    if (*string)
        xmlFree(*string);
}
#define XML_STRING_AUTO __attribute__((cleanup(free_string))) xmlChar *

/* Keep the first problem, which the later ones follow from. */
static void add_problem(struct problem *problem, struct template_position position,
                        const char *message)
{
    if (problem->message[0])
        return;
    problem->position = position;
    (void)snprintf(problem->message, sizeof(problem->message), "%s", message);
    problem->message[strcspn(problem->message, "\n")] = '\0';
}

/* libxml2's structured error handler. */
static void keep_error(void *user, const xmlError *error)
{
    struct problem *problem = ((xmlParserCtxtPtr)user)->_private;

    if (problem->message[0] || error->level < XML_ERR_ERROR)
        return;
    problem->quotes = error->str1 != NULL;
    add_problem(problem,
                (struct template_position){.line = error->line > 0 ? (size_t)error->line : 1,
                                           .column = error->int2 > 0 ? (size_t)error->int2 : 1},
                error->message ? error->message : "malformed");
}

/* Called before the declarations in a DOCTYPE are read. */
static void refuse_doctype(void *user, const xmlChar *name, const xmlChar *external_id,
                           const xmlChar *system_id)
{
    xmlParserCtxtPtr context = user;

    (void)name, (void)external_id, (void)system_id;
    add_problem(context->_private,
                (struct template_position){.line = (size_t)context->input->line, .column = 1},
                "a DOCTYPE is not accepted: remove it");
    xmlStopParser(context);
}

static bool is_xml_char(int32_t code)
{
    return code >= ' ' ? code != 0xFFFE && code != 0xFFFF
                       : code == '\t' || code == '\n' || code == '\r';
}

/* How many of the bytes XML can hold, from the first one on. */
static size_t xml_span(const char *data, size_t len)
{
    const char *p = data, *end = data + len, *stop = p;

    while (p < end && is_xml_char(utf8_next(&p, end)))
        stop = p;
    return (size_t)(stop - data);
}

/* Parse a document; CDATA becomes text. NULL with *problem. */
static xmlDocPtr parse(const char *data, size_t len, struct problem *problem)
{
    static const int options =
        XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
    size_t span = xml_span(data, len);
    xmlParserCtxtPtr context;
    xmlDocPtr doc = NULL;

    *problem = (struct problem){0};
    if (span < len) {
        struct template_position position = {0};

        template_locate(data, span, &position);
        add_problem(problem, position,
                    "XML cannot hold this byte: a control character, or not UTF-8");
        return NULL;
    }
    context = xmlNewParserCtxt();
    if (context) {
        context->_private = problem;
        context->sax->serror = (xmlStructuredErrorFunc)keep_error;
        context->sax->internalSubset = refuse_doctype;
        doc = xmlCtxtReadMemory(context, data, (int)len, NULL, NULL, options);
        xmlFreeParserCtxt(context);
    }
    if (!doc)
        add_problem(problem, expansion_top, "not well-formed XML");
    else if (doc->encoding && strcasecmp((const char *)doc->encoding, "UTF-8") != 0)
        add_problem(problem, expansion_top, "the encoding has to be UTF-8");
    else if (doc->version && !xmlStrEqual(doc->version, BAD_CAST "1.0"))
        add_problem(problem, expansion_top, "the XML version has to be 1.0");
    if (problem->message[0])
        free_document(&doc);
    return doc;
}

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

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
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
    expansion_put_to(expansion, end < scan->keep_to ? end : scan->keep_to, escape_text);
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
        expansion_put_to(expansion, p - 1, escape_attribute);
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
            expansion_put_to(expansion, end - strlen("]]>"), escape_cdata);
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

/* ---- comparing ---- */

static size_t text_len(const xmlChar *text)
{
    return text ? strlen((const char *)text) : 0;
}

/* Judge the own text of an element or attribute as a whole, comments in it notwithstanding. */
static void judge_text(struct expansion *expansion, const xmlNode *node)
{
    BUF_AUTO text = BUF_INIT(expansion->marked.max);

    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_TEXT_NODE)
            (void)buf_add(&text, child->content, text_len(child->content));
    expansion_judge(expansion, buf_str(&text), text.len, false);
}

/* Compare the siblings from these two on, with all that is in them. To libxml2 an attribute is a
 * node as well, and its text a child. */
static bool same_nodes(struct expansion *expansion, const xmlNode *marked, const xmlNode *actual)
{
    for (; marked && actual; marked = marked->next, actual = actual->next) {
        bool same = marked->type == actual->type && xmlStrEqual(marked->name, actual->name);

        judge_text(expansion, marked);
        if (same && marked->type == XML_ELEMENT_NODE)
            same = same_nodes(expansion, (const xmlNode *)marked->properties,
                              (const xmlNode *)actual->properties);
        else if (same && marked->type != XML_ATTRIBUTE_NODE)
            same =
                expansion_equal(expansion, (const char *)marked->content, text_len(marked->content),
                                (const char *)actual->content, text_len(actual->content));
        if (!same || !same_nodes(expansion, marked->children, actual->children))
            return false;
    }
    return !marked && !actual;
}

static void verify(struct expansion *expansion)
{
    struct problem problem;
    DOCUMENT_AUTO marked = NULL;
    DOCUMENT_AUTO result = NULL;

    marked = parse(buf_str(&expansion->marked), expansion->marked.len, &problem);
    if (!marked) {
        expansion_fault(expansion, &problem.position, "once expanded: %s", problem.message);
        return;
    }
    /* From here on libxml2's words may hold values. */
    result = parse(buf_str(&expansion->result), expansion->result.len, &problem);
    if (!result || !same_nodes(expansion, marked->children, result->children))
        expansion_fault(expansion, &expansion_top,
                        "the result does not read back as the template with its values");
}

/* libxml2 rejected the template; say what it cannot know. */
static void template_fault(struct expansion *expansion, const struct problem *problem)
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
    struct problem problem;
    DOCUMENT_AUTO document = parse(expansion->data, expansion->len, &problem);

    if (!document) {
        template_fault(expansion, &problem);
        return;
    }
    keep_all(&scan);
    scan_document(&scan);
    if (expansion->fault_count == 0)
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

static bool is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, BAD_CAST name);
}

/* Put the element's text in the place of *text unless it is empty. */
static void take_text(const xmlNode *element, xmlChar **text)
{
    XML_STRING_AUTO content = xmlNodeGetContent(element);

    if (text_len(content)) {
        xmlFree(*text);
        *text = content;
        content = NULL;
    }
}

static int read_property(xmlNodePtr property, pairs_fn fn, void *context)
{
    XML_STRING_AUTO name = xmlGetNoNsProp(property, BAD_CAST "name");
    XML_STRING_AUTO value = xmlGetNoNsProp(property, BAD_CAST "value");

    for (xmlNodePtr child = property->children; child; child = child->next) {
        if (is_element(child, "name"))
            take_text(child, &name);
        else if (is_element(child, "value"))
            take_text(child, &value);
    }
    if (!name || text_len(value) == 0)
        return 0;
    return fn(context, trim((char *)name), (const char *)value, text_len(value));
}

int hadoop_xml_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err)
{
    struct problem problem;
    DOCUMENT_AUTO document = parse(data, len, &problem);
    const xmlNode *root;

    if (!document)
        return err_set(err, EXIT_DATA, "line %zu, column %zu: %s", problem.position.line,
                       problem.position.column,
                       problem.quotes ? "not well-formed XML" : problem.message);
    root = xmlDocGetRootElement(document);
    if (!is_element(root, "configuration"))
        return err_set(err, EXIT_DATA, "the root element is not <configuration>");
    for (xmlNodePtr child = root->children; child; child = child->next)
        if (is_element(child, "property") && read_property(child, fn, context) < 0)
            return -1;
    return 0;
}
