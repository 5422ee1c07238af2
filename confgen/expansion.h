/* One template on its way to a result: what is copied, which values go in, and every fault.
 *
 * Two texts grow side by side. "result" is what will be written. "marked" is the same text with a
 * mark in the place of each value: a character that has no meaning in any format. The format's own
 * reader then reads both; where the marked text reads "a MARK b" the result must read
 * "a VALUE b", and nothing else may differ. That the values did not change the file's structure is
 * thus not a matter of trust in the escaping. */
#ifndef SPARKPOD_CONFGEN_EXPANSION_H
#define SPARKPOD_CONFGEN_EXPANSION_H

#include "common/buf.h"
#include "confgen/template.h"
#include "confgen/variables.h"

#include <stdbool.h>
#include <stddef.h>

/* A place that a placeholder may stand in. */
struct expansion_place {
    const char *name; /* for people: "XML text" */
    /* Append value, which is not empty, as the format writes it in this place. false: the format
     * cannot carry these bytes; what was appended does not matter then. */
    bool (*escape)(struct buf *out, const char *value, size_t len);
};

struct expansion {
    const char *file; /* as it is called in faults */
    const char *data; /* the template, a NUL behind it */
    size_t len;
    bool is_plain; /* no format reads it back: there is no marked text */
    size_t pos;    /* how far the template was expanded */
    struct variables *variables;
    struct buf *faults;       /* a line each is appended: FILE:LINE:COL: message */
    struct buf *warnings;     /* the same; may be NULL, as may the next two */
    struct buf *listing;      /* where each placeholder's value comes from, and its place */
    struct buf *published;    /* the placeholders that put a secret, as faults */
    size_t fault_count;       /* the result is worth nothing unless this is 0 */
    size_t placeholder_count; /* so far, those with a fault included */
    struct buf result;
    struct buf marked;
    struct buf values;          /* of struct expansion_value, in the order of the marks */
    size_t name_pos;            /* where the name or key that began last begins in the template */
    size_t name_start;          /* and in the marked text */
    struct template_token last; /* the placeholder that was put last */
    struct template_position position;
};

/* All pointers are borrowed and outlive the expansion. max_bytes limits the result. */
void expansion_init(struct expansion *expansion, const char *file, const char *data, size_t len,
                    size_t max_bytes, struct variables *variables, struct buf *faults);

/* Wipe and free. */
void expansion_free(struct expansion *expansion);

/* Copy the template as it is, up to the offset end. */
void expansion_copy_to(struct expansion *expansion, size_t end);

/* Expand the template up to the offset end. */
void expansion_put_to(struct expansion *expansion, size_t end, const struct expansion_place *place);

/* Put one token, which begins where the expansion stands: a literal or a default as it is written,
 * a value escaped. */
void expansion_put(struct expansion *expansion, const struct template_token *token,
                   const struct expansion_place *place);

/* A name or key begins; when it ended, it is a fault if a placeholder left it empty. */
void expansion_begin_name(struct expansion *expansion);
void expansion_end_name(struct expansion *expansion);

/* The position of an offset of the template, valid until the next call. */
const struct template_position *expansion_locate(struct expansion *expansion, size_t offset);

/* Add a fault. The message must not hold any value. */
void expansion_fault(struct expansion *expansion, const struct template_position *position,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Append FILE:LINE:COL: message for an offset of the template to lines: warnings, listing or
 * published; nothing if that is NULL. */
void expansion_note(struct expansion *expansion, struct buf *lines, size_t offset,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Add a fault if the result has grown too large. */
void expansion_check_size(struct expansion *expansion);

/* Do that, and the same if the template holds one of the marks in use: whether there is a result to
 * compare, with no fault so far. */
bool expansion_is_sound(struct expansion *expansion);

/* Whether actual, read from the result, is what text, read from the marked text, stands for. */
bool expansion_equal(const struct expansion *expansion, const char *text, size_t len,
                     const char *actual, size_t actual_len);

/* Judge a whole key or value as it was read from the marked text: a fault where a value makes a
 * "${" that the template does not have, since the reader would expand it, and, if the reader
 * trims, where a value brings a blank (up to 0x20, CR and LF excepted) to an end. */
void expansion_judge(struct expansion *expansion, const char *text, size_t len, bool trims);

#endif
