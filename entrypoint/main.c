/* The command line: one table of subcommands, from which the usage is generated. Everything that
 * is not a subcommand is executed, as the stock image would. */
#include "common/log.h"
#include "entrypoint/commands.h"
#include "entrypoint/java.h"
#include "entrypoint/step.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STOCK_ENTRYPOINT "/opt/entrypoint.sh"

static int command_help(const struct invocation *invocation);

static const struct subcommand {
    const char *name;
    const char *arguments;
    int (*run)(const struct invocation *invocation);
    const char *summary;
    const char *details; /* for `help NAME` */
} subcommands[] = {
    {"thrift-server", "[--config FILE] [-- ARG…]", command_pod,
     "run a Spark Thrift Server pod (PID 1)",
     "Renders the templates, waits for the metastore, starts start-thriftserver.sh in client "
     "mode,\n"
     "serves the probes, drains and stops it on SIGTERM. ARGs go to start-thriftserver.sh behind\n"
     "sparkpod's own.\n"},
    {"metastore", "[--config FILE] [-- ARG…]", command_pod, "run a Hive metastore pod (PID 1)",
     "Renders the templates, waits for PostgreSQL, creates the schema where there is none, starts\n"
     "the metastore, serves the probes, and stops it on SIGTERM.\n"},
    {"run", "[--config FILE] [--wait URL]… [--probe URL] -- COMMAND [ARG…]", command_pod,
     "the same PID 1 for any command",
     "Waits for every --wait URL, starts COMMAND, and answers the probes with what --probe URL\n"
     "says (without one: ready while it runs).\n"},
    {"render",
     "[--format auto|xml|properties|text] [--secrets DIR]… TEMPLATE OUTPUT | --check TEMPLATE",
     command_render, "fill a template; '-' is standard input or output",
     "${NAME}, ${NAME:-default} and ${NAME:?message} are filled from the environment, from the\n"
     "file that NAME_FILE names, or from a file NAME in a secrets folder, escaped as the format\n"
     "and the place demand. $${ writes ${. Every fault is listed, then nothing is written.\n"
     "The format goes by the name: .xml; .properties and .conf; anything else is text, without\n"
     "escaping. If TEMPLATE is a folder, its .xml, .properties and .conf files are filled into "
     "the\n"
     "folder OUTPUT and the others copied. --check writes nothing and lists each placeholder with\n"
     "the source of its value and how it is escaped.\n"},
    {"wait", "[--timeout 5m] URL…", command_wait, "wait until every URL answers in its protocol",
     "URLs: postgres://user@host:port/db  jdbc:postgresql://…  thrift://host:port[,host:port…]\n"
     "      hive2://host:port  jdbc:hive2://…  http(s)://…  tcp://host:port\n"
     "The password for PostgreSQL comes from PGPASSWORD, PGPASSWORD_FILE or a file PGPASSWORD in\n"
     "a folder of render.secrets. Timeout 0 waits for ever.\n"},
    {"probe",
     "live|ready|startup | [--deep] [--timeout 5s] [--ca-file FILE] [--server-name NAME]\n"
     "      [--insecure] URL",
     command_probe, "ask the running PID 1, or check one URL once",
     "live, ready, startup: exit 0 if the sparkpod on health.port says so, 1 and its reason if "
     "not,\n"
     "69 if there is none; for exec probes and HEALTHCHECK.\n"
     "URL: one check, as in `wait`. --deep asks for more than a login: of hive2:// the answer to\n"
     "SELECT 1 in a session of its own, of postgres:// the right to create tables. A password for\n"
     "hive2://USER@… comes from HIVE2_PASSWORD as PostgreSQL's does from PGPASSWORD. Where the "
     "URL\n"
     "speaks TLS, --ca-file names the certificates to trust (PEM; default: the system's),\n"
     "--server-name the one the certificate must hold, and --insecure trusts any.\n"},
    {"check", "[--config FILE] [--role thrift-server|metastore] [--format text|json]",
     command_preflight, "look for all that would go wrong, and start nothing",
     "Looks at settings, templates and the rendered configuration (known traps of Spark, Hive and\n"
     "Hadoop, each with why and what to write instead); in a pod at what the service account may\n"
     "do and whether pod and image pull secrets are there; on Azure at token and container. All\n"
     "findings in one run; nothing is written. Exit status: 0 nothing worse than warnings; 78\n"
     "settings or configuration; 65 templates; 77 permission or credentials.\n"},
    {"config", "[--config FILE] [--format ini|json]", command_config,
     "show every setting and where it comes from", ""},
    {"install", "DIR", command_install, "copy this binary to DIR/sparkpod",
     "For an init container, so that a stock image runs it. DIR is made if its parent is there. "
     "The\n"
     "file appears whole (mode 755) or not at all; nothing is written if it is there already.\n"},
    {"version", "", command_version, "show the commit and the versions of the linked libraries",
     ""},
    {"help", "[COMMAND]", command_help, "show this, or the help of one command", ""},
};
#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static const struct subcommand *find_subcommand(const char *name)
{
    for (size_t i = 0; i < SUBCOMMANDS; i++) {
        if (strcmp(subcommands[i].name, name) == 0)
            return &subcommands[i];
    }
    return NULL;
}

