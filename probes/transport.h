/* A TCP or TLS connection through libcurl (CURLOPT_CONNECT_ONLY): all addresses of a name are
 * tried, everything has a deadline of clock_ms(), faults are sentences for people. Blocks. The
 * connection is a libcurl handle. */
#ifndef SPARKPOD_PROBES_TRANSPORT_H
#define SPARKPOD_PROBES_TRANSPORT_H

#include "common/buf.h"
#include "common/err.h"
#include "common/http.h"
#include "probes/target.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Connect to host, with TLS as target says. 0, or -1 with EXIT_UNAVAILABLE ("connection refused",
 * "cannot resolve hms", "timed out after 3.0s"). Freed by transport_free(). */
int transport_open(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                   CURL **ret, struct err *err);

/* What an HTTP request to one of target's hosts has to say of it; the texts are kept in here. */
struct transport_address {
    struct buf url, connect_to;
};

#define TRANSPORT_ADDRESS_AUTO                                                                     \
    __attribute__((cleanup(transport_address_free))) struct transport_address

/* Fill in url, deadline and TLS. 0, or -1 without memory; free *ret in either case. */
int transport_address(const struct target *target, const struct target_host *host,
                      int64_t deadline_ms, struct transport_address *ret,
                      struct http_request *request);

void transport_address_free(struct transport_address *address);

/* Send all of data. 0, or -1 with EXIT_UNAVAILABLE. */
int transport_send(CURL *transport, const void *data, size_t len, int64_t deadline_ms,
                   struct err *err);

/* Receive what there is, at least one byte. Its length; 0 when the deadline passed; -1 with
 * EXIT_UNAVAILABLE when the peer closed or the connection failed. */
ssize_t transport_receive_some(CURL *transport, void *data, size_t size, int64_t deadline_ms,
                               struct err *err);

/* Receive exactly len bytes. 0, or -1 with EXIT_UNAVAILABLE, also when the deadline passed. */
int transport_receive(CURL *transport, void *data, size_t len, int64_t deadline_ms,
                      struct err *err);

/* Set err to "timed out after …". Returns -1. */
int transport_timed_out(int64_t started_ms, struct err *err);

/* Close and free. What the peer sent is read first: unread bytes would turn the FIN into a RST,
 * which libthrift 0.16 reports as an error. Takes NULL. */
void transport_free(CURL *transport);

#endif
