/* The parts of `sparkpod check` that ask somebody. */
#include "entrypoint/azure.h"
#include "entrypoint/kubernetes.h"
#include "entrypoint/preflight.h"
#include "entrypoint/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_SKEW_S 300

bool preflight_has_executor_pods(const struct preflight *preflight)
{
    return service_getenv(preflight->environment, "KUBERNETES_SERVICE_HOST") &&
           !lint_holds(preflight->settings, "spark.master=[!k]*");
}

/* ---- Kubernetes ---- */

/* What Spark's Kubernetes backend does in client mode. Without a wanted one it works, logs stack
 * traces when it stops, and leaves objects behind. */
static const struct right {
    const char *resource, *needed, *wanted; /* verbs, blank-separated */
    const char *off[2]; /* not used if these conditions (lint.h) hold, all there are */
} rights[] = {
    {"pods", "create delete get list watch", "deletecollection patch", {NULL}},
    {"configmaps",
     "create",
     "delete deletecollection get list",
     {"spark.kubernetes.executor.disableConfigMap=true"}},
    {"services",
     "",
     "delete deletecollection list",
     {"spark.kubernetes.driver.service.deleteOnTermination=false"}},
    {"persistentvolumeclaims",
     "",
     "create delete deletecollection get list",
     {"spark.kubernetes.driver.ownPersistentVolumeClaim=false",
      "spark.kubernetes.driver.reusePersistentVolumeClaim=false"}},
};

static bool is_used(const struct preflight *preflight, const struct right *right)
{
    for (size_t i = 0; i < 2 && right->off[i]; i++)
        if (!lint_holds(preflight->settings, right->off[i]))
            return true;
    return !right->off[0];
}

/* Append those of verbs that are not allowed to denied. 0, or -1 if nobody could be asked. */
static int ask_verbs(const struct kubernetes *kubernetes, const char *namespace,
                     const char *resource, const char *verbs, struct buf *denied, struct err *err)
{
    while (*verbs) {
        size_t len = strcspn(verbs, " ");
        char verb[32];
        int may;

        (void)snprintf(verb, sizeof(verb), "%.*s", (int)len, verbs);
        may = kubernetes_may(kubernetes, namespace, resource, verb, err);
        if (may < 0)
            return -1;
        if (may == 0)
            buf_printf(denied, " %s", verb);
        verbs += len + (verbs[len] == ' ');
    }
    return 0;
}

static void tell_denied(const struct preflight *preflight, const char *namespace,
                        const char *resource, const struct buf *denied,
                        enum finding_severity severity)
{
    char what[512], instead[512];

    if (denied->len == 0)
        return;
    (void)snprintf(what, sizeof(what), "the service account may not%s %s in namespace %.253s",
                   buf_str(denied), resource, namespace);
    (void)snprintf(instead, sizeof(instead), "these verbs on %s in the Role of the service account",
                   resource);
    findings_add(
        preflight->findings,
        &(struct finding){
            .severity = severity,
            .status = EXIT_REFUSED,
            .key = resource,
            .what = what,
            .why = severity == FINDING_ERROR
                       ? "Spark cannot run its executors without"
                       : "Spark logs stack traces when it stops, and leaves objects behind",
            .instead = instead,
        });
}

static int check_rights(const struct preflight *preflight, const struct kubernetes *kubernetes,
                        const char *namespace, struct err *err)
{
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
        const struct right *right = &rights[i];
        BUF_AUTO needed = BUF_INIT(256), wanted = BUF_INIT(256);

        if (!is_used(preflight, right))
            continue;
        if (ask_verbs(kubernetes, namespace, right->resource, right->needed, &needed, err) < 0 ||
            ask_verbs(kubernetes, namespace, right->resource, right->wanted, &wanted, err) < 0)
            return -1;
        tell_denied(preflight, namespace, right->resource, &needed, FINDING_ERROR);
        tell_denied(preflight, namespace, right->resource, &wanted, FINDING_WARNING);
    }
    return 0;
}

/* An object that has to be there; what the account may not read is not its fault. */
static void check_object(const struct preflight *preflight, const struct kubernetes *kubernetes,
                         const char *namespace, const char *resource, const char *name)
{
    struct err err = {0};
    char subject[320];
    int found = kubernetes_has(kubernetes, namespace, resource, name, &err);

    (void)snprintf(subject, sizeof(subject), "%s/%.253s", resource, name);
    if (found == 0)
        err_set(&err, EXIT_CONFIG, "it is not in namespace %.253s", namespace);
    if (found < 0 && err.status == EXIT_REFUSED)
        err.status = EXIT_UNAVAILABLE;
    if (found != 1)
        findings_add_err(preflight->findings, subject, &err);
}

