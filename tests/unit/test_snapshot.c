#include "common/clock.h"
#include "probes/status.h"
#include "probes/verdict.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct snapshot *make(void)
{
    struct snapshot *snapshot = snapshot_new("thrift-server");

    cr_assert_not_null(snapshot);
    return snapshot;
}

static struct check_result result_of(enum check_state state, const char *reason)
{
    struct check_result result = {.state = state, .latency_us = 1500};

    (void)snprintf(result.reason, sizeof(result.reason), "%s", reason);
    return result;
}

static void put(struct snapshot *snapshot, enum snapshot_check check, enum check_state state,
                const char *reason)
{
    struct check_result result = result_of(state, reason);

    snapshot_put_result(snapshot, check, &result);
}

static void put_waiting(struct snapshot *snapshot, size_t index, const char *url,
                        enum check_state state, const char *reason)
{
    struct check_result result = result_of(state, reason);

    snapshot_put_waiting(snapshot, index, url, &result);
}

static const char *reason_of(const struct snapshot *snapshot, enum probe probe)
{
    static char reason[VERDICT_REASON_BYTES];

    (void)verdict_passes(snapshot, probe, reason, sizeof(reason));
    return reason;
}

static bool answers(const struct snapshot *snapshot, enum probe probe)
{
    char reason[VERDICT_REASON_BYTES] = "";
    bool ok = verdict_passes(snapshot, probe, reason, sizeof(reason));

    cr_expect(reason[0], "an answer always has a reason");
    cr_expect_null(strpbrk(reason, "\r\n"), "a reason is one line");
    return ok;
}

Test(snapshot, outside_serving_each_phase_has_its_answers_whatever_the_checks_said)
{
    static const struct {
        enum phase phase;
        bool live, ready, startup;
    } table[] = {
        {PHASE_RENDERING, true, false, false}, {PHASE_WAITING, true, false, false},
        {PHASE_PREPARING, true, false, false}, {PHASE_STARTING, true, false, false},
        {PHASE_DRAINING, true, false, true},   {PHASE_STOPPING, true, false, true},
    };

    for (int state = CHECK_READY; state <= CHECK_FATAL; state++) {
        struct snapshot *snapshot = make();

        for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++)
            put(snapshot, check, (enum check_state)state, "some answer");
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *name = phase_name(table[i].phase);

            snapshot_set_phase(snapshot, table[i].phase);
            cr_expect_eq(answers(snapshot, PROBE_LIVE), table[i].live, "live, %s", name);
            cr_expect_eq(answers(snapshot, PROBE_READY), table[i].ready, "ready, %s", name);
            cr_expect_eq(answers(snapshot, PROBE_STARTUP), table[i].startup, "startup, %s", name);
        }
    }
}

/* Each check has four states: 0 to 2 as in enum check_state, 3 not asked. */
Test(snapshot, while_serving_every_combination_of_results_decides_as_the_table_says)
{
    const int not_asked = 3;

    for (int mix = 0; mix < 4 * 4 * 4 * 4; mix++) {
        int states[SNAPSHOT_CHECKS] = {mix % 4, mix / 4 % 4, mix / 16 % 4, mix / 64};
        struct snapshot *snapshot = make();
        bool passes[SNAPSHOT_CHECKS], live;

        for (enum snapshot_check check = 0; check < SNAPSHOT_CHECKS; check++) {
            passes[check] = states[check] == not_asked || states[check] == CHECK_READY;
            if (states[check] != not_asked)
                put(snapshot, check, (enum check_state)states[check], "some answer");
        }
        live = passes[SNAPSHOT_ALIVE] && passes[SNAPSHOT_UI];
        snapshot_set_phase(snapshot, PHASE_SERVING);
        cr_expect_eq(answers(snapshot, PROBE_LIVE), live, "live, mix %d", mix);
        cr_expect_eq(answers(snapshot, PROBE_READY),
                     live && passes[SNAPSHOT_USABLE] && passes[SNAPSHOT_METASTORE], "ready, mix %d",
                     mix);
        cr_expect(answers(snapshot, PROBE_STARTUP), "startup, mix %d", mix);
    }
}

