/* Descriptors and whole files: what several modules would otherwise write again. */
#ifndef SPARKPOD_COMMON_FD_H
#define SPARKPOD_COMMON_FD_H

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

/* Close *fd unless it is negative, and set it to -1. For __attribute__((cleanup)). */
void fd_close(int *fd);
#define FD_AUTO __attribute__((cleanup(fd_close))) int

/* Append all that can be read from fd to buf. 0, or -1 with errno (EFBIG past the buf's maximum).
 */
int fd_read_all(int fd, struct buf *buf);

/* Append the content of the file at path. 0, or -1 with errno (EFBIG as above). */
int fd_read_file(const char *path, struct buf *buf);

/* Write all len bytes, going on after short writes and EINTR. 0, or -1 with errno. */
int fd_write_all(int fd, const void *data, size_t len);

#endif
