#include "entrypoint/lifecycle.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

/* wait_status as waitpid() gives it */
#define EXITED(code) ((code) << 8)
#define SIGNALED(signo) (signo)

static bool has_step(enum lifecycle_phase phase)
{
    return phase <= LIFE_PREPARE || phase == LIFE_DRAIN || phase == LIFE_CLEAN;
}

static bool service_may_run(enum lifecycle_phase phase)
{
    return phase >= LIFE_START && phase < LIFE_CLEAN;
}

Test(lifecycle, every_cell_of_the_table_is_written)
{
    for (int phase = 0; phase < LIFECYCLE_PHASES; phase++) {
        for (int event = 0; event < LIFECYCLE_EVENTS; event++)
            cr_expect(lifecycle_step((enum lifecycle_phase)phase, (enum lifecycle_event)event)->set,
                      "phase %d, event %d", phase, event);
    }
}

Test(lifecycle, a_phase_is_never_left_backwards)
{
    for (int phase = 0; phase < LIFECYCLE_PHASES; phase++) {
        for (int event = 0; event < LIFECYCLE_EVENTS; event++) {
            const struct lifecycle_cell *cell =
                lifecycle_step((enum lifecycle_phase)phase, (enum lifecycle_event)event);

            if (!cell->ignored)
                cr_expect((int)cell->next >= phase, "phase %d, event %d", phase, event);
        }
    }
}

Test(lifecycle, the_end_is_reached_only_when_no_descendant_is_left)
{
    for (int phase = 0; phase < LIFE_END; phase++) {
        for (int event = 0; event < LIFECYCLE_EVENTS; event++) {
            const struct lifecycle_cell *cell =
                lifecycle_step((enum lifecycle_phase)phase, (enum lifecycle_event)event);

            if (!cell->ignored && cell->next == LIFE_END)
                cr_expect(phase == LIFE_CLEAN);
            if (!cell->ignored && cell->next == LIFE_CLEAN)
                cr_expect(event == EVENT_ALL_GONE);
        }
    }
}

Test(lifecycle, leftovers_are_deleted_unless_a_stop_a_failure_or_time_is_over)
{
    const enum lifecycle_event ends[] = {EVENT_STEP_DONE, EVENT_STEP_FAILED, EVENT_STOP,
                                         EVENT_TIMEOUT};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        const struct lifecycle_cell *cell = lifecycle_step(LIFE_CLEAN, ends[i]);

        cr_expect(!cell->ignored && cell->next == LIFE_END && !cell->actions);
    }
}

Test(lifecycle, a_stop_leaves_every_phase_in_which_something_goes_on_as_before)
{
    for (int phase = 0; phase <= LIFE_DRAIN; phase++)
        cr_expect(!lifecycle_step((enum lifecycle_phase)phase, EVENT_STOP)->ignored, "phase %d",
                  phase);
}

Test(lifecycle, once_stop_was_asked_for_time_alone_reaches_the_last_rung)
{
    enum lifecycle_phase phase = lifecycle_step(LIFE_SERVE, EVENT_STOP)->next;
    unsigned actions = 0;

    for (int i = 0; i < LIFECYCLE_PHASES; i++) {
        const struct lifecycle_cell *cell = lifecycle_step(phase, EVENT_TIMEOUT);

        cr_assert(!cell->ignored, "stuck in %s", lifecycle_phase_name(phase));
        actions |= cell->actions;
        phase = cell->next;
    }
    cr_expect(phase == LIFE_KILL);
    cr_expect(actions ==
              (ACTION_STEP | ACTION_TERM | ACTION_TERM_REST | ACTION_DUMP | ACTION_KILL));
}

Test(lifecycle, ready_is_answered_in_the_serving_phase_only)
{
    for (int phase = 0; phase < LIFECYCLE_PHASES; phase++)
        cr_expect((lifecycle_public_phase((enum lifecycle_phase)phase) == PHASE_SERVING) ==
                  (phase == LIFE_SERVE));
}

