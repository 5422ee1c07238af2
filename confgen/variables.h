/* Where a placeholder's value comes from: the environment (NAME), the file that NAME_FILE names, or
 * a file NAME in a secrets folder; and which of these values are secrets. */
#ifndef SPARKPOD_CONFGEN_VARIABLES_H
#define SPARKPOD_CONFGEN_VARIABLES_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The largest secret file that is read; Kubernetes allows a Secret of 1 MiB. */
#define VARIABLES_MAX_BYTES ((size_t)1 << 20)

struct variable {
    const char *name;
    const char *value; /* NUL behind len bytes */
    size_t len;
    const char *file; /* it was read from; NULL: from the environment */
    bool secret;
};

struct variables;

/* Look values up in environment (NAME=value strings, NULL at the end) and in the folders (blank- or
 * colon-separated list, may be empty). secret_names holds blank-separated shell patterns; a
 * variable whose name matches one is a secret, as is every value read from a file. All three are
 * borrowed and must outlive the object. NULL without memory.
 *
 * A folder is opened once, here. Of a mounted Secret, whose files kubelet replaces all at once by
 * renaming the link "..data", every value is thus of one generation. */
struct variables *variables_new(char *const *environment, const char *folders,
                                const char *secret_names);

/* Wipe the values that were read, and free. Takes NULL. */
void variables_free(struct variables *variables);

/* Find name (len bytes). 1 and *ret, borrowed; 0 if there is no such variable; -1 for a fault: NAME
 * and NAME_FILE both set, a file that cannot be read or is too long. One trailing newline of a file
 * is dropped. A value is read once and stays the same for the life of the object. */
int variables_get(struct variables *variables, const char *name, size_t len, struct variable *ret,
                  struct err *err);

/* Whether kubelet has replaced a folder's files meanwhile: what was not found may be among the new
 * ones, which a new object would open. */
bool variables_are_stale(const struct variables *variables);

/* A line each: a folder that is not there, a file that others may read. Borrowed. */
const struct buf *variables_warnings(const struct variables *variables);

/* Call see for each secret that was found and is not empty. */
void variables_each_secret(const struct variables *variables,
                           void (*see)(const char *value, size_t len));

/* Part an environment's entry: its name goes to name (size bytes), and its value is returned; NULL
 * for what has no '=', or a name that does not fit. */
const char *variables_part_entry(const char *entry, char *name, size_t size);

/* Whether name matches one of the blank-separated patterns ('*' and '?'). */
bool variables_name_matches(const char *patterns, const char *name);

#endif
