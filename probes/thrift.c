#include "probes/thrift.h"

#include <stdio.h>
#include <string.h>

#define STRICT_VERSION_1 0x80010000u
#define TYPE_AT 3 /* of the message, behind the version */

/* TCLIService.thrift */
#define CLI_DBMS_VER 18 /* TGetInfoType */
#define PROTOCOL_V8 7   /* TProtocolVersion: results come by column */
#define STATEMENT "SELECT 1"

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
    [THRIFT_OPEN_SESSION] = "OpenSession",
    [THRIFT_EXECUTE] = "ExecuteStatement",
    [THRIFT_FETCH] = "FetchResults",
    [THRIFT_CLOSE_OPERATION] = "CloseOperation",
    [THRIFT_CLOSE_SESSION] = "CloseSession",
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

static void put_string_field(struct buf *buf, char id, const void *data, size_t len)
{
    put_field(buf, STRING, id);
    put_string(buf, data, len);
}

static void put_i32_field(struct buf *buf, char id, int32_t value)
{
    put_field(buf, I32, id);
    (void)thrift_put_i32(buf, value);
}

/* Field 1, a TSessionHandle or TOperationHandle {1: THandleIdentifier {1: guid, 2: secret}, …}. The
 * latter must also say its type and whether it has results, which no server looks at. */
static void put_handle(struct buf *buf, const struct thrift_handle *handle, bool is_operation)
{
    put_field(buf, STRUCT, 1);
    put_field(buf, STRUCT, 1);
    put_string_field(buf, 1, handle->guid, sizeof(handle->guid));
    put_string_field(buf, 2, handle->secret, sizeof(handle->secret));
    (void)buf_add_char(buf, STOP);
    if (is_operation) {
        put_i32_field(buf, 2, 0); /* EXECUTE_STATEMENT */
        put_field(buf, BOOL, 3);
        (void)buf_add_char(buf, 1);
    }
    (void)buf_add_char(buf, STOP);
}

/* The one argument of every call of TCLIService, T…Req. Spark answers GetInfo for CLI_DBMS_VER
 * without looking the session up, so none is made. */
static void put_request(struct buf *buf, enum thrift_method method,
                        const struct thrift_handle *handle)
{
    static const struct thrift_handle nobody;
    bool is_operation = method == THRIFT_FETCH || method == THRIFT_CLOSE_OPERATION;

    put_field(buf, STRUCT, 1);
    if (method == THRIFT_OPEN_SESSION)
        put_i32_field(buf, 1, PROTOCOL_V8);
    else
        put_handle(buf, handle ? handle : &nobody, is_operation);
    if (method == THRIFT_GET_INFO)
        put_i32_field(buf, 2, CLI_DBMS_VER);
    if (method == THRIFT_EXECUTE)
        put_string_field(buf, 2, STATEMENT, strlen(STATEMENT));
    if (method == THRIFT_FETCH) {
        put_i32_field(buf, 2, 0); /* FETCH_NEXT */
        put_field(buf, I64, 3);   /* at most one row */
        (void)thrift_put_i32(buf, 0);
        (void)thrift_put_i32(buf, 1);
    }
    (void)buf_add_char(buf, STOP);
}

static int put_header(struct buf *buf, enum message_type type, enum thrift_method method,
                      int32_t seqid)
{
    (void)thrift_put_i32(buf, (int32_t)(STRICT_VERSION_1 | type));
    put_string(buf, method_names[method], strlen(method_names[method]));
    return thrift_put_i32(buf, seqid);
}

