/* Known traps: each rule finds its trap and leaves a near miss alone; a realistic configuration of
 * each role has none; docs/check.md lists the rules as they are. */
#include "common/fd.h"
#include "confgen/hadoop_xml.h"
#include "confgen/lint.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#define THRIFT LINT_THRIFT_SERVER
#define HMS LINT_METASTORE
#define K8S LINT_KUBERNETES
#define ALL (THRIFT | HMS | K8S | LINT_POSTGRES | LINT_COMPLETE)

#define OAUTH "spark.hadoop.fs.azure.account.auth.type=OAuth"
#define DYNAMIC "spark.dynamicAllocation.enabled=true"

/* KEY=VALUE lines. Those that begin with "x " go to hive-site.xml, those with "s " are set without
 * a file, all others to spark-defaults.conf. */
static const struct lint_case {
    const char *id, *trap, *near_miss;
} cases[] = {
    {"double-brace", "spark.sql.warehouse.dir=abfss://a@${{ .Values.x }}", "spark.a={\"b\":{}}"},
    {"double-brace", "spark.hadoop.fs.azure.account.auth.type.${{X}}.b=OAuth", "spark.b={x}"},
    {"double-brace", "x a={{ .Values.x }}", "x a={ { .Values.x } }"},
    {"dollar-in-authority", "x a=wasb://c@$account.blob.core.windows.net", "x a=abfss://c@a.b/$x"},
    {"unfilled", "x a=${DB_PASSWORD}", "x a=${user.name}"},
    {"unfilled", "spark.hadoop.a.${ACCOUNT}.b=c", "spark.a=${spark.b} ${env:HOME}"},
    {"env-colon", "x a=${system:java.io.tmpdir}", "x a=${env.HOME}/${java.io.tmpdir}"},
    {"env-colon", "x a=${env:HOME}", "spark.a=${env:HOME}"},
    {"not-spark", "hive.metastore.uris=thrift://a:9083", "spark.hive.metastore.uris=thrift://a:1"},
    {"wasb-with-oauth", OAUTH "\nspark.sql.warehouse.dir=wasb://a@b.blob.core.windows.net",
     OAUTH "\nspark.sql.warehouse.dir=abfss://a@b.dfs.core.windows.net"},
    {"abfss-on-blob", "spark.sql.warehouse.dir=abfss://a@b.blob.core.windows.net/x",
     "spark.sql.warehouse.dir=abfss://a@b.dfs.core.windows.net/x"},
    {"abfss-on-blob", "x a=wasb://a@b.dfs.core.windows.net", "x a=https://b.blob.core.windows.net"},
    {"abfss-hadoop", "s sparkpod.hadoop.version=3.1.0\nx a=abfss://c@a.dfs.core.windows.net",
     "s sparkpod.hadoop.version=3.2.0\nx a=abfss://c@a.dfs.core.windows.net"},
    {"hadoop-azure", "s sparkpod.hadoop.version=3.3.4\nx a=abfss://c@a.dfs.core.windows.net",
     "s sparkpod.hadoop.version=3.3.4\ns sparkpod.hadoop-azure.version=3.3.4\n"
     "x a=abfss://c@a.dfs.core.windows.net"},
    {"hadoop-azure", "s sparkpod.hadoop.version=3.3.4\nx a=abfs://c@a.dfs.core.windows.net",
     "s sparkpod.hadoop.version=3.3.4\nx a=abfss://c@a.dfs.core.windows.net\n"
     "spark.jars.packages=org.apache.hadoop:hadoop-azure:3.3.4"},
    {"hadoop-azure", "s sparkpod.hadoop.version=3.3.4\nx a=abfs://c@a.dfs.core.windows.net",
     "s sparkpod.hadoop.version=3.3.4\nx a=abfss://c@a.dfs.core.windows.net\n"
     "spark.driver.extraClassPath=/opt/azure/*"},
    {"hadoop-azure-version",
     "s sparkpod.hadoop.version=3.3.4\ns sparkpod.hadoop-azure.version=3.3.6",
     "s sparkpod.hadoop.version=3.3.4\ns sparkpod.hadoop-azure.version=3.3.4"},
    {"secret-is-id", "x fs.azure.account.oauth2.client.secret=01234567-89ab-cdef-0123-456789abcdef",
     "x fs.azure.account.oauth2.client.secret=01234567~89ab-cdef-0123-456789abcdef"},
    {"token-endpoint", "x fs.azure.account.oauth2.client.endpoint=http://a/t/oauth2/token",
     "x fs.azure.account.oauth2.client.endpoint=https://a/t/oauth2/token"},
    {"workload-identity",
     "s sparkpod.hadoop.version=3.3.4\n"
     "x fs.azure.account.oauth.provider.type=org.a.WorkloadIdentityTokenProvider",
     "s sparkpod.hadoop.version=3.4.1\n"
     "x fs.azure.account.oauth.provider.type=org.a.WorkloadIdentityTokenProvider"},
    {"local-warehouse", "spark.sql.warehouse.dir=/opt/spark/warehouse",
     "spark.sql.warehouse.dir=abfss://a@b.dfs.core.windows.net/x"},
    {"local-warehouse", "", "x metastore.warehouse.dir=abfss://a@b.dfs.core.windows.net/x"},
    {"auto-create-schema", "x datanucleus.autoCreateSchema=true",
     "x datanucleus.autoCreateSchema=false"},
    {"auto-create-all", "x datanucleus.schema.autoCreateAll=TRUE",
     "x datanucleus.schema.autoCreateAll=false"},
    {"schema-verification", "x hive.metastore.schema.verification=false",
     "x hive.metastore.schema.verification=false\nx hive.metastore.schema.verification=true"},
    {"derby", "x javax.jdo.option.ConnectionURL=jdbc:derby:;create=true",
     "x javax.jdo.option.ConnectionURL=jdbc:postgresql://a/derby"},
    {"derby",
     "x javax.jdo.option.ConnectionURL=", "x javax.jdo.option.ConnectionURL=jdbc:postgresql://a/b"},
    {"driver", "x javax.jdo.option.ConnectionURL=jdbc:postgresql://a/b",
     "x javax.jdo.option.ConnectionURL=jdbc:postgresql://a/b\n"
     "x javax.jdo.option.ConnectionDriverName=org.postgresql.Driver"},
    {"blank-in-login", "x javax.jdo.option.ConnectionPassword=secret ",
     "x javax.jdo.option.ConnectionPassword=sec ret"},
    {"metastore-uris", "x hive.metastore.uris=thrift://a:9083, thrift://b:9083",
     "x hive.metastore.uris=thrift://a:9083,thrift://b:9083"},
    {"metastore-uris", "x hive.metastore.uris=a:9083", "x a=b"},
    {"metastore-uris", "x hive.metastore.uris=thrift://a:9083,b:9083", "x a=b"},
    {"metastore-client", "spark.sql.hive.metastore.version=3.1.3",
     "spark.sql.hive.metastore.version=3.1.3\nspark.sql.hive.metastore.jars=path"},
    {"metastore-client", "spark.sql.hive.metastore.version=4.0.1",
     "spark.sql.hive.metastore.version=2.3.9"},
    {"metastore-4", "s sparkpod.spark.version=3.5.6\nspark.sql.hive.metastore.version=4.0.1",
     "s sparkpod.spark.version=4.1.4\nspark.sql.hive.metastore.version=4.0.1"},
    {"authentication-case", "x hive.server2.authentication=ldap",
     "x hive.server2.authentication=LDAP"},
    {"authentication-case", "spark.hadoop.hive.server2.authentication=none",
     "spark.hadoop.hive.server2.authentication=nosasl"},
    {"authentication-none", "x hive.server2.authentication=NONE",
     "x hive.server2.authentication=LDAP"},
    {"authentication-none", "", "x hive.server2.authentication=LDAP"},
    {"do-as", "x hive.server2.enable.doAs=true\nx hive.server2.authentication=LDAP",
     "x hive.server2.enable.doAs=true\nx hive.server2.authentication=KERBEROS"},
    {"exit-on-main", "spark.submit.callSystemExitOnMainExit=true",
     "spark.submit.callSystemExitOnMainExit=false"},
    {"deploy-mode", "spark.submit.deployMode=cluster", "spark.submit.deployMode=client"},
    {"master", "spark.master=k8s://http://a:443", "spark.master=k8s://https://a:443"},
    {"master", "spark.master=k8s:https://a:443", "spark.master=k8s://kubernetes.default:443"},
    {"heap-option", "spark.driver.extraJavaOptions=-verbose:gc -Xmx4g",
     "spark.driver.extraJavaOptions=-Xss4m"},
    {"heap-option", "spark.executor.extraJavaOptions=-Xmx4g", "spark.executor.memory=4g"},
    {"shuffle-tracking", DYNAMIC "\nspark.dynamicAllocation.shuffleTracking.enabled=false",
     "spark.dynamicAllocation.shuffleTracking.enabled=false"},
    {"shuffle-tracking", DYNAMIC "\nspark.dynamicAllocation.shuffleTracking.enabled=false",
     DYNAMIC "\nspark.dynamicAllocation.shuffleTracking.enabled=false\n"
             "spark.storage.decommission.shuffleBlocks.enabled=true"},
    {"shuffle-service", "spark.shuffle.service.enabled=true",
     "spark.shuffle.service.enabled=false"},
    {"cached-executors", DYNAMIC, DYNAMIC "\nspark.dynamicAllocation.cachedExecutorIdleTimeout=1h"},
    {"driver-host", "spark.driver.host=127.0.0.1", "spark.driver.host=10.127.0.1"},
    {"driver-host", "spark.driver.host=[::1]", "spark.driver.host=[fd00::1]"},
    {"same-port", "s sparkpod.health.port=8085\nspark.ui.port=8085",
     "s sparkpod.health.port=8085\nspark.ui.port=4040"},
    {"same-port", "x hive.server2.thrift.port=7078\nspark.driver.port=7078",
     "spark.driver.port=0\nspark.driver.blockManager.port=0"},
    {"fixed-prefix", "spark.kubernetes.executor.podNamePrefix=a", "spark.kubernetes.x=a"},
    {"no-image", "", "s sparkpod.executor_image=a"},
    {"no-image", "", "spark.kubernetes.executor.container.image=a"},
    {"oauth-token-file", "spark.kubernetes.authenticate.driver.oauthTokenFile=/a",
     "spark.kubernetes.authenticate.driver.serviceAccountName=a"},
    {"oauth-token-file", "spark.kubernetes.authenticate.oauthToken=a", "spark.a=b"},
    {"redaction", "spark.redaction.regex=(?i)secret|password|token|access[.]?key",
     "spark.redaction.regex=(?i)secret|password|token|access[.]?key|account[.]key"},
    {"authenticate", "spark.hadoop.fs.azure.account.oauth2.client.secret=a",
     "spark.hadoop.fs.azure.account.oauth2.client.secret=a\nspark.authenticate=true"},
    {"authenticate", "spark.hadoop.fs.s3a.secret.key=a", "x fs.s3a.secret.key=a"},
    {"published-secret", "x javax.jdo.option.ConnectionPassword=a",
     "x javax.jdo.option.ConnectionPassword=a\n"
     "spark.kubernetes.executor.disableConfigMap=true"},
    {"published-secret", "x fs.azure.account.key.a.dfs.core.windows.net=a",
     "spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net=a"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void add_file(struct lint *lint, const char *name, const char *text)
{
    BUF_AUTO content = BUF_INIT(65536);
    struct err err = {0};

    (void)buf_add_str(&content, text);
    cr_assert(lint_add(lint, name, name, &content, NULL, &err) == 0, "%s: %s", name, err.message);
}

/* For the lines of a case. */
static struct lint *read_lines(const char *lines)
{
    BUF_AUTO xml = BUF_INIT(4096), conf = BUF_INIT(4096);
    char copy[1024], *rest = copy, *value;
    struct lint *lint = lint_new();

    cr_assert(lint);
    (void)buf_add_str(&xml, "<configuration>");
    (void)snprintf(copy, sizeof(copy), "%s", lines);
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "x ", 2) != 0 && strncmp(line, "s ", 2) != 0) {
            (void)buf_printf(&conf, "%s\n", line);
            continue;
        }
        value = strchr(line, '=');
        *value++ = '\0';
        if (*line == 's')
            cr_assert(lint_set(lint, line + 2, value, NULL) == 0);
        else
            (void)buf_printf(&xml, "<property><name>%s</name><value>", line + 2);
        if (*line == 'x' && hadoop_xml_text.escape(&xml, value, strlen(value)))
            (void)buf_add_str(&xml, "</value></property>");
    }
    (void)buf_add_str(&xml, "</configuration>");
    add_file(lint, "hive-site.xml", buf_str(&xml));
    add_file(lint, "spark-defaults.conf", buf_str(&conf));
    return lint;
}

