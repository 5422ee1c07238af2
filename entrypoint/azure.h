/* Azure Data Lake Storage as Hadoop's ABFS would open it: a token by the same keys, and one HEAD on
 * the container ("Filesystem - Get Properties"). Through common/http: for tools, never for PID 1.
 * https://hadoop.apache.org/docs/stable/hadoop-azure/abfs.html
 * https://learn.microsoft.com/rest/api/storageservices/data-lake-storage-gen2 */
#ifndef SPARKPOD_ENTRYPOINT_AZURE_H
#define SPARKPOD_ENTRYPOINT_AZURE_H

#include "common/err.h"
#include "confgen/lint.h"

#include <stdbool.h>
#include <stdint.h>

struct azure_container {
    char name[64];
    char account[256]; /* HOST or HOST:PORT */
};

/* Read abfs[s]://CONTAINER@ACCOUNT/…; false for anything else. */
bool azure_parse(const char *url, struct azure_container *ret);

/* Get a token with the keys that settings have for the account, and ask for the container with it;
 * each request has timeout_ms. *ret_skew_s is how far our clock is ahead of Azure's, 0 if unknown.
 * 0, or -1 with EXIT_REFUSED (credentials, permission), EXIT_CONFIG (no such tenant, client,
 * container, or a key is missing), or EXIT_UNAVAILABLE: it could not be checked. Secrets stand in
 * the body of the token request and in the Authorization header only, and in no message. */
int azure_check(const struct azure_container *container, const struct lint *settings,
                int64_t timeout_ms, int64_t *ret_skew_s, struct err *err);

#endif
