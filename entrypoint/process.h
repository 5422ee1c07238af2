/* /proc and cgroup, read without allocating, since PID 1 does it: who descends from us, and which
 * of them is the JVM to stop. */
#ifndef SPARKPOD_ENTRYPOINT_PROCESS_H
#define SPARKPOD_ENTRYPOINT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* More descendants than this are looked at in several rounds. */
#define PROCESS_MAX 4096

/* Fill ret (PROCESS_MAX long) with the living descendants of this process, those excepted that are
 * in skip, are in the process group of one in skip, or descend from such (0 entries are passed
 * over). Zombies do not count. Returns how many. */
size_t process_descendants(const pid_t *skip, size_t skip_count, pid_t *ret);

/* Fill ret (PROCESS_MAX long) with the children of this process, zombies too; a kernel may tell
 * none. Returns how many. Much quicker than process_descendants(). */
size_t process_children(pid_t *ret);

/* Whether the executable of pid is a file named java. */
bool process_is_java(pid_t pid);

/* Whether word stands anywhere in the argument list of pid. */
bool process_argv_has(pid_t pid, const char *word);

#endif
