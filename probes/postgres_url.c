#include "probes/postgres_url.h"

#include "common/buf.h"
#include "probes/target_parts.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_HOST "localhost"

/* ---- what libpq's parser says ---- */

static void free_options(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

/* NULL for what is not set. */
static char *get_option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && *options->val ? options->val : NULL;
    return NULL;
}

/* Append keyword='value'. */
static void put_option(struct buf *conninfo, const char *keyword, const char *value)
{
    (void)buf_printf(conninfo, "%s%s='", conninfo->len ? " " : "", keyword);
    for (; *value; value++) {
        if (strchr("'\\", *value))
            (void)buf_add_char(conninfo, '\\');
        (void)buf_add_char(conninfo, *value);
    }
    (void)buf_add_char(conninfo, '\'');
}

/* libpq's lists; one port serves all hosts, an empty one is the default. */
static int take_hosts(char *hosts, char *ports, struct target *ret, struct err *err)
{
    bool several_ports = ports && strchr(ports, ',');
    const char *name, *port = "";

    if (!hosts)
        return err_set(err, EXIT_USAGE, "no host");
    while ((name = strsep(&hosts, ","))) {
        if (ports)
            port = strsep(&ports, ",");
        else if (several_ports)
            return err_set(err, EXIT_USAGE, "more hosts than ports");
        if (target_add_host(ret, name, *port ? target_read_port(port) : POSTGRES_PORT, err) < 0)
            return -1;
    }
    return 0;
}

/* libpq's texts can quote a password; those about a query parameter name it and no more. */
static int blame_conninfo(char *message, struct err *err)
{
    bool harmless = message && strstr(message, "query parameter");

    if (harmless)
        message[strcspn(message, "\n")] = '\0';
    err_set(err, EXIT_USAGE, "%s", harmless ? message : "not a PostgreSQL URI");
    PQfreemem(message);
    return -1;
}

/* Host, port and user have their own places, as each host is asked by itself. */
static int take_options(const PQconninfoOption *options, struct target *ret, struct err *err)
{
    static const char own[] = "host port user";
    BUF_AUTO conninfo = BUF_INIT(4 * TARGET_MAX_URL_BYTES);
    const char *addresses = get_option(options, "hostaddr");

    if (get_option(options, "password") || get_option(options, "sslpassword"))
        return target_refuse_password(err);
    if (get_option(options, "service"))
        return err_set(err, EXIT_USAGE, "service files are not read");
    if (addresses && strchr(addresses, ','))
        return err_set(err, EXIT_USAGE, "hostaddr with several addresses is not supported");
    for (const PQconninfoOption *option = options; option->keyword; option++)
        if (option->val && *option->val && !strstr(own, option->keyword))
            put_option(&conninfo, option->keyword, option->val);
    ret->any_server = get_option(options, "target_session_attrs") != NULL;
    ret->conninfo = buf_failed(&conninfo) ? NULL : strdup(buf_str(&conninfo));
    if (!ret->conninfo || target_set_login(ret, get_option(options, "user"), NULL) < 0)
        return err_no_memory(err);
    return 0;
}

int postgres_parse_uri(const char *rest, struct target *ret, struct err *err)
{
    char uri[TARGET_MAX_URL_BYTES + sizeof("postgresql://")];
    char *message = NULL;
    __attribute__((cleanup(free_options))) PQconninfoOption *options = NULL;

    (void)snprintf(uri, sizeof(uri), "postgresql://%s", rest);
    options = PQconninfoParse(uri, &message);
    if (!options)
        return blame_conninfo(message, err);
    if (take_options(options, ret, err) < 0)
        return -1;
    return take_hosts(get_option(options, "host"), get_option(options, "port"), ret, err);
}

/* ---- what the JDBC driver says: pgjdbc 42.7.7 ---- */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* java.net.URLDecoder, in place. 0 or -1. */
static int decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        char byte = *from == '+' ? ' ' : *from;

        if (byte == '%') {
            if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
                return -1;
            byte = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
            from += 2;
        }
        if (byte == '\0')
            return -1;
        *to++ = byte;
    }
    *to = '\0';
    return 0;
}

