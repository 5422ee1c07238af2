#include "entrypoint/ending.h"

#include "common/err.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#define CRASH ": the JVM crashed, its hs_err_pid*.log says where"

static const struct {
    const char *role; /* NULL: any */
    int code;
    const char *words;
} table[] = {
    {"run", 0, ""},
    {NULL, 0, ": a server that nobody asked to end"},
    {"thrift-server", 3,
     ": the heap is full (java.lang.OutOfMemoryError): raise spark.driver.memory and the "
     "container's limit, or set spark.driver.maxResultSize"},
    {"thrift-server", 11,
     ": too many executors failed (spark.executor.maxNumFailures): their pods' logs say why"},
    {"thrift-server", 101, ": a class was not found: is its jar in the image?"},
    {"thrift-server", 255,
     ": the Thrift Server gave up or its SparkContext was stopped: the last ERROR above says why"},
    {"run", EXIT_SIGNAL_BASE + SIGABRT, ""},
    {"run", EXIT_SIGNAL_BASE + SIGSEGV, ""},
    {NULL, EXIT_SIGNAL_BASE + SIGABRT, CRASH},
    {NULL, EXIT_SIGNAL_BASE + SIGBUS, CRASH},
    {NULL, EXIT_SIGNAL_BASE + SIGSEGV, CRASH},
    {NULL, EXIT_SIGNAL_BASE + SIGKILL, ": not by the kernel's OOM killer"},
    {NULL, EXIT_SIGNAL_BASE + SIGTERM, ": the signal did not come from sparkpod"},
};

const char *ending_in_words(const char *role, int wait_status, int64_t oom_kills)
{
    int code = WIFSIGNALED(wait_status) ? EXIT_SIGNAL_BASE + WTERMSIG(wait_status)
                                        : WEXITSTATUS(wait_status);

    if (code == EXIT_SIGNAL_BASE + SIGKILL && oom_kills < 0)
        return ": often the kernel's OOM killer, which this kernel does not tell";
    if (code == EXIT_SIGNAL_BASE + SIGKILL && oom_kills > 0)
        return ": the kernel's OOM killer: heap and what a JVM needs beside it exceed the "
               "container's memory limit";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == code && (!table[i].role || strcmp(table[i].role, role) == 0))
            return table[i].words;
    return "";
}
