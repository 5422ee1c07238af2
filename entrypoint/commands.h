/* The subcommands: each takes its own arguments (argv[0] is its name) and returns the exit status.
 * What needs no PID 1 is in tools.c, preflight.c and install.c, what starts one in pod.c. */
#ifndef SPARKPOD_ENTRYPOINT_COMMANDS_H
#define SPARKPOD_ENTRYPOINT_COMMANDS_H

#include "common/err.h"
#include "entrypoint/config.h"

#include <stdbool.h>
#include <stddef.h>

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
int command_preflight(const struct invocation *invocation);
int command_config(const struct invocation *invocation);
int command_install(const struct invocation *invocation);
int command_version(const struct invocation *invocation);

/* Log the error and return its status. */
int command_fail(const char *module, const struct err *err);

/* A usage error: log it, point to help. Returns EXIT_USAGE. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one or the other, as err's status says. */
int command_refuse(const char *name, const struct err *err);

/* A flag with a value, "--NAME VALUE", or a switch, "--NAME". */
struct flag {
    const char *name;
    char **values; /* where its values go, borrowed from argv; a switch puts anything there */
    size_t most;   /* how often it may be given; 0: it is a switch */
};

/* Read the flags that flags lists (NULL name at the end); optind is at the first operand
 * afterwards. Operands end the flags if strict, else they may stand between them. 0 or
 * EXIT_USAGE. */
int command_flags(const struct invocation *invocation, const struct flag *flags, bool strict);

/* Read the settings, log their warnings, and set log format and level from them. 0 or the exit
 * status; the caller frees config in both cases. */
int command_load_config(struct config *config, const char *file, char *const *environment);

#endif
