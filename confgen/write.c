#include "confgen/write.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

struct folder {
    struct folder *next;
    char *path;
    int fd; /* holds a lock */
    dev_t device;
    ino_t inode;
};

enum state {
    STAGED,
    SWAPPED,  /* in place; the staged name holds the old file */
    CREATED,  /* in place; there was no old file */
    IN_PLACE, /* to be written over; fd is open for it */
    DONE,
};

struct staged {
    struct staged *next;
    struct folder *folder;
    char *target;
    const char *name; /* in target */
    char *temp;       /* the name it is staged under */
    const char *data;
    size_t len;
    enum state state;
    int fd;
};

struct write_set {
    struct folder *folders;
    struct staged *files;
};

struct write_set *write_set_new(void)
{
    return calloc(1, sizeof(struct write_set));
}

static void folder_free(struct folder *folder)
{
    fd_close(&folder->fd);
    free(folder->path);
    free(folder);
}

static void staged_free(struct staged *file)
{
    if (file->folder && file->temp && file->state != DONE)
        (void)unlinkat(file->folder->fd, file->temp, 0);
    fd_close(&file->fd);
    free(file->temp);
    free(file->target);
    free(file);
}

void write_set_free(struct write_set *set)
{
    struct staged *file;
    struct folder *folder;

    if (!set)
        return;
    while ((file = set->files) != NULL) {
        set->files = file->next;
        staged_free(file);
    }
    while ((folder = set->folders) != NULL) {
        set->folders = folder->next;
        folder_free(folder);
    }
    free(set);
}

/* Explain errno for a folder that a file could not be written to. */
static int folder_err(struct err *err, const char *folder)
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
    size_t row = 0;

    while (row < sizeof(table) / sizeof(table[0]) && table[row].number != errno)
        row++;
    if (row == sizeof(table) / sizeof(table[0]))
        return err_set_errno(err, EXIT_INTERNAL, "cannot write in %s", folder);
    return err_set(err, table[row].status, "cannot write in %s: %s%s", folder, strerror(errno),
                   table[row].advice);
}

static int folder_open(struct folder *folder, const char *path, struct err *err)
{
    struct stat status;

    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    folder->path = strdup(path);
    if (folder->fd < 0 || !folder->path || fstat(folder->fd, &status) < 0)
        return folder_err(err, path);
    folder->device = status.st_dev;
    folder->inode = status.st_ino;
    return 0;
}

/* The set's folder of that path, opened if it is a new one; NULL with err. The lock keeps two runs
 * from using each other's staged files; where the file system has no locks, there is none. */
static struct folder *set_folder(struct write_set *set, const char *path, struct err *err)
{
    struct folder *folder = calloc(1, sizeof(*folder)), *known = set->folders;

    if (!folder) {
        (void)err_set(err, EXIT_INTERNAL, "out of memory");
        return NULL;
    }
    if (folder_open(folder, path, err) < 0) {
        folder_free(folder);
        return NULL;
    }
    while (known && (known->device != folder->device || known->inode != folder->inode))
        known = known->next;
    if (known) {
        folder_free(folder);
        return known;
    }
    if (flock(folder->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        (void)err_set(err, EXIT_UNAVAILABLE, "another sparkpod is writing to %s", path);
        folder_free(folder);
        return NULL;
    }
    folder->next = set->folders;
    set->folders = folder;
    return folder;
}

/* The mode of the new file; -1 if the target is there and no file. */
static int new_mode(const struct staged *file, mode_t *ret_mode, struct err *err)
{
    struct stat status;

    *ret_mode = 0600;
    if (fstatat(file->folder->fd, file->name, &status, 0) == 0 && !S_ISREG(status.st_mode))
        return err_set(err, EXIT_CONFIG, "%s is not a regular file", file->target);
    if (fstatat(file->folder->fd, file->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode) && status.st_mode & 0400)
        *ret_mode &= status.st_mode;
    return 0;
}

static int write_temp(struct staged *file, struct err *err)
{
    int folder = file->folder->fd;
    mode_t mode;
    FD_AUTO fd = -1;

    if (new_mode(file, &mode, err) < 0)
        return -1;
    (void)unlinkat(folder, file->temp, 0); /* what a killed run left */
    fd = openat(folder, file->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, mode) < 0 || fd_write_all(fd, file->data, file->len) < 0 ||
        fsync(fd) < 0)
        return folder_err(err, file->folder->path);
    return 0;
}

