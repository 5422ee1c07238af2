#include "probes/page.h"

#include "common/clock.h"
#include "common/version.h"
#include "probes/verdict.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REFRESH_S 3

/* The file as it is in the tree, as a string. */
__asm__(".pushsection .rodata\n"
        "page_css: .incbin \"probes/page.css\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char page_css[] __attribute__((visibility("hidden")));

/* How things are, in one word for people and one class for the style sheet. */
struct mood {
    const char *title, *class, *colour;
    bool live, ready;
    char reason[VERDICT_REASON_BYTES];
};

static const struct {
    const char *title, *meaning;
} checks[SNAPSHOT_CHECKS] = {
    [SNAPSHOT_ALIVE] = {"Alive", "The service answers on the connection that is kept."},
    [SNAPSHOT_UI] = {"UI", "The Spark UI answers."},
    [SNAPSHOT_USABLE] = {"Usable", "A new client can be served."},
    [SNAPSHOT_METASTORE] = {"Metastore", "The metastore and its database answer."},
};

/* Everything that is not ours passes here. */
static void put_text(struct buf *out, const char *text)
{
    static const char *const entities[128] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};

    for (; *text; text++) {
        const char *entity = *text > 0 ? entities[(unsigned char)*text] : NULL;

        if (entity)
            (void)buf_add_str(out, entity);
        else
            (void)buf_add_char(out, *text);
    }
}

/* Pods live for weeks. */
static void put_duration(struct buf *out, int64_t ms)
{
    char text[CLOCK_DURATION_BYTES];
    int64_t minutes = ms / 60000, hours = minutes / 60;

    if (hours >= 24)
        (void)buf_printf(out, "%" PRId64 "d %" PRId64 "h", hours / 24, hours % 24);
    else if (hours)
        (void)buf_printf(out, "%" PRId64 "h %" PRId64 "m", hours, minutes % 60);
    else
        (void)buf_add_str(out, clock_format_duration(ms, text, sizeof(text)));
}

static void put_ago(struct buf *out, int64_t at_ms)
{
    int64_t ms = clock_ms() - at_ms;

    if (ms < 1000) {
        (void)buf_add_str(out, "just now");
        return;
    }
    put_duration(out, ms);
    (void)buf_add_str(out, " ago");
}

static void put_latency(struct buf *out, int64_t us)
{
    if (us < 1000000)
        (void)buf_printf(out, "%.1f ms", (double)us / 1000);
    else
        (void)buf_printf(out, "%.1f s", (double)us / 1000000);
}

static void put_name(struct buf *out, const char *name)
{
    (void)buf_printf(out, "%c%s", toupper((unsigned char)*name), name + 1);
}

static void find_mood(const struct snapshot *snapshot, struct mood *ret)
{
    enum phase phase = snapshot_phase(snapshot);

    ret->live = verdict_passes(snapshot, PROBE_LIVE, ret->reason, sizeof(ret->reason));
    ret->ready = verdict_passes(snapshot, PROBE_READY, ret->reason, sizeof(ret->reason));
    ret->title = phase_name(phase);
    ret->class = "busy";
    ret->colour = "%23b26a00";
    if (phase == PHASE_SERVING && ret->ready) {
        ret->class = "good";
        ret->colour = "%231a7f37";
        (void)snprintf(ret->reason, sizeof(ret->reason), "clients are served");
    } else if (phase == PHASE_SERVING) {
        ret->title = ret->live ? "degraded" : "failing";
        ret->class = "bad";
        ret->colour = "%23cf222e";
    }
}

static void put_head(struct buf *out, const struct snapshot *snapshot, const struct mood *mood,
                     const char *nonce)
{
    (void)buf_printf(out,
                     "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta http-equiv=\"refresh\" content=\"%d\">\n"
                     "<link rel=\"icon\" href=\"data:image/svg+xml,%%3Csvg "
                     "xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%%3E"
                     "%%3Ccircle cx='4' cy='4' r='4' fill='%s'/%%3E%%3C/svg%%3E\">\n<title>",
                     REFRESH_S, mood->colour);
    put_name(out, mood->title);
    (void)buf_add_str(out, " – ");
    put_text(out, snapshot_role(snapshot));
    (void)buf_printf(out, "</title>\n<style nonce=\"%s\">\n", nonce);
    (void)buf_add_str(out, page_css);
    (void)buf_printf(out, "</style>\n</head>\n<body class=\"%s\">\n", mood->class);
}

