#include "probes/thrift.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REPLY "\x80\x01\x00\x02"
#define EXCEPTION "\x80\x01\x00\x03"
#define GET_STATUS "\x00\x00\x00\x09getStatus\x00\x00\x00\x01"
#define GET_DATABASE "\x00\x00\x00\x0cget_database\x00\x00\x00\x01"
#define GET_INFO "\x00\x00\x00\x07GetInfo\x00\x00\x00\x01"
#define OPEN_SESSION "\x00\x00\x00\x0bOpenSession\x00\x00\x00\x01"
#define EXECUTE                                                                                    \
    "\x00\x00\x00\x10"                                                                             \
    "ExecuteStatement\x00\x00\x00\x01"
#define FETCH                                                                                      \
    "\x00\x00\x00\x0c"                                                                             \
    "FetchResults\x00\x00\x00\x01"
#define CLOSE_OPERATION                                                                            \
    "\x00\x00\x00\x0e"                                                                             \
    "CloseOperation\x00\x00\x00\x01"
#define CLOSE_SESSION                                                                              \
    "\x00\x00\x00\x0c"                                                                             \
    "CloseSession\x00\x00\x00\x01"
#define GUID "0123456789abcdef"
#define SECRET "ghijklmnopqrstuv"
#define IDENTIFIER                                                                                 \
    "\x0c\x00\x01" STRING1 "\x00\x00\x00\x10" GUID "\x0b\x00\x02\x00\x00\x00\x10" SECRET "\x00"
#define SUCCESS "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00"
#define ERROR "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x03"
#define ONE_ROW(value)                                                                             \
    "\x0c\x00\x03\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x0f\x00\x02\x0c\x00\x00\x00\x00"     \
    "\x0f\x00\x03\x0c\x00\x00\x00\x01\x0c\x00\x04\x0f\x00\x01\x08" value                           \
    "\x0b\x00\x02\x00\x00\x00\x00\x00\x00\x00"
#define STRING1 "\x0b\x00\x01" /* header of field 1: string */
#define BYTES(literal) (literal), sizeof(literal) - 1

/* ---- calls ---- */

