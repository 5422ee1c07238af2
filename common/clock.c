#include "common/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_DURATION_MS ((int64_t)365 * 24 * 3600 * 1000)

int64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int clock_left_ms(int64_t deadline_ms)
{
    int64_t left;

    if (deadline_ms == CLOCK_NEVER)
        return -1;
    left = deadline_ms - clock_ms();
    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

int clock_parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    int64_t number = 0;
    const char *p = text;

    for (; isdigit((unsigned char)*p); p++) {
        number = number * 10 + (*p - '0');
        if (number > MAX_DURATION_MS)
            return -1;
    }
    if (p == text)
        return -1;
    if (*p == '\0' && number == 0) {
        *ret_ms = 0;
        return 0;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (number > MAX_DURATION_MS / units[i].ms)
            return -1;
        *ret_ms = number * units[i].ms;
        return 0;
    }
    return -1;
}

const char *clock_format_duration(int64_t ms, char *buffer, size_t size)
{
    if (ms < 1000)
        (void)snprintf(buffer, size, "%" PRId64 "ms", ms);
    else if (ms < 60000)
        (void)snprintf(buffer, size, "%" PRId64 ".%" PRId64 "s", ms / 1000, ms % 1000 / 100);
    else
        (void)snprintf(buffer, size, "%" PRId64 "m%" PRId64 "s", ms / 60000, ms / 1000 % 60);
    return buffer;
}
