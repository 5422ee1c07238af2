/* A class-data archive (AppCDS): the classes of a class path as a JVM has them in memory once they
 * are read, checked and laid out. A JVM that maps such a file starts faster.
 * `sparkpod-archive` (images/archive) makes one in an image: a folder with
 *
 *     classes.jsa     the archive
 *     manifest        what it fits: the JVM, the jars in their order
 *     java/           a JAVA_HOME whose java is sparkpod: see java.h
 *
 * A JVM maps what it is given. It looks at the jars itself, but a file that was cut off crashes it:
 * so nothing is handed over that is not byte for byte as it was made. */
#ifndef SPARKPOD_ENTRYPOINT_ARCHIVE_H
#define SPARKPOD_ENTRYPOINT_ARCHIVE_H

#include "common/buf.h"
#include "common/err.h"
#include "entrypoint/class_path.h"

#define ARCHIVE_DIGEST_BYTES ((size_t)33) /* in hexadecimal, with its NUL */

/* What a manifest says; the strings point into text. */
struct archive {
    struct buf text;
    const char *folder;   /* borrowed */
    const char *java;     /* the java that it was made with, all links followed */
    const char **jars;    /* the class path, NULL at the end */
    const char **facts;   /* the lines "SIZE MTIME PATH" of those jars, NULL at the end */
    const char **digests; /* lines "DIGEST PATH"; relative to the folder, or absolute */
    const char **names;   /* the names that the jars have at their top level */
    const char **options; /* what else the JVM is to be given */
    size_t option_count;
};

/* Read FOLDER/manifest into ret, which is all zero. 0, or -1 with err; archive_free() in both
 * cases. */
int archive_read(const char *folder, struct archive *ret, struct err *err);

/* Whether a JVM started as java (a path) on that class path may be given the archive and get the
 * class path in its new order, so that nothing but the speed changes. 0, or -1 with err, which says
 * what does not fit. */
int archive_check(const struct archive *archive, const char *java, const struct class_path *path,
                  struct err *err);

/* The digest of a file as a manifest has it. 0, or -1 with err. */
int archive_digest(const char *path, char ret_hex[static ARCHIVE_DIGEST_BYTES], struct err *err);

void archive_free(struct archive *archive);

#endif
