/* The rules of lint.h. A row's last three strings are what docs/check.md says of it; a test
 * compares the two. Each was seen on the real servers or read in their source. */
#include "confgen/lint.h"

#include <regex.h>
#include <string.h>

#define THRIFT LINT_THRIFT_SERVER
#define HMS LINT_METASTORE
#define K8S LINT_KUBERNETES

#define OLD_HADOOP "[12].* 3.[0-3].* 3.4.0"

/* new URI() on each part between commas, which is not trimmed. */
static bool is_bad_uris(const struct lint *lint, const struct lint_setting *setting)
{
    static const char scheme[] = "thrift://";
    const char *part = setting->value, *comma;

    (void)lint;
    for (; (comma = strchr(part, ',')) && strncmp(part, scheme, strlen(scheme)) == 0;)
        part = comma + 1;
    return strncmp(part, scheme, strlen(scheme)) != 0 || strpbrk(setting->value, " \t\r\n");
}

/* A Java pattern, as far as POSIX can read it: "(?i)" is all that people add. */
static bool misses_account_key(const struct lint *lint, const struct lint_setting *setting)
{
    const char *pattern = setting->value;
    regex_t regex;
    bool misses;

    (void)lint;
    if (strncmp(pattern, "(?i)", 4) == 0)
        pattern += 4;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
        return false;
    misses = regexec(&regex, "fs.azure.account.key.a.dfs.core.windows.net", 0, NULL, 0) != 0;
    regfree(&regex);
    return misses;
}

static bool is_double_brace(const char *text)
{
    const char *open = strstr(text, "{{");

    return open && (strstr(open, "}}") || (open > text && open[-1] == '$'));
}

static bool has_double_brace(const struct lint *lint, const struct lint_setting *setting)
{
    (void)lint;
    return is_double_brace(setting->written) || is_double_brace(setting->value);
}

/* The names that Spark and Hadoop look up themselves have a dot or a colon. */
static bool is_plain_variable(const char *text)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t len;

    for (; (text = strstr(text, "${")) != NULL; text += 2) {
        len = strspn(text + 2, word);
        if (len && text[2 + len] == '}')
            return true;
    }
    return false;
}

static bool has_plain_variable(const struct lint *lint, const struct lint_setting *setting)
{
    (void)lint;
    return is_plain_variable(setting->written) || is_plain_variable(setting->value);
}

/* From spark-defaults.conf, not from a Hadoop file. */
static bool is_of_spark(const struct lint *lint, const struct lint_setting *setting)
{
    (void)lint;
    return !setting->is_xml;
}

/* sparkpod.hadoop-azure.version is not that of Hadoop. */
static bool is_other_hadoop(const struct lint *lint, const struct lint_setting *setting)
{
    const char *hadoop = lint_get(lint, "sparkpod.hadoop.version");

    return hadoop && strcmp(hadoop, setting->value) != 0;
}

#define PORTS                                                                                      \
    "spark.driver.port spark.driver.blockManager.port spark.ui.port "                              \
    "hive.server2.thrift.port sparkpod.health.port"

/* Of two that clash the later one is told. */
static bool is_taken_port(const struct lint *lint, const struct lint_setting *setting)
{
    const struct lint_setting *other;
    size_t pos = 0;

    while ((other = lint_next(lint, PORTS, &pos)) && other != setting)
        if (strcmp(other->value, setting->value) == 0)
            return true;
    return false;
}

