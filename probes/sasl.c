#include "probes/sasl.h"

#include <string.h>

static void put_header(struct buf *buf, enum sasl_status status, size_t len)
{
    unsigned char bytes[SASL_HEADER_BYTES] = {(unsigned char)status, (unsigned char)(len >> 24),
                                              (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                                              (unsigned char)len};

    (void)buf_add(buf, bytes, sizeof(bytes));
}

int sasl_put(struct buf *buf, enum sasl_status status, const void *payload, size_t len)
{
    put_header(buf, status, len);
    return buf_add(buf, payload, len);
}

int sasl_put_plain(struct buf *buf, const char *user, const char *password)
{
    size_t user_len = strlen(user), password_len = strlen(password);

    (void)sasl_put(buf, SASL_START, "PLAIN", strlen("PLAIN"));
    put_header(buf, SASL_COMPLETE, 1 + user_len + 1 + password_len);
    (void)buf_add_char(buf, '\0');
    (void)buf_add(buf, user, user_len);
    (void)buf_add_char(buf, '\0');
    return buf_add(buf, password, password_len);
}

int sasl_parse_header(const unsigned char bytes[static SASL_HEADER_BYTES], struct sasl_header *ret)
{
    uint32_t len =
        (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];

    if (bytes[0] < SASL_START || bytes[0] > SASL_COMPLETE || len > SASL_MAX_BYTES)
        return -1;
    *ret = (struct sasl_header){.status = (enum sasl_status)bytes[0], .len = len};
    return 0;
}
