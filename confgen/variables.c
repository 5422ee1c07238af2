#include "confgen/variables.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t\n"

#define WARNINGS_MAX_BYTES ((size_t)1 << 20)

/* A variable that was found; a list, since templates name a few dozen at most. */
struct entry {
    struct entry *next;
    char *name;
    size_t name_len;
    char *file;
    struct buf content; /* of that file */
    struct variable variable;
};

struct folder {
    struct folder *next;
    char *path;
    int fd; /* -1: there is none */
    bool is_warned_of;
    int generation; /* the folder that its link "..data" led to; -1: no such link */
};

struct variables {
    char *const *environment;
    const char *secret_names;
    struct folder *folders;
    struct entry *entries;
    struct buf warnings;
};

static void entry_free(struct entry *entry)
{
    buf_free(&entry->content);
    free(entry->file);
    free(entry->name);
    free(entry);
}

static void folder_free(struct folder *folder)
{
    fd_close(&folder->generation);
    fd_close(&folder->fd);
    free(folder->path);
    free(folder);
}

/* The next word of a list: where it begins, its length in *ret_len; NULL at the end. */
static const char *next_word(const char *list, const char *separators, size_t *ret_len)
{
    if (!list)
        return NULL;
    list += strspn(list, separators);
    *ret_len = strcspn(list, separators);
    return *ret_len ? list : NULL;
}

static int open_folder(int at, const char *path)
{
    return openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Open the folder, whose path is taken, and put it in *at. */
static int add_folder(struct variables *variables, struct folder **at, char *path)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    if (!folder || !path) {
        free(folder);
        free(path);
        return -1;
    }
    *folder = (struct folder){.path = path, .fd = open_folder(AT_FDCWD, path), .generation = -1};
    *at = folder;
    if (folder->fd >= 0)
        folder->generation = open_folder(folder->fd, "..data");
    else
        (void)buf_printf(&variables->warnings, "secrets folder %s: %s\n", path, strerror(errno));
    return 0;
}

struct variables *variables_new(char *const *environment, const char *folders,
                                const char *secret_names)
{
    struct variables *variables = calloc(1, sizeof(*variables));
    struct folder **at;
    const char *word;
    size_t len;

    if (!variables)
        return NULL;
    *variables = (struct variables){.environment = environment,
                                    .secret_names = secret_names,
                                    .warnings = BUF_INIT(WARNINGS_MAX_BYTES)};
    at = &variables->folders;
    for (word = folders; (word = next_word(word, BLANKS ":", &len)) != NULL; word += len) {
        if (add_folder(variables, at, strndup(word, len)) < 0) {
            variables_free(variables);
            return NULL;
        }
        at = &(*at)->next;
    }
    return variables;
}

void variables_free(struct variables *variables)
{
    struct entry *entry;
    struct folder *folder;

    if (!variables)
        return;
    while ((entry = variables->entries) != NULL) {
        variables->entries = entry->next;
        entry_free(entry);
    }
    while ((folder = variables->folders) != NULL) {
        variables->folders = folder->next;
        folder_free(folder);
    }
    buf_free(&variables->warnings);
    free(variables);
}

/* The value of the environment variable that name and suffix make, or NULL. */
static const char *find_in_environment(const struct variables *variables, const char *name,
                                       const char *suffix)
{
    size_t len = strlen(name), suffix_len = strlen(suffix);

    for (char *const *entry = variables->environment; entry && *entry; entry++)
        if (**entry == *name && strncmp(*entry, name, len) == 0 &&
            strncmp(*entry + len, suffix, suffix_len) == 0 && (*entry)[len + suffix_len] == '=')
            return *entry + len + suffix_len + 1;
    return NULL;
}

const char *variables_part_entry(const char *entry, char *name, size_t size)
{
    const char *equals = strchr(entry, '=');

    if (!equals || (size_t)(equals - entry) >= size)
        return NULL;
    (void)snprintf(name, size, "%.*s", (int)(equals - entry), entry);
    return equals + 1;
}

bool variables_name_matches(const char *patterns, const char *name)
{
    const char *word = patterns;
    bool matches = false;
    size_t len;

    for (; !matches && (word = next_word(word, BLANKS, &len)) != NULL; word += len) {
        char *pattern = strndup(word, len);

        /* without memory rather one secret too many */
        matches = !pattern || fnmatch(pattern, name, 0) == 0;
        free(pattern);
    }
    return matches;
}

/* The value is what is in the file; a line end at its end, which editors and echo leave, is not. */
static void set_value(struct entry *entry)
{
    struct buf *content = &entry->content;

    if (content->len && content->data[content->len - 1] == '\n') {
        content->len--;
        content->len -= content->len && content->data[content->len - 1] == '\r';
        content->data[content->len] = '\0';
    }
    entry->variable = (struct variable){.name = entry->name,
                                        .value = buf_str(content),
                                        .len = content->len,
                                        .file = entry->file,
                                        .secret = true};
}

