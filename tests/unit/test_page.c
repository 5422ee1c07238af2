#include "common/clock.h"
#include "probes/page.h"

#include <criterion/criterion.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct snapshot *make(void)
{
    struct snapshot *snapshot = snapshot_new("thrift-server");

    cr_assert_not_null(snapshot);
    return snapshot;
}

static void put(struct snapshot *snapshot, enum snapshot_check check, enum check_state state,
                const char *reason)
{
    struct check_result result = {.state = state, .latency_us = 1500};

    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    snapshot_put_result(snapshot, check, &result);
}

static void put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                        enum check_state state, const char *reason)
{
    struct check_result result = {.state = state};

    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    snapshot_put_waiting(snapshot, index, url, &result);
}

static void render(const struct snapshot *snapshot, struct buf *out)
{
    buf_clear(out);
    cr_assert_eq(page_write(snapshot, "0123456789abcdef", out), 0);
}

static bool has(const struct buf *page, const char *text)
{
    return strstr(buf_str(page), text) != NULL;
}

/* The page keeps to XML but for the elements without an end. */
static xmlDoc *parse(const struct buf *page)
{
    BUF_AUTO text = BUF_INIT(65536);

    for (const char *p = buf_str(page); *p; p++) {
        (void)buf_add_char(&text, *p);
        if (*p == '>' && text.len > 2 && text.data[text.len - 2] == '"') {
            const char *tag = p;

            while (*tag != '<')
                tag--;
            if (strncmp(tag, "<meta", 5) == 0 || strncmp(tag, "<link", 5) == 0) {
                text.data[--text.len] = '\0';
                (void)buf_add_str(&text, "/>");
            }
        }
    }
    return xmlReadMemory(strstr(buf_str(&text), "<html"),
                         (int)strlen(strstr(buf_str(&text), "<html")), "page", NULL,
                         XML_PARSE_NONET);
}

static int count(xmlDoc *page, const char *path)
{
    xmlXPathContext *context = xmlXPathNewContext(page);
    xmlXPathObject *found = xmlXPathEval((const xmlChar *)path, context);
    int nodes = found && found->nodesetval ? found->nodesetval->nodeNr : 0;

    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    return nodes;
}

Test(page, each_situation_has_its_title_and_its_reason)
{
    struct snapshot *snapshot = make();
    BUF_AUTO page = BUF_INIT(65536);

    render(snapshot, &page);
    cr_expect(has(&page, "<title>Rendering – thrift-server</title>"));
    snapshot_set_phase(snapshot, PHASE_WAITING);
    put_waiting(snapshot, 0, "thrift://hms:9083", CHECK_RETRY, "connection refused");
    put_waiting(snapshot, 1, "postgres://db", CHECK_READY, "ready");
    put_waiting(snapshot, 2, "postgres://other", CHECK_FATAL, "28P01");
    render(snapshot, &page);
    cr_expect(has(&page, "<h1>Waiting</h1>\n<p class=\"why\">waiting for thrift://hms:9083: "
                         "connection refused (and 1 more)</p>"));
    cr_expect(has(&page, "thrift://hms:9083 <span class=\"badge busy\">waiting</span>"));
    cr_expect(has(&page, "postgres://db <span class=\"badge good\">answered</span>"));
    cr_expect(has(&page, "postgres://other <span class=\"badge bad\">refused</span>"));

    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(snapshot, SNAPSHOT_ALIVE, CHECK_READY, "Spark SQL");
    render(snapshot, &page);
    cr_expect_not(has(&page, "The Spark UI answers"), "what was not asked is not shown");
    cr_expect(has(&page, "<h1>Serving</h1>\n<p class=\"why\">clients are served</p>"));
    put(snapshot, SNAPSHOT_USABLE, CHECK_RETRY, "timed out after 5.0s");
    render(snapshot, &page);
    cr_expect(has(&page, "<h1>Degraded</h1>\n<p class=\"why\">usable: timed out after 5.0s</p>"));
    put(snapshot, SNAPSHOT_ALIVE, CHECK_RETRY, "timed out");
    render(snapshot, &page);
    cr_expect(has(&page, "<h1>Failing</h1>\n<p class=\"why\">alive: timed out</p>"));

    snapshot_set_phase(snapshot, PHASE_DRAINING);
    render(snapshot, &page);
    cr_expect(has(&page, "what still runs is not known yet"));
    cr_expect_not(has(&page, "at the latest"));
    snapshot_set_running(snapshot, 1);
    snapshot_set_deadline(snapshot, clock_ms() + 59999);
    render(snapshot, &page);
    cr_expect(has(&page, "<b>1</b> statement still running"));
    cr_expect(has(&page, "Draining ends in 59."), "%s", buf_str(&page));
}

