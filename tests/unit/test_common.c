#include "common/buf.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/fd.h"
#include "common/signal_name.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(buf, appends_grow_it_and_keep_it_terminated)
{
    BUF_AUTO buf = BUF_INIT(1 << 20);

    for (int i = 0; i < 10000; i++)
        cr_assert(buf_printf(&buf, "%d,", i % 10) == 0);
    cr_expect(buf.len == 20000);
    cr_expect(strlen(buf_str(&buf)) == buf.len);
}

Test(buf, what_passes_the_maximum_fails_and_so_does_all_that_follows)
{
    BUF_AUTO buf = BUF_INIT(4);

    cr_expect(buf_add_str(&buf, "abcd") == 0);
    cr_expect(!buf_failed(&buf));
    cr_expect(buf_add_char(&buf, 'e') == -1);
    cr_expect(buf_add(&buf, "", 0) == -1);
    cr_expect(buf_failed(&buf));
    cr_expect_str_eq(buf_str(&buf), "abcd");
    buf_clear(&buf);
    cr_expect(buf_add_str(&buf, "x") == 0);
}

Test(buf, an_empty_one_is_an_empty_string_and_can_be_stolen)
{
    BUF_AUTO buf = BUF_INIT(16);
    char *stolen;

    cr_expect_str_eq(buf_str(&buf), "");
    stolen = buf_steal(&buf);
    cr_expect_str_eq(stolen, "");
    free(stolen);
    cr_expect(buf_add_str(&buf, "secret") == 0);
    stolen = buf_steal(&buf);
    cr_expect_str_eq(stolen, "secret");
    cr_expect(buf.len == 0 && buf.data == NULL);
    free(stolen);
}

Test(buf, a_cleared_one_keeps_its_memory_but_nothing_of_its_content)
{
    BUF_AUTO buf = BUF_INIT(1000);
    size_t cap;

    for (int i = 0; i < 1000; i++)
        cr_assert(buf_add_char(&buf, 's') == 0);
    cap = buf.cap;
    cr_expect(cap == 1001, "no more than the maximum is allocated");
    buf_clear(&buf);
    cr_expect(buf.len == 0 && buf.cap == cap && buf.data);
    for (size_t i = 0; i < cap; i++)
        cr_expect(buf.data[i] == '\0');
}

Test(buf, room_is_made_once_and_never_past_the_maximum)
{
    BUF_AUTO buf = BUF_INIT(1000);
    const char *data;

    cr_assert(buf_reserve(&buf, 600) == 0);
    cr_expect_str_eq(buf_str(&buf), "");
    cr_expect(buf.len == 0 && buf.cap == 601);
    data = buf.data;
    for (int i = 0; i < 600; i++)
        cr_assert(buf_add(&buf, "ab", 1) == 0);
    cr_expect(buf.data == data, "it did not move");
    cr_expect(buf_reserve(&buf, 0) == 0 && buf.data == data);
    cr_assert(buf_add_char(&buf, 'a') == 0);
    cr_expect(buf.cap == 1001 && strspn(buf_str(&buf), "a") == 601);
    cr_expect(buf_reserve(&buf, 400) == -1 && buf_failed(&buf));
    cr_expect(buf_add_char(&buf, 'a') == -1 && buf.len == 601);
}

struct duration_case {
    const char *text;
    int64_t ms; /* -1: refused */
};

Test(clock, durations_are_read_as_people_write_them)
{
    static const struct duration_case cases[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500},
        {"30s", 30000},
        {"5m", 300000},
        {"2h", 7200000},
        {"", -1},
        {"5", -1},
        {"s", -1},
        {"-5s", -1},
        {"5 s", -1},
        {"5d", -1},
        {"1.5s", -1},
        {"5ss", -1},
        {"99999999999999999999s", -1},
        {"8760h", 31536000000},
        {"8761h", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;

        cr_expect(clock_parse_duration(cases[i].text, &ms) == (cases[i].ms < 0 ? -1 : 0) &&
                      ms == cases[i].ms,
                  "%s: %ld", cases[i].text, (long)ms);
    }
}

Test(clock, durations_are_written_as_people_read_them)
{
    char buffer[CLOCK_DURATION_BYTES];

    cr_expect_str_eq(clock_format_duration(850, buffer, sizeof(buffer)), "850ms");
    cr_expect_str_eq(clock_format_duration(3260, buffer, sizeof(buffer)), "3.2s");
    cr_expect_str_eq(clock_format_duration(305000, buffer, sizeof(buffer)), "5m5s");
}

