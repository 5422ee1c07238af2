/* What the kernel says about the memory of this container: cgroup v2, else v1. */
#ifndef SPARKPOD_COMMON_CGROUP_H
#define SPARKPOD_COMMON_CGROUP_H

#include <stdint.h>

#define CGROUP_FOLDER "/sys/fs/cgroup"

/* The container's limit in bytes: memory.max of cgroup v2, else memory/memory.limit_in_bytes of v1,
 * below folder. 0 if there is none. */
int64_t cgroup_memory_limit(const char *folder);

/* The bytes in use, the page cache included: memory.current, else memory/memory.usage_in_bytes. 0
 * if the kernel does not say. */
int64_t cgroup_memory_usage(const char *folder);

/* How many processes of this container the kernel's OOM killer has ended, by memory.events or
 * memory/memory.oom_control; -1 where neither counts. Allocates nothing. */
int64_t cgroup_oom_kills(const char *folder);

#endif
