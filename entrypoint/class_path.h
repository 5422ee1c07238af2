/* A JVM's class path, read as java reads it and put in an order that a class-data archive fits: the
 * jars first, then the folders. Looks at the file system, and changes nothing there. */
#ifndef SPARKPOD_ENTRYPOINT_CLASS_PATH_H
#define SPARKPOD_ENTRYPOINT_CLASS_PATH_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct class_path_list {
    char **at; /* owned, as the strings are */
    size_t count;
};

struct class_path {
    struct class_path_list jars;    /* wildcards expanded, each jar once */
    struct class_path_list folders; /* all other entries; "" means the working folder */
    size_t overtaken;               /* so many of the folders stood before a jar */
    bool failed;                    /* memory ran out */
};

/* Take text apart into ret, which is all zero. Jars of a wildcard (FOLDER/ and a star), whose order
 * java leaves open, come in the order that first (NULL at the end) has them, the others by name;
 * jars that are named keep their place. */
void class_path_read(const char *text, const char *const *first, struct class_path *ret);

/* Append it as java takes it. */
void class_path_write(const struct class_path *path, struct buf *ret);

void class_path_free(struct class_path *path);

#define CLASS_PATH_AUTO __attribute__((cleanup(class_path_free))) struct class_path

#endif
