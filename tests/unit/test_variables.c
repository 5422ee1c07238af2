/* Where values come from, what is a fault, and what counts as a secret. */
#include "confgen/variables.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_file(const char *name, const char *content, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert(fd >= 0 && write(fd, content, len) == (ssize_t)len);
    close(fd);
}

/* Each test has a folder of its own to itself. */
static void enter_folder(void)
{
    char folder[] = "/tmp/test-variables-XXXXXX";

    cr_assert(mkdtemp(folder) && chdir(folder) == 0);
    cr_assert(mkdir("a", 0700) == 0 && mkdir("b", 0700) == 0);
}

static void leave_folder(void)
{
    char *folder = realpath(".", NULL);

    (void)!system("rm -rf a b file dangling");
    (void)rmdir(folder);
    free(folder);
}

TestSuite(variables, .init = enter_folder, .fini = leave_folder);

static int get(struct variables *variables, const char *name, struct variable *ret, struct err *err)
{
    err->message[0] = '\0';
    return variables_get(variables, name, strlen(name), ret, err);
}

Test(variables, come_from_the_environment_first)
{
    const char *const environment[] = {"AB=long", "A=x=y", "EMPTY=", "B=1", "B=2", NULL};
    struct variables *variables = variables_new((char *const *)environment, "a", "");
    struct variable v;
    struct err err;

    put_file("a/A", "file", 4);
    cr_expect(get(variables, "A", &v, &err) == 1);
    cr_expect_str_eq(v.value, "x=y");
    cr_expect(!v.secret && v.len == 3);
    cr_expect(get(variables, "EMPTY", &v, &err) == 1 && v.len == 0);
    cr_expect(get(variables, "B", &v, &err) == 1 && v.value[0] == '1');
    cr_expect(get(variables, "C", &v, &err) == 0);
    variables_free(variables);
}

Test(variables, come_from_the_file_that_is_named)
{
    const char *const environment[] = {"A_FILE=file", NULL};
    struct variables *variables = variables_new((char *const *)environment, "", "");
    struct variable v;
    struct err err;

    put_file("file", "p\0w\n\n", 5);
    cr_expect(get(variables, "A", &v, &err) == 1);
    cr_expect(v.len == 4 && memcmp(v.value, "p\0w\n", 5) == 0);
    cr_expect(v.secret);
    variables_free(variables);
}

Test(variables, come_from_the_first_folder_that_has_them)
{
    const char *const environment[] = {NULL};
    struct variables *variables = variables_new((char *const *)environment, " nowhere:a b", "");
    struct variable v;
    struct err err;

    put_file("b/A", "second", 6);
    put_file("b/B", "b", 1);
    put_file("a/A", "first", 5);
    cr_expect(get(variables, "A", &v, &err) == 1);
    cr_expect_str_eq(v.value, "first");
    cr_expect(get(variables, "B", &v, &err) == 1 && v.secret);
    cr_expect(get(variables, "C", &v, &err) == 0);
    variables_free(variables);
}

Test(variables, lose_one_newline_of_a_file)
{
    static const struct {
        const char *content, *value;
    } cases[] = {
        {"x", "x"}, {"x\n", "x"}, {"x\r\n", "x"}, {"x\n\n", "x\n"}, {"x\r", "x\r"},
        {"\n", ""}, {"\r\n", ""}, {"", ""},       {" x \n", " x "},
    };
    const char *const environment[] = {"A_FILE=file", NULL};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct variables *variables = variables_new((char *const *)environment, NULL, NULL);
        struct variable v;
        struct err err;

        put_file("file", cases[i].content, strlen(cases[i].content));
        cr_expect(get(variables, "A", &v, &err) == 1);
        cr_expect_str_eq(v.value, cases[i].value);
        cr_expect_eq(v.len, strlen(cases[i].value));
        variables_free(variables);
    }
}

Test(variables, stay_the_same_once_read)
{
    const char *const environment[] = {"A_FILE=file", NULL};
    struct variables *variables = variables_new((char *const *)environment, "", "");
    struct variable before, after;
    struct err err;

    put_file("file", "old", 3);
    cr_expect(get(variables, "A", &before, &err) == 1);
    put_file("file", "new", 3);
    cr_expect(get(variables, "A", &after, &err) == 1);
    cr_expect(before.value == after.value);
    cr_expect_str_eq(after.value, "old");
    variables_free(variables);
}

Test(variables, say_what_is_wrong_and_with_which_file)
{
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"BOTH", "BOTH and BOTH_FILE are both set: unset one of them"},
        {"GONE", "cannot read nowhere/x for GONE: No such file or directory"},
        {"FOLDER", "cannot read a for FOLDER: Is a directory"},
        {"BLANK", "BLANK_FILE is set but empty: name a file, or unset it"},
        {"LONG", "file for LONG is longer than 1 MiB"},
        {"INNER", "cannot read a/INNER for INNER: Is a directory"},
    };
    const char *const environment[] = {"BOTH=",
                                       "BOTH_FILE=file",
                                       "GONE_FILE=nowhere/x",
                                       "FOLDER_FILE=a",
                                       "BLANK_FILE=",
                                       "LONG_FILE=file",
                                       NULL};
    struct variables *variables = variables_new((char *const *)environment, "a", "");
    char *content = calloc(1, VARIABLES_MAX_BYTES + 1);
    struct variable v;
    struct err err;

    put_file("file", content, VARIABLES_MAX_BYTES + 1);
    cr_assert(mkdir("a/INNER", 0700) == 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect(get(variables, cases[i].name, &v, &err) == -1);
        cr_expect_str_eq(err.message, cases[i].message);
    }
    free(content);
    variables_free(variables);
}

