/* Thrift's TBinaryProtocol, strict, as far as asking a service how it is goes: three calls and
 * what their replies mean. Pure: bytes in, bytes out; no byte past the end is ever read, and a
 * length that cannot be true is refused before anything is done with it.
 *
 * Sources: doc/specs/thrift-binary-protocol.md; fb303.thrift (getStatus), hive_metastore.thrift
 * (get_database), TCLIService.thrift (GetInfo). All integers are big-endian. */
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

enum thrift_type {
    THRIFT_STOP = 0,
    THRIFT_BOOL = 2,
    THRIFT_BYTE = 3,
    THRIFT_DOUBLE = 4,
    THRIFT_I16 = 6,
    THRIFT_I32 = 8,
    THRIFT_I64 = 10,
    THRIFT_STRING = 11,
    THRIFT_STRUCT = 12,
    THRIFT_MAP = 13,
    THRIFT_SET = 14,
    THRIFT_LIST = 15,
};

enum thrift_message_type {
    THRIFT_CALL = 1,
    THRIFT_REPLY = 2,
    THRIFT_EXCEPTION = 3,
    THRIFT_ONEWAY = 4,
};

/* Bytes of the message, borrowed, without a NUL. */
struct thrift_text {
    const char *data;
    size_t len;
};

struct thrift_message {
    enum thrift_message_type type;
    struct thrift_text name;
    int32_t seqid;
};

struct thrift_field {
    enum thrift_type type;
    int16_t id;
};

/* A place in a message. After a fault every read gives zero, so a run of reads needs one check. */
struct thrift_reader {
    const unsigned char *data;
    size_t len, pos;
    int fault; /* 0, THRIFT_MALFORMED or THRIFT_MORE */
};

/* Read the header. false after a fault. */
bool thrift_read_message(struct thrift_reader *reader, struct thrift_message *ret);

/* Read the next field's header; the caller reads or skips its value. false at the struct's STOP,
 * which is consumed, and after a fault. */
bool thrift_read_field(struct thrift_reader *reader, struct thrift_field *ret);

int32_t thrift_read_i32(struct thrift_reader *reader);
struct thrift_text thrift_read_text(struct thrift_reader *reader);

/* Pass over one value of any type. */
void thrift_skip(struct thrift_reader *reader, enum thrift_type type);

/* The calls. */
enum thrift_method {
    THRIFT_GET_STATUS,   /* fb303: fb_status getStatus() */
    THRIFT_GET_DATABASE, /* metastore: Database get_database("default") */
    THRIFT_GET_INFO,     /* TCLIService: GetInfo(no session, CLI_DBMS_NAME) */
};

/* Append the call. seqid comes back in its reply. 0, or -1 once buf has failed. */
int thrift_put_call(struct buf *buf, enum thrift_method method, int32_t seqid);

/* Append one i32: a frame's length. */
int thrift_put_i32(struct buf *buf, int32_t value);

#define THRIFT_TEXT_BYTES 200

struct thrift_answer {
    bool ok;
    char text[THRIFT_TEXT_BYTES]; /* "ALIVE", "default", "Spark SQL"; else what is wrong */
};

/* Read the reply to method from the beginning of data. Returns its length once it is complete, and
 * then sets *ret; THRIFT_MORE; or THRIFT_MALFORMED, also for a reply to another call. A
 * MetaException, which comes as an ordinary field of a REPLY, a TApplicationException and a
 * TStatus other than success are complete replies that are not ok. */
int thrift_parse_reply(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret);

#endif
