#include "entrypoint/helpers.h"

#include "common/log.h"
#include "confgen/variables.h"
#include "entrypoint/rendering.h"
#include "probes/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int fail(const char *module, const struct err *err)
{
    log_error(module, "%s", err->message);
    return err->status;
}

void helper_wipe_secrets(const struct service *service)
{
    char name[256];

    for (char *const *entry = service->environment; service->role->is_rendered && *entry; entry++) {
        const char *value = variables_part_entry(*entry, name, sizeof(name));

        if (value && service_is_withheld(service->config, name))
            explicit_bzero((char *)(uintptr_t)value, strlen(value));
    }
    if (service->role->is_rendered)
        log_mask_clear();
}

int helper_render(void *helper)
{
    const struct service *service = ((struct helper *)helper)->service;
    struct render_file folder = {
        .source = service->config->render.source,
        .target = service->conf_folder,
        .is_published = service->role->is_published &&
                        service_getenv(service->environment, "KUBERNETES_SERVICE_HOST"),
    };
    struct err err = {0};
    int found;

    if (!service->role->is_rendered)
        return EXIT_DONE;
    found = rendering_has_templates(service->config, &err);
    if (found == 0)
        log_info("render", "no templates in %s: %s is used as it is", folder.source, folder.target);
    if (found == 1 && mkdir(folder.target, 0755) < 0 && errno != EEXIST)
        found =
            err_set_errno(&err, EXIT_CONFIG,
                          "render.target: cannot make %s (mount an emptyDir there)", folder.target);
    if (found == 1)
        found = rendering_run(&folder, service->config, service->environment, "", &err);
    return found < 0 ? fail("render", &err) : EXIT_DONE;
}

struct waiting {
    struct snapshot *snapshot;
    const struct target *targets;
};

static void show_waiting(void *context, size_t index, const struct check_result *result)
{
    struct waiting *waiting = context;

    snapshot_put_waiting(waiting->snapshot, index, waiting->targets[index].url, result);
}

int helper_wait(void *helper)
{
    const struct helper *h = helper;
    const struct config *config = h->service->config;
    struct waiting waiting = {.snapshot = h->snapshot};
    struct wait_options options = {
        .timeout_ms = config->wait.timeout,
        .try_timeout_ms = config->health.timeout,
        .fatal_grace_ms = config->wait.fatal_grace,
        .cancel_fd = -1,
        .changed = show_waiting,
        .context = &waiting,
    };
    struct target *targets = NULL;
    size_t count = 0;
    struct err err;
    int result;

    if (h->service->role->find_targets(h->service, &targets, &count, &err) < 0)
        return fail("wait", &err);
    waiting.targets = targets;
    result = count ? wait_for_targets(targets, count, &options, &err) : 0;
    service_free_targets(targets, count);
    return result < 0 ? fail("wait", &err) : EXIT_DONE;
}

int helper_prepare(void *helper)
{
    const struct helper *h = helper;
    struct err err;

    if (!h->service->role->prepare || h->service->role->prepare(h->service, &err) == 0)
        return EXIT_DONE;
    return fail("prepare", &err);
}

int helper_drain(void *helper)
{
    const struct helper *h = helper;
    struct err err;

    if (h->service->role->drain(h->service, h->snapshot, &err) == 0)
        return EXIT_DONE;
    return fail("drain", &err);
}

static int make_plan(void *context, struct monitor_plan *ret, struct err *err)
{
    const struct service *service = context;
    const struct config *config = service->config;

    if (service->role->make_plan(service, ret, err) < 0)
        return -1;
    ret->interval_ms = config->health.interval;
    ret->timeout_ms = config->health.timeout;
    return 0;
}

int helper_health(void *helper)
{
    const struct helper *h = helper;
    struct monitor monitor = {
        .snapshot = h->snapshot,
        .listen_fd = h->listen_fd,
        .ready_fd = h->ready_fd,
        .make_plan = make_plan,
        .context = (void *)(uintptr_t)h->service,
    };

    helper_wipe_secrets(h->service); /* it was forked before the templates were rendered */
    return monitor_run(&monitor);
}
