/* How a finished configuration file is read back: key by key, whatever its format. */
#ifndef SPARKPOD_CONFGEN_PAIRS_H
#define SPARKPOD_CONFGEN_PAIRS_H

#include <stddef.h>

/* A key with its value: borrowed, NUL-terminated. */
struct pair {
    const char *key, *value;
    size_t value_len;
    size_t line;   /* that it begins on, from 1 */
    size_t number; /* its place among all that the file holds, unset ones too: a template and its
                      result have the same numbers */
};

/* Called for each key in file order. Return 0 to go on, -1 to stop the reader, which then returns
 * -1 as well. */
typedef int (*pairs_fn)(void *context, const struct pair *pair);

#endif
