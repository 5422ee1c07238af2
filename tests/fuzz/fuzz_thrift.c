/* The first byte chooses the method, the rest is what a server said: as a reply it is complete,
 * unfinished or malformed, the same at every length it might have been read up to, and its text is
 * a string. Then the same bytes as a SASL header. */
#include "probes/sasl.h"
#include "probes/thrift.h"
#include "tests/fuzz/fuzz.h"

#include <sanitizer/asan_interface.h>
#include <string.h>

#define METHODS (THRIFT_CLOSE_SESSION + 1)
#define MAX_BYTES 1024
#define EVERY_LENGTH 64 /* of a longer input not every prefix is read */

/* Parse the bytes with nothing behind them that may be read. */
static int parse(enum thrift_method method, const uint8_t *bytes, size_t size)
{
    static _Alignas(16) uint8_t copy[MAX_BYTES];
    struct thrift_answer answer;
    int used;

    memcpy(copy, bytes, size);
    ASAN_POISON_MEMORY_REGION(copy + size, sizeof(copy) - size);
    used = thrift_parse_reply(method, 1, copy, size, &answer);
    ASAN_UNPOISON_MEMORY_REGION(copy, sizeof(copy));
    demand(used >= THRIFT_MORE && used != 0 && (used < 0 || (size_t)used <= size));
    demand(used < 0 || memchr(answer.text, '\0', sizeof(answer.text)) != NULL);
    return used;
}

/* A prefix of a complete reply needs more; past its end nothing changes; malformed stays so. */
static void check_prefix(enum thrift_method method, const uint8_t *bytes, size_t len, int whole)
{
    int used = parse(method, bytes, len);

    if (whole > 0)
        demand(used == (len < (size_t)whole ? THRIFT_MORE : whole));
    else
        demand(used < 0 && (whole == THRIFT_MALFORMED || used == THRIFT_MORE));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct sasl_header header;
    enum thrift_method method;
    size_t step;
    int whole;

    if (size == 0 || size > MAX_BYTES)
        return 0;
    method = (enum thrift_method)(bytes[0] % METHODS);
    bytes++, size--;
    whole = parse(method, bytes, size);
    step = 1 + size / EVERY_LENGTH;
    for (size_t len = size % step; len < size; len += step)
        check_prefix(method, bytes, len, whole);
    if (whole > 0) {
        check_prefix(method, bytes, (size_t)whole - 1, whole);
        check_prefix(method, bytes, (size_t)whole, whole);
    }
    if (size >= SASL_HEADER_BYTES && sasl_parse_header(bytes, &header) == 0)
        demand(header.len <= SASL_MAX_BYTES);
    return 0;
}
