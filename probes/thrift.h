/* Thrift's TBinaryProtocol, strict, as far as asking a service how it is goes: a few calls and what
 * their replies mean. Pure: bytes in, bytes out; no byte past the end is ever read, and a length
 * that cannot be true is refused before anything is done with it.
 *
 * Sources: doc/specs/thrift-binary-protocol.md; fb303.thrift (getStatus), hive_metastore.thrift
 * (get_database), TCLIService.thrift (the others). All integers are big-endian. */
#ifndef SPARKPOD_PROBES_THRIFT_H
#define SPARKPOD_PROBES_THRIFT_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a parser returns beside the length of a complete message. */
#define THRIFT_MALFORMED (-1)
#define THRIFT_MORE (-2) /* so far so good, more bytes are needed */

#define THRIFT_MAX_BYTES (1 << 20) /* of a message, a string; elements of a container */
#define THRIFT_MAX_DEPTH 16
#define THRIFT_FRAME_BYTES 4 /* of a frame's header, which is its length */

enum thrift_method {
    THRIFT_GET_STATUS,   /* fb303: fb_status getStatus() */
    THRIFT_GET_DATABASE, /* metastore: Database get_database("default") */
    THRIFT_GET_INFO,     /* TCLIService: GetInfo(no session, CLI_DBMS_VER) */
    THRIFT_OPEN_SESSION, /* of the user who logged in */
    THRIFT_EXECUTE,      /* session: ExecuteStatement("SELECT 1"), synchronous */
    THRIFT_FETCH,        /* operation: FetchResults(one row) */
    THRIFT_CLOSE_OPERATION,
    THRIFT_CLOSE_SESSION,
};

/* TCLIService: what names a session or an operation. All zero: none. */
struct thrift_handle {
    unsigned char guid[16], secret[16];
};

/* Append the call; handle is that of the session or operation which method is about, else NULL.
 * seqid comes back in its reply. 0, or -1 once buf has failed. */
int thrift_put_call(struct buf *buf, enum thrift_method method, const struct thrift_handle *handle,
                    int32_t seqid);

int thrift_put_i32(struct buf *buf, int32_t value);

#define THRIFT_TEXT_BYTES 200

struct thrift_answer {
    bool ok;
    char text[THRIFT_TEXT_BYTES]; /* "ALIVE", "default", "Spark 3.5.6"; else what is wrong */
    struct thrift_handle handle;  /* of what THRIFT_OPEN_SESSION and THRIFT_EXECUTE made */
};

/* Read the reply to method from the beginning of data. Returns its length once it is complete, and
 * then sets *ret; THRIFT_MORE; or THRIFT_MALFORMED, also for a reply to another call. A
 * MetaException, which comes as an ordinary field of a REPLY, a TApplicationException and a
 * TStatus other than success are complete replies that are not ok. */
int thrift_parse_reply(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret);

/* The same for a reply that is all of a frame; the length includes the frame's header. */
int thrift_parse_frame(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret);

#endif
