#include "probes/sasl.h"

#include <criterion/criterion.h>
#include <string.h>

Test(sasl, plain_says_start_and_complete)
{
    /* thrift-sasl-spec.txt: 01 START "PLAIN", 05 COMPLETE NUL user NUL password */
    static const char want[] = "\x01\x00\x00\x00\x05PLAIN"
                               "\x05\x00\x00\x00\x0c\0probe\0probe";
    BUF_AUTO buf = BUF_INIT(64);

    cr_assert_eq(sasl_put_plain(&buf, "probe", "probe"), 0);
    cr_assert_eq(buf.len, sizeof(want) - 1);
    cr_expect_arr_eq(buf.data, want, sizeof(want) - 1);
}

Test(sasl, a_message_is_status_length_payload)
{
    static const char want[] = "\x01\x00\x00\x01\x00";
    char payload[256];
    BUF_AUTO buf = BUF_INIT(512);

    memset(payload, 'x', sizeof(payload));
    cr_assert_eq(sasl_put(&buf, SASL_START, payload, sizeof(payload)), 0);
    cr_assert_eq(buf.len, 5 + sizeof(payload));
    cr_expect_arr_eq(buf.data, want, 5);
    cr_expect_arr_eq(buf.data + 5, payload, sizeof(payload));
}

Test(sasl, what_does_not_fit_is_a_failure)
{
    BUF_AUTO buf = BUF_INIT(26);

    cr_expect_eq(sasl_put_plain(&buf, "probe", "probe"), -1);
}

Test(sasl, headers_are_read_and_their_length_is_bounded)
{
    static const struct {
        unsigned char bytes[SASL_HEADER_BYTES];
        int result;
        enum sasl_status status;
        uint32_t len;
    } cases[] = {
        {{5, 0, 0, 0, 0}, 0, SASL_COMPLETE, 0},
        {{3, 0, 0, 0, 42}, 0, SASL_BAD, 42},
        {{4, 0, 1, 0, 0}, 0, SASL_ERROR, SASL_MAX_BYTES},
        {{4, 0, 1, 0, 1}, -1, SASL_START, 0},
        {{5, 0x06, 0x40, 0, 0}, -1, SASL_START, 0}, /* 100 MB */
        {{3, 0xff, 0xff, 0xff, 0xff}, -1, SASL_START, 0},
        {{0, 0, 0, 0, 0}, -1, SASL_START, 0},
        {{6, 0, 0, 0, 0}, -1, SASL_START, 0},
        {{0x80, 1, 0, 1, 0}, -1, SASL_START, 0}, /* Thrift without a handshake */
        {{'H', 'T', 'T', 'P', '/'}, -1, SASL_START, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sasl_header header;

        cr_assert_eq(sasl_parse_header(cases[i].bytes, &header), cases[i].result, "case %zu", i);
        if (cases[i].result < 0)
            continue;
        cr_expect_eq(header.status, cases[i].status);
        cr_expect_eq(header.len, cases[i].len);
    }
}
