/* Whole templates to whole files: the golden folders, sets, folders, and standard input and output.
 *
 * A golden folder holds input.xml, input.conf or input.txt, the environment as "env" (NAME=value
 * lines; \n, \t, \r and \\ as in C), perhaps a secrets folder, and what comes out: "expected", or
 * the lines of "expected-fault". */
#include "common/fd.h"
#include "confgen/render.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN "tests/unit/golden"

static char home[] = "/tmp/test-render-XXXXXX";

static void make_home(void)
{
    cr_assert(mkdtemp(home) != NULL);
}

static void remove_home(void)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -rf %s", home);
    (void)!system(command);
}

static void enter_home(void)
{
    make_home();
    cr_assert(chdir(home) == 0 && mkdir("in", 0700) == 0 && mkdir("out", 0700) == 0);
}

static void put_file(const char *name, const char *content)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    cr_assert(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    close(fd);
}

static void expect_file(const char *name, const char *content)
{
    BUF_AUTO actual = BUF_INIT(1 << 20);

    cr_assert(fd_read_file(name, &actual) == 0, "%s is not there", name);
    cr_expect_str_eq(buf_str(&actual), content, "%s holds %s", name, buf_str(&actual));
}

/* ---- golden folders ---- */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

struct golden_case {
    char name[64];
};

