/* What still runs on a Thrift Server that is to stop: the statements its own page counts, or, where
 * that page cannot be read, the client connections that are still open. */
#ifndef SPARKPOD_ENTRYPOINT_DRAIN_H
#define SPARKPOD_ENTRYPOINT_DRAIN_H

#include "common/err.h"
#include "entrypoint/service.h"
#include "probes/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/* Ask once a second, and return 0 when the answer was "none" twice in a row; -1 if the rendered
 * files cannot be read. The time limit is the caller's: this helper is killed at its end. */
int drain_thrift_server(const struct service *service, struct snapshot *snapshot, struct err *err);

/* M of "running M SQL statement(s)" in the page /sqlserver/ of Spark's UI (ThriftServerPage). A
 * statement counts until its result was fetched and closed. -1 if the page does not say. */
int drain_parse_page(const char *page);

struct drain_connections {
    int total; /* established, with this local port */
    int local; /* of these, from the loopback: our own probe is one of them */
};

/* Add the connections to port in the content of /proc/net/tcp or tcp6 (proc_net_tcp(5)) to *ret. */
void drain_count_connections(const char *table, uint16_t port, struct drain_connections *ret);

#endif
