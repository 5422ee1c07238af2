#include "common/version.h"
#include "probes/metrics.h"

#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

static struct snapshot *serving(void)
{
    const struct check_result ready = {.state = CHECK_READY, .latency_us = 1250, .reason = "ok"};
    const struct check_result retry = {.state = CHECK_RETRY, .reason = "refused \"\\"};
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

static bool matches(const char *pattern, const char *line)
{
    regex_t regex;
    bool found;

    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    found = regexec(&regex, line, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

#define NAME "sparkpod_[a-z_]*[a-z]"
#define LABEL "[a-z]+=\"([^\"\\]|\\\\[n\"\\])*\""

Test(metrics, every_line_is_help_type_or_a_sample_of_the_family_above_it)
{
    BUF_AUTO text = BUF_INIT(65536);
    char family[128] = "", type[16] = "", *rest, *line;

    render(serving(), &text);
    rest = text.data;
    while ((line = strsep(&rest, "\n")) && rest) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            cr_expect(matches("^# HELP " NAME " .+\\.$", line), "%s", line);
            cr_assert_eq(sscanf(line, "# HELP %127s", family), 1);
        } else if (line[0] == '#') {
            char name[128];

            cr_assert_eq(sscanf(line, "# TYPE %127s %15s", name, type), 2, "%s", line);
            cr_expect_str_eq(name, family);
            cr_expect(strcmp(type, "gauge") == 0 || strcmp(type, "counter") == 0, "%s", line);
            cr_expect_eq(strcmp(type, "counter") == 0, matches("_total$", name), "%s", line);
        } else {
            cr_expect(matches("^" NAME "(\\{" LABEL "(," LABEL ")*\\})? [0-9]+(\\.[0-9]+)?$", line),
                      "%s", line);
            cr_expect_eq(strcspn(line, "{ "), strlen(family), "%s", line);
            cr_expect_eq(strncmp(line, family, strlen(family)), 0, "%s", line);
        }
    }
}

Test(metrics, the_samples_are_those_of_the_snapshot)
{
    static const char *const lines[] = {
        "sparkpod_phase{phase=\"serving\"} 1",
        "sparkpod_phase{phase=\"rendering\"} 0",
        "sparkpod_phase{phase=\"stopping\"} 0",
        "sparkpod_check_up{check=\"alive\"} 1",
        "sparkpod_check_up{check=\"usable\"} 0",
        "sparkpod_check_latency_seconds{check=\"alive\"} 0.001250",
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