ParameterizedTestParameters(render, makes_what_the_golden_folders_say)
{
    static struct golden_case cases[64];
    struct dirent **entries;
    int count = scandir(GOLDEN, &entries, is_visible, alphasort);

    for (int i = 0; i < count; i++) {
        (void)snprintf(cases[i].name, sizeof(cases[i].name), "%.63s", entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return cr_make_param_array(struct golden_case, cases, count > 0 ? (size_t)count : 0);
}

/* Cut the text into its lines, escapes decoded in place. */
static void read_environment(char *text, char **environment, size_t room)
{
    static const char letters[] = "ntr\\", meanings[] = "\n\t\r\\";
    char *to = text, *line = text;

    for (const char *from = text; *from; from++) {
        const char *letter = *from == '\\' ? strchr(letters, from[1]) : NULL;

        if (letter) {
            *to++ = meanings[letter - letters];
            from++;
        } else if (*from == '\n') {
            *to++ = '\0';
            cr_assert(room-- > 1);
            *environment++ = line;
            line = to;
        } else {
            *to++ = *from;
        }
    }
    *environment = NULL;
}

static const char *input_of_case(void)
{
    static const char *const names[] = {"input.xml", "input.conf", "input.txt"};
    size_t i = 0;

    while (i < 3 && access(names[i], R_OK) != 0)
        i++;
    cr_assert(i < 3, "no input");
    return names[i];
}

ParameterizedTest(struct golden_case *c, render, makes_what_the_golden_folders_say,
                  .init = make_home, .fini = remove_home)
{
    BUF_AUTO text = BUF_INIT(1 << 16);
    BUF_AUTO expected = BUF_INIT(1 << 20);
    BUF_AUTO actual = BUF_INIT(1 << 20);
    char folder[128], target[64], *environment[64];
    struct render_report report;
    struct variables *variables;
    struct err err = {0};
    int result;

    (void)snprintf(folder, sizeof(folder), GOLDEN "/%s", c->name);
    (void)snprintf(target, sizeof(target), "%s/out", home);
    cr_assert(chdir(folder) == 0 && fd_read_file("env", &text) == 0, "%s", folder);
    (void)buf_add_char(&text, '\0');
    read_environment(text.data, environment, 64);
    variables = variables_new(environment, "secrets", "");
    result = render_files(&(struct render_file){.source = input_of_case(), .target = target}, 1,
                          variables, &report, &err);
    if (fd_read_file("expected", &expected) == 0) {
        cr_expect_eq(result, 0, "%s: %s\n%s", c->name, err.message, buf_str(&report.faults));
        cr_expect_eq(report.fault_count, 0);
        (void)fd_read_file(target, &actual);
    } else {
        cr_assert(fd_read_file("expected-fault", &expected) == 0);
        cr_expect(result == -1 && err.status == EXIT_DATA);
        cr_expect(access(target, F_OK) != 0);
        (void)buf_add(&actual, buf_str(&report.faults), report.faults.len);
    }
    cr_expect_str_eq(buf_str(&actual), buf_str(&expected), "%s:\n%s", c->name, buf_str(&actual));
    render_report_free(&report);
    variables_free(variables);
}

Test(render, has_golden_folders)
{
    cr_expect(access(GOLDEN, R_OK) == 0, "run this from the root of the repository");
}

/* ---- sets and folders ---- */

static const char *const environment[] = {"A=1", "AMP=<&>", NULL};

static struct variables *variables_of_test(void)
{
    return variables_new((char *const *)environment, "", "");
}

Test(render, lists_every_fault_of_every_template_and_writes_nothing, .init = enter_home,
     .fini = remove_home)
{
    static const struct render_file files[] = {
        {.source = "in/a.conf", .target = "out/a.conf"},
        {.source = "in/b.xml", .target = "out/b.xml"},
        {.source = "in/c", .target = "out/c"},
        {.source = "in/d.xml", .target = "out/d.xml"},
    };
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;

    put_file("in/a.conf", "x=${A}\n  y=${B:?one} ${C:?two}\n");
    put_file("in/b.xml", "<a>\n");
    put_file("in/c", "${B:?three}");
    put_file("in/d.xml", "<a>${A}</a>");
    cr_expect(render_files(files, 4, variables, &report, &err) == -1);
    cr_expect_eq(err.status, EXIT_DATA);
    cr_expect_str_eq(err.message, "4 faults in the templates; nothing was written");
    cr_expect_str_eq(buf_str(&report.faults),
                     "in/a.conf:2:5: B: one\n"
                     "in/a.conf:2:15: C: two\n"
                     "in/b.xml:2:1: Premature end of data in tag a line 1\n"
                     "in/c:1:1: B: three\n");
    cr_expect_eq(report.file_count, 4);
    cr_expect_eq(report.placeholder_count, 5);
    cr_expect(rmdir("out") == 0, "something was written");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, takes_a_folder_the_way_kubernetes_mounts_it, .init = enter_home, .fini = remove_home)
{
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;
    struct stat status;

    cr_assert(mkdir("in/..data_1", 0700) == 0 && mkdir("in/folder", 0700) == 0);
    cr_assert(symlink("..data_1", "in/..data") == 0);
    cr_assert(symlink("..data/hive-site.xml", "in/hive-site.xml") == 0);
    put_file("in/..data_1/hive-site.xml", "<a>${AMP}</a>");
    put_file("in/spark-defaults.conf", "a=${AMP}");
    put_file("in/log4j2.properties", "a=${A}");
    put_file("in/hive-env.sh", "${A}${UNSET}");
    put_file("in/.hidden", "x");
    cr_assert(render_folder(&(struct render_file){.source = "in", .target = "out"}, variables,
                            &report, &err) == 0,
              "%s", err.message);
    expect_file("out/hive-site.xml", "<a>&lt;&amp;&gt;</a>");
    expect_file("out/spark-defaults.conf", "a=<&>");
    expect_file("out/log4j2.properties", "a=1");
    expect_file("out/hive-env.sh", "${A}${UNSET}");
    cr_expect(stat("out/hive-site.xml", &status) == 0 && (status.st_mode & 07777) == 0600);
    cr_expect(access("out/.hidden", F_OK) != 0 && access("out/folder", F_OK) != 0);
    cr_expect_eq(report.file_count, 4);
    cr_expect_eq(report.placeholder_count, 3);
    cr_expect_eq(report.fault_count, 0);
    render_report_free(&report);
    variables_free(variables);
}

Test(render, only_checks_without_a_target, .init = enter_home, .fini = remove_home)
{
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;

    put_file("in/a.conf", "a=${A}");
    cr_expect(render_folder(&(struct render_file){.source = "in"}, variables, &report, &err) == 0);
    cr_expect_eq(report.placeholder_count, 1);
    cr_expect_str_eq(buf_str(&report.listing),
                     "in/a.conf:1:3: A: from the environment, as a properties value\n");
    render_report_free(&report);
    put_file("in/a.conf", "a=${B}");
    cr_expect(render_folder(&(struct render_file){.source = "in"}, variables, &report, &err) == -1);
    cr_expect_str_eq(err.message, "1 fault in the templates; nothing was written");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, lists_where_each_value_comes_from_and_how_it_is_escaped, .init = enter_home,
     .fini = remove_home)
{
    static const char *const values[] = {"A=1", "DB_PASSWORD=p", "C_FILE=in/c", NULL};
    struct variables *variables = variables_new((char *const *)values, "in", "*PASSWORD*");
    struct render_report report;
    struct err err;

    put_file("in/c", "1");
    put_file("in/SECRET", "2");
    put_file("in/a.xml", "<a b='${A}'>${DB_PASSWORD}<![CDATA[${C}]]>\n${D:-d}</a>");
    put_file("in/b.conf", "${A}=${SECRET}");
    cr_expect(render_folder(&(struct render_file){.source = "in"}, variables, &report, &err) == 0);
    cr_expect_str_eq(buf_str(&report.listing),
                     "in/a.xml:1:7: A: from the environment, as an XML attribute\n"
                     "in/a.xml:1:13: DB_PASSWORD: a secret from the environment, as XML text\n"
                     "in/a.xml:1:36: C: a secret from in/c, as CDATA\n"
                     "in/a.xml:2:1: D: the default, as it is written\n"
                     "in/b.conf:1:1: A: from the environment, as a properties key\n"
                     "in/b.conf:1:6: SECRET: a secret from in/SECRET, as a properties value\n",
                     "%s", buf_str(&report.listing));
    render_report_free(&report);
    variables_free(variables);
}

#define PUBLISHED                                                                                  \
    " is a secret, and Spark copies this file into a ConfigMap for its executors: put the "        \
    "setting "                                                                                     \
    "into spark-defaults.conf as spark.hadoop.…, or set "                                        \
    "spark.kubernetes.executor.disableConfigMap=true there\n"

Test(render, refuses_a_secret_in_a_file_that_spark_publishes, .init = enter_home,
     .fini = remove_home)
{
    static const struct {
        const char *name, *defaults, *faults;
        bool is_published;
    } cases[] = {
        {"a.xml", "x=${S}", "in/a.xml:1:4: S" PUBLISHED "in/a.xml:1:8: S" PUBLISHED, true},
        {"log4j2.properties", "",
         "in/log4j2.properties:1:4: S" PUBLISHED "in/log4j2.properties:1:8: S" PUBLISHED, true},
        {"a.xml", "spark.kubernetes.executor.disableConfigMap=TRUE", "", true},
        {"a.xml", "spark.master local[2]", "", true},
        {"a.xml", "spark.master k8s://x", "in/a.xml:1:4: S" PUBLISHED "in/a.xml:1:8: S" PUBLISHED,
         true},
        {"spark-x.conf", "", "", true},
        {"a.xml", "", "", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const char *const values[] = {"S=1", "A=1", NULL};
        struct variables *variables = variables_new((char *const *)values, "", "S");
        struct render_file folder = {
            .source = "in", .target = "out", .is_published = cases[i].is_published};
        struct render_report report;
        struct err err;
        char path[64];

        (void)snprintf(path, sizeof(path), "in/%s", cases[i].name);
        put_file(path, "<a>${S}${S}${A}</a>");
        put_file("in/spark-defaults.conf", cases[i].defaults);
        cr_expect_eq(render_folder(&folder, variables, &report, &err), *cases[i].faults ? -1 : 0,
                     "row %zu", i);
        cr_expect_str_eq(buf_str(&report.faults), cases[i].faults, "row %zu: %s", i,
                         buf_str(&report.faults));
        cr_expect_eq(report.fault_count, *cases[i].faults ? 2 : 0);
        cr_expect_eq(access("out/spark-defaults.conf", F_OK), *cases[i].faults ? -1 : 0);
        (void)unlink(path);
        (void)unlink("out/spark-defaults.conf");
        render_report_free(&report);
        variables_free(variables);
    }
}

Test(render, warns_of_keys_that_are_set_twice_and_of_latin_1, .init = enter_home,
     .fini = remove_home)
{
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;

    put_file("in/a.conf", "# \xE4\na = 1\nb=\xE4\n1${A}=2\n\\u0061 3\n# a=4\n11=5\nc=6\n");
    cr_expect(render_folder(&(struct render_file){.source = "in"}, variables, &report, &err) == 0);
    cr_expect(strstr(buf_str(&report.warnings), "in/a.conf:3:1: this line is not UTF-8"));
    cr_expect(strstr(buf_str(&report.warnings),
                     "in/a.conf:5:1: this key was set in line 2 already: the last one counts\n"));
    cr_expect(strstr(buf_str(&report.warnings),
                     "in/a.conf:7:1: this key was set in line 4 already: the last one counts\n"));
    render_report_free(&report);
    variables_free(variables);
}

Test(render, reads_standard_input_and_writes_standard_output, .init = enter_home,
     .fini = remove_home)
{
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;
    int result, in, out, saved = dup(1);

    put_file("in/x", "<a>${AMP}</a>");
    in = open("in/x", O_RDONLY);
    out = open("out/x", O_WRONLY | O_CREAT, 0600);
    (void)fflush(stdout);
    cr_assert(dup2(in, 0) == 0 && dup2(out, 1) == 1);
    result = render_files(&(struct render_file){.source = "-", .target = "-", .format = RENDER_XML},
                          1, variables, &report, &err);
    (void)dup2(saved, 1);
    cr_expect_eq(result, 0);
    expect_file("out/x", "<a>&lt;&amp;&gt;</a>");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, goes_by_the_targets_name_where_the_templates_says_nothing, .init = enter_home,
     .fini = remove_home)
{
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;

    put_file("in/a.xml.tmpl", "<a>${AMP}</a>");
    cr_expect(render_files(&(struct render_file){.source = "in/a.xml.tmpl", .target = "out/a.xml"},
                           1, variables, &report, &err) == 0);
    expect_file("out/a.xml", "<a>&lt;&amp;&gt;</a>");
    render_report_free(&report);
    cr_expect(render_files(&(struct render_file){.source = "in/a.xml.tmpl",
                                                 .target = "out/a.xml",
                                                 .format = RENDER_TEXT},
                           1, variables, &report, &err) == 0);
    expect_file("out/a.xml", "<a><&></a>");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, says_which_file_cannot_be_read_or_written, .init = enter_home, .fini = remove_home)
{
    static const struct {
        struct render_file file;
        enum exit_status status;
        const char *message;
    } cases[] = {
        {{.source = "gone", .target = "out/a"},
         EXIT_CONFIG,
         "cannot read gone: No such file or directory"},
        {{.source = "in", .target = "out/a"}, EXIT_CONFIG, "cannot read in: Is a directory"},
        {{.source = "in/big", .target = "out/a"}, EXIT_CONFIG, "in/big is larger than 16 MiB"},
        {{.source = "in/a", .target = "out"},
         EXIT_CONFIG,
         "out is not a regular file (\"-\" is standard output)"},
        {{.source = "in/a", .target = "/dev/full"},
         EXIT_CONFIG,
         "/dev/full is not a regular file (\"-\" is standard output)"},
    };
    struct variables *variables = variables_of_test();
    struct render_report report;
    struct err err;

    put_file("in/a", "x");
    put_file("in/big", "x");
    cr_assert(truncate("in/big", (off_t)RENDER_MAX_BYTES + 1) == 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect(render_files(&cases[i].file, 1, variables, &report, &err) == -1);
        cr_expect_eq(err.status, cases[i].status);
        cr_expect_str_eq(err.message, cases[i].message);
        render_report_free(&report);
    }
    cr_expect(render_folder(&(struct render_file){.source = "gone", .target = "out"}, variables,
                            &report, &err) == -1);
    cr_expect_str_eq(err.message, "cannot read gone: No such file or directory");
    render_report_free(&report);
    cr_assert(symlink("gone", "in/dangling") == 0);
    cr_expect(render_folder(&(struct render_file){.source = "in", .target = "out"}, variables,
                            &report, &err) == -1);
    cr_expect_str_eq(err.message, "cannot read in/dangling: No such file or directory");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, refuses_a_result_that_grows_too_large, .init = enter_home, .fini = remove_home)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    struct variables *variables = variables_new((char *const *)environment, "in", "");
    struct render_report report;
    struct err err;

    for (int i = 0; i < 20; i++)
        (void)buf_add_str(&text, "${BIG}");
    put_file("in/t.txt", buf_str(&text));
    put_file("in/BIG", "x");
    cr_assert(truncate("in/BIG", VARIABLES_MAX_BYTES) == 0);
    cr_expect(
        render_files(
            &(struct render_file){.source = "in/t.txt", .target = "out/t", .format = RENDER_TEXT},
            1, variables, &report, &err) == -1);
    cr_expect_eq(report.fault_count, 20, "a NUL in a text");
    render_report_free(&report);

    buf_clear(&text);
    while (text.len < VARIABLES_MAX_BYTES / 2)
        (void)buf_add_str(&text, "0123456789abcdef");
    put_file("in/BIG2", buf_str(&text));
    buf_clear(&text);
    for (int i = 0; i < 33; i++)
        (void)buf_add_str(&text, "${BIG2}");
    put_file("in/t.txt", buf_str(&text));
    cr_expect(
        render_files(
            &(struct render_file){.source = "in/t.txt", .target = "out/t", .format = RENDER_TEXT},
            1, variables, &report, &err) == -1);
    cr_expect_str_eq(buf_str(&report.faults),
                     "in/t.txt:1:1: the result is larger than 16 MiB, or than the memory\n");
    render_report_free(&report);
    variables_free(variables);
}

Test(render, knows_its_formats_by_name)
{
    enum render_format format;

    cr_expect(render_parse_format("xml", &format) == 0 && format == RENDER_XML);
    cr_expect(render_parse_format("properties", &format) == 0 && format == RENDER_PROPERTIES);
    cr_expect(render_parse_format("text", &format) == 0 && format == RENDER_TEXT);
    cr_expect(render_parse_format("auto", &format) == 0 && format == RENDER_AUTO);
    cr_expect(render_parse_format("XML", &format) == -1);
}
