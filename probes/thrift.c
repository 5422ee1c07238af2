#include "probes/thrift.h"

#include <stdio.h>
#include <string.h>

#define STRICT_VERSION_1 0x80010000u
#define CLI_DBMS_NAME 17 /* TCLIService.thrift, TGetInfoType */
#define HANDLE_BYTES 16  /* THandleIdentifier: guid, secret */
#define TYPE_AT 3        /* of the message, behind the version */

enum message_type { CALL = 1, REPLY = 2, EXCEPTION = 3 };

enum type {
    STOP = 0,
    BOOL = 2,
    BYTE = 3,
    DOUBLE = 4,
    I16 = 6,
    I32 = 8,
    I64 = 10,
    STRING = 11,
    STRUCT = 12,
    MAP = 13,
    SET = 14,
    LIST = 15,
};

static const char *const method_names[] = {
    [THRIFT_GET_STATUS] = "getStatus",
    [THRIFT_GET_DATABASE] = "get_database",
    [THRIFT_GET_INFO] = "GetInfo",
};

/* ---- writing ---- */

int thrift_put_i32(struct buf *buf, int32_t value)
{
    uint32_t u = (uint32_t)value;
    unsigned char bytes[4] = {(unsigned char)(u >> 24), (unsigned char)(u >> 16),
                              (unsigned char)(u >> 8), (unsigned char)u};

    return buf_add(buf, bytes, sizeof(bytes));
}

static void put_string(struct buf *buf, const void *data, size_t len)
{
    (void)thrift_put_i32(buf, (int32_t)len);
    (void)buf_add(buf, data, len);
}

static void put_field(struct buf *buf, enum type type, char id)
{
    const char header[] = {(char)type, 0, id};

    (void)buf_add(buf, header, sizeof(header));
}

/* GetInfo(1: TGetInfoReq{1: TSessionHandle{1: THandleIdentifier{1: guid, 2: secret}}, 2: infoType})
 * Spark answers for CLI_DBMS_NAME without looking the session up, so no session is made. */
static void put_info_request(struct buf *buf)
{
    static const char nobody[HANDLE_BYTES];

    put_field(buf, STRUCT, 1);
    put_field(buf, STRUCT, 1);
    put_field(buf, STRUCT, 1);
    put_field(buf, STRING, 1);
    put_string(buf, nobody, sizeof(nobody));
    put_field(buf, STRING, 2);
    put_string(buf, nobody, sizeof(nobody));
    (void)buf_add_char(buf, STOP);
    (void)buf_add_char(buf, STOP);
    put_field(buf, I32, 2);
    (void)thrift_put_i32(buf, CLI_DBMS_NAME);
    (void)buf_add_char(buf, STOP);
}

static int put_header(struct buf *buf, enum message_type type, enum thrift_method method,
                      int32_t seqid)
{
    (void)thrift_put_i32(buf, (int32_t)(STRICT_VERSION_1 | type));
    put_string(buf, method_names[method], strlen(method_names[method]));
    return thrift_put_i32(buf, seqid);
}

int thrift_put_call(struct buf *buf, enum thrift_method method, int32_t seqid)
{
    (void)put_header(buf, CALL, method, seqid);
    switch (method) {
    case THRIFT_GET_STATUS:
        break;
    case THRIFT_GET_DATABASE:
        put_field(buf, STRING, 1);
        put_string(buf, "default", strlen("default"));
        break;
    case THRIFT_GET_INFO:
        put_info_request(buf);
        break;
    }
    return buf_add_char(buf, STOP);
}

/* ---- reading ---- */

/* A place in a message. After a fault every read gives zero, so a run of reads needs one check. */
struct reader {
    const unsigned char *data;
    size_t len, pos;
    int fault; /* 0, THRIFT_MALFORMED or THRIFT_MORE */
};

static void fail(struct reader *reader, int fault)
{
    if (!reader->fault)
        reader->fault = fault;
}

