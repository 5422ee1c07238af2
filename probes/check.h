/* One question to one target, and the answer as this stack means it.
 *
 * A check may block up to its deadline, in DNS even longer (libpq): it runs in a helper process,
 * never in PID 1. */
#ifndef SPARKPOD_PROBES_CHECK_H
#define SPARKPOD_PROBES_CHECK_H

#include "common/err.h"
#include "probes/target.h"

#include <stdint.h>

enum check_state {
    CHECK_READY,
    CHECK_RETRY, /* DNS, refused, unreachable, timeout, starting up: may pass by itself */
    CHECK_FATAL, /* wrong password, no such database: passes only when somebody changes something */
};

#define CHECK_REASON_BYTES 256

struct check_result {
    enum check_state state;
    enum exit_status status; /* what a fatal result ends the program with */
    int64_t latency_us;
    char reason[CHECK_REASON_BYTES]; /* one line, no secret: "connection refused", "28P01: password
                                        refused for user hive"; what answered when ready */
};

/* Ask target once over a new connection, until deadline_ms of clock_ms(). */
void check_target(const struct target *target, int64_t deadline_ms, struct check_result *ret);

/* What a running service is asked again and again. */
enum check_question {
    CHECK_ALIVE,  /* would a restart help if this fails? Nothing outside the pod is asked */
    CHECK_USABLE, /* can a client be served now? */
};

/* A conversation with one service over a connection that is kept, since Spark 3.5 logs a stack
 * trace for each connection that authenticates and closes.
 *   metastore:    alive = fb303 getStatus; usable = get_database("default")
 *   hiveserver2:  alive = GetInfo on the kept connection; usable = a new connection gets a worker
 *   others:       check_target for both
 * It keeps to the host that answers, of a metastore's several. A login that a Thrift Server refuses
 * is the probe's own fault: the result is ready, says so, and the login is not tried again. */
struct check_session;

/* target is borrowed and must outlive the session. NULL without memory. */
struct check_session *check_session_new(const struct target *target);

/* Ask; the connection is opened where there is none, once more where the kept one has ended. */
void check_session_ask(struct check_session *session, enum check_question question,
                       int64_t deadline_ms, struct check_result *ret);

/* How often the kept connection was opened; 0 for NULL. */
unsigned check_session_connects(const struct check_session *session);

/* Close by FIN, all answers read, and free. Takes NULL. */
void check_session_free(struct check_session *session);

#endif
