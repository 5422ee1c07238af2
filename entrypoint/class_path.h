/* A JVM's class path, read as java reads it and put in an order that a class-data archive fits: the
 * archive's jars first, then the rest. Looks at the file system, and changes nothing there. */
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
    struct class_path_list jars;   /* those that lead, each once */
    struct class_path_list others; /* all other entries, wildcards expanded; "": working folder */
    size_t overtaken;              /* so many of the others stood before a jar that leads */
    bool failed;                   /* memory ran out */
};

/* Take text apart into ret, which is all zero. The jars that leading (NULL at the end) lists lead;
 * if it is NULL, all do. Those of a wildcard (FOLDER/ and a star), whose order java leaves open,
 * come in leading's order, then by name; jars that are named keep their place among each other. */
void class_path_read(const char *text, const char *const *leading, struct class_path *ret);

/* Append it as java takes it. */
void class_path_write(const struct class_path *path, struct buf *ret);

void class_path_free(struct class_path *path);

#define CLASS_PATH_AUTO __attribute__((cleanup(class_path_free))) struct class_path

#endif
