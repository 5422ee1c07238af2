#include "probes/conversation.h"

#include "common/clock.h"
#include "probes/sasl.h"

#include <string.h>

#define REQUEST_BYTES 4096
#define FRAME_HEADER_BYTES 4
#define OWED_MAX_MS 60000 /* then its connection is given up */

/* A mechanism no server has: letters, digits, '-' and '_' (RFC 4422). */
#define UNKNOWN_MECHANISM "SPARKPOD-PROBE"

int conversation_open(struct conversation *ret, const struct target *target,
                      const struct target_host *host, int64_t deadline_ms, struct err *err)
{
    *ret = (struct conversation){.inbox = BUF_INIT(THRIFT_MAX_BYTES)};
    return transport_open(target, host, deadline_ms, &ret->transport, err);
}

void conversation_close(struct conversation *conversation)
{
    transport_free(conversation->transport);
    conversation->transport = NULL;
    conversation->owed = false;
    buf_free(&conversation->inbox);
}

static int close_failed(struct conversation *conversation)
{
    conversation_close(conversation);
    return -1;
}

/* What the first byte says of a server that does not speak what was expected. */
static int blame_server(unsigned char first, const char *expected, struct err *err)
{
    if (first >= SASL_START && first <= SASL_COMPLETE)
        return err_set(err, EXIT_CONFIG, "the server asks for a SASL login (Kerberos?)");
    if (first == 0x15) /* RFC 8446, ContentType alert */
        return err_set(err, EXIT_CONFIG, "the server speaks TLS");
    if (first == 'H')
        return err_set(err, EXIT_CONFIG, "the server speaks HTTP");
    return err_set(err, EXIT_UNAVAILABLE, "the answer is not %s", expected);
}

/* ---- SASL ---- */

/* Receive one SASL message; its payload, a sentence, is added to text. */
static int receive_sasl(struct conversation *conversation, int64_t deadline_ms,
                        enum sasl_status *ret_status, struct buf *text, struct err *err)
{
    unsigned char bytes[SASL_HEADER_BYTES];
    struct sasl_header header;
    char chunk[512];
    size_t part;

    if (transport_receive(conversation->transport, bytes, sizeof(bytes), deadline_ms, err) < 0)
        return -1;
    if (sasl_parse_header(bytes, &header) < 0)
        return blame_server(bytes[0] > SASL_COMPLETE ? bytes[0] : 0, "SASL", err);
    *ret_status = header.status;
    for (; header.len; header.len -= (uint32_t)part) {
        part = header.len < sizeof(chunk) ? header.len : sizeof(chunk);
        if (transport_receive(conversation->transport, chunk, part, deadline_ms, err) < 0)
            return -1;
        (void)buf_add(text, chunk, part);
    }
    return 0;
}

static int talk_sasl(struct conversation *conversation, const struct buf *request,
                     int64_t deadline_ms, enum sasl_status *ret_status, struct buf *text,
                     struct err *err)
{
    if (buf_failed(request))
        return err_set(err, EXIT_CONFIG, "user or password is too long");
    if (transport_send(conversation->transport, request->data, request->len, deadline_ms, err) < 0)
        return -1;
    return receive_sasl(conversation, deadline_ms, ret_status, text, err);
}

int conversation_login(struct conversation *conversation, const char *user, const char *password,
                       int64_t deadline_ms, struct err *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_BYTES);
    BUF_AUTO text = BUF_INIT(SASL_MAX_BYTES);
    enum sasl_status status = SASL_ERROR;

    (void)sasl_put_plain(&request, user, password);
    if (talk_sasl(conversation, &request, deadline_ms, &status, &text, err) < 0)
        return close_failed(conversation);
    if (status != SASL_COMPLETE) {
        err_set(err, EXIT_REFUSED, "login refused for user %s: %s", user, buf_str(&text));
        return close_failed(conversation);
    }
    conversation->framed = true;
    return 0;
}

