/* The Kubernetes API as a pod's service account may use it, through common/http: for helpers and
 * tools, never for PID 1.
 * https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
#ifndef SPARKPOD_ENTRYPOINT_KUBERNETES_H
#define SPARKPOD_ENTRYPOINT_KUBERNETES_H

#include "common/buf.h"
#include "common/err.h"

#include <curl/curl.h>
#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#define KUBERNETES_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

struct kubernetes {
    char server[280]; /* https://HOST:PORT */
    char ca_file[PATH_MAX];
    struct buf namespace;     /* the pod's own */
    struct buf authorization; /* the header with the token */
    CURLSH *share;            /* the connection; NULL without memory: one for each request */
    int64_t timeout_ms;       /* of one request */
    int64_t deadline_ms;      /* of all of them; CLOCK_NEVER unless the caller sets it */
};

/* Find the API server in environment, and token, CA and namespace in folder. 0, or -1 with
 * EXIT_REFUSED that names every file that cannot be read. Free with kubernetes_close() in either
 * case. */
int kubernetes_open(struct kubernetes *ret, const char *folder, char *const *environment,
                    int64_t timeout_ms, struct err *err);
void kubernetes_close(struct kubernetes *kubernetes);
#define KUBERNETES_AUTO __attribute__((cleanup(kubernetes_close))) struct kubernetes

/* Whether this service account may do verb on resources of the core group in namespace
 * (SelfSubjectAccessReview): 1, 0, or -1 with EXIT_REFUSED (the token is not accepted) or
 * EXIT_UNAVAILABLE. */
int kubernetes_may(const struct kubernetes *kubernetes, const char *namespace, const char *resource,
                   const char *verb, struct err *err);

/* Whether the object is there; only its metadata is asked for. 1, 0, or -1 with EXIT_REFUSED (it
 * may not be read), EXIT_CONFIG (no such name is possible) or EXIT_UNAVAILABLE. */
int kubernetes_has(const struct kubernetes *kubernetes, const char *namespace, const char *resource,
                   const char *name, struct err *err);

/* Read a page of the metadata of those objects that selector chooses by their labels: a
 * PartialObjectMetadataList, which the caller gives back with json_decref(). from is what the page
 * before says in metadata.continue, "" for the first; once it has expired (410) the list is to be
 * begun anew. 0, or -1 with EXIT_REFUSED (the verb is in the message), EXIT_CONFIG or
 * EXIT_UNAVAILABLE.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/ */
int kubernetes_list(const struct kubernetes *kubernetes, const char *namespace,
                    const char *resource, const char *selector, const char *from, json_t **ret,
                    struct err *err);

/* Delete the object of that name, if it still has that uid. 1, 0 if it is not there any more, or -1
 * as above. */
int kubernetes_delete(const struct kubernetes *kubernetes, const char *namespace,
                      const char *resource, const char *name, const char *uid, struct err *err);

/* Delete all objects that selector chooses (deletecollection). 0, or -1 as above. */
int kubernetes_delete_all(const struct kubernetes *kubernetes, const char *namespace,
                          const char *resource, const char *selector, int grace_s, struct err *err);

#endif
