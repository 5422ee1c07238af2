/* What share of a container's memory a JVM's heap gets. */
#ifndef SPARKPOD_ENTRYPOINT_MEMORY_H
#define SPARKPOD_ENTRYPOINT_MEMORY_H

#include <stdint.h>

/* The heap in MiB for a Spark driver under limit: all but a quarter (at least 512 MiB, at most
 * 4 GiB) for metaspace, code, stacks, direct buffers and us; half of a limit under 1 GiB. */
int64_t memory_driver_heap_mib(int64_t limit);

/* A JVM heap as Spark's settings write it ("4g", "512m"; a bare number is MiB) in MiB; 0 if it is
 * none. */
int64_t memory_parse_mib(const char *text);

/* What a JVM of that heap needs in all, by Spark's own rule: a tenth more, 384 MiB at least. */
int64_t memory_with_overhead_mib(int64_t heap_mib);

/* The heap in MiB for a metastore under limit: 70 %, or 1024 without a limit. */
int64_t memory_metastore_heap_mib(int64_t limit);

#endif
