/* What each path of the HTTP server answers, from the snapshot alone: /livez /readyz /startupz
 * /status /metrics, and / for people. */
#ifndef SPARKPOD_PROBES_ANSWER_H
#define SPARKPOD_PROBES_ANSWER_H

#include "probes/snapshot.h"

#include <microhttpd.h>

/* Queue the answer to a request on its connection; what this returns libmicrohttpd wants to know.
 */
enum MHD_Result answer_request(const struct snapshot *snapshot, struct MHD_Connection *connection,
                               const char *path, const char *method);

#endif
