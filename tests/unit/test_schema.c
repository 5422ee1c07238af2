#include "entrypoint/schema.h"

#include <criterion/criterion.h>

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

Test(schema, versions_are_compared_component_by_component)
{
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {
        {"3.1.0", "3.1.0", 0},
        {"3.1.0", "3.1.3", -1},
        {"3.10.0", "3.9.0", 1},
        {"2.3.0", "3.1.0", -1},
        {"4.0.0", "3.1.3", 1},
        {"3.1", "3.1.0", 0},
        {"3.1", "3.1.1", -1},
        {"4.0.0-beta-1", "4.0.0", -1},
        {"4.0.0", "4.0.0-alpha-1", 1},
        {"4.0.0-alpha-2", "4.0.0-beta-1", -1},
        {"", "1.2.0", -1},
        {"4.0.0-beta-1", "4.0.0-beta-1", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(sign(schema_compare_versions(cases[i].a, cases[i].b)), cases[i].order,
                     "%s, %s", cases[i].a, cases[i].b);
        cr_expect_eq(sign(schema_compare_versions(cases[i].b, cases[i].a)), -cases[i].order,
                     "%s, %s", cases[i].b, cases[i].a);
    }
}

Test(schema, the_distributions_version_stands_in_its_jars_name)
{
    static const char *const cases[][2] = {
        {"hive-standalone-metastore-3.1.3.jar", "3.1.3"},
        {"hive-standalone-metastore-server-4.0.1.jar", "4.0.1"},
        {"hive-metastore-2.3.9.jar", "2.3.9"},
        {"hive-standalone-metastore-4.0.0-beta-1.jar", "4.0.0-beta-1"},
        {"hive-storage-api-2.7.0.jar", NULL},
        {"hive-standalone-metastore-common-4.0.1.jar", NULL},
        {"hive-metastore-.jar", NULL},
        {"hive-metastore-2.3.9.jar.bak", NULL},
        {"hive-metastore-1111111111111111111111111111111111111111111111111111111111111111111.jar",
         NULL},
    };
    char version[SCHEMA_VERSION_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(schema_parse_jar(cases[i][0], version), cases[i][1] != NULL, "%s",
                     cases[i][0]);
        if (cases[i][1])
            cr_expect_str_eq(version, cases[i][1]);
    }
}

Test(schema, only_whole_schemas_count_as_scripts)
{
    char version[SCHEMA_VERSION_BYTES];

    cr_assert(schema_parse_script("hive-schema-3.1.0.postgres.sql", version));
    cr_expect_str_eq(version, "3.1.0");
    cr_expect(!schema_parse_script("upgrade-3.0.0-to-3.1.0.postgres.sql", version));
    cr_expect(!schema_parse_script("hive-schema-3.1.0.mysql.sql", version));
    cr_expect(!schema_parse_script("hive-txn-schema-3.1.0.postgres.sql", version));
}
