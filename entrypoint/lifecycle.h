/* The life of the pod as one table: [phase][event] → next phase and what to do. Pure; the
 * supervisor raises the events and carries the actions out. */
#ifndef SPARKPOD_ENTRYPOINT_LIFECYCLE_H
#define SPARKPOD_ENTRYPOINT_LIFECYCLE_H

#include "common/err.h"
#include "probes/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

enum lifecycle_phase {
    LIFE_RENDER,  /* helper: templates → files */
    LIFE_WAIT,    /* helper: until the dependencies answer */
    LIFE_PREPARE, /* helper: schema */
    LIFE_START,   /* the service runs, not yet usable */
    LIFE_SERVE,   /* it has been usable once */
    LIFE_DELAY,   /* stop asked for: not ready any more, endpoints are being removed */
    LIFE_DRAIN,   /* helper: until nothing runs on the service */
    LIFE_TERM,    /* TERM was sent to the stop target */
    LIFE_SWEEP,   /* TERM was sent to every other descendant */
    LIFE_DUMP,    /* thread dump asked of a java that still runs */
    LIFE_KILL,    /* KILL was sent to all */
    LIFE_CLEAN,   /* no process is left; helper: what a service that died left elsewhere */
    LIFE_END,     /* nothing is left */
};
#define LIFECYCLE_PHASES (LIFE_END + 1)

enum lifecycle_event {
    EVENT_STEP_DONE,   /* the phase's helper ended with 0 (a failed drain counts: it is over) */
    EVENT_STEP_FAILED, /* it ended otherwise, or the service could not be forked */
    EVENT_USABLE,      /* the health worker saw the service usable for the first time */
    EVENT_STOP,        /* SIGTERM or SIGINT */
    EVENT_TIMEOUT,     /* the phase's time is over */
    EVENT_GONE,        /* the service ended: wrapper and stop target */
    EVENT_ALL_GONE,    /* no descendant is left but helpers */
};
#define LIFECYCLE_EVENTS (EVENT_ALL_GONE + 1)

/* What to do on entering the next phase, a set of bits, in this order. */
enum lifecycle_action {
    ACTION_STEP = 1 << 0,      /* fork the next phase's helper */
    ACTION_SERVICE = 1 << 1,   /* fork the service */
    ACTION_LATE = 1 << 2,      /* first of all: it was not usable in time; thread dump, say so */
    ACTION_TERM = 1 << 3,      /* TERM to the stop target */
    ACTION_TERM_REST = 1 << 4, /* TERM to all descendants; ends a helper that still runs */
    ACTION_DUMP = 1 << 5,      /* QUIT to every java */
    ACTION_KILL = 1 << 6,      /* KILL to all */
};

struct lifecycle_cell {
    bool set;     /* a cell nobody wrote fails a test */
    bool ignored; /* nothing happens, no line is logged */
    enum lifecycle_phase next;
    unsigned actions;
};

/* The cell of a pair; never NULL. */
const struct lifecycle_cell *lifecycle_step(enum lifecycle_phase phase, enum lifecycle_event event);

const char *lifecycle_phase_name(enum lifecycle_phase phase);

/* What the probes are told of a phase. LIFE_END reads as stopping. */
enum phase lifecycle_public_phase(enum lifecycle_phase phase);

/* What is known at the end. */
struct lifecycle_ending {
    bool is_server;   /* the role is a server: ending unasked with 0 is a failure */
    bool ran;         /* the service was forked */
    bool stop_passed; /* TERM was passed on to it, or there was nothing to pass it on to */
    bool killed;      /* ACTION_KILL was needed */
    bool late;        /* it was not usable by health.start_deadline */
    bool step_failed; /* a helper failed before the start */
    int step_status;  /* exit status of that helper */
    int wait_status;  /* of the stop target, as from waitpid() */
};

/* Whether the service has cleaned up behind itself: it never ran, or it stopped as it was asked. */
bool lifecycle_ended_cleanly(const struct lifecycle_ending *ending);

/* The exit status of PID 1 (design: a stop that was asked for and passed on is 0, KILL 137). */
int lifecycle_exit_status(const struct lifecycle_ending *ending);

#endif