/* One line for each folder: its files have the same mode as a rule. */
static void warn_of_readers(struct variables *variables, const struct entry *entry,
                            struct folder *folder, int fd)
{
    struct stat status;

    if ((folder && folder->is_warned_of) || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        !(status.st_mode & S_IROTH))
        return;
    if (folder)
        folder->is_warned_of = true;
    (void)buf_printf(&variables->warnings,
                     "%s: every user may read %s (mode %04o): mount the Secret with "
                     "defaultMode: 0440 and set fsGroup\n",
                     entry->name, entry->file, status.st_mode & 07777);
}

/* Where a folder's files are now; -1: nowhere. */
static int files_of(const struct folder *folder)
{
    return folder->generation >= 0 ? folder->generation : folder->fd;
}

/* Read entry->file: the entry's name in the folder, or a path where that is NULL. 1 or -1. */
static int read_value(struct variables *variables, struct entry *entry, struct folder *folder,
                      struct err *err)
{
    FD_AUTO fd = openat(folder ? files_of(folder) : AT_FDCWD, folder ? entry->name : entry->file,
                        O_RDONLY | O_CLOEXEC | O_NOCTTY);

    entry->content = BUF_INIT(VARIABLES_MAX_BYTES);
    if (fd < 0 || fd_read_all(fd, &entry->content) < 0) {
        if (errno == EFBIG)
            return err_set(err, EXIT_DATA, "%s for %s is longer than 1 MiB", entry->file,
                           entry->name);
        return err_set_errno(err, EXIT_DATA, "cannot read %s for %s", entry->file, entry->name);
    }
    warn_of_readers(variables, entry, folder, fd);
    set_value(entry);
    return 1;
}

/* Whether the link leads to another folder by now. Kubelet renames it before it removes what is in
 * the old one. */
static bool is_replaced(const struct folder *folder)
{
    struct stat then, now;

    return folder->generation >= 0 &&
           (fstat(folder->generation, &then) < 0 || fstatat(folder->fd, "..data", &now, 0) < 0 ||
            then.st_ino != now.st_ino || then.st_dev != now.st_dev);
}

static int find_in_folders(struct variables *variables, struct entry *entry, struct err *err)
{
    for (struct folder *folder = variables->folders; folder; folder = folder->next) {
        if (files_of(folder) < 0)
            continue;
        if (faccessat(files_of(folder), entry->name, F_OK, 0) == 0 ||
            (errno != ENOENT && errno != ENAMETOOLONG)) {
            if (asprintf(&entry->file, "%s/%s", folder->path, entry->name) >= 0)
                return read_value(variables, entry, folder, err);
            entry->file = NULL;
            return err_no_memory(err);
        }
        if (is_replaced(folder))
            return err_set(err, EXIT_DATA, "%s was replaced while %s was looked for: run it again",
                           folder->path, entry->name);
    }
    return 0;
}

/* Fill entry, whose name is set. 1, 0 or -1. */
static int find(struct variables *variables, struct entry *entry, struct err *err)
{
    const char *name = entry->name;
    const char *value = find_in_environment(variables, name, "");
    const char *file = find_in_environment(variables, name, "_FILE");

    if (value && file)
        return err_set(err, EXIT_DATA, "%s and %s_FILE are both set: unset one of them", name,
                       name);
    if (file && !*file)
        return err_set(err, EXIT_DATA, "%s_FILE is set but empty: name a file, or unset it", name);
    if (file) {
        entry->file = strdup(file);
        return entry->file ? read_value(variables, entry, NULL, err) : err_no_memory(err);
    }
    if (!value)
        return find_in_folders(variables, entry, err);
    entry->variable =
        (struct variable){.name = name,
                          .value = value,
                          .len = strlen(value),
                          .secret = variables_name_matches(variables->secret_names, name)};
    return 1;
}

int variables_get(struct variables *variables, const char *name, size_t len, struct variable *ret,
                  struct err *err)
{
    struct entry *entry = variables->entries;
    int found;

    while (entry && (entry->name_len != len || memcmp(entry->name, name, len) != 0))
        entry = entry->next;
    if (entry) {
        *ret = entry->variable;
        return 1;
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry || !(entry->name = strndup(name, len))) {
        free(entry);
        return err_no_memory(err);
    }
    entry->name_len = len;
    found = find(variables, entry, err);
    if (found <= 0) {
        entry_free(entry);
        return found;
    }
    entry->next = variables->entries;
    variables->entries = entry;
    *ret = entry->variable;
    return 1;
}

bool variables_are_stale(const struct variables *variables)
{
    for (const struct folder *folder = variables->folders; folder; folder = folder->next)
        if (is_replaced(folder))
            return true;
    return false;
}

const struct buf *variables_warnings(const struct variables *variables)
{
    return &variables->warnings;
}

void variables_each_secret(const struct variables *variables,
                           void (*see)(const char *value, size_t len))
{
    for (const struct entry *entry = variables->entries; entry; entry = entry->next)
        if (entry->variable.secret && entry->variable.len)
            see(entry->variable.value, entry->variable.len);
}
