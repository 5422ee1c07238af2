#include "probes/wait.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "probes/attempt.h"
#include "probes/ports.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define FIRST_DELAY_MS 50
#define MAX_DELAY_MS 1000
#define GROWTH 4        /* a delay is this part of the time since the last news */
#define CREDIT_MS 13500 /* how much earlier than MAX_DELAY_MS tries may come, all together */
#define NEWS_MS 2000    /* what is added when a target first says something else */
#define REFILL 20       /* this part of the time that passes is credit again */
#define SHARE 4         /* one try takes this part of the credit at most, so that some is left */
#define LOOK_MS 50      /* between two looks at the ports of this machine */
#define FATAL_DELAY_MS 5000 /* a wrong password is a line in the server's log each time */
#define SHOW_MS 1000

/* One target, and the try under way. */
struct waiter {
    const struct target *target;
    struct attempt attempt;
    int64_t next_try_ms;
    int64_t fatal_since_ms;
    int64_t news_ms;             /* when it last said something new */
    int64_t credit_ms, bonus_ms; /* see CREDIT_MS, NEWS_MS */
    bool was_open;               /* somebody listens on its port, on this machine */
    unsigned tries;
    struct check_result last;
};

struct wait {
    const struct wait_options *options;
    struct waiter *waiters;
    struct pollfd *polls; /* cancel_fd, then one per waiter */
    size_t count;
    int64_t started_ms, deadline_ms;
    int64_t look_ms;  /* when to look at the ports again */
    int64_t shown_ms; /* when the status line was written; 0: it is to be written */
};

/* ---- what has been learnt ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* delay, give or take a quarter, so that many pods do not ask in step. */
static int64_t jittered(int64_t delay_ms)
{
    uint16_t random = 0;

    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return delay_ms * 3 / 4 + delay_ms / 2 * random / UINT16_MAX;
}

/* With n delays in t ms and s ms of credit spent, n * MAX_DELAY_MS = t + s. So the first minute has
 * at most 60 + 13.5 + 2 + 3 tries behind the first one, and one for a port that is opened here. */
static void plan_try(struct waiter *waiter)
{
    int64_t now_ms = clock_ms(), delay_ms = (now_ms - waiter->news_ms) / GROWTH, early_ms;

    delay_ms = delay_ms < FIRST_DELAY_MS ? FIRST_DELAY_MS : earlier(delay_ms, MAX_DELAY_MS);
    if (waiter->last.state == CHECK_FATAL)
        delay_ms = FATAL_DELAY_MS;
    early_ms = earlier(MAX_DELAY_MS - jittered(delay_ms),
                       waiter->credit_ms > 0 ? waiter->credit_ms / SHARE : 0);
    waiter->next_try_ms = now_ms + MAX_DELAY_MS - early_ms;
    waiter->credit_ms =
        earlier(waiter->credit_ms - early_ms + (MAX_DELAY_MS - early_ms) / REFILL, CREDIT_MS);
}

static void take_news(struct waiter *waiter)
{
    waiter->news_ms = clock_ms();
    if (waiter->tries > 1) {
        waiter->credit_ms += waiter->bonus_ms;
        waiter->bonus_ms = 0;
    }
}

static void log_change(const struct wait *wait, const struct waiter *waiter)
{
    char took[CLOCK_DURATION_BYTES];
    const char *url = waiter->target->url, *reason = waiter->last.reason;

    switch (waiter->last.state) {
    case CHECK_READY:
        clock_format_duration(clock_ms() - wait->started_ms, took, sizeof(took));
        log_info("wait", "%s ready after %s (%u %s)", url, took, waiter->tries,
                 waiter->tries == 1 ? "try" : "tries");
        return;
    case CHECK_RETRY:
        log_info("wait", "%s not yet: %s", url, reason);
        return;
    case CHECK_FATAL:
        log_warn("wait", "%s refused: %s", url, reason);
        return;
    }
}

/* One timeout is like another, however long it took. */
static bool is_news(const struct check_result *old, const struct check_result *now)
{
    static const char timeout[] = "timed out after";

    return old->state != now->state ||
           (strcmp(old->reason, now->reason) != 0 &&
            !(strstr(old->reason, timeout) && strstr(now->reason, timeout)));
}

