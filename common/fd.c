#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Read into the room that buf has, or else some bytes more. As read(2) returns. */
static ssize_t read_some(int fd, struct buf *buf)
{
    size_t room = buf->cap > buf->len && !buf->failed ? buf->cap - buf->len - 1 : 0;
    char chunk[16384];
    ssize_t got;

    if (room) {
        got = read(fd, buf->data + buf->len, room);
        buf->len += got > 0 ? (size_t)got : 0;
        buf->data[buf->len] = '\0';
        return got;
    }
    got = read(fd, chunk, sizeof(chunk));
    if (got <= 0)
        return got;
    if (buf_add(buf, chunk, (size_t)got) < 0) {
        errno = buf->len + (size_t)got > buf->max ? EFBIG : ENOMEM;
        got = -1;
    }
    explicit_bzero(chunk, sizeof(chunk));
    return got;
}

int fd_read_all(int fd, struct buf *buf)
{
    ssize_t got;

    do {
        got = read_some(fd, buf);
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? -1 : 0;
}

int fd_read_file(const char *path, struct buf *buf)
{
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;

    if (fd < 0)
        return -1;
    /* Elsewhere than in a regular file, and in /proc, the size says nothing. */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        (size_t)status.st_size <= buf->max - buf->len)
        (void)buf_reserve(buf, (size_t)status.st_size);
    return fd_read_all(fd, buf);
}

int fd_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t put = write(fd, p, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        len -= (size_t)put;
    }
    return 0;
}