/* The next len bytes, or NULL after a fault. */
static const unsigned char *take(struct reader *reader, size_t len)
{
    const unsigned char *at = reader->data + reader->pos;

    if (len > reader->len - reader->pos)
        fail(reader, THRIFT_MORE);
    if (reader->fault)
        return NULL;
    reader->pos += len;
    return at;
}

/* width is 1, 2 or 4. */
static uint32_t read_uint(struct reader *reader, size_t width)
{
    const unsigned char *at = take(reader, width);
    uint32_t value = 0;

    for (size_t i = 0; at && i < width; i++)
        value = value << 8 | at[i];
    return value;
}

/* A length or a count: never negative, never more than a message may hold. */
static size_t read_size(struct reader *reader)
{
    uint32_t size = read_uint(reader, 4);

    if (size <= THRIFT_MAX_BYTES)
        return size;
    fail(reader, THRIFT_MALFORMED);
    return 0;
}

/* Bytes of the message, without a NUL. */
struct text {
    const char *data;
    int len;
};

#define NOTHING ((struct text){"", 0})

static struct text read_string(struct reader *reader)
{
    size_t len = read_size(reader);
    const unsigned char *at = take(reader, len);

    return at ? (struct text){(const char *)at, (int)len} : NOTHING;
}

struct field {
    enum type type;
    unsigned id;
};

/* The next field's header. false at the struct's STOP, which is consumed, and after a fault. */
static bool read_field(struct reader *reader, struct field *ret)
{
    ret->type = (enum type)read_uint(reader, 1);
    ret->id = ret->type == STOP ? 0 : read_uint(reader, 2);
    return !reader->fault && ret->type != STOP;
}

static void skip(struct reader *reader, enum type type, int depth);

/* Every element takes a byte at least, so a false count ends at the end of the data. */
static void skip_elements(struct reader *reader, size_t types, int depth)
{
    enum type first = (enum type)read_uint(reader, 1);
    enum type second = types == 2 ? (enum type)read_uint(reader, 1) : STOP;
    size_t count = read_size(reader);

    for (size_t i = 0; i < count && !reader->fault; i++) {
        skip(reader, first, depth);
        if (types == 2)
            skip(reader, second, depth);
    }
}

/* Pass over one value of any type. */
static void skip(struct reader *reader, enum type type, int depth)
{
    static const unsigned char sizes[] = {
        [BOOL] = 1, [BYTE] = 1, [I16] = 2, [I32] = 4, [I64] = 8, [DOUBLE] = 8};
    struct field field;

    if (depth == 0)
        type = STOP; /* as wrong as a type that there is not */
    if (type < sizeof(sizes) && sizes[type])
        (void)take(reader, sizes[type]);
    else if (type == STRING)
        (void)read_string(reader);
    else if (type == STRUCT)
        while (read_field(reader, &field))
            skip(reader, field.type, depth - 1);
    else if (type == MAP)
        skip_elements(reader, 2, depth - 1);
    else if (type == SET || type == LIST)
        skip_elements(reader, 1, depth - 1);
    else
        fail(reader, THRIFT_MALFORMED);
}

/* ---- what replies mean: these read, by value, structs that were passed over once ---- */

/* The value of field id; a reader with a fault where the struct has no such field. */
static struct reader find(struct reader reader, unsigned id, enum type type)
{
    struct field field;

    while (read_field(&reader, &field)) {
        if (field.id == id && field.type == type)
            return reader;
        skip(&reader, field.type, THRIFT_MAX_DEPTH);
    }
    fail(&reader, THRIFT_MALFORMED);
    return reader;
}

static struct text string_of(struct reader reader, unsigned id)
{
    struct reader value = find(reader, id, STRING);

    return read_string(&value);
}

/* UINT32_MAX where the struct has no such field. */
static uint32_t i32_of(struct reader reader, unsigned id)
{
    struct reader value = find(reader, id, I32);

    return value.fault ? UINT32_MAX : read_uint(&value, 4);
}

