/* Hadoop's XML: where placeholders count, how values are written there, what is trimmed, what is
 * refused, and how a finished file is read. */
#include "confgen/hadoop_xml.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

static const char *const environment[] = {
    "V=a&b<c>d\"e'f",
    "LINES=1\t2\n3\r4",
    "BLANK= ",
    "EMPTY=",
    "CDATA=a]]>b\rc",
    "ANGLE=>x",
    "BRACKETS=x]]",
    "UTF8=ä€",
    "CTRL=a\1b",
    "LATIN1=\xE4",
    "FFFF=\xEF\xBF\xBF",
    "OPEN=a${b}",
    "DOLLAR=a$",
    "BRACE={b}",
    "INJECT=</value></property><property><name>x</name><value>y",
    NULL,
};

/* Expand; out becomes the result, or the faults behind a '!'. */
static void expand(const char *text, struct buf *out)
{
    struct variables *variables = variables_new((char *const *)environment, "", "");
    BUF_AUTO faults = BUF_INIT(1 << 16);
    struct expansion expansion;

    expansion_init(&expansion, "f", text, strlen(text), 1 << 20, variables, &faults);
    hadoop_xml_expand(&expansion);
    buf_clear(out);
    if (expansion.fault_count)
        (void)buf_printf(out, "!%s", buf_str(&faults));
    else
        (void)buf_add(out, buf_str(&expansion.result), expansion.result.len);
    expansion_free(&expansion);
    variables_free(variables);
}

struct text_case {
    char in[192];
    char out[256];
};

static void expect(const struct text_case *c)
{
    BUF_AUTO out = BUF_INIT(1 << 16);

    expand(c->in, &out);
    cr_expect_str_eq(buf_str(&out), c->out, "%s gave %s", c->in, buf_str(&out));
}

