/* The grammar of templates, over bytes and without any idea of a file format:
 *
 *     ${NAME}            the value; unset or empty is a fault
 *     ${NAME:-default}   the default where NAME is unset or empty; it ends at the first '}'
 *     ${NAME:?message}   as ${NAME}, with the message for the fault
 *     $${                a literal "${"
 *
 * NAME is [A-Za-z_][A-Za-z0-9_]*. All else is literal: ${java.io.tmpdir}, ${env.X}, ${env:X},
 * ${NAME-x}, $1, $$. So the variables of Hadoop, Hive and Spark pass through. */
#ifndef SPARKPOD_CONFGEN_TEMPLATE_H
#define SPARKPOD_CONFGEN_TEMPLATE_H

#include <stddef.h>

enum template_kind {
    TEMPLATE_LITERAL,  /* a run of bytes that stay */
    TEMPLATE_ESCAPE,   /* "$${" */
    TEMPLATE_REQUIRED, /* ${NAME} */
    TEMPLATE_DEFAULT,  /* ${NAME:-word} */
    TEMPLATE_MESSAGE,  /* ${NAME:?word} */
    TEMPLATE_UNCLOSED, /* ${NAME:- or ${NAME:? without its '}'; ends with the range */
};

/* All numbers are offsets into the template's bytes, or lengths. */
struct template_token {
    enum template_kind kind;
    size_t start, end;
    size_t name, name_len; /* of the last four kinds */
    size_t word, word_len; /* the default or the message */
};

/* The token that begins at from, within the bytes up to the offset end; from < end. A literal ends
 * where the next token of another kind begins. */
struct template_token template_next(const char *data, size_t from, size_t end);

/* A place for people, counted from 1; the column in bytes. */
struct template_position {
    size_t offset;     /* what was asked for last */
    size_t line_start; /* offset */
    size_t line, column;
};

/* Line 1, column 1: for what is said of a whole file. */
extern const struct template_position template_top;

/* Move *position, zeroed at first, to offset. Cheap when offsets ascend. */
void template_locate(const char *data, size_t offset, struct template_position *position);

#endif