static char seen[200];

static void collect(const char *value, size_t len)
{
    cr_assert(strlen(value) == len);
    (void)strncat(seen, value, 100);
    (void)strncat(seen, " ", 2);
}

Test(variables, that_are_secret_can_be_listed)
{
    const char *const environment[] = {
        "DB_PASSWORD=p1", "PLAIN=plain", "API_TOKEN=t", "UNREAD_TOKEN=u",
        "EMPTY_TOKEN=",   "F_FILE=file", NULL};
    const char *names[] = {"DB_PASSWORD", "PLAIN", "API_TOKEN", "EMPTY_TOKEN", "F"};
    struct variables *variables =
        variables_new((char *const *)environment, "", "*PASSWORD*\t*TOKEN*");
    struct variable v;
    struct err err;

    put_file("file", "f", 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_expect(get(variables, names[i], &v, &err) == 1);
    variables_each_secret(variables, collect);
    cr_expect_str_eq(seen, "f t p1 ");
    variables_free(variables);
    variables_free(NULL);
}

static void put_generation(const char *name, const char *user, const char *password)
{
    char path[64];

    cr_assert(mkdir(name, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/USER", name);
    put_file(path, user, strlen(user));
    (void)snprintf(path, sizeof(path), "%s/PASSWORD", name);
    put_file(path, password, strlen(password));
}

/* As kubelet's AtomicWriter does it: a new folder, the link renamed, the old folder removed. */
Test(variables, of_a_mounted_secret_are_of_one_generation)
{
    const char *const environment[] = {NULL};
    struct variables *variables;
    struct variable user, password;
    struct err err;

    put_generation("a/..1", "old user", "old password");
    cr_assert(symlink("..1", "a/..data") == 0 && symlink("..data/USER", "a/USER") == 0 &&
              symlink("..data/PASSWORD", "a/PASSWORD") == 0);
    variables = variables_new((char *const *)environment, "a", "");
    cr_expect(get(variables, "USER", &user, &err) == 1);
    cr_expect_str_eq(user.value, "old user");
    cr_expect_str_eq(user.file, "a/USER");
    put_generation("a/..2", "new user", "new password");
    cr_assert(symlink("..2", "a/..new") == 0 && rename("a/..new", "a/..data") == 0);
    cr_expect(get(variables, "PASSWORD", &password, &err) == 1);
    cr_expect_str_eq(password.value, "old password");
    cr_expect(variables_are_stale(variables));
    variables_free(variables);
    (void)unlink("a/..2/USER");
    variables = variables_new((char *const *)environment, "a", "");
    cr_expect(!variables_are_stale(variables));
    cr_expect(get(variables, "USER", &user, &err) == 0);
    put_generation("a/..3", "newest user", "newest password");
    cr_assert(symlink("..3", "a/..new") == 0 && rename("a/..new", "a/..data") == 0);
    cr_expect(get(variables, "USER", &user, &err) == -1);
    cr_expect_str_eq(err.message, "a was replaced while USER was looked for: run it again");
    variables_free(variables);
}

Test(variables, warn_of_a_folder_that_is_not_there_and_of_a_file_that_others_may_read)
{
    const char *const environment[] = {"B_FILE=file", NULL};
    struct variables *variables;
    struct variable v;
    struct err err;

    put_file("a/A", "1", 1);
    put_file("file", "1", 1);
    cr_assert(chmod("file", 0644) == 0);
    variables = variables_new((char *const *)environment, "gone:a", "");
    cr_expect(get(variables, "A", &v, &err) == 1 && get(variables, "B", &v, &err) == 1);
    cr_expect_str_eq(buf_str(variables_warnings(variables)),
                     "secrets folder gone: No such file or directory\n"
                     "B: every user may read file (mode 0644): mount the Secret with "
                     "defaultMode: 0440 and set fsGroup\n");
    variables_free(variables);
}

Test(variables, are_matched_by_shell_patterns)
{
    static const struct {
        const char *patterns, *name;
        bool matches;
    } cases[] = {
        {"*PASSWORD* *KEY*", "DB_PASSWORD", true},
        {"*PASSWORD* *KEY*", "KEYSTORE", true},
        {"*PASSWORD* *KEY*", "db_password", false},
        {"A?", "AB", true},
        {"A?", "A", false},
        {"", "A", false},
        {NULL, "A", false},
        {"  A  ", "A", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect(variables_name_matches(cases[i].patterns, cases[i].name) == cases[i].matches,
                  "row %zu", i);
}