static void take_result(struct wait *wait, struct waiter *waiter, const struct check_result *result)
{
    bool news = is_news(&waiter->last, result);
    bool fatal = result->state == CHECK_FATAL;

    attempt_end(&waiter->attempt);
    waiter->tries++;
    if (fatal && waiter->last.state != CHECK_FATAL)
        waiter->fatal_since_ms = clock_ms();
    waiter->last = *result;
    if (news)
        take_news(waiter);
    plan_try(waiter);
    wait->shown_ms = 0;
    if (!news)
        return;
    log_change(wait, waiter);
    if (wait->options->changed)
        wait->options->changed(wait->options->context, (size_t)(waiter - wait->waiters), result);
}

static void take_failure(struct wait *wait, struct waiter *waiter, const char *reason)
{
    struct check_result result = {.state = CHECK_RETRY, .status = EXIT_UNAVAILABLE};

    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    take_result(wait, waiter, &result);
}

static bool is_ready(const struct waiter *waiter)
{
    return waiter->last.state == CHECK_READY;
}

/* ---- the loop ---- */

/* Try at once where a port has been opened on this machine: a sidecar, such as a cloud's proxy for
 * its database, is seen to listen, and no try is spent on waiting for it. */
static void look_at_ports(struct wait *wait)
{
    if (clock_ms() < wait->look_ms)
        return;
    wait->look_ms = clock_ms() + LOOK_MS;
    for (size_t i = 0; i < wait->count; i++) {
        struct waiter *waiter = &wait->waiters[i];
        bool is_open = false;

        if (is_ready(waiter) || waiter->attempt.pid)
            continue;
        for (size_t j = 0; j < waiter->target->host_count && !is_open; j++)
            is_open = ports_is_open(waiter->target->hosts[j].port);
        if (is_open && !waiter->was_open && waiter->credit_ms >= 0) {
            waiter->credit_ms -= MAX_DELAY_MS;
            waiter->next_try_ms = clock_ms();
        }
        waiter->was_open = is_open;
    }
}

/* "waiting 12s, 1 of 3 ready: tcp://a:1: connection refused; …" */
static void show(struct wait *wait)
{
    BUF_AUTO text = BUF_INIT(LOG_LINE_BYTES);
    int64_t now_ms = clock_ms();
    size_t ready = 0;

    if (wait->shown_ms && now_ms - wait->shown_ms < SHOW_MS)
        return;
    wait->shown_ms = now_ms;
    for (size_t i = 0; i < wait->count; i++) {
        const struct waiter *waiter = &wait->waiters[i];

        ready += is_ready(waiter);
        if (!is_ready(waiter))
            (void)buf_printf(&text, "%s%s: %s", text.len ? "; " : "", waiter->target->url,
                             waiter->last.reason);
    }
    log_status("waiting %" PRId64 "s, %zu of %zu ready: %s", (now_ms - wait->started_ms) / 1000,
               ready, wait->count, buf_str(&text));
}

/* Before what was refused is tried again: what refused it may have been given something new. */
static void refresh(struct wait *wait)
{
    int64_t now_ms = clock_ms();

    if (!wait->options->refresh || !wait->options->refresh(wait->options->context))
        return;
    log_info("wait", "secrets changed, trying again");
    for (size_t i = 0; i < wait->count; i++)
        wait->waiters[i].fatal_since_ms = wait->waiters[i].next_try_ms = now_ms;
}

/* Start what is due, end what hangs. */
static void advance(struct wait *wait, struct waiter *waiter)
{
    int64_t now_ms = clock_ms();

    if (is_ready(waiter))
        return;
    if (waiter->attempt.pid && now_ms >= waiter->attempt.killed_at_ms)
        take_failure(wait, waiter, "no answer, the try was ended");
    if (waiter->attempt.pid || now_ms < waiter->next_try_ms)
        return;
    if (waiter->last.state == CHECK_FATAL)
        refresh(wait);
    if (attempt_start(&waiter->attempt, waiter->target,
                      earlier(now_ms + wait->options->try_timeout_ms, wait->deadline_ms)) < 0)
        take_failure(wait, waiter, strerror(errno));
}

static int64_t next_event_ms(const struct wait *wait)
{
    int64_t next_ms = earlier(wait->deadline_ms, wait->look_ms);

    for (size_t i = 0; i < wait->count; i++) {
        const struct waiter *waiter = &wait->waiters[i];

        if (!is_ready(waiter))
            next_ms = earlier(next_ms, waiter->attempt.pid ? waiter->attempt.killed_at_ms
                                                           : waiter->next_try_ms);
    }
    return next_ms;
}

