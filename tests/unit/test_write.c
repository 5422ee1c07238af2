/* Files are replaced all or none, with tight modes, and nothing is left behind. */
#include "confgen/write.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[] = "/tmp/test-write-XXXXXX";

/* Each test has a folder of its own to itself. */
static void enter_folder(void)
{
    cr_assert(mkdtemp(home) && chdir(home) == 0 && mkdir("conf", 0700) == 0);
    umask(022);
}

static void leave_folder(void)
{
    char command[64];

    (void)umount("conf/a");
    (void)umount("conf");
    (void)snprintf(command, sizeof(command), "rm -rf %s", home);
    (void)!system(command);
}

TestSuite(write, .init = enter_folder, .fini = leave_folder);

static void put_file(const char *name, const char *content, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert(fd >= 0 && fchmod(fd, mode) == 0);
    cr_assert(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    close(fd);
}

static void expect_file(const char *name, const char *content, mode_t mode)
{
    char text[64] = "";
    struct stat status;
    int fd = open(name, O_RDONLY | O_NOFOLLOW);

    cr_assert(fd >= 0, "%s is not there", name);
    cr_assert(read(fd, text, sizeof(text) - 1) >= 0 && fstat(fd, &status) == 0);
    close(fd);
    cr_expect_str_eq(text, content);
    cr_expect_eq(status.st_mode & 07777, mode, "%s has mode %o", name, status.st_mode & 07777);
}

/* The number of names in conf, dot files included. */
static int count_names(void)
{
    DIR *folder = opendir("conf");
    int count = -2;

    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* What one run writes. */
struct set {
    struct write_file files[4];
    size_t count;
};

static int stage(struct set *set, const char *target, const char *content, struct err *err)
{
    struct write_file *file = &set->files[set->count++];

    *file = (struct write_file){.target = target, .content = BUF_INIT(1 << 20)};
    cr_assert(buf_add_str(&file->content, content) == 0);
    return write_stage(file, err);
}

static int commit(struct set *set, struct buf *warnings, struct err *err)
{
    for (size_t i = 0; i < set->count; i++)
        if (write_commit(&set->files[i], warnings, err) < 0)
            return -1;
    return 0;
}

static void discard(struct set *set)
{
    for (size_t i = 0; i < set->count; i++)
        write_free(&set->files[i]);
    set->count = 0;
}

/* A mount namespace for this test's process. */
static void unshare_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        cr_assert_fail("no mount namespace: a container has to be privileged");
    cr_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

Test(write, replaces_all_files_and_leaves_nothing_else)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    put_file("conf/a", "old", 0644);
    cr_assert(stage(&set, "conf/a", "new a", &err) == 0);
    cr_assert(stage(&set, "conf/b", "new b", &err) == 0);
    cr_assert(stage(&set, "conf/../c", "new c", &err) == 0);
    expect_file("conf/a", "old", 0644);
    expect_file("conf/.a.sparkpod", "new a", 0600);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("conf/a", "new a", 0600);
    expect_file("conf/b", "new b", 0600);
    expect_file("c", "new c", 0600);
    cr_expect_eq(count_names(), 2);
    cr_expect_eq(warnings.len, 0);
}

Test(write, sets_the_mode_that_is_asked_for)
{
    struct write_file file = {.target = "conf/a", .mode = 0755, .content = BUF_INIT(16)};
    BUF_AUTO warnings = BUF_INIT(4096);
    struct err err;

    put_file("conf/a", "old", 0400);
    umask(077);
    cr_assert(buf_add_str(&file.content, "new") == 0);
    cr_assert(write_stage(&file, &err) == 0 && write_commit(&file, &warnings, &err) == 0);
    write_free(&file);
    expect_file("conf/a", "new", 0755);
}

Test(write, keeps_a_stricter_mode)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    put_file("conf/a", "old", 0440);
    cr_assert(stage(&set, "conf/a", "new", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("conf/a", "new", 0400);
}

Test(write, works_in_the_current_folder_and_with_empty_files)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    cr_assert(stage(&set, "a", "", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("a", "", 0600);
}

Test(write, replaces_what_a_killed_run_left)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    put_file("conf/.a.sparkpod", "half of it, and longer", 0644);
    cr_assert(stage(&set, "conf/a", "new", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("conf/a", "new", 0600);
    cr_expect_eq(count_names(), 1);
}

Test(write, does_not_follow_a_staged_name_that_is_a_link)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    put_file("victim", "safe", 0600);
    cr_assert(symlink("../victim", "conf/.a.sparkpod") == 0);
    cr_assert(stage(&set, "conf/a", "new", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("victim", "safe", 0600);
    expect_file("conf/a", "new", 0600);
}

Test(write, goes_through_links_to_the_file_that_they_lead_to)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct stat status;
    struct err err;

    put_file("real", "old", 0644);
    cr_assert(symlink("../real", "conf/a") == 0 && symlink("a", "conf/b") == 0 &&
              symlink("gone", "conf/c") == 0);
    cr_assert(stage(&set, "conf/b", "new", &err) == 0);
    cr_assert(stage(&set, "conf/c", "new", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0);
    discard(&set);
    expect_file("real", "new", 0600);
    expect_file("conf/gone", "new", 0600);
    cr_expect(lstat("conf/b", &status) == 0 && S_ISLNK(status.st_mode));
    cr_expect(lstat("conf/c", &status) == 0 && S_ISLNK(status.st_mode));
    cr_expect_eq(access(".real.sparkpod", F_OK), -1);
}

Test(write, refuses_links_that_lead_in_a_circle)
{
    struct set set = {0};
    struct err err;

    cr_assert(symlink("b", "conf/a") == 0 && symlink("a", "conf/b") == 0);
    cr_assert(stage(&set, "conf/a", "new", &err) == -1);
    cr_expect_str_eq(err.message, "cannot write in conf/a: Too many levels of symbolic links");
    discard(&set);
}

Test(write, leaves_no_trace_of_a_set_that_was_not_committed)
{
    struct set set = {0};
    struct err err;

    put_file("conf/a", "old", 0644);
    cr_assert(mkdir("conf/folder", 0700) == 0);
    cr_assert(stage(&set, "conf/a", "new", &err) == 0);
    cr_assert(stage(&set, "conf/folder", "new", &err) == -1);
    cr_expect_str_eq(err.message, "conf/folder is not a regular file (\"-\" is standard output)");
    discard(&set);
    expect_file("conf/a", "old", 0644);
    cr_expect_eq(count_names(), 2);
}

Test(write, says_what_to_do_about_the_folder)
{
    struct set set = {0};
    struct err err;

    cr_expect(stage(&set, "nowhere/a", "new", &err) == -1);
    cr_expect_str_eq(
        err.message,
        "cannot write in nowhere: No such file or directory (mount an emptyDir there)");
    put_file("file", "", 0600);
    cr_expect(stage(&set, "file/a", "new", &err) == -1);
    cr_expect_eq(err.status, EXIT_CONFIG);
    discard(&set);

    cr_assert(chmod("conf", 0555) == 0);
    if (geteuid() == 0)
        cr_assert(chmod(home, 0755) == 0 && setresuid(65534, 65534, 0) == 0);
    cr_expect(stage(&set, "conf/a", "new", &err) == -1);
    cr_expect_eq(err.status, EXIT_REFUSED);
    cr_expect_str_eq(err.message, "cannot write in conf: Permission denied (mount an emptyDir "
                                  "there, or set fsGroup to a group of this user)");
    discard(&set);
    (void)!setresuid(0, 0, 0);
}

Test(write, says_that_a_folder_is_read_only_or_full)
{
    char content[65536];
    struct set set = {0};
    struct err err;

    unshare_mounts();
    cr_assert(mount("none", "conf", "tmpfs", 0, "size=16k") == 0);
    memset(content, 'x', sizeof(content) - 1);
    content[sizeof(content) - 1] = '\0';
    cr_expect(stage(&set, "conf/a", content, &err) == -1);
    cr_expect_str_eq(err.message, "cannot write in conf: No space left on device (give it more "
                                  "space, or mount an emptyDir there)");
    discard(&set);
    cr_expect_eq(count_names(), 0);

    cr_assert(mount("none", "conf", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    cr_expect(stage(&set, "conf/a", "new", &err) == -1);
    cr_expect_str_eq(err.message, "cannot write in conf: Read-only file system (a ConfigMap and a "
                                  "Secret are read-only: mount an emptyDir there)");
    cr_expect_eq(err.status, EXIT_REFUSED);
    discard(&set);
}

Test(write, writes_a_mounted_file_in_place_and_says_so)
{
    BUF_AUTO warnings = BUF_INIT(4096);
    struct set set = {0};
    struct err err;

    unshare_mounts();
    put_file("real", "old and longer", 0644);
    put_file("conf/a", "", 0644);
    put_file("conf/b", "old", 0644);
    cr_assert(mount("real", "conf/a", NULL, MS_BIND, NULL) == 0);
    cr_assert(stage(&set, "conf/a", "new", &err) == 0);
    cr_assert(stage(&set, "conf/b", "new", &err) == 0);
    cr_assert(commit(&set, &warnings, &err) == 0, "%s", err.message);
    discard(&set);
    expect_file("real", "new", 0600);
    expect_file("conf/b", "new", 0600);
    cr_expect_str_eq(buf_str(&warnings), "conf/a is a mount of its own and was written in place, "
                                         "not atomically: mount its folder instead\n");
    cr_expect_eq(count_names(), 2);
}

Test(write, leaves_all_as_it_was_if_a_mounted_file_is_read_only)
{
    struct set set = {0};
    struct err err;

    unshare_mounts();
    put_file("conf/a", "old", 0644);
    put_file("conf/b", "old", 0644);
    cr_assert(mount("conf/a", "conf/a", NULL, MS_BIND, NULL) == 0);
    cr_assert(mount("none", "conf/a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
    cr_assert(stage(&set, "conf/b", "new", &err) == 0);
    cr_expect(stage(&set, "conf/a", "new", &err) == -1);
    cr_expect_str_eq(err.message, "cannot write in conf/a: Read-only file system (a ConfigMap and "
                                  "a Secret are read-only: mount an emptyDir there)");
    discard(&set);
    expect_file("conf/a", "old", 0644);
    expect_file("conf/b", "old", 0644);
    cr_expect_eq(count_names(), 2);
}