static void answer(struct thrift_answer *ret, bool ok, const char *what, struct text text)
{
    ret->ok = ok;
    (void)snprintf(ret->text, sizeof(ret->text), "%s%s%.*s", what, *what && text.len ? ": " : "",
                   text.len, text.data);
}

#define NAME_OF(names, code)                                                                       \
    ((code) < sizeof(names) / sizeof((names)[0]) ? (names)[code] : "unknown status")

/* TCLIService.thrift: struct TGetInfoResp {1: TStatus status, 2: TGetInfoValue{1: string}};
 * struct TStatus {1: TStatusCode statusCode, …, 5: string errorMessage} */
static void read_info(struct reader info, struct thrift_answer *ret)
{
    static const char *const names[] = {"SUCCESS", "SUCCESS_WITH_INFO", "STILL_EXECUTING", "ERROR",
                                        "INVALID_HANDLE"};
    struct reader status = find(info, 1, STRUCT);
    uint32_t code = i32_of(status, 1);

    if (code <= 1)
        answer(ret, true, "", string_of(find(info, 2, STRUCT), 1));
    else
        answer(ret, false, NAME_OF(names, code), string_of(status, 5));
}

/* Field 0 is the value, the others are the declared exceptions (those of get_database), each with
 * its message in field 1. */
static void read_failure(struct reader result, struct thrift_answer *ret)
{
    static const char *const names[] = {"", "NoSuchObjectException", "MetaException"};
    struct field field;

    answer(ret, false, "answered without a result", NOTHING);
    while (read_field(&result, &field)) {
        if (field.id > 0 && field.type == STRUCT)
            answer(ret, false, field.id <= 2 ? names[field.id] : "exception", string_of(result, 1));
        skip(&result, field.type, THRIFT_MAX_DEPTH);
    }
}

/* fb303.thrift: enum fb_status */
static void read_status(uint32_t status, struct thrift_answer *ret)
{
    static const char *const names[] = {"DEAD",     "STARTING", "ALIVE",
                                        "STOPPING", "STOPPED",  "WARNING"};

    answer(ret, status == 2, NAME_OF(names, status), NOTHING);
}

static void read_result(enum thrift_method method, struct reader result, struct thrift_answer *ret)
{
    struct reader value = find(result, 0, method == THRIFT_GET_STATUS ? I32 : STRUCT);

    if (value.fault) {
        read_failure(result, ret);
        return;
    }
    switch (method) {
    case THRIFT_GET_STATUS:
        read_status(read_uint(&value, 4), ret);
        return;
    case THRIFT_GET_DATABASE: /* hive_metastore.thrift: struct Database {1: string name, …} */
        answer(ret, true, "", string_of(value, 1));
        return;
    case THRIFT_GET_INFO:
        read_info(value, ret);
        return;
    }
}

int thrift_parse_reply(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret)
{
    struct reader reader = {.data = data, .len = len}, result;
    bool is_exception = len > TYPE_AT && reader.data[TYPE_AT] == EXCEPTION;
    BUF_AUTO header = BUF_INIT(64);

    if (put_header(&header, is_exception ? EXCEPTION : REPLY, method, seqid) < 0 || len == 0)
        return THRIFT_MORE;
    if (memcmp(data, header.data, len < header.len ? len : header.len) != 0)
        return THRIFT_MALFORMED;
    (void)take(&reader, header.len);
    result = reader;
    skip(&reader, STRUCT, THRIFT_MAX_DEPTH + 1);
    if (reader.fault)
        return reader.fault;
    if (is_exception) /* TApplicationException {1: string message, 2: i32 type} */
        answer(ret, false, "TApplicationException", string_of(result, 1));
    else
        read_result(method, result, ret);
    return (int)reader.pos;
}

int thrift_parse_frame(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret)
{
    struct reader reader = {.data = data, .len = len};
    size_t frame = read_size(&reader);
    const unsigned char *reply = take(&reader, frame);

    if (!reply)
        return reader.fault;
    return thrift_parse_reply(method, seqid, reply, frame, ret) == (int)frame ? (int)reader.pos
                                                                              : THRIFT_MALFORMED;
}