static const struct thrift_handle handle = {
    {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'},
    {'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v'}};

static void expect_call(enum thrift_method method, const char *want, size_t len)
{
    BUF_AUTO buf = BUF_INIT(4096);

    cr_assert_eq(thrift_put_call(&buf, method, &handle, 1), 0);
    cr_assert_eq(buf.len, len, "%zu bytes", buf.len);
    cr_expect_arr_eq(buf.data, want, len);
}

Test(thrift, get_status_is_called_with_22_bytes)
{
    expect_call(THRIFT_GET_STATUS, BYTES("\x80\x01\x00\x01" GET_STATUS "\x00"));
}

Test(thrift, get_database_is_called_with_default)
{
    expect_call(THRIFT_GET_DATABASE,
                BYTES("\x80\x01\x00\x01" GET_DATABASE STRING1 "\x00\x00\x00\x07"
                      "default\x00"));
}

Test(thrift, get_info_is_called_without_a_session)
{
    static const char sixteen[16];
    BUF_AUTO want = BUF_INIT(256);
    BUF_AUTO got = BUF_INIT(256);

    buf_add(&want, BYTES("\x80\x01\x00\x01" GET_INFO "\x0c\x00\x01\x0c\x00\x01\x0c\x00\x01" STRING1
                         "\x00\x00\x00\x10"));
    buf_add(&want, sixteen, sizeof(sixteen));
    buf_add(&want, BYTES("\x0b\x00\x02\x00\x00\x00\x10"));
    buf_add(&want, sixteen, sizeof(sixteen));
    buf_add(&want, BYTES("\x00\x00\x08\x00\x02\x00\x00\x00\x12\x00\x00"));
    cr_assert_eq(want.len, 0x55);
    cr_assert_eq(thrift_put_call(&got, THRIFT_GET_INFO, NULL, 1), 0);
    cr_assert_eq(got.len, want.len);
    cr_expect_arr_eq(got.data, want.data, want.len);
}

Test(thrift, a_call_that_does_not_fit_is_a_failure)
{
    BUF_AUTO buf = BUF_INIT(21);

    cr_expect_eq(thrift_put_call(&buf, THRIFT_GET_STATUS, NULL, 1), -1);
}

Test(thrift, a_statement_is_called_within_its_session)
{
    expect_call(THRIFT_OPEN_SESSION, BYTES("\x80\x01\x00\x01" OPEN_SESSION
                                           "\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x00\x00"));
    expect_call(THRIFT_EXECUTE,
                BYTES("\x80\x01\x00\x01" EXECUTE "\x0c\x00\x01\x0c\x00\x01" IDENTIFIER
                      "\x00\x0b\x00\x02\x00\x00\x00\x08SELECT 1\x00\x00"));
    expect_call(THRIFT_CLOSE_SESSION, BYTES("\x80\x01\x00\x01" CLOSE_SESSION
                                            "\x0c\x00\x01\x0c\x00\x01" IDENTIFIER "\x00\x00\x00"));
}

Test(thrift, results_are_called_for_by_their_operation)
{
    expect_call(THRIFT_FETCH, BYTES("\x80\x01\x00\x01" FETCH "\x0c\x00\x01\x0c\x00\x01" IDENTIFIER
                                    "\x08\x00\x02\x00\x00\x00\x00\x02\x00\x03\x01\x00"
                                    "\x08\x00\x02\x00\x00\x00\x00\x0a\x00\x03"
                                    "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"));
    expect_call(THRIFT_CLOSE_OPERATION,
                BYTES("\x80\x01\x00\x01" CLOSE_OPERATION "\x0c\x00\x01\x0c\x00\x01" IDENTIFIER
                      "\x08\x00\x02\x00\x00\x00\x00\x02\x00\x03\x01\x00\x00\x00"));
}

/* ---- replies ---- */

static const struct reply {
    const char *name;
    enum thrift_method method;
    const char *data;
    size_t len;
    bool ok;
    const char *text;
} replies[] = {
    {"alive", THRIFT_GET_STATUS, BYTES(REPLY GET_STATUS "\x08\x00\x00\x00\x00\x00\x02\x00"), true,
     "ALIVE"},
    {"starting", THRIFT_GET_STATUS, BYTES(REPLY GET_STATUS "\x08\x00\x00\x00\x00\x00\x01\x00"),
     false, "STARTING"},
    {"status 77", THRIFT_GET_STATUS, BYTES(REPLY GET_STATUS "\x08\x00\x00\x00\x00\x00\x4d\x00"),
     false, "unknown status"},
    {"status -1", THRIFT_GET_STATUS, BYTES(REPLY GET_STATUS "\x08\x00\x00\xff\xff\xff\xff\x00"),
     false, "unknown status"},
    {"no result", THRIFT_GET_STATUS, BYTES(REPLY GET_STATUS "\x00"), false,
     "answered without a result"},
    {"result of another type", THRIFT_GET_STATUS,
     BYTES(REPLY GET_STATUS "\x06\x00\x00\x00\x02\x00"), false, "answered without a result"},
    {"unknown method", THRIFT_GET_STATUS,
     BYTES(EXCEPTION GET_STATUS STRING1 "\x00\x00\x00\x1e"
                                        "Invalid method name: getStatus"
                                        "\x08\x00\x02\x00\x00\x00\x01\x00"),
     false, "TApplicationException: Invalid method name: getStatus"},
    {"exception without a message", THRIFT_GET_STATUS,
     BYTES(EXCEPTION GET_STATUS "\x08\x00\x02\x00\x00\x00\x06\x00"), false,
     "TApplicationException"},
    /* Database {1: name, 2: description, 4: map parameters, 6: ownerName, 7: i32 ownerType} */
    {"database", THRIFT_GET_DATABASE,
     BYTES(REPLY GET_DATABASE "\x0c\x00\x00" STRING1 "\x00\x00\x00\x07"
                              "default\x0b\x00\x02\x00\x00\x00\x02hi"
                              "\x0d\x00\x04\x0b\x0b\x00\x00\x00\x01\x00\x00\x00\x01k"
                              "\x00\x00\x00\x01v\x08\x00\x07\x00\x00\x00\x02\x00\x00"),
     true, "default"},
    {"no such database", THRIFT_GET_DATABASE,
     BYTES(REPLY GET_DATABASE "\x0c\x00\x01" STRING1 "\x00\x00\x00\x03nil\x00\x00"), false,
     "NoSuchObjectException: nil"},
    {"MetaException, which is a REPLY", THRIFT_GET_DATABASE,
     BYTES(REPLY GET_DATABASE "\x0c\x00\x02" STRING1 "\x00\x00\x00\x07no pool\x00\x00"), false,
     "MetaException: no pool"},
    {"undeclared exception", THRIFT_GET_DATABASE,
     BYTES(REPLY GET_DATABASE "\x0c\x00\x03" STRING1 "\x00\x00\x00\x01x\x00\x00"), false,
     "exception: x"},
    /* TGetInfoResp {1: TStatus {1: i32 statusCode}, 2: TGetInfoValue {1: string}} */
    {"version", THRIFT_GET_INFO,
     BYTES(REPLY GET_INFO "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00"
                          "\x0c\x00\x02" STRING1 "\x00\x00\x00\x05"
                          "3.5.6\x00\x00\x00"),
     true, "Spark 3.5.6"},
    {"success with info", THRIFT_GET_INFO,
     BYTES(REPLY GET_INFO "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x01\x0f\x00\x02\x0b"
                          "\x00\x00\x00\x01\x00\x00\x00\x01i\x00"
                          "\x0c\x00\x02" STRING1 "\x00\x00\x00\x01h\x00\x00\x00"),
     true, "Spark h"},
    {"invalid handle", THRIFT_GET_INFO,
     BYTES(REPLY GET_INFO "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x04"
                          "\x0b\x00\x05\x00\x00\x00\x04gone\x00\x00\x00"),
     false, "INVALID_HANDLE: gone"},
    {"error", THRIFT_GET_INFO,
     BYTES(REPLY GET_INFO "\x0c\x00\x00\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x03"
                          "\x08\x00\x04\x00\x00\x00\x07\x0b\x00\x05\x00\x00\x00\x04oops\x00"
                          "\x02\x00\x09\x01\x00\x00"),
     false, "ERROR: oops"},
    /* As Spark 3.5.6 sends them, with another handle. */
    {"session", THRIFT_OPEN_SESSION,
     BYTES(REPLY OPEN_SESSION SUCCESS "\x08\x00\x02\x00\x00\x00\x07\x0c\x00\x03" IDENTIFIER
                                      "\x00\x0d\x00\x04\x0b\x0b\x00\x00\x00\x00\x00\x00"),
     true, ""},
    {"no session", THRIFT_OPEN_SESSION, BYTES(REPLY OPEN_SESSION SUCCESS "\x00\x00"), false,
     "answered without a handle"},
    {"short guid", THRIFT_OPEN_SESSION,
     BYTES(REPLY OPEN_SESSION SUCCESS "\x0c\x00\x03\x0c\x00\x01" STRING1 "\x00\x00\x00\x01g"
                                      "\x0b\x00\x02\x00\x00\x00\x10" SECRET "\x00\x00\x00\x00"),
     false, "answered without a handle"},
    {"no more sessions", THRIFT_OPEN_SESSION,
     BYTES(REPLY OPEN_SESSION ERROR "\x0b\x00\x05\x00\x00\x00\x04"
                                    "full\x00\x00\x00"),
     false, "ERROR: full"},
    {"operation", THRIFT_EXECUTE,
     BYTES(REPLY EXECUTE SUCCESS "\x0c\x00\x02" IDENTIFIER
                                 "\x08\x00\x02\x00\x00\x00\x00\x02\x00\x03\x01\x00\x00\x00"),
     true, ""},
    {"row", THRIFT_FETCH,
     BYTES(REPLY FETCH SUCCESS
           "\x02\x00\x02\x00" ONE_ROW("\x00\x00\x00\x01\x00\x00\x00\x01") "\x00\x00"),
     true, "SELECT 1 gave 1"},
    {"another row", THRIFT_FETCH,
     BYTES(REPLY FETCH SUCCESS
           "\x02\x00\x02\x00" ONE_ROW("\x00\x00\x00\x01\x00\x00\x00\x02") "\x00\x00"),
     false, "SELECT 1 gave something else"},
    {"no row", THRIFT_FETCH,
     BYTES(REPLY FETCH SUCCESS "\x02\x00\x02\x00" ONE_ROW("\x00\x00\x00\x00") "\x00\x00"), false,
     "SELECT 1 gave something else"},
    {"no results", THRIFT_FETCH, BYTES(REPLY FETCH SUCCESS "\x00\x00"), false,
     "SELECT 1 gave something else"},
    {"closed operation", THRIFT_CLOSE_OPERATION, BYTES(REPLY CLOSE_OPERATION SUCCESS "\x00\x00"),
     true, ""},
    {"closed session", THRIFT_CLOSE_SESSION, BYTES(REPLY CLOSE_SESSION SUCCESS "\x00\x00"), true,
     ""},
    {"session that is gone", THRIFT_CLOSE_SESSION,
     BYTES(REPLY CLOSE_SESSION ERROR "\x0f\x00\x02\x0b\x00\x00\x00\x01\x00\x00\x00\x02*o"
                                     "\x08\x00\x04\x00\x00\x00\x00"
                                     "\x0b\x00\x05\x00\x00\x00\x04"
                                     "gone\x00\x00\x00"),
     false, "ERROR: gone"},
    {"every type there is", THRIFT_GET_STATUS,
     BYTES(REPLY GET_STATUS "\x02\x00\x09\x01\x03\x00\x0a\x01\x06\x00\x0b\x00\x01"
                            "\x0a\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x01"
                            "\x04\x00\x0d\x3f\xf0\x00\x00\x00\x00\x00\x00"
                            "\x0e\x00\x0e\x08\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02"
                            "\x0d\x00\x0f\x00\x00\x00\x00\x00\x00"
                            "\x08\x00\x00\x00\x00\x00\x02\x00"),
     true, "ALIVE"},
};

/* A copy of len bytes that ends where reading on is a crash. */
struct guarded {
    char *map;
    size_t size;
    char *data;
};

static struct guarded guard(const char *data, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len / page + 1) * page;
    struct guarded guarded = {.size = room + page};

    guarded.map =
        mmap(NULL, guarded.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(guarded.map, MAP_FAILED);
    cr_assert_eq(mprotect(guarded.map + room, page, PROT_NONE), 0);
    guarded.data = guarded.map + room - len;
    memcpy(guarded.data, data, len);
    return guarded;
}

static int parse_guarded(enum thrift_method method, const char *data, size_t len,
                         struct thrift_answer *ret)
{
    struct guarded guarded = guard(data, len);
    int result = thrift_parse_reply(method, 1, guarded.data, len, ret);

    munmap(guarded.map, guarded.size);
    return result;
}

Test(thrift, replies_mean_what_the_interface_says)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        const struct reply *reply = &replies[i];
        struct thrift_answer answer;
        int used = parse_guarded(reply->method, reply->data, reply->len, &answer);

        cr_assert_eq(used, (int)reply->len, "%s: %d of %zu", reply->name, used, reply->len);
        cr_expect_eq(answer.ok, reply->ok, "%s", reply->name);
        cr_expect_str_eq(answer.text, reply->text, "%s: %s", reply->name, answer.text);
    }
}

