#include "probes/status.h"

#include "common/clock.h"
#include "common/version.h"
#include "probes/verdict.h"

#include <jansson.h>
#include <stdlib.h>

static double seconds_since(int64_t ms)
{
    return (double)(clock_ms() - ms) / 1000;
}

static json_t *json_probe(const struct snapshot *snapshot, enum probe probe)
{
    char reason[VERDICT_REASON_BYTES];
    bool ok = verdict_passes(snapshot, probe, reason, sizeof(reason));

    return json_pack("{s:b, s:s}", "ok", ok, "reason", reason);
}

static json_t *json_checks(const struct snapshot *snapshot)
{
    json_t *checks = json_object();

    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);
        json_t *one, *latency;

        if (!result.asked)
            continue;
        latency =
            result.latency_us < 0 ? json_null() : json_real((double)result.latency_us / 1000000);
        /* clang-format off */
        one = json_pack("{s:b, s:s, s:i, s:s, s:o, s:f, s:I, s:I}",
                        "up", result.up,
                        "state", snapshot_state_name(result.state),
                        "in_a_row", abs(result.streak),
                        "reason", result.reason,
                        "latency_seconds", latency,
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
            (void)json_array_append_new(
                targets, json_pack("{s:s, s:s, s:s}", "url", target.url, "state",
                                   snapshot_state_name(target.state), "reason", target.reason));
    }
    return targets;
}

/* The phases that were reached. */
static json_t *json_phases(const struct snapshot *snapshot)
{
    json_t *phases = json_object();

    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        int64_t began_ms = snapshot_phase_began_ms(snapshot, phase);
        double seconds = (double)snapshot_phase_took_ms(snapshot, phase) / 1000;

        if (began_ms)
            (void)json_object_set_new(phases, phase_name(phase),
                                      json_pack("{s:f, s:f}", "start_time",
                                                snapshot_unix_time(snapshot, began_ms), "seconds",
                                                seconds));
    }
    return phases;
}

static json_t *json_thresholds(const struct snapshot *snapshot)
{
    int failures, successes;

    snapshot_thresholds(snapshot, &failures, &successes);
    return json_pack("{s:i, s:i}", "failure", failures, "success", successes);
}

char *status_json(const struct snapshot *snapshot)
{
    int running = snapshot_running(snapshot), left_ms = snapshot_left_ms(snapshot);
    json_t *statements = running < 0 ? json_null() : json_integer(running);
    json_t *left = left_ms < 0 ? json_null() : json_real((double)left_ms / 1000);
    /* clang-format off */
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:f,"
                             " s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:I, s:I}",
                             "version", SPARKPOD_VERSION,
                             "commit", version_commit,
                             "role", snapshot_role(snapshot),
                             "phase", phase_name(snapshot_phase(snapshot)),
                             "phase_seconds_left", left,
                             "phases", json_phases(snapshot),
                             "uptime_seconds", seconds_since(snapshot_born_ms(snapshot)),
                             "probes",
                                 "live", json_probe(snapshot, PROBE_LIVE),
                                 "ready", json_probe(snapshot, PROBE_READY),
                                 "startup", json_probe(snapshot, PROBE_STARTUP),
                             "thresholds", json_thresholds(snapshot),
                             "checks", json_checks(snapshot),
                             "waiting", json_waiting(snapshot),
                             "running_statements", statements,
                             "health_worker_starts", (json_int_t)snapshot_workers(snapshot),
                             "probe_connections", (json_int_t)snapshot_connects(snapshot));
    /* clang-format on */
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(14)) : NULL;

    json_decref(root);
    return text;
}