int thrift_put_call(struct buf *buf, enum thrift_method method, const struct thrift_handle *handle,
                    int32_t seqid)
{
    (void)put_header(buf, CALL, method, seqid);
    switch (method) {
    case THRIFT_GET_STATUS:
        break;
    case THRIFT_GET_DATABASE:
        put_string_field(buf, 1, "default", strlen("default"));
        break;
    case THRIFT_GET_INFO:
    case THRIFT_OPEN_SESSION:
    case THRIFT_EXECUTE:
    case THRIFT_FETCH:
    case THRIFT_CLOSE_OPERATION:
    case THRIFT_CLOSE_SESSION:
        put_request(buf, method, handle);
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

static void answer_version(struct thrift_answer *ret, struct text version)
{
    ret->ok = true;
    (void)snprintf(ret->text, sizeof(ret->text), "Spark %.*s", version.len, version.data);
}

#define NAME_OF(names, code)                                                                       \
    ((code) < sizeof(names) / sizeof((names)[0]) ? (names)[code] : "unknown status")

/* handle: a TSessionHandle or TOperationHandle {1: THandleIdentifier {1: guid, 2: secret}}. */
static void read_handle(struct reader handle, struct thrift_answer *ret)
{
    struct reader identifier = find(handle, 1, STRUCT);
    struct text guid = string_of(identifier, 1), secret = string_of(identifier, 2);

    if (guid.len != sizeof(ret->handle.guid) || secret.len != sizeof(ret->handle.secret)) {
        answer(ret, false, "answered without a handle", NOTHING);
        return;
    }
    memcpy(ret->handle.guid, guid.data, sizeof(ret->handle.guid));
    memcpy(ret->handle.secret, secret.data, sizeof(ret->handle.secret));
    answer(ret, true, "", NOTHING);
}

/* The first element of field id, a list of them; a reader with a fault where there is none. */
static struct reader first_of(struct reader reader, unsigned id, enum type type)
{
    struct reader list = find(reader, id, LIST);

    if (read_uint(&list, 1) != type || read_size(&list) == 0)
        fail(&list, THRIFT_MALFORMED);
    return list;
}

/* TRowSet {1: startRowOffset, 2: list<TRow>, 3: list<TColumn>}; union TColumn {…, 4: TI32Column
 * {1: list<i32> values, 2: nulls}}. */
static void read_row(struct reader row_set, struct thrift_answer *ret)
{
    struct reader column = first_of(row_set, 3, STRUCT);
    struct reader value = first_of(find(column, 4, STRUCT), 1, I32);
    bool is_one = read_uint(&value, 4) == 1 && !value.fault;

    answer(ret, is_one, is_one ? STATEMENT " gave 1" : STATEMENT " gave something else", NOTHING);
}

/* T…Resp {1: TStatus {1: TStatusCode statusCode, …, 5: string errorMessage}, …} */
static void read_response(enum thrift_method method, struct reader response,
                          struct thrift_answer *ret)
{
    static const char *const names[] = {"SUCCESS", "SUCCESS_WITH_INFO", "STILL_EXECUTING", "ERROR",
                                        "INVALID_HANDLE"};
    struct reader status = find(response, 1, STRUCT);
    uint32_t code = i32_of(status, 1);

    if (code > 1)
        answer(ret, false, NAME_OF(names, code), string_of(status, 5));
    else if (method == THRIFT_GET_INFO) /* 2: TGetInfoValue {1: string stringValue, …} */
        answer_version(ret, string_of(find(response, 2, STRUCT), 1));
    else if (method == THRIFT_OPEN_SESSION)
        read_handle(find(response, 3, STRUCT), ret);
    else if (method == THRIFT_EXECUTE)
        read_handle(find(response, 2, STRUCT), ret);
    else if (method == THRIFT_FETCH) /* 2: bool hasMoreRows, 3: TRowSet results */
        read_row(find(response, 3, STRUCT), ret);
    else
        answer(ret, true, "", NOTHING);
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
    case THRIFT_OPEN_SESSION:
    case THRIFT_EXECUTE:
    case THRIFT_FETCH:
    case THRIFT_CLOSE_OPERATION:
    case THRIFT_CLOSE_SESSION:
        read_response(method, value, ret);
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