/* What libpq needs to know of the parameters. */
struct jdbc {
    struct buf conninfo, options;
    const char *sslmode;
    bool ssl, unverified;
};

static const struct word {
    const char *jdbc, *libpq;
} same_names[] = {{"user", "user"},
                  {"password", "password"},
                  {"sslpassword", "password"},
                  {"service", "service"},
                  {"sslrootcert", "sslrootcert"},
                  {"sslcert", "sslcert"},
                  {"sslkey", "sslkey"},
                  {.jdbc = NULL}},
  server_types[] = {{"any", "any"},
                    {"primary", "read-write"},
                    {"master", "read-write"},
                    {"secondary", "read-only"},
                    {"slave", "read-only"},
                    {"preferSecondary", "prefer-standby"},
                    {"preferSlave", "prefer-standby"},
                    {"preferPrimary", "any"},
                    {.jdbc = NULL}};

static const char *translate(const struct word *words, const char *jdbc)
{
    for (; words->jdbc; words++)
        if (strcmp(words->jdbc, jdbc) == 0)
            return words->libpq;
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcasecmp(text + len - end_len, end) == 0;
}

/* The server parts its options at blanks. */
static void put_search_path(struct buf *options, const char *schema)
{
    (void)buf_add_str(options, " -csearch_path=");
    for (; *schema; schema++) {
        if (strchr(" \\", *schema))
            (void)buf_add_char(options, '\\');
        (void)buf_add_char(options, *schema);
    }
}

static int take_parameter(const char *name, char *value, struct jdbc *jdbc, struct err *err)
{
    const char *keyword = translate(same_names, name);

    if (decode(value) < 0)
        return err_set(err, EXIT_USAGE, "%s is not percent-encoded as it should be", name);
    if (strcmp(name, "sslkey") == 0 && (ends_with(value, ".p12") || ends_with(value, ".pfx")))
        return err_set(
            err, EXIT_USAGE,
            "sslkey: a PKCS-12 file cannot be read here; give the certificate as PEM "
            "(sslcert) and the key as PKCS-8 (sslkey=….pk8), which the driver reads too");
    if (strcmp(name, "socketFactory") == 0)
        return err_set(err, EXIT_USAGE, "socketFactory: only the driver knows where that connects");
    if (strcmp(name, "targetServerType") == 0) {
        keyword = "target_session_attrs";
        value = (char *)(uintptr_t)translate(server_types, value);
        if (!value)
            return err_set(err, EXIT_USAGE, "targetServerType is not one of the driver's words");
    }
    if (keyword)
        put_option(&jdbc->conninfo, keyword, value);
    else if (strcmp(name, "ssl") == 0)
        jdbc->ssl = *value == '\0' || strcasecmp(value, "true") == 0;
    else if (strcmp(name, "sslmode") == 0)
        jdbc->sslmode = value;
    else if (strcmp(name, "sslfactory") == 0)
        jdbc->unverified = ends_with(value, ".NonValidatingFactory");
    else if (strcmp(name, "currentSchema") == 0)
        put_search_path(&jdbc->options, value);
    else if (strcmp(name, "options") == 0)
        (void)buf_printf(&jdbc->options, " %s", value);
    return 0;
}

static int take_parameters(char *parameters, struct jdbc *jdbc, struct err *err)
{
    char *value;

    while ((value = strsep(&parameters, "&"))) {
        const char *name = strsep(&value, "=");
        char none[] = "";

        if (take_parameter(name, value ? value : none, jdbc, err) < 0)
            return -1;
    }
    return 0;
}

