#include "entrypoint/memory.h"

#include "common/fd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

/* cgroup v1 writes "no limit" as a number near INT64_MAX; no machine has 4 PiB. */
#define NO_LIMIT ((int64_t)1 << 52)

/* 0 for "max", for nonsense and for a number that stands for no limit. */
static int64_t parse_limit(const char *text)
{
    int64_t limit = 0;

    for (; *text >= '0' && *text <= '9'; text++) {
        limit = limit * 10 + (*text - '0');
        if (limit >= NO_LIMIT)
            return 0;
    }
    return *text == '\n' || !*text ? limit : 0;
}

int64_t memory_limit(const char *folder)
{
    static const char *const files[] = {"memory.max", "memory/memory.limit_in_bytes"};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        BUF_AUTO content = BUF_INIT(64);
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        if (fd_read_file(path, &content) == 0)
            return parse_limit(buf_str(&content));
    }
    return 0;
}

int64_t memory_oom_kills(const char *folder)
{
    static const char *const files[] = {"memory.events", "memory/memory.oom_control"};
    static const char key[] = "\noom_kill ";

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[512], text[1024] = "\n"; /* the key may be the first */
        const char *line;
        ssize_t got;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
        got = fd < 0 ? -1 : read(fd, text + 1, sizeof(text) - 2);
        line = got > 0 ? strstr(text, key) : NULL;
        if (line)
            return parse_limit(line + strlen(key));
    }
    return -1;
}

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
