#include "entrypoint/class_path.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void free_list(struct class_path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i]);
    free(list->at);
}

static void add(struct class_path *path, struct class_path_list *list, const char *entry,
                size_t len)
{
    char **longer = reallocarray(list->at, list->count + 1, sizeof(*longer));
    char *copy = strndup(entry, len);

    if (longer)
        list->at = longer;
    if (!longer || !copy) {
        path->failed = true;
        free(copy);
        return;
    }
    list->at[list->count++] = copy;
}

/* Whether name is among the first count of them, or those before a NULL. */
static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count && names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_listed(const struct class_path_list *list, const char *name)
{
    return is_among((const char *const *)list->at, list->count, name);
}

static void add_jar(struct class_path *path, const char *jar, const char *const *leading)
{
    if (leading && !is_among(leading, SIZE_MAX, jar)) {
        add(path, &path->others, jar, strlen(jar));
    } else if (!is_listed(&path->jars, jar)) {
        path->overtaken = path->others.count;
        add(path, &path->jars, jar, strlen(jar));
    }
}

/* What java takes for one. */
static int is_jar(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    const char *end = len < 4 ? "" : entry->d_name + len - 4;

    return (strcmp(end, ".jar") == 0 || strcmp(end, ".JAR") == 0) && !strchr(entry->d_name, ':');
}

/* folder ends in a slash, or is empty: the working folder. */
static void add_wildcard(struct class_path *path, const char *folder, const char *const *leading)
{
    struct class_path_list found = {0};
    struct dirent **entries = NULL;
    int count = scandir(*folder ? folder : ".", &entries, is_jar, alphasort);

    path->failed |= count < 0 && errno == ENOMEM;
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX + sizeof(entries[i]->d_name)];

        (void)snprintf(name, sizeof(name), "%s%s", folder, entries[i]->d_name);
        add(path, &found, name, strlen(name));
        free(entries[i]);
    }
    free(entries);
    for (const char *const *jar = leading; jar && *jar; jar++) {
        if (is_listed(&found, *jar))
            add_jar(path, *jar, leading);
    }
    for (size_t i = 0; i < found.count; i++)
        add_jar(path, found.at[i], leading);
    free_list(&found);
}

static void add_entry(struct class_path *path, const char *entry, size_t len,
                      const char *const *leading)
{
    char name[PATH_MAX];
    struct stat status;

    (void)snprintf(name, sizeof(name), "%.*s", (int)len, entry);
    if (len && len < sizeof(name) && name[len - 1] == '*' && (len == 1 || name[len - 2] == '/')) {
        name[len - 1] = '\0';
        add_wildcard(path, name, leading);
    } else if (len && len < sizeof(name) && stat(name, &status) == 0 && S_ISREG(status.st_mode)) {
        add_jar(path, name, leading);
    } else {
        add(path, &path->others, entry, len);
    }
}

void class_path_read(const char *text, const char *const *leading, struct class_path *ret)
{
    for (;; text++) {
        size_t len = strcspn(text, ":");

        add_entry(ret, text, len, leading);
        text += len;
        if (!*text)
            return;
    }
}

void class_path_write(const struct class_path *path, struct buf *ret)
{
    for (size_t i = 0; i < path->jars.count + path->others.count; i++) {
        const char *entry =
            i < path->jars.count ? path->jars.at[i] : path->others.at[i - path->jars.count];

        (void)buf_printf(ret, "%s%s", i ? ":" : "", entry);
    }
}

void class_path_free(struct class_path *path)
{
    free_list(&path->jars);
    free_list(&path->others);
    *path = (struct class_path){0};
}
