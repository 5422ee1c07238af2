/* What the helpers do beside what they call. The server is a stand-in that no waiting cures. */
#include "entrypoint/helpers.h"

#include "common/buf.h"
#include "common/fd.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static uint16_t port;

/* Wants a SASL login, which is fatal to who asks a metastore without. */
static pid_t start_refusing(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int client = accept(fd, NULL, NULL);

        (void)!write(client, "\x03\x00\x00\x00\x00", 5);
        close(client);
    }
}

static int find_targets(const struct service *service, struct target **ret, size_t *ret_count,
                        struct err *err)
{
    char url[64];

    (void)service;
    (void)snprintf(url, sizeof(url), "thrift://127.0.0.1:%u", port);
    *ret = calloc(1, sizeof(**ret));
    *ret_count = 1;
    return target_parse(url, *ret, err);
}

static int is_away(const struct service *service, struct err *err)
{
    (void)service;
    return err_set(err, EXIT_UNAVAILABLE, "away");
}

static void put_file(const char *folder, const char *content)
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/a.conf", folder);
    cr_assert(file = fopen(path, "w"));
    cr_assert_geq(fputs(content, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void remove_folder(const char *folder)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/a.conf", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* By the time of that step PID 1 has overwritten the secrets in the environment. */
Test(helpers, what_is_rendered_stays_while_a_step_waits_once_more)
{
    char source[] = "/tmp/source-XXXXXX", target[] = "/tmp/target-XXXXXX", path[64], none[] = "";
    char *const environment[] = {NULL};
    struct config config = {
        .render = {source, target, none, none, none},
        .health.timeout = 5000,
        .wait.fatal_grace = 8000, /* it is asked again within */
    };
    const struct role role = {
        .name = "metastore", .is_rendered = true, .find_targets = find_targets, .prepare = is_away};
    struct service service = {
        .role = &role, .config = &config, .conf_folder = target, .environment = environment};
    struct helper helper = {.service = &service, .listen_fd = -1, .ready_fd = -1};
    BUF_AUTO content = BUF_INIT(64);
    pid_t server = start_refusing();

    cr_assert(mkdtemp(source) && mkdtemp(target));
    put_file(source, "password=${PASSWORD:-none}\n");
    put_file(target, "password=kept\n");
    cr_expect_eq(helper_prepare(&helper), EXIT_CONFIG);
    (void)snprintf(path, sizeof(path), "%s/a.conf", target);
    cr_assert_eq(fd_read_file(path, &content), 0);
    cr_expect_str_eq(buf_str(&content), "password=kept\n");
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    remove_folder(source);
    remove_folder(target);
}