Test(snapshot, a_reason_tells_people_what_is_missing)
{
    struct snapshot *snapshot = make();

    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "rendering");

    snapshot_set_phase(snapshot, PHASE_WAITING);
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "waiting");
    put_waiting(snapshot, 1, "thrift://hms:9083", CHECK_RETRY, "connection refused");
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY),
                     "waiting for thrift://hms:9083: connection refused");
    put_waiting(snapshot, 0, "postgres://db:5432/hive", CHECK_FATAL, "28P01");
    put_waiting(snapshot, 2, "tcp://kdc:88", CHECK_READY, "connected");
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY),
                     "waiting for postgres://db:5432/hive: 28P01 (and 1 more)");

    snapshot_set_phase(snapshot, PHASE_STARTING);
    cr_expect_str_eq(reason_of(snapshot, PROBE_STARTUP), "starting");
    put(snapshot, SNAPSHOT_ALIVE, CHECK_RETRY, "connection refused");
    cr_expect_str_eq(reason_of(snapshot, PROBE_STARTUP), "starting: alive: connection refused");

    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(snapshot, SNAPSHOT_ALIVE, CHECK_READY, "Spark SQL");
    put(snapshot, SNAPSHOT_USABLE, CHECK_RETRY, "timed out after 5.0s");
    cr_expect_str_eq(reason_of(snapshot, PROBE_LIVE), "serving");
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "usable: timed out after 5.0s");

    snapshot_set_phase(snapshot, PHASE_DRAINING);
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "draining");
    snapshot_set_running(snapshot, 2);
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "draining: 2 statements running");
    snapshot_set_running(snapshot, 1);
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "draining: 1 statement running");

    snapshot_set_phase(snapshot, PHASE_STOPPING);
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "stopping");
}

Test(snapshot, the_longest_reason_has_room_and_a_small_buffer_cuts_it)
{
    struct snapshot *snapshot = make();
    char longest[CHECK_REASON_BYTES], small[16];

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(snapshot, SNAPSHOT_UI, CHECK_RETRY, longest);
    cr_expect_eq(strlen(reason_of(snapshot, PROBE_LIVE)), strlen("ui: ") + strlen(longest));
    (void)verdict_passes(snapshot, PROBE_LIVE, small, sizeof(small));
    cr_expect_str_eq(small, "ui: xxxxxxxxxxx");
}

Test(snapshot, what_a_server_said_becomes_one_printable_line)
{
    struct snapshot *snapshot = make();
    struct snapshot_result waiting;

    put(snapshot, SNAPSHOT_ALIVE, CHECK_RETRY, "a\r\nSet-Cookie: b\x1b[31m\xff");
    cr_expect_str_eq(snapshot_result(snapshot, SNAPSHOT_ALIVE).reason, "a??Set-Cookie: b?[31m?");
    put_waiting(snapshot, 0, "tcp://a\n:1", CHECK_RETRY, "b\tc");
    cr_assert(snapshot_waiting(snapshot, 0, &waiting));
    cr_expect_str_eq(waiting.url, "tcp://a?:1");
    cr_expect_str_eq(waiting.reason, "b?c");
}

Test(snapshot, a_result_comes_back_as_it_was_put_and_is_counted)
{
    struct snapshot *snapshot = make();
    struct snapshot_result result = snapshot_result(snapshot, SNAPSHOT_UI);

    cr_expect_not(result.asked);
    put(snapshot, SNAPSHOT_UI, CHECK_RETRY, "connection refused");
    put(snapshot, SNAPSHOT_UI, CHECK_READY, "401");
    put(snapshot, SNAPSHOT_UI, CHECK_READY, "200");
    result = snapshot_result(snapshot, SNAPSHOT_UI);
    cr_expect(result.asked);
    cr_expect_eq(result.state, CHECK_READY);
    cr_expect_eq(result.latency_us, 1500);
    cr_expect_str_eq(result.reason, "200");
    cr_expect_leq(result.at_ms, clock_ms());
    cr_expect_eq(result.passed, 2);
    cr_expect_eq(result.failed, 1);
    cr_expect_not(snapshot_result(snapshot, SNAPSHOT_ALIVE).asked);
}

