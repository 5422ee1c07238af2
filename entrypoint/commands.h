/* The subcommands: each takes its own arguments (argv[0] is its name) and returns the exit status.
 * What needs no PID 1 is in tools.c, what starts one in pod.c. */
#ifndef SPARKPOD_ENTRYPOINT_COMMANDS_H
#define SPARKPOD_ENTRYPOINT_COMMANDS_H

#include "common/err.h"
#include "entrypoint/config.h"
#include "probes/target.h"

/* What main() found: how the process was started. */
struct invocation {
    int argc;
    char **argv;
    char **environment;
    const struct entry_state *entry;
};

int command_pod(const struct invocation *invocation); /* thrift-server, metastore, run */
int command_render(const struct invocation *invocation);
int command_wait(const struct invocation *invocation);
int command_probe(const struct invocation *invocation);
int command_config(const struct invocation *invocation);
int command_version(const struct invocation *invocation);

/* Log the error and return its status. */
int command_fail(const char *module, const struct err *err);

/* Read the settings, log their warnings, and set log format and level from them. 0 or the exit
 * status; the caller frees config in both cases. */
int command_load_config(struct config *config, const char *file, char *const *environment);

/* Give the PostgreSQL targets the password that PGPASSWORD, PGPASSWORD_FILE or a secrets folder
 * holds, if any, and mask it from now on. 0 or -1. */
int command_add_passwords(struct target *targets, size_t count, const struct config *config,
                          char *const *environment, struct err *err);

/* A usage error: log it, point to help. Returns EXIT_USAGE. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
