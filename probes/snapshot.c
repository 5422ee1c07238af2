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

union record_value {
    struct snapshot_result result;
    struct snapshot_waiting waiting;
    uint64_t words[(sizeof(struct snapshot_waiting) + sizeof(uint64_t) - 1) / sizeof(uint64_t)];
};

#define RECORD_WORDS (sizeof(union record_value) / sizeof(uint64_t))
_Static_assert(sizeof(union record_value) == sizeof(((union record_value *)NULL)->words),
               "the words cover every record");

/* A seqlock over words that are atomic each, so that even a torn copy is no data race. */
struct record {
    atomic_uint sequence; /* 0: never written; odd: a writer is at work, or was killed at it */
    _Atomic uint64_t words[RECORD_WORDS];
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
    switch (phase) {
    case PHASE_RENDERING:
        return "rendering";
    case PHASE_WAITING:
        return "waiting";
    case PHASE_PREPARING:
        return "preparing";
    case PHASE_STARTING:
        return "starting";
    case PHASE_SERVING:
        return "serving";
    case PHASE_DRAINING:
        return "draining";
    case PHASE_STOPPING:
        return "stopping";
    }
    return "unknown";
}

const char *snapshot_check_name(enum snapshot_check check)
{
    switch (check) {
    case SNAPSHOT_ALIVE:
        return "alive";
    case SNAPSHOT_UI:
        return "ui";
    case SNAPSHOT_USABLE:
        return "usable";
    }
    return "unknown";
}

static const char *state_name(enum check_state state)
{
    switch (state) {
    case CHECK_READY:
        return "ready";
    case CHECK_RETRY:
        return "retry";
    case CHECK_FATAL:
        return "fatal";
    }
    return "unknown";
}

/* An odd sequence that a killed writer left is passed over: it stays odd while this one writes. */
static void record_write(struct record *record, const union record_value *value)
{
    unsigned sequence = atomic_load_explicit(&record->sequence, memory_order_relaxed);

    sequence = (sequence + 1) | 1;
    atomic_store_explicit(&record->sequence, sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < RECORD_WORDS; i++)
        atomic_store_explicit(&record->words[i], value->words[i], memory_order_relaxed);
    atomic_store_explicit(&record->sequence, sequence + 1, memory_order_release);
}

/* false, and *ret all zero, for a record that was never written or is half written. */
static bool record_read(const struct record *record, union record_value *ret)
{
    unsigned before = atomic_load_explicit(&record->sequence, memory_order_acquire);

    for (int try = 0; before != 0 && try < READ_TRIES; try++) {
        unsigned after;

        for (size_t i = 0; i < RECORD_WORDS; i++)
            ret->words[i] = atomic_load_explicit(&record->words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&record->sequence, memory_order_relaxed);
        if (after == before && before % 2 == 0)
            return true;
        (void)sched_yield();
        before = atomic_load_explicit(&record->sequence, memory_order_acquire);
    }
    memset(ret, 0, sizeof(*ret));
    return false;
}

/* What a server said goes into HTTP answers of one line: cut to size, anything odd becomes '?'. */
static void copy_line(char *to, const char *from, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i]; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
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
    union record_value value;

    memset(&value, 0, sizeof(value));
    value.result.asked = true;
    value.result.state = result->state;
    value.result.latency_us = result->latency_us;
    value.result.at_ms = clock_ms();
    copy_line(value.result.reason, result->reason, sizeof(value.result.reason));
    record_write(&snapshot->results[check], &value);
    atomic_fetch_add(passed ? &snapshot->passed[check] : &snapshot->failed[check], 1);
}

struct snapshot_result snapshot_result(const struct snapshot *snapshot, enum snapshot_check check)
{
    union record_value value;

    (void)record_read(&snapshot->results[check], &value);
    value.result.passed = atomic_load(&snapshot->passed[check]);
    value.result.failed = atomic_load(&snapshot->failed[check]);
    return value.result;
}

void snapshot_put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                          const struct check_result *result)
{
    union record_value value;

    if (index >= SNAPSHOT_WAITING_MAX)
        return;
    memset(&value, 0, sizeof(value));
    copy_line(value.waiting.url, url, sizeof(value.waiting.url));
    value.waiting.state = result->state;
    copy_line(value.waiting.reason, result->reason, sizeof(value.waiting.reason));
    record_write(&snapshot->waiting[index], &value);
    if (atomic_load(&snapshot->waiting_count) <= index)
        atomic_store(&snapshot->waiting_count, index + 1);
}

bool snapshot_waiting(const struct snapshot *snapshot, size_t index, struct snapshot_waiting *ret)
{
    union record_value value;

    if (index >= atomic_load(&snapshot->waiting_count))
        return false;
    (void)record_read(&snapshot->waiting[index], &value);
    *ret = value.waiting;
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
    switch (probe) {
    case PROBE_LIVE:
        return check != SNAPSHOT_USABLE;
    case PROBE_READY:
        return true;
    case PROBE_STARTUP:
        return false;
    }
    return false;
}