Test(thrift, a_handle_is_taken_from_its_reply)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        const struct reply *reply = &replies[i];
        struct thrift_answer answer = {.ok = false};

        (void)parse_guarded(reply->method, reply->data, reply->len, &answer);
        if (answer.ok && (reply->method == THRIFT_OPEN_SESSION || reply->method == THRIFT_EXECUTE))
            cr_expect_arr_eq(&answer.handle, &handle, sizeof(handle), "%s", reply->name);
    }
}

Test(thrift, every_prefix_of_a_reply_needs_more)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        const struct reply *reply = &replies[i];
        struct thrift_answer answer;

        for (size_t len = 0; len < reply->len; len++)
            cr_assert_eq(parse_guarded(reply->method, reply->data, len, &answer), THRIFT_MORE,
                         "%s at %zu", reply->name, len);
    }
}

Test(thrift, what_follows_a_reply_is_not_part_of_it)
{
    static const char twice[] =
        REPLY GET_STATUS "\x08\x00\x00\x00\x00\x00\x02\x00" REPLY GET_STATUS;
    struct thrift_answer answer;

    cr_expect_eq(thrift_parse_reply(THRIFT_GET_STATUS, 1, twice, sizeof(twice) - 1, &answer), 29);
}

Test(thrift, any_byte_changed_is_harmless)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        const struct reply *reply = &replies[i];
        struct guarded guarded = guard(reply->data, reply->len);
        struct thrift_answer answer;

        for (size_t at = 0; at < reply->len; at++)
            for (int value = 0; value < 256; value++) {
                int used;

                guarded.data[at] = (char)value;
                used = thrift_parse_reply(reply->method, 1, guarded.data, reply->len, &answer);
                cr_assert(used >= THRIFT_MORE && used <= (int)reply->len);
                guarded.data[at] = reply->data[at];
            }
        munmap(guarded.map, guarded.size);
    }
}

