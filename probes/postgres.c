#include "common/clock.h"
#include "common/http.h"
#include "probes/checks.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLSTATE_LEN 5

/* A file that cannot be: ~/.pgpass is another user's business, and libpq complains on stderr about
 * /dev/null, which is not a plain file. */
#define NO_PASSFILE "/dev/null/pgpass"

static void finish_connection(PGconn **conn)
{
    PQfinish(*conn);
}

/* ---- what an answer means ---- */

enum subject { SUBJECT_NONE, SUBJECT_USER, SUBJECT_DATABASE };

/* https://www.postgresql.org/docs/15/errcodes-appendix.html, those a login can meet. An entry of
 * two characters is the rest of its class. */
static const struct meaning {
    const char *sqlstate;
    const char *before, *after; /* the subject */
    enum subject subject;
    enum exit_status status; /* EXIT_UNAVAILABLE: may pass by itself */
} meanings[] = {
    {"28P01", "password refused for user ", "", SUBJECT_USER, EXIT_REFUSED},
    {"28000", "login refused for user ", " (role or pg_hba.conf)", SUBJECT_USER, EXIT_REFUSED},
    {"28", "login refused for user ", "", SUBJECT_USER, EXIT_REFUSED},
    {"3D000", "database ", " does not exist", SUBJECT_DATABASE, EXIT_CONFIG},
    {"42501", "no permission to connect to database ", "", SUBJECT_DATABASE, EXIT_REFUSED},
    {"53300", "too many connections", "", SUBJECT_NONE, EXIT_UNAVAILABLE},
    {"57P03", "starting up or shutting down", "", SUBJECT_NONE, EXIT_UNAVAILABLE},
    {"57P01", "shutting down", "", SUBJECT_NONE, EXIT_UNAVAILABLE},
};

static int set_meaning(const PGconn *conn, const char *sqlstate, struct err *err)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        const struct meaning *it = &meanings[i];
        const char *name = it->subject == SUBJECT_USER       ? PQuser(conn)
                           : it->subject == SUBJECT_DATABASE ? PQdb(conn)
                                                             : "";

        if (strncmp(sqlstate, it->sqlstate, strlen(it->sqlstate)) == 0)
            return err_set(err, it->status, "%.*s: %s%s%s", SQLSTATE_LEN, sqlstate, it->before,
                           name ? name : "", it->after);
    }
    return err_set(err, EXIT_UNAVAILABLE, "refused with SQLSTATE %.*s", SQLSTATE_LEN, sqlstate);
}

/* The five characters after the last "FATAL:  ", whose word depends on the server's language; NULL
 * where the message is libpq's own. */
static const char *find_sqlstate(const char *message)
{
    size_t len = strlen(message);
    const char *at;

    while (len && isspace((unsigned char)message[len - 1]))
        len--;
    if (len < SQLSTATE_LEN + 3 || memcmp(message + len - SQLSTATE_LEN - 3, ":  ", 3) != 0)
        return NULL;
    at = message + len - SQLSTATE_LEN;
    for (int i = 0; i < SQLSTATE_LEN; i++)
        if (!isupper((unsigned char)at[i]) && !isdigit((unsigned char)at[i]))
            return NULL;
    return at;
}

/* libpq's own words: 'connection to server at "db" (10.0.0.1), port 5432 failed: Connection
 * refused', 'could not translate host name "db" to address: …'. */
static int set_own_words(const char *message, const struct target_host *host, struct err *err)
{
    static const char failed[] = " failed: ";
    const char *at = strstr(message, failed);
    const char *words = at ? at + strlen(failed) : message;
    int len = (int)strcspn(words, "\n");

    if (strstr(message, "could not translate host name"))
        return err_set(err, EXIT_UNAVAILABLE, "cannot resolve %s", host->name);
    if (len == 0)
        return err_set(err, EXIT_UNAVAILABLE, "connection closed without an answer");
    return err_set(err, EXIT_UNAVAILABLE, "%c%.*s",
                   isupper((unsigned char)words[1]) ? words[0] : tolower((unsigned char)words[0]),
                   len - 1, words + 1);
}