int write_stage(struct write_set *set, const char *target, const char *data, size_t len,
                struct err *err)
{
    struct staged *file = calloc(1, sizeof(*file));
    char *slash;

    if (!file || !(file->target = strdup(target))) {
        free(file);
        return err_set(err, EXIT_INTERNAL, "out of memory");
    }
    file->fd = -1;
    file->data = data;
    file->len = len;
    slash = strrchr(file->target, '/');
    file->name = slash ? slash + 1 : file->target;
    if (slash)
        *slash = '\0';
    file->folder = set_folder(set, !slash ? "." : slash == file->target ? "/" : file->target, err);
    if (slash)
        *slash = '/';
    if (!file->folder) {
        staged_free(file);
        return -1;
    }
    file->next = set->files;
    set->files = file;
    if (asprintf(&file->temp, ".%s.sparkpod", file->name) < 0) {
        file->temp = NULL;
        return err_set(err, EXIT_INTERNAL, "out of memory");
    }
    return write_temp(file, err);
}

/* renameat2() is younger than some C libraries. */
static int exchange(const struct staged *file)
{
    return (int)syscall(SYS_renameat2, file->folder->fd, file->temp, file->folder->fd, file->name,
                        RENAME_EXCHANGE);
}

/* Put one staged file in place, so that it can be undone if possible. */
static int put_in_place(struct staged *file)
{
    int folder = file->folder->fd;

    if (exchange(file) == 0) {
        file->state = SWAPPED;
        return 0;
    }
    if (errno != EBUSY) {
        enum state state = errno == ENOENT ? CREATED : DONE;

        if (renameat(folder, file->temp, folder, file->name) == 0) {
            file->state = state;
            return 0;
        }
    }
    if (errno != EBUSY)
        return -1;
    file->fd = openat(folder, file->name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file->fd < 0)
        return -1;
    file->state = IN_PLACE;
    return 0;
}

static int write_over(const struct staged *file)
{
    if (fd_write_all(file->fd, file->data, file->len) < 0 ||
        ftruncate(file->fd, (off_t)file->len) < 0)
        return -1;
    return fsync(file->fd);
}

/* Give the old files their names back; staged_free() removes the new ones. */
static void undo(struct write_set *set)
{
    for (struct staged *file = set->files; file; file = file->next) {
        if (file->state == SWAPPED && exchange(file) < 0)
            file->state = DONE;
        if (file->state == CREATED)
            (void)unlinkat(file->folder->fd, file->name, 0);
    }
}

static int commit_err(struct write_set *set, const struct staged *file, struct err *err)
{
    (void)folder_err(err, file->target);
    undo(set);
    return -1;
}

int write_commit(struct write_set *set, struct buf *warnings, struct err *err)
{
    for (struct staged *file = set->files; file; file = file->next)
        if (put_in_place(file) < 0)
            return commit_err(set, file, err);
    for (struct staged *file = set->files; file; file = file->next) {
        if (file->state != IN_PLACE)
            continue;
        if (write_over(file) < 0)
            return commit_err(set, file, err);
        (void)buf_printf(warnings,
                         "%s is a mount of its own and was written in place, not atomically: "
                         "mount its folder instead\n",
                         file->target);
    }
    for (struct staged *file = set->files; file; file = file->next) {
        if (file->state == SWAPPED || file->state == IN_PLACE)
            (void)unlinkat(file->folder->fd, file->temp, 0);
        file->state = DONE;
    }
    for (const struct folder *folder = set->folders; folder; folder = folder->next)
        (void)fsync(folder->fd);
    return 0;
}
