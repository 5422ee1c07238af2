/* `sparkpod check`: what would go wrong, before anything is started. Each function looks at one
 * part and adds all it finds. docs/check.md is the reference. */
#ifndef SPARKPOD_ENTRYPOINT_PREFLIGHT_H
#define SPARKPOD_ENTRYPOINT_PREFLIGHT_H

#include "confgen/lint.h"
#include "entrypoint/config.h"
#include "entrypoint/findings.h"

struct preflight {
    const struct config *config;
    char *const *environment;
    struct lint *settings; /* the rendered configuration */
    struct findings *findings;
};

/* Whether executors are to be pods of the cluster that this pod is in. */
bool preflight_has_executor_pods(const struct preflight *preflight);

/* What Spark in client mode needs of the Kubernetes API; folder is the service account's. */
void preflight_kubernetes(const struct preflight *preflight, const char *folder);

/* Each container on Azure that the configuration names. */
void preflight_azure(const struct preflight *preflight);

#endif
