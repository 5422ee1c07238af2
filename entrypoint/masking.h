/* Which values no line of ours may hold, in any of the forms that a line might show them in. */
#ifndef SPARKPOD_ENTRYPOINT_MASKING_H
#define SPARKPOD_ENTRYPOINT_MASKING_H

#include "entrypoint/config.h"

#include <stddef.h>

/* Mask the value in every later line of this process: as it is, and as XML, properties files and
 * URLs write it. Under LOG_SECRET_MIN_BYTES it is not searched for. */
void masking_add(const char *value, size_t len);

/* The same for each variable of the environment (NAME=value, NULL at the end) that is a secret by
 * render.secret_names. */
void masking_add_environment(const struct config *config, char *const *environment);

#endif