static const struct malformed {
    const char *name;
    const char *data;
    size_t len;
} malformed[] = {
    {"another method", BYTES(REPLY "\x00\x00\x00\x07getName\x00\x00\x00\x01\x00")},
    {"another call", BYTES(REPLY "\x00\x00\x00\x09getStatus\x00\x00\x00\x02\x00")},
    {"a CALL", BYTES("\x80\x01\x00\x01" GET_STATUS "\x00")},
    {"a ONEWAY", BYTES("\x80\x01\x00\x04" GET_STATUS "\x00")},
    {"no message type", BYTES("\x80\x01\x00\x00" GET_STATUS "\x00")},
    {"version 2", BYTES("\x80\x02\x00\x02" GET_STATUS "\x00")},
    {"not strict", BYTES("\x00\x00\x00\x09getStatus\x02\x00\x00\x00\x01\x00")},
    {"SASL", BYTES("\x03")},
    {"TLS alert", BYTES("\x15\x03\x03\x00\x02\x02\x46")},
    {"HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n")},
    {"name of 100 MB", BYTES(REPLY "\x06\x40\x00\x00get")},
    {"name of -1", BYTES(REPLY "\xff\xff\xff\xffget")},
    {"unknown type", BYTES(REPLY GET_STATUS "\x01\x00\x09\x00\x00\x00\x00\x00")},
    {"type 255", BYTES(REPLY GET_STATUS "\xff\x00\x09\x00\x00\x00\x00\x00")},
    {"string of 100 MB", BYTES(REPLY GET_STATUS "\x0b\x00\x09\x06\x40\x00\x00")},
    {"string of -2 GB", BYTES(REPLY GET_STATUS "\x0b\x00\x09\x80\x00\x00\x00")},
    {"list of 100 M", BYTES(REPLY GET_STATUS "\x0f\x00\x09\x02\x06\x40\x00\x00")},
    {"map of -1", BYTES(REPLY GET_STATUS "\x0d\x00\x09\x02\x02\xff\xff\xff\xff")},
    {"list of STOPs", BYTES(REPLY GET_STATUS "\x0f\x00\x09\x00\x00\x0f\xff\xff")},
};

