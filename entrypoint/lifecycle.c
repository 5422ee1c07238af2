#include "entrypoint/lifecycle.h"

#include <signal.h>
#include <sys/wait.h>

#define GO(phase, what)                                                                            \
    {                                                                                              \
        .set = true, .next = (phase), .actions = (what)                                            \
    }
#define STAY                                                                                       \
    {                                                                                              \
        .set = true, .ignored = true                                                               \
    }

/* Until the service runs there is nothing to lose: a stop, or a failed step, ends what runs. */
#define BEFORE_THE_SERVICE(following, what)                                                        \
    {                                                                                              \
        [EVENT_STEP_DONE] = GO(following, what),                                                   \
        [EVENT_STEP_FAILED] = GO(LIFE_SWEEP, ACTION_TERM_REST),                                    \
        [EVENT_STOP] = GO(LIFE_SWEEP, ACTION_TERM_REST), [EVENT_USABLE] = STAY,                    \
        [EVENT_TIMEOUT] = STAY, [EVENT_GONE] = STAY, [EVENT_ALL_GONE] = STAY,                      \
    }

static const struct lifecycle_cell table[LIFECYCLE_PHASES][LIFECYCLE_EVENTS] =
    {
        [LIFE_RENDER] = BEFORE_THE_SERVICE(LIFE_WAIT, ACTION_STEP),
        [LIFE_WAIT] = BEFORE_THE_SERVICE(LIFE_PREPARE, ACTION_STEP),
        [LIFE_PREPARE] = BEFORE_THE_SERVICE(LIFE_START, ACTION_SERVICE),
        [LIFE_START] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_USABLE] = GO(LIFE_SERVE, 0),
                /* Nobody was served yet: no endpoint to wait for, nothing to drain. */
                [EVENT_STOP] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_TIMEOUT] = GO(LIFE_TERM, ACTION_LATE | ACTION_TERM),
                [EVENT_GONE] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_SERVE] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = GO(LIFE_DELAY, 0),
                [EVENT_TIMEOUT] = STAY,
                [EVENT_GONE] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_DELAY] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_TIMEOUT] = GO(LIFE_DRAIN, ACTION_STEP),
                [EVENT_GONE] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_DRAIN] =
            {
                [EVENT_STEP_DONE] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_STEP_FAILED] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_TIMEOUT] = GO(LIFE_TERM, ACTION_TERM),
                [EVENT_GONE] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_TERM] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = STAY,
                [EVENT_TIMEOUT] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_GONE] = GO(LIFE_SWEEP, ACTION_TERM_REST),
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_SWEEP] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = STAY,
                [EVENT_TIMEOUT] = GO(LIFE_DUMP, ACTION_DUMP),
                [EVENT_GONE] = STAY,
                [EVENT_ALL_GONE] = GO(LIFE_CLEAN, ACTION_STEP),
            },
        [LIFE_DUMP] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = STAY,
                [EVENT_TIMEOUT] = GO(LIFE_KILL, ACTION_KILL),
                [EVENT_GONE] = STAY,
                [EVENT_ALL_GONE] = GO(LIFE_CLEAN, ACTION_STEP),
            },
        [LIFE_KILL] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = STAY,
                /* Again: a descendant may have forked between the look and the kill. */
                [EVENT_TIMEOUT] = GO(LIFE_KILL, ACTION_KILL),
                [EVENT_GONE] = STAY,
                [EVENT_ALL_GONE] = GO(LIFE_CLEAN, ACTION_STEP),
            },
        [LIFE_CLEAN] =
            {
                [EVENT_STEP_DONE] = GO(LIFE_END, 0),
                [EVENT_STEP_FAILED] = GO(LIFE_END, 0),
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = GO(LIFE_END, 0), /* the next start cleans, or the pod's end does */
                [EVENT_TIMEOUT] = GO(LIFE_END, 0),
                [EVENT_GONE] = STAY,
                [EVENT_ALL_GONE] = STAY,
            },
        [LIFE_END] =
            {
                [EVENT_STEP_DONE] = STAY,
                [EVENT_STEP_FAILED] = STAY,
                [EVENT_USABLE] = STAY,
                [EVENT_STOP] = STAY,
                [EVENT_TIMEOUT] = STAY,
                [EVENT_GONE] = STAY,
                [EVENT_ALL_GONE] = STAY,
            },
};

static const struct {
    const char *name;
    enum phase public;
} phases[LIFECYCLE_PHASES] = {
    [LIFE_RENDER] = {"rendering", PHASE_RENDERING},
    [LIFE_WAIT] = {"waiting", PHASE_WAITING},
    [LIFE_PREPARE] = {"preparing", PHASE_PREPARING},
    [LIFE_START] = {"starting", PHASE_STARTING},
    [LIFE_SERVE] = {"serving", PHASE_SERVING},
    [LIFE_DELAY] = {"leaving the endpoints", PHASE_DRAINING},
    [LIFE_DRAIN] = {"draining", PHASE_DRAINING},
    [LIFE_TERM] = {"stopping", PHASE_STOPPING},
    [LIFE_SWEEP] = {"ending what is left", PHASE_STOPPING},
    [LIFE_DUMP] = {"asking for a thread dump", PHASE_STOPPING},
    [LIFE_KILL] = {"killing", PHASE_STOPPING},
    [LIFE_CLEAN] = {"deleting leftovers", PHASE_STOPPING},
    [LIFE_END] = {"ended", PHASE_STOPPING},
};

const struct lifecycle_cell *lifecycle_step(enum lifecycle_phase phase, enum lifecycle_event event)
{
    return &table[phase][event];
}

const char *lifecycle_phase_name(enum lifecycle_phase phase)
{
    return phases[phase].name;
}

enum phase lifecycle_public_phase(enum lifecycle_phase phase)
{
    return phases[phase].public;
}

bool lifecycle_ended_cleanly(const struct lifecycle_ending *ending)
{
    return !ending->ran || (ending->stop_passed && !ending->killed);
}

static int status_unasked(const struct lifecycle_ending *ending)
{
    if (WIFSIGNALED(ending->wait_status))
        return EXIT_SIGNAL_BASE + WTERMSIG(ending->wait_status);
    if (WEXITSTATUS(ending->wait_status) == 0 && ending->is_server)
        return EXIT_FAILED;
    return WEXITSTATUS(ending->wait_status);
}

int lifecycle_exit_status(const struct lifecycle_ending *ending)
{
    if (ending->step_failed)
        return ending->step_status;
    if (ending->late)
        return EXIT_UNAVAILABLE;
    if (ending->ran && !ending->stop_passed)
        return status_unasked(ending);
    return ending->killed ? EXIT_SIGNAL_BASE + SIGKILL : EXIT_DONE;
}
