/* Replacing a set of files: all are written beside their targets first, and only then renamed over
 * them, so that no reader ever sees half a file and a failure leaves the old files as they were. */
#ifndef SPARKPOD_CONFGEN_WRITE_H
#define SPARKPOD_CONFGEN_WRITE_H

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

struct write_set;

/* An empty set; NULL without memory. */
struct write_set *write_set_new(void);

/* Stage target: its new content, mode 0600 or stricter if the old file is, goes to disk as
 * ".NAME.sparkpod" in the same folder. Such a file that a killed run left is replaced. A symbolic
 * link will be replaced, not followed. data is borrowed until the set is freed. 0, or -1 with err
 * saying what to do: the folder is missing, read-only, full, not ours, or in use by another set. */
int write_stage(struct write_set *set, const char *target, const char *data, size_t len,
                struct err *err);

/* Put all staged files in place. What is a mount of its own (a single bind-mounted file) cannot be
 * renamed over: it is written in place, last, with a line in warnings. 0; or -1 with err, the old
 * files being as they were, save a mounted one whose writing failed half-way, and save all if the
 * file system cannot exchange two names. */
int write_commit(struct write_set *set, struct buf *warnings, struct err *err);

/* Remove what was staged and not committed, and free. Takes NULL. */
void write_set_free(struct write_set *set);

#endif
