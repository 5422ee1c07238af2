#include "entrypoint/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *const no_environment[] = {NULL};

/* A settings file with these bytes; the path is good until the next call. */
static const char *write_bytes(const char *text, size_t len)
{
    static char path[64];
    int fd;

    snprintf(path, sizeof(path), "/tmp/sparkpod-test-XXXXXX");
    fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert(write(fd, text, len) == (ssize_t)len);
    close(fd);
    return path;
}

static int load(struct config *config, const char *text, char *const *environment, struct err *err)
{
    const char *path = write_bytes(text, strlen(text));
    int result = config_load(config, path, environment, err);

    unlink(path);
    return result;
}

Test(config, defaults_hold_without_file_and_environment)
{
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, no_environment, &err) == 0, "%s", err.message);
    cr_expect_str_eq(config.render.source, "/etc/sparkpod/templates");
    cr_expect(config.health.port == 8085);
    cr_expect(config.shutdown.grace == 45000);
    cr_expect(config.wait.timeout == 0);
    cr_expect(!config.metastore.allow_derby);
    cr_expect(config_check(&config, &err) == 0);
    cr_expect(!config_is_set(&config, "health.port"));
    config_free(&config);
}

Test(config, the_environment_beats_the_file_and_a_flag_beats_both)
{
    char *const environment[] = {(char *)"SPARKPOD_HEALTH_PORT=9001",
                                 (char *)"SPARKPOD_LOG_FORMAT=json", NULL};
    struct config config;
    struct err err = {0};

    cr_assert(load(&config, "[health]\nport = 9000\ninterval = 250ms\n", environment, &err) == 0,
              "%s", err.message);
    cr_expect(config.health.port == 9001);
    cr_expect(config.health.interval == 250);
    cr_expect(config.log.format == LOG_JSON);
    cr_expect(config_set(&config, "health.port", "9002", &err) == 0);
    cr_expect(config.health.port == 9002);
    config_free(&config);
}

Test(config, the_origin_of_each_value_is_told)
{
    char *const environment[] = {(char *)"SPARKPOD_HEALTH_PORT=9001", NULL};
    BUF_AUTO text = BUF_INIT(1 << 20);
    struct config config;
    struct err err = {0};

    cr_assert(load(&config, "# comment\n[shutdown]\ngrace = 30s\n", environment, &err) == 0);
    cr_assert(config_write_ini(&config, &text) == 0);
    cr_expect(strstr(buf_str(&text), "# file, line 3\ngrace = 30s\n") != NULL);
    cr_expect(strstr(buf_str(&text), "# SPARKPOD_HEALTH_PORT\nport = 9001\n") != NULL);
    cr_expect(strstr(buf_str(&text), "# default\ndrain = 1m\n") != NULL);
    config_free(&config);
}

Test(config, what_is_written_as_ini_reads_back_the_same)
{
    BUF_AUTO first = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
    char *const environment[] = {(char *)"SPARKPOD_RENDER_SECRETS=/run/secrets /etc/more", NULL};
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, environment, &err) == 0);
    cr_assert(config_write_ini(&config, &first) == 0);
    config_free(&config);
    cr_assert(load(&config, buf_str(&first), no_environment, &err) == 0, "%s", err.message);
    cr_expect_str_eq(config.render.secrets, "/run/secrets /etc/more");
    cr_assert(config_write_json(&config, &second) == 0);
    cr_expect(strstr(buf_str(&second), "\"value\": \"/run/secrets /etc/more\"") != NULL);
    config_free(&config);
}

struct bad_file {
    const char *text;
    const char *message; /* behind the path */
};

Test(config, a_fault_in_the_file_is_named_with_its_line)
{
    char long_line[400] = "[render]\nsource = ";
    const struct bad_file cases[] = {
        {"[nonsense]\na = b\n", ":2: unknown section [nonsense]"},
        {"[health]\nprot = 1\n", ":2: unknown key \"prot\" in [health]"},
        {"[health]\nport = many\n", ":2: health.port: \"many\" is not a number from 0 to 65535"},
        {"[health]\nport = 70000\n", ":2: health.port: \"70000\" is not a number from 0 to 65535"},
        {"[health]\n\n\ninterval = 5\n",
         ":4: health.interval: \"5\" is not a duration such as 500ms, 30s or 5m"},
        {"[health]\ninterval = 10ms\n", ":2: health.interval: 10ms is less than 100ms"},
        {"[log]\nformat = xml\n", ":2: log.format: \"xml\" is not one of text json"},
        {"[metastore]\nallow_derby = yes\n",
         ":2: metastore.allow_derby: \"yes\" is not one of false true"},
        {"[render]\n  source = /x\n", ":2: the line is indented"},
        {"[render]\nsource = /x ; y\n", ":2: \" ;\" would begin a comment"},
        {"[render]\nsource: /x\n", ":2: expected KEY = VALUE"},
        {"[render]\nsource:a = /x\n", ":2: the key would end at \":\""},
        {"[render\nsource = /x\n", ":1: the section's name does not end"},
        {"[render]\nsource = /x\t; y\n", ":2: \" ;\" would begin a comment"},
        {"[render]\nsource = /x\n\fsecrets = /y\n", ":3: the line is indented"},
        {"[health] port = 1\n", ":1: what stands behind \"]\" would be ignored"},
        {"[health ;]\nport = 1\n", ":1: the section's name does not end"},
        {"\xEF\xBB\xBF[health\nport = 1\n", ":1: the section's name does not end"},
        {"[render]\nsource = \xFF\n", ":2: render.source: the value is not UTF-8"},
        {long_line, ":2: the line is longer than 198 bytes"},
    };

    memset(long_line + strlen(long_line), 'x', 300);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config config;
        struct err err = {0};

        cr_expect(load(&config, cases[i].text, no_environment, &err) == -1, "%s", cases[i].text);
        cr_expect(strstr(err.message, cases[i].message) != NULL, "%s: %s", cases[i].text,
                  err.message);
        cr_expect(err.status == EXIT_CONFIG);
        config_free(&config);
    }
}

