#include "probes/snapshot.h"

#include "common/clock.h"
#include "common/version.h"

#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* A reader meets a writer for a microsecond, a killed writer for ever: then it gives up. */
#define READ_TRIES 64

/* A seqlock. */
struct record {
    atomic_uint sequence; /* 0: never written; odd: a writer is at work, or was killed at it */
    struct snapshot_result value;
};

struct snapshot {
    char role[32];
    int64_t born_ms;
    _Atomic uint64_t phase; /* its start in ms and the phase in one word: one store changes both */
    atomic_int running;
    atomic_uint workers;
    atomic_uint connects;
    atomic_size_t waiting_count;
    _Atomic uint64_t passed[SNAPSHOT_CHECKS];
    _Atomic uint64_t failed[SNAPSHOT_CHECKS];
    struct record results[SNAPSHOT_CHECKS];
    struct record waiting[SNAPSHOT_WAITING_MAX];
};

#define PHASE_BITS 3
#define PHASE_MASK ((1U << PHASE_BITS) - 1)
_Static_assert(PHASE_COUNT <= 1U << PHASE_BITS, "a phase fits its bits");

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
        [SNAPSHOT_ALIVE] = "alive", [SNAPSHOT_UI] = "ui", [SNAPSHOT_USABLE] = "usable"};

    return names[check];
}

static const char *state_name(enum check_state state)
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

static void begin_phase(struct snapshot *snapshot, enum phase phase)
{
    atomic_store(&snapshot->phase, (uint64_t)clock_ms() << PHASE_BITS | phase);
}

struct snapshot *snapshot_new(const char *role)
{
    struct snapshot *snapshot =
        mmap(NULL, sizeof(*snapshot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (snapshot == MAP_FAILED)
        return NULL;
    copy_line(snapshot->role, role, sizeof(snapshot->role));
    snapshot->born_ms = clock_ms();
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
    return (enum phase)(atomic_load(&snapshot->phase) & PHASE_MASK);
}

int64_t snapshot_phase_since_ms(const struct snapshot *snapshot)
{
    return (int64_t)(atomic_load(&snapshot->phase) >> PHASE_BITS);
}

int64_t snapshot_born_ms(const struct snapshot *snapshot)
{
    return snapshot->born_ms;
}

const char *snapshot_role(const struct snapshot *snapshot)
{
    return snapshot->role;
}

void snapshot_put_result(struct snapshot *snapshot, enum snapshot_check check,
                         const struct check_result *result)
{
    bool passed = result->state == CHECK_READY;

    record_write(&snapshot->results[check], "", result);
    atomic_fetch_add(passed ? &snapshot->passed[check] : &snapshot->failed[check], 1);
}

struct snapshot_result snapshot_result(const struct snapshot *snapshot, enum snapshot_check check)
{
    struct snapshot_result result = record_read(&snapshot->results[check]);

    result.passed = atomic_load(&snapshot->passed[check]);
    result.failed = atomic_load(&snapshot->failed[check]);
    return result;
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

void snapshot_set_connects(struct snapshot *snapshot, unsigned connects)
{
    atomic_store(&snapshot->connects, connects);
}

unsigned snapshot_connects(const struct snapshot *snapshot)
{
    return atomic_load(&snapshot->connects);
}

bool snapshot_check_counts(enum snapshot_probe probe, enum snapshot_check check)
{
    return probe == PROBE_READY || (probe == PROBE_LIVE && check != SNAPSHOT_USABLE);
}

/* The first of the checks behind probe that fails, as "usable: timed out after 5.0s". */
static bool find_failure(const struct snapshot *snapshot, enum snapshot_probe probe,
                         const char *prefix, char *ret, size_t size)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (!snapshot_check_counts(probe, check) || !result.asked || result.state == CHECK_READY)
            continue;
        (void)snprintf(ret, size, "%s%s: %s", prefix, snapshot_check_name(check), result.reason);
        return true;
    }
    return false;
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

static void say_waiting(const struct snapshot *snapshot, char *ret, size_t size)
{
    struct snapshot_result first;
    size_t count = snapshot_not_ready(snapshot, &first);

    if (count == 1)
        (void)snprintf(ret, size, "waiting for %s: %s", first.url, first.reason);
    else if (count > 1)
        (void)snprintf(ret, size, "waiting for %s: %s (and %zu more)", first.url, first.reason,
                       count - 1);
}

bool snapshot_probe(const struct snapshot *snapshot, enum snapshot_probe probe, char *ret_reason,
                    size_t size)
{
    enum phase phase = snapshot_phase(snapshot);
    int running = snapshot_running(snapshot);

    (void)snprintf(ret_reason, size, "%s", phase_name(phase));
    switch (phase) {
    case PHASE_RENDERING:
    case PHASE_PREPARING:
        return probe == PROBE_LIVE;
    case PHASE_WAITING:
        say_waiting(snapshot, ret_reason, size);
        return probe == PROBE_LIVE;
    case PHASE_STARTING:
        (void)find_failure(snapshot, PROBE_READY, "starting: ", ret_reason, size);
        return probe == PROBE_LIVE;
    case PHASE_SERVING:
        return !find_failure(snapshot, probe, "", ret_reason, size);
    case PHASE_DRAINING:
        if (running >= 0)
            (void)snprintf(ret_reason, size, "draining: %d statement%s running", running,
                           running == 1 ? "" : "s");
        return probe != PROBE_READY;
    case PHASE_STOPPING:
        return probe != PROBE_READY;
    }
    return false;
}

/* ---- JSON ---- */

static double seconds_since(int64_t ms)
{
    return (double)(clock_ms() - ms) / 1000;
}

static json_t *json_probe(const struct snapshot *snapshot, enum snapshot_probe probe)
{
    char reason[SNAPSHOT_REASON_BYTES];
    bool ok = snapshot_probe(snapshot, probe, reason, sizeof(reason));

    return json_pack("{s:b, s:s}", "ok", ok, "reason", reason);
}

static json_t *json_checks(const struct snapshot *snapshot)
{
    json_t *checks = json_object();

    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);
        json_t *one;

        if (!result.asked)
            continue;
        /* clang-format off */
        one = json_pack("{s:s, s:s, s:f, s:f, s:I, s:I}",
                        "state", state_name(result.state),
                        "reason", result.reason,
                        "latency_seconds", (double)result.latency_us / 1000000,
                        "age_seconds", seconds_since(result.at_ms),
                        "passed", (json_int_t)result.passed,
                        "failed", (json_int_t)result.failed);
        /* clang-format on */
        (void)json_object_set_new(checks, snapshot_check_name(check), one);
    }
    return checks;
}

