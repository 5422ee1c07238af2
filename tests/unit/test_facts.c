#include "entrypoint/facts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *const no_environment[] = {NULL};
static char folder[64];

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/sparkpod-test-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const names[] = {"hive-site.xml", "metastore-site.xml",
                                        "spark-defaults.conf"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(facts, .init = make_folder, .fini = remove_folder);

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
}

/* properties: "KEY\0VALUE\0", … */
static void write_site(const char *name, const char *const (*properties)[2])
{
    char xml[4096] = "<configuration>";

    for (; (*properties)[0]; properties++)
        snprintf(xml + strlen(xml), sizeof(xml) - strlen(xml),
                 "<property><name>%s</name><value>%s</value></property>", (*properties)[0],
                 (*properties)[1]);
    snprintf(xml + strlen(xml), sizeof(xml) - strlen(xml), "</configuration>\n");
    write_file(name, xml);
}

static struct facts *read_facts(void)
{
    struct err err = {0};
    struct facts *facts = facts_read(folder, NULL, &err);

    cr_assert(facts, "%s", err.message);
    return facts;
}

Test(facts, a_folder_without_files_has_no_keys)
{
    struct facts *facts = read_facts();

    cr_expect_null(facts_get(facts, "hive.metastore.uris"));
    facts_free(&facts);
}

Test(facts, metastore_site_beats_hive_site_and_spark_defaults_beat_both)
{
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"a", "hive"}, {"b", "hive"}, {"c", "hive"}, {NULL, NULL}});
    write_site("metastore-site.xml",
               (const char *const[][2]){{"b", "metastore"}, {"c", "metastore"}, {NULL, NULL}});
    write_file("spark-defaults.conf", "spark.hadoop.c spark\n");
    facts = read_facts();
    cr_expect_str_eq(facts_get(facts, "a"), "hive");
    cr_expect_str_eq(facts_get(facts, "b"), "metastore");
    cr_expect_str_eq(facts_get(facts, "c"), "spark");
    facts_free(&facts);
}

Test(facts, spark_hadoop_and_spark_hive_keys_are_found_under_hadoops_names)
{
    struct facts *facts;

    write_file("spark-defaults.conf", "spark.hadoop.hive.server2.thrift.port=1\n"
                                      "spark.hive.server2.authentication NOSASL\n"
                                      "spark.ui.port: 4141\n");
    facts = read_facts();
    cr_expect_str_eq(facts_get(facts, "hive.server2.thrift.port"), "1");
    cr_expect_str_eq(facts_get(facts, "spark.hadoop.hive.server2.thrift.port"), "1");
    cr_expect_str_eq(facts_get(facts, "hive.server2.authentication"), "NOSASL");
    cr_expect_str_eq(facts_get(facts, "spark.ui.port"), "4141");
    facts_free(&facts);
}

Test(facts, values_are_trimmed_and_empty_ones_are_unset)
{
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"hive.metastore.uris", "\n  thrift://hms:9083\n "},
                                        {"empty", ""},
                                        {NULL, NULL}});
    facts = read_facts();
    cr_expect_str_eq(facts_get(facts, "hive.metastore.uris"), "thrift://hms:9083");
    cr_expect_null(facts_get(facts, "empty"));
    facts_free(&facts);
}

