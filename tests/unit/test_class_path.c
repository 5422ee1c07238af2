#include "entrypoint/class_path.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sparkpod-class-path-XXXXXX";
static const char *const folders[] = {"jars", "conf", "[1]"};
static const char *const files[] = {"jars/b.jar", "jars/a.jar",  "jars/c.jar",     "jars/D.JAR",
                                    "[1]/.x.jar", "[1]/x:y.jar", "jars/notes.txt", "own.jar"};

static void make_files(void)
{
    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        cr_assert(mkdir(folders[i], 0755) == 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        FILE *file = fopen(files[i], "we");

        cr_assert(file && fclose(file) == 0);
    }
}

static void remove_files(void)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        (void)remove(files[i]);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        (void)remove(folders[i]);
    (void)remove(folder);
}

static void expect(const char *text, const char *const *leading, const char *written,
                   size_t overtaken)
{
    CLASS_PATH_AUTO path = {0};
    BUF_AUTO out = BUF_INIT(4096);

    class_path_read(text, leading, &path);
    class_path_write(&path, &out);
    cr_expect_not(path.failed);
    cr_expect_str_eq(buf_str(&out), written, "%s: %s", text, buf_str(&out));
    cr_expect_eq(path.overtaken, overtaken, "%s: %zu", text, path.overtaken);
}

Test(class_path, jars_come_first_and_everything_else_behind_them, .init = make_files,
     .fini = remove_files)
{
    static const struct {
        const char *text, *written;
        size_t overtaken;
    } cases[] = {
        {"conf", "conf", 0},
        {"own.jar", "own.jar", 0},
        {"own.jar:conf", "own.jar:conf", 0},
        {"conf:own.jar", "own.jar:conf", 1},
        {"conf:own.jar:conf", "own.jar:conf:conf", 1},
        {"conf::own.jar", "own.jar:conf:", 2},
        {"conf/:own.jar:none", "own.jar:conf/:none", 1},
        {"jars/*", "jars/D.JAR:jars/a.jar:jars/b.jar:jars/c.jar", 0},
        {"conf:jars/*:", "jars/D.JAR:jars/a.jar:jars/b.jar:jars/c.jar:conf:", 1},
        {"jars/c.jar:jars/*", "jars/c.jar:jars/D.JAR:jars/a.jar:jars/b.jar", 0},
        {"[1]/*", "[1]/.x.jar", 0},
        {"*", "own.jar", 0},
        {"none/*", "", 0},
        {"jars/notes.txt", "jars/notes.txt", 0},
        {"jars/b*", "jars/b*", 0},
        {"", "", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].text, NULL, cases[i].written, cases[i].overtaken);
}

Test(class_path, the_jars_that_lead_come_first_and_the_rest_stays_in_order, .init = make_files,
     .fini = remove_files)
{
    static const char *const leading[] = {"jars/c.jar", "jars/gone.jar", "jars/a.jar", NULL};

    expect("conf:jars/*", leading, "jars/c.jar:jars/a.jar:conf:jars/D.JAR:jars/b.jar", 1);
    expect("own.jar:conf:jars/*", leading,
           "jars/c.jar:jars/a.jar:own.jar:conf:jars/D.JAR:jars/b.jar", 2);
    expect("jars/*:conf:own.jar", leading,
           "jars/c.jar:jars/a.jar:jars/D.JAR:jars/b.jar:conf:own.jar", 0);
    /* What is named keeps its place, as a jar before others may be there to hide theirs. */
    expect("jars/a.jar:jars/c.jar", leading, "jars/a.jar:jars/c.jar", 0);
}

Test(class_path, an_entry_longer_than_any_path_is_kept_as_it_is)
{
    char text[10000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    BUF_AUTO out = BUF_INIT(20000);
    CLASS_PATH_AUTO path = {0};

    class_path_read(text, NULL, &path);
    class_path_write(&path, &out);
    cr_expect_str_eq(buf_str(&out), text);
}
