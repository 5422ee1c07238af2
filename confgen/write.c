#include "confgen/write.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_LINKS 40 /* as in Linux */

int write_explain(struct err *err, const char *path)
{
    static const struct {
        int number;
        enum exit_status status;
        const char *advice;
    } table[] = {
        {EROFS, EXIT_REFUSED, " (a ConfigMap and a Secret are read-only: mount an emptyDir there)"},
        {EACCES, EXIT_REFUSED,
         " (mount an emptyDir there, or set fsGroup to a group of this user)"},
        {EPERM, EXIT_REFUSED, " (mount an emptyDir there, or set fsGroup to a group of this user)"},
        {ENOSPC, EXIT_INTERNAL, " (give it more space, or mount an emptyDir there)"},
        {EDQUOT, EXIT_INTERNAL, " (give it more space, or mount an emptyDir there)"},
        {ENOENT, EXIT_CONFIG, " (mount an emptyDir there)"},
        {ENOTDIR, EXIT_CONFIG, " (the target's folder is not a folder)"},
    };

    for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++)
        if (table[row].number == errno)
            return err_set(err, table[row].status, "cannot write in %s: %s%s", path,
                           strerror(errno), table[row].advice);
    return err_set_errno(err, EXIT_INTERNAL, "cannot write in %s", path);
}

/* What the symbolic link at path leads to, one step, relative to the link's folder; the path itself
 * if it is none. To be freed; NULL with errno. */
static char *follow(const char *path)
{
    const char *slash = strrchr(path, '/');
    char link[PATH_MAX], *next;
    ssize_t len = readlink(path, link, sizeof(link) - 1);

    if (len < 0)
        return errno == EINVAL || errno == ENOENT ? strdup(path) : NULL;
    link[len] = '\0';
    if (*link == '/' || !slash)
        return strdup(link);
    return asprintf(&next, "%.*s%s", (int)(slash + 1 - path), path, link) < 0 ? NULL : next;
}

/* The same path with the links in its folder resolved, so that a message names the real one. */
static char *resolve_folder(char *path)
{
    char *slash = strrchr(path, '/'), *folder, *resolved = NULL;

    if (!slash || slash == path)
        return path;
    *slash = '\0';
    folder = realpath(path, NULL);
    *slash = '/';
    if (folder && asprintf(&resolved, "%s%s", folder, slash) >= 0) {
        free(path);
        path = resolved;
    }
    free(folder);
    return path;
}

/* Set file->path: the target, or what it leads to in the end, whether that is there or not. */
static int set_path(struct write_file *file, struct err *err)
{
    char *path = strdup(file->target);

    for (int links = 0; path && links < MOST_LINKS; links++) {
        char *next = follow(path);
        bool is_last = next && strcmp(next, path) == 0;

        free(path);
        path = next;
        if (is_last) {
            file->path = links ? resolve_folder(path) : path;
            return 0;
        }
    }
    if (path)
        errno = ELOOP;
    free(path);
    return write_explain(err, file->target);
}

/* Set the folder, "." and "/" included, and the path to stage under; NULL without memory. */
static void set_temp(struct write_file *file)
{
    const char *slash = strrchr(file->path, '/'), *name = slash ? slash + 1 : file->path;
    int folder_len = (int)(name - file->path);

    if (!slash)
        file->folder = strdup(".");
    else
        file->folder = strndup(file->path, slash == file->path ? 1 : (size_t)folder_len - 1);
    if (asprintf(&file->temp, "%.*s.%s.sparkpod", folder_len, file->path, name) < 0)
        file->temp = NULL;
}

/* Unless one was asked for: 0600 without what the old file's owner may not do. */
static mode_t new_mode(const struct write_file *file)
{
    struct stat status;

    if (file->mode)
        return file->mode;
    if (lstat(file->path, &status) == 0 && S_ISREG(status.st_mode) && status.st_mode & 0400)
        return status.st_mode & 0600;
    return 0600;
}

static int write_temp(const struct write_file *file)
{
    FD_AUTO fd = -1;

    (void)unlink(file->temp); /* what a killed run left */
    fd = open(file->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, new_mode(file)) < 0 ||
        fd_write_all(fd, buf_str(&file->content), file->content.len) < 0)
        return -1;
    return fsync(fd);
}

/* Such a file can neither be renamed over nor written in place. */
static bool is_mounted_read_only(const char *path)
{
    FD_AUTO fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 && errno == EROFS;
}

/* /dev/stdout would be replaced, being a link to a file when it is redirected. */
static bool is_stream(const char *path)
{
    return strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/", 6) == 0;
}

int write_stage(struct write_file *file, struct err *err)
{
    struct stat status;

    if (is_stream(file->target) || (stat(file->target, &status) == 0 && !S_ISREG(status.st_mode)))
        return err_set(err, EXIT_CONFIG, "%s is not a regular file (\"-\" is standard output)",
                       file->target);
    if (set_path(file, err) < 0)
        return -1;
    set_temp(file);
    if (!file->folder || !file->temp)
        return err_no_memory(err);
    if (write_temp(file) < 0)
        return write_explain(err, file->folder);
    if (is_mounted_read_only(file->path))
        return write_explain(err, file->path);
    return 0;
}

/* Its space is reserved first: on a full disk the old content stays. */
static int reserve(int fd, size_t len)
{
    return len && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) < 0 && errno != EOPNOTSUPP ? -1
                                                                                               : 0;
}

static int write_in_place(const struct write_file *file)
{
    FD_AUTO fd = open(file->path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || reserve(fd, file->content.len) < 0 || fchmod(fd, new_mode(file)) < 0 ||
        fd_write_all(fd, buf_str(&file->content), file->content.len) < 0 ||
        ftruncate(fd, (off_t)file->content.len) < 0)
        return -1;
    return fsync(fd);
}

/* Or the rename may be gone after a power cut. */
static int sync_folder(const char *path)
{
    FD_AUTO fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || (fsync(fd) < 0 && errno != EINVAL) ? -1 : 0;
}

int write_commit(struct write_file *file, struct buf *warnings, struct err *err)
{
    if (rename(file->temp, file->path) == 0) {
        free(file->temp);
        file->temp = NULL;
        return sync_folder(file->folder) < 0 ? write_explain(err, file->folder) : 0;
    }
    if (errno != EBUSY || write_in_place(file) < 0)
        return write_explain(err, file->path);
    (void)buf_printf(warnings,
                     "%s is a mount of its own and was written in place, not atomically: mount its "
                     "folder instead\n",
                     file->target);
    return 0;
}

void write_free(struct write_file *file)
{
    if (file->temp)
        (void)unlink(file->temp);
    free(file->temp);
    free(file->folder);
    free(file->path);
    buf_free(&file->content);
}
