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
    SNAPSHOT_ALIVE,  /* the service's own protocol, kept connection */
    SNAPSHOT_UI,     /* the Spark UI answers at all */
    SNAPSHOT_USABLE, /* a client can be served now */
};
#define SNAPSHOT_CHECKS (SNAPSHOT_USABLE + 1)

/* "alive", "ui", "usable" */
const char *snapshot_check_name(enum snapshot_check check);

/* The last result of a check of the service, or of a target that is waited for. */
struct snapshot_result {
    bool asked; /* false: not part of this role, or no result yet */
    enum check_state state;
    int64_t latency_us;
    int64_t at_ms;                  /* clock_ms() of the answer */
    uint64_t passed, failed;        /* checks of the service */
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
/* clock_ms() when the phase began, and when the page was made. */
int64_t snapshot_phase_since_ms(const struct snapshot *snapshot);
int64_t snapshot_born_ms(const struct snapshot *snapshot);
const char *snapshot_role(const struct snapshot *snapshot);

/* Each record has one writer at a time; a writer killed half-way leaves a record that reads as not
 * asked until it is written again; the counts of passed and failed live on. Reasons are stored as
 * one line of printable ASCII. All of the put, set and count functions are safe after a fork. */
void snapshot_put_result(struct snapshot *snapshot, enum snapshot_check check,
                         const struct check_result *result);
struct snapshot_result snapshot_result(const struct snapshot *snapshot, enum snapshot_check check);

void snapshot_put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                          const struct check_result *result);
/* false past the last one. */
bool snapshot_waiting(const struct snapshot *snapshot, size_t index, struct snapshot_result *ret);
/* How many of them are not ready; *ret_first is set to the first, unless there is none. */
size_t snapshot_not_ready(const struct snapshot *snapshot, struct snapshot_result *ret_first);

/* Statements still running while draining; -1: not known. */
void snapshot_set_running(struct snapshot *snapshot, int statements);
int snapshot_running(const struct snapshot *snapshot);

/* How often the health worker was started, and the kept connection opened (by all of them). */
void snapshot_count_worker(struct snapshot *snapshot);
unsigned snapshot_workers(const struct snapshot *snapshot);
void snapshot_set_connects(struct snapshot *snapshot, unsigned connects);
unsigned snapshot_connects(const struct snapshot *snapshot);

enum snapshot_probe { PROBE_LIVE, PROBE_READY, PROBE_STARTUP };

/* Whether the result of check decides the probe while serving. */
bool snapshot_check_counts(enum snapshot_probe probe, enum snapshot_check check);

/* Room for the longest reason. */
#define SNAPSHOT_REASON_BYTES (TARGET_URL_BYTES / 2 + CHECK_REASON_BYTES + 64)

/* The answer that each phase gives to each probe: true for 200, and one line that says why (never
 * empty). */
bool snapshot_probe(const struct snapshot *snapshot, enum snapshot_probe probe, char *ret_reason,
                    size_t size);

/* All of it as JSON (docs/status.schema.json). The caller frees; NULL without memory. */
char *snapshot_json(const struct snapshot *snapshot);

#endif
