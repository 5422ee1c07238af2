/* Two lines from the input. The first, whatever it holds, is a value: expanding a template with it
 * either faults or reads back exactly. The rest is a template and a file to read. */
#include "confgen/hadoop_xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int ignore(void *context, const char *key, const char *value, size_t len)
{
    (void)context, (void)key;
    return memchr(value, '\0', len + 1) ? 0 : -1;
}

struct expected {
    const char *value;
    int pairs;
};

static void demand(int truth)
{
    if (!truth)
        abort();
}

/* The properties of the template below. */
static int compare(void *context, const char *key, const char *value, size_t len)
{
    struct expected *expected = context;
    size_t value_len = strlen(expected->value), around = expected->pairs == 0 ? 0 : 3;

    demand(key[0] == "abc"[expected->pairs] && key[1] == '\0');
    demand(len == value_len + around);
    demand(memcmp(value + (around ? 2 : 0), expected->value, value_len) == 0);
    expected->pairs++;
    return 0;
}

static void expand(const char *text, size_t len, const char *entry, struct buf *ret_result)
{
    char *const environment[] = {(char *)entry, NULL};
    struct variables *variables = variables_new(environment, "", "");
    struct buf faults = BUF_INIT(1 << 16);
    struct expansion expansion;

    expansion_init(&expansion, "f", text, len, 1 << 20, variables, &faults);
    hadoop_xml_expand(&expansion);
    if (expansion.fault_count == 0)
        (void)buf_add(ret_result, buf_str(&expansion.result), expansion.result.len);
    else
        ret_result->failed = true;
    expansion_free(&expansion);
    buf_free(&faults);
    variables_free(variables);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char text[] =
        "<configuration><property><name>a</name><value>\n ${V}\n </value></property>"
        "<property name='b' value=']]${V}>'/>"
        "<property><name>c</name><value><![CDATA[]]${V}>]]></value></property></configuration>";
    BUF_AUTO entry = BUF_INIT(1 << 20);
    BUF_AUTO result = BUF_INIT(1 << 20);
    BUF_AUTO other = BUF_INIT(1 << 20);
    const char *data = (const char *)bytes, *newline = memchr(data, '\n', size);
    size_t first = newline ? (size_t)(newline - data) : size;
    struct expected expected = {.value = "", .pairs = 0};
    struct err err;

    (void)buf_add_str(&entry, "V=");
    (void)buf_add(&entry, data, first);
    expected.value = buf_str(&entry) + 2;
    expand(text, strlen(text), buf_str(&entry), &result);
    if (!buf_failed(&result)) {
        demand(hadoop_xml_read(buf_str(&result), result.len, compare, &expected, &err) == 0);
        demand(expected.pairs == 3);
    }
    (void)hadoop_xml_read(data, size, ignore, NULL, &err);
    expand(data + first, size - first, buf_str(&entry), &other);
    return 0;
}
