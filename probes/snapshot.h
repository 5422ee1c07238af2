/* The one page that PID 1 and its helpers share: the phase (written by PID 1 alone), what is being
 * waited for (the wait helper), the results of the checks (the health worker). It is mapped before
 * the first fork, so a new worker inherits all of it; readers never block a writer. */
#ifndef SPARKPOD_PROBES_SNAPSHOT_H
#define SPARKPOD_PROBES_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probes/check.h"

/* What the outside sees of the lifecycle, in order. */
enum phase {
    PHASE_RENDERING,
    PHASE_WAITING,
    PHASE_PREPARING,
    PHASE_STARTING,
    PHASE_SERVING,
    PHASE_DRAINING,
    PHASE_STOPPING,
};
#define PHASE_COUNT (PHASE_STOPPING + 1)

/* "rendering", "waiting", … */
const char *phase_name(enum phase phase);

enum snapshot_check {
    SNAPSHOT_ALIVE,     /* the service's own protocol, kept connection */
    SNAPSHOT_UI,        /* the Spark UI answers at all */
    SNAPSHOT_USABLE,    /* a client can be served now */
    SNAPSHOT_METASTORE, /* a Thrift Server's metastore answers, and its database */
};
#define SNAPSHOT_CHECKS (SNAPSHOT_METASTORE + 1)

/* "alive", "ui", "usable", "metastore" */
const char *snapshot_check_name(enum snapshot_check check);

/* "ready", "retry", "fatal" */
const char *snapshot_state_name(enum check_state state);

/* The last result of a check of the service, or of a target that is waited for. */
struct snapshot_result {
    bool asked; /* false: not part of this role, or no result yet */
    enum check_state state;
    int64_t latency_us;
    int64_t at_ms; /* clock_ms() of the answer */
    /* Checks of the service: */
    bool up;                        /* what counts for the probes: see the thresholds */
    int streak;                     /* good results in a row; less than 0: bad ones */
    uint64_t passed, failed;        /* all until now */
    char url[TARGET_URL_BYTES / 2]; /* targets that are waited for */
    char reason[CHECK_REASON_BYTES];
};

/* Targets past this many are waited for all the same, but not shown. */
#define SNAPSHOT_WAITING_MAX 16

struct snapshot; /* MAP_SHARED | MAP_ANONYMOUS */

/* Map the page. role is copied. NULL with errno. */
struct snapshot *snapshot_new(const char *role);

/* Set again, a phase keeps its start. */
void snapshot_set_phase(struct snapshot *snapshot, enum phase phase);
enum phase snapshot_phase(const struct snapshot *snapshot);
/* clock_ms() when a phase began, 0 if it was not reached; how long it took, or takes until now, -1
 * if it was not reached. */
int64_t snapshot_phase_began_ms(const struct snapshot *snapshot, enum phase phase);
int64_t snapshot_phase_took_ms(const struct snapshot *snapshot, enum phase phase);
/* When the phase ends at the latest (clock_ms() or CLOCK_NEVER); what is left, -1 without end. */
void snapshot_set_deadline(struct snapshot *snapshot, int64_t deadline_ms);
int snapshot_left_ms(const struct snapshot *snapshot);

/* clock_ms() when the page was made; what clock_ms() was at a time as seconds since 1970, by what
 * the clock said when the page was made, so that the same time always gives the same number. */
int64_t snapshot_born_ms(const struct snapshot *snapshot);
double snapshot_unix_time(const struct snapshot *snapshot, int64_t ms);
const char *snapshot_role(const struct snapshot *snapshot);

/* How many failures in a row make a check count as failed, and how many successes as good: 1 and 1
 * unless set, which only PID 1 does, before the first fork. A check begins as failed. */
void snapshot_set_thresholds(struct snapshot *snapshot, int failures, int successes);
void snapshot_thresholds(const struct snapshot *snapshot, int *ret_failures, int *ret_successes);

/* Each record has one writer at a time; a writer killed half-way leaves a record that reads as not
 * asked until it is written again; counts, streak and history live on. Reasons are stored as one
 * line of printable ASCII. All of the put, set and count functions are safe after a fork. A latency
 * below 0 stands for a check that failed without being made: it is in no duration. */
void snapshot_put_result(struct snapshot *snapshot, enum snapshot_check check,
                         const struct check_result *result);
struct snapshot_result snapshot_result(const struct snapshot *snapshot, enum snapshot_check check);

/* The last results of a check, the oldest first; how many there are is returned. */
#define SNAPSHOT_TICKS 30
struct snapshot_tick {
    bool passed;
    int64_t latency_us;
    int64_t at_ms; /* to the second */
};
size_t snapshot_ticks(const struct snapshot *snapshot, enum snapshot_check check,
                      struct snapshot_tick ret[SNAPSHOT_TICKS]);

/* How many checks took up to each bound, and longer than the one before it; all of them in seconds.
 */
#define SNAPSHOT_BUCKETS 14
extern const int64_t snapshot_bucket_us[SNAPSHOT_BUCKETS]; /* INT64_MAX is the last */
void snapshot_durations(const struct snapshot *snapshot, enum snapshot_check check,
                        uint64_t ret_buckets[SNAPSHOT_BUCKETS], double *ret_sum);

void snapshot_put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                          const struct check_result *result);
/* false past the last one. */
bool snapshot_waiting(const struct snapshot *snapshot, size_t index, struct snapshot_result *ret);
/* How many of them are not ready; *ret_first is set to the first, unless there is none. */
size_t snapshot_not_ready(const struct snapshot *snapshot, struct snapshot_result *ret_first);

/* Statements still running while draining; -1: not known. */
void snapshot_set_running(struct snapshot *snapshot, int statements);
int snapshot_running(const struct snapshot *snapshot);

/* The UI has answered: from then on its silence counts. */
void snapshot_see_ui(struct snapshot *snapshot);
bool snapshot_has_seen_ui(const struct snapshot *snapshot);

/* How often the health worker was started, and the kept connection opened (by all of them). */
void snapshot_count_worker(struct snapshot *snapshot);
unsigned snapshot_workers(const struct snapshot *snapshot);
void snapshot_set_connects(struct snapshot *snapshot, unsigned connects);
unsigned snapshot_connects(const struct snapshot *snapshot);

#endif