Test(facts, the_users_arguments_beat_the_files)
{
    static const struct {
        const char *args[3];
        const char *key, *value;
    } cases[] = {
        {{"--conf", "spark.ui.port=1"}, "spark.ui.port", "1"},
        {{"--conf=spark.ui.port=2"}, "spark.ui.port", "2"},
        {{"-c", "spark.hive.server2.thrift.port=3"}, "hive.server2.thrift.port", "3"},
        {{"--hiveconf", "hive.server2.thrift.port=4"}, "hive.server2.thrift.port", "4"},
        {{"--conf", "spark.x=a=b"}, "spark.x", "a=b"},
        {{"--master", "local[2]"}, "spark.master", "local[2]"},
        {{"--master=local[3]"}, "spark.master", "local[3]"},
        {{"-p", "9999"}, "-p", "9999"},
        {{"--conf", "no-value"}, "spark.ui.port", "4141"},
        {{"--name", "spark.ui.port=1"}, "spark.ui.port", "4141"},
        {{"--conf"}, "spark.ui.port", "4141"},
    };

    write_file("spark-defaults.conf", "spark.ui.port 4141\nspark.master yarn\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        struct facts *facts = facts_read(folder, (char *const *)(uintptr_t)cases[i].args, &err);

        cr_assert(facts, "%s", err.message);
        cr_assert(facts_get(facts, cases[i].key), "case %zu", i);
        cr_expect_str_eq(facts_get(facts, cases[i].key), cases[i].value, "case %zu", i);
        facts_free(&facts);
    }
}

Test(facts, a_file_that_cannot_be_parsed_is_named)
{
    struct err err = {0};

    write_file("hive-site.xml", "<configuration><property>");
    cr_expect_null(facts_read(folder, NULL, &err));
    cr_expect(strstr(err.message, "hive-site.xml"), "%s", err.message);
}

Test(facts, postgres_gets_address_and_login_from_the_connection_keys)
{
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){
                   {"javax.jdo.option.ConnectionURL", "jdbc:postgresql://db:5433/hive"},
                   {"javax.jdo.option.ConnectionUserName", "hive"},
                   {"javax.jdo.option.ConnectionPassword", "p&amp;w"},
                   {NULL, NULL}});
    facts = read_facts();
    cr_assert_eq(facts_postgres(facts, &target, &err), 1, "%s", err.message);
    cr_expect(target.kind == TARGET_POSTGRES);
    cr_expect_str_eq(target.hosts[0].name, "db");
    cr_expect_eq(target.hosts[0].port, 5433);
    cr_expect_str_eq(target.user, "hive");
    cr_expect_str_eq(target.password, "p&w");
    cr_expect(target.deep, "the metastore needs more than a login");
    target_free(&target);
    facts_free(&facts);
}

Test(facts, the_user_of_the_connection_url_wins_as_in_the_driver)
{
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){
                   {"javax.jdo.option.ConnectionURL", "jdbc:postgresql://db/hive?user=url"},
                   {"javax.jdo.option.ConnectionUserName", "key"},
                   {NULL, NULL}});
    facts = read_facts();
    cr_assert_eq(facts_postgres(facts, &target, &err), 1, "%s", err.message);
    cr_expect_str_eq(target.user, "url");
    target_free(&target);
    facts_free(&facts);
}

Test(facts, another_database_is_not_postgres)
{
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"javax.jdo.option.ConnectionURL", "jdbc:mysql://db/hive"},
                                        {NULL, NULL}});
    facts = read_facts();
    cr_expect_eq(facts_postgres(facts, &target, &err), 0);
    facts_free(&facts);
}

Test(facts, a_broken_connection_url_is_a_configuration_error_without_its_password)
{
    static const char *const urls[] = {
        "jdbc:postgresql://db/hive?user=hive&amp;password=s3cret",
        "jdbc:postgresql://${env.DB}/hive?user=hive&amp;password=s3cret",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct target target;
        struct err err = {0};
        struct facts *facts;

        write_site("hive-site.xml", (const char *const[][2]){
                                        {"javax.jdo.option.ConnectionURL", urls[i]}, {NULL, NULL}});
        facts = read_facts();
        cr_expect_eq(facts_postgres(facts, &target, &err), -1);
        cr_expect_eq(err.status, EXIT_CONFIG);
        cr_expect(strstr(err.message, "ConnectionURL"), "%s", err.message);
        cr_expect_null(strstr(err.message, "s3cret"), "%s", err.message);
        facts_free(&facts);
    }
}

