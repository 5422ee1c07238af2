/* Where a placeholder's value comes from: the environment (NAME), the file that NAME_FILE names, or
 * a file NAME in a secrets folder; and which of these values are secrets. */
#ifndef SPARKPOD_CONFGEN_VARIABLES_H
#define SPARKPOD_CONFGEN_VARIABLES_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The largest secret file that is read; Kubernetes allows a Secret of 1 MiB. */
#define VARIABLES_MAX_BYTES ((size_t)1 << 20)

struct variable {
    const char *value; /* borrowed from the struct variables; NUL behind len bytes */
    size_t len;
    bool secret;
};

struct variables;

/* Look values up in environment (NAME=value strings, NULL at the end) and in the folders (blank- or
 * colon-separated list, may be empty). secret_names holds blank-separated shell patterns; a
 * variable whose name matches one is a secret, as is every value read from a file. All three are
 * borrowed and must outlive the object. NULL without memory. */
struct variables *variables_new(char *const *environment, const char *folders,
                                const char *secret_names);

/* Wipe the values that were read, and free. Takes NULL. */
void variables_free(struct variables *variables);

/* Find name (len bytes). 1 and *ret, 0 if there is no such variable, -1 for a fault: NAME and
 * NAME_FILE both set, a file that cannot be read or is too long. One trailing newline of a file is
 * dropped. A value is read once and stays the same for the life of the object. */
int variables_get(struct variables *variables, const char *name, size_t len, struct variable *ret,
                  struct err *err);

/* Call see for each secret value read so far. */
void variables_each_secret(const struct variables *variables,
                           void (*see)(void *context, const char *value, size_t len),
                           void *context);

/* Whether name matches one of the blank-separated patterns ('*' and '?'). */
bool variables_name_matches(const char *patterns, const char *name);

#endif
