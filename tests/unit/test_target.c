#include "probes/target.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* "name:port name:port …" */
static const char *hosts_of(const struct target *target)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < target->host_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:%u", len ? " " : "",
                                target->hosts[i].name, target->hosts[i].port);
    return text;
}

static const char *or_none(const char *text)
{
    return text ? text : "(none)";
}

static const struct accepted {
    const char *url;
    enum target_kind kind;
    const char *hosts;
    const char *path, *user;
    bool tls, http_transport;
    enum target_auth auth;
} accepted[] = {
    {"postgres://hive@db:5433/metastore", TARGET_POSTGRES, .hosts = "db:5433", .user = "hive"},
    {"postgresql://db/metastore", TARGET_POSTGRES, .hosts = "db:5432"},
    {"postgres://hive@a,b:6432,[::1]:7/m", TARGET_POSTGRES, .hosts = "a:5432 b:6432 ::1:7",
     .user = "hive"},
    {"postgres:///m?host=/run/postgresql", TARGET_POSTGRES, .hosts = "/run/postgresql:5432"},
    {"jdbc:postgresql://db/metastore", TARGET_POSTGRES, .hosts = "db:5432"},
    {"jdbc:postgresql://db:1,c/m?user=h%40x&ssl=true", TARGET_POSTGRES, .hosts = "db:1 c:5432",
     .user = "h@x"},
    {"thrift://hms", TARGET_METASTORE, .hosts = "hms:9083"},
    {"thrift://hms:9084", TARGET_METASTORE, .hosts = "hms:9084"},
    {"thrift://a:1,b,c:3", TARGET_METASTORE, .hosts = "a:1 b:9083 c:3"},
    {"thrift://a:1,thrift://b:2", TARGET_METASTORE, .hosts = "a:1 b:2"},
    {"thrift://[fd00::7]:9083", TARGET_METASTORE, .hosts = "fd00::7:9083"},
    {"thrift://a:1,b;ssl=true", TARGET_METASTORE, .hosts = "a:1 b:9083", .tls = true},
    {"hive2://sts", TARGET_HIVESERVER2, .hosts = "sts:10000"},
    {"jdbc:hive2://sts:10010/default;a=b", TARGET_HIVESERVER2, .hosts = "sts:10010"},
    {"jdbc:hive2://sts/;transportMode=http", TARGET_HIVESERVER2, .hosts = "sts:10001",
     .path = "/cliservice", .http_transport = true},
    {"jdbc:hive2://sts:5/db;transportMode=http;httpPath=x/y;ssl=true?c=d#e", TARGET_HIVESERVER2,
     .hosts = "sts:5", .path = "/x/y", .tls = true, .http_transport = true},
    {"jdbc:hive2://sts;auth=noSasl", TARGET_HIVESERVER2, .hosts = "sts:10000",
     .auth = TARGET_AUTH_NOSASL},
    {"jdbc:hive2://sts/d;principal=hive/_HOST@REALM;user=u", TARGET_HIVESERVER2,
     .hosts = "sts:10000", .user = "u", .auth = TARGET_AUTH_OTHER},
    {"http://ui", TARGET_HTTP, .hosts = "ui:80", .path = "/"},
    {"https://me@ui/a,b?c=d", TARGET_HTTP, .hosts = "ui:443", .path = "/a,b?c=d", .user = "me",
     .tls = true},
    {"http://[::1]:4040/api", TARGET_HTTP, .hosts = "::1:4040", .path = "/api"},
    {"tcp://h:7", TARGET_TCP, .hosts = "h:7"},
};

Test(target, takes_every_kind_of_url_apart)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        const struct accepted *want = &accepted[i];
        struct err err = {.message = ""};
        TARGET_AUTO got;

        cr_assert_eq(target_parse(want->url, &got, &err), 0, "%s: %s", want->url, err.message);
        cr_expect_eq(got.kind, want->kind, "%s", want->url);
        cr_expect_str_eq(hosts_of(&got), want->hosts, "%s: %s", want->url, hosts_of(&got));
        cr_expect_str_eq(or_none(got.path), or_none(want->path), "%s: %s", want->url, got.path);
        cr_expect_str_eq(or_none(got.user), or_none(want->user), "%s: %s", want->url, got.user);
        cr_expect_eq(got.tls, want->tls, "%s", want->url);
        cr_expect_eq(got.http_transport, want->http_transport, "%s", want->url);
        cr_expect_eq(got.auth, want->auth, "%s", want->url);
        cr_expect_eq(got.lockout, want->kind == TARGET_HIVESERVER2 && want->user, "%s", want->url);
        cr_expect_eq(strncmp(got.url, want->url, strlen(got.url)), 0);
        cr_expect_null(strpbrk(got.url, "?;#"));
    }
}