Test(facts, the_metastores_uris_may_be_several)
{
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"hive.metastore.uris", "thrift://a:9083,thrift://b:9084"},
                                        {"hive.metastore.use.SSL", "true"},
                                        {NULL, NULL}});
    facts = read_facts();
    cr_assert_eq(facts_metastore(facts, &target, &err), 1, "%s", err.message);
    cr_expect_eq(target.host_count, 2);
    cr_expect_str_eq(target.hosts[1].name, "b");
    cr_expect_eq(target.hosts[1].port, 9084);
    cr_expect(target.tls);
    cr_expect(!target.insecure); /* a Service of another pod is what its certificate names */
    target_free(&target);
    facts_free(&facts);
}

Test(facts, metastore_uris_of_another_scheme_are_refused)
{
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"hive.metastore.uris", "http://a:9083"}, {NULL, NULL}});
    facts = read_facts();
    cr_expect_eq(facts_metastore(facts, &target, &err), -1);
    cr_expect_eq(err.status, EXIT_CONFIG);
    facts_free(&facts);
}

Test(facts, the_own_metastores_port_comes_from_environment_then_new_then_old_name)
{
    static const struct {
        const char *variable, *key, *value;
        unsigned port;
    } cases[] = {
        {NULL, "x", "y", 9083},
        {NULL, "hive.metastore.port", "9090", 9090},
        {NULL, "metastore.thrift.port", "9091", 9091},
        {"METASTORE_PORT=9092", "metastore.thrift.port", "9091", 9092},
        {"METASTORE_PORT=tcp://10.0.0.1:9083", "metastore.thrift.port", "9091", 9091},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *environment[] = {(char *)(uintptr_t)cases[i].variable, NULL};
        struct target target;
        struct err err = {0};
        struct facts *facts;

        write_site("hive-site.xml",
                   (const char *const[][2]){{cases[i].key, cases[i].value}, {NULL, NULL}});
        facts = read_facts();
        cr_assert_eq(facts_own_metastore(facts, environment, &target, &err), 0, "case %zu: %s", i,
                     err.message);
        cr_expect_eq(target.hosts[0].port, cases[i].port, "case %zu", i);
        cr_expect_str_eq(target.hosts[0].name, "127.0.0.1");
        target_free(&target);
        facts_free(&facts);
    }
}

Test(facts, the_own_metastores_port_of_an_argument_beats_all_others)
{
    char *const environment[] = {(char *)(uintptr_t) "METASTORE_PORT=9092", NULL};
    char *const args[] = {(char *)(uintptr_t) "-p", (char *)(uintptr_t) "9093", NULL};
    struct target target;
    struct err err = {0};
    struct facts *facts;

    write_site("hive-site.xml",
               (const char *const[][2]){{"hive.metastore.use.SSL", "true"}, {NULL, NULL}});
    facts = facts_read(folder, args, &err);
    cr_assert(facts, "%s", err.message);
    cr_assert_eq(facts_own_metastore(facts, environment, &target, &err), 0, "%s", err.message);
    cr_expect_eq(target.hosts[0].port, 9093);
    cr_expect(target.tls);
    target_free(&target);
    facts_free(&facts);
}

