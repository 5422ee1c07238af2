/* Our own log lines, on fd 2: one line, one write, at most LOG_LINE_BYTES, no allocation, secrets
 * masked before the line leaves the process. The service's own output never passes here.
 *
 *     2026-11-22T10:00:00.123Z info  wait: thrift://hms:9083 ready after 3.2s
 *     {"ts":"2026-11-22T10:00:00.123Z","level":"info","module":"wait","msg":"…"}          */
#ifndef SPARKPOD_COMMON_LOG_H
#define SPARKPOD_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_BYTES 4096

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Reopen fd 2 non-blocking for our lines: O_NONBLOCK on fd 2 itself would reach the service, which
 * shares that open file. Before this call, and where reopening is refused, lines go to fd 2 after a
 * poll(). Colour is used on a terminal only, and not with NO_COLOR set. */
void log_open(void);

/* Both may be set again at any time; the defaults are text and info. */
void log_set_format(enum log_format format);
void log_set_level(enum log_level level);

/* The descriptor lines are written to: a helper that closes what it inherited keeps this one. */
int log_fd(void);

/* Write a line. module is a short static word ("wait", "render"). errno stays as it is. */
void log_write(enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Show what goes on, on a terminal and in text format only: one line that the next one, of whatever
 * process, writes over, cut to the terminal's width. "" takes it away. */
void log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define log_error(module, ...) log_write(LOG_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...) log_write(LOG_WARN, module, __VA_ARGS__)
#define log_info(module, ...) log_write(LOG_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) log_write(LOG_DEBUG, module, __VA_ARGS__)

/* Mask this value as "***" in every later line of this process. The bytes are copied. Values under
 * LOG_SECRET_MIN_BYTES are not searched for: callers never put them into a line at all.
 * 0, or -1 without memory. */
#define LOG_SECRET_MIN_BYTES 6
int log_mask_add(const char *secret, size_t len);

/* Wipe and forget all values to mask. */
void log_mask_clear(void);

#endif
