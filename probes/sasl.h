/* The messages of Thrift's SASL handshake (doc/specs/thrift-sasl-spec.txt): a status byte, a
 * big-endian length, a payload. After COMPLETE every message is a length and its bytes. Pure. */
#ifndef SPARKPOD_PROBES_SASL_H
#define SPARKPOD_PROBES_SASL_H

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

#define SASL_HEADER_BYTES 5
#define SASL_MAX_BYTES 65536 /* of a payload: refusals carry a sentence */

enum sasl_status {
    SASL_START = 1,
    SASL_OK = 2,
    SASL_BAD = 3,
    SASL_ERROR = 4,
    SASL_COMPLETE = 5,
};

struct sasl_header {
    enum sasl_status status;
    uint32_t len; /* of the payload that follows */
};

/* Append one message. 0, or -1 once buf has failed. */
int sasl_put(struct buf *buf, enum sasl_status status, const void *payload, size_t len);

/* Append what a client of mechanism PLAIN says (RFC 4616, no authzid): START "PLAIN", then its
 * response; the server is silent in between. 0, or -1. */
int sasl_put_plain(struct buf *buf, const char *user, const char *password);

/* Read a header. 0, or -1 for what no server says: an unknown status, a length past the maximum. */
int sasl_parse_header(const unsigned char bytes[static SASL_HEADER_BYTES], struct sasl_header *ret);

#endif
