/* How a finished configuration file is read back: key by key, whatever its format. */
#ifndef SPARKPOD_CONFGEN_PAIRS_H
#define SPARKPOD_CONFGEN_PAIRS_H

#include <stddef.h>

/* Called for each key in file order; key and value are borrowed, NUL-terminated, valid during the
 * call. Return 0 to go on, -1 to stop the reader, which then returns -1 as well. */
typedef int (*pairs_fn)(void *context, const char *key, const char *value, size_t value_len);

#endif