static void put_header(struct buf *out, const struct snapshot *snapshot, const struct mood *mood)
{
    char host[HOST_NAME_MAX + 1] = "";

    (void)gethostname(host, sizeof(host) - 1);
    (void)buf_add_str(out, "<header>\n<p class=\"who\"><b>");
    put_text(out, snapshot_role(snapshot));
    (void)buf_add_str(out, "</b> on ");
    put_text(out, host);
    (void)buf_add_str(out, "</p>\n<h1>");
    put_name(out, mood->title);
    (void)buf_add_str(out, "</h1>\n<p class=\"why\">");
    put_text(out, mood->reason);
    (void)buf_add_str(out, "</p>\n</header>\n<main>\n");
}

static void put_phases(struct buf *out, const struct snapshot *snapshot)
{
    enum phase now = snapshot_phase(snapshot);
    int left_ms = snapshot_left_ms(snapshot);

    (void)buf_add_str(out, "<section>\n<h2>Phases</h2>\n<ol class=\"phases\">\n");
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        int64_t took_ms = snapshot_phase_took_ms(snapshot, phase);

        (void)buf_printf(out, "<li%s>",
                         phase == now  ? " class=\"now\" aria-current=\"step\""
                         : took_ms < 0 ? " class=\"no\""
                                       : "");
        put_name(out, phase_name(phase));
        (void)buf_add_str(out, " <small>");
        if (took_ms >= 0)
            put_duration(out, took_ms);
        else
            (void)buf_add_str(out, phase < now ? "skipped" : "not yet");
        (void)buf_add_str(out, "</small></li>\n");
    }
    (void)buf_add_str(out, "</ol>\n");
    if (left_ms >= 0) {
        (void)buf_printf(out, "<p class=\"left\">");
        put_name(out, phase_name(now));
        (void)buf_add_str(out, " ends in ");
        put_duration(out, left_ms);
        (void)buf_add_str(out, " at the latest.</p>\n");
    }
    (void)buf_add_str(out, "</section>\n");
}

static void put_drain(struct buf *out, const struct snapshot *snapshot)
{
    int running = snapshot_running(snapshot);

    if (snapshot_phase(snapshot) != PHASE_DRAINING)
        return;
    (void)buf_add_str(out, "<section>\n<h2>Drain</h2>\n<p class=\"drain\">");
    if (running >= 0)
        (void)buf_printf(out, "<b>%d</b> statement%s still running", running,
                         running == 1 ? "" : "s");
    else
        (void)buf_add_str(out, "New clients are kept away; what still runs is not known yet");
    (void)buf_add_str(out, "</p>\n</section>\n");
}

static void put_waiting(struct buf *out, const struct snapshot *snapshot)
{
    struct snapshot_result target;

    if (!snapshot_waiting(snapshot, 0, &target))
        return;
    (void)buf_add_str(out, "<section>\n<h2>Dependencies</h2>\n<dl>\n");
    for (size_t i = 0; snapshot_waiting(snapshot, i, &target); i++) {
        if (!target.asked)
            continue;
        (void)buf_add_str(out, "<div><dt>");
        put_text(out, target.url);
        (void)buf_printf(out, " <span class=\"badge %s\">%s</span></dt><dd>",
                         target.state == CHECK_READY   ? "good"
                         : target.state == CHECK_RETRY ? "busy"
                                                       : "bad",
                         target.state == CHECK_READY   ? "answered"
                         : target.state == CHECK_RETRY ? "waiting"
                                                       : "refused");
        put_text(out, target.reason);
        (void)buf_add_str(out, "</dd></div>\n");
    }
    (void)buf_add_str(out, "</dl>\n</section>\n");
}

static void put_probes(struct buf *out, const struct snapshot *snapshot)
{
    static const struct {
        const char *name, *path;
    } probes[] = {[PROBE_LIVE] = {"Live", "livez"},
                  [PROBE_READY] = {"Ready", "readyz"},
                  [PROBE_STARTUP] = {"Startup", "startupz"}};

    (void)buf_add_str(out, "<section>\n<h2>Probes</h2>\n<dl class=\"probes\">\n");
    for (enum probe probe = 0; probe <= PROBE_STARTUP; probe++) {
        char reason[VERDICT_REASON_BYTES];
        bool ok = verdict_passes(snapshot, probe, reason, sizeof(reason));

        (void)buf_printf(out,
                         "<div><dt><a href=\"/%s?verbose\">%s</a> "
                         "<span class=\"badge %s\">%s</span></dt><dd>",
                         probes[probe].path, probes[probe].name, ok ? "good" : "bad",
                         ok ? "200 yes" : "503 no");
        put_text(out, reason);
        (void)buf_add_str(out, "</dd></div>\n");
    }
    (void)buf_add_str(out, "</dl>\n</section>\n");
}

/* Five heights: up to 3 ms, 10 ms, 100 ms, 1 s, longer. */
static int height_of(int64_t us)
{
    return 1 + (us > 3000) + (us > 10000) + (us > 100000) + (us > 1000000);
}

