#include "confgen/hadoop_xml.h"

#include "confgen/utf8.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- parsing ---- */

/* Why a document was refused. */
struct problem {
    size_t line, column;
    bool quotes; /* the message holds text of the document */
    char message[256];
};

static void free_document(xmlDocPtr *doc)
{
    if (*doc)
        xmlFreeDoc(*doc);
}
#define DOCUMENT_AUTO __attribute__((cleanup(free_document))) xmlDocPtr

static void free_string(xmlChar **string)
{
    if (*string)
        xmlFree(*string);
}
#define XML_STRING_AUTO __attribute__((cleanup(free_string))) xmlChar *

static void free_context(xmlParserCtxtPtr *context)
{
    if (*context)
        xmlFreeParserCtxt(*context);
}
#define CONTEXT_AUTO __attribute__((cleanup(free_context))) xmlParserCtxtPtr

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool has(const char *data, size_t len, size_t at, const char *word)
{
    size_t word_len = strlen(word);

    return len - at >= word_len && memcmp(data + at, word, word_len) == 0;
}

/* The offset behind the next word after from; len if there is none. */
static size_t behind(const char *data, size_t len, size_t from, const char *word)
{
    const char *found = memmem(data + from, len - from, word, strlen(word));

    return found ? (size_t)(found - data) + strlen(word) : len;
}

static bool is_xml_char(int32_t code)
{
    return code >= ' ' ? code != 0xFFFE && code != 0xFFFF
                       : code == '\t' || code == '\n' || code == '\r';
}

static bool is_xml_text(const char *data, size_t len, const char **ret_stop)
{
    const char *p = data, *end = data + len;

    for (*ret_stop = data; p < end; *ret_stop = p)
        if (!is_xml_char(utf8_next(&p, end)))
            return false;
    return true;
}

/* The offset of a DOCTYPE in the prolog; len if there is none. A BOM counts as blank. */
static size_t find_doctype(const char *data, size_t len)
{
    size_t p = has(data, len, 0, "\xEF\xBB\xBF") ? 3 : 0;

    while (p < len) {
        if (is_blank(data[p]))
            p++;
        else if (has(data, len, p, "<!--"))
            p = behind(data, len, p + 4, "-->");
        else if (has(data, len, p, "<?"))
            p = behind(data, len, p + 2, "?>");
        else
            return has(data, len, p, "<!") ? p : len;
    }
    return len;
}

static int problem_at(struct problem *problem, const char *data, size_t offset, const char *message)
{
    struct template_position position = {0};

    template_locate(data, offset, &position);
    *problem = (struct problem){.line = position.line, .column = position.column};
    (void)snprintf(problem->message, sizeof(problem->message), "%s", message);
    return -1;
}

/* libxml2's structured error handler: keep the first error, which the later ones follow from. */
static void keep_error(void *user, const xmlError *error)
{
    struct problem *problem = ((xmlParserCtxtPtr)user)->_private;

    if (problem->message[0] || error->level < XML_ERR_ERROR)
        return;
    problem->line = error->line > 0 ? (size_t)error->line : 1;
    problem->column = error->int2 > 0 ? (size_t)error->int2 : 1;
    problem->quotes = error->str1 != NULL;
    (void)snprintf(problem->message, sizeof(problem->message), "%s",
                   error->message ? error->message : "malformed");
    problem->message[strcspn(problem->message, "\n")] = '\0';
}

/* What can be judged before libxml2 sees a byte. */
static int check_bytes(const char *data, size_t len, struct problem *problem)
{
    const char *stop;
    size_t doctype;

    if (len > INT_MAX)
        return problem_at(problem, "", 0, "the document is too large");
    if (!is_xml_text(data, len, &stop))
        return problem_at(problem, data, (size_t)(stop - data),
                          "XML cannot hold this byte: a control character, or not UTF-8");
    doctype = find_doctype(data, len);
    if (doctype < len)
        return problem_at(problem, data, doctype, "a DOCTYPE is not accepted: remove it");
    return 0;
}

static int check_document(const xmlDoc *doc, struct problem *problem)
{
    if (doc->intSubset || doc->extSubset)
        return problem_at(problem, "", 0, "a DOCTYPE is not accepted: remove it");
    if (doc->encoding && strcasecmp((const char *)doc->encoding, "UTF-8") != 0)
        return problem_at(problem, "", 0, "the encoding has to be UTF-8");
    if (doc->version && !xmlStrEqual(doc->version, BAD_CAST "1.0"))
        return problem_at(problem, "", 0, "the XML version has to be 1.0");
    return 0;
}

