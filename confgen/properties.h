/* Java properties as java.util.Properties.load(Reader) defines them, in UTF-8, as Spark reads
 * spark-defaults.conf: expanding a template of that format, and reading a finished file.
 * https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html */
#ifndef SPARKPOD_CONFGEN_PROPERTIES_H
#define SPARKPOD_CONFGEN_PROPERTIES_H

#include "common/err.h"
#include "confgen/expansion.h"
#include "confgen/pairs.h"

#include <stddef.h>

/* The value of a key. */
extern const struct expansion_place properties_value;

/* Expand the template into expansion->result, such that each key and value reads back exactly, or
 * add faults. Placeholders in comments stay. */
void properties_expand(struct expansion *expansion);

/* Call fn for each key, escapes decoded, duplicates included; keys hold no NUL that the format did
 * not name. 0, or -1 with err for a malformed \uXXXX, which Java refuses as well, and when fn
 * stops. data is borrowed. */
int properties_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err);

#endif