/* The first of the checks behind probe that fails, as "usable: timed out after 5.0s". */
static bool find_failure(const struct snapshot *snapshot, enum snapshot_probe probe, char *ret,
                         size_t size)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (!snapshot_check_counts(probe, check) || !result.asked || result.state == CHECK_READY)
            continue;
        (void)snprintf(ret, size, "%s: %s", snapshot_check_name(check), result.reason);
        return true;
    }
    return false;
}

static void say_waiting(const struct snapshot *snapshot, char *ret, size_t size)
{
    struct snapshot_waiting waiting, first;
    size_t not_ready = 0;
    int len;

    for (size_t i = 0; snapshot_waiting(snapshot, i, &waiting); i++) {
        if (waiting.url[0] && waiting.state != CHECK_READY && not_ready++ == 0)
            first = waiting;
    }
    if (not_ready == 0) {
        (void)snprintf(ret, size, "waiting");
        return;
    }
    len = snprintf(ret, size, "waiting for %s: %s", first.url, first.reason);
    if (not_ready > 1 && len >= 0 && (size_t)len < size)
        (void)snprintf(ret + len, size - (size_t)len, " (and %zu more)", not_ready - 1);
}

static void say_starting(const struct snapshot *snapshot, char *ret, size_t size)
{
    char failure[SNAPSHOT_REASON_BYTES];

    if (find_failure(snapshot, PROBE_READY, failure, sizeof(failure)))
        (void)snprintf(ret, size, "starting: %s", failure);
    else
        (void)snprintf(ret, size, "starting");
}

static void say_draining(const struct snapshot *snapshot, char *ret, size_t size)
{
    int running = snapshot_running(snapshot);

    if (running < 0)
        (void)snprintf(ret, size, "draining");
    else
        (void)snprintf(ret, size, "draining: %d statement%s running", running,
                       running == 1 ? "" : "s");
}

bool snapshot_probe(const struct snapshot *snapshot, enum snapshot_probe probe, char *ret_reason,
                    size_t size)
{
    enum phase phase = snapshot_phase(snapshot);

    switch (phase) {
    case PHASE_WAITING:
        say_waiting(snapshot, ret_reason, size);
        return probe == PROBE_LIVE;
    case PHASE_STARTING:
        say_starting(snapshot, ret_reason, size);
        return probe == PROBE_LIVE;
    case PHASE_RENDERING:
    case PHASE_PREPARING:
        (void)snprintf(ret_reason, size, "%s", phase_name(phase));
        return probe == PROBE_LIVE;
    case PHASE_SERVING:
        (void)snprintf(ret_reason, size, "%s", phase_name(phase));
        return !find_failure(snapshot, probe, ret_reason, size);
    case PHASE_DRAINING:
        say_draining(snapshot, ret_reason, size);
        return probe != PROBE_READY;
    case PHASE_STOPPING:
        (void)snprintf(ret_reason, size, "%s", phase_name(phase));
        return probe != PROBE_READY;
    }
    (void)snprintf(ret_reason, size, "no such phase: %d", (int)phase);
    return false;
}

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

static json_t *json_probes(const struct snapshot *snapshot)
{
    return json_pack("{s:o, s:o, s:o}", "live", json_probe(snapshot, PROBE_LIVE), "ready",
                     json_probe(snapshot, PROBE_READY), "startup",
                     json_probe(snapshot, PROBE_STARTUP));
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
    struct snapshot_waiting waiting;

    for (size_t i = 0; snapshot_waiting(snapshot, i, &waiting); i++) {
        const char *state = state_name(waiting.state);

        if (waiting.url[0])
            (void)json_array_append_new(targets,
                                        json_pack("{s:s, s:s, s:s}", "url", waiting.url, "state",
                                                  state, "reason", waiting.reason));
    }
    return targets;
}

static json_t *json_running(const struct snapshot *snapshot)
{
    int running = snapshot_running(snapshot);

    return running < 0 ? json_null() : json_integer(running);
}

char *snapshot_json(const struct snapshot *snapshot)
{
    /* clang-format off */
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:o, s:o, s:o, s:o, s:I, s:I}",
                             "version", SPARKPOD_VERSION,
                             "commit", version_commit,
                             "role", snapshot_role(snapshot),
                             "phase", phase_name(snapshot_phase(snapshot)),
                             "phase_seconds", seconds_since(snapshot_phase_since_ms(snapshot)),
                             "uptime_seconds", seconds_since(snapshot_born_ms(snapshot)),
                             "probes", json_probes(snapshot),
                             "checks", json_checks(snapshot),
                             "waiting", json_waiting(snapshot),
                             "running_statements", json_running(snapshot),
                             "health_worker_starts", (json_int_t)snapshot_workers(snapshot),
                             "probe_connections", (json_int_t)snapshot_connects(snapshot));
    /* clang-format on */
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(root);
    return text;
}