struct search {
    const char *id;
    size_t count;
};

static void count_rule(void *context, const struct lint_rule *rule,
                       const struct lint_setting *setting)
{
    struct search *search = context;

    (void)setting;
    search->count += strcmp(rule->id, search->id) == 0;
}

static bool finds(const char *lines, const char *id, unsigned scope)
{
    LINT_AUTO *lint = read_lines(lines);
    struct search search = {.id = id};

    lint_run(lint, scope, count_rule, &search);
    return search.count > 0;
}

Test(lint, finds_each_trap_and_leaves_its_near_miss_alone)
{
    for (size_t i = 0; i < CASES; i++) {
        cr_expect(finds(cases[i].trap, cases[i].id, ALL), "%s does not find: %s", cases[i].id,
                  cases[i].trap);
        cr_expect(!finds(cases[i].near_miss, cases[i].id, ALL), "%s finds: %s", cases[i].id,
                  cases[i].near_miss);
    }
}

Test(lint, has_a_case_for_every_rule_and_a_rule_for_every_case)
{
    for (const struct lint_rule *rule = lint_rules; rule->id; rule++) {
        bool found = false;

        for (size_t i = 0; i < CASES; i++)
            found |= strcmp(cases[i].id, rule->id) == 0;
        cr_expect(found, "%s has no case", rule->id);
        for (const struct lint_rule *other = rule + 1; other->id; other++)
            cr_expect(strcmp(rule->id, other->id) != 0, "%s is there twice", rule->id);
    }
}

