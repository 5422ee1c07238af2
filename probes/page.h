/* The snapshot as a page for people: one HTML document without scripts, links to the outside or
 * resources of its own, that loads itself again every few seconds. */
#ifndef SPARKPOD_PROBES_PAGE_H
#define SPARKPOD_PROBES_PAGE_H

#include "common/buf.h"
#include "probes/snapshot.h"

#define PAGE_CONTENT_TYPE "text/html; charset=utf-8"

/* What the page may do, as a Content-Security-Policy; %s stands for the nonce. */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; style-src 'nonce-%s'; img-src data:; base-uri 'none'; "                   \
    "form-action 'none'; frame-ancestors 'none'"

/* Append the page. nonce marks its style sheet as ours. 0, or -1 if it did not fit. */
int page_write(const struct snapshot *snapshot, const char *nonce, struct buf *out);

#endif