int conversation_provoke(struct conversation *conversation, int64_t deadline_ms, struct err *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_BYTES);
    BUF_AUTO text = BUF_INIT(SASL_MAX_BYTES);
    enum sasl_status status = SASL_ERROR;

    (void)sasl_put(&request, SASL_START, UNKNOWN_MECHANISM, strlen(UNKNOWN_MECHANISM));
    if (talk_sasl(conversation, &request, deadline_ms, &status, &text, err) < 0)
        return close_failed(conversation);
    return 0;
}

/* ---- calls ---- */

/* thrift_parse_reply(), behind the length of a frame if there are frames. */
static int parse_inbox(const struct conversation *conversation, struct thrift_answer *ret)
{
    const unsigned char *data = (const unsigned char *)conversation->inbox.data;
    size_t len = conversation->inbox.len;
    struct thrift_reader header = {.data = data, .len = len};
    int32_t frame = 0;
    int used;

    if (conversation->framed) {
        frame = thrift_read_i32(&header);
        if (header.fault)
            return header.fault;
        if (frame <= 0 || frame > THRIFT_MAX_BYTES - FRAME_HEADER_BYTES)
            return THRIFT_MALFORMED;
        if (len < FRAME_HEADER_BYTES + (size_t)frame)
            return THRIFT_MORE;
        data += FRAME_HEADER_BYTES;
        len -= FRAME_HEADER_BYTES;
    }
    used = thrift_parse_reply(conversation->method, conversation->seqid, data, len, ret);
    if (used > 0 && (size_t)used != len)
        return THRIFT_MALFORMED; /* nothing else was asked for */
    return used == THRIFT_MORE && conversation->framed ? THRIFT_MALFORMED : used;
}

static int receive_answer(struct conversation *conversation, int64_t deadline_ms,
                          struct thrift_answer *ret, struct err *err)
{
    int64_t started_ms = clock_ms();
    int used = THRIFT_MORE;
    char chunk[16384];
    ssize_t got;

    while (used == THRIFT_MORE) {
        got =
            transport_receive_some(conversation->transport, chunk, sizeof(chunk), deadline_ms, err);
        if (got == 0)
            return transport_timed_out(started_ms, err);
        if (got < 0)
            return close_failed(conversation);
        used = buf_add(&conversation->inbox, chunk, (size_t)got) < 0
                   ? THRIFT_MALFORMED
                   : parse_inbox(conversation, ret);
    }
    if (used == THRIFT_MALFORMED) {
        blame_server(conversation->framed ? 0 : (unsigned char)buf_str(&conversation->inbox)[0],
                     "Thrift", err);
        return close_failed(conversation);
    }
    buf_clear(&conversation->inbox);
    conversation->owed = false;
    return 0;
}

static int send_call(struct conversation *conversation, int64_t deadline_ms, struct err *err)
{
    BUF_AUTO call = BUF_INIT(REQUEST_BYTES);
    BUF_AUTO request = BUF_INIT(REQUEST_BYTES);

    (void)thrift_put_call(&call, conversation->method, conversation->seqid);
    if (conversation->framed)
        (void)thrift_put_i32(&request, (int32_t)call.len);
    if (buf_failed(&call) || buf_add(&request, call.data, call.len) < 0)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    return transport_send(conversation->transport, request.data, request.len, deadline_ms, err);
}

int conversation_call(struct conversation *conversation, enum thrift_method method,
                      int64_t deadline_ms, struct thrift_answer *ret, struct err *err)
{
    if (conversation->owed && clock_ms() - conversation->asked_ms > OWED_MAX_MS) {
        err_set(err, EXIT_UNAVAILABLE, "no answer for %d s", OWED_MAX_MS / 1000);
        return close_failed(conversation);
    }
    if (conversation->owed && receive_answer(conversation, deadline_ms, ret, err) < 0)
        return -1;
    conversation->method = method;
    conversation->seqid++;
    conversation->asked_ms = clock_ms();
    if (send_call(conversation, deadline_ms, err) < 0)
        return close_failed(conversation);
    conversation->owed = true;
    return receive_answer(conversation, deadline_ms, ret, err);
}
