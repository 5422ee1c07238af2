/* A byte buffer that grows up to a stated maximum and is wiped when freed, because any of them may
 * have held a secret. After a failure the buffer is "bad": further appends do nothing and
 * buf_failed() stays true, so that a run of appends needs one check at its end. */
#ifndef SPARKPOD_COMMON_BUF_H
#define SPARKPOD_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;  /* always followed by a NUL once there is room */
    size_t len;  /* bytes in use, without that NUL; who cuts some off wipes them */
    size_t cap;  /* bytes allocated */
    size_t max;  /* len never exceeds this */
    bool failed; /* an append did not fit, or memory ran out */
};

/* An empty buffer that will hold at most max_bytes. */
#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

/* Make room for len more bytes, no less and no more, if there is not yet. 0, or -1 once failed. */
int buf_reserve(struct buf *buf, size_t len);

/* Append len bytes. What is appended is borrowed and may not lie in the buffer, an argument of
 * buf_printf() neither. 0, or -1 once failed. */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_add_str(struct buf *buf, const char *string);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Inline, as escaping and decoding go byte by byte. */
static inline int buf_add_char(struct buf *buf, char byte)
{
    if (buf->failed || buf->len == buf->max || buf->cap - buf->len < 2)
        return buf_add(buf, &byte, 1);
    buf->data[buf->len++] = byte;
    buf->data[buf->len] = '\0';
    return 0;
}

bool buf_failed(const struct buf *buf);

/* The content as a NUL-terminated string, borrowed; "" for an empty buffer. */
const char *buf_str(const struct buf *buf);

/* Hand the content (NUL-terminated, caller frees) over and leave the buffer empty. */
char *buf_steal(struct buf *buf);

/* Forget the content, wiped; keep the memory. */
void buf_clear(struct buf *buf);

/* Wipe and free; the buffer is empty and usable again. */
void buf_free(struct buf *buf);

#define BUF_AUTO __attribute__((cleanup(buf_free))) struct buf

#endif