static void read_result(struct wait *wait, struct waiter *waiter)
{
    struct check_result result;

    if (read(waiter->attempt.fd, &result, sizeof(result)) == sizeof(result))
        take_result(wait, waiter, &result);
    else
        take_failure(wait, waiter, "the check ended without a result");
}

/* Sleep until something happens. true when the wait is cancelled. */
static bool sleep_on(struct wait *wait)
{
    struct pollfd *polls = wait->polls;

    polls[0] = (struct pollfd){.fd = wait->options->cancel_fd, .events = POLLIN};
    for (size_t i = 0; i < wait->count; i++)
        polls[i + 1] = (struct pollfd){.fd = wait->waiters[i].attempt.fd, .events = POLLIN};
    if (poll(polls, wait->count + 1, clock_left_ms(next_event_ms(wait))) <= 0)
        return false;
    for (size_t i = 0; i < wait->count; i++)
        if (polls[i + 1].revents)
            read_result(wait, &wait->waiters[i]);
    return polls[0].revents != 0;
}

/* ---- the end ---- */

static bool all_ready(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++)
        if (!is_ready(&wait->waiters[i]))
            return false;
    return true;
}

/* A login that may lock an account is tried once. */
static const struct waiter *find_fatal(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        const struct waiter *waiter = &wait->waiters[i];
        int64_t grace_ms = waiter->target->lockout ? 0 : wait->options->fatal_grace_ms;

        if (waiter->last.state == CHECK_FATAL && clock_ms() - waiter->fatal_since_ms >= grace_ms)
            return waiter;
    }
    return NULL;
}

static int timed_out(const struct wait *wait, struct err *err)
{
    char took[CLOCK_DURATION_BYTES];
    BUF_AUTO text = BUF_INIT(ERR_MESSAGE_BYTES);

    for (size_t i = 0; i < wait->count; i++) {
        const struct waiter *waiter = &wait->waiters[i];

        if (!is_ready(waiter))
            (void)buf_printf(&text, "%s%s: %s", text.len ? "; " : "", waiter->target->url,
                             waiter->last.reason);
    }
    return err_set(err, EXIT_UNAVAILABLE, "not ready after %s: %s",
                   clock_format_duration(wait->options->timeout_ms, took, sizeof(took)),
                   buf_str(&text));
}

static int run(struct wait *wait, struct err *err)
{
    const struct waiter *fatal;

    for (;;) {
        look_at_ports(wait);
        for (size_t i = 0; i < wait->count; i++)
            advance(wait, &wait->waiters[i]);
        show(wait);
        if (all_ready(wait))
            return 0;
        fatal = find_fatal(wait);
        if (fatal)
            return err_set(err, fatal->last.status, "%s: %s", fatal->target->url,
                           fatal->last.reason);
        if (clock_ms() >= wait->deadline_ms)
            return timed_out(wait, err);
        if (sleep_on(wait))
            return err_set(err, EXIT_SIGNAL_BASE + SIGTERM, "the wait was cancelled");
    }
}

int wait_for_targets(const struct target *targets, size_t count, const struct wait_options *options,
                     struct err *err)
{
    int64_t now_ms = clock_ms();
    struct wait wait = {
        .options = options,
        .waiters = calloc(count + 1, sizeof(*wait.waiters)),
        .polls = calloc(count + 1, sizeof(*wait.polls)),
        .count = count,
        .started_ms = now_ms,
        .deadline_ms = options->timeout_ms ? now_ms + options->timeout_ms : CLOCK_NEVER,
    };
    int result = -1;

    if (wait.waiters && wait.polls) {
        for (size_t i = 0; i < count; i++)
            wait.waiters[i] =
                (struct waiter){.target = &targets[i],
                                .attempt = {.fd = -1},
                                .news_ms = now_ms,
                                .credit_ms = CREDIT_MS,
                                .bonus_ms = NEWS_MS,
                                .last = {.state = CHECK_RETRY, .reason = "no answer yet"}};
        result = run(&wait, err);
        log_status("%s", "");
        for (size_t i = 0; i < count; i++)
            attempt_end(&wait.waiters[i].attempt);
    } else {
        err_no_memory(err);
    }
    free(wait.waiters);
    free(wait.polls);
    return result;
}