const struct lint_rule lint_rules[] = {
    /* ---- placeholders ---- */
    {"double-brace", LINT_ERROR, 0, "*", .test = has_double_brace, .what = "{{ … }} is still there",
     .why = "no reader of this file knows that syntax, it stays as it is",
     .instead = "${NAME}, which sparkpod fills; {{ … }} belongs in a Helm template"},
    {"dollar-in-authority", LINT_ERROR, 0, "*", .values = "*://*@$[!{]*",
     .what = "the host begins with \"$\"",
     .why = "Helm filled {{ … }} and left the \"$\" of \"${{ … }}\" before it",
     .instead = "ACCOUNT, without \"$\""},
    {"unfilled", LINT_ERROR, 0, "*", .test = has_plain_variable,
     .what = "a ${NAME} that nobody fills",
     .why = "neither Spark nor Hadoop takes it from the environment, it stays as it is",
     .instead = "keep the file as a template in render.source, where sparkpod fills it"},
    {"env-colon", LINT_ERROR, LINT_XML, "*", .values = "*${env:* *${system:*",
     .what = "the value holds ${env:…} or ${system:…}",
     .why = "Hadoop's files know ${env.NAME} and ${property}; with the colon it stays as "
            "it is",
     .instead = "${NAME} in the template, or ${env.NAME}"},
    {"not-spark", LINT_WARNING, THRIFT, "ignored:[!s]* ignored:s[!p]*",
     .what = "the key does not begin with spark.",
     .why = "spark-submit ignores it with a warning, and so nobody reads it",
     .instead = "spark.hadoop.KEY, or hive-site.xml"},

    /* ---- storage ---- */
    {"wasb-with-oauth", LINT_ERROR, 0, "*", .values = "wasb://* wasbs://*",
     .when = "fs.azure.account.auth.type*=OAuth", .what = "wasb:// together with OAuth keys",
     .why = "WASB knows account keys and SAS only; the OAuth settings are those of ABFS",
     .instead = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"},
    {"abfss-on-blob", LINT_ERROR, 0, "*", .values = "abfs*://*.blob.core.* wasb*://*.dfs.core.*",
     .what = "scheme and host do not belong together",
     .why = "ABFS speaks to ACCOUNT.dfs.core.windows.net, WASB to "
            "ACCOUNT.blob.core.windows.net",
     .instead = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"},
    {"abfss-hadoop", LINT_ERROR, 0, "*", .values = "abfs://* abfss://*",
     .when = "sparkpod.hadoop.version=[12].* 3.[01].*", .what = "abfss:// with Hadoop before 3.2",
     .why = "it has no ABFS, and fails at CREATE TABLE",
     .instead = "Hadoop 3.3.4 or later in the image"},
    {"hadoop-azure", LINT_ERROR, THRIFT, "*", .values = "abfs://* abfss://*",
     .when = "sparkpod.hadoop.version=*",
     .unless = {"sparkpod.hadoop-azure.version=*", "spark.*=*hadoop-azure*",
                "spark.driver.extraClassPath=*"},
     .what = "abfss:// without a hadoop-azure-*.jar in $SPARK_HOME/jars",
     .why = "the first file fails: SecureAzureBlobFileSystem not found",
     .instead = "hadoop-azure of Hadoop's version in the image"},
    {"hadoop-azure-version", LINT_WARNING, THRIFT, "sparkpod.hadoop-azure.version",
     .test = is_other_hadoop, .what = "hadoop-azure is not of Hadoop's version",
     .why = "methods are missing, which shows at the first file only",
     .instead = "hadoop-azure of the version of hadoop-client-api in $SPARK_HOME/jars"},
    {"secret-is-id", LINT_ERROR, 0, "fs.azure.account.oauth2.client.secret*",
     .values = "????????[-]????[-]????[-]????[-]????????????",
     .what = "the client secret is a GUID",
     .why = "that is the form of the Secret ID in the portal; Azure answers AADSTS7000215",
     .instead = "the secret's Value, which the portal shows once"},
    {"token-endpoint", LINT_ERROR, 0, "fs.azure.account.oauth2.client.endpoint*", .values = "*",
     .but = "https://*/oauth2/token https://*/oauth2/v2.0/token", .what = "no token endpoint",
     .why = "the secret would be sent in the clear, or to a page that issues no tokens",
     .instead = "https://login.microsoftonline.com/TENANT/oauth2/token"},
    {"workload-identity", LINT_ERROR, 0, "fs.azure.account.oauth.provider.type*",
     .values = "*WorkloadIdentityTokenProvider", .when = "sparkpod.hadoop.version=" OLD_HADOOP,
     .what = "workload identity with Hadoop before 3.4.1",
     .why = "the class is in hadoop-azure from 3.4.1 on (HADOOP-18610)",
     .instead = "Hadoop 3.4.1, or ClientCredsTokenProvider with a client secret"},
    {"local-warehouse", LINT_WARNING, K8S,
     "spark.sql.warehouse.dir hive.metastore.warehouse.dir metastore.warehouse.dir",
     .is_absent = true, .values = "file:* /*",
     .what = "the warehouse is a local folder, or not set, which is one",
     .why = "executors and the metastore are other pods and do not see it, and the metastore keeps "
            "for good what it had at its first start",
     .instead = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH or another shared storage"},

    /* ---- the metastore ---- */
    {"auto-create-schema", LINT_WARNING, 0, "datanucleus.autoCreateSchema", .values = "true",
     .what = "a key of Hive 1", .why = "nothing has read it since Hive 2: no table comes of it",
     .instead = "leave it out; sparkpod creates the schema (metastore.schema=init)"},
    {"auto-create-all", LINT_ERROR, HMS, "datanucleus.schema.autoCreateAll", .values = "true",
     .what = "tables are created as they are touched",
     .why = "without indexes and first rows, and replicas block each other doing it",
     .instead = "leave it out; sparkpod creates the schema (metastore.schema=init)"},
    {"schema-verification", LINT_ERROR, HMS,
     "hive.metastore.schema.verification metastore.schema.verification", .values = "false",
     .what = "the schema's version is not verified",
     .why = "a metastore of another version writes into it, and every replica may alter it",
     .instead = "true, the default"},
    {"derby", LINT_ERROR, HMS | LINT_POSTGRES, "javax.jdo.option.ConnectionURL", .is_absent = true,
     .values = "jdbc:derby:*",
     .what = "an embedded Derby, which an unset or empty ConnectionURL means too",
     .why = "the tables are in the pod and go with it",
     .instead = "jdbc:postgresql://HOST:5432/DATABASE"},
    {"driver", LINT_ERROR, HMS, "javax.jdo.option.ConnectionDriverName", .is_absent = true,
     .values = "*", .but = "org.postgresql.Driver",
     .when = "javax.jdo.option.ConnectionURL=jdbc:postgresql:*",
     .what = "javax.jdo.option.ConnectionDriverName is not PostgreSQL's, or not set",
     .why = "the default is Derby's driver, whatever the ConnectionURL says",
     .instead = "org.postgresql.Driver"},
    {"blank-in-login", LINT_ERROR, HMS, "javax.jdo.option.Connection*",
     .values = "[[:space:]]* *[[:space:]]", .what = "a blank or line end at an end of the value",
     .why = "nobody trims it: it becomes part of the address, user or password",
     .instead = "the value alone; make secrets with printf, not echo"},
    {"metastore-uris", LINT_ERROR, THRIFT, "hive.metastore.uris metastore.thrift.uris",
     .test = is_bad_uris, .what = "a part without thrift://, or with a blank",
     .why = "the client takes each part between commas as a URI and trims none",
     .instead = "thrift://HOST:9083,thrift://HOST:9083"},
    {"metastore-client", LINT_ERROR, THRIFT, "spark.sql.hive.metastore.version", .values = "*",
     .but = "2.3.*", .unless = {"spark.sql.hive.metastore.jars=maven path /*"},
     .what = "another metastore version with the built-in client",
     .why = "the built-in client is 2.3; Spark refuses another version without its jars, and "
            "against a metastore 4 SELECT fails (get_table is gone)",
     .instead = "spark.sql.hive.metastore.jars path and spark.sql.hive.metastore.jars.path too"},
    {"metastore-4", LINT_ERROR, THRIFT, "spark.sql.hive.metastore.version", .values = "4.*",
     .when = "sparkpod.spark.version=3.*", .what = "a metastore 4 with Spark 3",
     .why = "Spark 3 answers: Unsupported Hive Metastore version",
     .instead = "version 3.1.3 with its client's jars, which a metastore 4.0.1 answers"},

    /* ---- the Thrift Server ---- */
    {"authentication-case", LINT_ERROR, THRIFT, "hive.server2.authentication",
     .values = "none ldap custom pam", .but = "NONE LDAP CUSTOM PAM",
     .what = "not in capital letters",
     .why = "it is compared case and all: the server ends with \"Not a valid authentication "
            "method\"",
     .instead = "NONE, LDAP, CUSTOM or PAM"},
    {"authentication-none", LINT_WARNING, THRIFT | K8S, "hive.server2.authentication",
     .is_absent = true, .values = "NONE NOSASL",
     .what = "anybody may log in, as anybody: hive.server2.authentication is NONE, or not set",
     .why = "who reaches the port reads every table, and files and properties of the driver by "
            "SQL; whether a LoadBalancer or Ingress leads here cannot be seen from the pod",
     .instead = "LDAP with hive.server2.use.SSL, or a NetworkPolicy and no LoadBalancer"},
    {"do-as", LINT_ERROR, THRIFT, "hive.server2.enable.doAs", .values = "true",
     .unless = {"hive.server2.authentication=KERBEROS"}, .what = "doAs without Kerberos",
     .why = "each session acts as a proxy user whom neither metastore nor storage knows",
     .instead = "false"},
    {"exit-on-main", LINT_ERROR, THRIFT, "spark.submit.callSystemExitOnMainExit", .values = "true",
     .what = "the JVM ends when main() returns",
     .why = "that of the Thrift Server returns once it serves: it exits 0 right after its start",
     .instead = "false, the default"},

    /* ---- Spark ---- */
    {"deploy-mode", LINT_ERROR, THRIFT, "spark.submit.deployMode", .values = "cluster",
     .what = "cluster mode",
     .why = "spark-submit ends: it \"is not applicable to Spark Thrift server\"",
     .instead = "client"},
    {"master", LINT_ERROR, THRIFT, "spark.master", .values = "k8s*",
     .but = "k8s://https://* k8s://[!h]* k8s://h[!t]*",
     .what = "no https address of an API server behind k8s://",
     .why = "Spark cannot parse it, or sends the service account's token in the clear",
     .instead = "leave it out: sparkpod sets k8s://https://HOST:PORT"},
    {"heap-option", LINT_ERROR, THRIFT,
     "spark.driver.extraJavaOptions spark.driver.defaultJavaOptions "
     "spark.executor.extraJavaOptions",
     .values = "*Xmx*", .what = "a heap size in Java options", .why = "Spark refuses to start",
     .instead = "spark.driver.memory, spark.executor.memory"},
    {"shuffle-tracking", LINT_ERROR, THRIFT, "spark.dynamicAllocation.shuffleTracking.enabled",
     .values = "false", .when = "spark.dynamicAllocation.enabled=true",
     .unless = {"spark.shuffle.service.enabled=true",
                "spark.storage.decommission.shuffleBlocks.enabled=true"},
     .what = "dynamic allocation without shuffle tracking",
     .why = "Spark refuses to start: nothing else would keep the shuffle data",
     .instead = "true, the default"},
    {"shuffle-service", LINT_ERROR, THRIFT | K8S, "spark.shuffle.service.enabled", .values = "true",
     .what = "an external shuffle service",
     .why = "Kubernetes has none: the executors fail to register with it",
     .instead = "false, and spark.dynamicAllocation.shuffleTracking.enabled true"},
    {"cached-executors", LINT_WARNING, THRIFT, "spark.dynamicAllocation.enabled", .values = "true",
     .unless = {"spark.dynamicAllocation.cachedExecutorIdleTimeout=*"},
     .what = "executors with cached data are kept for ever",
     .why = "one CACHE TABLE holds them as long as the server lives",
     .instead = "spark.dynamicAllocation.cachedExecutorIdleTimeout 1h as well"},
    {"driver-host", LINT_ERROR, THRIFT | K8S, "spark.driver.host",
     .values = "localhost 127.* ::1 [[]::1] 0.0.0.0",
     .what = "an address that only this pod can reach",
     .why = "the executors connect to it and find themselves",
     .instead = "leave it out: sparkpod sets the pod's address"},
    {"same-port", LINT_ERROR, THRIFT, PORTS, .values = "[1-9]*", .test = is_taken_port,
     .what = "two servers on one port",
     .why = "the Thrift Server ends with 255, and Spark moves to another port that nobody knows",
     .instead = "a port of its own"},
    {"fixed-prefix", LINT_WARNING, THRIFT | K8S, "spark.kubernetes.executor.podNamePrefix",
     .what = "the same at every start",
     .why = "names of executors that are left are taken: a second is lost for each",
     .instead = "leave it out: sparkpod makes one for each start"},
    {"no-image", LINT_ERROR, THRIFT | K8S,
     "spark.kubernetes.container.image spark.kubernetes.executor.container.image "
     "sparkpod.executor_image",
     .is_absent = true, .unless = {"spark.master=[!k]*"}, .what = "no image for the executors",
     .why = "Spark does not start without",
     .instead = "spark.executor_image (SPARKPOD_SPARK_EXECUTOR_IMAGE)"},
    {"oauth-token-file", LINT_ERROR, THRIFT | K8S,
     "spark.kubernetes.authenticate.oauthToken* spark.kubernetes.authenticate.*.oauthToken*",
     .what = "a token that is read once", .why = "tokens of service accounts end after an hour",
     .instead = "leave it out: Spark finds the service account's and reads it anew"},

    /* ---- secrets ---- */
    {"redaction", LINT_WARNING, THRIFT, "spark.redaction.regex", .test = misses_account_key,
     .what = "it does not match fs.azure.account.key",
     .why = "SET and the UI show the account's key in clear",
     .instead = "leave it out, or add |account[.]key"},
    {"authenticate", LINT_ERROR, THRIFT | K8S,
     "fs.*secret* fs.*password* fs.azure.account.key* fs.*access.key*",
     .unless = {"spark.authenticate=true", "spark.master=[!k]*"}, .test = is_of_spark,
     .what = "a secret of Spark's while spark.authenticate is off",
     .why = "the driver's RPC port hands every spark.* value to anybody who asks",
     .instead = "spark.authenticate true as well"},
    {"published-secret", LINT_ERROR, THRIFT | K8S | LINT_XML,
     "javax.jdo.option.ConnectionPassword fs.azure.account.key* "
     "fs.azure.account.oauth2.client.secret* hive.server2.keystore.password",
     .unless = {"spark.kubernetes.executor.disableConfigMap=true", "spark.master=[!k]*"},
     .what = "a secret in a file that Spark publishes",
     .why = "Spark copies the .xml files of its conf folder into the executors' ConfigMap",
     .instead = "spark.hadoop.KEY in spark-defaults.conf, which is not copied; a Thrift Server "
                "needs no login to the database"},
    {.id = NULL},
};
