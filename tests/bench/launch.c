/* Runs a program ($3…) from one file ($1) into another ($2) and prints its wall-clock nanoseconds
 * and its peak resident kilobytes. It is that small because a child's peak begins at what its
 * parent held when it was started, which is 10 MB and more for Python. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
    int in, out, status;
    struct rusage usage;
    long long started;
    pid_t pid;

    if (argc < 4)
        return 64;
    in = open(argv[1], O_RDONLY | O_CLOEXEC);
    out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return 66;
    started = nanoseconds();
    pid = vfork();
    if (pid == 0) {
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        execv(argv[3], argv + 3);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
        return 70;
    printf("%lld %ld\n", nanoseconds() - started, usage.ru_maxrss);
    return 0;
}
