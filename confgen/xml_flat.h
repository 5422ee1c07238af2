/* An XML document as one run of bytes: the elements, attributes and text that its reader sees, and
 * nothing of how they are written (quoting, entities, CDATA, comments, processing instructions).
 * libxml2 parses, no tree is built, and two documents mean the same when their bytes are equal.
 *
 * Accepted is what Hadoop's own parser takes without surprises: UTF-8, XML 1.0, no DOCTYPE, no
 * entities but the five of XML and numeric ones, nothing nested deeper than 256. */
#ifndef SPARKPOD_CONFGEN_XML_FLAT_H
#define SPARKPOD_CONFGEN_XML_FLAT_H

#include "common/buf.h"
#include "confgen/template.h"

#include <stdbool.h>
#include <stddef.h>

/* The bytes that open a piece: characters that XML cannot hold. */
enum xml_kind {
    XML_ELEMENT = 1, /* an element begins: its name without a prefix */
    XML_ATTRIBUTE,   /* its name, with the prefix */
    XML_VALUE,       /* of that attribute */
    XML_TEXT,        /* all characters up to the next element's begin or end */
    XML_END,         /* the innermost element ends; empty */
};

struct xml_piece {
    enum xml_kind kind;
    const char *text; /* borrowed, no NUL behind it */
    size_t len;
};

/* Why a document was refused. */
struct xml_problem {
    struct template_position position;
    bool quotes; /* the message holds text of the document */
    char message[256];
};

/* Parse the document and append it, flat, to *ret_flat, which needs room for len bytes; NULL only
 * judges. Append to *ret_lines, which may be NULL, the line of each element as a size_t. 0, or -1
 * with *ret_problem. */
int xml_flatten(const char *data, size_t len, struct buf *ret_flat, struct buf *ret_lines,
                struct xml_problem *ret_problem);

/* The piece that begins at *pos, 0 at first, which is moved behind it. false at the end. */
bool xml_next_piece(const struct buf *flat, size_t *pos, struct xml_piece *ret);

/* How many of the bytes XML can hold, from the first one on. */
size_t xml_span(const char *data, size_t len);

#endif
