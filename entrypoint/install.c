/* `sparkpod install`: an init container, or an image volume, brings the binary into a stock image.
 */
#include "common/fd.h"
#include "common/log.h"
#include "confgen/write.h"
#include "entrypoint/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0755
#define MAX_BYTES ((size_t)64 << 20) /* with sanitizers it has some 20 MB */

static bool is_installed(const struct write_file *file)
{
    BUF_AUTO old = BUF_INIT(MAX_BYTES);
    struct stat status;

    return stat(file->target, &status) == 0 && (status.st_mode & 07777) == MODE &&
           fd_read_file(file->target, &old) == 0 && old.len == file->content.len &&
           memcmp(old.data, file->content.data, old.len) == 0;
}

/* 1 if it was there already, 0 if it is now, -1 with err. */
static int install(const char *folder, struct write_file *file, struct err *err)
{
    BUF_AUTO warnings = BUF_INIT(ERR_MESSAGE_BYTES);
    FD_AUTO lock = -1;

    if (fd_read_file("/proc/self/exe", &file->content) < 0)
        return err_set_errno(err, EXIT_INTERNAL, "cannot read /proc/self/exe");
    if (mkdir(folder, MODE) < 0 && errno != EEXIST)
        return write_explain(err, folder);
    lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return write_explain(err, folder);
    (void)flock(lock, LOCK_EX); /* the folder may be a node's, and many pods' */
    if (is_installed(file))
        return 1;
    return write_stage(file, err) < 0 ? -1 : write_commit(file, &warnings, err);
}

int command_install(const struct invocation *invocation)
{
    struct write_file file = {.mode = MODE, .content = BUF_INIT(MAX_BYTES)};
    char *target = NULL;
    struct err err = {0};
    int result;

    if (invocation->argc != 2 || !*invocation->argv[1])
        return command_usage("install", "a folder is needed, and nothing else");
    if (asprintf(&target, "%s/sparkpod", invocation->argv[1]) < 0)
        return EXIT_INTERNAL;
    file.target = target;
    result = install(invocation->argv[1], &file, &err);
    if (result >= 0)
        log_info("install", "%s %s", target, result ? "is there already" : "is in place");
    write_free(&file);
    free(target);
    return result < 0 ? command_fail("install", &err) : EXIT_DONE;
}