/* results: '+' passes, '-' fails; states: what the check counts as after each of them. */
Test(snapshot, a_check_changes_after_as_many_results_in_a_row_as_its_threshold_says)
{
    static const struct {
        int failures, successes;
        const char *results, *states;
    } table[] = {
        {1, 1, "-+-+", "-+-+"},
        {3, 1, "-+--+---+",
         "-+++++"
         "+-+"},
        {1, 2, "++-+-++",
         "-+---"
         "-+"},
        {2, 3, "+++-+--++-+++",
         "--++++-----"
         "-+"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct snapshot *snapshot = make();
        int streak = 0;

        snapshot_set_thresholds(snapshot, table[i].failures, table[i].successes);
        for (size_t k = 0; table[i].results[k]; k++) {
            bool passes = table[i].results[k] == '+';
            struct snapshot_result result;

            put(snapshot, SNAPSHOT_USABLE, passes ? CHECK_READY : CHECK_RETRY, "some answer");
            result = snapshot_result(snapshot, SNAPSHOT_USABLE);
            streak = passes ? (streak < 0 ? 1 : streak + 1) : (streak > 0 ? -1 : streak - 1);
            cr_expect_eq(result.up, table[i].states[k] == '+', "row %zu, result %zu", i, k);
            cr_expect_eq(result.streak, streak, "row %zu, result %zu", i, k);
        }
    }
}

Test(snapshot, a_check_that_is_not_good_again_yet_says_so)
{
    struct snapshot *snapshot = make();

    snapshot_set_thresholds(snapshot, 1, 3);
    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(snapshot, SNAPSHOT_USABLE, CHECK_READY, "default");
    cr_expect_not(answers(snapshot, PROBE_READY));
    cr_expect_str_eq(reason_of(snapshot, PROBE_READY), "usable: good again, 1 of 3 times");
}

Test(snapshot, the_last_results_are_kept_in_order)
{
    struct snapshot *snapshot = make();
    struct snapshot_tick ticks[SNAPSHOT_TICKS];
    struct check_result result = {.state = CHECK_READY};

    cr_expect_eq(snapshot_ticks(snapshot, SNAPSHOT_UI, ticks), 0);
    for (int i = 1; i <= 100; i++) {
        size_t count, expected = i < SNAPSHOT_TICKS ? (size_t)i : SNAPSHOT_TICKS;

        result.state = i % 3 ? CHECK_READY : CHECK_RETRY;
        result.latency_us = i;
        snapshot_put_result(snapshot, SNAPSHOT_UI, &result);
        count = snapshot_ticks(snapshot, SNAPSHOT_UI, ticks);
        cr_assert_eq(count, expected);
        for (size_t k = 0; k < count; k++) {
            int made = i - (int)(count - 1 - k);

            cr_expect_eq(ticks[k].latency_us, made);
            cr_expect_eq(ticks[k].passed, made % 3 != 0);
            cr_expect(ticks[k].at_ms >= snapshot_born_ms(snapshot) - 1000 &&
                      ticks[k].at_ms <= clock_ms());
        }
    }
    result.latency_us = INT64_MAX / 2;
    snapshot_put_result(snapshot, SNAPSHOT_UI, &result);
    cr_assert_eq(snapshot_ticks(snapshot, SNAPSHOT_UI, ticks), SNAPSHOT_TICKS);
    cr_expect_eq(ticks[SNAPSHOT_TICKS - 1].latency_us, INT32_MAX, "as long as it can be told");
}

Test(snapshot, a_duration_is_in_the_first_bucket_that_holds_it)
{
    static const int64_t latencies_us[] = {0, 1000, 1001, 9999, 10000000, 10000001};
    static const uint64_t expected[SNAPSHOT_BUCKETS] = {2, 1, 0, 1, [12] = 1, [13] = 1};
    struct snapshot *snapshot = make();
    struct check_result result = {.state = CHECK_READY};
    uint64_t buckets[SNAPSHOT_BUCKETS];
    double sum;

    for (size_t i = 0; i < sizeof(latencies_us) / sizeof(latencies_us[0]); i++) {
        result.latency_us = latencies_us[i];
        snapshot_put_result(snapshot, SNAPSHOT_ALIVE, &result);
    }
    result.latency_us = -1;
    snapshot_put_result(snapshot, SNAPSHOT_ALIVE, &result);
    snapshot_durations(snapshot, SNAPSHOT_ALIVE, buckets, &sum);
    for (size_t i = 0; i < SNAPSHOT_BUCKETS; i++)
        cr_expect_eq(buckets[i], expected[i], "bucket %zu", i);
    cr_expect_float_eq(sum, 20.012001, 1e-9);
}

Test(snapshot, targets_past_the_last_place_are_left_out)
{
    struct snapshot *snapshot = make();
    struct snapshot_result waiting;

    put_waiting(snapshot, SNAPSHOT_WAITING_MAX, "tcp://a:1", CHECK_RETRY, "refused");
    cr_expect_not(snapshot_waiting(snapshot, 0, &waiting));
    put_waiting(snapshot, SNAPSHOT_WAITING_MAX - 1, "tcp://b:1", CHECK_RETRY, "refused");
    cr_expect(snapshot_waiting(snapshot, 0, &waiting));
    cr_expect_str_empty(waiting.url, "nothing is known about the first one yet");
    cr_expect(snapshot_waiting(snapshot, SNAPSHOT_WAITING_MAX - 1, &waiting));
    cr_expect_str_eq(waiting.url, "tcp://b:1");
    cr_expect_not(snapshot_waiting(snapshot, SNAPSHOT_WAITING_MAX, &waiting));
}

Test(snapshot, a_phase_knows_when_it_began_and_keeps_that_when_set_again)
{
    int64_t before = clock_ms(), since;
    struct snapshot *snapshot = make();

    cr_expect_eq(snapshot_phase(snapshot), PHASE_RENDERING);
    cr_expect_geq(snapshot_born_ms(snapshot), before);
    for (enum phase phase = PHASE_WAITING; phase < PHASE_COUNT; phase++) {
        before = clock_ms();
        snapshot_set_phase(snapshot, phase);
        cr_expect_eq(snapshot_phase(snapshot), phase);
        since = snapshot_phase_began_ms(snapshot, phase);
        cr_expect(before <= since && since <= clock_ms());
        (void)usleep(2000);
        snapshot_set_phase(snapshot, phase);
        cr_expect_eq(snapshot_phase_began_ms(snapshot, phase), since);
    }
}

Test(snapshot, a_phase_takes_until_the_next_one_that_is_reached)
{
    struct snapshot *snapshot = make();
    int64_t took;

    cr_expect_eq(snapshot_phase_took_ms(snapshot, PHASE_WAITING), -1);
    snapshot_set_phase(snapshot, PHASE_WAITING);
    (void)usleep(20000);
    snapshot_set_phase(snapshot, PHASE_STOPPING);
    took = snapshot_phase_took_ms(snapshot, PHASE_WAITING);
    cr_expect_geq(took, 20);
    (void)usleep(20000);
    cr_expect_eq(snapshot_phase_took_ms(snapshot, PHASE_WAITING), took);
    cr_expect_geq(snapshot_phase_took_ms(snapshot, PHASE_STOPPING), 20);
    cr_expect_eq(snapshot_phase_began_ms(snapshot, PHASE_SERVING), 0);
}

Test(snapshot, what_is_left_of_a_phase_is_known_where_it_has_an_end)
{
    struct snapshot *snapshot = make();

    cr_expect_eq(snapshot_left_ms(snapshot), -1);
    snapshot_set_deadline(snapshot, clock_ms() + 5000);
    cr_expect(snapshot_left_ms(snapshot) > 4000 && snapshot_left_ms(snapshot) <= 5000);
    snapshot_set_deadline(snapshot, clock_ms() - 1);
    cr_expect_eq(snapshot_left_ms(snapshot), 0);
}

Test(snapshot, times_are_told_by_the_clock_of_the_wall)
{
    struct snapshot *snapshot = make();
    double now = snapshot_unix_time(snapshot, clock_ms());

    cr_expect_float_eq(now, (double)time(NULL), 2);
    cr_expect_float_eq(snapshot_unix_time(snapshot, clock_ms() + 60000), now + 60, 1);
}

Test(snapshot, what_one_process_puts_another_reads)
{
    struct snapshot *snapshot = make();
    int status;
    pid_t child = fork();

    if (child == 0) {
        put(snapshot, SNAPSHOT_ALIVE, CHECK_READY, "from the child");
        snapshot_count_worker(snapshot);
        snapshot_set_connects(snapshot, 3);
        snapshot_set_running(snapshot, 4);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_str_eq(snapshot_result(snapshot, SNAPSHOT_ALIVE).reason, "from the child");
    cr_expect_eq(snapshot_workers(snapshot), 1);
    cr_expect_eq(snapshot_connects(snapshot), 3);
    cr_expect_eq(snapshot_running(snapshot), 4);
}

/* The writer is stepped instruction by instruction until it is inside its record. */
static void kill_half_way(struct snapshot *snapshot)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        put(snapshot, SNAPSHOT_ALIVE, CHECK_RETRY, "never to be read");
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    while (snapshot_result(snapshot, SNAPSHOT_ALIVE).asked) {
        cr_assert(WIFSTOPPED(status), "the writer came to its end without a half-written record");
        cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
    }
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
    }
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
}

