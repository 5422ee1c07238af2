/* The checks behind check.h, one per kind of target; nobody else includes this. */
#ifndef SPARKPOD_PROBES_CHECKS_H
#define SPARKPOD_PROBES_CHECKS_H

#include "probes/check.h"
#include "probes/conversation.h"

struct check_session {
    const struct target *target;
    struct conversation kept;   /* alive: getStatus, GetInfo */
    struct conversation second; /* metastore, usable: may hang where the database hangs */
    char version[16];           /* hiveserver2: Spark's, as GetInfo gave it; "" before */
    bool login_refused;         /* hiveserver2: not tried again, accounts would be locked */
    bool port_closed;           /* hiveserver2: a new connection was refused */
    size_t host;                /* which of target's is talked with */
    unsigned connects;
};

/* Ask one host once, over a new connection. *ret is all zero before; its latency is the caller's.
 */
void check_postgres(const struct target *target, const struct target_host *host,
                    int64_t deadline_ms, struct check_result *ret);
void check_metastore(const struct target *target, const struct target_host *host,
                     int64_t deadline_ms, struct check_result *ret);
void check_hiveserver2(const struct target *target, const struct target_host *host,
                       int64_t deadline_ms, struct check_result *ret);
void check_http(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                struct check_result *ret);
void check_tcp(const struct target *target, const struct target_host *host, int64_t deadline_ms,
               struct check_result *ret);

/* check_session_ask() for those that keep a connection; the session talks with the first host. */
void metastore_ask(struct check_session *session, enum check_question question, int64_t deadline_ms,
                   struct check_result *ret);
void hiveserver2_ask(struct check_session *session, enum check_question question,
                     int64_t deadline_ms, struct check_result *ret);

/* Open a conversation, logged in where the kind of target wants it. 0, or -1 with err. */
typedef int checks_connect(const struct target *target, const struct target_host *host,
                           int64_t deadline_ms, struct conversation *ret, struct err *err);

/* Call method over a conversation of session that is kept: opened by connect where it is closed,
 * and once more where it turns out to have ended. */
void checks_call_kept(struct check_session *session, struct conversation *kept,
                      checks_connect *connect, enum thrift_method method, int64_t deadline_ms,
                      struct check_result *ret);

/* Until when one of hosts_left hosts may take, with the time until deadline_ms shared equally. */
int64_t checks_share(int64_t deadline_ms, size_t hosts_left);

/* Results. EXIT_UNAVAILABLE and EXIT_INTERNAL may pass by themselves, other statuses are fatal. */
void checks_ready(struct check_result *ret, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void checks_failed(struct check_result *ret, const struct err *err);
void checks_take_answer(const struct thrift_answer *answer, struct check_result *ret);

#endif
