#include "probes/postgres.h"

#include "common/clock.h"
#include "common/http.h"
#include "probes/checks.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLSTATE_LEN 5

/* A file that cannot be: ~/.pgpass is another user's business, and libpq complains on stderr about
 * /dev/null, which is not a plain file. */
#define NO_PASSFILE "/dev/null/pgpass"

/* ---- what a failure means ---- */

static bool is(const char *sqlstate, const char *code)
{
    return strncmp(sqlstate, code, SQLSTATE_LEN) == 0;
}

/* https://www.postgresql.org/docs/15/errcodes-appendix.html, those that a login can meet. */
static int refused(const PGconn *conn, const char *sqlstate, struct err *err)
{
    const char *user = PQuser(conn), *database = PQdb(conn);

    if (is(sqlstate, "28P01"))
        return err_set(err, EXIT_REFUSED, "28P01: password refused for user %s", user);
    if (is(sqlstate, "28000"))
        return err_set(err, EXIT_REFUSED, "28000: login refused for user %s (role or pg_hba.conf)",
                       user);
    if (is(sqlstate, "3D000"))
        return err_set(err, EXIT_CONFIG, "3D000: database %s does not exist", database);
    if (is(sqlstate, "42501"))
        return err_set(err, EXIT_REFUSED, "42501: no permission to connect to database %s",
                       database);
    if (is(sqlstate, "53300"))
        return err_set(err, EXIT_UNAVAILABLE, "53300: too many connections");
    if (is(sqlstate, "57P03"))
        return err_set(err, EXIT_UNAVAILABLE, "57P03: starting up or shutting down");
    if (is(sqlstate, "57P01"))
        return err_set(err, EXIT_UNAVAILABLE, "57P01: shutting down");
    return err_set(err, EXIT_UNAVAILABLE, "refused with SQLSTATE %.5s", sqlstate);
}

/* The last five characters of "FATAL:  28P01", whose word depends on the server's language; NULL
 * where the message is libpq's own. */
static const char *find_sqlstate(const char *message)
{
    const char *colon = strrchr(message, ':'), *state = colon ? colon + 3 : "";

    if (strncmp(colon ? colon : "", ":  ", 3) != 0)
        return NULL;
    for (int i = 0; i < SQLSTATE_LEN; i++)
        if (!isupper((unsigned char)state[i]) && !isdigit((unsigned char)state[i]))
            return NULL;
    return isalnum((unsigned char)state[SQLSTATE_LEN]) ? NULL : state;
}

/* libpq's own words: 'connection to server at "db" (10.0.0.1), port 5432 failed: Connection
 * refused', 'could not translate host name "db" to address: …'. */
static int own_words(const char *message, const struct target_host *host, struct err *err)
{
    const char *at = strstr(message, " failed: ");
    const char *words = at ? at + strlen(" failed: ") : message;

    if (strstr(message, "could not translate host name"))
        return err_set(err, EXIT_UNAVAILABLE, "cannot resolve %s", host->name);
    if (strchr("\n", *words))
        return err_set(err, EXIT_UNAVAILABLE, "connection closed without an answer");
    /* A sentence's capital letter, but not that of SSL or GSSAPI. */
    return err_set(err, EXIT_UNAVAILABLE, "%c%.*s",
                   isupper((unsigned char)words[1]) ? *words : tolower((unsigned char)*words),
                   (int)strcspn(words + 1, "\n"), words + 1);
}

static int connection_failed(const PGconn *conn, const struct target_host *host, struct err *err)
{
    const char *sqlstate = find_sqlstate(PQerrorMessage(conn));

    if (PQconnectionNeedsPassword(conn))
        return err_set(err, EXIT_REFUSED, "a password is needed for user %s and none is set",
                       PQuser(conn));
    return sqlstate ? refused(conn, sqlstate, err) : own_words(PQerrorMessage(conn), host, err);
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
    bool named = strstr(conninfo, "sslrootcert=") || getenv("PGSSLROOTCERT");

    return strstr(conninfo, "sslmode=verify") && !named ? http_ca_bundle() : NULL;
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

    (void)PQsetErrorVerbosity(conn, PQERRORS_SQLSTATE);
    while (PQstatus(conn) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;

        if (await(conn, events, started_ms, deadline_ms, err) < 0)
            return -1;
        next = PQconnectPoll(conn);
    }
    (void)PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    return PQstatus(conn) == CONNECTION_OK ? 0 : connection_failed(conn, host, err);
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
        return err_set(err, EXIT_INTERNAL, "out of memory");
    (void)PQsetNoticeProcessor(conn, ignore_notice, NULL);
    if (log_in(conn, host, deadline_ms, err) < 0) {
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

/* ---- the check ---- */

/* A login is not yet a session that works: recovery conflicts, poolers, a full disk. */
static int query(PGconn *conn, int64_t deadline_ms, struct err *err)
{
    int64_t started_ms = clock_ms();
    const char *sqlstate;
    PGresult *result;
    int outcome = 0;

    if (!PQsendQuery(conn, "SELECT 1"))
        return err_set(err, EXIT_UNAVAILABLE, "the connection broke");
    while (PQisBusy(conn)) {
        if (await(conn, POLLIN, started_ms, deadline_ms, err) < 0)
            return -1;
        if (!PQconsumeInput(conn))
            return err_set(err, EXIT_UNAVAILABLE, "the connection broke");
    }
    result = PQgetResult(conn);
    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        outcome = sqlstate ? refused(conn, sqlstate, err)
                           : err_set(err, EXIT_UNAVAILABLE, "SELECT 1 failed");
    PQclear(result);
    return outcome;
}

void check_postgres(const struct target *target, const struct target_host *host,
                    int64_t deadline_ms, struct check_result *ret)
{
    PGconn *conn = NULL;
    struct err err;

    if (connect_to(target, host, deadline_ms, &conn, &err) < 0 ||
        query(conn, deadline_ms, &err) < 0)
        checks_failed(ret, &err);
    else
        checks_ready(ret, "PostgreSQL %d.%d", PQserverVersion(conn) / 10000,
                     PQserverVersion(conn) % 10000);
    PQfinish(conn);
}
