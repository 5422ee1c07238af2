#include "confgen/xml_flat.h"

#include "confgen/utf8.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ATTRIBUTES 1000

/* One parse: what libxml2's handlers reach through the parser's _private. */
struct parse {
    const char *data;
    struct buf *flat; /* or NULL, as lines */
    struct buf *lines;
    bool in_text; /* the last piece is of XML_TEXT */
    struct xml_problem *problem;
};

static struct parse *parse_of(void *user)
{
    return ((xmlParserCtxtPtr)user)->_private;
}

/* ---- problems ---- */

/* Keep the first problem, which the later ones follow from. */
static void add_problem(struct xml_problem *problem, struct template_position position,
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
    struct xml_problem *problem = parse_of(user)->problem;

    if (problem->message[0] || error->level < XML_ERR_ERROR)
        return;
    problem->quotes = error->str1 != NULL;
    add_problem(problem,
                (struct template_position){.line = error->line > 0 ? (size_t)error->line : 1,
                                           .column = error->int2 > 0 ? (size_t)error->int2 : 1},
                error->message ? error->message : "malformed");
}

/* libxml2's generic error handler, which gets what breaks while bytes are decoded, and by default
 * prints it. */
static void print_nothing(void *user, const char *format, ...)
{
    (void)user, (void)format;
}

/* Called before the declarations in a DOCTYPE are read. */
static void refuse_doctype(void *user, const xmlChar *name, const xmlChar *external_id,
                           const xmlChar *system_id)
{
    struct template_position position = {0};
    const struct parse *parse = parse_of(user);
    long consumed = xmlByteConsumed(user); /* behind its name; -1 in some encodings */
    const char *end = parse->data + (consumed > 0 ? consumed : 0);
    const char *last = NULL, *next = parse->data;

    (void)name, (void)external_id, (void)system_id;
    while ((next = memmem(next, (size_t)(end - next), "<!DOCTYPE", 9)) != NULL)
        last = next++;
    template_locate(parse->data, last ? (size_t)(last - parse->data) : 0, &position);
    add_problem(parse_of(user)->problem, position, "a DOCTYPE is not accepted: remove it");
    xmlStopParser(user);
}

/* ---- flattening ---- */

static void put(void *user, enum xml_kind kind, const xmlChar *text, size_t len)
{
    struct parse *parse = parse_of(user);

    if (!parse->flat)
        return;
    if (kind != XML_TEXT || !parse->in_text)
        (void)buf_add_char(parse->flat, (char)kind);
    (void)buf_add(parse->flat, text, len);
    parse->in_text = kind == XML_TEXT;
}

static void put_attribute(void *user, const xmlChar *prefix, const xmlChar *name,
                          const xmlChar *value, size_t len)
{
    struct parse *parse = parse_of(user);

    put(user, XML_ATTRIBUTE, prefix, prefix ? (size_t)xmlStrlen(prefix) : 0);
    if (parse->flat && prefix && name)
        (void)buf_add_char(parse->flat, ':');
    if (parse->flat && name)
        (void)buf_add_str(parse->flat, (const char *)name);
    put(user, XML_VALUE, value, len);
}

/* libxml2 gives namespaces by two pointers each: prefix and URI; attributes by five: name, prefix,
 * URI, and where the value begins and ends. */
static void start_element(void *user, const xmlChar *name, const xmlChar *prefix,
                          const xmlChar *uri, int namespace_count, const xmlChar **namespaces,
                          int attribute_count, int default_count, const xmlChar **attributes)
{
    size_t line = (size_t)xmlSAX2GetLineNumber(user);

    (void)prefix, (void)uri, (void)default_count;
    if (parse_of(user)->lines)
        (void)buf_add(parse_of(user)->lines, &line, sizeof(line));
    put(user, XML_ELEMENT, name, (size_t)xmlStrlen(name));
    for (const xmlChar **n = namespaces; namespace_count > 0; n += 2, namespace_count--)
        put_attribute(user, BAD_CAST "xmlns", n[0], n[1], (size_t)xmlStrlen(n[1]));
    for (const xmlChar **a = attributes; attribute_count > 0; a += 5, attribute_count--)
        put_attribute(user, a[1], a[0], a[3], (size_t)(a[4] - a[3]));
}

static void end_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)name, (void)prefix, (void)uri;
    put(user, XML_END, NULL, 0);
}

static void add_text(void *user, const xmlChar *text, int len)
{
    put(user, XML_TEXT, text, (size_t)len);
}

/* ---- parsing ---- */