/* Failures before the service was usable are what a start looks like. */
static const struct {
    const char *class, *word;
} outcomes[] = {{"t", "good"}, {"f t", "failed"}, {"s t", "not up yet"}};

static int outcome_of(const struct snapshot_tick *tick, int64_t serving_ms)
{
    if (tick->passed)
        return 0;
    return serving_ms && tick->at_ms >= serving_ms ? 1 : 2;
}

static void put_ticks(struct buf *out, const struct snapshot *snapshot, enum snapshot_check check)
{
    int64_t serving_ms = snapshot_phase_began_ms(snapshot, PHASE_SERVING);
    struct snapshot_tick ticks[SNAPSHOT_TICKS];
    size_t count = snapshot_ticks(snapshot, check, ticks), sums[3] = {0};

    for (size_t i = 0; i < count; i++)
        sums[outcome_of(&ticks[i], serving_ms)]++;
    (void)buf_printf(out,
                     "<p class=\"ticks\" role=\"img\" aria-label=\"The last %zu results: %zu %s, "
                     "%zu %s, %zu %s\">",
                     count, sums[0], outcomes[0].word, sums[1], outcomes[1].word, sums[2],
                     outcomes[2].word);
    for (size_t i = 0; i < count; i++) {
        int outcome = outcome_of(&ticks[i], serving_ms);

        (void)buf_printf(out, "<i class=\"%s%d\" title=\"%s, ", outcomes[outcome].class,
                         height_of(ticks[i].latency_us), outcomes[outcome].word);
        put_latency(out, ticks[i].latency_us);
        (void)buf_add_str(out, ", ");
        put_ago(out, ticks[i].at_ms);
        (void)buf_add_str(out, "\"></i>");
    }
    (void)buf_add_str(out, "</p>\n");
}

static void put_check(struct buf *out, const struct snapshot *snapshot, enum snapshot_check check,
                      const struct snapshot_result *result)
{
    (void)buf_printf(out,
                     "<article>\n<h3>%s <span class=\"badge %s\">%s</span></h3>\n"
                     "<p class=\"hint\">%s</p>\n",
                     checks[check].title, result->up ? "good" : "bad",
                     result->up ? "good" : "failed", checks[check].meaning);
    put_ticks(out, snapshot, check);
    (void)buf_add_str(out, "<p class=\"last\">");
    if (result->latency_us >= 0) {
        put_latency(out, result->latency_us);
        (void)buf_add_str(out, ", ");
    }
    put_ago(out, result->at_ms);
    (void)buf_add_str(out, ": ");
    put_text(out, result->reason);
    (void)buf_add_str(out, "</p>\n</article>\n");
}

static void put_checks(struct buf *out, const struct snapshot *snapshot)
{
    bool any = false;

    for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
        struct snapshot_result result = snapshot_result(snapshot, check);

        if (!result.asked)
            continue;
        if (!any)
            (void)buf_add_str(out, "<section>\n<h2>Checks</h2>\n");
        any = true;
        put_check(out, snapshot, check, &result);
    }
    if (any)
        (void)buf_add_str(out, "</section>\n");
}

static void put_footer(struct buf *out, const struct snapshot *snapshot)
{
    (void)buf_add_str(out, "</main>\n<footer>\n<nav><a href=\"/status\">Status as JSON</a> "
                           "<a href=\"/metrics\">Metrics</a> <a href=\"/livez\">livez</a> "
                           "<a href=\"/readyz\">readyz</a> <a href=\"/startupz\">startupz</a>"
                           "</nav>\n<p>sparkpod " SPARKPOD_VERSION " (");
    put_text(out, version_commit);
    (void)buf_add_str(out, "), up ");
    put_duration(out, clock_ms() - snapshot_born_ms(snapshot));
    (void)buf_printf(out,
                     "; health worker starts: %u; connections opened for checks: %u.</p>\n"
                     "</footer>\n</body>\n</html>\n",
                     snapshot_workers(snapshot), snapshot_connects(snapshot));
}

int page_write(const struct snapshot *snapshot, const char *nonce, struct buf *out)
{
    struct mood mood;

    find_mood(snapshot, &mood);
    put_head(out, snapshot, &mood, nonce);
    put_header(out, snapshot, &mood);
    put_phases(out, snapshot);
    put_drain(out, snapshot);
    if (snapshot_phase(snapshot) < PHASE_SERVING)
        put_waiting(out, snapshot);
    put_probes(out, snapshot);
    put_checks(out, snapshot);
    if (snapshot_phase(snapshot) >= PHASE_SERVING)
        put_waiting(out, snapshot);
    put_footer(out, snapshot);
    return buf_failed(out) ? -1 : 0;
}
