#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only what was used: to wipe pages that never were would make them resident. */
static void wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->len);
}

/* realloc() would leave the old block unwiped, hence malloc, copy, wipe. */
static int grow(struct buf *buf, size_t cap)
{
    char *data = malloc(cap);

    if (!data)
        return -1;
    if (buf->data)
        memcpy(data, buf->data, buf->len);
    wipe(buf);
    free(buf->data);
    data[buf->len] = '\0';
    buf->data = data;
    buf->cap = cap;
    return 0;
}

/* Make room for len more bytes; if that takes a new block, one of at least cap bytes. */
static int make_room(struct buf *buf, size_t len, size_t cap)
{
    size_t need = buf->len + len + 1;

    if (buf->failed || len > buf->max - buf->len ||
        (buf->cap < need && grow(buf, cap < need ? need : cap) < 0)) {
        buf->failed = true;
        return -1;
    }
    return 0;
}

int buf_reserve(struct buf *buf, size_t len)
{
    return make_room(buf, len, 0);
}

/* Twice as much, as far as it is allowed. */
static size_t next_cap(const struct buf *buf)
{
    size_t cap = buf->cap < 128 ? 256 : buf->cap * 2;

    return cap - 1 > buf->max ? buf->max + 1 : cap;
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
    if (make_room(buf, len, next_cap(buf)) < 0)
        return -1;
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_add_str(struct buf *buf, const char *string)
{
    return buf_add(buf, string, strlen(string));
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        buf->failed = true;
    else if (make_room(buf, (size_t)len, next_cap(buf)) == 0)
        buf->len += (size_t)vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
    va_end(again);
    return buf->failed ? -1 : 0;
}

bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_steal(struct buf *buf)
{
    char *data = buf->data;

    if (!data)
        data = calloc(1, 1);
    buf->data = NULL;
    buf->len = buf->cap = 0;
    buf->failed = false;
    return data;
}

void buf_clear(struct buf *buf)
{
    wipe(buf);
    buf->len = 0;
    buf->failed = false;
}

void buf_free(struct buf *buf)
{
    wipe(buf);
    free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
    buf->failed = false;
}
