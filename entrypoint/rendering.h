/* One rendering with its outcome in the log: what PID 1's helper and `sparkpod render` share. */
#ifndef SPARKPOD_ENTRYPOINT_RENDERING_H
#define SPARKPOD_ENTRYPOINT_RENDERING_H

#include "common/err.h"
#include "confgen/render.h"
#include "entrypoint/config.h"

/* Whether there is anything to render: 1; 0; or -1, since a folder that somebody named must be
 * there. */
int rendering_has_templates(const struct config *config, struct err *err);

/* Render file; if its source is a folder, all that is in it. Values come from environment, the
 * folders of render.secrets and those of more_folders (may be ""). Warnings and faults are logged a
 * line each with the secrets masked, in this process from now on; where quiet, at debug level. 0
 * or -1. */
int rendering_run(const struct render_file *file, const struct config *config,
                  char *const *environment, const char *more_folders, bool quiet, struct err *err);

#endif
