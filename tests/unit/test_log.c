#include "common/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Log through write_lines() with fd 2 in a pipe, and return what came out. */
static const char *captured(void (*write_lines)(void))
{
    static char text[4 * LOG_LINE_BYTES];
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t len;

    cr_assert(saved >= 0 && pipe(ends) == 0);
    (void)dup2(ends[1], STDERR_FILENO);
    log_open();
    write_lines();
    (void)dup2(saved, STDERR_FILENO);
    close(ends[1]);
    close(log_fd());
    len = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    close(saved);
    text[len < 0 ? 0 : len] = '\0';
    return text;
}

static void one_line(void)
{
    log_info("wait", "%s ready after %d tries", "thrift://hms:9083", 12);
}

Test(log, a_text_line_has_time_level_module_and_message)
{
    const char *line = captured(one_line);

    cr_expect(strlen(line) > 24 && line[10] == 'T' && line[23] == 'Z', "%s", line);
    cr_expect_str_eq(line + 24, " info  wait: thrift://hms:9083 ready after 12 tries\n");
}

static void with_errno(void)
{
    errno = ENOENT;
    log_info("x", "a line");
    cr_expect(errno == ENOENT);
}

Test(log, a_line_leaves_errno_as_it_was)
{
    cr_expect(strstr(captured(with_errno), "a line") != NULL);
}

static void status_line(void)
{
    log_status("waiting %ds", 3);
    log_info("x", "a line");
    log_status("%s", "");
}

Test(log, a_status_line_is_for_terminals_only)
{
    const char *line = captured(status_line);

    cr_expect_null(strstr(line, "waiting"), "%s", line);
    cr_expect_null(strchr(line, '\033'), "%s", line);
    cr_expect_str_eq(line + 24, " info  x: a line\n");
}

static void json_line(void)
{
    log_set_format(LOG_JSON);
    log_warn("render", "a \"quoted\" \\ and a\nnew line");
}

Test(log, a_json_line_escapes_what_json_demands)
{
    cr_expect(strstr(captured(json_line),
                     "\"level\":\"warn\",\"module\":\"render\",\"msg\":\"a \\u0022quoted\\u0022 "
                     "\\u005c and a\\u000anew line\"}\n") != NULL);
}

static void control_bytes(void)
{
    log_error("x", "one\ntwo\rthree\033[2J");
}

Test(log, a_line_stays_one_line_without_control_characters)
{
    cr_expect(strstr(captured(control_bytes), " error x: one two three [2J\n") != NULL);
}

static void below_the_level(void)
{
    log_set_level(LOG_WARN);
    log_info("x", "not this");
    log_debug("x", "nor this");
    log_warn("x", "this");
}

Test(log, lines_below_the_level_are_not_written)
{
    const char *text = captured(below_the_level);

    cr_expect(strstr(text, "not this") == NULL && strstr(text, "nor this") == NULL);
    cr_expect(strstr(text, "warn  x: this\n") != NULL);
}

static void with_secrets(void)
{
    (void)log_mask_add("hunter2hunter2", 14);
    (void)log_mask_add("p&<w>\"d", 7);
    (void)log_mask_add("short", 5);
    log_info("x", "a hunter2hunter2 b p&<w>\"d%s c short", "hunter2hunter2hunter2hunter2");
    log_mask_clear();
    log_info("x", "now hunter2hunter2 is no secret");
}

Test(log, secrets_are_masked_wherever_they_stand)
{
    const char *text = captured(with_secrets);

    cr_expect(strstr(text, "x: a *** b ****** c short\n") == NULL);
    cr_expect(strstr(text, "x: a *** b ********* c short\n") != NULL, "%s", text);
    cr_expect(strstr(text, "now hunter2hunter2 is no secret\n") != NULL);
}

static void nested_secrets(void)
{
    (void)log_mask_add("password123", 11);
    (void)log_mask_add("password", 8);
    (void)log_mask_add("my password123 too", 18);
    log_info("x", "a password123 b password c my password123 too d");
    log_mask_clear();
}

Test(log, a_secret_within_another_leaves_nothing_of_it)
{
    cr_expect(strstr(captured(nested_secrets), "x: a *** b *** c *** d\n") != NULL);
}

#define LONG_BYTES (3 * LOG_LINE_BYTES)
static char long_text[LONG_BYTES + 1];

static void long_line(void)
{
    memset(long_text, 'x', LONG_BYTES);
    log_info("x", "%s", long_text);
}

Test(log, a_long_line_is_cut_and_still_ends_in_a_newline)
{
    const char *line = captured(long_line);

    cr_expect(strlen(line) <= LOG_LINE_BYTES);
    cr_expect(strlen(line) > LOG_LINE_BYTES - 8);
    cr_expect(strchr(line, '\n') == line + strlen(line) - 1);
}

static void secret_at_the_cut(void)
{
    char secret[64];

    memset(secret, 's', sizeof(secret));
    (void)log_mask_add(secret, sizeof(secret));
    memset(long_text, 'x', LONG_BYTES);
    /* The message buffer ends in the middle of the secret. */
    memset(long_text + 2 * LOG_LINE_BYTES - 20, 's', sizeof(secret));
    log_info("x", "%s", long_text);
    /* Masks shorten the text so that the cut comes into view. */
    for (size_t i = 0; i + 64 < 2 * LOG_LINE_BYTES - 40; i += 64)
        memset(long_text + i, 's', 64);
    log_info("x", "%s", long_text);
    log_mask_clear();
}

Test(log, a_secret_that_the_cut_splits_is_not_shown_in_part)
{
    cr_expect(strstr(captured(secret_at_the_cut), "sss") == NULL);
}

static void flood(void)
{
    for (int i = 0; i < 40; i++)
        log_info("x", "%s", long_text);
}

Test(log, a_reader_that_has_stopped_does_not_block_the_writer, .timeout = 20)
{
    memset(long_text, 'x', LONG_BYTES);
    cr_expect(captured(flood) != NULL);
}