/* ssl=true alone means verify-full to the driver; sslmode beats it, in any case of letters. */
static void put_tls(struct jdbc *jdbc)
{
    char mode[16];
    size_t i;

    if (jdbc->ssl && !jdbc->sslmode)
        jdbc->sslmode = "verify-full";
    if (jdbc->unverified && jdbc->sslmode && strncasecmp(jdbc->sslmode, "verify", 6) == 0)
        jdbc->sslmode = "require";
    for (i = 0; jdbc->sslmode && jdbc->sslmode[i] && i < sizeof(mode) - 1; i++)
        mode[i] = (char)tolower((unsigned char)jdbc->sslmode[i]);
    mode[i] = '\0';
    put_option(&jdbc->conninfo, "sslmode", mode);
}

/* "host[:port],…"; a host that is not named is this machine. */
static int take_jdbc_hosts(char *list, struct target *ret, struct err *err)
{
    char *at = strrchr(list, '@'), *item;

    if (at && memchr(list, ':', (size_t)(at - list)))
        return target_refuse_password(err);
    if (at)
        return err_set(err, EXIT_USAGE, "the driver takes no USER@ here: write ?user=USER");
    while ((item = strsep(&list, ","))) {
        char *bracket = strrchr(item, ']'), *colon = strrchr(bracket ? bracket : item, ':');
        uint16_t port = colon ? target_read_port(colon + 1) : POSTGRES_PORT;

        if (colon)
            *colon = '\0';
        if (*item == '[' && bracket) {
            *bracket = '\0';
            item++;
        }
        if (target_add_host(ret, *item ? item : DEFAULT_HOST, port, err) < 0)
            return -1;
    }
    return 0;
}

/* DATABASE, //HOSTS/DATABASE, or nothing after "//". *ret_database is what is to be decoded. */
static int part_server(char *server, char **ret_hosts, char **ret_database, struct err *err)
{
    static char none[] = "";
    char *slash = strncmp(server, "//", 2) == 0 ? strchr(server + 2, '/') : NULL;

    *ret_hosts = *ret_database = none;
    if (strcmp(server, "//") == 0)
        return 0;
    if (*server == '/' && (!slash || strchr(slash + 1, '/')))
        return err_set(err, EXIT_USAGE,
                       "expected jdbc:postgresql://HOST[:PORT][,…]/DATABASE or "
                       "jdbc:postgresql:DATABASE");
    if (!slash) {
        *ret_database = server;
        return 0;
    }
    *slash = '\0';
    *ret_hosts = server + 2;
    *ret_database = slash + 1;
    return 0;
}

static int parse_jdbc(char *rest, struct jdbc *jdbc, struct target *ret, struct err *err)
{
    __attribute__((cleanup(free_options))) PQconninfoOption *options = NULL;
    char *parameters = strchr(rest, '?'), *hosts, *database, *message = NULL;

    if (parameters)
        *parameters++ = '\0';
    if (part_server(rest, &hosts, &database, err) < 0)
        return -1;
    if (decode(database) < 0)
        return err_set(err, EXIT_USAGE, "the database is not percent-encoded as it should be");
    put_option(&jdbc->conninfo, "dbname", database);
    if (take_parameters(parameters, jdbc, err) < 0)
        return -1;
    put_tls(jdbc);
    put_option(&jdbc->conninfo, "options", buf_str(&jdbc->options) + (jdbc->options.len > 0));
    if (buf_failed(&jdbc->conninfo) || buf_failed(&jdbc->options))
        return err_no_memory(err);
    options = PQconninfoParse(buf_str(&jdbc->conninfo), &message);
    if (!options)
        return blame_conninfo(message, err);
    return take_options(options, ret, err) < 0 ? -1 : take_jdbc_hosts(hosts, ret, err);
}

int postgres_parse_jdbc(char *rest, struct target *ret, struct err *err)
{
    struct jdbc jdbc = {.conninfo = BUF_INIT(8 * TARGET_MAX_URL_BYTES),
                        .options = BUF_INIT(4 * TARGET_MAX_URL_BYTES)};
    int result = parse_jdbc(rest, &jdbc, ret, err);

    buf_free(&jdbc.conninfo);
    buf_free(&jdbc.options);
    return result;
}
