#include "probes/metrics.h"

#include "common/clock.h"
#include "common/version.h"

#include <inttypes.h>

static void put_family(struct buf *out, const char *name, const char *type, const char *help)
{
    (void)buf_printf(out, "# HELP sparkpod_%s %s\n# TYPE sparkpod_%s %s\n", name, help, name, type);
}

/* A family of one sample without labels. */
static void put_count(struct buf *out, const char *name, const char *type, const char *help,
                      unsigned value)
{
    put_family(out, name, type, help);
    (void)buf_printf(out, "sparkpod_%s %u\n", name, value);
}

static void put_seconds_since(struct buf *out, const char *name, const char *help, int64_t ms)
{
    put_family(out, name, "gauge", help);
    (void)buf_printf(out, "sparkpod_%s %.3f\n", name, (double)(clock_ms() - ms) / 1000);
}

static void put_phase(struct buf *out, const struct snapshot *snapshot)
{
    put_family(out, "phase", "gauge", "1 for the phase the pod is in, 0 for the others.");
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
        (void)buf_printf(out, "sparkpod_phase{phase=\"%s\"} %d\n", phase_name(phase),
                         phase == snapshot_phase(snapshot));
    put_seconds_since(out, "phase_seconds", "Seconds since the phase began.",
                      snapshot_phase_since_ms(snapshot));
}

static void put_checks(struct buf *out, const struct snapshot *snapshot)
{
    struct snapshot_result results[SNAPSHOT_CHECKS];
    enum snapshot_check i;

    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        results[i] = snapshot_result(snapshot, i);
    put_family(out, "check_up", "gauge", "Whether the last answer to the check was a good one.");
    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        if (results[i].asked)
            (void)buf_printf(out, "sparkpod_check_up{check=\"%s\"} %d\n", snapshot_check_name(i),
                             results[i].state == CHECK_READY);
    put_family(out, "check_latency_seconds", "gauge", "How long the last answer took.");
    for (i = 0; i < SNAPSHOT_CHECKS; i++)
        if (results[i].asked)
            (void)buf_printf(out, "sparkpod_check_latency_seconds{check=\"%s\"} %.6f\n",
                             snapshot_check_name(i), (double)results[i].latency_us / 1000000);
    put_family(out, "checks_total", "counter", "Checks made, by their result.");
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
    int running = snapshot_running(snapshot);

    put_family(out, "build_info", "gauge", "Which sparkpod this is; always 1.");
    (void)buf_printf(out, "sparkpod_build_info{version=\"%s\",commit=\"%s\"} 1\n", SPARKPOD_VERSION,
                     version_commit);
    put_phase(out, snapshot);
    put_seconds_since(out, "uptime_seconds", "Seconds since sparkpod started.",
                      snapshot_born_ms(snapshot));
    put_checks(out, snapshot);
    put_count(out, "health_worker_starts_total", "counter",
              "Starts of the process that makes the checks and serves this page.",
              snapshot_workers(snapshot));
    put_count(out, "probe_connections_total", "counter",
              "How often the connection that is kept for checks was opened.",
              snapshot_connects(snapshot));
    if (running >= 0)
        put_count(out, "drain_running_statements", "gauge",
                  "Statements that still run while the pod is draining.", (unsigned)running);
    put_count(out, "waiting_targets", "gauge", "Dependencies that are still waited for.",
              (unsigned)snapshot_not_ready(snapshot, &first));
    return buf_failed(out) ? -1 : 0;
}
