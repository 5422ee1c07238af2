#include "probes/metrics.h"

#include "common/cgroup.h"
#include "common/version.h"

#include <inttypes.h>

static void put_family(struct buf *out, const char *name, const char *type, const char *help)
{
    (void)buf_printf(out, "# HELP sparkpod_%s %s\n# TYPE sparkpod_%s %s\n", name, help, name, type);
}

/* A family of one sample without labels; left out if what it counts is not known. */
static void put_count(struct buf *out, const char *name, const char *type, const char *help,
                      int64_t value)
{
    if (value < 0)
        return;
    put_family(out, name, type, help);
    (void)buf_printf(out, "sparkpod_%s %" PRId64 "\n", name, value);
}

static void put_seconds(struct buf *out, const char *name, const char *help, double seconds)
{
    put_family(out, name, "gauge", help);
    (void)buf_printf(out, "sparkpod_%s %.3f\n", name, seconds);
}

/* With its phase as a label, so that the last one scraped of a pod says what was cut short. */
static void put_phase_left(struct buf *out, enum phase now, int left_ms)
{
    if (left_ms < 0)
        return;
    put_family(out, "phase_left_seconds", "gauge",
               "How long the phase may still take, where it has an end.");
    (void)buf_printf(out, "sparkpod_phase_left_seconds{phase=\"%s\"} %.3f\n", phase_name(now),
                     (double)left_ms / 1000);
}

static void put_phases(struct buf *out, const struct snapshot *snapshot)
{
    enum phase phase, now = snapshot_phase(snapshot);

    put_family(out, "phase", "gauge", "1 for the phase the pod is in, 0 for the others.");
    for (phase = 0; phase < PHASE_COUNT; phase++)
        (void)buf_printf(out, "sparkpod_phase{phase=\"%s\"} %d\n", phase_name(phase), phase == now);
    put_family(out, "phase_start_time_seconds", "gauge",
               "When the phase began, in seconds since 1970, for those that were reached.");
    for (phase = 0; phase < PHASE_COUNT; phase++) {
        int64_t began_ms = snapshot_phase_began_ms(snapshot, phase);

        if (began_ms)
            (void)buf_printf(out, "sparkpod_phase_start_time_seconds{phase=\"%s\"} %.3f\n",
                             phase_name(phase), snapshot_unix_time(snapshot, began_ms));
    }
    put_phase_left(out, now, snapshot_left_ms(snapshot));
}

/* There is no count of the service's restarts: PID 1 ends with it, so that a restart is another
 * container, and these two change. */
static void put_starts(struct buf *out, const struct snapshot *snapshot)
{
    int64_t service_ms = snapshot_phase_began_ms(snapshot, PHASE_STARTING);
    int64_t wait_ms = snapshot_phase_took_ms(snapshot, PHASE_WAITING);

    put_seconds(out, "start_time_seconds", "When sparkpod started, in seconds since 1970.",
                snapshot_unix_time(snapshot, snapshot_born_ms(snapshot)));
    if (wait_ms >= 0)
        put_seconds(out, "wait_seconds", "How long the dependencies were waited for, until now.",
                    (double)wait_ms / 1000);
    if (service_ms)
        put_seconds(out, "service_start_time_seconds",
                    "When the service was started, in seconds since 1970.",
                    snapshot_unix_time(snapshot, service_ms));
}

static void put_durations(struct buf *out, const struct snapshot *snapshot,
                          enum snapshot_check check)
{
    const char *name = snapshot_check_name(check);
    uint64_t buckets[SNAPSHOT_BUCKETS], count = 0;
    double sum;

    snapshot_durations(snapshot, check, buckets, &sum);
    for (size_t i = 0; i < SNAPSHOT_BUCKETS; i++) {
        count += buckets[i];
        (void)buf_printf(out, "sparkpod_check_duration_seconds_bucket{check=\"%s\",le=\"", name);
        if (i + 1 < SNAPSHOT_BUCKETS)
            (void)buf_printf(out, "%g", (double)snapshot_bucket_us[i] / 1000000);
        else
            (void)buf_add_str(out, "+Inf");
        (void)buf_printf(out, "\"} %" PRIu64 "\n", count);
    }
    (void)buf_printf(out,
                     "sparkpod_check_duration_seconds_sum{check=\"%s\"} %.6f\n"
                     "sparkpod_check_duration_seconds_count{check=\"%s\"} %" PRIu64 "\n",
                     name, sum, name, count);
}

static void put_checks(struct buf *out, const struct snapshot *snapshot)
{
    struct snapshot_result results[SNAPSHOT_CHECKS];
    enum snapshot_check i;

    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        results[i] = snapshot_result(snapshot, i);
    put_family(out, "check_up", "gauge", "Whether the check counts as good, by the thresholds.");
    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        if (results[i].asked)
            (void)buf_printf(out, "sparkpod_check_up{check=\"%s\"} %d\n", snapshot_check_name(i),
                             results[i].up);
    put_family(out, "check_duration_seconds", "histogram", "How long the checks took.");
    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        if (results[i].asked)
            put_durations(out, snapshot, i);
    put_family(out, "checks_total", "counter", "Checks, by their result.");
    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        if (results[i].passed + results[i].failed)
            (void)buf_printf(out,
                             "sparkpod_checks_total{check=\"%s\",result=\"passed\"} %" PRIu64 "\n"
                             "sparkpod_checks_total{check=\"%s\",result=\"failed\"} %" PRIu64 "\n",
                             snapshot_check_name(i), results[i].passed, snapshot_check_name(i),
                             results[i].failed);
}

int metrics_write(const struct snapshot *snapshot, struct buf *out)
{
    struct snapshot_result first;
    int64_t limit = cgroup_memory_limit(CGROUP_FOLDER), usage = cgroup_memory_usage(CGROUP_FOLDER);

    put_family(out, "build_info", "gauge", "Which sparkpod this is; always 1.");
    (void)buf_printf(out, "sparkpod_build_info{version=\"%s\",commit=\"%s\"} 1\n", SPARKPOD_VERSION,
                     version_commit);
    put_phases(out, snapshot);
    put_starts(out, snapshot);
    put_count(out, "waiting_targets", "gauge", "Dependencies that are still waited for.",
              (int64_t)snapshot_not_ready(snapshot, &first));
    put_checks(out, snapshot);
    put_count(out, "health_worker_starts_total", "counter",
              "Starts of the process that makes the checks and serves this page.",
              snapshot_workers(snapshot));
    put_count(out, "probe_connections_total", "counter",
              "How often the connection that is kept for checks was opened.",
              snapshot_connects(snapshot));
    put_count(out, "drain_running_statements", "gauge",
              "Statements that still run while the pod is draining.", snapshot_running(snapshot));
    put_count(out, "memory_usage_bytes", "gauge",
              "Memory of the container by its cgroup, the page cache included.", usage ?: -1);
    put_count(out, "memory_limit_bytes", "gauge", "The container's memory limit.", limit ?: -1);
    put_count(out, "oom_kills_total", "counter",
              "Processes of the container that the kernel ended for want of memory.",
              cgroup_oom_kills(CGROUP_FOLDER));
    return buf_failed(out) ? -1 : 0;
}
