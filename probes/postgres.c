#include "probes/postgres.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/http.h"
#include "probes/checks.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLSTATE_LEN 5
#define TEXT_MOST 500 /* of a line of the server's or libpq's */
#define LOGIN_REFUSED "28000"

/* A file that cannot be: ~/.pgpass is another user's business, and libpq complains on stderr about
 * /dev/null, which is not a plain file. */
#define NO_PASSFILE "/dev/null/pgpass"

/* ---- what a failure means ---- */

/* https://www.postgresql.org/docs/15/errcodes-appendix.html: those that a login can meet, the first
 * whose beginning fits. What is not listed may pass by itself: poolers say 08P01 for anything. */
static const struct remedy {
    const char *code;
    enum exit_status status;
    const char *remedy; /* NULL: there is nothing to do but wait */
} remedies[] = {
    {"28P01", EXIT_REFUSED, "give the user, password and certificate that the server knows"},
    {"28", EXIT_REFUSED, "let this user in: role, pg_hba.conf, sslmode, client certificate"},
    {"3D000", EXIT_CONFIG, "create the database, or correct its name in the URL"},
    {"42501", EXIT_REFUSED, "GRANT what is missing to the user"},
    {"42", EXIT_CONFIG, "correct the options in the URL"},
    {"22", EXIT_CONFIG, "correct the options in the URL"},
    {"0A000", EXIT_CONFIG, "is this the port of a PostgreSQL?"},
    {"53300", EXIT_UNAVAILABLE, "raise max_connections or end other clients"},
    {"53100", EXIT_UNAVAILABLE, "the server's disk is full"},
    {.code = NULL},
};

/* Texts of libpq's own for what does not pass by itself. */
static const struct remedy own_texts[] = {
    {"server certificate for", EXIT_CONFIG,
     "use a name that the certificate has, or sslmode=verify-ca"},
    {"certificate verify failed", EXIT_CONFIG,
     "let sslrootcert name the CA that signed the server's certificate"},
    {"root certificate file", EXIT_CONFIG, "mount the CA's certificate as sslrootcert says"},
    {"has group or world access", EXIT_CONFIG,
     "mount its Secret with defaultMode 0400, or 0440 for root's"},
    {"private key file", EXIT_CONFIG, "mount the key as PEM or DER where sslkey says"},
    {"certificate file", EXIT_CONFIG, "mount the certificate as PEM where sslcert says"},
    {"alert", EXIT_REFUSED, "the server does not accept the client certificate (sslcert)"},
    {"does not support SSL", EXIT_CONFIG, "turn ssl on at the server, or set sslmode=disable"},
    {"local user with ID", EXIT_CONFIG, "name the user in the URL"},
    {"invalid ", EXIT_CONFIG, "correct it in the URL"},
    {.code = NULL},
};

static int set_failure(const struct remedy *found, const char *words, int len, struct err *err)
{
    if (!found->code)
        return err_set(err, EXIT_UNAVAILABLE, "%.*s", len, words);
    if (!found->remedy)
        return err_set(err, found->status, "%.*s", len, words);
    return err_set(err, found->status, "%.*s (%s)", len, words, found->remedy);
}

/* words: "28P01: password authentication failed for user "hive"" and whatever follows the line. */
static int refused(const char *words, struct err *err)
{
    const struct remedy *found = remedies;

    while (found->code && strncmp(words, found->code, strlen(found->code)) != 0)
        found++;
    return set_failure(found, words, (int)strcspn(words, "\n"), err);
}

/* The first "SQLSTATE: message" behind the severity ("FATAL:  ", in the server's language) that is
 * not skipped; NULL where the message is libpq's own. */
