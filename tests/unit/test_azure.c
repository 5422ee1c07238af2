/* Which URLs name a container of Azure Data Lake Storage. What is asked of Azure is tested in
 * tests/integration/test_check.py. */
#include "entrypoint/azure.h"

#include <criterion/criterion.h>
#include <string.h>

#define LONG_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

Test(azure, finds_container_and_account_in_a_url)
{
    static const struct {
        const char *url, *name, *account;
    } rows[] = {
        {"abfss://lake@a.dfs.core.windows.net/x/y", "lake", "a.dfs.core.windows.net"},
        {"abfs://lake@a.dfs.core.windows.net", "lake", "a.dfs.core.windows.net"},
        {"abfss://$root@127.0.0.1:10000/", "$root", "127.0.0.1:10000"},
        {"abfss://" LONG_63 "@a/", LONG_63, "a"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct azure_container container;

        cr_assert(azure_parse(rows[i].url, &container), "%s", rows[i].url);
        cr_expect_str_eq(container.name, rows[i].name);
        cr_expect_str_eq(container.account, rows[i].account);
    }
}

Test(azure, refuses_what_would_be_another_request)
{
    static const char *const urls[] = {
        "",
        "hdfs://lake@a/",
        "wasbs://lake@a.blob.core.windows.net/",
        "abfss://",
        "abfss:///x",
        "abfss://a.dfs.core.windows.net/x@y",
        "abfss://@a/",
        "abfss://lake@",
        "abfss://lake@/x",
        "abfss://la/ke@a/",
        "abfss://la?ke@a/",
        "abfss://lake@a b/",
        "abfss://lake@a\r\nHost:b/",
        "abfss://${x}@a/",
        "abfss://lake@u:p@a/",
        "abfss://a" LONG_63 "@a/",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct azure_container container;

        cr_expect(!azure_parse(urls[i], &container), "%s", urls[i]);
    }
}
