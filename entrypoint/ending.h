/* Why a service ended that nobody had asked to: its status in words. */
#ifndef SPARKPOD_ENTRYPOINT_ENDING_H
#define SPARKPOD_ENTRYPOINT_ENDING_H

#include <stdint.h>

/* What a wait status (waitpid(2)) means for the role ("thrift-server", "metastore", "run"), with
 * ": " in front; "" where the number says it all. A shell in between makes 128+N of a signal N,
 * which is read as that signal. oom_kills: how many processes of this container the kernel's OOM
 * killer ended while the service ran; negative: unknown. Static; allocates nothing.
 * Sources: Spark's SparkExitCode, SparkSubmit and HiveThriftServer2; HotSpot. */
const char *ending_in_words(const char *role, int wait_status, int64_t oom_kills);

#endif