static bool is_xml_char(int32_t code)
{
    return code >= ' ' ? code != 0xFFFE && code != 0xFFFF
                       : code == '\t' || code == '\n' || code == '\r';
}

size_t xml_span(const char *data, size_t len)
{
    const char *p = data, *end = data + len, *stop = p;

    while (p < end) {
        unsigned char byte = (unsigned char)*p;

        if (byte >= ' ' && byte < 0x80) /* what most of it is, quickly */
            p++;
        else if (!is_xml_char(utf8_next(&p, end)))
            break;
        stop = p;
    }
    return (size_t)(stop - data);
}

static const char *encoding_of(xmlParserCtxtPtr context)
{
    const xmlChar *encoding = context->encoding;

    if (!encoding && context->input)
        encoding = context->input->encoding;
    return (const char *)encoding;
}

static void run_parser(xmlParserCtxtPtr context, const char *data, size_t len)
{
    struct xml_problem *problem = parse_of(context)->problem;

    *context->sax = (xmlSAXHandler){
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = start_element,
        .endElementNs = end_element,
        .characters = add_text, /* CDATA as well, as there is no handler for it */
        .internalSubset = refuse_doctype,
        .serror = (xmlStructuredErrorFunc)keep_error,
    };
    /* No tree comes of it. Without NOENT an attribute's &amp; would stay a reference. */
    (void)xmlCtxtReadMemory(context, data, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOENT);
    if (!context->wellFormed)
        add_problem(problem, template_top, "not well-formed XML");
    else if (encoding_of(context) && strcasecmp(encoding_of(context), "UTF-8") != 0)
        add_problem(problem, template_top, "the encoding has to be UTF-8");
    else if (context->version && !xmlStrEqual(context->version, BAD_CAST "1.0"))
        add_problem(problem, template_top, "the XML version has to be 1.0");
}

/* Where an element gets its attribute number MAX_ATTRIBUTES + 1; len if none does. libxml2 would
 * compare each with each other one, for minutes. */
static size_t find_flood(const char *data, size_t len)
{
    size_t attributes = 0;
    bool in_tag = false;
    char quote = '\0';

    for (size_t i = 0; i < len; i++) {
        char c = data[i];

        if (quote) {
            quote = c == quote ? '\0' : quote;
        } else if (c == '<' || c == '>') {
            in_tag = c == '<' && i + 1 < len && !strchr("!?", data[i + 1]);
            attributes = 0;
        } else if (in_tag && (c == '"' || c == '\'')) {
            quote = c;
            if (++attributes > MAX_ATTRIBUTES)
                return i;
        }
    }
    return len;
}

/* What libxml2 is not asked about. */
static bool refuse_bytes(const char *data, size_t len, struct xml_problem *problem)
{
    struct template_position position = {0};
    size_t bad = xml_span(data, len), flood = find_flood(data, len);

    if (bad == len && flood == len)
        return false;
    template_locate(data, bad < len ? bad : flood, &position);
    add_problem(problem, position,
                bad < len ? "XML cannot hold this byte: a control character, or not UTF-8"
                          : "more than 1000 attributes in one element");
    return true;
}

int xml_flatten(const char *data, size_t len, struct buf *ret_flat, struct buf *ret_lines,
                struct xml_problem *ret_problem)
{
    struct parse parse = {
        .data = data, .flat = ret_flat, .lines = ret_lines, .problem = ret_problem};
    xmlParserCtxtPtr context;

    *ret_problem = (struct xml_problem){0};
    if (refuse_bytes(data, len, ret_problem))
        return -1;
    xmlSetGenericErrorFunc(NULL, print_nothing);
    context = xmlNewParserCtxt();
    if (context) {
        context->_private = &parse;
        run_parser(context, data, len);
        xmlFreeParserCtxt(context);
    }
    if (!context || (ret_flat && buf_failed(ret_flat)) || (ret_lines && buf_failed(ret_lines)))
        add_problem(ret_problem, template_top, "out of memory");
    return ret_problem->message[0] ? -1 : 0;
}

bool xml_next_piece(const struct buf *flat, size_t *pos, struct xml_piece *ret)
{
    static const char kinds[] = {XML_ELEMENT, XML_ATTRIBUTE, XML_VALUE, XML_TEXT, XML_END, '\0'};
    const char *p = buf_str(flat) + *pos;

    if (*pos == flat->len)
        return false;
    *ret = (struct xml_piece){(enum xml_kind)p[0], p + 1, strcspn(p + 1, kinds)};
    *pos += 1 + ret->len;
    return true;
}
