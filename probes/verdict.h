/* What the three probes answer, by phase and checks (docs/monitoring.md has the table). */
#ifndef SPARKPOD_PROBES_VERDICT_H
#define SPARKPOD_PROBES_VERDICT_H

#include "probes/snapshot.h"

enum probe { PROBE_LIVE, PROBE_READY, PROBE_STARTUP };

/* Whether check decides the probe while serving. */
bool verdict_counts(enum probe probe, enum snapshot_check check);

/* Room for the longest reason. */
#define VERDICT_REASON_BYTES (TARGET_URL_BYTES / 2 + CHECK_REASON_BYTES + 64)

/* The answer that each phase gives to each probe: true for 200, and one line that says why (never
 * empty). */
bool verdict_passes(const struct snapshot *snapshot, enum probe probe, char *ret_reason,
                    size_t size);

#endif