static void check_pull_secrets(const struct preflight *preflight,
                               const struct kubernetes *kubernetes, const char *namespace)
{
    const char *set = lint_get(preflight->settings, "spark.kubernetes.container.image.pullSecrets");
    const char *names = set ?: preflight->config->kubernetes.image_pull_secrets;
    char name[256];

    while (*names) {
        size_t len = strcspn(names, ", ");

        (void)snprintf(name, sizeof(name), "%.*s", (int)len, names);
        if (len)
            check_object(preflight, kubernetes, namespace, "secrets", name);
        names += len + (names[len] != '\0');
    }
}

static void check_uid(const struct preflight *preflight)
{
    const char *uid = service_getenv(preflight->environment, "POD_UID");

    if (uid && *uid)
        return;
    findings_add(preflight->findings,
                 &(struct finding){.severity = FINDING_WARNING,
                                   .key = "POD_UID",
                                   .what = "not set",
                                   .why = "executors that a driver leaves when it dies are not "
                                          "found, and stay as long as the pod",
                                   .instead = "the pod's metadata.uid, by the downward API"});
}

void preflight_kubernetes(const struct preflight *preflight, const char *folder)
{
    const struct config *config = preflight->config;
    KUBERNETES_AUTO kubernetes = {0};
    struct err err = {0};
    const char *namespace, *pod;

    findings_begin(preflight->findings, "kubernetes");
    if (kubernetes_open(&kubernetes, folder, preflight->environment, config->health.timeout, &err) <
        0) {
        findings_add_err(preflight->findings, "service account", &err);
        return;
    }
    namespace = lint_get(preflight->settings, "spark.kubernetes.namespace")
                    ?: *config->kubernetes.namespace ? config->kubernetes.namespace
                                                     : buf_str(&kubernetes.namespace);
    if (check_rights(preflight, &kubernetes, namespace, &err) < 0) {
        findings_add_err(preflight->findings, "permissions", &err);
        return; /* the rest would not be answered either */
    }
    pod = lint_get(preflight->settings, "spark.kubernetes.driver.pod.name")
              ?: *config->kubernetes.pod_name ? config->kubernetes.pod_name
                                              : service_getenv(preflight->environment, "HOSTNAME");
    if (pod)
        check_object(preflight, &kubernetes, namespace, "pods", pod);
    check_pull_secrets(preflight, &kubernetes, namespace);
    check_uid(preflight);
}

/* ---- Azure ---- */

static void check_container(const struct preflight *preflight,
                            const struct azure_container *container)
{
    struct err err = {0};
    char subject[400], what[160];
    int64_t skew_s = 0;

    (void)snprintf(subject, sizeof(subject), "%s@%s", container->name, container->account);
    if (azure_check(container, preflight->settings, preflight->config->health.timeout, &skew_s,
                    &err) < 0)
        findings_add_err(preflight->findings, subject, &err);
    if (skew_s <= MAX_SKEW_S && skew_s >= -MAX_SKEW_S)
        return;
    (void)snprintf(what, sizeof(what), "our clock is %" PRId64 " s %s Azure's",
                   skew_s < 0 ? -skew_s : skew_s, skew_s < 0 ? "behind" : "ahead of");
    findings_add(preflight->findings,
                 &(struct finding){.severity = FINDING_WARNING,
                                   .key = subject,
                                   .what = what,
                                   .why = "tokens count as expired, or as not yet valid",
                                   .instead = "a synchronised clock on the node"});
}

void preflight_azure(const struct preflight *preflight)
{
    static const char keys[] = "fs.defaultFS spark.sql.warehouse.dir hive.metastore.warehouse.dir "
                               "metastore.warehouse.dir";
    struct azure_container seen[4];
    const struct lint_setting *setting;
    size_t pos = 0, count = 0, i;

    while (count < 4 && (setting = lint_next(preflight->settings, keys, &pos))) {
        if (!azure_parse(setting->value, &seen[count]))
            continue;
        for (i = 0; i < count && (strcmp(seen[i].name, seen[count].name) != 0 ||
                                  strcmp(seen[i].account, seen[count].account) != 0);)
            i++;
        if (i < count)
            continue;
        if (count == 0)
            findings_begin(preflight->findings, "azure");
        check_container(preflight, &seen[count++]);
    }
}