static json_t *json_waiting(const struct snapshot *snapshot)
{
    json_t *targets = json_array();
    struct snapshot_result target;

    for (size_t i = 0; snapshot_waiting(snapshot, i, &target); i++) {
        if (target.asked)
            (void)json_array_append_new(targets, json_pack("{s:s, s:s, s:s}", "url", target.url,
                                                           "state", state_name(target.state),
                                                           "reason", target.reason));
    }
    return targets;
}

char *snapshot_json(const struct snapshot *snapshot)
{
    int running = snapshot_running(snapshot);
    json_t *statements = running < 0 ? json_null() : json_integer(running);
    /* clang-format off */
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f,"
                             " s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:I, s:I}",
                             "version", SPARKPOD_VERSION,
                             "commit", version_commit,
                             "role", snapshot_role(snapshot),
                             "phase", phase_name(snapshot_phase(snapshot)),
                             "phase_seconds", seconds_since(snapshot_phase_since_ms(snapshot)),
                             "uptime_seconds", seconds_since(snapshot_born_ms(snapshot)),
                             "probes",
                                 "live", json_probe(snapshot, PROBE_LIVE),
                                 "ready", json_probe(snapshot, PROBE_READY),
                                 "startup", json_probe(snapshot, PROBE_STARTUP),
                             "checks", json_checks(snapshot),
                             "waiting", json_waiting(snapshot),
                             "running_statements", statements,
                             "health_worker_starts", (json_int_t)snapshot_workers(snapshot),
                             "probe_connections", (json_int_t)snapshot_connects(snapshot));
    /* clang-format on */
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(root);
    return text;
}
