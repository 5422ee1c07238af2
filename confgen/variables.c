#include "confgen/variables.h"

#include "common/buf.h"
#include "common/fd.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n"

/* A variable that was found; a list, since templates name a few dozen at most. */
struct entry {
    struct entry *next;
    char *name;
    struct variable variable;
    char *owned; /* the value, if it came from a file */
    char *path;  /* that file */
};

struct variables {
    char *const *environment;
    const char *folders;
    const char *secret_names;
    struct entry *entries;
};

static void free_string(char **string)
{
    free(*string);
}
#define STRING_AUTO __attribute__((cleanup(free_string))) char *

static void entry_free(struct entry *entry)
{
    if (entry->owned)
        explicit_bzero(entry->owned, entry->variable.len);
    free(entry->owned);
    free(entry->path);
    free(entry->name);
    free(entry);
}

struct variables *variables_new(char *const *environment, const char *folders,
                                const char *secret_names)
{
    struct variables *variables = calloc(1, sizeof(*variables));

    if (variables)
        *variables = (struct variables){environment, folders, secret_names, NULL};
    return variables;
}

void variables_free(struct variables *variables)
{
    struct entry *entry;

    if (!variables)
        return;
    while ((entry = variables->entries) != NULL) {
        variables->entries = entry->next;
        entry_free(entry);
    }
    free(variables);
}

/* The value of an environment variable, or NULL. */
static const char *find_in_environment(const struct variables *variables, const char *name)
{
    size_t len = strlen(name);

    for (char *const *entry = variables->environment; entry && *entry; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            return *entry + len + 1;
    return NULL;
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

bool variables_name_matches(const char *patterns, const char *name)
{
    const char *word = patterns;
    size_t len;

    for (; (word = next_word(word, BLANKS, &len)) != NULL; word += len) {
        STRING_AUTO pattern = strndup(word, len);

        if (!pattern || fnmatch(pattern, name, 0) == 0)
            return true; /* without memory rather one secret too many */
    }
    return false;
}

/* Read a value; the entry takes path. 1, 0 if there is no such file and it may be missing, or -1.
 */
static int read_value(struct entry *entry, char *path, bool may_be_missing, struct err *err)
{
    BUF_AUTO content = BUF_INIT(VARIABLES_MAX_BYTES);

    entry->path = path;
    if (fd_read_file(path, &content) < 0) {
        if (may_be_missing && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG))
            return 0;
        if (errno == EFBIG)
            return err_set(err, EXIT_DATA, "%s for %s is longer than 1 MiB", path, entry->name);
        return err_set_errno(err, EXIT_DATA, "cannot read %s for %s", path, entry->name);
    }
    if (content.len && content.data[content.len - 1] == '\n') {
        content.len--;
        content.len -= content.len && content.data[content.len - 1] == '\r';
        content.data[content.len] = '\0';
    }
    entry->variable = (struct variable){.len = content.len, .secret = true, .origin = entry->path};
    entry->owned = buf_steal(&content);
    entry->variable.value = entry->owned;
    return entry->owned ? 1 : err_set(err, EXIT_INTERNAL, "out of memory");
}

static int find_in_folders(const struct variables *variables, struct entry *entry, struct err *err)
{
    const char *word = variables->folders;
    size_t len;

    for (; (word = next_word(word, BLANKS ":", &len)) != NULL; word += len) {
        char *path;
        int found;

        if (asprintf(&path, "%.*s/%s", (int)len, word, entry->name) < 0)
            return err_set(err, EXIT_INTERNAL, "out of memory");
        found = read_value(entry, path, true, err);
        if (found)
            return found;
        free(path);
        entry->path = NULL;
    }
    return 0;
}

/* The file that NAME_FILE names. */
static int find_in_named_file(struct entry *entry, const char *path, struct err *err)
{
    char *copy;

    if (!*path)
        return err_set(err, EXIT_DATA, "%s_FILE is set but empty: name a file, or unset it",
                       entry->name);
    copy = strdup(path);
    return copy ? read_value(entry, copy, false, err)
                : err_set(err, EXIT_INTERNAL, "out of memory");
}

/* Fill entry, whose name is set. 1, 0 or -1. */
static int find(const struct variables *variables, struct entry *entry, struct err *err)
{
    STRING_AUTO file_name = NULL;
    const char *value = find_in_environment(variables, entry->name), *file;

    if (asprintf(&file_name, "%s_FILE", entry->name) < 0)
        return err_set(err, EXIT_INTERNAL, "out of memory");
    file = find_in_environment(variables, file_name);
    if (value && file)
        return err_set(err, EXIT_DATA, "%s and %s are both set: unset one of them", entry->name,
                       file_name);
    if (file)
        return find_in_named_file(entry, file, err);
    if (!value)
        return find_in_folders(variables, entry, err);
    entry->variable = (struct variable){
        .value = value,
        .len = strlen(value),
        .secret = variables_name_matches(variables->secret_names, entry->name),
        .origin = "environment",
    };
    return 1;
}

static const struct entry *find_known(const struct variables *variables, const char *name,
                                      size_t len)
{
    const struct entry *entry = variables->entries;

    while (entry && (strncmp(entry->name, name, len) != 0 || entry->name[len] != '\0'))
        entry = entry->next;
    return entry;
}

int variables_get(struct variables *variables, const char *name, size_t len, struct variable *ret,
                  struct err *err)
{
    const struct entry *known = find_known(variables, name, len);
    struct entry *entry;
    int found;

    if (known) {
        *ret = known->variable;
        return 1;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry)
        entry->name = strndup(name, len);
    found = entry && entry->name ? find(variables, entry, err)
                                 : err_set(err, EXIT_INTERNAL, "out of memory");
    if (found <= 0) {
        if (entry)
            entry_free(entry);
        return found;
    }
    entry->next = variables->entries;
    variables->entries = entry;
    *ret = entry->variable;
    return 1;
}

void variables_each_secret(const struct variables *variables,
                           void (*see)(void *context, const char *value, size_t len), void *context)
{
    for (const struct entry *entry = variables->entries; entry; entry = entry->next)
        if (entry->variable.secret && entry->variable.len)
            see(context, entry->variable.value, entry->variable.len);
}