Test(lint, asks_a_rule_only_where_it_applies)
{
    static const struct {
        const char *id, *lines;
        unsigned scope, other;
    } rows[] = {
        {"authentication-none", "", THRIFT | K8S | LINT_COMPLETE, THRIFT | LINT_COMPLETE},
        {"authentication-none", "", THRIFT | K8S | LINT_COMPLETE, HMS | K8S | LINT_COMPLETE},
        {"authentication-none", "", THRIFT | K8S | LINT_COMPLETE, THRIFT | K8S},
        {"derby", "x javax.jdo.option.ConnectionURL=jdbc:derby:a", HMS | LINT_POSTGRES, HMS},
        {"schema-verification", "x hive.metastore.schema.verification=false", HMS, THRIFT},
        {"authenticate", "spark.hadoop.fs.azure.account.key.a=b", THRIFT | K8S, THRIFT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect(finds(rows[i].lines, rows[i].id, rows[i].scope), "%s", rows[i].id);
        cr_expect(!finds(rows[i].lines, rows[i].id, rows[i].other), "%s", rows[i].id);
    }
}

Test(lint, takes_the_setting_that_counts)
{
    LINT_AUTO *lint = read_lines("x a=first\nx a=second\nspark.hadoop.a= third \nspark.b=\nx c=");

    cr_expect_str_eq(lint_get(lint, "a"), "third");
    cr_expect_null(lint_get(lint, "spark.b"), "empty is unset");
    cr_expect_null(lint_get(lint, "c"), "empty is unset");
    /* What is set again later is no trap, nor is what nobody reads. */
    cr_expect(!finds("x hive.server2.enable.doAs=true\nspark.hive.server2.enable.doAs=false",
                     "do-as", THRIFT));
    cr_expect(!finds("x spark.submit.deployMode=cluster", "deploy-mode", THRIFT));
    cr_expect(!finds("hive.server2.enable.doAs=true", "do-as", THRIFT));
}

static void keep_line(void *context, const struct lint_rule *rule,
                      const struct lint_setting *setting)
{
    if (strcmp(rule->id, "do-as") == 0)
        *(size_t *)context = setting->line;
}

Test(lint, names_the_line_of_the_template)
{
    static const char template[] = "<configuration>\n<property><name>a</name><value>\n x\n</value>"
                                   "</property><property><name>b</name><value>${B:-}</value>"
                                   "</property>\n<property>\n"
                                   "<name>hive.server2.enable.doAs</name>\n<value>${DO_AS}</value>"
                                   "</property></configuration>";
    static const char result[] =
        "<configuration>\n<property><name>a</name><value>x</value></property><property>"
        "<name>b</name><value></value></property>\n<property>\n"
        "<name>hive.server2.enable.doAs</name>\n<value>true</value></property></configuration>";
    BUF_AUTO before = BUF_INIT(4096), after = BUF_INIT(4096);
    LINT_AUTO *lint = lint_new();
    size_t line = 0;

    (void)buf_add_str(&before, template);
    (void)buf_add_str(&after, result);
    cr_assert(lint_add(lint, "hive-site.xml", "t", &after, &before, NULL) == 0);
    lint_run(lint, THRIFT, keep_line, &line);
    cr_expect_eq(line, 6, "%zu", line);
}

Test(lint, refuses_what_cannot_be_read)
{
    BUF_AUTO content = BUF_INIT(1 << 20);
    LINT_AUTO *lint = lint_new();
    struct err err = {0};

    (void)buf_add_str(&content, "<configuration>");
    cr_expect(lint_add(lint, "a.xml", "a", &content, NULL, &err) == -1);
    cr_expect_eq(err.status, EXIT_DATA);
    buf_clear(&content);
    for (int i = 0; i < 10001; i++)
        (void)buf_add_str(&content, "spark.a=b\n");
    cr_expect(lint_add(lint, "a.conf", "a", &content, NULL, &err) == -1);
    cr_expect_str_eq(err.message, "more than 10000 settings");
}

/* ---- the clean set and the documentation ---- */

static void print_finding(void *context, const struct lint_rule *rule,
                          const struct lint_setting *setting)
{
    (void)buf_printf(context, "%s (%s) ", rule->id, setting ? setting->written : "absent");
}

static void add_clean(struct lint *lint, const char *name)
{
    BUF_AUTO content = BUF_INIT(65536);
    struct err err = {0};
    char path[256];

    (void)snprintf(path, sizeof(path), "tests/unit/clean/%s", name);
    cr_assert(fd_read_file(path, &content) == 0, "%s", path);
    cr_assert(lint_add(lint, name, path, &content, NULL, &err) == 0, "%s", err.message);
}

Test(lint, finds_nothing_in_a_realistic_configuration)
{
    static const struct {
        const char *files[4];
        unsigned scope;
    } roles[] = {
        {{"core-site.xml", "hive-site.thrift-server.xml", "spark-defaults.conf"},
         THRIFT | K8S | LINT_COMPLETE},
        {{"core-site.xml", "hive-site.metastore.xml"}, HMS | K8S | LINT_POSTGRES | LINT_COMPLETE},
    };

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        LINT_AUTO *lint = lint_new();
        BUF_AUTO found = BUF_INIT(4096);

        cr_assert(lint_set(lint, "sparkpod.health.port", "8085", NULL) == 0 &&
                  lint_set(lint, "sparkpod.spark.version", "3.5.6", NULL) == 0 &&
                  lint_set(lint, "sparkpod.hadoop.version", "3.3.4", NULL) == 0 &&
                  lint_set(lint, "sparkpod.hadoop-azure.version", "3.3.4", NULL) == 0 &&
                  lint_set(lint, "sparkpod.executor_image", "image", NULL) == 0);
        for (const char *const *name = roles[i].files; *name; name++)
            add_clean(lint, *name);
        lint_run(lint, roles[i].scope, print_finding, &found);
        cr_expect_eq(found.len, 0, "%s", buf_str(&found));
    }
}

Test(lint, is_documented_as_it_is)
{
    BUF_AUTO page = BUF_INIT(1 << 20), table = BUF_INIT(1 << 20);

    cr_assert(fd_read_file("docs/check.md", &page) == 0);
    for (const struct lint_rule *rule = lint_rules; rule->id; rule++) {
        (void)buf_printf(&table, "| `%s` | %s | ", rule->id,
                         rule->severity == LINT_ERROR ? "error" : "warning");
        for (const char *p = rule->what; *p; p++)
            (void)buf_printf(&table, *p == '|' ? "\\|" : "%c", *p);
        (void)buf_printf(&table, " | %s | ", rule->why);
        for (const char *p = rule->instead; *p; p++)
            (void)buf_printf(&table, *p == '|' ? "\\|" : "%c", *p);
        (void)buf_add_str(&table, " |\n");
    }
    cr_expect(strstr(buf_str(&page), buf_str(&table)), "docs/check.md has to hold\n%s",
              buf_str(&table));
}
