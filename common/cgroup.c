#include "common/cgroup.h"

#include "common/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* cgroup v1 writes "no limit" as a number near INT64_MAX; no machine has 4 PiB. */
#define NO_LIMIT ((int64_t)1 << 52)

/* 0 for "max", for nonsense and for a number that stands for no limit. */
static int64_t parse_number(const char *text)
{
    int64_t number = 0;

    for (; *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (*text - '0');
        if (number >= NO_LIMIT)
            return 0;
    }
    return *text == '\n' || !*text ? number : 0;
}

/* The number in the file of cgroup v2, else in that of v1; 0 without either. */
static int64_t read_number(const char *folder, const char *v2, const char *v1)
{
    const char *const files[] = {v2, v1};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        BUF_AUTO content = BUF_INIT(64);
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        if (fd_read_file(path, &content) == 0)
            return parse_number(buf_str(&content));
    }
    return 0;
}

int64_t cgroup_memory_limit(const char *folder)
{
    return read_number(folder, "memory.max", "memory/memory.limit_in_bytes");
}

int64_t cgroup_memory_usage(const char *folder)
{
    return read_number(folder, "memory.current", "memory/memory.usage_in_bytes");
}

int64_t cgroup_oom_kills(const char *folder)
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
            return parse_number(line + strlen(key));
    }
    return -1;
}