Test(clock, what_is_left_is_a_timeout_for_poll)
{
    cr_expect(clock_left_ms(CLOCK_NEVER) == -1);
    cr_expect(clock_left_ms(clock_ms() - 5) == 0);
    cr_expect(clock_left_ms(clock_ms() + 10000) > 9000);
    cr_expect(clock_left_ms(CLOCK_NEVER - 1) == INT32_MAX);
}

Test(err, wrapping_puts_context_in_front_and_keeps_the_status)
{
    struct err err;

    cr_expect(err_set(&err, EXIT_DATA, "%s is not set", "DB_PASSWORD") == -1);
    cr_expect(err_wrap(&err, "line %d", 12) == -1);
    cr_expect(err_wrap(&err, "render hive-site.xml") == -1);
    cr_expect_str_eq(err.message, "render hive-site.xml: line 12: DB_PASSWORD is not set");
    cr_expect(err.status == EXIT_DATA);
    errno = ENOENT;
    cr_expect(err_set_errno(&err, EXIT_CONFIG, "%s", "/x") == -1);
    cr_expect_str_eq(err.message, "/x: No such file or directory");
    cr_expect(err_set(NULL, EXIT_DATA, "nobody listens") == -1);
    cr_expect(err_wrap(NULL, "nobody") == -1);
}

Test(err, a_message_that_does_not_fit_is_cut)
{
    char text[3000];
    struct err err;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&err, EXIT_DATA, "%s", text);
    cr_expect(strlen(err.message) == sizeof(err.message) - 1);
    err_wrap(&err, "in front");
    cr_expect(strncmp(err.message, "in front: xxx", 13) == 0);
    cr_expect(strlen(err.message) == sizeof(err.message) - 1);
    err_wrap(&err, "%s", text);
    cr_expect(strlen(err.message) == sizeof(err.message) - 1);
}

Test(fd, a_file_over_the_maximum_is_refused_and_one_below_read_whole)
{
    char path[] = "/tmp/sparkpod-fd-XXXXXX";
    BUF_AUTO small = BUF_INIT(10), large = BUF_INIT(100000);
    char content[50000];
    int fd = mkstemp(path);

    memset(content, 'a', sizeof(content));
    cr_assert(fd_write_all(fd, content, sizeof(content)) == 0);
    fd_close(&fd);
    cr_expect(fd == -1);
    cr_expect(fd_read_file(path, &large) == 0 && large.len == sizeof(content));
    cr_expect(fd_read_file(path, &large) == 0 && large.len == 2 * sizeof(content), "it appends");
    cr_expect(strspn(buf_str(&large), "a") == large.len);
    cr_expect(fd_read_file(path, &small) == -1 && errno == EFBIG);
    unlink(path);
    cr_expect(fd_read_file(path, &large) == -1 && errno == ENOENT);
    cr_expect(fd_write_all(-1, "x", 1) == -1 && errno == EBADF);
}

Test(fd, what_has_no_size_is_read_to_its_end)
{
    BUF_AUTO table = BUF_INIT(1 << 20), fed = BUF_INIT(1 << 20), small = BUF_INIT(30000);
    char content[40000];
    int ends[2];

    cr_expect(fd_read_file("/proc/self/status", &table) == 0 && table.len > 100);
    memset(content, 'a', sizeof(content));
    for (int i = 0; i < 2; i++) {
        cr_assert(pipe(ends) == 0 && fd_write_all(ends[1], content, sizeof(content)) == 0);
        fd_close(&ends[1]);
        if (i == 0)
            cr_expect(fd_read_all(ends[0], &fed) == 0 && fed.len == sizeof(content));
        else
            cr_expect(fd_read_all(ends[0], &small) == -1 && errno == EFBIG);
        fd_close(&ends[0]);
    }
}

Test(signal_name, signals_have_their_short_names)
{
    cr_expect_str_eq(signal_name(SIGTERM), "TERM");
    cr_expect_str_eq(signal_name(SIGSYS), "SYS");
    cr_expect_str_eq(signal_name(0), "?");
    cr_expect_str_eq(signal_name(-1), "?");
    cr_expect_str_eq(signal_name(64), "?");
}
