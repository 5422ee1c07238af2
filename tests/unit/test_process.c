#include "entrypoint/process.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t list[PROCESS_MAX];

static bool has(size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == pid)
            return true;
    }
    return false;
}

/* A child with a child of its own, both asleep; the grandchild's pid is read from the pipe. */
static pid_t fork_two(pid_t *ret_grandchild)
{
    int ends[2];
    pid_t child;

    cr_assert(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        pid_t grandchild = fork();

        if (grandchild == 0) {
            for (;;)
                pause();
        }
        (void)!write(ends[1], &grandchild, sizeof(grandchild));
        for (;;)
            pause();
    }
    cr_assert(read(ends[0], ret_grandchild, sizeof(*ret_grandchild)) == sizeof(*ret_grandchild));
    close(ends[0]);
    close(ends[1]);
    return child;
}

Test(process, descendants_of_every_generation_are_listed_and_skipped_trees_are_not)
{
    pid_t first_grandchild, second_grandchild, first, second;
    size_t count;

    first = fork_two(&first_grandchild);
    second = fork_two(&second_grandchild);
    count = process_descendants(NULL, 0, list);
    cr_expect(has(count, first) && has(count, first_grandchild));
    cr_expect(has(count, second) && has(count, second_grandchild));
    cr_expect(!has(count, getpid()) && !has(count, getppid()) && !has(count, 1));
    count = process_descendants((const pid_t[]){0, second}, 2, list);
    cr_expect(has(count, first) && has(count, first_grandchild));
    cr_expect(!has(count, second) && !has(count, second_grandchild));
    kill(first_grandchild, SIGKILL);
    kill(second_grandchild, SIGKILL);
    kill(first, SIGKILL);
    kill(second, SIGKILL);
    while (wait(NULL) > 0) {
    }
}

/* A helper that was killed leaves its own helper to us, for the moment that it takes to die. */
Test(process, what_is_in_the_group_of_a_skipped_process_is_skipped)
{
    pid_t grandchild, child = fork_two(&grandchild);
    size_t count;

    cr_assert_eq(setpgid(child, child), 0);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_expect(has(process_descendants(NULL, 0, list), grandchild));
    cr_expect(has(process_descendants((const pid_t[]){0, child}, 2, list), grandchild));
    cr_assert_eq(setpgid(grandchild, grandchild), 0);
    count = process_descendants((const pid_t[]){0, grandchild}, 2, list);
    cr_expect(!has(count, grandchild));
    kill(grandchild, SIGKILL);
    while (wait(NULL) > 0) {
    }
}

Test(process, a_zombie_is_not_listed)
{
    pid_t child = fork();
    siginfo_t info;

    if (child == 0)
        _exit(0);
    cr_assert(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    cr_expect(!has(process_descendants(NULL, 0, list), child));
    waitpid(child, NULL, 0);
    cr_expect(!has(process_descendants(NULL, 0, list), child));
}

Test(process, children_are_listed_zombies_too_grandchildren_are_not)
{
    pid_t grandchild, child = fork_two(&grandchild), zombie = fork();
    siginfo_t info;
    size_t count;

    if (zombie == 0)
        _exit(0);
    cr_assert(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT) == 0);
    count = process_children(list);
    if (access("/proc/thread-self/children", R_OK) == 0)
        cr_expect(count == 2 && has(count, child) && has(count, zombie));
    else
        cr_expect(count == 0);
    kill(grandchild, SIGKILL);
    kill(child, SIGKILL);
    while (wait(NULL) > 0) {
    }
}

Test(process, a_word_is_found_however_far_back_it_stands_in_the_arguments)
{
    char long_argument[30000], *argv[] = {(char *)"sleep-like",
                                          (char *)"-c",
                                          (char *)"read line",
                                          long_argument,
                                          (char *)"org.apache.HiveThriftServer2",
                                          NULL};
    int ends[2];
    pid_t child;

    for (size_t i = 0; i < sizeof(long_argument) - 1; i++)
        long_argument[i] = 'x';
    long_argument[sizeof(long_argument) - 1] = '\0';
    cr_assert(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        (void)dup2(ends[0], STDIN_FILENO);
        execv("/bin/sh", argv);
        _exit(127);
    }
    for (int i = 0; i < 200 && !process_argv_has(child, "HiveThriftServer2"); i++)
        usleep(10000);
    cr_expect(process_argv_has(child, "org.apache.HiveThriftServer2"));
    cr_expect(process_argv_has(child, "sleep-like"));
    cr_expect(!process_argv_has(child, "launcher.Main"));
    cr_expect(!process_is_java(child));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    cr_expect(!process_argv_has(child, "HiveThriftServer2"));
}

Test(process, java_is_known_by_the_name_of_its_executable)
{
    char folder[] = "/tmp/sparkpod-java-XXXXXX", path[64], command[128];
    pid_t child;

    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/java", folder);
    snprintf(command, sizeof(command), "cp /bin/sleep %s", path);
    cr_assert(system(command) == 0);
    child = fork();
    if (child == 0) {
        execl(path, "not-java", "60", NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && !process_is_java(child); i++)
        usleep(10000);
    cr_expect(process_is_java(child));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    unlink(path);
    rmdir(folder);
}