Test(page, what_others_said_is_text_wherever_it_stands)
{
    static const char hostile[] = "</p><script>alert(\"1\")</script>&'";
    static const char escaped[] = "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"
                                  "&amp;&#39;";

    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        struct snapshot *snapshot = snapshot_new("<b>&\"'");
        BUF_AUTO page = BUF_INIT(65536);
        xmlDoc *document;

        cr_assert_not_null(snapshot);
        snapshot_set_phase(snapshot, phase);
        for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++)
            put(snapshot, check, CHECK_RETRY, hostile);
        put_waiting(snapshot, 0, hostile, CHECK_RETRY, hostile);
        render(snapshot, &page);
        cr_expect(has(&page, escaped));
        cr_expect_not(has(&page, "<script"));
        cr_expect_not(has(&page, "<b>&\""));
        document = parse(&page);
        cr_assert_not_null(document, "phase %s: %s", phase_name(phase), buf_str(&page));
        xmlFreeDoc(document);
    }
}

Test(page, every_result_is_a_tick_and_the_row_is_told_in_words)
{
    struct snapshot *snapshot = make();
    BUF_AUTO page = BUF_INIT(65536);
    xmlDoc *document;

    put(snapshot, SNAPSHOT_USABLE, CHECK_RETRY, "refused");
    (void)usleep(1100000); /* when a tick was is known to the second */
    snapshot_set_phase(snapshot, PHASE_SERVING);
    (void)usleep(1100000);
    for (int i = 0; i < 40; i++)
        put(snapshot, SNAPSHOT_ALIVE, i % 4 ? CHECK_READY : CHECK_RETRY, "answer");
    put(snapshot, SNAPSHOT_UI, CHECK_READY, "answer");
    render(snapshot, &page);
    cr_expect(has(&page, "aria-label=\"The last 30 results: 23 good, 7 failed, 0 not up yet\""));
    cr_expect(has(&page, "aria-label=\"The last 1 results: 0 good, 0 failed, 1 not up yet\""));
    document = parse(&page);
    cr_assert_not_null(document);
    cr_expect_eq(count(document, "//article"), 3);
    cr_expect_eq(count(document, "//article[1]//i"), 30);
    cr_expect_eq(count(document, "//article[1]//i[starts-with(@class, 'f ')]"), 7);
    cr_expect_eq(count(document, "//article[2]//i"), 1);
    cr_expect_eq(count(document, "//article[3]//i[@class='s t1' or @class='s t2']"), 1);
    xmlFreeDoc(document);
}

Test(page, the_phases_show_what_was_where_it_is_and_what_comes)
{
    struct snapshot *snapshot = make();
    BUF_AUTO page = BUF_INIT(65536);
    xmlDoc *document;

    snapshot_set_phase(snapshot, PHASE_STARTING);
    snapshot_set_phase(snapshot, PHASE_SERVING);
    render(snapshot, &page);
    document = parse(&page);
    cr_assert_not_null(document);
    cr_expect_eq(count(document, "//ol/li"), PHASE_COUNT);
    cr_expect_eq(count(document, "//li[@aria-current='step'][starts-with(., 'Serving')]"), 1);
    cr_expect_eq(count(document, "//li[small='skipped']"), 2);
    cr_expect_eq(count(document, "//li[small='not yet']"), 2);
    xmlFreeDoc(document);
}

Test(page, nothing_is_fetched_from_anywhere_and_nothing_runs)
{
    struct snapshot *snapshot = make();
    BUF_AUTO page = BUF_INIT(65536);
    xmlDoc *document;

    render(snapshot, &page);
    cr_expect(has(&page, "<style nonce=\"0123456789abcdef\">\n:root {"));
    cr_expect_not(has(&page, "url("));
    cr_expect_not(has(&page, "@import"));
    document = parse(&page);
    cr_assert_not_null(document);
    cr_expect_eq(count(document, "//script | //img | //iframe | //@style | //@onclick"), 0);
    cr_expect_eq(count(document, "//@href[not(starts-with(., '/') or starts-with(., 'data:'))]"),
                 0);
    cr_expect_eq(count(document, "//@src"), 0);
    xmlFreeDoc(document);
}

Test(page, the_fullest_page_fits_what_an_answer_may_hold)
{
    struct snapshot *snapshot = make();
    char longest[CHECK_REASON_BYTES], url[TARGET_URL_BYTES / 2];
    BUF_AUTO page = BUF_INIT((size_t)64 * 1024);

    memset(longest, '\'', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memset(url, '&', sizeof(url) - 1);
    url[sizeof(url) - 1] = '\0';
    snapshot_set_phase(snapshot, PHASE_SERVING);
    for (int i = 0; i < SNAPSHOT_TICKS * SNAPSHOT_CHECKS; i++)
        put(snapshot, (enum snapshot_check)(i % SNAPSHOT_CHECKS), CHECK_RETRY, longest);
    for (size_t i = 0; i < SNAPSHOT_WAITING_MAX; i++)
        put_waiting(snapshot, i, url, CHECK_RETRY, longest);
    render(snapshot, &page);
    cr_log_info("%zu bytes", page.len);
}

Test(page, a_buffer_that_is_too_small_is_an_error)
{
    BUF_AUTO page = BUF_INIT(100);

    cr_expect_eq(page_write(make(), "", &page), -1);
}
