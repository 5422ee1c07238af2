/* HTTP over the snapshot (answer.h says what), within bounds that hold whoever asks. The service is
 * never asked here, so any number of requests costs it nothing. */
#ifndef SPARKPOD_PROBES_SERVER_H
#define SPARKPOD_PROBES_SERVER_H

#include "common/err.h"
#include "probes/snapshot.h"

#include <stdint.h>

/* Open the listening socket on port (0: any free one), for IPv6 and IPv4 where there is IPv6. PID 1
 * calls this, so it starts no thread and keeps no memory. The descriptor is close-on-exec and
 * non-blocking, the caller's to close; -1 with EXIT_CONFIG if the port cannot be had. */
int server_listen(uint16_t port, struct err *err);

struct server;

/* Answer requests on listen_fd in a thread of its own until server_stop(). Both snapshot and
 * listen_fd are borrowed. A connection has 10 s for each request, its answer included; there are
 * 128 at most, and a new one takes the place of the oldest of the address that has most. 0, or -1
 * with EXIT_INTERNAL. */
int server_start(const struct snapshot *snapshot, int listen_fd, struct server **ret,
                 struct err *err);

/* How often the thread has looked for work: at least once a second while it lives. */
unsigned server_passes(const struct server *server);

/* End the thread and free; open connections are cut, the listening socket goes on listening for
 * the next server. Takes NULL. */
void server_stop(struct server *server);

#endif
