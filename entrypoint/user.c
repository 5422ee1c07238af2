#include "entrypoint/user.h"

#include "common/buf.h"
#include "common/fd.h"
#include "common/log.h"

#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The library where Debian, Ubuntu, Fedora and Alpine put it; empty if it is nowhere. */
static void find_library(struct buf *path)
{
    static const char *const patterns[] = {"/usr/lib/libnss_wrapper.so*",
                                           "/usr/lib64/libnss_wrapper.so*",
                                           "/usr/lib/*/libnss_wrapper.so*"};
    glob_t found;

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]) && !path->len; i++) {
        if (glob(patterns[i], 0, NULL, &found) == 0) {
            (void)buf_add_str(path, found.gl_pathv[0]);
            globfree(&found);
        }
    }
}

/* Write text to a new file under /tmp, whose path goes to path (of the template's form). */
static int write_file(char *path, const struct buf *text)
{
    FD_AUTO fd = mkstemp(path);

    return fd < 0 ? -1 : fd_write_all(fd, buf_str(text), text->len);
}

void user_add_entry(struct command *command, const char *name)
{
    char passwd[] = "/tmp/sparkpod-passwd-XXXXXX", group[] = "/tmp/sparkpod-group-XXXXXX";
    BUF_AUTO entry = BUF_INIT(4096);
    BUF_AUTO groups = BUF_INIT(4096);
    BUF_AUTO preload = BUF_INIT(8192);
    const char *home = service_getenv(command->environment, "HOME");
    const char *before = service_getenv(command->environment, "LD_PRELOAD");

    if (getpwuid(getuid()))
        return;
    find_library(&preload);
    (void)buf_printf(&entry, "%s:x:%u:%u:uid without an entry:%s:/bin/false\n", name, getuid(),
                     getgid(), home ?: "/tmp");
    (void)buf_printf(&groups, "%s:x:%u:\n", name, getgid());
    if (!preload.len || write_file(passwd, &entry) < 0 || write_file(group, &groups) < 0) {
        log_warn("service",
                 "uid %u has no entry in /etc/passwd, without which Hadoop's login fails, and %s: "
                 "run as the image's user, or add libnss_wrapper to the image",
                 getuid(), preload.len ? "/tmp cannot be written" : "libnss_wrapper is not there");
        return;
    }
    if (before)
        (void)buf_printf(&preload, ":%s", before);
    command_set(command, "LD_PRELOAD", buf_str(&preload));
    command_set(command, "NSS_WRAPPER_PASSWD", passwd);
    command_set(command, "NSS_WRAPPER_GROUP", group);
    log_info("service", "uid %u has no entry in /etc/passwd: called %s by libnss_wrapper", getuid(),
             name);
}
