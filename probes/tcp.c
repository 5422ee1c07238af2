#include "probes/checks.h"

void check_tcp(const struct target *target, const struct target_host *host, int64_t deadline_ms,
               struct check_result *ret)
{
    CURL *transport = NULL;
    struct err err;

    if (transport_open(target, host, deadline_ms, &transport, &err) < 0)
        checks_failed(ret, &err);
    else
        checks_ready(ret, "port %u is open", host->port);
    transport_free(transport);
}