Test(config, a_nul_byte_in_the_file_is_refused)
{
    static const char text[] = "[render]\nsource = /x\0/y\n";
    const char *path = write_bytes(text, sizeof(text) - 1);
    struct config config;
    struct err err = {0};

    cr_expect(config_load(&config, path, no_environment, &err) == -1);
    cr_expect(strstr(err.message, ":2: the line holds a NUL byte") != NULL, "%s", err.message);
    config_free(&config);
    unlink(path);
}

Test(config, a_byte_order_mark_and_a_comment_behind_a_section_are_no_fault)
{
    struct config config;
    struct err err = {0};

    cr_assert(load(&config, "\xEF\xBB\xBF[health] ; c\r\nport = 1234\r\n", no_environment, &err) ==
                  0,
              "%s", err.message);
    cr_expect(config.health.port == 1234);
    config_free(&config);
}

Test(config, a_value_that_begins_with_a_semicolon_is_written_as_it_is_read)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    struct config config;
    struct err err = {0};

    cr_assert(load(&config, "[render]\nsource=;x\n", no_environment, &err) == 0, "%s", err.message);
    cr_assert(config_write_ini(&config, &text) == 0);
    config_free(&config);
    cr_assert(load(&config, buf_str(&text), no_environment, &err) == 0, "%s", err.message);
    cr_expect_str_eq(config.render.source, ";x");
    config_free(&config);
}

Test(config, a_comment_may_be_longer_than_any_buffer)
{
    char text[9000] = "# ";
    struct config config;
    struct err err = {0};

    memset(text + 2, 'x', 8000);
    strcat(text, "\n[health]\nport = 1234\n");
    cr_assert(load(&config, text, no_environment, &err) == 0, "%s", err.message);
    cr_expect(config.health.port == 1234);
    config_free(&config);
}

Test(config, a_named_file_that_is_not_there_is_an_error)
{
    struct config config;
    struct err err = {0};

    cr_expect(config_load(&config, "/nonexistent/sparkpod.ini", no_environment, &err) == -1);
    cr_expect(strstr(err.message, "/nonexistent/sparkpod.ini: No such file") != NULL);
    config_free(&config);
}

Test(config, a_kubernetes_service_link_counts_as_absent)
{
    char *const environment[] = {(char *)"SPARKPOD_HEALTH_PORT=tcp://10.0.0.1:8085", NULL};
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, environment, &err) == 0);
    cr_expect(config.health.port == 8085);
    cr_expect_str_eq(buf_str(&config.warnings), "");
    config_free(&config);
}

Test(config, an_unknown_variable_warns_and_a_bad_one_is_an_error)
{
    char *const unknown[] = {(char *)"SPARKPOD_HELTH_PORT=1", NULL};
    char *const bad[] = {(char *)"SPARKPOD_HEALTH_PORT=x", NULL};
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, unknown, &err) == 0);
    cr_expect(strstr(buf_str(&config.warnings), "SPARKPOD_HELTH_PORT") != NULL);
    config_free(&config);
    cr_expect(config_load(&config, NULL, bad, &err) == -1);
    cr_expect(strstr(err.message, "SPARKPOD_HEALTH_PORT: \"x\"") != NULL);
    config_free(&config);
}

Test(config, a_stop_that_cannot_fit_its_budget_is_refused)
{
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, no_environment, &err) == 0);
    cr_assert(config_set(&config, "shutdown.drain", "10m", &err) == 0);
    cr_expect(config_check(&config, &err) == -1);
    cr_expect(strstr(err.message, "more than shutdown.budget (120s)") != NULL);
    cr_assert(config_set(&config, "shutdown.budget", "0", &err) == 0);
    cr_expect(config_check(&config, &err) == 0);
    config_free(&config);
}

Test(config, a_flag_that_names_no_setting_is_a_usage_error)
{
    struct config config;
    struct err err = {0};

    cr_assert(config_load(&config, NULL, no_environment, &err) == 0);
    cr_expect(config_set(&config, "wait.nothing", "1s", &err) == -1);
    cr_expect(err.status == EXIT_USAGE);
    cr_expect(config_set(&config, "wait.timeout", "1", &err) == -1);
    cr_expect(err.status == EXIT_USAGE);
    config_free(&config);
}
