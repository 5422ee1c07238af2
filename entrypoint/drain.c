#include "entrypoint/drain.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/http.h"
#include "common/log.h"
#include "entrypoint/thrift_server.h"
#include "probes/transport.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 1000
#define ANSWER_MS 3000
#define PAGE_MAX_BYTES ((size_t)4 << 20)
#define TABLE_MAX_BYTES ((size_t)16 << 20)
/* By default a hundred sessions and a hundred statements, each with its text several times over. */
#define ONE_ROW_EACH "?sessionstat.pageSize=1&sqlstat.pageSize=1"

int drain_parse_page(const char *page)
{
    const char *at = strstr(page, "session(s) are online,");
    int running = -1, len = 0;

    if (at)
        (void)sscanf(at, "session(s) are online, running %9d SQL statement(s)%n", &running, &len);
    return len ? running : -1;
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
    char path[] = "/sqlserver/" ONE_ROW_EACH;
    struct target page = *ui;
    TRANSPORT_ADDRESS_AUTO address;
    HTTP_REPLY_AUTO reply = {0};
    struct http_request request = {.max_bytes = PAGE_MAX_BYTES};
    int running;

    page.path = path;
    if (transport_address(&page, &page.hosts[0], clock_ms() + ANSWER_MS, &address, &request) < 0)
        return err_no_memory(err);
    if (http_send(&request, &reply, err) < 0)
        return -1;
    if (reply.status != 200)
        return err_set(err, EXIT_UNAVAILABLE, "status %d", reply.status);
    running = drain_parse_page(buf_str(&reply.body));
    if (running < 0)
        err_set(err, EXIT_UNAVAILABLE, "it does not say how many statements run");
    return running;
}

struct drain {
    struct monitor_plan plan;
    bool counts_clients; /* the page could not be read */
    int last;            /* what was logged, -1: nothing yet */
};

/* Statements, or clients where the page cannot be read; the change is said once. */
static int count(struct drain *drain)
{
    struct err err = {.message = "spark.ui.enabled is false"};
    int running = drain->plan.has_ui ? read_page(&drain->plan.ui, &err) : -1;

    if (running < 0 && !drain->counts_clients)
        log_warn("drain",
                 "the page /sqlserver/ cannot be read (%s): clients that are connected "
                 "are counted instead of statements",
                 err.message);
    drain->counts_clients = running < 0;
    return running < 0 ? count_clients(drain->plan.service.hosts[0].port) : running;
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

int drain_thrift_server(const struct service *service, struct snapshot *snapshot, struct err *err)
{
    struct drain drain = {.last = -1};
    int result = thrift_server_find(service, &drain.plan, err);

    for (int none = 0; result == 0 && none < 2;) {
        int running = count(&drain);

        report(&drain, snapshot, running);
        none = running == 0 ? none + 1 : 0;
        if (none < 2)
            (void)poll(NULL, 0, POLL_MS);
    }
    monitor_plan_free(&drain.plan);
    return result;
}
