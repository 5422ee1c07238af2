#include "confgen/utf8.h"

int32_t utf8_next(const char **p, const char *end)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)*p;
    uint32_t code = *byte;
    size_t more;

    if (code < 0x80) {
        (*p)++;
        return (int32_t)code;
    }
    if (code < 0xC0 || code > 0xF4)
        return -1;
    more = code < 0xE0 ? 1 : code < 0xF0 ? 2 : 3;
    if ((size_t)(end - *p) <= more)
        return -1;
    code &= 0x3FU >> more;
    for (size_t i = 1; i <= more; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return -1;
        code = code << 6 | (byte[i] & 0x3F);
    }
    if (code < smallest[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return -1;
    *p += more + 1;
    return (int32_t)code;
}

bool utf8_valid(const char *data, size_t len)
{
    const char *p = data, *end = data + len;

    while (p < end)
        if (utf8_next(&p, end) < 0)
            return false;
    return true;
}

void utf8_add(struct buf *buf, uint32_t code)
{
    unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xC0, 0xE0, 0xF0};

    (void)buf_add_char(buf, (char)(lead[more] | code >> 6 * more));
    while (more--)
        (void)buf_add_char(buf, (char)(0x80 | (code >> 6 * more & 0x3F)));
}
