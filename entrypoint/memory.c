#include "entrypoint/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

int64_t memory_driver_heap_mib(int64_t limit)
{
    int64_t rest = limit / 4;

    if (limit < GIB)
        return limit / 2 / MIB;
    if (rest < 512 * MIB)
        rest = 512 * MIB;
    if (rest > 4 * GIB)
        rest = 4 * GIB;
    return (limit - rest) / MIB;
}

int64_t memory_parse_mib(const char *text)
{
    static const char units[] = "kmgt";
    static const int64_t kib[] = {1, 1024, 1024 * 1024, (int64_t)1024 * 1024 * 1024};
    const char *unit;
    char *end;
    int64_t number;

    errno = 0;
    number = strtoll(text, &end, 10); /* checked: in range, a unit behind it */
    if (errno || end == text || number <= 0 || number > (int64_t)1 << 30)
        return 0;
    if (!*end)
        return number;
    unit = strchr(units, tolower((unsigned char)*end));
    if (!unit || (end[1] && strcasecmp(end + 1, "b") != 0))
        return 0;
    return number * kib[unit - units] / 1024;
}

int64_t memory_with_overhead_mib(int64_t heap_mib)
{
    return heap_mib + (heap_mib / 10 > 384 ? heap_mib / 10 : 384);
}

int64_t memory_metastore_heap_mib(int64_t limit)
{
    return limit ? limit / 10 * 7 / MIB : 1024;
}
