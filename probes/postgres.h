/* Opening a PostgreSQL session: what the check of a postgres:// target and the schema step share.
 * DNS inside libpq may block past the deadline: for helper processes, never for PID 1. */
#ifndef SPARKPOD_PROBES_POSTGRES_H
#define SPARKPOD_PROBES_POSTGRES_H

#include "common/err.h"
#include "probes/target.h"

#include <libpq-fe.h>
#include <stdint.h>

/* Log in to the first of target's hosts that qualifies, each with its share of the time until
 * deadline_ms of clock_ms(): one that takes us, can be written to (unless target->any_server) and,
 * where target->deep, lets us create tables or has the metastore's already. ~/.pgpass and service
 * files are not used; notices are silenced. 0, and the caller frees *ret with PQfinish(); or -1,
 * *ret is NULL, and err has EXIT_UNAVAILABLE for what may pass by itself (DNS, refused, timeout,
 * 57P03, 53300, a standby), EXIT_REFUSED (28P01, 28000, 42501) or EXIT_CONFIG (3D000, TLS). Of
 * the server's own words the first line is shown behind its SQLSTATE. */
int postgres_connect(const struct target *target, int64_t deadline_ms, PGconn **ret,
                     struct err *err);

#endif
