#include "entrypoint/schema.h"

#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_FOLDER "scripts/metastore/upgrade/postgres"
#define SCRIPT_MAX_BYTES ((size_t)8 << 20)
#define CONNECT_TIMEOUT_S "15"

/* ---- versions ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static unsigned long read_number(const char **text)
{
    unsigned long number = 0;

    for (; is_digit(**text); (*text)++)
        number = number * 10 + (unsigned long)(**text - '0');
    return number;
}

int schema_compare_versions(const char *a, const char *b)
{
    while (is_digit(*a) || is_digit(*b)) {
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
        !is_digit(name[before]))
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

static void close_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

/* The highest version among the names in a folder, not above limit unless that is ""; "" if none.
 * best has SCHEMA_VERSION_BYTES. */
static void find_highest(const char *path, bool (*parse)(const char *name, char *ret),
                         const char *limit, char *best)
{
    __attribute__((cleanup(close_folder))) DIR *folder = opendir(path);
    char version[SCHEMA_VERSION_BYTES];
    const struct dirent *entry;

    *best = '\0';
    while (folder && (entry = readdir(folder))) {
        if (!parse(entry->d_name, version) ||
            (*limit && schema_compare_versions(version, limit) > 0))
            continue;
        if (!*best || schema_compare_versions(version, best) > 0)
            memcpy(best, version, sizeof(version));
    }
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

static void finish(PGconn **conn)
{
    PQfinish(*conn);
}
#define PGCONN_AUTO __attribute__((cleanup(finish))) PGconn

static void clear(PGresult **result)
{
    PQclear(*result);
}
#define PGRESULT_AUTO __attribute__((cleanup(clear))) PGresult

/* Warnings of the script ("no privileges were granted") are no news. */
static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* Certificates are looked for where libpq does not: pods have no home with .postgresql in it. */
static const char *find_root_certificates(const char *conninfo)
{
    bool verifies = strstr(conninfo, "sslmode=verify") != NULL;
    bool named = strstr(conninfo, "sslrootcert=") || getenv("PGSSLROOTCERT");

    return verifies && !named ? http_ca_bundle() : NULL;
}

/* What stands before dbname yields to the conninfo in it, what stands behind overrides it. */
static PGconn *connect_to(const struct target *postgres, struct err *err)
{
    const char *const keywords[] = {
        "sslrootcert", "fallback_application_name", "connect_timeout", "dbname", "user", "password",
        NULL};
    const char *const values[] = {find_root_certificates(postgres->conninfo),
                                  "sparkpod",
                                  CONNECT_TIMEOUT_S,
                                  postgres->conninfo,
                                  postgres->user,
                                  postgres->password,
                                  NULL};
    PGconn *conn = PQconnectdbParams(keywords, values, 1);
    const char *message = conn ? PQerrorMessage(conn) : "out of memory";

    if (PQstatus(conn) == CONNECTION_OK) {
        (void)PQsetNoticeProcessor(conn, ignore_notice, NULL);
        return conn;
    }
    err_set(err, EXIT_UNAVAILABLE, "%.*s", (int)strcspn(message, "\n"), message);
    PQfinish(conn);
    return NULL;
}

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

/* Run sql, several statements permitted. The last one's result, which the caller clears; or NULL.
 */
static PGresult *run(PGconn *conn, const char *sql, struct err *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    explain(conn, result, err);
    PQclear(result);
    return NULL;
}

static int execute(PGconn *conn, const char *sql, struct err *err)
{
    PGRESULT_AUTO *result = run(conn, sql, err);

    return result ? 0 : -1;
}

/* The lock is any number that all sparkpods agree on: "sparkpod" in ASCII. It goes with the
 * transaction, so that a pod that dies holds nothing. */
static const char begin_sql[] = "BEGIN; SELECT pg_advisory_xact_lock(x'737061726b706f64'::bigint)";

/* Whether the table of versions is there, any other of the metastore's tables, and whether the
 * scripts' schema, public, is where this session looks for tables. */
static const char look_sql[] =
    "SELECT to_regclass('\"VERSION\"') IS NOT NULL,"
    " coalesce(to_regclass('\"BUCKETING_COLS\"'), to_regclass('\"DBS\"'), to_regclass('\"TBLS\"'),"
    " to_regclass('\"SEQUENCE_TABLE\"')) IS NOT NULL,"
    " 'public' = ANY (current_schemas(false))";

static const char version_sql[] = "SELECT \"SCHEMA_VERSION\" FROM \"VERSION\" ORDER BY \"VER_ID\"";

struct found {
    bool tables;                        /* some of the metastore's */
    bool public_is_searched;            /* what a script creates will be found */
    char version[SCHEMA_VERSION_BYTES]; /* "" if it is not recorded */
};

static int look(PGconn *conn, struct found *ret, struct err *err)
{
    PGRESULT_AUTO *tables = run(conn, look_sql, err);
    PGRESULT_AUTO *version = NULL;
    bool has_version_table;

    *ret = (struct found){.tables = false};
    if (!tables)
        return -1;
    has_version_table = *PQgetvalue(tables, 0, 0) == 't';
    ret->tables = has_version_table || *PQgetvalue(tables, 0, 1) == 't';
    ret->public_is_searched = *PQgetvalue(tables, 0, 2) == 't';
    if (!has_version_table)
        return 0;
    version = run(conn, version_sql, err);
    if (!version)
        return -1;
    if (PQntuples(version) > 0)
        (void)snprintf(ret->version, sizeof(ret->version), "%s", PQgetvalue(version, 0, 0));
    return 0;
}

/* ---- what to do ---- */

static int judge_version(const struct found *found, const struct distribution *distribution,
                         struct err *err)
{
    int order =
        *distribution->schema ? schema_compare_versions(found->version, distribution->schema) : 0;

    if (order < 0)
        return err_set(err, EXIT_CONFIG,
                       "the database has schema %s, and Hive %s needs %s: back it up and run "
                       "schematool -dbType postgres -upgradeSchema (sparkpod does not upgrade)",
                       found->version, distribution->version, distribution->schema);
    if (order > 0)
        log_info("schema", "%s is there, newer than this distribution's %s", found->version,
                 distribution->schema);
    else
        log_info("schema", "%s is there", found->version);
    return 0;
}

static int refuse_half(struct err *err)
{
    return err_set(err, EXIT_CONFIG,
                   "there are metastore tables without a recorded version: an interrupted "
                   "schematool -initSchema, or DataNucleus made them. Give the metastore an empty "
                   "database, or, if the tables are in use, complete them and record the version "
                   "in \"VERSION\"");
}

static int may_create(const struct found *found, const struct distribution *distribution,
                      enum metastore_schema mode, struct err *err)
{
    if (mode == SCHEMA_VERIFY)
        return err_set(err, EXIT_CONFIG,
                       "the database has no metastore tables, and metastore.schema=verify creates "
                       "none: run schematool -dbType postgres -initSchema, or set it to init");
    if (!*distribution->schema)
        return err_set(err, EXIT_CONFIG, "%s: no script for Hive %s", distribution->script,
                       *distribution->version ? distribution->version : "of any version");
    if (!found->public_is_searched)
        return err_set(err, EXIT_CONFIG,
                       "Hive's script creates its tables in the schema public, which is not in "
                       "this role's search_path (or the role may not use it)");
    return 0;
}

static int create(PGconn *conn, const struct distribution *distribution, struct err *err)
{
    BUF_AUTO script = BUF_INIT(SCRIPT_MAX_BYTES);
    char took[CLOCK_DURATION_BYTES];
    int64_t started = clock_ms();

    if (fd_read_file(distribution->script, &script) < 0)
        return err_set_errno(err, EXIT_CONFIG, "%s", distribution->script);
    if (execute(conn, buf_str(&script), err) < 0)
        return err_wrap(err, "hive-schema-%s.postgres.sql", distribution->schema);
    if (execute(conn, "COMMIT", err) < 0)
        return -1;
    log_info("schema", "created %s in %s", distribution->schema,
             clock_format_duration(clock_ms() - started, took, sizeof(took)));
    return 0;
}

static int ensure(PGconn *conn, const struct distribution *distribution, enum metastore_schema mode,
                  struct err *err)
{
    struct found found;

    if (execute(conn, begin_sql, err) < 0 || look(conn, &found, err) < 0)
        return -1;
    if (*found.version)
        return judge_version(&found, distribution, err);
    if (found.tables)
        return refuse_half(err);
    if (may_create(&found, distribution, mode, err) < 0)
        return -1;
    return create(conn, distribution, err);
}

int schema_ensure(const struct target *postgres, const char *distribution_home,
                  enum metastore_schema mode, struct err *err)
{
    PGCONN_AUTO *conn = connect_to(postgres, err);
    struct distribution distribution;

    read_distribution(distribution_home, &distribution);
    if (conn && ensure(conn, &distribution, mode, err) == 0)
        return 0;
    return err_wrap(err, "schema of %s", postgres->url);
}
