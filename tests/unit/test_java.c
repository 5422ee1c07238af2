#include "entrypoint/java.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY(text) ((char *)(uintptr_t)(text))

static char work[] = "/tmp/sparkpod-java-XXXXXX";

/* A working folder with archive/java/bin/java. */
static void make_folder(void)
{
    FILE *file;

    cr_assert(mkdtemp(work) && chdir(work) == 0);
    cr_assert(mkdir("archive", 0755) == 0 && mkdir("archive/java", 0755) == 0 &&
              mkdir("archive/java/bin", 0755) == 0);
    file = fopen("archive/java/bin/java", "we");
    cr_assert(file && fclose(file) == 0 && chmod("archive/java/bin/java", 0755) == 0);
}

static void remove_folder(void)
{
    (void)remove("archive/java/bin/java");
    (void)remove("archive/java/bin");
    (void)remove("archive/java");
    (void)remove("archive");
    (void)remove(work);
}

/* The JAVA_HOME and the one of before that a command gets where java.archive is that folder. */
static void expect(const char *folder, const char *home, const char *before)
{
    char *const environment[] = {ENTRY("JAVA_HOME=/real"), NULL};
    struct config config = {.java = {.archive = ENTRY(folder)}};
    struct service service = {.config = &config, .environment = environment};
    struct command command = {0};
    const char *got;

    command_set(&command, "JAVA_HOME", "/real");
    java_lead_command(&service, &command);
    cr_expect_str_eq(service_getenv(command.environment, "JAVA_HOME"), home);
    got = service_getenv(command.environment, "SPARKPOD_JAVA_HOME");
    cr_expect_str_eq(got ?: "", before, "%s", folder);
    command_free(&command);
}

Test(java, scripts_are_led_where_there_is_an_archive, .init = make_folder, .fini = remove_folder)
{
    char folder[PATH_MAX], home[PATH_MAX + 8];

    cr_assert(realpath("archive", folder));
    (void)snprintf(home, sizeof(home), "%s/java", folder);
    expect(folder, home, "/real");
    expect("off", "/real", "");
    expect("archive", "/real", "");
    expect("/nowhere", "/real", "");
    expect("", "/real", "");
    cr_assert(chmod("archive/java/bin/java", 0644) == 0);
    expect(folder, "/real", "");
}

Test(java, it_is_known_by_its_name)
{
    cr_expect(java_is_called("java"));
    cr_expect(java_is_called("/usr/local/lib/sparkpod/archive/java/bin/java"));
    cr_expect_not(java_is_called("/usr/local/bin/sparkpod"));
    cr_expect_not(java_is_called("/opt/java/sparkpod"));
    cr_expect_not(java_is_called("javac"));
    cr_expect_not(java_is_called(""));
}
