#include "probes/conversation.h"

#include "common/clock.h"
#include "probes/sasl.h"

#include <string.h>

#define REQUEST_BYTES 4096
#define OWED_MAX_MS 60000 /* then its connection is given up */

/* A mechanism no server has: letters, digits, '-' and '_' (RFC 4422). */
#define UNKNOWN_MECHANISM "SPARKPOD-PROBE"

int conversation_open(const struct target *target, const struct target_host *host,
                      int64_t deadline_ms, struct conversation *ret, struct err *err)
{
    *ret = (struct conversation){.framed = target->framed, .inbox = BUF_INIT(THRIFT_MAX_BYTES)};
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

/* Send request and receive one message; its payload, a sentence, is added to text. The message's
 * status, or -1 and closed. */
static int shake_hands(struct conversation *conversation, const struct buf *request,
                       int64_t deadline_ms, struct buf *text, struct err *err)
{
    CURL *transport = conversation->transport;
    unsigned char bytes[SASL_HEADER_BYTES];
    struct sasl_header header;
    char payload[SASL_MAX_BYTES];

    if (buf_failed(request)) {
        err_set(err, EXIT_CONFIG, "user or password is too long");
        return close_failed(conversation);
    }
    if (transport_send(transport, request->data, request->len, deadline_ms, err) < 0 ||
        transport_receive(transport, bytes, sizeof(bytes), deadline_ms, err) < 0)
        return close_failed(conversation);
    if (sasl_parse_header(bytes, &header) < 0) {
        blame_server(bytes[0] > SASL_COMPLETE ? bytes[0] : 0, "SASL", err);
        return close_failed(conversation);
    }
    if (transport_receive(transport, payload, header.len, deadline_ms, err) < 0)
        return close_failed(conversation);
    (void)buf_add(text, payload, header.len);
    return (int)header.status;
}

int conversation_login(struct conversation *conversation, const char *user, const char *password,
                       int64_t deadline_ms, struct err *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_BYTES);
    BUF_AUTO text = BUF_INIT(SASL_MAX_BYTES);
    int status;

    (void)sasl_put_plain(&request, user, password);
    status = shake_hands(conversation, &request, deadline_ms, &text, err);
    if (status < 0)
        return -1;
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

    (void)sasl_put(&request, SASL_START, UNKNOWN_MECHANISM, strlen(UNKNOWN_MECHANISM));
    return shake_hands(conversation, &request, deadline_ms, &text, err) < 0 ? -1 : 0;
}

/* ---- calls ---- */

/* Ask; the answer is owed from then on. */
static int send_call(struct conversation *conversation, enum thrift_method method,
                     const struct thrift_handle *handle, int64_t deadline_ms, struct err *err)
{
    BUF_AUTO call = BUF_INIT(REQUEST_BYTES);
    BUF_AUTO request = BUF_INIT(REQUEST_BYTES);

    conversation->method = method;
    conversation->seqid++;
    conversation->asked_ms = clock_ms();
    conversation->owed = true;
    (void)thrift_put_call(&call, method, handle, conversation->seqid);
    if (conversation->framed)
        (void)thrift_put_i32(&request, (int32_t)call.len);
    if (buf_failed(&call) || buf_add(&request, call.data, call.len) < 0)
        return err_no_memory(err);
    return transport_send(conversation->transport, request.data, request.len, deadline_ms, err);
}

/* Read the answer that is owed. Its length, THRIFT_MALFORMED or THRIFT_MORE. */
static int parse_inbox(const struct conversation *conversation, struct thrift_answer *ret)
{
    const struct buf *inbox = &conversation->inbox;
    int used = (conversation->framed ? thrift_parse_frame : thrift_parse_reply)(
        conversation->method, conversation->seqid, inbox->data, inbox->len, ret);

    /* Nothing else was asked for. */
    return used > 0 && (size_t)used != inbox->len ? THRIFT_MALFORMED : used;
}

static int receive_answer(struct conversation *conversation, int64_t deadline_ms,
                          struct thrift_answer *ret, struct err *err)
{
    int64_t started_ms = clock_ms();
    struct buf *inbox = &conversation->inbox;
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
        used = buf_add(inbox, chunk, (size_t)got) < 0 ? THRIFT_MALFORMED
                                                      : parse_inbox(conversation, ret);
    }
    if (used == THRIFT_MALFORMED) {
        blame_server(conversation->framed ? 0 : (unsigned char)buf_str(inbox)[0], "Thrift", err);
        return close_failed(conversation);
    }
    buf_clear(inbox);
    conversation->owed = false;
    return 0;
}

/* To close and connect anew instead would undo what the kept connection is for: a pause of a
 * Thrift Server whose workers are all taken would leave us without one, and each hanging call would
 * take another worker of the metastore. */
int conversation_call(struct conversation *conversation, enum thrift_method method,
                      const struct thrift_handle *handle, int64_t deadline_ms,
                      struct thrift_answer *ret, struct err *err)
{
    if (!conversation->transport)
        return err_set(err, EXIT_UNAVAILABLE, "the connection is closed");
    if (conversation->owed && clock_ms() - conversation->asked_ms > OWED_MAX_MS) {
        err_set(err, EXIT_UNAVAILABLE, "no answer for %d s", OWED_MAX_MS / 1000);
        return close_failed(conversation);
    }
    if (conversation->owed && receive_answer(conversation, deadline_ms, ret, err) < 0)
        return -1;
    if (send_call(conversation, method, handle, deadline_ms, err) < 0)
        return close_failed(conversation);
    return receive_answer(conversation, deadline_ms, ret, err);
}
