/* The snapshot in the Prometheus text exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). */
#ifndef SPARKPOD_PROBES_METRICS_H
#define SPARKPOD_PROBES_METRICS_H

#include "common/buf.h"
#include "probes/snapshot.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Append all metrics to out. 0, or -1 if they did not fit. */
int metrics_write(const struct snapshot *snapshot, struct buf *out);

#endif
