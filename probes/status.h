/* The snapshot as JSON: what GET /status answers. */
#ifndef SPARKPOD_PROBES_STATUS_H
#define SPARKPOD_PROBES_STATUS_H

#include "probes/snapshot.h"

/* All of it, as docs/status.schema.json says. The caller frees; NULL without memory. */
char *status_json(const struct snapshot *snapshot);

#endif
