#include "entrypoint/java.h"

#include "common/log.h"
#include "entrypoint/archive.h"
#include "entrypoint/step.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How the folder and the JAVA_HOME of before reach us through the scripts. */
#define ARCHIVE_VARIABLE "SPARKPOD_JAVA_ARCHIVE"
#define HOME_VARIABLE "SPARKPOD_JAVA_HOME"
/* Set by images/archive: the folder where each JVM writes down which classes it loads. */
#define TRAINING_VARIABLE "SPARKPOD_JAVA_TRAINING"
/* By which images/archive asks for the lines "DIGEST FILE" of the files that follow. */
#define DIGEST_OPTION "--sparkpod-digest"

#define CLASS_PATH_MAX_BYTES ((size_t)128 << 10) /* the kernel's MAX_ARG_STRLEN */
#define OPTION_MAX_BYTES (PATH_MAX + 64)

/* ---- on the way to the scripts ---- */

/* The JAVA_HOME in the archive's folder, in home (PATH_MAX). Whether there is one. */
static bool find_home(const char *folder, char *home)
{
    char java[PATH_MAX];

    return *folder == '/' && snprintf(home, PATH_MAX, "%s/java", folder) < PATH_MAX &&
           snprintf(java, sizeof(java), "%s/bin/java", home) < (int)sizeof(java) &&
           access(java, X_OK) == 0;
}

void java_lead_command(const struct service *service, struct command *command)
{
    const char *folder = service->config->java.archive;
    const char *before = service_getenv(service->environment, "JAVA_HOME");
    char home[PATH_MAX];

    if (!find_home(folder, home))
        return;
    if (before)
        command_set(command, HOME_VARIABLE, before);
    command_set(command, ARCHIVE_VARIABLE, folder);
    command_set(command, "JAVA_HOME", home);
}

void java_lead_self(void)
{
    const char *folder = getenv(ARCHIVE_VARIABLE) ?: JAVA_ARCHIVE, *before = getenv("JAVA_HOME");
    char home[PATH_MAX];

    if (!find_home(folder, home))
        return;
    if (before)
        (void)setenv(HOME_VARIABLE, before, 1);
    (void)setenv(ARCHIVE_VARIABLE, folder, 1);
    (void)setenv("JAVA_HOME", home, 1);
}

/* ---- as java ---- */

bool java_is_called(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    return strcmp(slash ? slash + 1 : argv0, "java") == 0;
}

/* The java of JAVA_HOME as it was (NULL: of PATH), into path (PATH_MAX): the first that is not this
 * program. */
static int find_java(const char *home, char *path)
{
    const char *at = home ? home : getenv("PATH");
    char own[PATH_MAX], found[PATH_MAX];

    if (!realpath("/proc/self/exe", own))
        return -1;
    for (; at; at = *at ? at + 1 : NULL) {
        size_t len = home ? strlen(at) : strcspn(at, ":");

        (void)snprintf(path, PATH_MAX, "%.*s%s/java", (int)len, at, home ? "/bin" : "");
        if (realpath(path, found) && strcmp(found, own) != 0 && access(found, X_OK) == 0)
            return 0;
        at += len;
    }
    return -1;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

static const char *const class_path_options[] = {"-cp", "-classpath", "--class-path", NULL};

/* How many words the JVM's option at argv is, with its value. 0: it is none, but what is to run. */
static size_t option_words(char *const *argv)
{
    /* Of an option that is not listed, the value is taken for what is to run: so nothing that
     * stands behind the class is taken for an option. */
    static const char *const with_value[] = {
        "--add-exports",  "--add-modules",          "--add-opens",
        "--add-reads",    "--limit-modules",        "--module-path",
        "--patch-module", "--enable-native-access", NULL,
    };

    if (!argv[0] || argv[0][0] != '-' || strcmp(argv[0], "-jar") == 0 ||
        strncmp(argv[0], "--module=", strlen("--module=")) == 0)
        return 0;
    if (!is_one_of(argv[0], with_value) && !is_one_of(argv[0], class_path_options))
        return 1;
    return argv[1] ? 2 : 0;
}

/* The place of the class path among the options. 0: there is none, or not in a form that the
 * scripts use. */
static size_t find_class_path(char *const *argv)
{
    size_t words;

    for (size_t i = 1; (words = option_words(argv + i)); i += words) {
        if (is_one_of(argv[i], class_path_options))
            return i + 1;
    }
    return 0;
}

/* spark-class asks a small JVM for the command line to execute. It begins with the java of that
 * JVM's JAVA_HOME, and to check an archive would take longer than that JVM lives. */
static bool is_launcher(char *const *argv)
{
    for (; *argv; argv++) {
        if (strcmp(*argv, "org.apache.spark.launcher.Main") == 0)
            return true;
    }
    return false;
}

/* Whether an option in text does not go with an archive. With -Xshare:on one that does not suit the
 * heap ends the JVM, and -XX:AOTCache bears no other beside it; the rest make a JVM leave the
 * archive alone, newer ones with a word of error. */
static bool has_unfit_option(const char *text)
{
    static const char *const parts[] = {
        "-Xshare:",    "SharedArchive",      "SharedSpaces",    "ArchiveClassesAtExit", "-XX:AOT",
        "-XX:+UseZGC", "-XX:-UseCompressed", "-XX:ObjectAlign", "-Xbootclasspath",
    };

    for (size_t i = 0; text && i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(text, parts[i]))
            return true;
    }
    return false;
}