Test(thrift, what_cannot_be_the_reply_is_refused)
{
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct thrift_answer answer;

        cr_expect_eq(parse_guarded(THRIFT_GET_STATUS, malformed[i].data, malformed[i].len, &answer),
                     THRIFT_MALFORMED, "%s", malformed[i].name);
    }
}

/* REPLY GET_STATUS with levels structs in one another. */
static int parse_nested(int levels)
{
    BUF_AUTO buf = BUF_INIT(4096);
    struct thrift_answer answer;

    buf_add(&buf, BYTES(REPLY GET_STATUS));
    for (int i = 0; i < levels; i++)
        buf_add(&buf, BYTES("\x0c\x00\x09"));
    for (int i = 0; i <= levels; i++)
        buf_add_char(&buf, '\0');
    return thrift_parse_reply(THRIFT_GET_STATUS, 1, buf.data, buf.len, &answer);
}

Test(thrift, nesting_has_a_limit)
{
    cr_expect_gt(parse_nested(THRIFT_MAX_DEPTH), 0);
    cr_expect_eq(parse_nested(THRIFT_MAX_DEPTH + 2), THRIFT_MALFORMED);
    cr_expect_eq(parse_nested(1000), THRIFT_MALFORMED);
}

Test(thrift, a_long_message_is_cut)
{
    BUF_AUTO buf = BUF_INIT(8192);
    struct thrift_answer answer;

    buf_add(&buf, BYTES(EXCEPTION GET_STATUS STRING1));
    thrift_put_i32(&buf, 5000);
    for (int i = 0; i < 5000; i++)
        buf_add_char(&buf, 'm');
    buf_add_char(&buf, '\0');
    cr_assert_eq(thrift_parse_reply(THRIFT_GET_STATUS, 1, buf.data, buf.len, &answer),
                 (int)buf.len);
    cr_expect_eq(strlen(answer.text), THRIFT_TEXT_BYTES - 1);
}

