/* Known traps in finished configuration of Spark, Hive and Hadoop: values that are well-formed,
 * are taken without a word, and fail or give something away later. Pure: keys and values in,
 * findings out. The rules are one table, lint_rules.c; docs/check.md lists them. */
#ifndef SPARKPOD_CONFGEN_LINT_H
#define SPARKPOD_CONFGEN_LINT_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum lint_severity {
    LINT_WARNING, /* works, until it does not */
    LINT_ERROR,   /* does not start, loses data, or gives a secret away */
};

/* What the configuration is for; a rule may want some of these. */
enum lint_scope {
    LINT_THRIFT_SERVER = 1,
    LINT_METASTORE = 2,
    LINT_KUBERNETES = 4,
    LINT_POSTGRES = 8,  /* metastore.allow_derby is off */
    LINT_COMPLETE = 16, /* all files were read: or else nothing is told to be absent */
    LINT_XML = 32,      /* of a rule: the setting stands in a .xml file */
};

struct lint_setting {
    char *key;     /* as Hadoop, Hive or Spark looks it up: without "spark.hadoop." */
    char *written; /* as the file has it */
    char *value;   /* trimmed; wiped when freed */
    char *file;
    size_t line;
    bool is_xml;
    bool is_last; /* no later one has the same key: this one counts */
};

struct lint; /* all settings of one configuration */

/* Whether keys, values and conditions of the rule make a trap of this setting, beyond patterns. */
typedef bool (*lint_test_fn)(const struct lint *lint, const struct lint_setting *setting);

/* Lists of patterns are blank-separated, '*' and '?' as in a shell, [..] too; values are compared
 * without regard to case. A condition is "KEY-PATTERN=VALUE-PATTERN" and holds if any setting that
 * counts matches. */
struct lint_rule {
    const char *id;
    enum lint_severity severity;
    unsigned scope;        /* all of enum lint_scope that must be true */
    const char *keys;      /* patterns */
    bool is_absent;        /* it is a trap if no such key is set; and if one is, only with values */
    const char *values;    /* patterns; NULL: any */
    const char *but;       /* patterns of values that are fine, case and all; NULL: none */
    const char *when;      /* condition; NULL: always */
    const char *unless[3]; /* conditions */
    lint_test_fn test;     /* NULL: none */
    const char *what, *why, *instead;
};

extern const struct lint_rule lint_rules[]; /* ends with id NULL */

/* NULL without memory. */
struct lint *lint_new(void);
void lint_free(struct lint **lint);
#define LINT_AUTO __attribute__((cleanup(lint_free))) struct lint

/* Add one setting that no file has, such as "sparkpod.spark.version": for conditions. */
int lint_set(struct lint *lint, const char *key, const char *value, struct err *err);

/* Add the settings of a file, whose name decides the format (.xml, else properties); of two with
 * the same key the one added later counts. template, if it is not NULL, is what the file was made
 * of: then lines are those of the template. file is how findings call it. 0, or -1 with err. */
int lint_add(struct lint *lint, const char *name, const char *file, const struct buf *content,
             const struct buf *template, struct err *err);

/* The value that counts, or NULL. Borrowed. */
const char *lint_get(const struct lint *lint, const char *key);

/* The next setting from *pos (0 at first) that counts and whose key matches one of patterns; NULL
 * at the end. */
const struct lint_setting *lint_next(const struct lint *lint, const char *patterns, size_t *pos);

/* Whether a condition, as in struct lint_rule, holds. */
bool lint_holds(const struct lint *lint, const char *condition);

/* Call see for each finding, in the rules' order; setting is NULL for what is absent. */
typedef void (*lint_see_fn)(void *context, const struct lint_rule *rule,
                            const struct lint_setting *setting);
void lint_run(const struct lint *lint, unsigned scope, lint_see_fn see, void *context);

#endif
