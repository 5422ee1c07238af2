#include "entrypoint/class_path.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void add_jar(struct class_path *path, const char *jar)
{
    for (size_t i = 0; i < path->jars.count; i++) {
        if (strcmp(path->jars.at[i], jar) == 0)
            return;
    }
    path->overtaken = path->folders.count;
    add(path, &path->jars, jar, strlen(jar));
}

static bool is_among(const glob_t *found, const char *name)
{
    for (size_t i = 0; i < found->gl_pathc; i++) {
        if (strcmp(found->gl_pathv[i], name) == 0)
            return true;
    }
    return false;
}

/* folder ends in a slash, or is empty: the working folder. java takes .jar and .JAR. */
static void add_wildcard(struct class_path *path, const char *folder, const char *const *first)
{
    char pattern[PATH_MAX + sizeof("*.jar")];
    glob_t found = {0};

    (void)snprintf(pattern, sizeof(pattern), "%s*.jar", folder);
    (void)glob(pattern, 0, NULL, &found);
    (void)snprintf(pattern, sizeof(pattern), "%s*.JAR", folder);
    (void)glob(pattern, GLOB_APPEND, NULL, &found);
    for (; *first; first++) {
        if (is_among(&found, *first))
            add_jar(path, *first);
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_jar(path, found.gl_pathv[i]);
    globfree(&found);
}

static void add_entry(struct class_path *path, const char *entry, size_t len,
                      const char *const *first)
{
    char name[PATH_MAX];
    struct stat status;

    (void)snprintf(name, sizeof(name), "%.*s", (int)len, entry);
    if (len && len < sizeof(name) && name[len - 1] == '*' && (len == 1 || name[len - 2] == '/')) {
        name[len - 1] = '\0';
        add_wildcard(path, name, first);
    } else if (len && len < sizeof(name) && stat(name, &status) == 0 && S_ISREG(status.st_mode)) {
        add_jar(path, name);
    } else {
        add(path, &path->folders, entry, len);
    }
}

void class_path_read(const char *text, const char *const *first, struct class_path *ret)
{
    for (;; text++) {
        size_t len = strcspn(text, ":");

        add_entry(ret, text, len, first);
        text += len;
        if (!*text)
            return;
    }
}

void class_path_write(const struct class_path *path, struct buf *ret)
{
    for (size_t i = 0; i < path->jars.count + path->folders.count; i++) {
        const char *entry =
            i < path->jars.count ? path->jars.at[i] : path->folders.at[i - path->jars.count];

        (void)buf_printf(ret, "%s%s", i ? ":" : "", entry);
    }
}

static void free_list(struct class_path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i]);
    free(list->at);
}

void class_path_free(struct class_path *path)
{
    free_list(&path->jars);
    free_list(&path->folders);
    *path = (struct class_path){0};
}
