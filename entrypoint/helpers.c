#include "entrypoint/helpers.h"

#include "common/log.h"
#include "common/signal_name.h"
#include "confgen/variables.h"
#include "entrypoint/rendering.h"
#include "probes/wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREPARE_TRIES 5
#define PREPARE_PAUSE_MS 1000

static int fail(const char *module, const struct err *err)
{
    log_error(module, "%s", err->message);
    return err->status;
}

static void wipe_environment(const struct service *service)
{
    char name[256];

    for (char *const *entry = service->environment; service->role->is_rendered && *entry; entry++) {
        const char *value = variables_part_entry(*entry, name, sizeof(name));

        if (value && service_is_withheld(service->config, name))
            explicit_bzero((char *)(uintptr_t)value, strlen(value));
    }
}

void helper_wipe_secrets(const struct service *service)
{
    wipe_environment(service);
    if (service->role->is_rendered)
        log_mask_clear();
}

static int render(const struct service *service, bool quiet, struct err *err)
{
    struct render_file folder = {
        .source = service->config->render.source,
        .target = service->conf_folder,
        .is_published = service->role->is_published &&
                        service_getenv(service->environment, "KUBERNETES_SERVICE_HOST"),
    };
    int found;

    if (!service->role->is_rendered)
        return 0;
    found = rendering_has_templates(service->config, err);
    if (found == 0 && !quiet)
        log_info("render", "no templates in %s: %s is used as it is", folder.source, folder.target);
    if (found == 1 && mkdir(folder.target, 0755) < 0 && errno != EEXIST)
        found =
            err_set_errno(err, EXIT_CONFIG,
                          "render.target: cannot make %s (mount an emptyDir there)", folder.target);
    if (found == 1)
        found = rendering_run(&folder, service->config, service->environment, "", quiet, err);
    return found < 0 ? -1 : 0;
}

int helper_render(void *helper)
{
    struct err err = {0};

    return render(((struct helper *)helper)->service, false, &err) < 0 ? fail("render", &err)
                                                                       : EXIT_DONE;
}

struct waiting {
    const struct service *service;
    struct snapshot *snapshot;
    struct target *targets;
    size_t count;
};

static void show_waiting(void *context, size_t index, const struct check_result *result)
{
    struct waiting *waiting = context;

    if (waiting->snapshot)
        snapshot_put_waiting(waiting->snapshot, index, waiting->targets[index].url, result);
}

/* What cannot be rendered or read now is left as it was. */
static bool refresh(void *context)
{
    struct waiting *waiting = context;
    struct target *fresh = NULL;
    bool changed = false;
    size_t count = 0;
    struct err err;

    if (render(waiting->service, true, &err) < 0 ||
        waiting->service->role->find_targets(waiting->service, &fresh, &count, &err) < 0)
        log_debug("wait", "%s", err.message);
    for (size_t i = 0; i < count && i < waiting->count; i++)
        changed = target_replace(&waiting->targets[i], &fresh[i]) || changed;
    service_free_targets(fresh, count);
    return changed;
}

static int wait_for(const struct service *service, struct snapshot *snapshot, int cancel_fd,
                    bool (*refresh_logins)(void *waiting), struct err *err)
{
    struct waiting waiting = {.service = service, .snapshot = snapshot};
    struct wait_options options = {
        .timeout_ms = service->config->wait.timeout,
        .try_timeout_ms = service->config->health.timeout,
        .fatal_grace_ms = service->config->wait.fatal_grace,
        .cancel_fd = cancel_fd,
        .changed = show_waiting,
        .refresh = refresh_logins,
        .context = &waiting,
    };
    int result = service->role->find_targets(service, &waiting.targets, &waiting.count, err);

    if (result == 0 && waiting.count)
        result = wait_for_targets(waiting.targets, waiting.count, &options, err);
    service_free_targets(waiting.targets, waiting.count);
    return result;
}

int helper_wait_for(const struct service *service, struct snapshot *snapshot, int cancel_fd,
                    struct err *err)
{
    return wait_for(service, snapshot, cancel_fd, refresh, err);
}

/* NULL without memory. */
static char **copy_environment(char *const *environment)
{
    size_t count = 0;
    char **copy;

    while (environment[count])
        count++;
    copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(environment[i]);
        if (!copy[i])
            return NULL;
    }
    return copy;
}

/* Ends, whatever hangs: it has a deadline of its own, and the alarm comes after that. */
int helper_clean(void *helper)
{
    const struct service *service = ((struct helper *)helper)->service;

    (void)alarm((unsigned)(service->config->health.timeout / 1000 + 2));
    service->role->clean(service);
    return EXIT_DONE;
}

/* What an earlier start left is deleted while this one waits; before the service runs, all there is
 * of this pod is old. No failure of it is one of the start. In the group of this helper, it ends
 * with it. */
static pid_t start_cleaning(struct helper *helper)
{
    pid_t parent = getpid(), pid;

    if (!helper->service->role->clean)
        return 0;
    pid = fork();
    if (pid < 0)
        log_warn("leftovers", "cannot fork a helper: %s", strerror(errno));
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(getppid() == parent ? helper_clean(helper) : EXIT_INTERNAL);
}

/* A start that has failed does not wait for it. */
static void finish_cleaning(pid_t pid, bool failed)
{
    int status = 0;

    if (pid <= 0)
        return;
    if (failed)
        (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && !failed)
        log_warn("leftovers", "the helper was ended by SIG%s", signal_name(WTERMSIG(status)));
}

/* Rendering again needs all values: they are moved from where /proc/PID/environ shows them to the
 * heap, and nobody may look there. */
int helper_wait(void *helper)
{
    const struct helper *h = helper;
    struct service service = *h->service;
    char **environment = copy_environment(service.environment);
    pid_t cleaning;
    struct err err;
    int result;

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!environment) {
        err_no_memory(&err);
        return fail("wait", &err);
    }
    wipe_environment(&service);
    service.environment = environment;
    cleaning = start_cleaning(helper);
    result = helper_wait_for(&service, h->snapshot, -1, &err);
    finish_cleaning(cleaning, result < 0);
    return result < 0 ? fail("wait", &err) : EXIT_DONE;
}

/* What answered when it was waited for may be away again: a name that does not resolve for a second
 * is no reason to end the pod. Nothing is rendered again: PID 1's values are overwritten by now. */
int helper_prepare(void *helper)
{
    const struct helper *h = helper;
    struct err err;

    for (int tries = 1; h->service->role->prepare(h->service, &err) < 0; tries++) {
        if (err.status != EXIT_UNAVAILABLE || tries == PREPARE_TRIES)
            return fail("prepare", &err);
        log_warn("prepare", "%s; waiting once more", err.message);
        (void)poll(NULL, 0, PREPARE_PAUSE_MS);
        if (wait_for(h->service, h->snapshot, -1, NULL, &err) < 0)
            return fail("prepare", &err);
    }
    return EXIT_DONE;
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