/* Parse a document; CDATA becomes text. NULL with *problem. */
static xmlDocPtr parse(const char *data, size_t len, struct problem *problem)
{
    static const int options =
        XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
    CONTEXT_AUTO context = NULL;
    xmlDocPtr doc;

    *problem = (struct problem){.line = 1, .column = 1};
    if (check_bytes(data, len, problem) < 0)
        return NULL;
    context = xmlNewParserCtxt();
    if (!context) {
        (void)problem_at(problem, "", 0, "out of memory");
        return NULL;
    }
    context->_private = problem;
    context->sax->serror = (xmlStructuredErrorFunc)keep_error;
    doc = xmlCtxtReadMemory(context, data, (int)len, NULL, NULL, options);
    if (!doc || problem->message[0] || check_document(doc, problem) < 0) {
        if (!problem->message[0])
            (void)problem_at(problem, "", 0, "not well-formed XML");
        free_document(&doc);
        return NULL;
    }
    return doc;
}

/* ---- escaping ---- */

/* Append value with the references that the table names for its bytes. */
static bool escape(struct buf *out, const char *value, size_t len, bool in_attribute)
{
    static const struct {
        char byte;
        bool in_text;
        const char *reference;
    } table[] = {
        {'&', true, "&amp;"},  {'<', true, "&lt;"},    {'>', true, "&gt;"},
        {'\r', true, "&#13;"}, {'"', false, "&quot;"}, {'\'', false, "&#39;"},
        {'\t', false, "&#9;"}, {'\n', false, "&#10;"},
    };
    const char *stop;

    if (!is_xml_text(value, len, &stop))
        return false;
    for (size_t i = 0; i < len; i++) {
        size_t row = 0;

        while (row < sizeof(table) / sizeof(table[0]) &&
               (value[i] != table[row].byte || !(in_attribute || table[row].in_text)))
            row++;
        if (row < sizeof(table) / sizeof(table[0]))
            (void)buf_add_str(out, table[row].reference);
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

    if (!escape(out, value, bracket ? len - 1 : len, false))
        return false;
    if (bracket)
        (void)buf_add_str(out, "&#93;");
    return true;
}

/* The section is closed and opened again inside of each "]]>", wherever its bytes come from, and
 * around a CR, which a parser would turn into LF. */
static bool escape_cdata(struct buf *out, const char *value, size_t len)
{
    const char *stop;

    if (!is_xml_text(value, len, &stop))
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

/* Where a pass over an accepted template stands. */
struct scan {
    struct expansion *expansion;
    size_t pos;
    size_t depth;   /* open elements */
    size_t matched; /* how many of them, from the root, are configuration/property/(name|value) */
    size_t keep_from, keep_to; /* text outside is blank and dropped */
    bool in_name;
    size_t name_start;   /* in the result */
    size_t placeholders; /* before the name */
};

static bool at(const struct scan *scan, const char *word)
{
    return has(scan->expansion->data, scan->expansion->len, scan->pos, word);
}

static void copy_to(struct scan *scan, size_t end)
{
    expansion_copy(scan->expansion, scan->pos, end);
    scan->pos = end;
}

/* Copy up to and with the next word. */
static void copy_through(struct scan *scan, const char *word)
{
    copy_to(scan, behind(scan->expansion->data, scan->expansion->len, scan->pos, word));
}

/* A name begins; end_name() faults if a placeholder left it empty. */
static void begin_name(struct scan *scan)
{
    scan->name_start = scan->expansion->result.len;
    scan->placeholders = scan->expansion->placeholder_count;
}

static void end_name(struct scan *scan)
{
    expansion_check_name(scan->expansion, scan->placeholders,
                         scan->expansion->result.len - scan->name_start);
}

/* Drop no text. */
static void keep_all(struct scan *scan)
{
    scan->keep_from = 0;
    scan->keep_to = scan->expansion->len;
}

/* Find what of an element's content, which begins at pos, is neither blank text nor a comment. */
static void find_content(struct scan *scan)
{
    const char *data = scan->expansion->data;
    size_t p = scan->pos, len = scan->expansion->len, first = len, last = 0, next;

    for (; p < len && !has(data, len, p, "</"); p = next) {
        next = p + 1;
        if (has(data, len, p, "<!--")) {
            next = behind(data, len, p + 4, "-->");
            continue;
        }
        if (has(data, len, p, "<?")) {
            next = behind(data, len, p + 2, "?>");
            continue;
        }
        if (has(data, len, p, "<![CDATA["))
            next = behind(data, len, p, "]]>");
        else if (data[p] == '<')
            return; /* an element: nothing that Hadoop reads */
        else if (is_blank(data[p]))
            continue;
        first = p < first ? p : first;
        last = next;
    }
    if (first < len) {
        scan->keep_from = first;
        scan->keep_to = last;
    }
}

/* Text up to the next '<'. */
static void scan_text(struct scan *scan)
{
    struct expansion *expansion = scan->expansion;
    const char *angle = memchr(expansion->data + scan->pos, '<', expansion->len - scan->pos);
    size_t end = angle ? (size_t)(angle - expansion->data) : expansion->len;
    size_t from = scan->pos > scan->keep_from ? scan->pos : scan->keep_from;
    size_t to = end < scan->keep_to ? end : scan->keep_to;

    if (from < to)
        expansion_put_all(expansion, from, to, escape_text);
    scan->pos = end;
}

static void scan_cdata(struct scan *scan)
{
    struct expansion *expansion = scan->expansion;
    size_t end;

    copy_through(scan, "<![CDATA[");
    end = behind(expansion->data, expansion->len, scan->pos, "]]>") - strlen("]]>");
    expansion_put_all(expansion, scan->pos, end, escape_cdata);
    scan->pos = end;
    copy_through(scan, "]]>");
}

/* Whether the attribute whose value is opened by the quote is called "name". */
static bool is_name_attribute(const char *data, size_t quote)
{
    size_t p = quote;

    while (p > 0 && (is_blank(data[p - 1]) || data[p - 1] == '='))
        p--;
    return p >= 5 && is_blank(data[p - 5]) && memcmp(data + p - 4, "name", 4) == 0;
}

/* An attribute's value, opened by the quote at that offset. The offset of the closing quote. */
static size_t scan_attribute(struct scan *scan, size_t quote)
{
    struct expansion *expansion = scan->expansion;
    const char mark[] = {expansion->data[quote], '\0'};
    size_t end = behind(expansion->data, expansion->len, quote + 1, mark) - 1;

    copy_to(scan, quote + 1);
    begin_name(scan);
    expansion_put_all(expansion, scan->pos, end, escape_attribute);
    scan->pos = end;
    if (scan->depth == 1 && is_name_attribute(expansion->data, quote))
        end_name(scan);
    return end;
}

/* Whether an element of that name belongs at that depth of a path to a name or a value. */
static bool is_on_path(size_t depth, const char *name, size_t len)
{
    static const char *const path[][2] = {
        {"configuration", ""}, {"property", ""}, {"name", "value"}};

    for (size_t i = 0; depth < 3 && i < 2; i++)
        if (strlen(path[depth][i]) == len && memcmp(path[depth][i], name, len) == 0)
            return true;
    return false;
}

static bool in_name_or_value(const struct scan *scan)
{
    return scan->depth == 3 && scan->matched == 3;
}

/* Behind the start tag whose name is at that offset. */
static void enter_element(struct scan *scan, size_t name, size_t len)
{
    if (scan->matched == scan->depth && is_on_path(scan->depth, scan->expansion->data + name, len))
        scan->matched++;
    scan->depth++;
    if (!in_name_or_value(scan))
        return;
    find_content(scan);
    scan->in_name = scan->expansion->data[name] == 'n';
    begin_name(scan);
}

/* Before an end tag. */
static void leave_element(struct scan *scan)
{
    if (in_name_or_value(scan)) {
        if (scan->in_name)
            end_name(scan);
        keep_all(scan);
    }
    scan->depth--;
    if (scan->matched > scan->depth)
        scan->matched = scan->depth;
}

static void scan_start_tag(struct scan *scan)
{
    const char *data = scan->expansion->data;
    size_t name = scan->pos + 1, p = name, len = scan->expansion->len, name_end;

    while (p < len && !is_blank(data[p]) && data[p] != '/' && data[p] != '>')
        p++;
    name_end = p;
    for (; p < len && data[p] != '>'; p++)
        if (data[p] == '"' || data[p] == '\'')
            p = scan_attribute(scan, p);
    copy_to(scan, p + 1);
    if (data[p - 1] != '/')
        enter_element(scan, name, name_end - name);
}

static void scan_document(struct scan *scan)
{
    while (scan->pos < scan->expansion->len) {
        if (!at(scan, "<")) {
            scan_text(scan);
        } else if (at(scan, "<!--")) {
            copy_to(scan, scan->pos + 4);
            copy_through(scan, "-->");
        } else if (at(scan, "<![CDATA[")) {
            scan_cdata(scan);
        } else if (at(scan, "<?")) {
            copy_through(scan, "?>");
        } else if (at(scan, "</")) {
            leave_element(scan);
            copy_through(scan, ">");
        } else {
            scan_start_tag(scan);
        }
    }
}

/* ---- comparing ---- */

static size_t text_len(const xmlChar *text)
{
    return text ? strlen((const char *)text) : 0;
}

static bool same_text(const struct expansion *expansion, const xmlChar *marked,
                      const xmlChar *actual)
{
    return expansion_equal(expansion, (const char *)marked, text_len(marked), (const char *)actual,
                           text_len(actual));
}

static bool same_attributes(struct expansion *expansion, const xmlNode *marked,
                            const xmlNode *actual)
{
    xmlAttrPtr ours = marked->properties, theirs = actual->properties;

    for (; ours && theirs; ours = ours->next, theirs = theirs->next) {
        XML_STRING_AUTO text = xmlNodeGetContent((xmlNodePtr)ours);
        XML_STRING_AUTO actual_text = xmlNodeGetContent((xmlNodePtr)theirs);

        if (!xmlStrEqual(ours->name, theirs->name) || !same_text(expansion, text, actual_text))
            return false;
        expansion_judge(expansion, (const char *)text, text_len(text), false);
    }
    return !ours && !theirs;
}

/* Judge an element's own text as a whole, comments in it notwithstanding. */
static void judge_text(struct expansion *expansion, const xmlNode *element)
{
    BUF_AUTO text = BUF_INIT(expansion->marked.max);

    for (const xmlNode *child = element->children; child; child = child->next)
        if (child->type == XML_TEXT_NODE)
            (void)buf_add(&text, child->content, text_len(child->content));
    expansion_judge(expansion, buf_str(&text), text.len, false);
}

/* Compare the siblings from these two on, with all that is in them. */
static bool same_nodes(struct expansion *expansion, const xmlNode *marked, const xmlNode *actual)
{
    for (; marked && actual; marked = marked->next, actual = actual->next) {
        if (marked->type != actual->type || !xmlStrEqual(marked->name, actual->name))
            return false;
        if (marked->type != XML_ELEMENT_NODE) {
            if (!same_text(expansion, marked->content, actual->content))
                return false;
            continue;
        }
        judge_text(expansion, marked);
        if (!same_attributes(expansion, marked, actual) ||
            !same_nodes(expansion, marked->children, actual->children))
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
        expansion_fault_at(expansion, problem.line, problem.column, "once expanded: %s",
                           problem.message);
        return;
    }
    /* From here on libxml2's words may hold values. */
    result = parse(buf_str(&expansion->result), expansion->result.len, &problem);
    if (!result || !same_nodes(expansion, marked->children, result->children))
        expansion_fault_at(expansion, 1, 1,
                           "the result does not read back as the template with its values");
}

/* libxml2 rejected the template; say what it cannot know. */
static void template_fault(struct expansion *expansion, const struct problem *problem)
{
    const char *data = expansion->data, *hint = "";
    size_t p = 0;

    for (size_t line = 1; line < problem->line && p < expansion->len; line++)
        p = behind(data, expansion->len, p, "\n");
    p += problem->column - 1;
    if (p < expansion->len && has(data, expansion->len, p, "${"))
        hint = " (a placeholder can stand in text and in attribute values only)";
    expansion_fault_at(expansion, problem->line, problem->column, "%s%s", problem->message, hint);
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

/* Put the element's text in the place of *text unless it is empty. */
static void take_text(xmlNodePtr element, xmlChar **text)
{
    xmlChar *content = xmlNodeGetContent(element);

    if (text_len(content)) {
        xmlFree(*text);
        *text = content;
    } else {
        xmlFree(content);
    }
}

static bool is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, BAD_CAST name);
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
        return err_set(err, EXIT_DATA, "line %zu, column %zu: %s", problem.line, problem.column,
                       problem.quotes ? "not well-formed XML" : problem.message);
    root = xmlDocGetRootElement(document);
    if (!is_element(root, "configuration"))
        return err_set(err, EXIT_DATA, "the root element is not <configuration>");
    for (xmlNodePtr child = root->children; child; child = child->next)
        if (is_element(child, "property") && read_property(child, fn, context) < 0)
            return -1;
    return 0;
}
