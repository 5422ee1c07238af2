#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A reader that does not take a line within this time loses it: PID 1 must not block on it. */
#define WRITE_WAIT_MS 50

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};

#define CLEAR_LINE "\r\033[K"

static struct {
    int fd;
    bool colour, terminal;
    enum log_format format;
    enum log_level level;
} out = {.fd = STDERR_FILENO, .format = LOG_TEXT, .level = LOG_INFO};

struct secret {
    struct secret *next;
    size_t len;
    char bytes[];
};
static struct secret *secrets;

void log_open(void)
{
    struct stat info;
    int fd = -1;

    /* A file is never full; opened again it would have an offset of its own, and the service would
     * write over our lines. */
    if (fstat(STDERR_FILENO, &info) < 0 || !S_ISREG(info.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    tzset(); /* here, since it allocates: gmtime_r() would do it at the first line */
    if (fd >= 0)
        out.fd = fd;
    out.terminal = isatty(STDERR_FILENO) && strcmp(getenv("TERM") ?: "dumb", "dumb") != 0;
    out.colour = out.terminal && !getenv("NO_COLOR");
}

void log_set_format(enum log_format format)
{
    out.format = format;
}

void log_set_level(enum log_level level)
{
    out.level = level;
}

int log_fd(void)
{
    return out.fd;
}

int log_mask_add(const char *secret, size_t len)
{
    struct secret *entry, **at;

    if (len < LOG_SECRET_MIN_BYTES)
        return 0;
    /* Longest first: a shorter one within it would leave its rest in the clear. */
    for (at = &secrets; *at && (*at)->len >= len; at = &(*at)->next) {
        if ((*at)->len == len && memcmp((*at)->bytes, secret, len) == 0)
            return 0;
    }
    entry = malloc(sizeof(*entry) + len);
    if (!entry)
        return -1;
    entry->len = len;
    memcpy(entry->bytes, secret, len);
    entry->next = *at;
    *at = entry;
    return 0;
}

void log_mask_clear(void)
{
    while (secrets) {
        struct secret *entry = secrets;

        secrets = entry->next;
        explicit_bzero(entry->bytes, entry->len);
        free(entry);
    }
}

/* Replace each occurrence by "***", which is shorter than any secret that is kept. */
static size_t mask_one(char *text, size_t len, const struct secret *secret)
{
    char *at = text;

    while ((at = memmem(at, len - (size_t)(at - text), secret->bytes, secret->len))) {
        memcpy(at, "***", 3);
        memmove(at + 3, at + secret->len, len - (size_t)(at - text) - secret->len);
        len -= secret->len - 3;
        at += 3;
    }
    return len;
}

/* Of a text that was cut, drop a secret's beginning at its end: it would not be found whole. */
static size_t drop_cut_secret(const char *text, size_t len, const struct secret *secret)
{
    size_t most = secret->len - 1 < len ? secret->len - 1 : len;

    for (size_t n = most; n > 0; n--) {
        if (memcmp(text + len - n, secret->bytes, n) == 0)
            return len - n;
    }
    return len;
}

static size_t mask(char *text, size_t len, bool cut)
{
    for (const struct secret *s = secrets; s; s = s->next) {
        if (cut)
            len = drop_cut_secret(text, len, s);
        len = mask_one(text, len, s);
    }
    return len;
}

/* A line under construction; what does not fit is dropped, room for the newline is kept. */
struct line {
    char bytes[LOG_LINE_BYTES];
    size_t len;
};

static void line_add(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof(line->bytes) - 4 - line->len;

    if (len > room)
        len = room;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void line_add_str(struct line *line, const char *string)
{
    line_add(line, string, strlen(string));
}

/* A line stays one line: control characters become blanks, or are escaped in JSON. */
static void line_add_message(struct line *line, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        char escaped[8];

        if (byte >= 0x20 && byte != 0x7f && (out.format == LOG_TEXT || !strchr("\"\\", byte))) {
            line_add(line, text + i, 1);
        } else if (out.format == LOG_TEXT) {
            line_add(line, " ", 1);
        } else {
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
            if (line->len + 6 < sizeof(line->bytes) - 4)
                line_add(line, escaped, 6);
        }
    }
}

static void line_add_time(struct line *line)
{
    char text[40], millis[8];
    struct timespec now;
    struct tm tm;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(millis, sizeof(millis), ".%03dZ", (int)(now.tv_nsec / 1000000));
    line_add_str(line, text);
    line_add_str(line, millis);
}

static void line_start_text(struct line *line, enum log_level level, const char *module)
{
    char word[8];

    (void)snprintf(word, sizeof(word), "%-5s", level_words[level]);
    if (out.terminal)
        line_add_str(line, CLEAR_LINE); /* a status line, whichever process wrote it */
    line_add_time(line);
    line_add_str(line, " ");
    if (out.colour)
        line_add_str(line, level_colours[level]);
    line_add_str(line, word);
    if (out.colour)
        line_add_str(line, "\033[0m");
    line_add_str(line, " ");
    line_add_str(line, module);
    line_add_str(line, ": ");
}

static void line_start_json(struct line *line, enum log_level level, const char *module)
{
    line_add_str(line, "{\"ts\":\"");
    line_add_time(line);
    line_add_str(line, "\",\"level\":\"");
    line_add_str(line, level_words[level]);
    line_add_str(line, "\",\"module\":\"");
    line_add_str(line, module);
    line_add_str(line, "\",\"msg\":\"");
}

/* One write; while the pipe is full, wait a moment, then let the line go. */
static void line_write(const struct line *line)
{
    struct pollfd ready = {.fd = out.fd, .events = POLLOUT};

    if (out.fd == STDERR_FILENO && poll(&ready, 1, WRITE_WAIT_MS) <= 0)
        return;
    if (write(out.fd, line->bytes, line->len) < 0 && errno == EAGAIN &&
        poll(&ready, 1, WRITE_WAIT_MS) > 0)
        (void)!write(out.fd, line->bytes, line->len);
}

/* Format into message (2 * LOG_LINE_BYTES), masked. Its length. */
__attribute__((format(printf, 2, 0))) static size_t format_message(char *message,
                                                                   const char *format, va_list args)
{
    int want = vsnprintf(message, 2 * (size_t)LOG_LINE_BYTES, format, args);
    size_t len = want < 0 ? 0 : (size_t)want;

    if (len >= 2 * (size_t)LOG_LINE_BYTES)
        len = 2 * (size_t)LOG_LINE_BYTES - 1;
    return mask(message, len, want > (int)len);
}

void log_status(const char *format, ...)
{
    char message[2 * LOG_LINE_BYTES];
    struct line line = {.len = 0};
    struct winsize size = {.ws_col = 0};
    va_list args;
    size_t len;

    if (!out.terminal || out.format != LOG_TEXT || out.level < LOG_INFO)
        return;
    va_start(args, format);
    len = format_message(message, format, args);
    va_end(args);
    (void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    if (size.ws_col == 0)
        size.ws_col = 80;
    if (len >= size.ws_col) {
        len = size.ws_col - 1U; /* the last column would begin the next line */
        while (len && ((unsigned char)message[len] & 0xC0) == 0x80)
            len--;
    }
    line_add_str(&line, CLEAR_LINE);
    line_add_message(&line, message, len);
    line_write(&line);
    explicit_bzero(message, sizeof(message));
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
    char message[2 * LOG_LINE_BYTES];
    struct line line = {.len = 0};
    int saved_errno = errno;
    va_list args;
    size_t len;

    if (level > out.level)
        return;
    va_start(args, format);
    len = format_message(message, format, args);
    va_end(args);
    if (out.format == LOG_JSON) {
        line_start_json(&line, level, module);
        line_add_message(&line, message, len);
        memcpy(line.bytes + line.len, "\"}", 2);
        line.len += 2;
    } else {
        line_start_text(&line, level, module);
        line_add_message(&line, message, len);
    }
    line.bytes[line.len++] = '\n';
    line_write(&line);
    explicit_bzero(message, sizeof(message));
    errno = saved_errno;
}
