#include "common/fd.h"
#include "probes/target.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

/* As tests/rig/ParseUrl.java writes what the driver took from a URL. */
static void describe(const struct target *target, struct buf *ret)
{
    PQconninfoOption *options = PQconninfoParse(target->conninfo, NULL);
    const char *database = NULL;

    cr_assert_not_null(options, "%s", target->conninfo);
    for (PQconninfoOption *option = options; option->keyword; option++)
        if (strcmp(option->keyword, "dbname") == 0)
            database = option->val;
    for (size_t i = 0; i < target->host_count; i++)
        (void)buf_printf(ret, "%s%s:%u", i ? "," : "", target->hosts[i].name,
                         target->hosts[i].port);
    (void)buf_printf(ret, " %s %s", database ? database : "-", target->user ? target->user : "-");
    PQconninfoFree(options);
}

/* jdbc_urls.tsv is the driver's own answer; tests/integration/test_postgres.py asks it again. */
Test(postgres_url, takes_jdbc_urls_as_the_driver_does)
{
    BUF_AUTO table = BUF_INIT(65536);
    char *rest, *line;
    unsigned count = 0;

    cr_assert_eq(fd_read_file("tests/unit/jdbc_urls.tsv", &table), 0);
    rest = table.data;
    while ((line = strsep(&rest, "\n")) && *line) {
        const char *url = strsep(&line, "\t");
        struct err err = {.message = ""};
        BUF_AUTO got = BUF_INIT(4096);
        TARGET_AUTO target;

        if (target_parse(url, &target, &err) == 0)
            describe(&target, &got);
        else
            (void)buf_add_str(&got, "refused");
        cr_expect_str_eq(buf_str(&got), line, "%s: %s instead of %s (%s)", url, buf_str(&got), line,
                         err.message);
        count++;
    }
    cr_expect_gt(count, 40);
}

