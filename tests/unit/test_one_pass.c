/* Substitution is one pass: what a value looks like has no bearing on what becomes of the template.
 *
 * Random templates are expanded twice: with tokens that occur nowhere else, and with values made of
 * the grammar's own bytes. The second result must be the first one with each token replaced by its
 * value, escaped for the place, unless the values were refused for the one reason that they may be
 * refused here: that the file's reader would expand or trim them. */
#include "confgen/hadoop_xml.h"
#include "confgen/properties.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES 4
#define ROUNDS 5000
#define TOKEN "@%zu@" /* '@' is in no piece below */

static uint64_t state;

/* xorshift64 */
static size_t roll(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % below);
}

static const char *const value_pieces[] = {
    "${A}", "${B}", "${UNSET}", "${A:-x}", "${B:?x}", "$${", "$",   "{", "}", "A", "\\",      "\n",
    "&",    "<",    ">",        "'",       "\"",      " ",   "]]>", "=", ":", "#", "\xC3\xA4"};
static const char *const template_pieces[] = {"${A}", "${B}", "${C}",   "${D}",       "$${", "$",
                                              "{",    "}",    "${x.y}", "$1",         "$$",  "x",
                                              " ",    "]",    "${A",    "${UNSET:-d}"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Between least and most of the pieces. */
static void compose(struct buf *out, const char *const *pieces, size_t count, size_t least,
                    size_t most)
{
    for (size_t n = least + roll(most - least + 1); n; n--)
        (void)buf_add_str(out, pieces[roll(count)]);
}

static bool escape_nothing(struct buf *out, const char *value, size_t len)
{
    return buf_add(out, value, len) == 0;
}
static const struct expansion_place anywhere = {"text", escape_nothing};

static void expand_text(struct expansion *expansion)
{
    expansion_put_to(expansion, expansion->len, &anywhere);
}

struct format {
    const char *before, *after; /* around the random part of the template */
    void (*expand)(struct expansion *expansion);
    const struct expansion_place *place;
};

/* 1 and the result, or 0 with the faults in it. */
static int expand(const struct format *format, const char *text, char *const *environment,
                  struct buf *ret)
{
    struct variables *variables = variables_new(environment, "", "");
    struct buf faults = BUF_INIT(1 << 20);
    struct expansion expansion;
    int good;

    expansion_init(&expansion, "f", text, strlen(text), 1 << 20, variables, &faults);
    format->expand(&expansion);
    good = expansion.fault_count == 0;
    buf_clear(ret);
    if (good)
        (void)buf_add(ret, buf_str(&expansion.result), expansion.result.len);
    else
        (void)buf_add(ret, buf_str(&faults), faults.len);
    expansion_free(&expansion);
    buf_free(&faults);
    variables_free(variables);
    return good;
}

/* Replace each token by the escaped value of its variable. */
static void replace(const struct format *format, const struct buf *with_tokens,
                    char *const *environment, struct buf *out)
{
    const char *p = buf_str(with_tokens), *token;

    buf_clear(out);
    for (; (token = strchr(p, '@')) != NULL; p = token + 3) {
        const char *value = environment[token[1] - '0'] + 2;

        (void)buf_add(out, p, (size_t)(token - p));
        cr_assert(format->place->escape(out, value, strlen(value)));
    }
    (void)buf_add_str(out, p);
}

/* Every line of the faults gives one of the two reasons. */
static bool is_refusal(const char *faults)
{
    size_t lines = 0, reasons = 0;

    for (const char *p = faults; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    for (const char *p = faults; (p = strstr(p, " brings a new ${ ")) != NULL; p++)
        reasons++;
    for (const char *p = faults; (p = strstr(p, " has a blank at an end ")) != NULL; p++)
        reasons++;
    return lines > 0 && lines == reasons;
}

/* One round; 1 when the values were accepted. */
static int check_round(const struct format *format)
{
    BUF_AUTO text = BUF_INIT(4096), tokens = BUF_INIT(1 << 20), actual = BUF_INIT(1 << 20);
    BUF_AUTO expected = BUF_INIT(1 << 20);
    struct buf entries[VARIABLES];
    char token_entries[VARIABLES][8];
    char *token_environment[VARIABLES + 1] = {NULL}, *environment[VARIABLES + 1] = {NULL};
    int good;

    (void)buf_add_str(&text, format->before);
    compose(&text, template_pieces, COUNT(template_pieces), 1, 12);
    (void)buf_add_str(&text, format->after);
    for (size_t i = 0; i < VARIABLES; i++) {
        (void)snprintf(token_entries[i], sizeof(token_entries[i]), "%c=" TOKEN, (char)('A' + i), i);
        token_environment[i] = token_entries[i];
        entries[i] = BUF_INIT(4096);
        (void)buf_printf(&entries[i], "%c=", (char)('A' + i));
        compose(&entries[i], value_pieces, COUNT(value_pieces), 1, 6);
        environment[i] = entries[i].data;
    }
    if (!expand(format, buf_str(&text), token_environment, &tokens)) {
        good = 0; /* the template itself is at fault, as with an unclosed placeholder */
        cr_expect(!expand(format, buf_str(&text), environment, &actual));
    } else {
        good = expand(format, buf_str(&text), environment, &actual);
        replace(format, &tokens, environment, &expected);
        if (good)
            cr_expect_str_eq(buf_str(&actual), buf_str(&expected), "%s\ngave\n%s\nand not\n%s",
                             buf_str(&text), buf_str(&actual), buf_str(&expected));
        else
            cr_expect(is_refusal(buf_str(&actual)), "%s: %s", buf_str(&text), buf_str(&actual));
    }
    for (size_t i = 0; i < VARIABLES; i++)
        buf_free(&entries[i]);
    return good;
}

static const struct format formats[] = {
    {"", "", expand_text, &anywhere},
    {"key = v", "\n", properties_expand, &properties_value},
    {"<a><![CDATA[x]]>v", "v</a>", hadoop_xml_expand, &hadoop_xml_text},
    {"<a b='v", "'/>", hadoop_xml_expand, &hadoop_xml_attribute},
};

/* A parameter crosses a process: it cannot hold pointers. */
ParameterizedTestParameters(one_pass, no_output_depends_on_what_a_value_looks_like)
{
    static size_t numbers[] = {0, 1, 2, 3};

    return cr_make_param_array(size_t, numbers, COUNT(formats));
}

ParameterizedTest(const size_t *number, one_pass, no_output_depends_on_what_a_value_looks_like)
{
    int accepted = 0;

    state = 20261122;
    for (int round = 0; round < ROUNDS; round++)
        accepted += check_round(&formats[*number]);
    cr_expect(accepted > ROUNDS / 20, "only %d of %d were accepted", accepted, ROUNDS);
}

Test(one_pass, a_value_that_names_itself_or_another_stays_as_it_is)
{
    static const struct format text = {"", "", expand_text, &anywhere};
    char a[] = "A=${A}$${B}", b[] = "B=${C:-$${}", *const environment[] = {a, b, NULL};
    BUF_AUTO out = BUF_INIT(4096);

    cr_expect(expand(&text, "<${A}|${B}>$${A}", environment, &out) == 1);
    cr_expect_str_eq(buf_str(&out), "<${A}$${B}|${C:-$${}>${A}");
}