static int check_options(char *const *argv, struct err *err)
{
    static const char *const variables[] = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
                                            "_JAVA_OPTIONS", NULL};
    const char *found = NULL;
    size_t words;

    for (const char *const *name = variables; *name; name++) {
        if (has_unfit_option(getenv(*name)))
            found = *name;
    }
    for (size_t i = 1; (words = option_words(argv + i)); i += words) {
        if (strncmp(argv[i], "-X", 2) == 0 && has_unfit_option(argv[i]))
            found = argv[i];
    }
    return found ? err_set(err, EXIT_DATA, "%s does not go with one", found) : 0;
}

/* What is handed to the real java beside its own arguments. */
struct addition {
    struct buf class_path;
    char option[OPTION_MAX_BYTES];
    struct archive archive; /* has the options beside that one */
};

/* In a training run each JVM writes its classes to a file of its own, and its class path beside. */
static int train(const char *folder, const char *text, struct addition *ret)
{
    CLASS_PATH_AUTO path = {0};
    char name[PATH_MAX];
    FILE *file;

    class_path_read(text, NULL, &path);
    class_path_write(&path, &ret->class_path);
    (void)snprintf(name, sizeof(name), "%s/%d.jars", folder, (int)getpid());
    file = fopen(name, "we");
    if (!file)
        return -1;
    for (size_t i = 0; i < path.jars.count; i++)
        (void)fprintf(file, "%s\n", path.jars.at[i]);
    (void)snprintf(ret->option, sizeof(ret->option), "-XX:DumpLoadedClassList=%s/%d.classes",
                   folder, (int)getpid());
    return fclose(file) == 0 && !path.failed && !buf_failed(&ret->class_path) ? 0 : -1;
}

/* Whether a variable says what the archive's options say. Where a user's own come after those, on
 * the command line and in _JAVA_OPTIONS, they have their way anyhow. */
static bool is_settled(const char *variable)
{
    const char *text = getenv(variable);

    return text && strstr(text, "ArchiveRelocationMode");
}

static int use_archive(const char *folder, const char *java, const char *text, struct addition *ret,
                       struct err *err)
{
    CLASS_PATH_AUTO path = {0};

    if (archive_read(folder, &ret->archive, err) < 0)
        return -1;
    if (is_settled("JAVA_TOOL_OPTIONS") || is_settled("JDK_JAVA_OPTIONS"))
        ret->archive.option_count = 0;
    class_path_read(text, ret->archive.jars, &path);
    class_path_write(&path, &ret->class_path);
    (void)snprintf(ret->option, sizeof(ret->option), "-XX:SharedArchiveFile=%s/classes.jsa",
                   folder);
    if (path.failed || buf_failed(&ret->class_path))
        return err_set(err, EXIT_INTERNAL, "the class path is too long");
    return archive_check(&ret->archive, java, &path, err);
}

/* Java opens jar after jar until one has the class, and all that the launcher needs is in one of
 * some 250: put it in front. */
