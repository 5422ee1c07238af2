#include "probes/check.h"

#include "common/clock.h"
#include "probes/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void checks_ready(struct check_result *ret, const char *format, ...)
{
    va_list args;

    ret->state = CHECK_READY;
    ret->status = EXIT_DONE;
    va_start(args, format);
    (void)vsnprintf(ret->reason, sizeof(ret->reason), format, args);
    va_end(args);
}

void checks_failed(struct check_result *ret, const struct err *err)
{
    bool passes = err->status == EXIT_UNAVAILABLE || err->status == EXIT_INTERNAL;

    ret->state = passes ? CHECK_RETRY : CHECK_FATAL;
    ret->status = err->status;
    (void)snprintf(ret->reason, sizeof(ret->reason), "%.*s", CHECK_REASON_BYTES - 1, err->message);
}

/* ---- Thrift calls ---- */

void checks_take_answer(const struct thrift_answer *answer, struct check_result *ret)
{
    struct err err;

    if (answer->ok) {
        checks_ready(ret, "%s", answer->text);
    } else {
        err_set(&err, EXIT_UNAVAILABLE, "%s", answer->text);
        checks_failed(ret, &err);
    }
}

/* Each of the hosts may do, first the one that did last. */
static int connect_to_any(struct check_session *session, struct conversation *kept,
                          checks_connect *connect, int64_t deadline_ms, struct err *err)
{
    const struct target *target = session->target;
    size_t count = target->host_count;

    for (size_t left = count; left > 0; left--) {
        if (connect(target, &target->hosts[session->host], checks_share(deadline_ms, left), kept,
                    err) == 0)
            return 0;
        session->host = (session->host + 1) % count;
    }
    return -1;
}

void checks_call_kept(struct check_session *session, struct conversation *kept,
                      checks_connect *connect, enum thrift_method method, int64_t deadline_ms,
                      struct check_result *ret)
{
    struct err err = {.status = EXIT_INTERNAL, .message = "no host"};
    struct thrift_answer answer;
    bool was_open;

    do {
        was_open = kept->transport != NULL;
        if (!was_open && connect_to_any(session, kept, connect, deadline_ms, &err) < 0)
            break;
        session->connects += !was_open;
        if (conversation_call(kept, method, NULL, deadline_ms, &answer, &err) == 0) {
            checks_take_answer(&answer, ret);
            return;
        }
    } while (was_open && !kept->transport);
    checks_failed(ret, &err);
}

/* ---- dispatch ---- */

static void (*const checks[])(const struct target *target, const struct target_host *host,
                              int64_t deadline_ms, struct check_result *ret) = {
    [TARGET_POSTGRES] = check_postgres,
    [TARGET_METASTORE] = check_metastore,
    [TARGET_HIVESERVER2] = check_hiveserver2,
    [TARGET_HTTP] = check_http,
    [TARGET_TCP] = check_tcp,
};

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One line of ASCII: what servers say goes into logs, JSON and HTTP. */
static void finish(struct check_result *ret, int64_t started_us)
{
    size_t len;

    ret->latency_us = now_us() - started_us;
    for (char *p = ret->reason; *p; p++)
        if (*p < ' ' || *p == 0x7f)
            *p = *p < 0 ? '?' : ' ';
    len = strlen(ret->reason);
    while (len && ret->reason[len - 1] == ' ')
        ret->reason[--len] = '\0';
}

/* Add what one of several hosts said to what the others did; a fatal answer outlasts the others. */
static void add_failure(struct check_result *all, const struct target_host *host,
                        const struct check_result *one)
{
    size_t len = strlen(all->reason);

    if (len == 0 || one->state == CHECK_FATAL) {
        all->state = one->state;
        all->status = one->status;
    }
    (void)snprintf(all->reason + len, sizeof(all->reason) - len, "%s%s: %s", len ? "; " : "",
                   host->name, one->reason);
}

int64_t checks_share(int64_t deadline_ms, size_t hosts_left)
{
    int left = clock_left_ms(deadline_ms);

    return left < 0 ? CLOCK_NEVER : clock_ms() + left / (int64_t)hosts_left;
}

void check_target(const struct target *target, int64_t deadline_ms, struct check_result *ret)
{
    int64_t started_us = now_us();
    size_t count = target->host_count;

    *ret = (struct check_result){.state = CHECK_RETRY, .status = EXIT_UNAVAILABLE};
    for (size_t i = 0; i < count; i++) {
        const struct target_host *host = &target->hosts[i];
        struct check_result one = {.state = CHECK_RETRY, .status = EXIT_UNAVAILABLE};

        checks[target->kind](target, host, checks_share(deadline_ms, count - i), &one);
        if (one.state == CHECK_READY || count == 1) {
            *ret = one;
            break;
        }
        add_failure(ret, host, &one);
    }
    finish(ret, started_us);
}

/* ---- sessions ---- */

struct check_session *check_session_new(const struct target *target)
{
    struct check_session *session = calloc(1, sizeof(*session));

    if (session)
        session->target = target;
    return session;
}

void check_session_ask(struct check_session *session, enum check_question question,
                       int64_t deadline_ms, struct check_result *ret)
{
    int64_t started_us = now_us();

    *ret = (struct check_result){.state = CHECK_RETRY, .status = EXIT_UNAVAILABLE};
    switch (session->target->kind) {
    case TARGET_METASTORE:
        metastore_ask(session, question, deadline_ms, ret);
        break;
    case TARGET_HIVESERVER2:
        hiveserver2_ask(session, question, deadline_ms, ret);
        break;
    case TARGET_POSTGRES:
    case TARGET_HTTP:
    case TARGET_TCP:
        check_target(session->target, deadline_ms, ret);
        break;
    }
    finish(ret, started_us);
}

unsigned check_session_connects(const struct check_session *session)
{
    return session ? session->connects : 0;
}

void check_session_free(struct check_session *session)
{
    if (!session)
        return;
    conversation_close(&session->kept);
    conversation_close(&session->second);
    free(session);
}
