#include "entrypoint/schema.h"

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "probes/postgres.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_FOLDER "scripts/metastore/upgrade/postgres"
#define SCRIPT_MAX_BYTES ((size_t)8 << 20)
#define CONNECT_MS 15000

/* ---- versions ---- */

static unsigned long read_number(const char **text)
{
    unsigned long number = 0;

    for (; isdigit((unsigned char)**text); (*text)++)
        number = number * 10 + (unsigned long)(**text - '0');
    return number;
}

int schema_compare_versions(const char *a, const char *b)
{
    while (isdigit((unsigned char)*a) || isdigit((unsigned char)*b)) {
        unsigned long left = read_number(&a), right = read_number(&b);

        if (left != right)
            return left < right ? -1 : 1;
        a += *a == '.';
        b += *b == '.';
    }
    /* What follows the numbers makes it a version before the final one. */
    if (!*a || !*b)
        return (*a == '\0') - (*b == '\0');
    return strcmp(a, b);
}

/* "PREFIX" VERSION "SUFFIX" */
static bool parse_name(const char *name, const char *prefix, const char *suffix, char *ret)
{
    size_t len = strlen(name), before = strlen(prefix), after = strlen(suffix);

    if (len <= before + after || len - before - after >= SCHEMA_VERSION_BYTES ||
        strncmp(name, prefix, before) != 0 || strcmp(name + len - after, suffix) != 0 ||
        !isdigit((unsigned char)name[before]))
        return false;
    (void)snprintf(ret, SCHEMA_VERSION_BYTES, "%.*s", (int)(len - before - after), name + before);
    return true;
}

bool schema_parse_jar(const char *file_name, char *ret)
{
    /* Of Hive 4, 3 and 2. */
    static const char *const prefixes[] = {"hive-standalone-metastore-server-",
                                           "hive-standalone-metastore-", "hive-metastore-"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (parse_name(file_name, prefixes[i], ".jar", ret))
            return true;
    }
    return false;
}

bool schema_parse_script(const char *file_name, char *ret)
{
    return parse_name(file_name, "hive-schema-", ".postgres.sql", ret);
}

/* The highest version among the names in a folder, not above limit unless that is ""; "" if none.
 * best has SCHEMA_VERSION_BYTES. */
static void find_highest(const char *path, bool (*parse)(const char *name, char *ret),
                         const char *limit, char *best)
{
    DIR *folder = opendir(path);
    char version[SCHEMA_VERSION_BYTES] = "";
    const struct dirent *entry;

    *best = '\0';
    while (folder && (entry = readdir(folder))) {
        if (parse(entry->d_name, version) && schema_compare_versions(version, best) > 0 &&
            (!*limit || schema_compare_versions(version, limit) <= 0))
            memcpy(best, version, sizeof(version));
    }
    if (folder)
        closedir(folder);
}

/* What the distribution brings along. */
struct distribution {
    char version[SCHEMA_VERSION_BYTES]; /* its own; "" if its jar was not found */
    char schema[SCHEMA_VERSION_BYTES];  /* of its script; "" if there is none */
    char script[4096];
};

static void read_distribution(const char *home, struct distribution *ret)
{
    char path[3072];

    (void)snprintf(path, sizeof(path), "%s/lib", home);
    find_highest(path, schema_parse_jar, "", ret->version);
    (void)snprintf(path, sizeof(path), "%s/%s", home, SCRIPT_FOLDER);
    find_highest(path, schema_parse_script, ret->version, ret->schema);
    (void)snprintf(ret->script, sizeof(ret->script), "%s/hive-schema-%s.postgres.sql", path,
                   ret->schema);
}

/* ---- PostgreSQL ---- */

/* The lock is any number that all sparkpods agree on: "sparkpod" in ASCII. It goes with the
 * transaction, so that a pod that dies holds nothing. */
static const char begin_sql[] = "BEGIN; SELECT pg_advisory_xact_lock(x'737061726b706f64'::bigint)";

/* What is there: the table of versions, other tables of the metastore, nothing, or nothing because
 * this session does not look into the schema that the scripts create theirs in. */
static const char look_sql[] =
    "SELECT CASE WHEN to_regclass('\"VERSION\"') IS NOT NULL THEN 'versions'"
    " WHEN coalesce(to_regclass('\"BUCKETING_COLS\"'), to_regclass('\"DBS\"'),"
    " to_regclass('\"TBLS\"'), to_regclass('\"SEQUENCE_TABLE\"')) IS NOT NULL THEN 'tables'"
    " WHEN 'public' = ANY (current_schemas(false)) THEN 'nothing' ELSE 'nothing in sight' END";

static const char version_sql[] = "SELECT \"SCHEMA_VERSION\" FROM \"VERSION\" ORDER BY \"VER_ID\"";