static bool lead_launcher(const char *text, struct addition *ret)
{
    CLASS_PATH_AUTO all = {0};
    CLASS_PATH_AUTO path = {0};
    const char *leading[2] = {NULL};

    class_path_read(text, NULL, &all);
    for (size_t i = 0; i < all.jars.count && !leading[0]; i++) {
        const char *slash = strrchr(all.jars.at[i], '/');

        if (slash && strncmp(slash, "/spark-launcher_", strlen("/spark-launcher_")) == 0)
            leading[0] = all.jars.at[i];
    }
    class_path_read(text, leading, &path);
    class_path_write(&path, &ret->class_path);
    return leading[0] && !path.overtaken && !all.failed && !path.failed &&
           !buf_failed(&ret->class_path);
}

/* Become java with the addition; returns if that fails. */
static void become(const char *java, const struct invocation *invocation, size_t class_path,
                   const struct addition *addition)
{
    const struct archive *archive = &addition->archive;
    char **argv = calloc((size_t)invocation->argc + 2 + archive->option_count, sizeof(*argv));
    size_t count = 0;

    if (!argv)
        return;
    argv[count++] = (char *)java;
    for (size_t i = 0; i < archive->option_count; i++)
        argv[count++] = (char *)archive->options[i];
    if (addition->option[0])
        argv[count++] = (char *)addition->option;
    for (size_t i = 1; invocation->argv[i]; i++)
        argv[count++] =
            i == class_path ? (char *)buf_str(&addition->class_path) : invocation->argv[i];
    (void)execv(java, argv);
    free(argv);
}

/* Become java with what makes it start faster, if it fits. */
static void try_faster(const char *folder, const char *java, const struct invocation *invocation)
{
    const char *training = getenv(TRAINING_VARIABLE);
    struct addition addition = {.class_path = BUF_INIT(CLASS_PATH_MAX_BYTES)};
    size_t class_path = find_class_path(invocation->argv);
    const char *text = class_path ? invocation->argv[class_path] : "";
    bool launcher = is_launcher(invocation->argv);
    struct err err = {0};
    bool fits;

    if (!class_path)
        return;
    if (launcher)
        fits = lead_launcher(text, &addition);
    else if (training)
        fits = train(training, text, &addition) == 0;
    else
        fits = check_options(invocation->argv, &err) == 0 &&
               use_archive(folder, java, text, &addition, &err) == 0;
    if (fits) {
        become(java, invocation, class_path, &addition);
        (void)err_set_errno(&err, EXIT_INTERNAL, "%s", java);
    }
    if (err.message[0] && !launcher)
        log_info("java", "starting without the class-data archive: %s", err.message);
    buf_free(&addition.class_path);
    archive_free(&addition.archive);
}

static void set(const char *name, const char *value)
{
    if (value)
        (void)setenv(name, value, 1);
    else
        (void)unsetenv(name);
}

static int print_digests(char *const *files)
{
    char hex[ARCHIVE_DIGEST_BYTES];
    struct err err = {0};

    for (; *files; files++) {
        if (archive_digest(*files, hex, &err) < 0) {
            log_error("java", "%s", err.message);
            return err.status;
        }
        (void)printf("%s %s\n", hex, *files);
    }
    return EXIT_DONE;
}

int command_java(const struct invocation *invocation)
{
    const char *home = getenv(HOME_VARIABLE);
    bool has_home = home && *home; /* the scripts take an empty one for none */
    char java[PATH_MAX], folder[PATH_MAX];

    (void)snprintf(folder, sizeof(folder), "%s", getenv(ARCHIVE_VARIABLE) ?: JAVA_ARCHIVE);
    log_open();
    if (invocation->argc > 1 && strcmp(invocation->argv[1], DIGEST_OPTION) == 0)
        return print_digests(invocation->argv + 2);
    if (find_java(has_home ? home : NULL, java) < 0) {
        log_error("java", "there is no java in %s%s", has_home ? "JAVA_HOME " : "PATH",
                  has_home ? home : "");
        return EXIT_NOT_FOUND;
    }
    if (!getenv(TRAINING_VARIABLE) && !is_launcher(invocation->argv)) {
        set("JAVA_HOME", home);
        set(HOME_VARIABLE, NULL);
        set(ARCHIVE_VARIABLE, NULL);
    }
    entry_restore(invocation->entry);
    try_faster(folder, java, invocation);
    invocation->argv[0] = java;
    (void)execv(java, invocation->argv);
    log_error("java", "%s: %s", java, strerror(errno));
    return EXIT_NOT_EXECUTABLE;
}
