/* The roles: what each service waits for, how it is prepared, started, probed, drained and stopped.
 * One table of functions; the rest of the program knows no role by name.
 *
 * All functions here run in a helper or in the service child after its fork, never in PID 1, but
 * for service_find_role() and service_conf_folder(). */
#ifndef SPARKPOD_ENTRYPOINT_SERVICE_H
#define SPARKPOD_ENTRYPOINT_SERVICE_H

#include "common/err.h"
#include "entrypoint/config.h"
#include "probes/monitor.h"
#include "probes/snapshot.h"
#include "probes/target.h"

#include <stdbool.h>
#include <stddef.h>

/* One start of one role. Everything is borrowed and outlives it. */
struct service {
    const struct role *role;
    const struct config *config;
    const char *conf_folder;  /* where the rendered files are; "" for `run` */
    char *const *environment; /* as at entry */
    char *const *args;        /* behind "--", NULL at the end */
    char *const *waits;       /* `run`: the URLs of --wait, NULL at the end */
    char *const *probe;       /* `run`: the URL of --probe, if any, and NULL */
};

/* What is to be executed. Lists (NULL at the end) and strings are owned. After a failure the
 * command is "bad", like a struct buf: a run of appends needs one check at its end. */
struct command {
    char **argv;        /* argv[0] is the path or the name to look up in PATH */
    char **environment; /* without secrets and broken service-link values */
    bool failed;        /* memory ran out */
};

#define SERVICE_MAX_TARGETS 16

struct role {
    const char *name;  /* "thrift-server", "metastore", "run" */
    const char *user;  /* what a uid without an entry in /etc/passwd is called; NULL for `run` */
    bool is_server;    /* ending unasked with 0 is a failure */
    bool has_terminal; /* the command gets the terminal: `run` */
    bool is_rendered;  /* the templates are rendered first */
    bool is_published; /* in Kubernetes the service publishes what is rendered: Spark does */

    /* The targets that must be ready before the start; *ret is an array that the caller frees with
     * service_free_targets(), after a failure too. The same function for every role. */
    int (*find_targets)(const struct service *service, struct target **ret, size_t *ret_count,
                        struct err *err);
    /* Its part of that: fill ret (SERVICE_MAX_TARGETS, all zero). How many, or -1. */
    int (*fill_targets)(const struct service *service, struct target *ret, struct err *err);
    /* What must be done between wait and start; NULL: nothing. */
    int (*prepare)(const struct service *service, struct err *err);
    /* What to execute. */
    int (*make_command)(const struct service *service, struct command *ret, struct err *err);
    /* What to ask the running service; *ret is all zero before and freed after a failure, too. */
    int (*make_plan)(const struct service *service, struct monitor_plan *ret, struct err *err);
    /* The words by which the argv of the java process that is to get SIGTERM is known: it has the
     * first, and has not the second. NULL: the direct child is the stop target. */
    const char *stop_target_word;
    const char *stop_target_not;
    /* Return when nothing runs on the service any more, keeping snapshot_set_running() up to date;
     * NULL: no drain. */
    int (*drain)(const struct service *service, struct snapshot *snapshot, struct err *err);
    /* Delete what an earlier run, one that is over, left outside the pod's container; within
     * health.timeout; logs what it did. NULL: nothing is left. */
    void (*clean)(const struct service *service);
};

/* The role of that name, or NULL. */
const struct role *service_find_role(const char *name);

/* The folder the role's configuration is rendered to: render.target, else $SPARK_CONF_DIR or
 * $SPARK_HOME/conf, $HIVE_CONF_DIR or $HIVE_HOME/conf or $METASTORE_HOME/conf. Borrowed from
 * config or written to buffer; "" for a role without templates; NULL when none of them is set. */
const char *service_conf_folder(const struct role *role, const struct config *config,
                                char *const *environment, char *buffer, size_t size);

void service_free_targets(struct target *targets, size_t count);

/* The version in the name of the first jar in the folder home (may be NULL) that pattern matches:
 * "3.5.6" of "jars/spark-core_2.12-3.5.6.jar"; "" if there is none. */
void service_jar_version(const char *home, const char *pattern, char *ret, size_t size);

/* The value of name in an environment, or NULL; a Kubernetes service link (tcp://…) counts as
 * absent. */
const char *service_getenv(char *const *environment, const char *name);

/* Whether the variable is a secret that the service's environment does not get: it matches
 * render.secret_names, not render.pass_secrets, and is no path (NAME_FILE). */
bool service_is_withheld(const struct config *config, const char *name);

/* Give command the environment of a role's service: as at entry, without SPARKPOD_*, withheld
 * secrets, broken service links and what would take the service elsewhere. */
void service_clean_environment(const struct service *service, struct command *command);

/* Let target, where it speaks TLS, trust what wait.ca_file and wait.insecure say. 0, or -1. */
int service_set_trust(const struct config *config, struct target *target, struct err *err);

/* Let target, the role's own service, be trusted as health.ca_file and health.server_name say. 0,
 * or -1 with err. */
int service_set_own_trust(const struct config *config, struct target *target, struct err *err);

/* Let target, a Thrift Server, be asked as health.user. 0, or -1 with EXIT_CONFIG if that one's
 * password is in no file. */
int service_set_user(const struct config *config, char *const *environment, struct target *target,
                     struct err *err);

/* Read the URLs that a command line names (NULL at the end) into ret (as many, at most
 * SERVICE_MAX_TARGETS, all zero). PostgreSQL's get the password that PGPASSWORD, PGPASSWORD_FILE or
 * a secrets folder holds, a Thrift Server's with a user that of HIVE2_PASSWORD likewise; it is
 * masked from now on. How many, or -1 with EXIT_USAGE for a URL
 * that is none; the caller frees what is in ret in both cases. */
int service_parse_urls(char *const *urls, const struct config *config, char *const *environment,
                       struct target *ret, struct err *err);

/* Append one argument; copied. */
void command_add(struct command *command, const char *arg);
void command_add_all(struct command *command, char *const *args);

/* Set name in the command's environment, replacing what is there. */
void command_set(struct command *command, const char *name, const char *value);

/* 0, or -1 with err, and then the command is empty, if anything failed. */
int command_check(struct command *command, struct err *err);

void command_free(struct command *command);

#endif
