/* A set of templates in, configuration files out: either all of them, or none and every fault.
 *
 * Each template is expanded in memory, checked in its format, and staged beside its target; only
 * when all are staged is the first one renamed. Neither logs nor exits. */
#ifndef SPARKPOD_CONFGEN_RENDER_H
#define SPARKPOD_CONFGEN_RENDER_H

#include "common/buf.h"
#include "common/err.h"
#include "confgen/variables.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* No template and no result is larger. */
#define RENDER_MAX_BYTES ((size_t)16 << 20)

enum render_format {
    RENDER_AUTO, /* by the template's name, or else the target's: .xml; .properties, .conf; text */
    RENDER_XML,  /* Hadoop configuration XML */
    RENDER_PROPERTIES, /* java.util.Properties in UTF-8, as Spark reads them */
    RENDER_TEXT,       /* no escaping */
    RENDER_COPY,       /* no template: byte for byte */
};

struct render_file;

/* Sees the result of a template without a fault, and the template. All is borrowed. */
typedef void (*render_see_fn)(void *context, const struct render_file *file,
                              const struct buf *template, const struct buf *result);

struct render_file {
    const char *source; /* "-" is standard input */
    const char *target; /* "-" is standard output; NULL: only checked, written nowhere */
    enum render_format format;
    /* The target is in a SPARK_CONF_DIR whose files Spark copies into its executors' ConfigMap: a
     * secret in those that it copies is a fault. */
    bool is_published;
    render_see_fn see; /* NULL, or gets the result, which then is written nowhere */
    void *context;
};

struct render_report {
    struct buf faults;    /* a line each: FILE:LINE:COL: message */
    struct buf warnings;  /* a line each */
    struct buf listing;   /* of what is only checked, a line for each placeholder */
    struct buf published; /* what is a fault unless Spark is told to publish nothing */
    size_t fault_count;
    size_t file_count;
    size_t placeholder_count;
};

/* Render the files. 0, or -1 with err: EXIT_DATA and report->faults when a template is at fault,
 * another status when a file cannot be read or written. report is filled in both cases and freed by
 * the caller with render_report_free(). */
int render_files(const struct render_file *files, size_t count, struct variables *variables,
                 struct render_report *report, struct err *err);

/* Render every regular file of the folder that folder->source names (symbolic links followed, names
 * beginning with a dot left out, no recursion) to the same name in the folder folder->target, which
 * must exist; NULL only checks. Formats go by name, whatever folder->format is; a file that is
 * neither XML nor properties is copied byte for byte. */
int render_folder(const struct render_file *folder, struct variables *variables,
                  struct render_report *report, struct err *err);

/* "xml", "properties", "text", "auto" → format. 0 or -1. */
int render_parse_format(const char *name, enum render_format *ret);

void render_report_free(struct render_report *report);

#endif
