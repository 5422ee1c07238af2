#include "probes/thrift.h"

#include <stdio.h>
#include <string.h>

#define STRICT_VERSION_1 0x80010000u
#define CLI_DBMS_NAME 17 /* TCLIService.thrift, TGetInfoType */
#define HANDLE_BYTES 16  /* THandleIdentifier: guid, secret */

/* ---- writing ---- */

int thrift_put_i32(struct buf *buf, int32_t value)
{
    uint32_t u = (uint32_t)value;
    unsigned char bytes[4] = {(unsigned char)(u >> 24), (unsigned char)(u >> 16),
                              (unsigned char)(u >> 8), (unsigned char)u};

    return buf_add(buf, bytes, sizeof(bytes));
}

static int put_bytes(struct buf *buf, const void *data, size_t len)
{
    (void)thrift_put_i32(buf, (int32_t)len);
    return buf_add(buf, data, len);
}

static int put_field(struct buf *buf, enum thrift_type type, int16_t id)
{
    (void)buf_add_char(buf, (char)type);
    (void)buf_add_char(buf, (char)(id >> 8));
    return buf_add_char(buf, (char)id);
}

static int put_stop(struct buf *buf)
{
    return buf_add_char(buf, THRIFT_STOP);
}

static void put_nothing(struct buf *buf)
{
    (void)buf;
}

/* get_database(1: string name) */
static void put_default_database(struct buf *buf)
{
    (void)put_field(buf, THRIFT_STRING, 1);
    (void)put_bytes(buf, "default", strlen("default"));
}

/* GetInfo(1: TGetInfoReq{1: TSessionHandle{1: THandleIdentifier{1: guid, 2: secret}}, 2: infoType})
 * Spark answers for CLI_DBMS_NAME without looking the session up, so no session is made. */
static void put_info_request(struct buf *buf)
{
    static const unsigned char nobody[HANDLE_BYTES];

    (void)put_field(buf, THRIFT_STRUCT, 1);
    (void)put_field(buf, THRIFT_STRUCT, 1);
    (void)put_field(buf, THRIFT_STRUCT, 1);
    (void)put_field(buf, THRIFT_STRING, 1);
    (void)put_bytes(buf, nobody, sizeof(nobody));
    (void)put_field(buf, THRIFT_STRING, 2);
    (void)put_bytes(buf, nobody, sizeof(nobody));
    (void)put_stop(buf);
    (void)put_stop(buf);
    (void)put_field(buf, THRIFT_I32, 2);
    (void)thrift_put_i32(buf, CLI_DBMS_NAME);
    (void)put_stop(buf);
}

/* ---- reading ---- */

static void fail(struct thrift_reader *reader, int fault)
{
    if (!reader->fault)
        reader->fault = fault;
}

/* The next len bytes, or NULL after a fault. */
static const unsigned char *take(struct thrift_reader *reader, size_t len)
{
    const unsigned char *at = reader->data + reader->pos;

    if (reader->fault)
        return NULL;
    if (len > reader->len - reader->pos) {
        fail(reader, THRIFT_MORE);
        return NULL;
    }
    reader->pos += len;
    return at;
}

static unsigned char read_byte(struct thrift_reader *reader)
{
    const unsigned char *at = take(reader, 1);

    return at ? at[0] : 0;
}

