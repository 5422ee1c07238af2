/* Thrift calls over one connection, one at a time: bare (metastore, hive.server2.authentication
 * NOSASL) or, after a SASL login, in frames. An answer that is late stays owed: the next call waits
 * for it first, so a service that hangs has one call of ours in hand and no more. */
#ifndef SPARKPOD_PROBES_CONVERSATION_H
#define SPARKPOD_PROBES_CONVERSATION_H

#include "common/buf.h"
#include "common/err.h"
#include "probes/target.h"
#include "probes/thrift.h"
#include "probes/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct conversation {
    CURL *transport; /* NULL: closed */
    bool framed;
    bool owed; /* the last call's answer has not come */
    int64_t asked_ms;
    enum thrift_method method;
    int32_t seqid;
    struct buf inbox;
};

/* All functions return 0, or -1 with err: EXIT_UNAVAILABLE for what may pass by itself,
 * EXIT_REFUSED for a login, EXIT_CONFIG for a server that speaks something else. */

/* Connect to host. *ret is closed before the call, by zero or conversation_close(). */
int conversation_open(const struct target *target, const struct target_host *host,
                      int64_t deadline_ms, struct conversation *ret, struct err *err);

/* Log in by SASL PLAIN; frames from then on. Closed after a failure. */
int conversation_login(struct conversation *conversation, const char *user, const char *password,
                       int64_t deadline_ms, struct err *err);

/* Ask for a SASL mechanism that nobody has, and read the refusal: it takes a worker to answer. */
int conversation_provoke(struct conversation *conversation, int64_t deadline_ms, struct err *err);

/* Call method, about handle (NULL: none), and read its reply. After a failure the conversation is
 * closed, unless the answer is merely late: then it is open, and the answer owed. */
int conversation_call(struct conversation *conversation, enum thrift_method method,
                      const struct thrift_handle *handle, int64_t deadline_ms,
                      struct thrift_answer *ret, struct err *err);

void conversation_close(struct conversation *conversation);

#endif