Test(snapshot, a_writer_killed_half_way_leaves_a_record_that_reads_as_not_asked)
{
    struct snapshot *snapshot = make();
    struct snapshot_result result;

    snapshot_set_phase(snapshot, PHASE_SERVING);
    put(snapshot, SNAPSHOT_ALIVE, CHECK_READY, "Spark SQL");
    kill_half_way(snapshot);
    result = snapshot_result(snapshot, SNAPSHOT_ALIVE);
    cr_expect_not(result.asked);
    cr_expect_str_empty(result.reason);
    cr_expect_eq(result.passed, 1, "counts live on");
    cr_expect_eq(abs(result.streak), 1, "so does the streak");
    cr_expect(answers(snapshot, PROBE_LIVE));

    put(snapshot, SNAPSHOT_ALIVE, CHECK_RETRY, "connection refused");
    cr_expect_str_eq(reason_of(snapshot, PROBE_LIVE), "alive: connection refused");
}

Test(snapshot, a_reader_never_sees_half_of_one_result_and_half_of_another, .timeout = 60)
{
    struct snapshot *snapshot = make();
    char texts[2][CHECK_REASON_BYTES];
    enum check_state last = CHECK_READY;
    int status, changes = 0;
    pid_t child;

    for (int i = 0; i < 2; i++) {
        memset(texts[i], "ab"[i], sizeof(texts[i]) - 1);
        texts[i][sizeof(texts[i]) - 1] = '\0';
    }
    child = fork();
    if (child == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; child == 0; i++)
        put(snapshot, SNAPSHOT_ALIVE, i % 2 ? CHECK_RETRY : CHECK_READY, texts[i % 2]);
    while (changes < 2000) {
        struct snapshot_result result = snapshot_result(snapshot, SNAPSHOT_ALIVE);

        if (!result.asked)
            continue;
        cr_assert_str_eq(result.reason, texts[result.state == CHECK_RETRY]);
        changes += result.state != last;
        last = result.state;
    }
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
}

