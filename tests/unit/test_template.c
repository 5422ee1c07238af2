/* The grammar: what is a placeholder and what stays; and places for people. */
#include "common/buf.h"
#include "confgen/template.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

struct grammar_case {
    char text[48];
    char tokens[160]; /* L(…) literal, E escape, R(name), D(name|word), M(name|word), U(name) */
};

static void describe(const char *text, struct buf *out)
{
    size_t len = strlen(text);

    for (size_t p = 0; p < len;) {
        struct template_token t = template_next(text, p, len);
        const char *name = text + t.name, *word = text + t.word;

        cr_assert(t.start == p && t.end > p && t.end <= len, "a token leaves a gap in %s", text);
        switch (t.kind) {
        case TEMPLATE_LITERAL:
            (void)buf_printf(out, "L(%.*s)", (int)(t.end - t.start), text + t.start);
            break;
        case TEMPLATE_ESCAPE:
            (void)buf_add_char(out, 'E');
            break;
        case TEMPLATE_REQUIRED:
            (void)buf_printf(out, "R(%.*s)", (int)t.name_len, name);
            break;
        case TEMPLATE_DEFAULT:
        case TEMPLATE_MESSAGE:
            (void)buf_printf(out, "%c(%.*s|%.*s)", t.kind == TEMPLATE_DEFAULT ? 'D' : 'M',
                             (int)t.name_len, name, (int)t.word_len, word);
            break;
        case TEMPLATE_UNCLOSED:
            (void)buf_printf(out, "U(%.*s)", (int)t.name_len, name);
            break;
        }
        p = t.end;
    }
}

ParameterizedTestParameters(template, takes_its_own_and_leaves_the_rest)
{
    static struct grammar_case cases[] = {
        {"plain", "L(plain)"},
        {"${A}", "R(A)"},
        {"a${_b9}c", "L(a)R(_b9)L(c)"},
        {"${A}${B}", "R(A)R(B)"},
        {"${A:-x}", "D(A|x)"},
        {"${A:-}", "D(A|)"},
        {"${A:-a${B}}", "D(A|a${B)L(})"},
        {"${A:-:-:?}", "D(A|:-:?)"},
        {"${A:-two\nlines}", "D(A|two\nlines)"},
        {"${A:?say why}", "M(A|say why)"},
        {"${A:?}", "M(A|)"},
        {"$${A}", "EL(A})"},
        {"$${", "E"},
        {"$$${A}", "L($)EL(A})"},
        {"${A:-$}${B}", "D(A|$)R(B)"},
        {"$${${A}", "ER(A)"},
        {"${java.io.tmpdir}", "L(${java.io.tmpdir})"},
        {"${env.X}", "L(${env.X})"},
        {"${env:X}", "L(${env:X})"},
        {"${env.X:-d}", "L(${env.X:-d})"},
        {"${system:x}", "L(${system:x})"},
        {"${hiveconf:a:b}", "L(${hiveconf:a:b})"},
        {"$1 $$ $A $", "L($1 $$ $A $)"},
        {"${}", "L(${})"},
        {"${1A}", "L(${1A})"},
        {"${A-x}", "L(${A-x})"},
        {"${A:=x}", "L(${A:=x})"},
        {"${A:+x}", "L(${A:+x})"},
        {"${A", "L(${A)"},
        {"${A:", "L(${A:)"},
        {"${", "L(${)"},
        {"${A ${B}", "L(${A )R(B)"},
        {"${ÄA}", "L(${ÄA})"},
        {"${A:-x", "U(A)"},
        {"${A:?x", "U(A)"},
        {"${A:-", "U(A)"},
        {"x${A}y${env.B}z${C:-1}", "L(x)R(A)L(y${env.B}z)D(C|1)"},
    };

    return cr_make_param_array(struct grammar_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct grammar_case *c, template, takes_its_own_and_leaves_the_rest)
{
    BUF_AUTO out = BUF_INIT(4096);

    describe(c->text, &out);
    cr_expect_str_eq(buf_str(&out), c->tokens, "%s gave %s", c->text, buf_str(&out));
}

Test(template, does_not_look_past_the_range)
{
    struct template_token token = template_next("ab${A}", 0, 5);

    cr_expect(token.kind == TEMPLATE_LITERAL && token.end == 5);
    token = template_next("${A:-x}", 0, 6);
    cr_expect(token.kind == TEMPLATE_UNCLOSED && token.end == 6);
}

Test(template, counts_lines_and_byte_columns_from_one)
{
    static const char text[] = "a\nb\xC3\xA4X\r\n\nY";
    static const struct {
        size_t offset, line, column;
    } cases[] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {5, 2, 4}, {8, 3, 1}, {9, 4, 1}, {2, 2, 1}};
    struct template_position position = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        template_locate(text, cases[i].offset, &position);
        cr_expect_eq(position.line, cases[i].line);
        cr_expect_eq(position.column, cases[i].column);
    }
}
