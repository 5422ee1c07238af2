#include "common/clock.h"
#include "common/version.h"
#include "probes/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct snapshot *serving(void)
{
    const struct check_result ready = {.state = CHECK_READY, .latency_us = 1250, .reason = "ok"};
    const struct check_result retry = {
        .state = CHECK_RETRY, .latency_us = -1, .reason = "refused \"\\"};
    struct snapshot *snapshot = snapshot_new("thrift-server");

    cr_assert_not_null(snapshot);
    snapshot_set_phase(snapshot, PHASE_SERVING);
    snapshot_put_result(snapshot, SNAPSHOT_ALIVE, &ready);
    snapshot_put_result(snapshot, SNAPSHOT_ALIVE, &ready);
    snapshot_put_result(snapshot, SNAPSHOT_USABLE, &retry);
    snapshot_put_waiting(snapshot, 0, "tcp://a:1", &ready);
    snapshot_put_waiting(snapshot, 1, "tcp://b:1", &retry);
    snapshot_count_worker(snapshot);
    snapshot_set_connects(snapshot, 7);
    return snapshot;
}

static void render(const struct snapshot *snapshot, struct buf *out)
{
    cr_assert_eq(metrics_write(snapshot, out), 0);
    cr_assert_eq(out->data[out->len - 1], '\n', "the last line ends");
}

static bool has_line(const struct buf *text, const char *line)
{
    char padded[256];

    (void)snprintf(padded, sizeof(padded), "\n%s\n", line);
    return strstr(buf_str(text), padded) != NULL;
}

Test(metrics, the_samples_are_those_of_the_snapshot)
{
    static const char *const lines[] = {
        "sparkpod_phase{phase=\"serving\"} 1",
        "sparkpod_phase{phase=\"rendering\"} 0",
        "sparkpod_phase{phase=\"stopping\"} 0",
        "sparkpod_check_up{check=\"alive\"} 1",
        "sparkpod_check_up{check=\"usable\"} 0",
        "sparkpod_check_duration_seconds_bucket{check=\"alive\",le=\"0.001\"} 0",
        "sparkpod_check_duration_seconds_bucket{check=\"alive\",le=\"0.0025\"} 2",
        "sparkpod_check_duration_seconds_bucket{check=\"alive\",le=\"+Inf\"} 2",
        "sparkpod_check_duration_seconds_sum{check=\"alive\"} 0.002500",
        "sparkpod_check_duration_seconds_count{check=\"alive\"} 2",
        "sparkpod_check_duration_seconds_count{check=\"usable\"} 0",
        "sparkpod_checks_total{check=\"alive\",result=\"passed\"} 2",
        "sparkpod_checks_total{check=\"alive\",result=\"failed\"} 0",
        "sparkpod_checks_total{check=\"usable\",result=\"failed\"} 1",
        "sparkpod_health_worker_starts_total 1",
        "sparkpod_probe_connections_total 7",
        "sparkpod_waiting_targets 1",
    };
    BUF_AUTO text = BUF_INIT(65536);

    render(serving(), &text);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_expect(has_line(&text, lines[i]), "%s is not in\n%s", lines[i], buf_str(&text));
    cr_expect_null(strstr(buf_str(&text), "check=\"ui\""), "what was not asked has no sample");
}

Test(metrics, what_was_not_reached_has_no_start_and_waiting_has_its_length)
{
    struct snapshot *snapshot = snapshot_new("run");
    BUF_AUTO text = BUF_INIT(65536);

    render(snapshot, &text);
    cr_expect_null(strstr(buf_str(&text), "\nsparkpod_wait_seconds "));
    cr_expect_null(strstr(buf_str(&text), "\nsparkpod_service_start_time_seconds "));
    snapshot_set_phase(snapshot, PHASE_WAITING);
    (void)usleep(30000);
    snapshot_set_phase(snapshot, PHASE_STARTING);
    buf_clear(&text);
    render(snapshot, &text);
    cr_expect_not_null(strstr(buf_str(&text), "\nsparkpod_wait_seconds 0.03"), "%s",
                       buf_str(&text));
    cr_expect_not_null(strstr(buf_str(&text), "\nsparkpod_service_start_time_seconds "));
    cr_expect_null(strstr(buf_str(&text), "start_time_seconds{phase=\"preparing\"}"));
}

Test(metrics, running_statements_have_a_sample_only_when_they_are_known)
{
    struct snapshot *snapshot = serving();
    BUF_AUTO text = BUF_INIT(65536);

    render(snapshot, &text);
    cr_expect_null(strstr(buf_str(&text), "\nsparkpod_drain_running_statements "));
    buf_clear(&text);
    snapshot_set_running(snapshot, 0);
    render(snapshot, &text);
    cr_expect(has_line(&text, "sparkpod_drain_running_statements 0"));
}

Test(metrics, what_is_left_of_a_phase_has_a_sample_only_where_the_phase_has_an_end)
{
    struct snapshot *snapshot = serving();
    BUF_AUTO text = BUF_INIT(65536);

    render(snapshot, &text);
    cr_expect_null(strstr(buf_str(&text), "\nsparkpod_phase_left_seconds"));
    snapshot_set_phase(snapshot, PHASE_DRAINING);
    snapshot_set_deadline(snapshot, clock_ms() + 59900);
    buf_clear(&text);
    render(snapshot, &text);
    cr_expect_not_null(
        strstr(buf_str(&text), "\nsparkpod_phase_left_seconds{phase=\"draining\"} 59."), "%s",
        buf_str(&text));
    snapshot_set_deadline(snapshot, clock_ms() - 1);
    buf_clear(&text);
    render(snapshot, &text);
    cr_expect(has_line(&text, "sparkpod_phase_left_seconds{phase=\"draining\"} 0.000"));
}

Test(metrics, the_build_is_named)
{
    BUF_AUTO text = BUF_INIT(65536);
    char line[128];

    render(serving(), &text);
    (void)snprintf(line, sizeof(line), "sparkpod_build_info{version=\"%s\",commit=\"%s\"} 1",
                   SPARKPOD_VERSION, version_commit);
    cr_expect_not_null(strstr(buf_str(&text), line));
}

Test(metrics, a_buffer_that_is_too_small_is_an_error)
{
    BUF_AUTO text = BUF_INIT(100);

    cr_expect_eq(metrics_write(serving(), &text), -1);
}