static json_t *json_of(const struct snapshot *snapshot)
{
    char *text = status_json(snapshot);
    json_error_t error;
    json_t *root;

    cr_assert_not_null(text);
    root = json_loads(text, 0, &error);
    cr_assert_not_null(root, "%s in %s", error.text, text);
    free(text);
    return root;
}

/* The member at a path of names that ends with NULL. */
static const char *json_text(json_t *root, const char *first, const char *second, const char *third)
{
    json_t *value = json_object_get(root, first);

    if (second)
        value = json_object_get(value, second);
    return json_string_value(third ? json_object_get(value, third) : value);
}

Test(snapshot, the_json_holds_what_was_put_in)
{
    struct snapshot *snapshot = make();
    json_t *root, *waiting, *alive;

    put_waiting(snapshot, 0, "thrift://hms:9083", CHECK_READY, "\"ALIVE\"");
    put(snapshot, SNAPSHOT_ALIVE, CHECK_READY, "Spark SQL");
    put(snapshot, SNAPSHOT_USABLE, CHECK_RETRY, "timed out after 5.0s");
    snapshot_set_connects(snapshot, 2);
    snapshot_set_running(snapshot, 0);
    snapshot_set_phase(snapshot, PHASE_SERVING);

    root = json_of(snapshot);
    cr_expect_str_eq(json_text(root, "role", NULL, NULL), "thrift-server");
    cr_expect_str_eq(json_text(root, "phase", NULL, NULL), "serving");
    cr_expect_str_eq(json_text(root, "checks", "alive", "state"), "ready");
    cr_expect_str_eq(json_text(root, "checks", "alive", "reason"), "Spark SQL");
    cr_expect_str_eq(json_text(root, "checks", "usable", "state"), "retry");
    cr_expect_null(json_text(root, "checks", "ui", "state"), "what was not asked is not there");
    cr_expect_str_eq(json_text(root, "probes", "ready", "reason"), "usable: timed out after 5.0s");
    cr_expect(json_is_true(
        json_object_get(json_object_get(json_object_get(root, "probes"), "live"), "ok")));
    cr_expect(json_is_false(
        json_object_get(json_object_get(json_object_get(root, "probes"), "ready"), "ok")));
    alive = json_object_get(json_object_get(root, "checks"), "alive");
    cr_expect_eq(json_real_value(json_object_get(alive, "latency_seconds")), 0.0015);
    cr_expect_eq(json_integer_value(json_object_get(alive, "passed")), 1);
    waiting = json_array_get(json_object_get(root, "waiting"), 0);
    cr_expect_str_eq(json_text(waiting, "url", NULL, NULL), "thrift://hms:9083");
    cr_expect_str_eq(json_text(waiting, "reason", NULL, NULL), "\"ALIVE\"");
    cr_expect_eq(json_integer_value(json_object_get(root, "probe_connections")), 2);
    cr_expect_eq(json_integer_value(json_object_get(root, "running_statements")), 0);
    json_decref(root);
}

/* The schema allows nothing but its properties and requires all of them at the top. */
Test(snapshot, the_json_has_the_members_that_the_schema_names)
{
    struct snapshot *snapshot = make();
    json_t *schema = json_load_file("docs/status.schema.json", 0, NULL);
    json_t *root = json_of(snapshot), *properties, *value;
    const char *name;

    cr_assert_not_null(schema);
    properties = json_object_get(schema, "properties");
    cr_expect_eq(json_object_size(properties), json_object_size(root));
    json_object_foreach(root, name, value)
        cr_expect_not_null(json_object_get(properties, name), "%s", name);
    cr_expect(json_is_null(json_object_get(root, "running_statements")));
    json_decref(root);
    json_decref(schema);
}