static int connection_failed(const PGconn *conn, const struct target_host *host, struct err *err)
{
    const char *message = PQerrorMessage(conn);
    const char *sqlstate = find_sqlstate(message);

    if (PQconnectionNeedsPassword(conn))
        return err_set(err, EXIT_REFUSED, "a password is needed for user %s and none is set",
                       PQuser(conn));
    return sqlstate ? set_meaning(conn, sqlstate, err) : set_own_words(message, host, err);
}

/* ---- talking ---- */

/* Wait for the connection's socket. 0, or -1 with err when the deadline passed. */
static int await(const PGconn *conn, short events, int64_t started_ms, int64_t deadline_ms,
                 struct err *err)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = events};
    int ready;

    do {
        ready = poll(&fd, 1, clock_left_ms(deadline_ms));
    } while (ready < 0 || (ready == 0 && clock_left_ms(deadline_ms) != 0));
    return ready > 0 ? 0 : transport_timed_out(started_ms, err);
}

/* sslmode=verify-… needs certificates to trust. Where none are named libpq would look into a home
 * that pods do not have: the system's are meant. */
static const char *root_certificates(const char *conninfo)
{
    bool named = strstr(conninfo, "sslrootcert=") || getenv("PGSSLROOTCERT");

    return strstr(conninfo, "sslmode=verify") && !named ? http_ca_bundle() : NULL;
}

/* What stands before dbname yields to the conninfo in it, what stands behind overrides it. */
static PGconn *start(const struct target *target, const struct target_host *host)
{
    char port[8];
    const char *keywords[] = {"sslrootcert", "fallback_application_name",
                              "dbname",      "host",
                              "port",        "user",
                              "password",    "passfile",
                              NULL};
    const char *values[] = {root_certificates(target->conninfo),
                            "sparkpod",
                            target->conninfo,
                            host->name,
                            port,
                            target->user,
                            target->password,
                            NO_PASSFILE,
                            NULL};

    (void)snprintf(port, sizeof(port), "%u", host->port);
    (void)unsetenv("PGSERVICE"); /* no keyword turns service files off; this is a helper process */
    return PQconnectStartParams(keywords, values, 1);
}

static int connect_by(PGconn *conn, int64_t deadline_ms, const struct target_host *host,
                      struct err *err)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    int64_t started_ms = clock_ms();

    if (!conn)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    (void)PQsetErrorVerbosity(conn, PQERRORS_SQLSTATE);
    while (PQstatus(conn) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        if (await(conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, started_ms, deadline_ms,
                  err) < 0)
            return -1;
        next = PQconnectPoll(conn);
    }
    return PQstatus(conn) == CONNECTION_OK ? 0 : connection_failed(conn, host, err);
}

/* A login is not yet a session that works: recovery conflicts, poolers, a full disk. */
static int query_by(PGconn *conn, int64_t deadline_ms, struct err *err)
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
        outcome = sqlstate ? set_meaning(conn, sqlstate, err)
                           : err_set(err, EXIT_UNAVAILABLE, "SELECT 1 failed");
    PQclear(result);
    return outcome;
}

void check_postgres(const struct target *target, const struct target_host *host,
                    int64_t deadline_ms, struct check_result *ret)
{
    __attribute__((cleanup(finish_connection))) PGconn *conn = start(target, host);
    struct err err;
    int version;

    if (connect_by(conn, deadline_ms, host, &err) < 0 || query_by(conn, deadline_ms, &err) < 0) {
        checks_failed(ret, &err);
        return;
    }
    version = PQserverVersion(conn);
    checks_ready(ret, "PostgreSQL %d.%d", version / 10000, version % 10000);
}
