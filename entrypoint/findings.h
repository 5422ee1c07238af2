/* What `sparkpod check` found, in the order in which it was found; as text or JSON
 * (docs/check.schema.json), and as an exit status. */
#ifndef SPARKPOD_ENTRYPOINT_FINDINGS_H
#define SPARKPOD_ENTRYPOINT_FINDINGS_H

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum finding_severity {
    FINDING_ERROR,
    FINDING_WARNING,
    FINDING_UNCHECKED, /* the check could not be made */
    FINDING_SEVERITIES
};

struct finding {
    enum finding_severity severity;
    enum exit_status status; /* of an error: EXIT_CONFIG, EXIT_DATA, EXIT_REFUSED */
    const char *rule;        /* of the linter; this and the next may be NULL */
    const char *file;
    size_t line; /* 0: none */
    const char *key;
    const char *what; /* with no value of any setting in it */
    const char *why, *instead;
};

struct findings {
    json_t *list;
    json_t *parts; /* what was looked at */
    size_t counts[FINDING_SEVERITIES];
    enum exit_status status; /* of the errors' statuses the first of 78, 65, 77, 70; or 0 */
};

int findings_init(struct findings *findings);
void findings_free(struct findings *findings);

/* What is found from now on belongs to this part: "settings", "templates", … */
void findings_begin(struct findings *findings, const char *part);

/* Add a finding; all is copied, with '?' for what neither a terminal nor JSON should get. */
void findings_add(struct findings *findings, const struct finding *finding);

/* Add what err says of a subject: EXIT_UNAVAILABLE is FINDING_UNCHECKED, all else an error. */
void findings_add_err(struct findings *findings, const char *subject, const struct err *err);

void findings_write_text(const struct findings *findings, bool colour, struct buf *out);
void findings_write_json(const struct findings *findings, struct buf *out);

#endif
