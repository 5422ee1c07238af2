/* UTF-8 (RFC 3629), strictly: no surrogates, no overlong forms, nothing past U+10FFFF. */
#ifndef SPARKPOD_CONFGEN_UTF8_H
#define SPARKPOD_CONFGEN_UTF8_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read one character at *p, which lies before end, and move *p behind it. The code point, or -1
 * with *p unmoved. */
int32_t utf8_next(const char **p, const char *end);

/* Whether all len bytes are UTF-8. */
bool utf8_valid(const char *data, size_t len);

/* Append a code point up to U+10FFFF; a lone surrogate, which a \uXXXX may name, in three bytes. */
void utf8_add(struct buf *buf, uint32_t code);

#endif
