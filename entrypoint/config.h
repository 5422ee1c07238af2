/* The settings: default, sparkpod.ini, SPARKPOD_SECTION_KEY, flag, each overriding the one before;
 * each value knows where it came from. The table in config.c is the only list of settings; the
 * reference in docs/settings.md is compared with it by a test. */
#ifndef SPARKPOD_ENTRYPOINT_CONFIG_H
#define SPARKPOD_ENTRYPOINT_CONFIG_H

#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metastore_schema {
    SCHEMA_INIT,   /* create the schema where there is none */
    SCHEMA_VERIFY, /* never create it */
};

/* Strings are owned by the config and never NULL; durations are in milliseconds; where a setting is
 * one of several words, its number is that word's place (of enum log_level and so on; 1 is true).
 */
struct config {
    struct {
        char *source, *target, *secrets, *secret_names, *pass_secrets;
    } render;
    struct {
        int64_t timeout, fatal_grace, insecure;
        char *ca_file;
    } wait;
    struct {
        char *executor_image;
    } spark;
    struct {
        char *archive;
    } java;
    struct {
        char *namespace, *pod_name, *pod_ip, *service_account, *image_pull_secrets;
    } kubernetes;
    struct {
        int64_t schema, allow_derby;
    } metastore;
    struct {
        int64_t port, interval, timeout, failure_threshold, success_threshold, start_deadline;
        char *user, *ca_file, *server_name;
    } health;
    struct {
        int64_t endpoint_delay, drain, grace, budget;
    } shutdown;
    struct {
        int64_t format, level;
    } log;
    struct config_entry *entries; /* one a setting, in the table's order */
    struct buf warnings;          /* a line each, for the caller to log */
    struct buf faults;            /* all there are, a line each; the first is config_load()'s err */
};

/* Read everything. file is the --config flag or NULL (then SPARKPOD_CONFIG, then
 * /etc/sparkpod/sparkpod.ini if it is there). environment is borrowed during the call. 0, or -1
 * with EXIT_CONFIG and a message that names file and line, or the variable. In both cases the
 * caller frees with config_free(). */
int config_load(struct config *config, const char *file, char *const *environment, struct err *err);

/* Set one setting from a flag: name is "section.key". 0, or -1 with EXIT_USAGE. */
int config_set(struct config *config, const char *name, const char *value, struct err *err);

/* Check what only holds for settings together (the stop budget). 0, or -1 with EXIT_CONFIG. */
int config_check(const struct config *config, struct err *err);

/* Whether the setting "section.key" was set by anyone. */
bool config_is_set(const struct config *config, const char *name);

/* All settings with their origins: as an ini file that can be read back, or as JSON. */
int config_write_ini(const struct config *config, struct buf *out);
int config_write_json(const struct config *config, struct buf *out);

void config_free(struct config *config);

#endif