Test(postgres_url, gives_the_drivers_parameters_libpqs_names_and_drops_the_others)
{
    static const char *const cases[][2] = {
        {"", "dbname='m'"},
        {"?ssl=true", "dbname='m' sslmode='verify-full'"},
        {"?ssl=false&prepareThreshold=0", "dbname='m'"},
        {"?ssl", "dbname='m' sslmode='verify-full'"},
        {"?ssl=true&sslmode=verify-ca&sslrootcert=/c.pem",
         "dbname='m' sslmode='verify-ca' sslrootcert='/c.pem'"},
        {"?sslmode=Require&loginTimeout=5&connectTimeout=5&socketTimeout=5",
         "dbname='m' sslmode='require'"},
        {"?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory",
         "dbname='m' sslmode='require'"},
        {"?sslfactory=org.postgresql.ssl.NonValidatingFactory", "dbname='m'"},
        {"?ssl=true&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory",
         "dbname='m' sslmode='verify-full'"},
        {"?sslcert=/c.crt&sslkey=/c.pk8", "dbname='m' sslcert='/c.crt' sslkey='/c.pk8'"},
        {"?ApplicationName=a&reWriteBatchedInserts=true", "dbname='m'"},
        {"?currentSchema=hive", "dbname='m' options='-csearch_path=hive'"},
        {"?currentSchema=x,+y%5C", "dbname='m' options='-csearch_path=x,\\\\ y\\\\\\\\'"},
        {"?options=-c%20role=x&currentSchema=y", "dbname='m' options='-c role=x -csearch_path=y'"},
        {"?sslrootcert=%27+%5C", "dbname='m' sslrootcert='\\' \\\\'"},
        {"?targetServerType=any", "dbname='m' target_session_attrs='any'"},
        {"?targetServerType=primary", "dbname='m' target_session_attrs='read-write'"},
        {"?targetServerType=master", "dbname='m' target_session_attrs='read-write'"},
        {"?targetServerType=secondary", "dbname='m' target_session_attrs='read-only'"},
        {"?targetServerType=preferSecondary", "dbname='m' target_session_attrs='prefer-standby'"},
        {"?targetServerType=preferPrimary", "dbname='m' target_session_attrs='any'"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {.message = ""};
        char url[512];
        TARGET_AUTO got;

        (void)snprintf(url, sizeof(url), "jdbc:postgresql://db/m%s", cases[i][0]);
        cr_assert_eq(target_parse(url, &got, &err), 0, "%s: %s", url, err.message);
        cr_expect_str_eq(got.conninfo, cases[i][1], "%s: %s", url, got.conninfo);
        cr_expect_eq(got.any_server, strstr(cases[i][1], "target_session_attrs") != NULL);
    }
}

Test(postgres_url, takes_uris_as_libpq_does)
{
    static const struct {
        const char *url, *want, *conninfo;
        bool any_server;
    } cases[] = {
        {"postgres://hive@db/m", "db:5432 m hive", "dbname='m'", false},
        {"postgresql://h%40x@db:1/a%2Fb", "db:1 a/b h@x", "dbname='a/b'", false},
        {"postgres://a:1,[fd00::7]:2,c/m", "a:1,fd00::7:2,c:5432 m -", "dbname='m'", false},
        {"postgres://a,b/m?port=7", "a:7,b:7 m -", "dbname='m'", false},
        {"postgres://a/m?hostaddr=10.0.0.1", "a:5432 m -", "dbname='m' hostaddr='10.0.0.1'", false},
        {"postgres://%2Frun%2Fpg/m", "/run/pg:5432 m -", "dbname='m'", false},
        {"postgres://a/m?ssl=true", "a:5432 m -", "dbname='m' sslmode='require'", false},
        {"postgres://a/m?target_session_attrs=any", "a:5432 m -",
         "dbname='m' target_session_attrs='any'", true},
        {"postgres://a/m?sslmode=verify-full&sslrootcert=/c&sslcert=/x&sslkey=/y", "a:5432 m -",
         "dbname='m' sslmode='verify-full' sslcert='/x' sslkey='/y' sslrootcert='/c'", false},
        {"postgres://a?options=-crole%3Dx", "a:5432 - -", "options='-crole=x'", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {.message = ""};
        BUF_AUTO got = BUF_INIT(4096);
        TARGET_AUTO target;

        cr_assert_eq(target_parse(cases[i].url, &target, &err), 0, "%s: %s", cases[i].url,
                     err.message);
        describe(&target, &got);
        cr_expect_str_eq(buf_str(&got), cases[i].want, "%s: %s", cases[i].url, buf_str(&got));
        cr_expect_str_eq(target.conninfo, cases[i].conninfo, "%s", target.conninfo);
        cr_expect_eq(target.any_server, cases[i].any_server);
    }
}

Test(postgres_url, refuses_what_it_cannot_use_and_says_why)
{
    static const char *const cases[][2] = {
        {"jdbc:postgresql://hive@db/m", "?user=USER"},
        {"jdbc:postgresql://db", "expected jdbc:postgresql://HOST"},
        {"jdbc:postgresql://a:b:c/m", "no valid port for a:b"},
        {"jdbc:postgresql://db/m?user=50%", "user is not percent-encoded"},
        {"jdbc:postgresql://db/m?user=%00", "user is not percent-encoded"},
        {"jdbc:postgresql://db/%g0", "the database is not percent-encoded"},
        {"jdbc:postgresql://db/m?sslkey=/k.P12", "PKCS-12"},
        {"jdbc:postgresql://db/m?sslkey=/k.pfx", "PKCS-12"},
        {"jdbc:postgresql:///m?socketFactory=x.SocketFactory", "socketFactory"},
        {"jdbc:postgresql://db/m?targetServerType=Primary", "targetServerType"},
        {"jdbc:postgresql://?service=x", "service files"},
        {"postgres://a,b/m?hostaddr=1.1.1.1,2.2.2.2", "hostaddr"},
        {"postgres://db/m?service=x", "service files"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {.message = ""};
        struct target got;

        cr_assert_eq(target_parse(cases[i][0], &got, &err), -1, "%s", cases[i][0]);
        cr_expect_eq(err.status, EXIT_USAGE);
        cr_expect_not_null(strstr(err.message, cases[i][1]), "%s: %s", cases[i][0], err.message);
    }
}
