#include "probes/snapshot.h"

#include "common/clock.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* A reader meets a writer for a microsecond, a killed writer for ever: then it gives up. */
#define READ_TRIES 64

/* One more than is shown: it may be overwritten while the others are read. */
#define TICKS (SNAPSHOT_TICKS + 1)

/* A tick is one word: whether it passed, its latency, and when it was, in seconds since the page
 * was made. */
#define TICK_LATENCY_BITS 31
#define TICK_LATENCY_MAX (((int64_t)1 << TICK_LATENCY_BITS) - 1)

const int64_t snapshot_bucket_us[SNAPSHOT_BUCKETS] = {1000,    2500,    5000,     10000,    25000,
                                                      50000,   100000,  250000,   500000,   1000000,
                                                      2500000, 5000000, 10000000, INT64_MAX};

/* A seqlock. */
struct record {
    atomic_uint sequence; /* 0: never written; odd: a writer is at work, or was killed at it */
    struct snapshot_result value;
};

/* What a check did until now. Single words, so that a killed writer leaves nothing half done. */
struct tally {
    _Atomic uint64_t passed, failed;
    atomic_bool up;
    atomic_int
        streak; /* results in a row that were alike: good ones, or less than 0 the bad ones */
    _Atomic uint64_t buckets[SNAPSHOT_BUCKETS], sum_us;
    _Atomic uint64_t ticks[TICKS], tick_count;
};

struct snapshot {
    char role[32];
    int64_t born_ms, born_unix_ms;
    int failure_threshold, success_threshold;
    atomic_int phase;
    _Atomic int64_t began_ms[PHASE_COUNT]; /* 0: not reached */
    _Atomic int64_t deadline_ms;           /* of the phase */
    atomic_int running;
    atomic_uint workers;
    atomic_uint connects;
    atomic_bool ui_seen;
    atomic_size_t waiting_count;
    struct tally tallies[SNAPSHOT_CHECKS];
    struct record results[SNAPSHOT_CHECKS];
    struct record waiting[SNAPSHOT_WAITING_MAX];
};

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASE_COUNT] = {
        [PHASE_RENDERING] = "rendering", [PHASE_WAITING] = "waiting",
        [PHASE_PREPARING] = "preparing", [PHASE_STARTING] = "starting",
        [PHASE_SERVING] = "serving",     [PHASE_DRAINING] = "draining",
        [PHASE_STOPPING] = "stopping",
    };

    return names[phase];
}

const char *snapshot_check_name(enum snapshot_check check)
{
    static const char *const names[SNAPSHOT_CHECKS] = {
        [SNAPSHOT_ALIVE] = "alive",
        [SNAPSHOT_UI] = "ui",
        [SNAPSHOT_USABLE] = "usable",
        [SNAPSHOT_METASTORE] = "metastore",
    };

    return names[check];
}

const char *snapshot_state_name(enum check_state state)
{
    static const char *const names[] = {
        [CHECK_READY] = "ready", [CHECK_RETRY] = "retry", [CHECK_FATAL] = "fatal"};

    return names[state];
}

/* What a server said goes into HTTP answers of one line: cut to size, anything odd becomes '?'. */
static void copy_line(char *to, const char *from, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i]; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
}

/* An odd sequence that a killed writer left is passed over: it stays odd while this one writes. */
static void record_write(struct record *record, const char *url, const struct check_result *result)
{
    unsigned sequence = (atomic_load(&record->sequence) + 1) | 1;

    atomic_store(&record->sequence, sequence);
    atomic_thread_fence(memory_order_seq_cst);
    record->value = (struct snapshot_result){.asked = true,
                                             .state = result->state,
                                             .latency_us = result->latency_us,
                                             .at_ms = clock_ms()};
    copy_line(record->value.url, url, sizeof(record->value.url));
    copy_line(record->value.reason, result->reason, sizeof(record->value.reason));
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store(&record->sequence, sequence + 1);
}

/* All zero for a record that was never written or is half written. */
static struct snapshot_result record_read(const struct record *record)
{
    for (int try = 0; try < READ_TRIES; try++) {
        unsigned before = atomic_load(&record->sequence);
        struct snapshot_result value;

        if (before == 0)
            break;
        atomic_thread_fence(memory_order_seq_cst);
        value = record->value;
        atomic_thread_fence(memory_order_seq_cst);
        if (before % 2 == 0 && atomic_load(&record->sequence) == before)
            return value;
        (void)sched_yield();
    }
    return (struct snapshot_result){.asked = false};
}

