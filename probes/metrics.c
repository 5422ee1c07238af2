#include "probes/metrics.h"

#include "common/clock.h"
#include "common/version.h"

#include <inttypes.h>

/* One metric: its samples, each a line that begins with its name. */
struct family {
    const char *name;
    const char *type;
    const char *help;
    void (*samples)(const struct snapshot *snapshot, const char *name, struct buf *out);
};

void metrics_write_label(struct buf *out, const char *value)
{
    (void)buf_add_char(out, '"');
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            (void)buf_add_char(out, '\\');
        (void)(*value == '\n' ? buf_add_str(out, "\\n") : buf_add_char(out, *value));
    }
    (void)buf_add_char(out, '"');
}

static void build_info(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    (void)snapshot;
    (void)buf_printf(out, "%s{version=", name);
    metrics_write_label(out, SPARKPOD_VERSION);
    (void)buf_add_str(out, ",commit=");
    metrics_write_label(out, version_commit);
    (void)buf_add_str(out, "} 1\n");
}

static void phase(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    enum phase now = snapshot_phase(snapshot);

    for (enum phase one = 0; one < PHASE_COUNT; one++)
        (void)buf_printf(out, "%s{phase=\"%s\"} %d\n", name, phase_name(one), one == now);
}

static void since(int64_t ms, const char *name, struct buf *out)
{
    (void)buf_printf(out, "%s %.3f\n", name, (double)(clock_ms() - ms) / 1000);
}

static void phase_seconds(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    since(snapshot_phase_since_ms(snapshot), name, out);
}

static void uptime_seconds(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    since(snapshot_born_ms(snapshot), name, out);
}

static void check_up(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (result.asked)
            (void)buf_printf(out, "%s{check=\"%s\"} %d\n", name, snapshot_check_name(check),
                             result.state == CHECK_READY);
    }
}

static void check_latency(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (result.asked)
            (void)buf_printf(out, "%s{check=\"%s\"} %.6f\n", name, snapshot_check_name(check),
                             (double)result.latency_us / 1000000);
    }
}

static void checks(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);
        const char *label = snapshot_check_name(check);

        if (result.passed + result.failed == 0)
            continue;
        (void)buf_printf(out, "%s{check=\"%s\",result=\"passed\"} %" PRIu64 "\n", name, label,
                         result.passed);
        (void)buf_printf(out, "%s{check=\"%s\",result=\"failed\"} %" PRIu64 "\n", name, label,
                         result.failed);
    }
}

static void worker_starts(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    (void)buf_printf(out, "%s %u\n", name, snapshot_workers(snapshot));
}

static void probe_connections(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    (void)buf_printf(out, "%s %u\n", name, snapshot_connects(snapshot));
}

static void running_statements(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    int running = snapshot_running(snapshot);

    if (running >= 0)
        (void)buf_printf(out, "%s %d\n", name, running);
}

static void waiting_targets(const struct snapshot *snapshot, const char *name, struct buf *out)
{
    struct snapshot_waiting target;
    unsigned count = 0;

    for (size_t i = 0; snapshot_waiting(snapshot, i, &target); i++)
        count += target.url[0] && target.state != CHECK_READY;
    (void)buf_printf(out, "%s %u\n", name, count);
}

static const struct family families[] = {
    {"sparkpod_build_info", "gauge", "Which sparkpod this is; always 1.", build_info},
    {"sparkpod_phase", "gauge", "1 for the phase the pod is in, 0 for the others.", phase},
    {"sparkpod_phase_seconds", "gauge", "Seconds since the phase began.", phase_seconds},
    {"sparkpod_uptime_seconds", "gauge", "Seconds since sparkpod started.", uptime_seconds},
    {"sparkpod_check_up", "gauge", "Whether the last answer to the check was a good one.",
     check_up},
    {"sparkpod_check_latency_seconds", "gauge", "How long the last answer took.", check_latency},
    {"sparkpod_checks_total", "counter", "Checks made, by their result.", checks},
    {"sparkpod_health_worker_starts_total", "counter",
     "Starts of the process that makes the checks and serves this page.", worker_starts},
    {"sparkpod_probe_connections_total", "counter",
     "How often the connection that is kept for checks was opened.", probe_connections},
    {"sparkpod_drain_running_statements", "gauge",
     "Statements that still run while the pod is draining.", running_statements},
    {"sparkpod_waiting_targets", "gauge", "Dependencies that are still waited for.",
     waiting_targets},
};

int metrics_write(const struct snapshot *snapshot, struct buf *out)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct family *family = &families[i];

        (void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                         family->name, family->type);
        family->samples(snapshot, family->name, out);
    }
    return buf_failed(out) ? -1 : 0;
}
