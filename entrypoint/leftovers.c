#include "entrypoint/leftovers.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "entrypoint/facts.h"
#include "entrypoint/kubernetes.h"
#include "entrypoint/thrift_server.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MS 250 /* before what failed is tried once more */
#define FROM_MAX_BYTES ((size_t)3072)
#define UID_MAX_LEN 63 /* of a label's value */

/* Not 0, which would take a pod from the API while its container still runs, and its memory and
 * volumes are in use. */
#define GRACE_S 1

/* Spark gives executors the labels that it is told to. ConfigMap and claims have Spark's own alone,
 * which name the application, and the driver's pod as their owner (setUpExecutorConfigMap,
 * requestNewExecutors). A claim that an executor owns goes with it. */
static const struct kind {
    const char *resource, *name;
    const char *selector;      /* labels */
    bool is_labelled;          /* with our label, which names the driver's pod, too */
    const char *off_key, *off; /* Spark makes none where the key has this value */
} kinds[] = {
    {"pods", "pod", "spark-role=executor", true, NULL, NULL},
    {"configmaps", "ConfigMap", "spark-role=executor", false,
     "spark.kubernetes.executor.disableConfigMap", "true"},
    {"persistentvolumeclaims", "PersistentVolumeClaim", "spark-app-selector", false,
     "spark.kubernetes.driver.ownPersistentVolumeClaim", "false"},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct leftovers {
    struct kubernetes kubernetes;
    const char *namespace;
    const char *uid; /* the driver's pod's */
    size_t deleted[KINDS];
    bool more[KINDS];   /* not all of these were counted */
    struct buf reasons; /* why not all; "" if all */
};

static const char *get_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool leftovers_is_one(const json_t *object, const char *owner)
{
    const json_t *metadata = json_object_get(object, "metadata"), *reference;
    size_t index;

    if (get_string(metadata, "deletionTimestamp") || !get_string(metadata, "name") ||
        !get_string(metadata, "uid"))
        return false;
    json_array_foreach(json_object_get(metadata, "ownerReferences"), index, reference)
    {
        const char *uid = get_string(reference, "uid");

        if (owner && uid && strcmp(uid, owner) == 0)
            return true;
    }
    return !owner;
}

const char *leftovers_read_page(const json_t *page, const json_t **ret_items, struct err *err)
{
    *ret_items = json_object_get(page, "items");
    if (json_is_array(*ret_items) || json_is_null(*ret_items))
        return get_string(json_object_get(page, "metadata"), "continue") ?: "";
    err_set(err, EXIT_UNAVAILABLE, "the API server's answer is no list");
    return NULL;
}

/* Count the leftovers of a page, and delete those that are not deleted by their label. */
static int take_items(const struct leftovers *l, const struct kind *kind, const json_t *items,
                      size_t *count, struct err *err)
{
    const json_t *item;
    size_t index;

    json_array_foreach(items, index, item)
    {
        const json_t *metadata = json_object_get(item, "metadata");
        int deleted = 1;

        if (!leftovers_is_one(item, kind->is_labelled ? NULL : l->uid))
            continue;
        if (!kind->is_labelled)
            deleted =
                kubernetes_delete(&l->kubernetes, l->namespace, kind->resource,
                                  get_string(metadata, "name"), get_string(metadata, "uid"), err);
        if (deleted < 0)
            return -1;
        *count += (size_t)deleted;
    }
    return 0;
}

/* from is set to where the next page begins. */
static int take_page(const struct leftovers *l, const struct kind *kind, const json_t *page,
                     struct buf *from, size_t *count, struct err *err)
{
    const json_t *items;
    const char *next = leftovers_read_page(page, &items, err);

    buf_clear(from);
    if (!next || take_items(l, kind, items, count, err) < 0)
        return -1;
    return buf_add_str(from, next) < 0 ? err_no_memory(err) : 0;
}

/* What is deleted by its label is counted no further than to the first leftovers: their deletion is
 * to have the time. from is set to where the rest begins, "" if all pages were read. */
static int take_pages(const struct leftovers *l, const struct kind *kind, const char *selector,
                      struct buf *from, size_t *count, struct err *err)
{
    int taken;

    do {
        json_t *page = NULL;

        taken = kubernetes_list(&l->kubernetes, l->namespace, kind->resource, selector,
                                buf_str(from), &page, err);
        if (taken == 0)
            taken = take_page(l, kind, page, from, count, err);
        json_decref(page);
    } while (taken == 0 && from->len && !(kind->is_labelled && *count));
    return taken;
}

static int clean_kind(struct leftovers *l, size_t index, struct err *err)
{
    const struct kind *kind = &kinds[index];
    BUF_AUTO from = BUF_INIT(FROM_MAX_BYTES);
    char selector[256];
    size_t found = 0;

    if (!kind->is_labelled)
        return take_pages(l, kind, kind->selector, &from, &l->deleted[index], err);
    (void)snprintf(selector, sizeof(selector), "%s," THRIFT_SERVER_UID_LABEL "=%s", kind->selector,
                   l->uid);
    if (take_pages(l, kind, selector, &from, &found, err) < 0 ||
        (found && kubernetes_delete_all(&l->kubernetes, l->namespace, kind->resource, selector,
                                        GRACE_S, err) < 0))
        return -1;
    l->deleted[index] = found;
    l->more[index] = from.len > 0;
    return 0;
}

/* Until the deadline: at a pod's start the way to the API server may open a little later, and a
 * long list may expire between two pages. What failed before the deadline says more than that the
 * last try was cut short. */
static int keep_cleaning(struct leftovers *l, size_t kind, struct err *err)
{
    struct err now;

    *err = (struct err){0};
    while (clean_kind(l, kind, &now) < 0) {
        int left_ms = clock_left_ms(l->kubernetes.deadline_ms);

        if (left_ms > 0 || !*err->message)
            *err = now;
        if (now.status != EXIT_UNAVAILABLE || left_ms <= PAUSE_MS)
            return -1;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    return 0;
}

static void clean(struct leftovers *l, const struct facts *facts)
{
    struct err err;

    for (size_t i = 0; i < KINDS; i++) {
        const char *set = kinds[i].off_key ? facts_get(facts, kinds[i].off_key) : NULL;

        if ((set && strcmp(set, kinds[i].off) == 0) || keep_cleaning(l, i, &err) == 0)
            continue;
        if (!strstr(buf_str(&l->reasons), err.message))
            buf_printf(&l->reasons, "%s%s", l->reasons.len ? "; " : "", err.message);
        if (err.status == EXIT_UNAVAILABLE)
            return; /* nor would the rest be answered */
    }
}

static void report(const struct leftovers *l)
{
    BUF_AUTO counts = BUF_INIT(256);
    size_t sum = 0;

    for (size_t i = 0; i < KINDS; i++) {
        sum += l->deleted[i];
        buf_printf(&counts, "%s%s%zu %s%s", i ? ", " : "", l->more[i] ? "at least " : "",
                   l->deleted[i], kinds[i].name, l->deleted[i] == 1 ? "" : "s");
    }
    if (l->reasons.len)
        log_warn("leftovers",
                 "what a dead driver of this pod left may be there still (deleted: %s): %s",
                 buf_str(&counts), buf_str(&l->reasons));
    else if (sum)
        log_info("leftovers", "deleted what a dead driver of this pod left: %s", buf_str(&counts));
    else
        log_debug("leftovers", "no dead driver of this pod left anything");
}

static void clean_namespace(const struct service *service, const struct facts *facts,
                            const char *uid)
{
    const struct config *config = service->config;
    const char *set = facts_get(facts, "spark.kubernetes.namespace");
    struct leftovers l = {.uid = uid, .reasons = BUF_INIT(2048)};
    struct err err;

    if (kubernetes_open(&l.kubernetes, KUBERNETES_SERVICE_ACCOUNT, service->environment,
                        config->health.timeout, &err) == 0) {
        l.kubernetes.deadline_ms = clock_ms() + config->health.timeout;
        l.namespace = set
                          ?: *config->kubernetes.namespace ? config->kubernetes.namespace
                                                           : buf_str(&l.kubernetes.namespace);
        clean(&l, facts);
    } else {
        buf_add_str(&l.reasons, err.message);
    }
    report(&l);
    kubernetes_close(&l.kubernetes);
    buf_free(&l.reasons);
}

static bool is_uid(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len && len <= UID_MAX_LEN && text[len] == '\0';
}

void leftovers_delete(const struct service *service)
{
    const char *uid = service_getenv(service->environment, "POD_UID");
    FACTS_AUTO *facts = NULL;
    struct err err;

    if (!uid || !*uid)
        return;
    facts = facts_read(service->conf_folder, service->args, &err);
    if (!facts)
        log_warn("leftovers", "%s", err.message);
    else if (!thrift_server_has_executor_pods(facts, service->environment))
        return;
    else if (!is_uid(uid))
        log_warn("leftovers", "POD_UID is no uid: set it to the pod's metadata.uid");
    else
        clean_namespace(service, facts, uid);
}
