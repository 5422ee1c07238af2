/* Java properties: reading them as Java does, and values that come back exactly. */
#include "confgen/properties.h"
#include "confgen/utf8.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static int add_pair(void *context, const struct pair *pair)
{
    struct buf *out = context;

    (void)buf_printf(out, "[%s|", pair->key);
    (void)buf_add(out, pair->value, pair->value_len);
    return buf_add_char(out, ']');
}

static int add_line(void *context, const struct pair *pair)
{
    return buf_printf(context, "[%s %zu %zu]", pair->key, pair->line, pair->number);
}

Test(properties, are_read_with_the_line_that_each_begins_on)
{
    static const char text[] = "# comment\n\na=1\\\n  2\\\n  3\r\nb=\n\n  c 3";
    BUF_AUTO out = BUF_INIT(4096);

    cr_assert(properties_read(text, strlen(text), add_line, &out, NULL) == 0);
    cr_expect_str_eq(buf_str(&out), "[a 3 0][b 6 1][c 8 2]", "%s", buf_str(&out));
}

struct text_case {
    char in[96];
    char out[96];
};

/* What java.util.Properties (17) made of the same bytes. */
ParameterizedTestParameters(properties, are_read_as_java_reads_them)
{
    static struct text_case cases[] = {
        {"a=b", "[a|b]"},
        {"a:b", "[a|b]"},
        {"a b", "[a|b]"},
        {"a\tb", "[a|b]"},
        {"a = b ", "[a|b ]"},
        {"a == b", "[a|= b]"},
        {"a : = b", "[a|= b]"},
        {"  a=b", "[a|b]"},
        {"a", "[a|]"},
        {"a=", "[a|]"},
        {"=b", "[|b]"},
        {"a=b\nc=d", "[a|b][c|d]"},
        {"a=b\r\nc=d\r", "[a|b][c|d]"},
        {"a=b\rc=d\n", "[a|b][c|d]"},
        {"\n\n  \n a=b", "[a|b]"},
        {"# c=d\n! e=f\na=b#x", "[a|b#x]"},
        {"  # c\na=b", "[a|b]"},
        {"# c\\\na=b", "[a|b]"},
        {"a=b\\\n  c", "[a|bc]"},
        {"a=b\\\r\n\tc", "[a|bc]"},
        {"a=b\\\\\nc=d", "[a|b\\][c|d]"},
        {"a=b\\\n# c", "[a|b# c]"},
        {"a=b\\\n\nc=d", "[a|b][c|d]"},
        {"a\\\n  b = c", "[ab|c]"},
        {"\\\n# c\na=b", "[a|b]"},
        {"\\ a\\=\\:\\#=\\ b", "[ a=:#| b]"},
        {"a=\\t\\n\\r\\f\\q\\\\", "[a|\t\n\r\fq\\]"},
        {"a=\\u00e4\\u20AC\\ud83d\\ude00", "[a|\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80]"},
        {"a=\\ud83dx\\ud83d\\u0041", "[a|\xED\xA0\xBDx\xED\xA0\xBD"
                                     "A]"},
        {"a=\xC3\xA4\xFF", "[a|\xC3\xA4\xFF]"},
        {"a=b\\", "[a|b]"},
        {"a\\", "[a|]"},
        {"\\", "[|]"},
        {"\\\n", "[|]"},
        {"\\\r\n", ""},
        {"", ""},
        {"\f\t ", ""},
        {"a=1\na=2", "[a|1][a|2]"},
        {"\xEF\xBB\xBF"
         "a=b",
         "[\xEF\xBB\xBF"
         "a|b]"},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, properties, are_read_as_java_reads_them)
{
    BUF_AUTO out = BUF_INIT(4096);
    struct err err;

    cr_assert(properties_read(c->in, strlen(c->in), add_pair, &out, &err) == 0);
    cr_expect_str_eq(buf_str(&out), c->out, "%s gave %s", c->in, buf_str(&out));
}

Test(properties, with_a_malformed_escape_are_refused_with_the_line)
{
    static const char *const texts[] = {"a=b\n\nc=\\u12", "a=b\n\nc=\\u123g\n", "a=b\n\n\\uc\n",
                                        "a=b\n\nc=\\u12\\u3456"};
    BUF_AUTO out = BUF_INIT(4096);
    struct err err;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_expect(properties_read(texts[i], strlen(texts[i]), add_pair, &out, &err) == -1);
        cr_expect_eq(err.status, EXIT_DATA);
        cr_expect(strncmp(err.message, "line 3: a \\u is not followed", 28) == 0, "%s",
                  err.message);
    }
}

