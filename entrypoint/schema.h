/* What the metastore's database must hold, and putting it there: the distribution's own script, in
 * one transaction on one session, under a lock that keeps two pods from doing it at once. It either
 * is all there afterwards or nothing was done. Existing tables are never touched. */
#ifndef SPARKPOD_ENTRYPOINT_SCHEMA_H
#define SPARKPOD_ENTRYPOINT_SCHEMA_H

#include "common/err.h"
#include "entrypoint/config.h"
#include "probes/target.h"

#include <stdbool.h>

/* Make sure that the database has the schema of the distribution in the folder distribution_home;
 * it is created where there is nothing, unless mode is SCHEMA_VERIFY. A newer schema is accepted,
 * as Hive does (MetaStoreSchemaInfo.isVersionCompatible). Blocks; logs what it did. 0, or -1 with
 * err: EXIT_CONFIG for an older schema, for tables without a version and for a missing script,
 * EXIT_REFUSED without the permission, EXIT_UNAVAILABLE if the server does not answer. */
int schema_ensure(const struct target *postgres, const char *distribution_home,
                  enum metastore_schema mode, struct err *err);

#define SCHEMA_VERSION_BYTES 64

/* Compare two versions component by component; "4.0.0-beta-1" is before "4.0.0". Less than, equal
 * to or greater than 0. */
int schema_compare_versions(const char *a, const char *b);

/* The version in the name of the metastore's jar ("hive-standalone-metastore-3.1.3.jar") or of a
 * script ("hive-schema-3.1.0.postgres.sql"), written to ret (SCHEMA_VERSION_BYTES). false if the
 * name is of another kind. */
bool schema_parse_jar(const char *file_name, char *ret);
bool schema_parse_script(const char *file_name, char *ret);

#endif
