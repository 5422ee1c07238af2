/* What can be waited for and probed, from its URL:
 *
 *     postgres://user@host:port/db   jdbc:postgresql://host:port[,host:port…]/db?sslmode=require
 *     thrift://host:port[,host:port…][;ssl=true]   a Hive metastore (any of several may answer)
 *     hive2://host:port   jdbc:hive2://host:port/db;transportMode=http;httpPath=cliservice
 *     http://host:port/path   https://…        tcp://host:port
 *
 * A password never stands in a URL; it is set beside it. */
#ifndef SPARKPOD_PROBES_TARGET_H
#define SPARKPOD_PROBES_TARGET_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum target_kind {
    TARGET_POSTGRES,
    TARGET_METASTORE,
    TARGET_HIVESERVER2,
    TARGET_HTTP,
    TARGET_TCP,
};

/* hive.server2.authentication, as far as a probe can tell the values apart. */
enum target_auth {
    TARGET_AUTH_PLAIN,  /* NONE, LDAP, CUSTOM: SASL PLAIN; NONE takes any user */
    TARGET_AUTH_NOSASL, /* no handshake, no frames */
    TARGET_AUTH_OTHER,  /* KERBEROS: only a connection can be tried */
};

#define TARGET_MAX_HOSTS 8
#define TARGET_URL_BYTES 512

struct target_host {
    char name[256]; /* without brackets */
    uint16_t port;
};

struct target {
    enum target_kind kind;
    char url[TARGET_URL_BYTES]; /* for people: as given, without what follows ? ; or # */
    struct target_host hosts[TARGET_MAX_HOSTS];
    size_t host_count;
    char *conninfo;        /* postgres: what libpq is given besides host and login; owned */
    bool any_server;       /* postgres: the URL itself says which servers will do; otherwise it must
                              be one that can be written to */
    char *user;            /* owned, may be NULL */
    char *password;        /* owned, wiped; may be NULL */
    char *path;            /* http, hive2 over http: path and query, begins with '/'; owned */
    char *ca_file;         /* tls: certificates to trust; NULL: the system's; owned */
    char *server_name;     /* tls: who the certificate and SNI name; NULL: the host; owned */
    bool tls;              /* https, hive.server2.use.SSL, hive.metastore.use.SSL */
    bool insecure;         /* tls: the certificate is not verified */
    bool framed;           /* thrift: hive.metastore.thrift.framed.transport.enabled */
    bool http_transport;   /* hive2: hive.server2.transport.mode=http */
    bool any_status;       /* http: any answer will do, a 401 or 500 too */
    bool lockout;          /* hive2: failed logins may lock an account (LDAP, CUSTOM, unknown) */
    bool has_ui;           /* hive2: the UI is asked as well, and tells whether the JVM hangs */
    bool deep;             /* prove more than a login: hive2 SELECT 1; postgres the CREATE right */
    char version[16];      /* hive2: Spark's, where it is known without asking; else "" */
    enum target_auth auth; /* hive2 */
};

/* Parse url. 0, or -1 with EXIT_USAGE: unknown scheme, no host, bad port, a password in the URL.
 * On success the caller frees *ret with target_free(). */
int target_parse(const char *url, struct target *ret, struct err *err);

/* Set user and password (copied; NULL leaves what is there). 0, or -1 without memory. */
int target_set_login(struct target *target, const char *user, const char *password);

/* Take over what fresh says, which keeps what target said. Whether address or login differ. */
bool target_replace(struct target *target, struct target *fresh);

/* Set what TLS trusts and whom it expects (copied; NULL or "" leaves what is there). 0, or -1
 * without memory. */
int target_set_tls(struct target *target, const char *ca_file, const char *server_name);

/* Append http[s]://host:port/path, as libcurl wants it, for one of the target's hosts, who is
 * called server_name where the target has one. 0, or -1 once buf has failed. */
int target_put_url(const struct target *target, const struct target_host *host, struct buf *buf);

/* Append host:port, an IPv6 address in brackets: where to connect. 0, or -1 once buf has failed. */
int target_put_address(const struct target_host *host, struct buf *buf);

/* Free what the target owns, wiped; it is all zero afterwards. */
void target_free(struct target *target);

#define TARGET_AUTO __attribute__((cleanup(target_free))) struct target

#endif