static int explain(const PGconn *conn, const PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (!state || !message) {
        message = PQerrorMessage(conn);
        return err_set(err, EXIT_UNAVAILABLE, "%.*s", (int)strcspn(message, "\n"), message);
    }
    if (strcmp(state, "42501") == 0)
        return err_set(err, EXIT_REFUSED,
                       "%s: %s. From PostgreSQL 15 on, a role may create tables only in a database "
                       "or schema it owns: ALTER DATABASE \"%s\" OWNER TO \"%s\", or GRANT CREATE "
                       "ON SCHEMA public",
                       state, message, PQdb(conn), PQuser(conn));
    return err_set(err, EXIT_INTERNAL, "%s: %s", state, message);
}

/* Run sql, several statements permitted, and write the first value of the last one's answer, "" if
 * there is none, to ret (SCHEMA_VERSION_BYTES; NULL: not wanted). */
static int run(PGconn *conn, const char *sql, char *ret, struct err *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int failed = 0;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        failed = explain(conn, result, err);
    else if (ret)
        (void)snprintf(ret, SCHEMA_VERSION_BYTES, "%s",
                       PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return failed;
}

/* ---- what to do ---- */

static int judge_version(const char *found, const struct distribution *distribution,
                         struct err *err)
{
    int order = *distribution->schema ? schema_compare_versions(found, distribution->schema) : 0;

    if (order < 0)
        return err_set(err, EXIT_CONFIG,
                       "the database has schema %s, and Hive %s needs %s: back it up and run "
                       "schematool -dbType postgres -upgradeSchema (sparkpod does not upgrade)",
                       found, distribution->version, distribution->schema);
    if (order > 0)
        log_info("schema", "%s is there, newer than this distribution's %s", found,
                 distribution->schema);
    else
        log_info("schema", "%s is there", found);
    return 0;
}

static int may_create(const char *found, const struct distribution *distribution,
                      enum metastore_schema mode, struct err *err)
{
    if (strcmp(found, "nothing in sight") == 0)
        return err_set(err, EXIT_CONFIG,
                       "Hive's script creates its tables in the schema public, which is not in "
                       "this role's search_path (or the role may not use it)");
    if (strcmp(found, "nothing") != 0)
        return err_set(err, EXIT_CONFIG,
                       "there are metastore tables without a recorded version: an interrupted "
                       "schematool -initSchema, or DataNucleus made them. Give the metastore an "
                       "empty database, or, if the tables are in use, complete them and record the "
                       "version in \"VERSION\"");
    if (mode == SCHEMA_VERIFY)
        return err_set(err, EXIT_CONFIG,
                       "the database has no metastore tables, and metastore.schema=verify creates "
                       "none: run schematool -dbType postgres -initSchema, or set it to init");
    if (!*distribution->schema)
        return err_set(err, EXIT_CONFIG, "%s: no script for Hive %s", distribution->script,
                       *distribution->version ? distribution->version : "of any version");
    return 0;
}

/* In one transaction, which ends with the connection where it is not committed. */
static int ensure(PGconn *conn, const struct distribution *distribution, enum metastore_schema mode,
                  struct err *err)
{
    BUF_AUTO script = BUF_INIT(SCRIPT_MAX_BYTES);
    char found[SCHEMA_VERSION_BYTES], version[SCHEMA_VERSION_BYTES] = "";
    char took[CLOCK_DURATION_BYTES];
    int64_t started;

    if (run(conn, begin_sql, NULL, err) < 0 || run(conn, look_sql, found, err) < 0)
        return -1;
    if (strcmp(found, "versions") == 0 && run(conn, version_sql, version, err) < 0)
        return -1;
    if (*version)
        return judge_version(version, distribution, err);
    if (may_create(found, distribution, mode, err) < 0)
        return -1;
    if (fd_read_file(distribution->script, &script) < 0)
        return err_set_errno(err, EXIT_CONFIG, "%s", distribution->script);
    started = clock_ms();
    if (run(conn, buf_str(&script), NULL, err) < 0)
        return err_wrap(err, "hive-schema-%s.postgres.sql", distribution->schema);
    if (run(conn, "COMMIT", NULL, err) < 0)
        return -1;
    log_info("schema", "created %s in %s", distribution->schema,
             clock_format_duration(clock_ms() - started, took, sizeof(took)));
    return 0;
}

int schema_ensure(const struct target *postgres, const char *distribution_home,
                  enum metastore_schema mode, struct err *err)
{
    struct distribution distribution = {.version = ""};
    PGconn *conn;
    int result = postgres_connect(postgres, clock_ms() + CONNECT_MS, &conn, err);

    read_distribution(distribution_home, &distribution);
    if (result == 0)
        result = ensure(conn, &distribution, mode, err);
    PQfinish(conn);
    return result < 0 ? err_wrap(err, "schema of %s", postgres->url) : 0;
}
