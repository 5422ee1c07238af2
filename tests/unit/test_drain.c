#include "entrypoint/drain.h"

#include <criterion/criterion.h>

Test(drain, the_page_says_how_many_statements_run)
{
    static const struct {
        const char *page;
        int running;
    } cases[] = {
        {"<h4>\n            0\n            session(s) are online,\n            running\n"
         "            0\n            SQL statement(s)\n          </h4>",
         0},
        {"<h4>3 session(s) are online, running 12 SQL statement(s)</h4>", 12},
        {"running 1 SQL statement(s)", -1},
        {"3 session(s) are online, running many SQL statement(s)", -1},
        {"3 session(s) are online, running 9999999999 SQL statement(s)", -1},
        {"3 session(s) are online, running 2", -1},
        {"3 session(s) are online,", -1},
        {"", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(drain_parse_page(cases[i].page), cases[i].running, "case %zu", i);
}

#define HEAD                                                                                       \
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "  \
    "inode\n"
#define REST " 00000000:00000000 00:00000000 00000000   185        0 24671 1 0000000000000000\n"

Test(drain, established_connections_to_the_port_are_counted)
{
    static const char tcp[] = HEAD "   0: 00000000:2710 00000000:0000 0A" REST  /* listening */
                                   "   1: 0700F40A:2710 0900F40A:D431 01" REST  /* a client */
                                   "   2: 0100007F:2710 0100007F:D432 01" REST  /* our probe */
                                   "   3: 0100007F:D432 0100007F:2710 01" REST  /* its other end */
                                   "   4: 0700F40A:2710 0900F40A:D433 06" REST  /* TIME_WAIT */
                                   "   5: 0700F40A:2711 0900F40A:D434 01" REST; /* another port */
    struct drain_connections found = {0};

    drain_count_connections(tcp, 10000, &found);
    cr_expect_eq(found.total, 2);
    cr_expect_eq(found.local, 1);
}

Test(drain, mapped_and_real_ipv6_addresses_are_told_apart)
{
    static const char tcp6[] = HEAD
        "   0: 0000000000000000FFFF00000100007F:2710 0000000000000000FFFF00000100007F:D430 01" REST
        "   1: 0000000000000000FFFF00000700F40A:2710 0000000000000000FFFF00000900F40A:D431 01" REST
        "   2: 00000000000000000000000001000000:2710 00000000000000000000000001000000:D432 01" REST
        "   3: 000000FD000000000000000007000000:2710 000000FD0000000000000000090000 7F:D433 01" REST
        "   4: 000000FD000000000000000007000000:2710 000000FD00000000000000000900007F:D433 01" REST;
    struct drain_connections found = {0};

    drain_count_connections(tcp6, 10000, &found);
    cr_expect_eq(found.total, 4);
    cr_expect_eq(found.local, 2);
}

Test(drain, what_is_no_table_counts_nothing)
{
    static const char *const tables[] = {"", "\n", "no table at all", "   0: :2710",
                                         "   1: 0700F40A:2710 0900F40A:D431"};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct drain_connections found = {0};

        drain_count_connections(tables[i], 10000, &found);
        cr_expect_eq(found.total, 0, "case %zu", i);
    }
}
