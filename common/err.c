#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum exit_status status, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    err->status = status;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return -1;
}

/* Add ": TEXT" behind the first len bytes, cut at the end of the message. */
static void append(struct err *err, int len, const char *text)
{
    size_t at = len < 0 ? 0 : (size_t)len, room;

    if (at + sizeof(": ") >= sizeof(err->message))
        return;
    memcpy(err->message + at, ": ", 2);
    room = sizeof(err->message) - at - 3;
    if (strlen(text) < room)
        room = strlen(text);
    memcpy(err->message + at + 2, text, room);
    err->message[at + 2 + room] = '\0';
}

int err_set_errno(struct err *err, enum exit_status status, const char *format, ...)
{
    const char *reason = strerror(errno);
    va_list args;
    int len;

    if (!err)
        return -1;
    err->status = status;
    va_start(args, format);
    len = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    append(err, len, reason);
    return -1;
}

int err_no_memory(struct err *err)
{
    return err_set(err, EXIT_INTERNAL, "out of memory");
}

int err_wrap(struct err *err, const char *format, ...)
{
    char inner[ERR_MESSAGE_BYTES];
    va_list args;
    int len;

    if (!err)
        return -1;
    memcpy(inner, err->message, sizeof(inner));
    va_start(args, format);
    len = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    append(err, len, inner);
    return -1;
}