Test(facts, what_a_metastore_speaks_is_found_under_both_names)
{
    static const struct {
        const char *key, *value;
        enum target_kind own, other; /* as its own pod sees it, and as its clients do */
        bool tls, framed;
    } cases[] = {
        {"metastore.use.SSL", "TRUE", TARGET_METASTORE, TARGET_METASTORE, true, false},
        {"metastore.thrift.framed.transport.enabled", "true", TARGET_METASTORE, TARGET_METASTORE,
         false, true},
        {"hive.metastore.thrift.framed.transport.enabled", "true", TARGET_METASTORE,
         TARGET_METASTORE, false, true},
        {"hive.metastore.sasl.enabled", "true", TARGET_TCP, TARGET_TCP, false, false},
        {"metastore.sasl.enabled", "false", TARGET_METASTORE, TARGET_METASTORE, false, false},
        {"hive.metastore.thrift.compact.protocol.enabled", "true", TARGET_TCP, TARGET_TCP, false,
         false},
        {"metastore.server.thrift.transport.mode", "http", TARGET_TCP, TARGET_METASTORE, false,
         false},
        {"hive.metastore.client.thrift.transport.mode", "http", TARGET_METASTORE, TARGET_TCP, false,
         false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target own, other;
        struct err err = {0};
        struct facts *facts;

        write_site("hive-site.xml", (const char *const[][2]){{cases[i].key, cases[i].value},
                                                             {"hive.metastore.uris", "thrift://m"},
                                                             {NULL, NULL}});
        facts = read_facts();
        cr_assert_eq(facts_own_metastore(facts, no_environment, &own, &err), 0, "%s", err.message);
        cr_assert_eq(facts_metastore(facts, &other, &err), 1, "%s", err.message);
        cr_expect_eq(own.kind, cases[i].own, "case %zu", i);
        cr_expect_eq(other.kind, cases[i].other, "case %zu", i);
        cr_expect(own.tls == cases[i].tls && other.tls == cases[i].tls, "case %zu", i);
        cr_expect(own.framed == cases[i].framed && other.framed == cases[i].framed, "case %zu", i);
        target_free(&own);
        target_free(&other);
        facts_free(&facts);
    }
}

Test(facts, the_thrift_server_is_found_as_its_own_code_finds_it)
{
    static const struct {
        const char *variable, *defaults;
        const char *host;
        unsigned port;
        bool http, tls, lockout;
        enum target_auth auth;
    } cases[] = {
        {NULL, "", "127.0.0.1", 10000, false, false, false, TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.thrift.port 10009\n", "127.0.0.1", 10009, false, false, false,
         TARGET_AUTH_PLAIN},
        {"HIVE_SERVER2_THRIFT_PORT=10010", "spark.hive.server2.thrift.port 10009\n", "127.0.0.1",
         10010, false, false, false, TARGET_AUTH_PLAIN},
        {"HIVE_SERVER2_THRIFT_PORT=tcp://10.1.1.1:10000", "spark.hive.server2.thrift.port 10009\n",
         "127.0.0.1", 10009, false, false, false, TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.thrift.bind.host 10.0.0.7\n", "10.0.0.7", 10000, false, false,
         false, TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.thrift.bind.host 0.0.0.0\n", "127.0.0.1", 10000, false, false,
         false, TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.thrift.bind.host fd00::7\n", "fd00::7", 10000, false, false,
         false, TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.authentication nosasl\n", "127.0.0.1", 10000, false, false,
         false, TARGET_AUTH_NOSASL},
        {NULL, "spark.hive.server2.authentication LDAP\n", "127.0.0.1", 10000, false, false, true,
         TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.authentication KERBEROS\n", "127.0.0.1", 10000, false, false,
         false, TARGET_AUTH_OTHER},
        {NULL, "spark.hive.server2.use.SSL true\n", "127.0.0.1", 10000, false, true, false,
         TARGET_AUTH_PLAIN},
        {NULL, "spark.hive.server2.transport.mode HTTP\n", "127.0.0.1", 10001, true, false, false,
         TARGET_AUTH_PLAIN},
        {"HIVE_SERVER2_THRIFT_HTTP_PORT=10002", "spark.hive.server2.transport.mode http\n",
         "127.0.0.1", 10002, true, false, false, TARGET_AUTH_PLAIN},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *environment[] = {(char *)(uintptr_t)cases[i].variable, NULL};
        struct target server;
        struct err err = {0};
        struct facts *facts;

        write_file("spark-defaults.conf", cases[i].defaults);
        facts = read_facts();
        cr_assert_eq(facts_thrift_server(facts, environment, &server, &err), 0, "case %zu: %s", i,
                     err.message);
        cr_expect_str_eq(server.hosts[0].name, cases[i].host, "case %zu", i);
        cr_expect_eq(server.hosts[0].port, cases[i].port, "case %zu", i);
        cr_expect_eq(server.http_transport, cases[i].http, "case %zu", i);
        cr_expect_eq(server.tls, cases[i].tls, "case %zu", i);
        cr_expect_eq(server.lockout, cases[i].lockout, "case %zu", i);
        cr_expect_eq(server.auth, cases[i].auth, "case %zu", i);
        target_free(&server);
        facts_free(&facts);
    }
}

Test(facts, the_http_path_is_made_as_the_server_makes_it)
{
    static const char *const cases[][2] = {
        {"cliservice", "/cliservice"},
        {"/hive/sql", "/hive/sql"},
        {"sql/*", "/sql"},
        {"/sql/", "/sql"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char defaults[256];
        struct target server;
        struct err err = {0};
        struct facts *facts;

        snprintf(defaults, sizeof(defaults),
                 "spark.hive.server2.transport.mode http\nspark.hive.server2.thrift.http.path %s\n",
                 cases[i][0]);
        write_file("spark-defaults.conf", defaults);
        facts = read_facts();
        cr_assert_eq(facts_thrift_server(facts, no_environment, &server, &err), 0);
        cr_expect_str_eq(server.path, cases[i][1]);
        target_free(&server);
        facts_free(&facts);
    }
}

Test(facts, the_ui_is_on_its_port_unless_it_is_off)
{
    static const struct {
        const char *variable, *defaults;
        bool has_ui;
        const char *host;
        unsigned port;
    } cases[] = {
        {NULL, "", true, "127.0.0.1", 4040},
        {NULL, "spark.ui.port 4141\n", true, "127.0.0.1", 4141},
        {"SPARK_LOCAL_IP=10.0.0.7", "", true, "10.0.0.7", 4040},
        {NULL, "spark.ui.enabled false\n", false, NULL, 0},
        {NULL, "spark.ui.port 0\n", false, NULL, 0},
        {NULL, "spark.ssl.enabled true\n", true, "127.0.0.1", 4440},
        {NULL, "spark.ssl.ui.enabled true\nspark.ui.port 5000\n", true, "127.0.0.1", 5400},
        {NULL, "spark.ssl.ui.enabled true\nspark.ssl.ui.port 5443\n", true, "127.0.0.1", 5443},
        {NULL, "spark.ssl.enabled true\nspark.ssl.ui.enabled false\n", true, "127.0.0.1", 4040},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *environment[] = {(char *)(uintptr_t)cases[i].variable, NULL};
        struct target ui = {0};
        struct err err = {0};
        struct facts *facts;

        write_file("spark-defaults.conf", cases[i].defaults);
        facts = read_facts();
        cr_expect_eq(facts_ui(facts, environment, &ui, &err), cases[i].has_ui, "case %zu", i);
        if (cases[i].has_ui) {
            cr_expect_str_eq(ui.hosts[0].name, cases[i].host, "case %zu", i);
            cr_expect_eq(ui.hosts[0].port, cases[i].port, "case %zu", i);
            cr_expect(ui.any_status);
            cr_expect_eq(ui.tls, cases[i].port >= 4400 && cases[i].port != 4141, "case %zu", i);
        }
        target_free(&ui);
        facts_free(&facts);
    }
}

Test(facts, what_is_no_port_is_a_configuration_error_with_the_keys_name)
{
    static const char *const ports[] = {"0", "65536", "abc", "10000x", "-1", "100000000000"};

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        char defaults[256];
        struct target server;
        struct err err = {0};
        struct facts *facts;

        snprintf(defaults, sizeof(defaults), "spark.hive.server2.thrift.port %s\n", ports[i]);
        write_file("spark-defaults.conf", defaults);
        facts = read_facts();
        cr_expect_eq(facts_thrift_server(facts, no_environment, &server, &err), -1);
        cr_expect_eq(err.status, EXIT_CONFIG);
        cr_expect(strstr(err.message, "hive.server2.thrift.port"), "%s", err.message);
        facts_free(&facts);
    }
}
