#include "entrypoint/drain.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/log.h"
#include "entrypoint/facts.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 1000
#define ANSWER_MS 3000
#define PAGE_MAX_BYTES ((size_t)4 << 20)
#define TABLE_MAX_BYTES ((size_t)16 << 20)

/* The string behind word and the blanks before it; NULL if something else stands there. */
static const char *skip_word(const char *text, const char *word)
{
    text += strspn(text, " \t\r\n");
    return strncmp(text, word, strlen(word)) == 0 ? text + strlen(word) : NULL;
}

static const char *skip_number(const char *text, int *ret)
{
    const char *digits = text + strspn(text, " \t\r\n");
    size_t len = strspn(digits, "0123456789");

    if (len == 0 || len > 9)
        return NULL;
    *ret = 0;
    for (size_t i = 0; i < len; i++)
        *ret = *ret * 10 + (digits[i] - '0');
    return digits + len;
}

int drain_parse_page(const char *page)
{
    static const char online[] = "session(s) are online,";
    const char *at = strstr(page, online);
    int running = -1;

    at = at ? skip_word(at + strlen(online), "running") : NULL;
    at = at ? skip_number(at, &running) : NULL;
    at = at ? skip_word(at, "SQL statement(s)") : NULL;
    return at ? running : -1;
}

/* The address bytes stand as the kernel has them in memory, four at a time, so that 127.0.0.1 is
 * 0100007F on a little-endian machine; in tcp6, behind the prefix of a mapped address. */
static bool is_loopback(const char *address)
{
    size_t len = strlen(address);

    if (len == 32 && strcmp(address, "00000000000000000000000001000000") == 0)
        return true;
    if (len == 32 && strncmp(address, "0000000000000000FFFF0000", 24) != 0)
        return false;
    return (len == 8 || len == 32) && strcmp(address + len - 2, "7F") == 0;
}

static void count_line(const char *line, uint16_t port, struct drain_connections *ret)
{
    static const unsigned established = 1; /* TCP_ESTABLISHED */
    char remote[33];
    unsigned local_port, state;

    if (sscanf(line, " %*d: %*32[0-9A-F]:%x %32[0-9A-F]:%*x %x", &local_port, remote, &state) != 3)
        return;
    if (local_port != port || state != established)
        return;
    ret->total++;
    if (is_loopback(remote))
        ret->local++;
}

void drain_count_connections(const char *table, uint16_t port, struct drain_connections *ret)
{
    char line[256];

    while (*table) {
        size_t len = strcspn(table, "\n");

        (void)snprintf(line, sizeof(line), "%.*s", (int)(len < 255 ? len : 255), table);
        count_line(line, port, ret);
        table += len + (table[len] == '\n');
    }
}

/* Our own kept connection is not a client. */
static int count_clients(uint16_t port)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    struct drain_connections connections = {0};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        BUF_AUTO table = BUF_INIT(TABLE_MAX_BYTES);

        if (fd_read_file(tables[i], &table) == 0)
            drain_count_connections(buf_str(&table), port, &connections);
    }
    return connections.total - (connections.local > 0);
}

static int read_page(const struct target *ui, struct err *err)
{
    const char *host = ui->hosts[0].name;
    bool is_ipv6 = strchr(host, ':') != NULL;
    struct http_reply reply = {0};
    char url[512];
    int running = -1;

    (void)snprintf(url, sizeof(url), "http://%s%s%s:%u/sqlserver/", is_ipv6 ? "[" : "", host,
                   is_ipv6 ? "]" : "", ui->hosts[0].port);
    if (http_get(url, clock_ms() + ANSWER_MS, PAGE_MAX_BYTES, &reply, err) == 0) {
        running = reply.status == 200 ? drain_parse_page(buf_str(&reply.body)) : -1;
        if (reply.status != 200)
            err_set(err, EXIT_UNAVAILABLE, "status %d", reply.status);
        else if (running < 0)
            err_set(err, EXIT_UNAVAILABLE, "it does not say how many statements run");
    }
    http_reply_free(&reply);
    return running;
}

struct drain {
    struct target server, ui;
    bool has_ui;
    bool counts_clients; /* the page could not be read */
    int last;            /* what was logged, -1: nothing yet */
};

/* Statements, or clients where the page cannot be read; the change is said once. */
static int count(struct drain *drain, struct err *err)
{
    int running = -1;

    if (drain->has_ui)
        running = read_page(&drain->ui, err);
    else
        err_set(err, EXIT_UNAVAILABLE, "spark.ui.enabled is false");
    if (running < 0 && !drain->counts_clients)
        log_warn("drain",
                 "the page /sqlserver/ cannot be read (%s): clients that are connected "
                 "are counted instead of statements",
                 err->message);
    drain->counts_clients = running < 0;
    return running < 0 ? count_clients(drain->server.hosts[0].port) : running;
}

static void report(struct drain *drain, struct snapshot *snapshot, int running)
{
    const char *what = drain->counts_clients ? "client" : "statement";

    snapshot_set_running(snapshot, drain->counts_clients ? -1 : running);
    if (running != drain->last)
        log_info("drain", "%d %s%s %s", running, what, running == 1 ? "" : "s",
                 drain->counts_clients ? "connected" : "running");
    drain->last = running;
}

static int find_addresses(const struct service *service, struct drain *drain, struct err *err)
{
    struct facts *facts = facts_read(service->conf_folder, err);
    int result = facts ? facts_thrift_server(facts, service->environment, &drain->server,
                                             &drain->ui, &drain->has_ui, err)
                       : -1;

    facts_free(facts);
    return result;
}

int drain_thrift_server(const struct service *service, struct snapshot *snapshot, struct err *err)
{
    struct drain drain = {.last = -1};

    if (find_addresses(service, &drain, err) < 0)
        return -1;
    for (int none = 0; none < 2;) {
        int running = count(&drain, err);

        report(&drain, snapshot, running);
        none = running == 0 ? none + 1 : 0;
        if (none < 2)
            (void)poll(NULL, 0, POLL_MS);
    }
    target_free(&drain.server);
    target_free(&drain.ui);
    return 0;
}
