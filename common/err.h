/* One error, as a sentence for the user and the exit status it stands for.
 *
 * Library code (confgen, probes, common) neither logs nor exits: it fills the caller's struct err
 * once and returns -1; each caller on the way up may put its own context in front. */
#ifndef SPARKPOD_COMMON_ERR_H
#define SPARKPOD_COMMON_ERR_H

/* The exit statuses of docs/exit-status.md; the numbers 64 to 78 are those of sysexits.h. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,       /* the service failed without a better number */
    EXIT_USAGE = 64,       /* command line */
    EXIT_DATA = 65,        /* bad template, missing variable */
    EXIT_UNAVAILABLE = 69, /* a dependency did not answer in time */
    EXIT_INTERNAL = 70,    /* our own fault, or the operating system's */
    EXIT_REFUSED = 77,     /* password, permission */
    EXIT_CONFIG = 78,      /* bad settings */
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNAL_BASE = 128,
};

#define ERR_MESSAGE_BYTES 1024

struct err {
    enum exit_status status;
    char message[ERR_MESSAGE_BYTES]; /* empty while there is no error */
};

/* Set the error. Returns -1, so that `return err_set(…)` reads well. err may be NULL. */
int err_set(struct err *err, enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Set the error from errno: "FORMAT: strerror". Returns -1. */
int err_set_errno(struct err *err, enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Set the error that memory has run out: EXIT_INTERNAL. Returns -1. */
int err_no_memory(struct err *err);

/* Put "FORMAT: " in front of the message that is there. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