ParameterizedTestParameters(hadoop_xml, escapes_for_the_place)
{
    static struct text_case cases[] = {
        {"<a>${V}</a>", "<a>a&amp;b&lt;c&gt;d\"e'f</a>"},
        {"<a b=\"${V}\" c='${V}'/>", "<a b=\"a&amp;b&lt;c&gt;d&quot;e&#39;f\" "
                                     "c='a&amp;b&lt;c&gt;d&quot;e&#39;f'/>"},
        {"<a>${LINES}</a>", "<a>1\t2\n3&#13;4</a>"},
        {"<a b='${LINES}'/>", "<a b='1&#9;2&#10;3&#13;4'/>"},
        {"<a><![CDATA[${V}]]></a>", "<a><![CDATA[a&b<c>d\"e'f]]></a>"},
        {"<a><![CDATA[${CDATA}]]></a>", "<a><![CDATA[a]]]]><![CDATA[>b]]>&#13;<![CDATA[c]]></a>"},
        {"<a><![CDATA[]]${ANGLE}]]></a>", "<a><![CDATA[]]]]><![CDATA[>x]]></a>"},
        {"<a><![CDATA[${BRACKETS}>]]></a>", "<a><![CDATA[x]]]]><![CDATA[>]]></a>"},
        {"<a>${BRACKETS}></a>", "<a>x]&#93;></a>"},
        {"<a>]${BRACKETS}]></a>", "<a>]x]&#93;]></a>"},
        {"<a><!-- ${UNSET} ${V} --><?pi ${UNSET} > ?>b</a>",
         "<a><!-- ${UNSET} ${V} --><?pi ${UNSET} > ?>b</a>"},
        {"<!-- ${UNSET} --><a/><!-- ${UNSET} -->", "<!-- ${UNSET} --><a/><!-- ${UNSET} -->"},
        {"<a b='>' c = \"${UTF8}\" >x</a >", "<a b='>' c = \"\xC3\xA4\xE2\x82\xAC\" >x</a >"},
        {"<a>${UNSET:-&lt;x&gt;}</a>", "<a>&lt;x&gt;</a>"},
        {"<a>&#36;{V} $${V} ${env.V} $1</a>", "<a>&#36;{V} ${V} ${env.V} $1</a>"},
        {"<a>${INJECT}</a>", "<a>&lt;/value&gt;&lt;/property&gt;&lt;property&gt;&lt;name&gt;x"
                             "&lt;/name&gt;&lt;value&gt;y</a>"},
        {"\xEF\xBB\xBF<?xml version='1.0' encoding='utf-8'?>\r\n<a>\r\n${EMPTY:-}</a>\r\n",
         "\xEF\xBB\xBF<?xml version='1.0' encoding='utf-8'?>\r\n<a>\r\n</a>\r\n"},
        {"<a>\xF4\x80\x80\x81 ${UTF8}</a>", "<a>\xF4\x80\x80\x81 \xC3\xA4\xE2\x82\xAC</a>"},
        {"<?p?><a>${BLANK}<?p?></a>", "<?p?><a> <?p?></a>"},
        {"<a><b><c>${DOLLAR}</c></b></a>", "<a><b><c>a$</c></b></a>"},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, hadoop_xml, escapes_for_the_place)
{
    expect(c);
}

#define NAME(content) "<configuration><property><name>" content "</name></property></configuration>"
#define VALUE(content)                                                                             \
    "<configuration><property><value>" content "</value></property></configuration>"

ParameterizedTestParameters(hadoop_xml, trims_what_the_template_put_around_a_value)
{
    static struct text_case cases[] = {
        {VALUE("\n    a b\n  "), VALUE("a b")},
        {VALUE("\r\n\t${UTF8} c "), VALUE("\xC3\xA4\xE2\x82\xAC c")},
        {VALUE("\n ${BLANK} \n"), VALUE(" ")},
        {VALUE("\n ${UNSET:- } \n"), VALUE(" ")},
        {VALUE("\n ${EMPTY:-} \n"), VALUE("")},
        {VALUE(" \n "), VALUE(" \n ")},
        {VALUE(""), VALUE("")},
        {VALUE(" <!-- c --> a <!-- d --> "), VALUE("<!-- c -->a<!-- d -->")},
        {VALUE(" <?p i?> a b <!-- d --> c "), VALUE("<?p i?>a b <!-- d --> c")},
        {VALUE(" <![CDATA[ a ]]> "), VALUE("<![CDATA[ a ]]>")},
        {VALUE(" a&#32; "), VALUE("a&#32;")},
        {VALUE(" <b/> a "), VALUE(" <b/> a ")},
        {NAME("\n a.${UTF8}\n"), NAME("a.\xC3\xA4\xE2\x82\xAC")},
        {"<configuration>\n <property >\n <name\n> a </name>\n <value x='1'> b </value >\n"
         " </property>\n</configuration>\n",
         "<configuration>\n <property >\n <name\n>a</name>\n <value x='1'>b</value >\n"
         " </property>\n</configuration>\n"},
        {"<configuration><value> a </value></configuration>",
         "<configuration><value> a </value></configuration>"},
        {"<pools><property><name> a </name></property></pools>",
         "<pools><property><name> a </name></property></pools>"},
        {"<configuration><property><value/><x><name> a </name></x><value> b </value></property>"
         "</configuration>",
         "<configuration><property><value/><x><name> a </name></x><value>b</value></property>"
         "</configuration>"},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, hadoop_xml, trims_what_the_template_put_around_a_value)
{
    expect(c);
}

#define UNFIT " holds bytes that cannot stand here: a control character, or not UTF-8\n"
#define NO_DOCTYPE "a DOCTYPE is not accepted: remove it\n"
#define EMPTY_NAME " is empty and leaves the name of a setting empty: give it a value\n"
#define NEW_VARIABLE                                                                               \
    " brings a new ${ into this setting, which its reader would expand and which cannot be "       \
    "escaped: change the value\n"

ParameterizedTestParameters(hadoop_xml, refuses_what_would_not_come_back)
{
    static struct text_case cases[] = {
        {"<a>\n  ${UNSET:?ask} ${EMPTY:?too}</a>", "!f:2:3: UNSET: ask\nf:2:17: EMPTY: too\n"},
        {"<a>${CTRL}${LATIN1}</a>", "!f:1:4: CTRL" UNFIT "f:1:11: LATIN1" UNFIT},
        {"<a b='${FFFF}'><![CDATA[${CTRL}]]></a>", "!f:1:7: FFFF" UNFIT "f:1:25: CTRL" UNFIT},
        {"<a>${UNSET:-<b/>}</a>",
         "!f:1:4: UNSET: the placeholder has no } before the end of the place it stands in\n"},
        {"<a>${OPEN}</a>", "!f:1:4: OPEN" NEW_VARIABLE},
        {"<a b='${OPEN}'/>", "!f:1:7: OPEN" NEW_VARIABLE},
        {"<a>${DOLLAR}${BRACE}</a>", "!f:1:13: BRACE" NEW_VARIABLE},
        {"<a>$<!-- x -->${BRACE}</a>", "!f:1:15: BRACE" NEW_VARIABLE},
        {"<a>&#36;${BRACE}</a>", "!f:1:9: BRACE" NEW_VARIABLE},
        {"<a>${DOLLAR}<![CDATA[{x}]]></a>", "!f:1:4: DOLLAR" NEW_VARIABLE},
        {NAME(" ${UNSET:-} "), "!f:1:33: UNSET" EMPTY_NAME},
        {"<a>\n</b>", "!f:2:5: Opening and ending tag mismatch: a line 1 and b\n"},
        {"<${V}/>",
         "!f:1:2: StartTag: invalid element name (a placeholder can stand in text and in "
         "attribute values only)\n"},
        {"<a\n${V}='1'/>", "!f:2:1: error parsing attribute name (a placeholder can stand in text "
                           "and in attribute values only)\n"},
        {"<a>&nbsp;</a>", "!f:1:10: Entity 'nbsp' not defined\n"},
        {"<a><b:c/></a>", "!f:1:8: Namespace prefix b on c is not defined\n"},
        {"<!DOCTYPE a><a/>", "!f:1:1: " NO_DOCTYPE},
        {"\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE a [<!ENTITY b "
         "'c'>]>\n<a>&b;</a>",
         "!f:3:1: " NO_DOCTYPE},
        {"<a>\n\x01</a>", "!f:2:1: XML cannot hold this byte: a control character, or not UTF-8\n"},
        {"<a>\xE4</a>", "!f:1:4: XML cannot hold this byte: a control character, or not UTF-8\n"},
        {"<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
         "!f:1:1: the encoding has to be UTF-8\n"},
        {"<?xml version='1.1'?><a/>", "!f:1:1: the XML version has to be 1.0\n"},
        {"", "!f:1:1: Document is empty\n"},
        {"x", "!f:1:1: Start tag expected, '<' not found\n"},
        {"<!-- ", "!f:1:6: Comment not terminated\n"},
        {"<a>]${UNSET:-]}></a>", "!f:1:4: once expanded: Sequence ']]>' not allowed in content\n"},
        {"<a>\xF4\x80\x80\x80 ${UTF8}</a>", "!f:1:4: a template with placeholders cannot hold the "
                                            "private-use characters from U+100000 "
                                            "on: give this one as a value\n"},
        {"<a>&#x100000; ${UTF8}</a>",
         "!f:1:1: the result does not read back as the template with its values\n"},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, hadoop_xml, refuses_what_would_not_come_back)
{
    expect(c);
}

Test(hadoop_xml, nothing_is_printed_about_a_strange_encoding, .init = cr_redirect_stderr)
{
    BUF_AUTO out = BUF_INIT(1 << 16);

    expand("<?xml version='1.0' encoding='UCS-4'?><a>\xF4\x80\x80\x80 \xC3\xA9</a>", &out);
    cr_expect(buf_str(&out)[0] == '!');
    cr_expect_stderr_eq_str("");
}

Test(hadoop_xml, a_flood_of_attributes_is_a_fault_and_a_flood_of_equal_signs_is_none)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    BUF_AUTO out = BUF_INIT(1 << 20);

    (void)buf_add_str(&text, "<a b='");
    for (int i = 0; i < 5000; i++)
        (void)buf_add_char(&text, '=');
    (void)buf_add_str(&text, "' c='\"\"'>");
    for (int i = 0; i < 5000; i++)
        (void)buf_add_str(&text, "='\"");
    (void)buf_add_str(&text, "</a>");
    expand(buf_str(&text), &out);
    cr_expect_str_eq(buf_str(&out), buf_str(&text));
    buf_clear(&text);
    (void)buf_add_str(&text, "<a>\n<b");
    for (int i = 0; i <= 1000; i++)
        (void)buf_printf(&text, " a%d=''", i);
    (void)buf_add_str(&text, "/></a>");
    expand(buf_str(&text), &out);
    cr_expect(strstr(buf_str(&out), "!f:2:") && strstr(buf_str(&out), "more than 1000 attributes"),
              "%s", buf_str(&out));
}

Test(hadoop_xml, a_doctype_in_a_strange_encoding_is_refused)
{
    BUF_AUTO out = BUF_INIT(1 << 16);

    expand("<?xml version='1.0' encoding='UTF-7'?><!DOCTYPE a><a/>", &out);
    cr_expect_str_eq(buf_str(&out), "!f:1:1: a DOCTYPE is not accepted: remove it\n");
}

Test(hadoop_xml, with_one_fault_still_tells_what_the_reader_would_change)
{
    BUF_AUTO out = BUF_INIT(1 << 16);

    expand("<a b='${OPEN}'>${CTRL}<c>${DOLLAR}<![CDATA[{x}]]></c>${UNSET:?ask}</a>", &out);
    cr_expect_str_eq(buf_str(&out),
                     "!f:1:16: CTRL" UNFIT "f:1:54: UNSET: ask\n"
                     "f:1:7: OPEN" NEW_VARIABLE "f:1:26: DOLLAR" NEW_VARIABLE,
                     "%s", buf_str(&out));
}

Test(hadoop_xml, nested_too_deep_is_a_fault)
{
    BUF_AUTO text = BUF_INIT(1 << 16);
    BUF_AUTO out = BUF_INIT(1 << 16);

    for (int i = 0; i < 2000; i++)
        (void)buf_add_str(&text, "<a>");
    expand(buf_str(&text), &out);
    cr_expect(strncmp(buf_str(&out), "!f:1:", 5) == 0, "%s", buf_str(&out));
    cr_expect(strstr(buf_str(&out), "depth"), "%s", buf_str(&out));
}

/* ---- reading ---- */

static int add_pair(void *context, const struct pair *pair)
{
    cr_assert(strlen(pair->value) == pair->value_len);
    return buf_printf(context, "[%s|%s]", pair->key, pair->value);
}

ParameterizedTestParameters(hadoop_xml, is_read_as_hadoop_reads_it)
{
    static struct text_case cases[] = {
        {"<configuration><property><name> a\n</name><value> b\n</value></property></configuration>",
         "[a| b\n]"},
        {"<configuration><property name='a' value='b'/><property name=' c' value=''/>"
         "</configuration>",
         "[a|b]"},
        {"<configuration><property><name>a</name><value/></property><property><name>b</name>"
         "<value></value></property></configuration>",
         ""},
        {"<configuration><property><name>a</name><value>1<![CDATA[<&]]>&lt;<!-- x -->2</value>"
         "</property></configuration>",
         "[a|1<&<2]"},
        {"<configuration><property><value>b</value><name>a</name><final>true</final></property>"
         "<!-- x --></configuration>",
         "[a|b]"},
        {"<configuration><property name='x' value='y'><name>a</name></property></configuration>",
         "[a|y]"},
        {"<configuration><property><name>a</name><value>1</value></property><property><name>a"
         "</name><value>2</value></property></configuration>",
         "[a|1][a|2]"},
        {"<configuration><property><value>b</value></property><other><name>a</name></other>"
         "</configuration>",
         ""},
        {"<configuration/>", ""},
        {"<conf/>", "!the root element is not <configuration>"},
        {"<configuration>\n<a></configuration>", "!line 2, column 20: not well-formed XML"},
        {"<configuration>&secret;</configuration>", "!line 1, column 24: not well-formed XML"},
        {"<!DOCTYPE a><a/>", "!line 1, column 1: a DOCTYPE is not accepted: remove it"},
    };

    return cr_make_param_array(struct text_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct text_case *c, hadoop_xml, is_read_as_hadoop_reads_it)
{
    BUF_AUTO out = BUF_INIT(4096);
    struct err err;

    if (hadoop_xml_read(c->in, strlen(c->in), add_pair, &out, &err) < 0)
        (void)buf_printf(&out, "!%s", err.message);
    cr_expect_str_eq(buf_str(&out), c->out, "%s gave %s", c->in, buf_str(&out));
}

static int add_line(void *context, const struct pair *pair)
{
    return buf_printf(context, "[%s %zu %zu]", pair->key, pair->line, pair->number);
}

/* Numbers count what is unset, so that a template and its result have the same ones. */
Test(hadoop_xml, is_read_with_the_line_of_each_name)
{
    static const char text[] = "<?xml version='1.0'?>\n<configuration>\n"
                               "<property>\n<name>a</name>\n<value>1\n\n</value></property>\n"
                               "<property><name>unset</name><value/></property>\n"
                               "<property name='b'\n value='2'/>\n"
                               "<property><value>3</value>\n<name>c</name></property>"
                               "</configuration>";
    BUF_AUTO out = BUF_INIT(4096);

    cr_assert(hadoop_xml_read(text, strlen(text), add_line, &out, NULL) == 0);
    cr_expect_str_eq(buf_str(&out), "[a 4 2][b 10 8][c 12 9]", "%s", buf_str(&out));
}

static int stop(void *context, const struct pair *pair)
{
    (void)pair;
    ++*(int *)context;
    return -1;
}

Test(hadoop_xml, reading_ends_when_the_caller_says_so)
{
    static const char text[] = "<configuration><property name='a' value='b'/><property name='c' "
                               "value='d'/></configuration>";
    int calls = 0;
    struct err err;

    cr_expect(hadoop_xml_read(text, strlen(text), stop, &calls, &err) == -1);
    cr_expect_eq(calls, 1);
}
