/* PostgreSQL's two kinds of URL, libpq's and the JDBC driver's, as libpq is to be given them. */
#ifndef SPARKPOD_PROBES_POSTGRES_URL_H
#define SPARKPOD_PROBES_POSTGRES_URL_H

#include "common/err.h"
#include "probes/target.h"

#define POSTGRES_PORT 5432

/* Read what follows "postgresql://" of a URI as libpq documents it
 * (https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING). Sets the target's
 * hosts, user, conninfo and any_server. 0, or -1 with EXIT_USAGE. */
int postgres_parse_uri(const char *rest, struct target *ret, struct err *err);

/* The same for what follows "jdbc:postgresql:" (https://jdbc.postgresql.org/documentation/use,
 * org.postgresql.Driver.parseURL), which is cut up. Parameters get libpq's names; those that mean
 * something to the driver alone are dropped. */
int postgres_parse_jdbc(char *rest, struct target *ret, struct err *err);

#endif
