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
    struct buf content; /* of the file it came from */
    struct variable variable;
};

struct variables {
    char *const *environment;
    const char *folders;
    const char *secret_names;
    struct entry *entries;
};

static void entry_free(struct entry *entry)
{
    buf_free(&entry->content);
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

/* The value of the environment variable that name and suffix make, or NULL. */
static const char *find_in_environment(const struct variables *variables, const char *name,
                                       const char *suffix)
{
    size_t len = strlen(name), suffix_len = strlen(suffix);

    for (char *const *entry = variables->environment; entry && *entry; entry++)
        if (strncmp(*entry, name, len) == 0 && strncmp(*entry + len, suffix, suffix_len) == 0 &&
            (*entry)[len + suffix_len] == '=')
            return *entry + len + suffix_len + 1;
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

/* Read the value from the file. 1, 0 if there is no such file and it may be missing, or -1. */
static int read_value(struct entry *entry, const char *path, bool may_be_missing, struct err *err)
{
    struct buf *content = &entry->content;

    *content = BUF_INIT(VARIABLES_MAX_BYTES);
    if (fd_read_file(path, content) < 0) {
        if (may_be_missing && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG))
            return 0;
        if (errno == EFBIG)
            return err_set(err, EXIT_DATA, "%s for %s is longer than 1 MiB", path, entry->name);
        return err_set_errno(err, EXIT_DATA, "cannot read %s for %s", path, entry->name);
    }
    if (content->len && content->data[content->len - 1] == '\n') {
        content->len--;
        content->len -= content->len && content->data[content->len - 1] == '\r';
        content->data[content->len] = '\0';
    }
    entry->variable = (struct variable){buf_str(content), content->len, true};
    return 1;
}

static int find_in_folders(const struct variables *variables, struct entry *entry, struct err *err)
{
    const char *word = variables->folders;
    int found = 0;
    size_t len;

    for (; !found && (word = next_word(word, BLANKS ":", &len)) != NULL; word += len) {
        char *path;

        if (asprintf(&path, "%.*s/%s", (int)len, word, entry->name) < 0)
            return err_set(err, EXIT_INTERNAL, "out of memory");
        found = read_value(entry, path, true, err);
        free(path);
    }
    return found;
}

/* Fill entry, whose name is set. 1, 0 or -1. */
static int find(const struct variables *variables, struct entry *entry, struct err *err)
{
    const char *name = entry->name;
    const char *value = find_in_environment(variables, name, "");
    const char *file = find_in_environment(variables, name, "_FILE");

    if (value && file)
        return err_set(err, EXIT_DATA, "%s and %s_FILE are both set: unset one of them", name,
                       name);
    if (file && !*file)
        return err_set(err, EXIT_DATA, "%s_FILE is set but empty: name a file, or unset it", name);
    if (file)
        return read_value(entry, file, false, err);
    if (!value)
        return find_in_folders(variables, entry, err);
    entry->variable = (struct variable){value, strlen(value),
                                        variables_name_matches(variables->secret_names, name)};
    return 1;
}

int variables_get(struct variables *variables, const char *name, size_t len, struct variable *ret,
                  struct err *err)
{
    struct entry *entry = variables->entries;
    int found;

    while (entry && (strncmp(entry->name, name, len) != 0 || entry->name[len] != '\0'))
        entry = entry->next;
    if (entry) {
        *ret = entry->variable;
        return 1;
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry || !(entry->name = strndup(name, len))) {
        free(entry);
        return err_set(err, EXIT_INTERNAL, "out of memory");
    }
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

void variables_each_secret(const struct variables *variables,
                           void (*see)(void *context, const char *value, size_t len), void *context)
{
    for (const struct entry *entry = variables->entries; entry; entry = entry->next)
        if (entry->variable.secret && entry->variable.len)
            see(context, entry->variable.value, entry->variable.len);
}
