#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int fd_read_all(int fd, struct buf *buf)
{
    char chunk[16384];
    ssize_t got;
    int result = 0;

    for (;;) {
        got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (buf_add(buf, chunk, (size_t)got) < 0) {
            errno = buf->len + (size_t)got > buf->max ? EFBIG : ENOMEM;
            got = -1;
            break;
        }
    }
    if (got < 0)
        result = -1;
    explicit_bzero(chunk, sizeof(chunk));
    return result;
}

int fd_read_file(const char *path, struct buf *buf)
{
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    return fd < 0 ? -1 : fd_read_all(fd, buf);
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