int32_t thrift_read_i32(struct thrift_reader *reader)
{
    const unsigned char *at = take(reader, 4);

    if (!at)
        return 0;
    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

/* A length or a count: never negative, never more than a message may hold. */
static size_t read_size(struct thrift_reader *reader)
{
    int32_t size = thrift_read_i32(reader);

    if (size >= 0 && size <= THRIFT_MAX_BYTES)
        return (size_t)size;
    fail(reader, THRIFT_MALFORMED);
    return 0;
}

struct thrift_text thrift_read_text(struct thrift_reader *reader)
{
    size_t len = read_size(reader);
    const unsigned char *at = take(reader, len);

    return at ? (struct thrift_text){(const char *)at, len} : (struct thrift_text){"", 0};
}

bool thrift_read_message(struct thrift_reader *reader, struct thrift_message *ret)
{
    uint32_t version;

    /* Other protocols (SASL, TLS, HTTP) are told by their first byte. */
    if (reader->len > reader->pos && reader->data[reader->pos] != STRICT_VERSION_1 >> 24)
        fail(reader, THRIFT_MALFORMED);
    version = (uint32_t)thrift_read_i32(reader);
    if (!reader->fault && (version & 0xffff0000u) != STRICT_VERSION_1)
        fail(reader, THRIFT_MALFORMED);
    ret->type = (enum thrift_message_type)(version & 0xff);
    ret->name = thrift_read_text(reader);
    ret->seqid = thrift_read_i32(reader);
    return !reader->fault;
}

bool thrift_read_field(struct thrift_reader *reader, struct thrift_field *ret)
{
    const unsigned char *id;

    *ret = (struct thrift_field){.type = (enum thrift_type)read_byte(reader)};
    if (reader->fault || ret->type == THRIFT_STOP)
        return false;
    id = take(reader, 2);
    if (!id)
        return false;
    ret->id = (int16_t)(id[0] << 8 | id[1]);
    return true;
}

static void skip_value(struct thrift_reader *reader, enum thrift_type type, int depth);

/* Every element takes a byte at least, so a false count ends at the end of the data. */
static void skip_elements(struct thrift_reader *reader, const enum thrift_type *types, size_t width,
                          int depth)
{
    size_t count = read_size(reader);

    for (size_t i = 0; i < count && !reader->fault; i++)
        for (size_t j = 0; j < width; j++)
            skip_value(reader, types[j], depth);
}

static void skip_value(struct thrift_reader *reader, enum thrift_type type, int depth)
{
    enum thrift_type types[2];
    struct thrift_field field;

    if (depth == 0) {
        fail(reader, THRIFT_MALFORMED);
        return;
    }
    switch (type) {
    case THRIFT_BOOL:
    case THRIFT_BYTE:
        (void)take(reader, 1);
        return;
    case THRIFT_I16:
        (void)take(reader, 2);
        return;
    case THRIFT_I32:
        (void)take(reader, 4);
        return;
    case THRIFT_I64:
    case THRIFT_DOUBLE:
        (void)take(reader, 8);
        return;
    case THRIFT_STRING:
        (void)thrift_read_text(reader);
        return;
    case THRIFT_STRUCT:
        while (thrift_read_field(reader, &field))
            skip_value(reader, field.type, depth - 1);
        return;
    case THRIFT_MAP:
        types[0] = (enum thrift_type)read_byte(reader);
        types[1] = (enum thrift_type)read_byte(reader);
        skip_elements(reader, types, 2, depth - 1);
        return;
    case THRIFT_SET:
    case THRIFT_LIST:
        types[0] = (enum thrift_type)read_byte(reader);
        skip_elements(reader, types, 1, depth - 1);
        return;
    case THRIFT_STOP:
        break;
    }
    fail(reader, THRIFT_MALFORMED);
}

void thrift_skip(struct thrift_reader *reader, enum thrift_type type)
{
    skip_value(reader, type, THRIFT_MAX_DEPTH);
}

/* ---- what replies mean ---- */

static bool text_is(struct thrift_text text, const char *string)
{
    return text.len == strlen(string) && memcmp(text.data, string, text.len) == 0;
}

static void answer(struct thrift_answer *ret, bool ok, const char *what, struct thrift_text text)
{
    int len = text.len < THRIFT_TEXT_BYTES ? (int)text.len : THRIFT_TEXT_BYTES;

    ret->ok = ok;
    (void)snprintf(ret->text, sizeof(ret->text), "%s%s%.*s", what, *what && len ? ": " : "", len,
                   text.data);
}

/* The string in field id of the struct that begins here; empty where it has none. */
static struct thrift_text read_string_of(struct thrift_reader *reader, int16_t id)
{
    struct thrift_text text = {"", 0};
    struct thrift_field field;

    while (thrift_read_field(reader, &field)) {
        if (field.id == id && field.type == THRIFT_STRING)
            text = thrift_read_text(reader);
        else
            thrift_skip(reader, field.type);
    }
    return text;
}

/* fb303.thrift: enum fb_status */
static void read_status(struct thrift_reader *reader, struct thrift_answer *ret)
{
    static const char *const names[] = {"DEAD",     "STARTING", "ALIVE",
                                        "STOPPING", "STOPPED",  "WARNING"};
    int32_t status = thrift_read_i32(reader);
    bool known = status >= 0 && (size_t)status < sizeof(names) / sizeof(names[0]);

    answer(ret, status == 2, known ? names[status] : "unknown status", (struct thrift_text){"", 0});
}

/* hive_metastore.thrift: struct Database {1: string name, …} */
static void read_database(struct thrift_reader *reader, struct thrift_answer *ret)
{
    answer(ret, true, "", read_string_of(reader, 1));
}

/* TCLIService.thrift: struct TStatus {1: TStatusCode statusCode, …, 5: string errorMessage} */
static void read_cli_status(struct thrift_reader *reader, struct thrift_answer *ret)
{
    static const char *const names[] = {"SUCCESS", "SUCCESS_WITH_INFO", "STILL_EXECUTING", "ERROR",
                                        "INVALID_HANDLE"};
    struct thrift_text message = {"", 0};
    struct thrift_field field;
    int32_t code = -1;
    bool known;

    while (thrift_read_field(reader, &field)) {
        if (field.id == 1 && field.type == THRIFT_I32)
            code = thrift_read_i32(reader);
        else if (field.id == 5 && field.type == THRIFT_STRING)
            message = thrift_read_text(reader);
        else
            thrift_skip(reader, field.type);
    }
    known = code >= 0 && (size_t)code < sizeof(names) / sizeof(names[0]);
    answer(ret, code == 0 || code == 1, known ? names[code] : "unknown status", message);
}

/* TCLIService.thrift: struct TGetInfoResp {1: TStatus status, 2: TGetInfoValue{1: string}} */
static void read_info(struct thrift_reader *reader, struct thrift_answer *ret)
{
    struct thrift_text value = {"", 0};
    struct thrift_field field;

    while (thrift_read_field(reader, &field)) {
        if (field.id == 1 && field.type == THRIFT_STRUCT)
            read_cli_status(reader, ret);
        else if (field.id == 2 && field.type == THRIFT_STRUCT)
            value = read_string_of(reader, 1);
        else
            thrift_skip(reader, field.type);
    }
    if (ret->ok)
        answer(ret, true, "", value);
}

static const struct {
    const char *name;
    void (*put_arguments)(struct buf *buf);
    enum thrift_type success_type;
    void (*read_success)(struct thrift_reader *reader, struct thrift_answer *ret);
    const char *exceptions[2]; /* declared: fields 1 and 2 of the result */
} methods[] = {
    [THRIFT_GET_STATUS] = {"getStatus", put_nothing, THRIFT_I32, read_status, {NULL, NULL}},
    [THRIFT_GET_DATABASE] = {"get_database",
                             put_default_database,
                             THRIFT_STRUCT,
                             read_database,
                             {"NoSuchObjectException", "MetaException"}},
    [THRIFT_GET_INFO] = {"GetInfo", put_info_request, THRIFT_STRUCT, read_info, {NULL, NULL}},
};

int thrift_put_call(struct buf *buf, enum thrift_method method, int32_t seqid)
{
    (void)thrift_put_i32(buf, (int32_t)(STRICT_VERSION_1 | THRIFT_CALL));
    (void)put_bytes(buf, methods[method].name, strlen(methods[method].name));
    (void)thrift_put_i32(buf, seqid);
    methods[method].put_arguments(buf);
    return put_stop(buf);
}

/* A result is a struct: field 0 is the value, the others are the declared exceptions, each of which
 * has its message in field 1. */
static void read_result(struct thrift_reader *reader, enum thrift_method method,
                        struct thrift_answer *ret)
{
    struct thrift_field field;
    const char *name;

    answer(ret, false, "answered without a result", (struct thrift_text){"", 0});
    while (thrift_read_field(reader, &field)) {
        if (field.id == 0 && field.type == methods[method].success_type) {
            methods[method].read_success(reader, ret);
        } else if (field.id > 0 && field.type == THRIFT_STRUCT) {
            name = field.id <= 2 ? methods[method].exceptions[field.id - 1] : NULL;
            answer(ret, false, name ? name : "exception", read_string_of(reader, 1));
        } else {
            thrift_skip(reader, field.type);
        }
    }
}

int thrift_parse_reply(enum thrift_method method, int32_t seqid, const void *data, size_t len,
                       struct thrift_answer *ret)
{
    struct thrift_reader reader = {.data = data, .len = len};
    struct thrift_message message;

    if (!thrift_read_message(&reader, &message))
        return reader.fault;
    if (!text_is(message.name, methods[method].name) || message.seqid != seqid)
        return THRIFT_MALFORMED;
    switch (message.type) {
    case THRIFT_REPLY:
        read_result(&reader, method, ret);
        break;
    case THRIFT_EXCEPTION: /* TApplicationException {1: string message, 2: i32 type} */
        answer(ret, false, "TApplicationException", read_string_of(&reader, 1));
        break;
    case THRIFT_CALL:
    case THRIFT_ONEWAY:
    default:
        return THRIFT_MALFORMED;
    }
    return reader.fault ? reader.fault : (int)reader.pos;
}
