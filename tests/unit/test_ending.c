/* What an end is called: each status that the stack is known to end with, and the others left
 * alone. */
#include "common/cgroup.h"
#include "entrypoint/ending.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* wait_status as waitpid() gives it */
#define EXITED(code) ((code) << 8)
#define SIGNALED(signo) (signo)

Test(ending, is_told_in_words)
{
    static const struct {
        const char *role;
        int wait_status;
        int64_t oom_kills;
        const char *words; /* some of them; NULL: none */
    } cases[] = {
        {"thrift-server", EXITED(3), 0, "OutOfMemoryError"},
        {"thrift-server", EXITED(11), 0, "spark.executor.maxNumFailures"},
        {"thrift-server", EXITED(101), 0, "class was not found"},
        {"thrift-server", EXITED(255), 0, "the last ERROR above"},
        {"thrift-server", EXITED(134), 0, "hs_err_pid"},
        {"metastore", SIGNALED(SIGABRT), 0, "hs_err_pid"},
        {"metastore", EXITED(11), 0, NULL},
        {"metastore", EXITED(0), 0, "nobody asked"},
        {"run", EXITED(0), 0, NULL},
        {"run", EXITED(134), 0, NULL},
        {"run", EXITED(255), 0, NULL},
        {"thrift-server", EXITED(1), 0, NULL},
        {"thrift-server", EXITED(143), 0, "did not come from sparkpod"},
        {"metastore", SIGNALED(SIGTERM), 0, "did not come from sparkpod"},
        {"thrift-server", EXITED(137), 0, "not by the kernel's OOM killer"},
        {"thrift-server", EXITED(137), 1, "exceed the container's memory limit"},
        {"run", SIGNALED(SIGKILL), 2, "exceed the container's memory limit"},
        {"run", SIGNALED(SIGKILL), -1, "often the kernel's OOM killer"},
        {"run", EXITED(1), 1, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *words =
            ending_in_words(cases[i].role, cases[i].wait_status, cases[i].oom_kills);

        if (cases[i].words)
            cr_expect(strstr(words, cases[i].words), "row %zu: %s", i, words);
        else
            cr_expect_str_eq(words, "", "row %zu", i);
    }
}

Test(ending, by_the_oom_killer_is_counted_by_the_cgroup)
{
    static const struct {
        const char *file, *content;
        int64_t kills;
    } cases[] = {
        {"memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2},
        {"memory.events", "oom_kill 7\n", 7},
        {"memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", 4},
        {"memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", -1},
    };
    char home[] = "/tmp/test-ending-XXXXXX", path[64];

    cr_assert(mkdtemp(home) != NULL);
    (void)snprintf(path, sizeof(path), "%s/memory", home);
    cr_assert(mkdir(path, 0700) == 0);
    cr_expect_eq(cgroup_oom_kills(home), -1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", home, cases[i].file);
        file = fopen(path, "w");
        cr_assert(file && fputs(cases[i].content, file) >= 0 && fclose(file) == 0);
        cr_expect_eq(cgroup_oom_kills(home), cases[i].kills, "row %zu", i);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "rm -rf %s", home);
    (void)!system(path);
}