/* What is true beside the phase. */
struct world {
    enum lifecycle_phase phase;
    bool service; /* it runs */
    bool others;  /* what it left runs */
    bool stop;    /* a stop was asked for */
};
#define WORLDS (LIFECYCLE_PHASES * 8)

static size_t number_of(struct world w)
{
    return (size_t)w.phase * 8 + w.service * 4u + w.others * 2u + w.stop;
}

static struct world world_of(size_t number)
{
    return (struct world){(enum lifecycle_phase)(number / 8), number & 4, number & 2, number & 1};
}

/* Whether the supervisor can raise the event in this world. */
static bool can_happen(struct world w, enum lifecycle_event event)
{
    switch (event) {
    case EVENT_STEP_DONE:
    case EVENT_STEP_FAILED:
        return has_step(w.phase);
    case EVENT_USABLE:
    case EVENT_GONE:
        return w.service;
    case EVENT_STOP:
        return true;
    case EVENT_TIMEOUT:
        return w.phase >= LIFE_START && w.phase != LIFE_SERVE;
    case EVENT_ALL_GONE:
        return w.phase >= LIFE_SWEEP && w.phase < LIFE_CLEAN && !w.service && !w.others;
    }
    return false;
}

static struct world after(struct world w, enum lifecycle_event event)
{
    const struct lifecycle_cell *cell = lifecycle_step(w.phase, event);

    w.stop = w.stop || event == EVENT_STOP;
    w.service = w.service && event != EVENT_GONE;
    if (cell->ignored)
        return w;
    if (cell->actions & ACTION_SERVICE) {
        cr_assert(!w.service, "started twice");
        w.service = w.others = true;
    }
    w.phase = cell->next;
    return w;
}

/* With nobody's help but time's, and KILL's: to the end. */
static void expect_an_end(struct world w)
{
    unsigned actions = 0;

    for (int i = 0; i < LIFECYCLE_PHASES && w.phase != LIFE_END; i++) {
        const struct lifecycle_cell *cell = lifecycle_step(w.phase, EVENT_TIMEOUT);

        if (w.phase == LIFE_KILL)
            cell = lifecycle_step(w.phase, EVENT_ALL_GONE);
        cr_assert(!cell->ignored, "stuck in %s", lifecycle_phase_name(w.phase));
        actions |= cell->actions;
        w.phase = cell->next;
    }
    cr_assert(w.phase == LIFE_END);
}

/* Each state that can be reached, over each event that can happen there. */
Test(lifecycle, every_reachable_state_keeps_the_invariants)
{
    bool reached[WORLDS] = {false};
    size_t queue[WORLDS], count = 0, looked_at = 0;

    queue[count++] = number_of((struct world){.phase = LIFE_RENDER});
    reached[queue[0]] = true;
    while (looked_at < count) {
        struct world w = world_of(queue[looked_at++]);

        cr_assert(w.phase != LIFE_END || (!w.service && !w.others), "a child is left unwatched");
        cr_assert(!w.stop || lifecycle_public_phase(w.phase) != PHASE_SERVING,
                  "ready after a stop");
        if (w.stop && w.phase != LIFE_END)
            expect_an_end(w);
        for (int e = 0; e < 2 * LIFECYCLE_EVENTS; e++) {
            enum lifecycle_event event = (enum lifecycle_event)(e % LIFECYCLE_EVENTS);
            struct world next = after(w, event);

            if (!can_happen(w, event))
                continue;
            /* What the service left may end at any moment, or not. */
            if (e >= LIFECYCLE_EVENTS && !next.service)
                next.others = false;
            if (!reached[number_of(next)]) {
                reached[number_of(next)] = true;
                queue[count++] = number_of(next);
            }
        }
    }
    cr_expect(reached[number_of((struct world){.phase = LIFE_END, .stop = true})]);
    cr_expect(reached[number_of((struct world){.phase = LIFE_END})]);
}

