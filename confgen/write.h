/* Replacing files: each is written beside its target first, and only when all are staged is the
 * first one renamed, so that no reader ever sees half a file and a failed render leaves the old
 * files as they were. */
#ifndef SPARKPOD_CONFGEN_WRITE_H
#define SPARKPOD_CONFGEN_WRITE_H

#include "common/buf.h"
#include "common/err.h"

#include <sys/types.h>

struct write_file {
    const char *target; /* borrowed */
    struct buf content;
    mode_t mode;  /* 0: 0600, or stricter if the old file is */
    char *path;   /* what target leads to, where it is a symbolic link */
    char *folder; /* of the target */
    char *temp;   /* the path it is staged under; NULL when there is no such file */
};

/* Stage the file: its content, with its mode, goes to disk as ".NAME.sparkpod" in the target's
 * folder. Such a file that a killed run left is replaced. Where the target is a symbolic link, the
 * file that it leads to is what is written. 0, or -1 with err saying what to do: the folder is
 * missing, read-only, full, or not ours. */
int write_stage(struct write_file *file, struct err *err);

/* Put the staged file in place. What is a mount of its own (a single bind-mounted file) cannot be
 * renamed over: it is written in place, with a line in warnings. 0 or -1 with err. */
int write_commit(struct write_file *file, struct buf *warnings, struct err *err);

/* Say why path could not be written and what to do, from errno. Returns -1. */
int write_explain(struct err *err, const char *path);

/* Remove what was staged and not committed; wipe and free what the file holds. */
void write_free(struct write_file *file);

#endif