/* Whoever sees the phase sees its start, too. */
static void begin_phase(struct snapshot *snapshot, enum phase phase)
{
    atomic_store(&snapshot->began_ms[phase], clock_ms());
    atomic_store(&snapshot->phase, (int)phase);
}

static int64_t unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct snapshot *snapshot_new(const char *role)
{
    struct snapshot *snapshot =
        mmap(NULL, sizeof(*snapshot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (snapshot == MAP_FAILED)
        return NULL;
    copy_line(snapshot->role, role, sizeof(snapshot->role));
    snapshot->born_ms = clock_ms();
    snapshot->born_unix_ms = unix_ms();
    snapshot_set_thresholds(snapshot, 1, 1);
    snapshot_set_deadline(snapshot, CLOCK_NEVER);
    atomic_store(&snapshot->running, -1);
    begin_phase(snapshot, PHASE_RENDERING);
    return snapshot;
}

void snapshot_set_phase(struct snapshot *snapshot, enum phase phase)
{
    if (phase != snapshot_phase(snapshot))
        begin_phase(snapshot, phase);
}

enum phase snapshot_phase(const struct snapshot *snapshot)
{
    return (enum phase)atomic_load(&snapshot->phase);
}

int64_t snapshot_phase_began_ms(const struct snapshot *snapshot, enum phase phase)
{
    return atomic_load(&snapshot->began_ms[phase]);
}

int64_t snapshot_phase_took_ms(const struct snapshot *snapshot, enum phase phase)
{
    int64_t began_ms = snapshot_phase_began_ms(snapshot, phase), ended_ms = 0;

    if (!began_ms)
        return -1;
    for (enum phase next = phase + 1; next < PHASE_COUNT && !ended_ms; next++)
        ended_ms = snapshot_phase_began_ms(snapshot, next);
    return (ended_ms ?: clock_ms()) - began_ms;
}

void snapshot_set_deadline(struct snapshot *snapshot, int64_t deadline_ms)
{
    atomic_store(&snapshot->deadline_ms, deadline_ms);
}

int snapshot_left_ms(const struct snapshot *snapshot)
{
    return clock_left_ms(atomic_load(&snapshot->deadline_ms));
}

int64_t snapshot_born_ms(const struct snapshot *snapshot)
{
    return snapshot->born_ms;
}

double snapshot_unix_time(const struct snapshot *snapshot, int64_t ms)
{
    return (double)(snapshot->born_unix_ms + ms - snapshot->born_ms) / 1000;
}

const char *snapshot_role(const struct snapshot *snapshot)
{
    return snapshot->role;
}

void snapshot_set_thresholds(struct snapshot *snapshot, int failures, int successes)
{
    snapshot->failure_threshold = failures;
    snapshot->success_threshold = successes;
}

void snapshot_thresholds(const struct snapshot *snapshot, int *ret_failures, int *ret_successes)
{
    *ret_failures = snapshot->failure_threshold;
    *ret_successes = snapshot->success_threshold;
}

/* A streak stops growing where int ends; the thresholds are far below. */
static void count_streak(struct snapshot *snapshot, struct tally *tally, bool passed)
{
    int streak = atomic_load(&tally->streak);

    if (passed)
        streak = streak < 0 ? 1 : streak + (streak < INT32_MAX);
    else
        streak = streak > 0 ? -1 : streak - (streak > INT32_MIN);
    atomic_store(&tally->streak, streak);
    if (streak >= snapshot->success_threshold)
        atomic_store(&tally->up, true);
    else if (streak <= -snapshot->failure_threshold)
        atomic_store(&tally->up, false);
}

static void count_duration(struct tally *tally, int64_t latency_us)
{
    size_t bucket = 0;

    while (latency_us > snapshot_bucket_us[bucket])
        bucket++;
    atomic_fetch_add(&tally->sum_us, (uint64_t)latency_us);
    atomic_fetch_add(&tally->buckets[bucket], 1);
}

static void add_tick(const struct snapshot *snapshot, struct tally *tally,
                     const struct check_result *result)
{
    int64_t latency_us = result->latency_us < 0 ? 0 : result->latency_us;
    uint64_t tick = (uint64_t)(clock_ms() - snapshot->born_ms) / 1000;

    if (latency_us > TICK_LATENCY_MAX)
        latency_us = TICK_LATENCY_MAX;
    tick = (tick << TICK_LATENCY_BITS | (uint64_t)latency_us) << 1;
    tick |= result->state == CHECK_READY;
    atomic_store(&tally->ticks[atomic_load(&tally->tick_count) % TICKS], tick);
    atomic_fetch_add(&tally->tick_count, 1);
}

void snapshot_put_result(struct snapshot *snapshot, enum snapshot_check check,
                         const struct check_result *result)
{
    struct tally *tally = &snapshot->tallies[check];
    bool passed = result->state == CHECK_READY;

    count_streak(snapshot, tally, passed);
    record_write(&snapshot->results[check], "", result);
    if (result->latency_us >= 0)
        count_duration(tally, result->latency_us);
    add_tick(snapshot, tally, result);
    atomic_fetch_add(passed ? &tally->passed : &tally->failed, 1);
}

struct snapshot_result snapshot_result(const struct snapshot *snapshot, enum snapshot_check check)
{
    const struct tally *tally = &snapshot->tallies[check];
    struct snapshot_result result = record_read(&snapshot->results[check]);

    result.up = atomic_load(&tally->up);
    result.streak = atomic_load(&tally->streak);
    result.passed = atomic_load(&tally->passed);
    result.failed = atomic_load(&tally->failed);
    return result;
}

size_t snapshot_ticks(const struct snapshot *snapshot, enum snapshot_check check,
                      struct snapshot_tick ret[SNAPSHOT_TICKS])
{
    const struct tally *tally = &snapshot->tallies[check];
    uint64_t made = atomic_load(&tally->tick_count);
    size_t count = made < SNAPSHOT_TICKS ? (size_t)made : SNAPSHOT_TICKS;

    for (size_t i = 0; i < count; i++) {
        uint64_t tick = atomic_load(&tally->ticks[(made - count + i) % TICKS]);

        ret[i].passed = tick & 1;
        ret[i].latency_us = (int64_t)(tick >> 1) & TICK_LATENCY_MAX;
        ret[i].at_ms = snapshot->born_ms + (int64_t)(tick >> 1 >> TICK_LATENCY_BITS) * 1000;
    }
    return count;
}

void snapshot_durations(const struct snapshot *snapshot, enum snapshot_check check,
                        uint64_t ret_buckets[SNAPSHOT_BUCKETS], double *ret_sum)
{
    const struct tally *tally = &snapshot->tallies[check];

    for (size_t i = 0; i < SNAPSHOT_BUCKETS; i++)
        ret_buckets[i] = atomic_load(&tally->buckets[i]);
    *ret_sum = (double)atomic_load(&tally->sum_us) / 1000000;
}

void snapshot_put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                          const struct check_result *result)
{
    if (index >= SNAPSHOT_WAITING_MAX)
        return;
    record_write(&snapshot->waiting[index], url, result);
    if (atomic_load(&snapshot->waiting_count) <= index)
        atomic_store(&snapshot->waiting_count, index + 1);
}

bool snapshot_waiting(const struct snapshot *snapshot, size_t index, struct snapshot_result *ret)
{
    if (index >= atomic_load(&snapshot->waiting_count))
        return false;
    *ret = record_read(&snapshot->waiting[index]);
    return true;
}

void snapshot_set_running(struct snapshot *snapshot, int statements)
{
    atomic_store(&snapshot->running, statements);
}

int snapshot_running(const struct snapshot *snapshot)
{
    return atomic_load(&snapshot->running);
}

void snapshot_count_worker(struct snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->workers, 1);
}

unsigned snapshot_workers(const struct snapshot *snapshot)
{
    return atomic_load(&snapshot->workers);
}

void snapshot_see_ui(struct snapshot *snapshot)
{
    atomic_store(&snapshot->ui_seen, true);
}

bool snapshot_has_seen_ui(const struct snapshot *snapshot)
{
    return atomic_load(&snapshot->ui_seen);
}

void snapshot_set_connects(struct snapshot *snapshot, unsigned connects)
{
    atomic_store(&snapshot->connects, connects);
}

unsigned snapshot_connects(const struct snapshot *snapshot)
{
    return atomic_load(&snapshot->connects);
}

size_t snapshot_not_ready(const struct snapshot *snapshot, struct snapshot_result *ret_first)
{
    struct snapshot_result target;
    size_t count = 0;

    for (size_t i = 0; snapshot_waiting(snapshot, i, &target); i++)
        if (target.asked && target.state != CHECK_READY && count++ == 0)
            *ret_first = target;
    return count;
}