static const char *find_sqlstate(const char *message, const char *skipped)
{
    while ((message = strstr(message, ":  "))) {
        size_t len = strspn(message += 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (len == SQLSTATE_LEN && message[len] == ':' &&
            strncmp(message, skipped, SQLSTATE_LEN) != 0)
            return message;
    }
    return NULL;
}

/* libpq's own words: 'connection to server at "db" (10.0.0.1), port 5432 failed: Connection
 * refused' for each address, 'could not translate host name "db" to address: …'. The first that
 * has a remedy counts, or else the last. */
static int own_words(const char *message, const struct target_host *host, struct err *err)
{
    static const char failed[] = " failed: ";
    const struct remedy *found;
    BUF_AUTO text = BUF_INIT(ERR_MESSAGE_BYTES);

    if (strstr(message, "could not translate host name"))
        return err_set(err, EXIT_UNAVAILABLE, "cannot resolve %s", host->name);
    do {
        const char *at = strstr(message, failed);
        const char *words = at ? at + strlen(failed) : message;
        int len = (int)strcspn(words, "\n");

        buf_clear(&text);
        /* A sentence's capital letter, but not that of SSL or GSSAPI. */
        if (len)
            (void)buf_printf(&text, "%c%.*s",
                             isupper((unsigned char)words[1]) ? *words
                                                              : tolower((unsigned char)*words),
                             len < TEXT_MOST ? len - 1 : TEXT_MOST, words + 1);
        for (found = own_texts; found->code && !strstr(buf_str(&text), found->code);)
            found++;
        message = words + len;
    } while (!found->code && strstr(message, failed));
    if (text.len == 0)
        return err_set(err, EXIT_UNAVAILABLE, "connection closed without an answer");
    return set_failure(found, buf_str(&text), (int)strcspn(buf_str(&text), ";"), err);
}

/* With sslmode=prefer and allow libpq tries again in the other way, and both answers are there;
 * 28000 then may be about that way alone. */
static int connection_failed(const PGconn *conn, const struct target_host *host, struct err *err)
{
    const char *message = PQerrorMessage(conn);
    const char *sqlstate = find_sqlstate(message, LOGIN_REFUSED) ?: find_sqlstate(message, "");

    if (PQconnectionNeedsPassword(conn))
        return err_set(err, EXIT_REFUSED, "a password is needed for user %s and none is set",
                       PQuser(conn));
    return sqlstate ? refused(sqlstate, err) : own_words(message, host, err);
}

/* ---- a session ---- */

/* Wait for the connection's socket. 0, or -1 with err when the deadline passed. */
static int await(const PGconn *conn, short events, int64_t started_ms, int64_t deadline_ms,
                 struct err *err)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = events};

    while (poll(&fd, 1, clock_left_ms(deadline_ms)) <= 0)
        if (clock_left_ms(deadline_ms) == 0)
            return transport_timed_out(started_ms, err);
    return 0;
}

/* sslmode=verify-… needs certificates to trust. Where none are named libpq would look into a home
 * that pods do not have: the system's are meant. */
static const char *root_certificates(const char *conninfo)
{
    bool named = strstr(conninfo, "sslrootcert='") || getenv("PGSSLROOTCERT");

    return strstr(conninfo, "sslmode='verify") && !named ? http_ca_bundle() : NULL;
}

/* What stands before dbname yields to the conninfo in it, what stands behind overrides it. */
static PGconn *begin(const struct target *target, const struct target_host *host)
{
    char port[8];
    /* clang-format off */
    const char *const keywords[] = {
        "sslrootcert", "fallback_application_name", "dbname", "host", "port", "user", "password",
        "passfile", NULL};
    const char *const values[] = {
        root_certificates(target->conninfo), "sparkpod", target->conninfo, host->name, port,
        target->user, target->password, NO_PASSFILE, NULL};
    /* clang-format on */

    (void)snprintf(port, sizeof(port), "%u", host->port);
    (void)unsetenv("PGSERVICE"); /* no keyword turns service files off; this is a helper process */
    return PQconnectStartParams(keywords, values, 1);
}

static int log_in(PGconn *conn, const struct target_host *host, int64_t deadline_ms,
                  struct err *err)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    int64_t started_ms = clock_ms();

    (void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); /* the one that shows code and words */
    while (PQstatus(conn) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;

        if (await(conn, events, started_ms, deadline_ms, err) < 0)
            return -1;
        next = PQconnectPoll(conn);
        /* Refused over TLS, it would not be taken without it either: no second connection. */
        if (find_sqlstate(PQerrorMessage(conn), LOGIN_REFUSED))
            return connection_failed(conn, host, err);
    }
    (void)PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    return PQstatus(conn) == CONNECTION_OK ? 0 : connection_failed(conn, host, err);
}

/* ---- what a session can do ---- */

/* Each column is NULL where all is well, else what is not; $1 is whether the target is deep. The
 * right to create is not asked for where the metastore's tables are there already. */