static int stop(void *context, const struct pair *pair)
{
    (void)pair;
    ++*(int *)context;
    return -1;
}

Test(properties, reading_ends_when_the_caller_says_so)
{
    int calls = 0;
    struct err err;

    cr_expect(properties_read("a=b\nc=d", 7, stop, &calls, &err) == -1);
    cr_expect_eq(calls, 1);
}

/* Expand; out becomes the result, or the faults behind a '!'. */
static void expand(const char *text, const char *const *environment, struct buf *out)
{
    struct variables *variables = variables_new((char *const *)environment, "", "");
    BUF_AUTO faults = BUF_INIT(1 << 16);
    struct expansion expansion;

    expansion_init(&expansion, "f", text, strlen(text), 1 << 20, variables, &faults);
    properties_expand(&expansion);
    buf_clear(out);
    if (expansion.fault_count)
        (void)buf_printf(out, "!%s", buf_str(&faults));
    else
        (void)buf_add(out, buf_str(&expansion.result), expansion.result.len);
    expansion_free(&expansion);
    variables_free(variables);
}

ParameterizedTestParameters(properties, take_values)
{
    static struct text_case cases[] = {
        {"a=${V}\n", "a=x\\\\y=:#!z\n"},
        {"a=p${V}q", "a=px\\\\y=:#!zq"},
        {"${V}=a", "x\\\\y\\=\\:\\#\\!z=a"},
        {"a.${ACCOUNT:-b}.c: d", "a.b.c: d"},
        {"a.${K} = 1", "a.k\\ 1 = 1"},
        {"a ${EQ}", "a \\=x"},
        {"a=${HASH}${HASH}", "a=\\#x\\#x"},
        {"a=b\\\n  ${EQ}", "a=b\\\n  \\=x"},
        {"a=p${BLANKS}q", "a=p\\  xq"},
        {"a=p${CTRL}q", "a=p\\u0001\\t\\f\\n\\r\\u007Fq"},
        {"a=${UTF8}", "a=\\u00E4\\u20AC"},
        {"# ${UNSET}\n ! ${UNSET:?x}\na=1", "# ${UNSET}\n ! ${UNSET:?x}\na=1"},
        {"a=b\\\n# ${V}", "a=b\\\n# x\\\\y=:#!z"},
        {"a=$${V}", "a=${V}"},
        {"a=\\$${V}", "a=\\${V}"},
        {"a=\\\\${K}", "a=\\\\k 1"},
        {"a=${env:X} ${env.X} $1", "a=${env:X} ${env.X} $1"},
        {"a\tb ${UNSET:-} c\r\nd=e", "a\tb  c\r\nd=e"},
        {"a ${UNSET:-} -Dx=y", "a  -Dx=y"},
        {"a=${UNSET:-x\\:y}", "a=x\\:y"},
        {"a=${UNSET:-}", "a="},
        {"a=${EMPTY:-}${EMPTY:-b}", "a=b"},
        {"a=1${UNSET:- }", "a=1 "},
        {"\xEF\xBB\xBF"
         "a=${K}",
         "\xEF\xBB\xBF"
         "a=k 1"},
        {"a=${DOLLAR}x", "a=a$x"},
        {"", ""},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, properties, take_values)
{
    const char *const environment[] = {"V=x\\y=:#!z",         "K=k 1",  "EQ==x",   "HASH=#x",
                                       "BLANKS=  x",          "EMPTY=", "UTF8=ä€", "DOLLAR=a$",
                                       "CTRL=\1\t\f\n\r\x7f", NULL};
    BUF_AUTO out = BUF_INIT(4096);

    expand(c->in, environment, &out);
    cr_expect_str_eq(buf_str(&out), c->out, "%s gave %s", c->in, buf_str(&out));
}

struct fault_case {
    char in[96];
    char faults[512];
};

#define TRIMMED " has a blank at an end of this setting, which its reader trims: change the value\n"
#define NEW_VARIABLE                                                                               \
    " brings a new ${ into this setting, which its reader would expand and which cannot be "       \
    "escaped: change the value\n"

ParameterizedTestParameters(properties, refuse_what_would_not_come_back)
{
    static struct fault_case cases[] = {
        {"a=1\nb=x${UNSET}\n", "!f:2:4: UNSET is not set: set it, or UNSET_FILE, or give a default "
                               "as ${UNSET:-…}\n"},
        {"a=${EMPTY}", "!f:1:3: EMPTY is set but empty: give it a value, or write ${EMPTY:-} if it "
                       "may be empty\n"},
        {"a=${UNSET:?ask the DBA}", "!f:1:3: UNSET: ask the DBA\n"},
        {"a=${EMPTY:?}", "!f:1:3: EMPTY is set but empty: give it a value, or write ${EMPTY:-} if "
                         "it may be empty\n"},
        {"a=${HMS_PORT}", "!f:1:3: HMS_PORT holds tcp://…, the address of a Kubernetes Service of "
                          "that name: set it in the pod, or set enableServiceLinks: false there\n"},
        {"a=${X:-b\nc=}", "!f:1:3: X: the placeholder has no } before the end of the place it "
                          "stands in\n"},
        {"a=\\${V}", "!f:1:4: a backslash in front of a placeholder would escape the value's first "
                     "byte: write \\\\ for a backslash, or $${ for a literal ${\n"},
        {"\n${UNSET:-} = 1", "!f:2:1: UNSET is empty and leaves the name of a setting empty: give "
                             "it a value\n"},
        {"${UNSET:-}", "!f:1:1: UNSET is empty and leaves the name of a setting empty: give it a "
                       "value\n"},
        {"a=1\nb=\\u00${V}",
         "!f:2:1: a \\u is not followed by four hexadecimal digits (a backslash "
         "is written \\\\)\n"},
        {"a=\\u12", "!f:1:1: a \\u is not followed by four hexadecimal digits (a backslash is "
                    "written \\\\)\n"},
        {"a=${LATIN1}",
         "!f:1:3: LATIN1 holds bytes that cannot stand here: a control character, or "
         "not UTF-8\n"},
        {"a=${BLANK}x", "!f:1:3: BLANK" TRIMMED},
        {"a=x${BLANK}", "!f:1:4: BLANK" TRIMMED},
        {"a=x${BLANK} ", "!f:1:4: BLANK" TRIMMED},
        {"a=\\ ${BLANK}", "!f:1:5: BLANK" TRIMMED},
        {"a=x${V}${BLANK}${BLANK}", "!f:1:16: BLANK" TRIMMED},
        {"a=${OPEN}", "!f:1:3: OPEN" NEW_VARIABLE},
        {"a=x${DOLLAR}${BRACE}", "!f:1:13: BRACE" NEW_VARIABLE},
        {"a=${DOLLAR}{x}", "!f:1:3: DOLLAR" NEW_VARIABLE},
        {"a=\\u0024${BRACE}", "!f:1:9: BRACE" NEW_VARIABLE},
        {"a=$\\\n  ${BRACE}", "!f:2:3: BRACE" NEW_VARIABLE},
        {"${OPEN}=1", "!f:1:1: OPEN" NEW_VARIABLE},
        {"a=${BOTH}", "!f:1:3: BOTH and BOTH_FILE are both set: unset one of them\n"},
        {"a=${UNSET}\nb=${EMPTY:?two}",
         "!f:1:3: UNSET is not set: set it, or UNSET_FILE, or give a "
         "default as ${UNSET:-…}\nf:2:3: EMPTY: two\n"},
    };

    return cr_make_param_array(struct fault_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct fault_case *c, properties, refuse_what_would_not_come_back)
{
    const char *const environment[] = {"V=value",     "EMPTY=",    "HMS_PORT=tcp://10.0.0.1:9083",
                                       "LATIN1=\xE4", "BLANK= ",   "OPEN=a${b}",
                                       "DOLLAR=a$",   "BRACE={b}", "BOTH=1",
                                       "BOTH_FILE=x", NULL};
    BUF_AUTO out = BUF_INIT(4096);

    expand(c->in, environment, &out);
    cr_expect_str_eq(buf_str(&out), c->faults, "%s gave %s", c->in, buf_str(&out));
}

Test(properties, with_one_fault_still_tell_what_the_reader_would_change)
{
    const char *const environment[] = {"LATIN1=\xE4", "OPEN=a${b}", "BLANK= ", NULL};
    BUF_AUTO out = BUF_INIT(4096);

    expand("a=${LATIN1}\nb=${OPEN}\nc=${BLANK}x\nd=${UNSET}\n", environment, &out);
    cr_expect_str_eq(buf_str(&out),
                     "!f:1:3: LATIN1 holds bytes that cannot stand here: a control character, or "
                     "not UTF-8\n"
                     "f:4:3: UNSET is not set: set it, or UNSET_FILE, or give a default as "
                     "${UNSET:-…}\n"
                     "f:2:3: OPEN" NEW_VARIABLE "f:3:3: BLANK" TRIMMED,
                     "%s", buf_str(&out));
}

Test(properties, do_not_call_a_key_empty_whose_value_is_refused)
{
    const char *const environment[] = {"LATIN1=\xE4", NULL};
    BUF_AUTO out = BUF_INIT(4096);

    expand("${LATIN1} = 1", environment, &out);
    cr_expect_str_eq(buf_str(&out),
                     "!f:1:1: LATIN1 holds bytes that cannot stand here: a control character, or "
                     "not UTF-8\n",
                     "%s", buf_str(&out));
}

Test(properties, do_not_call_two_refused_keys_the_same)
{
    const char *const environment[] = {"ONE=\xE4", "TWO=\xF6", NULL};
    struct variables *variables = variables_new((char *const *)environment, "", "");
    static const char text[] = "${ONE}=1\n${TWO}=2\n";
    BUF_AUTO faults = BUF_INIT(4096);
    BUF_AUTO warnings = BUF_INIT(4096);
    struct expansion expansion;

    expansion_init(&expansion, "f", text, strlen(text), 4096, variables, &faults);
    expansion.warnings = &warnings;
    properties_expand(&expansion);
    cr_expect(expansion.fault_count == 2);
    cr_expect_str_eq(buf_str(&warnings), "");
    expansion_free(&expansion);
    variables_free(variables);
}

Test(properties, name_the_values_with_a_blank_at_either_end)
{
    const char *const environment[] = {"LEFT= x", "RIGHT=x\t", "BLANK= ", NULL};
    BUF_AUTO out = BUF_INIT(4096);

    expand("a=${LEFT}${RIGHT}\nb=${BLANK}\nc=${LEFT}${BLANK}-${BLANK}${RIGHT}\n", environment,
           &out);
    cr_expect_str_eq(buf_str(&out),
                     "!f:1:3: LEFT" TRIMMED "f:1:10: RIGHT" TRIMMED "f:2:3: BLANK" TRIMMED
                     "f:3:3: LEFT" TRIMMED "f:3:27: RIGHT" TRIMMED,
                     "%s", buf_str(&out));
}

Test(properties, take_utf8_strictly)
{
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"", true},
        {"\x7F", true},
        {"\xC2\x80", true},
        {"\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", true},
        {"\x80", false},
        {"\xC1\xBF", false},         /* overlong */
        {"\xE0\x9F\xBF", false},     /* overlong */
        {"\xF0\x8F\xBF\xBF", false}, /* overlong */
        {"\xED\xA0\x80", false},     /* a surrogate */
        {"\xF4\x90\x80\x80", false}, /* past U+10FFFF */
        {"\xF5\x80\x80\x80", false},
        {"\xE2\x82", false},
        {"\xE2\x82x", false},
        {"\xC3", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect(utf8_valid(cases[i].bytes, strlen(cases[i].bytes)) == cases[i].valid, "row %zu",
                  i);
}
