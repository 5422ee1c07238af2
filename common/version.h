/* What this binary is called in `sparkpod version`, /status and /metrics. */
#ifndef SPARKPOD_COMMON_VERSION_H
#define SPARKPOD_COMMON_VERSION_H

#define SPARKPOD_VERSION "0.1.0"

/* The commit it was built from; "unknown" outside a checkout. */
extern const char version_commit[];

#endif