static const struct refused {
    const char *url;
    const char *message;
} refused[] = {
    {"", "not a URL"},
    {"hms:9083", "not a URL"},
    {"ftp://h:1", "not a URL"},
    {"thrift://", "thrift://: "},
    {"thrift://a:1,,b:2", "thrift://a:1,,b:2: "},
    {"thrift://a:0", "no valid port"},
    {"thrift://a:65536", "thrift://a:65536: "},
    {"thrift://a:x", "thrift://a:x: "},
    {"thrift://a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1", "more than 8 hosts"},
    {"thrift://a:1;ssl=yes", "only ;ssl=true"},
    {"thrift://a b:1", "blank"},
    {"thrift://a:9083\n", "blank"},
    {"tcp://h", "no valid port"},
    {"http://:80/", "http://:80/: "},
    {"postgres:///m", "no host"},
    {"postgres://h:port/m", "no valid port"},
    {"postgres://h/m?nosuch=1", "nosuch"},
    {"postgres://h/m?service=x", "service"},
    {"postgres://a,b/m?port=1,2,3&host=a,b,c,d", "more hosts than ports"},
    {"jdbc:mysql://h/m", "not a URL"},
    {"jdbc:hive2://zk:2181/;serviceDiscoveryMode=zooKeeper", "not supported"},
};

Test(target, refuses_what_it_cannot_use_and_says_why)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct err err = {.message = ""};
        struct target got;

        cr_assert_eq(target_parse(refused[i].url, &got, &err), -1, "%s", refused[i].url);
        cr_expect_eq(err.status, EXIT_USAGE, "%s", refused[i].url);
        cr_expect_neq(strstr(err.message, refused[i].message), NULL, "%s: %s", refused[i].url,
                      err.message);
        cr_expect_null(got.user);
        cr_expect_null(got.conninfo);
    }
}

Test(target, refuses_a_password_and_never_repeats_it)
{
    static const char *const urls[] = {
        "postgres://hive:s3cret@db/m",
        "postgres://hive:s3%cret@db/m",
        "postgres://hive:s3 cret@db/m",
        "postgres://db/m?user=h&password=s3cret",
        "postgres://db/m?sslpassword=s3cret",
        "jdbc:postgresql://db/m?user=h&password=s3cret",
        "jdbc:postgresql://hive:s3cret@db/m",
        "jdbc:hive2://sts/d;user=u;password=s3cret",
        "hive2://u:s3cret@sts",
        "thrift://u:s3cret@hms",
        "https://u:s3cret@h/x",
        "https://u:s3#cret@h/x",
        "https://u:s3/cret@h:x/x",
        "tcp://u:s3?cret@h:1",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct err err = {.message = ""};
        struct target got;

        cr_assert_eq(target_parse(urls[i], &got, &err), -1, "%s", urls[i]);
        cr_expect_eq(err.status, EXIT_USAGE);
        cr_expect_null(strstr(err.message, "s3"), "%s", err.message);
        cr_expect_null(strstr(err.message, "cret"), "%s", err.message);
    }
}

Test(target, login_is_copied_and_keeps_what_is_not_given)
{
    char password[] = "first";
    struct target target;

    cr_assert_eq(target_parse("postgres://hive@db/m", &target, NULL), 0);
    cr_assert_eq(target_set_login(&target, NULL, password), 0);
    password[0] = 'X';
    cr_expect_str_eq(target.user, "hive");
    cr_expect_str_eq(target.password, "first");
    cr_assert_eq(target_set_login(&target, "other", NULL), 0);
    cr_expect_str_eq(target.user, "other");
    cr_expect_str_eq(target.password, "first");
    target_free(&target);
    target_free(&target);
    cr_expect_null(target.user);
}

Test(target, puts_brackets_around_an_ipv6_address)
{
    BUF_AUTO url = BUF_INIT(256);
    TARGET_AUTO target;

    cr_assert_eq(target_parse("https://[::1]:8443/x?y", &target, NULL), 0);
    cr_assert_eq(target_put_url(&target, &target.hosts[0], &url), 0);
    cr_expect_str_eq(buf_str(&url), "https://[::1]:8443/x?y");
}

Test(target, an_overlong_url_is_cut_for_people_only)
{
    struct err err = {.message = ""};
    char url[2000];
    TARGET_AUTO target;

    memset(url, 'p', sizeof(url));
    memcpy(url, "http://h/", 9);
    url[sizeof(url) - 1] = '\0';
    cr_assert_eq(target_parse(url, &target, &err), 0, "%s", err.message);
    cr_expect_eq(strlen(target.url), TARGET_URL_BYTES - 1);
    cr_expect_eq(strlen(target.path), sizeof(url) - 1 - 8);
}