static void print_usage(FILE *stream)
{
    (void)fprintf(stream, "sparkpod: the entrypoint of Spark Thrift Server and Hive Metastore "
                          "pods\n\nUsage:\n");
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        (void)fprintf(stream, "  sparkpod %s %s\n      %s\n", subcommands[i].name,
                      subcommands[i].arguments, subcommands[i].summary);
    (void)fprintf(stream,
                  "  sparkpod executor|driver …\n      execute " STOCK_ENTRYPOINT
                  " with the same arguments (Spark's own pods)\n"
                  "  sparkpod COMMAND [ARG…]\n      execute any other command\n\n"
                  "Settings: sparkpod config. Exit status: 0 done; 64 usage; 65 template or data; "
                  "69 a dependency\ndid not answer; 70 internal; 77 refused; 78 settings; 126, 127 "
                  "as in a shell; 128+N signal N;\nelse the service's own.\n");
}

static int command_help(const struct invocation *invocation)
{
    const struct subcommand *subcommand;

    if (invocation->argc < 2) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    subcommand = find_subcommand(invocation->argv[1]);
    if (!subcommand)
        return command_usage("help", "there is no command %s", invocation->argv[1]);
    (void)printf("Usage: sparkpod %s %s\n\n%s.\n%s%s", subcommand->name, subcommand->arguments,
                 subcommand->summary, *subcommand->details ? "\n" : "", subcommand->details);
    return EXIT_DONE;
}

int command_fail(const char *module, const struct err *err)
{
    log_error(module, "%s", err->message);
    return err->status;
}

int command_usage(const char *name, const char *format, ...)
{
    char message[ERR_MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    log_error(name, "%s (see: sparkpod help%s%s)", message, strcmp(name, "help") == 0 ? "" : " ",
              strcmp(name, "help") == 0 ? "" : name);
    return EXIT_USAGE;
}

/* Levenshtein distance, for "did you mean"; names longer than the row are far from all. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], len = strlen(b);

    if (len >= sizeof(row) / sizeof(row[0]))
        return len;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[len];
}

static const char *nearest(const char *name)
{
    const char *best = NULL;
    size_t least = 4; /* further away is no typing error */

    for (size_t i = 0; i < SUBCOMMANDS; i++) {
        size_t d = distance(name, subcommands[i].name);

        if (d < least) {
            least = d;
            best = subcommands[i].name;
        }
    }
    return best;
}

/* Become another program, with the process as it was at entry. */
static int pass_through(const struct invocation *invocation, const char *path, char **argv)
{
    const char *guess;

    entry_restore(invocation->entry);
    (void)execvp(path, argv);
    guess = errno == ENOENT ? nearest(argv[0]) : NULL;
    log_error("exec", "%s: %s%s%s%s", path, strerror(errno), guess ? "; did you mean \"" : "",
              guess ? guess : "", guess ? "\"?" : "");
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int main(int argc, char **argv)
{
    const struct subcommand *subcommand;
    struct entry_state entry;
    struct invocation invocation = {.environment = environ, .entry = &entry};

    entry_normalise(&entry);
    if (argc && java_is_called(argv[0]))
        return command_java(&(struct invocation){argc, argv, environ, &entry});
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    invocation.argc = argc - 1;
    invocation.argv = argv + 1;
    if (strcmp(argv[1], "executor") == 0 || strcmp(argv[1], "driver") == 0) {
        argv[0] = (char *)STOCK_ENTRYPOINT;
        java_lead_self();
        return pass_through(&invocation, STOCK_ENTRYPOINT, argv);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        argv[1] = (char *)"help";
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = (char *)"version";
    subcommand = find_subcommand(argv[1]);
    if (!subcommand)
        return pass_through(&invocation, argv[1], argv + 1);
    log_open();
    if (argc > 2 && strcmp(argv[2], "--help") == 0)
        return command_help(&(struct invocation){.argc = 2, .argv = argv});
    return subcommand->run(&invocation);
}
