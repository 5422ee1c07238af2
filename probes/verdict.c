#include "probes/verdict.h"

#include <stdio.h>

bool verdict_counts(enum probe probe, enum snapshot_check check)
{
    bool is_own = check == SNAPSHOT_ALIVE || check == SNAPSHOT_UI;

    return probe == PROBE_READY || (probe == PROBE_LIVE && is_own);
}

/* The first of the checks behind probe that fails, as "usable: timed out after 5.0s". */
static bool find_failure(const struct snapshot *snapshot, enum probe probe, const char *prefix,
                         char *ret, size_t size)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);
        int failures, successes;

        if (!verdict_counts(probe, check) || !result.asked || result.up)
            continue;
        snapshot_thresholds(snapshot, &failures, &successes);
        if (result.state == CHECK_READY)
            (void)snprintf(result.reason, sizeof(result.reason), "good again, %d of %d times",
                           result.streak, successes);
        (void)snprintf(ret, size, "%s%s: %s", prefix, snapshot_check_name(check), result.reason);
        return true;
    }
    return false;
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

bool verdict_passes(const struct snapshot *snapshot, enum probe probe, char *ret_reason,
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
