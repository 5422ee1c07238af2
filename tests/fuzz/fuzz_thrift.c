/* The first byte chooses the method, the rest is what a server said: as a reply it is complete,
 * unfinished or malformed, the same at every length it might have been read up to, and its text is
 * a string. Then the same bytes as a SASL header. */
#include "probes/sasl.h"
#include "probes/thrift.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define METHODS (THRIFT_GET_INFO + 1)
#define SPLIT_BYTES 512 /* longer inputs are read whole only */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth)
{
    if (!truth)
        abort();
}

/* A copy of its own size, so that the sanitizer sees every byte read past the end. */
static int parse(enum thrift_method method, const uint8_t *bytes, size_t size)
{
    struct thrift_answer answer;
    uint8_t *copy = malloc(size ? size : 1);
    int used;

    demand(copy != NULL);
    memcpy(copy, bytes, size);
    used = thrift_parse_reply(method, 1, copy, size, &answer);
    demand(used >= THRIFT_MORE && used != 0 && (used < 0 || (size_t)used <= size));
    demand(used < 0 || memchr(answer.text, '\0', sizeof(answer.text)) != NULL);
    free(copy);
    return used;
}

/* A prefix of a complete reply needs more; past its end nothing changes; malformed stays so. */
static void check_prefixes(enum thrift_method method, const uint8_t *bytes, size_t size, int whole)
{
    for (size_t len = 0; len <= size; len++) {
        int used = parse(method, bytes, len);

        if (whole > 0)
            demand(used == (len < (size_t)whole ? THRIFT_MORE : whole));
        else
            demand(used < 0 && (whole == THRIFT_MALFORMED || used == THRIFT_MORE));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct sasl_header header;
    enum thrift_method method;
    int whole;

    if (size == 0)
        return 0;
    method = (enum thrift_method)(bytes[0] % METHODS);
    bytes++, size--;
    whole = parse(method, bytes, size);
    if (size <= SPLIT_BYTES)
        check_prefixes(method, bytes, size, whole);
    if (size >= SASL_HEADER_BYTES && sasl_parse_header(bytes, &header) == 0)
        demand(header.len <= SASL_MAX_BYTES);
    return 0;
}
