/* One template on its way to a result: what is copied, which values go in, and every fault.
 *
 * Two texts grow side by side. "result" is what will be written. "marked" is the same text with a
 * mark in the place of each value: a word that has no meaning in any format. The format's own
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

/* Append value as the format writes it in this place. false: the format cannot carry these bytes;
 * what was appended does not matter then. */
typedef bool (*expansion_escape_fn)(struct buf *out, const char *value, size_t len);

struct expansion_value;

struct expansion {
    const char *file; /* as it is called in faults */
    const char *data; /* the template */
    size_t len;
    struct variables *variables;
    struct buf *faults;       /* a line each is appended: FILE:LINE:COL: message */
    size_t fault_count;       /* the result is worth nothing unless this is 0 */
    size_t placeholder_count; /* so far, those with a fault included */
    struct buf result;
    struct buf marked;
    struct expansion_value *values; /* by the number in the mark */
    size_t value_count;
    size_t value_room;
    struct template_token last; /* the placeholder that was put last */
    struct template_position position;
};

/* All pointers are borrowed and outlive the expansion. max_bytes limits the result. */
void expansion_init(struct expansion *expansion, const char *file, const char *data, size_t len,
                    size_t max_bytes, struct variables *variables, struct buf *faults);

/* Wipe and free. */
void expansion_free(struct expansion *expansion);

/* Copy the template's bytes [from, to) as they are. */
void expansion_copy(struct expansion *expansion, size_t from, size_t to);

/* Put one token: a literal or a default as it is written, a value escaped. */
void expansion_put(struct expansion *expansion, const struct template_token *token,
                   expansion_escape_fn escape);

/* Put every token of the template's bytes [from, to). */
void expansion_put_all(struct expansion *expansion, size_t from, size_t to,
                       expansion_escape_fn escape);

/* A name or key ended: bytes were written for it, and placeholder_count was placeholders before it.
 * A fault if it is empty because of a placeholder. */
void expansion_check_name(struct expansion *expansion, size_t placeholders, size_t bytes);

/* Add a fault at an offset of the template. The message must not hold any value. */
void expansion_fault(struct expansion *expansion, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As above, at a line and column. */
void expansion_fault_at(struct expansion *expansion, size_t line, size_t column, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* Whether actual, read from the result, is what text, read from the marked text, stands for. */
bool expansion_equal(const struct expansion *expansion, const char *text, size_t len,
                     const char *actual, size_t actual_len);

/* Judge a whole key or value as it was read from the marked text: a fault where a value makes a
 * "${" that the template does not have, since the reader would expand it, and, if the reader
 * trims, where a value brings a blank (up to 0x20, CR and LF excepted) to an end. */
void expansion_judge(struct expansion *expansion, const char *text, size_t len, bool trims);

#endif
