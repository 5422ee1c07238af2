/* Time as the program uses it: milliseconds of CLOCK_MONOTONIC, which no clock change disturbs,
 * and durations as people write them. */
#ifndef SPARKPOD_COMMON_CLOCK_H
#define SPARKPOD_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Milliseconds since an arbitrary start; never goes back. */
int64_t clock_ms(void);

/* Milliseconds from now until deadline_ms, 0 if past, INT32_MAX at most: a poll() timeout; -1 (wait
 * for ever) for CLOCK_NEVER. */
int clock_left_ms(int64_t deadline_ms);

/* Read "500ms", "30s", "5m", "2h" or "0" into milliseconds. 0, or -1 for anything else, a bare
 * number included, and for more than 365 days. */
int clock_parse_duration(const char *text, int64_t *ret_ms);

/* Write ms the way people write it ("850ms", "3.2s", "5m0s") into buffer; returns buffer. */
const char *clock_format_duration(int64_t ms, char *buffer, size_t size);

#define CLOCK_DURATION_BYTES 32

#endif