/* A million random histories; each must keep what the table promises. */
Test(lifecycle, random_histories_keep_the_invariants)
{
    unsigned seed = 20261122;

    for (int history = 0; history < 1000000; history++) {
        enum lifecycle_phase phase = LIFE_RENDER;
        bool started = false, termed = false;

        for (int i = 0; i < 24 && phase != LIFE_END; i++) {
            enum lifecycle_event event = (enum lifecycle_event)(rand_r(&seed) % LIFECYCLE_EVENTS);
            const struct lifecycle_cell *cell = lifecycle_step(phase, event);

            if (cell->ignored)
                continue;
            if (cell->actions & ACTION_SERVICE) {
                cr_assert(!started);
                started = true;
            }
            if (cell->actions & (ACTION_TERM | ACTION_TERM_REST))
                termed = true;
            if (cell->actions & ACTION_STEP)
                cr_assert(has_step(cell->next));
            if (cell->next == LIFE_END)
                cr_assert(termed, "ended without anybody having been told");
            if (service_may_run(phase) && phase < LIFE_SWEEP)
                cr_assert(started);
            phase = cell->next;
        }
    }
}

struct ending_case {
    const char *what;
    struct lifecycle_ending ending;
    int status;
};

Test(lifecycle, the_exit_status_follows_the_cause)
{
    const struct ending_case cases[] = {
        {"a step failed", {.step_failed = true, .step_status = 77}, 77},
        {"stopped before the service ran", {.is_server = true}, 0},
        {"a server that ended with 0 unasked", {.is_server = true, .ran = true}, 1},
        {"a command that ended with 0", {.ran = true}, 0},
        {"a command's own status", {.ran = true, .wait_status = EXITED(42)}, 42},
        {"an unasked 143", {.is_server = true, .ran = true, .wait_status = EXITED(143)}, 143},
        {"killed by somebody", {.ran = true, .wait_status = SIGNALED(SIGKILL)}, 137},
        {"143 after a stop",
         {.is_server = true, .ran = true, .stop_passed = true, .wait_status = EXITED(143)},
         0},
        {"any status after a stop",
         {.is_server = true, .ran = true, .stop_passed = true, .wait_status = EXITED(3)},
         0},
        {"KILL after a stop",
         {.ran = true, .stop_passed = true, .killed = true, .wait_status = SIGNALED(SIGKILL)},
         137},
        {"not usable in time",
         {.is_server = true, .ran = true, .stop_passed = true, .late = true},
         69},
        {"a leftover needed KILL after the service failed",
         {.is_server = true, .ran = true, .killed = true, .wait_status = EXITED(255)},
         255},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect(lifecycle_exit_status(&cases[i].ending) == cases[i].status, "%s: got %d",
                  cases[i].what, lifecycle_exit_status(&cases[i].ending));
}

Test(lifecycle, a_service_cleans_up_itself_only_if_it_stops_as_it_was_asked)
{
    const struct {
        struct lifecycle_ending ending;
        bool cleanly;
    } rows[] = {
        {{.ran = false}, true},
        {{.step_failed = true}, true},
        {{.ran = true, .stop_passed = true, .wait_status = EXITED(143)}, true},
        {{.ran = true, .stop_passed = true, .late = true}, true},
        {{.ran = true, .stop_passed = true, .killed = true}, false},
        {{.ran = true, .wait_status = SIGNALED(SIGKILL)}, false},
        {{.ran = true, .wait_status = EXITED(0)}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect(lifecycle_ended_cleanly(&rows[i].ending) == rows[i].cleanly, "row %zu", i);
}

Test(lifecycle, every_phase_has_a_name)
{
    for (int phase = 0; phase < LIFECYCLE_PHASES; phase++)
        cr_expect(lifecycle_phase_name((enum lifecycle_phase)phase) != NULL);
}