/* ---- frames ---- */

#define STATUS_REPLY REPLY GET_STATUS "\x08\x00\x00\x00\x00\x00\x02\x00" /* 29 bytes */

Test(thrift, a_frame_holds_one_reply_and_nothing_else)
{
    static const struct {
        const char *data;
        size_t len;
        int result;
    } cases[] = {
        {BYTES("\x00\x00\x00\x1d" STATUS_REPLY), 33},
        {BYTES("\x00\x00\x00\x1d" STATUS_REPLY "next"), 33},
        {BYTES("\x00\x00\x00"), THRIFT_MORE},
        {BYTES("\x00\x00\x00\x1d" REPLY), THRIFT_MORE},
        {BYTES("\x00\x00\x00\x1e" STATUS_REPLY "x"), THRIFT_MALFORMED},
        {BYTES("\x00\x00\x00\x08" STATUS_REPLY), THRIFT_MALFORMED},
        {BYTES("\x00\x00\x00\x00" STATUS_REPLY), THRIFT_MALFORMED},
        {BYTES("\x06\x40\x00\x00" STATUS_REPLY), THRIFT_MALFORMED},
        {BYTES("\xff\xff\xff\xff" STATUS_REPLY), THRIFT_MALFORMED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guarded guarded = guard(cases[i].data, cases[i].len);
        struct thrift_answer answer;

        cr_expect_eq(thrift_parse_frame(THRIFT_GET_STATUS, 1, guarded.data, cases[i].len, &answer),
                     cases[i].result, "case %zu", i);
        munmap(guarded.map, guarded.size);
    }
}