static const char question[] =
    "SELECT"
    " CASE WHEN pg_is_in_recovery() THEN 'a standby (in recovery), not a primary'"
    " WHEN current_setting('transaction_read_only') = 'on'"
    " THEN 'read only (default_transaction_read_only is on)' END,"
    " CASE WHEN NOT $1::boolean THEN NULL"
    " WHEN current_schema() IS NULL"
    " THEN format('42501: no schema of search_path (%s) is there for %s: CREATE SCHEMA, or"
    " GRANT USAGE, CREATE ON SCHEMA public TO %2$I', current_setting('search_path'), current_user)"
    " WHEN to_regclass('\"VERSION\"') IS NULL"
    " AND NOT has_schema_privilege(current_schema(), 'CREATE')"
    " THEN format('42501: no right to create tables (since PostgreSQL 15 public gives none):"
    " GRANT CREATE ON SCHEMA %I TO %I', current_schema(), current_user)"
    " WHEN NOT has_table_privilege(to_regclass('\"VERSION\"'), 'SELECT')"
    " THEN format('42501: the metastore''s tables belong to somebody else:"
    " GRANT ALL ON ALL TABLES IN SCHEMA %I TO %I', current_schema(), current_user) END";

static PGresult *ask(PGconn *conn, bool deep, int64_t deadline_ms, struct err *err)
{
    const char *const values[] = {deep ? "true" : "false"};
    int64_t started_ms = clock_ms();

    if (!PQsendQueryParams(conn, question, 1, NULL, values, NULL, NULL, 0)) {
        err_set(err, EXIT_UNAVAILABLE, "the connection broke");
        return NULL;
    }
    while (PQisBusy(conn)) {
        if (await(conn, POLLIN, started_ms, deadline_ms, err) < 0)
            return NULL;
        if (!PQconsumeInput(conn)) {
            err_set(err, EXIT_UNAVAILABLE, "the connection broke");
            return NULL;
        }
    }
    return PQgetResult(conn);
}

static int judge(const PGresult *result, const struct target *target, struct err *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    BUF_AUTO words = BUF_INIT(ERR_MESSAGE_BYTES);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && sqlstate) {
        (void)buf_printf(&words, "%s: %.*s", sqlstate, TEXT_MOST,
                         PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        return refused(buf_str(&words), err);
    }
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return err_set(err, EXIT_UNAVAILABLE, "the first query failed");
    if (!target->any_server && !PQgetisnull(result, 0, 0))
        return err_set(err, EXIT_UNAVAILABLE, "%s", PQgetvalue(result, 0, 0));
    if (!PQgetisnull(result, 0, 1))
        return err_set(err, EXIT_REFUSED, "%s", PQgetvalue(result, 0, 1));
    return 0;
}

/* A login is not yet a session that works: recovery conflicts, poolers, a full disk. */
static int prove(PGconn *conn, const struct target *target, int64_t deadline_ms, struct err *err)
{
    PGresult *result = ask(conn, target->deep, deadline_ms, err);
    int outcome = result ? judge(result, target, err) : -1;

    PQclear(result);
    return outcome;
}

static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static int connect_to(const struct target *target, const struct target_host *host,
                      int64_t deadline_ms, PGconn **ret, struct err *err)
{
    PGconn *conn = begin(target, host);

    if (!conn)
        return err_no_memory(err);
    (void)PQsetNoticeProcessor(conn, ignore_notice, NULL);
    if (log_in(conn, host, deadline_ms, err) < 0 || prove(conn, target, deadline_ms, err) < 0) {
        PQfinish(conn);
        return -1;
    }
    *ret = conn;
    return 0;
}

int postgres_connect(const struct target *target, int64_t deadline_ms, PGconn **ret,
                     struct err *err)
{
    size_t count = target->host_count;

    *ret = NULL;
    for (size_t i = 0; i < count; i++)
        if (connect_to(target, &target->hosts[i], checks_share(deadline_ms, count - i), ret, err) ==
            0)
            return 0;
    return -1;
}

void check_postgres(const struct target *target, const struct target_host *host,
                    int64_t deadline_ms, struct check_result *ret)
{
    PGconn *conn = NULL;
    struct err err;

    if (connect_to(target, host, deadline_ms, &conn, &err) < 0)
        checks_failed(ret, &err);
    else
        checks_ready(ret, "PostgreSQL %d.%d", PQserverVersion(conn) / 10000,
                     PQserverVersion(conn) % 10000);
    PQfinish(conn);
}
