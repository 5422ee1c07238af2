/* Two lines from the input. The first, whatever it holds, is a value: expanding a template with it
 * either faults or reads back exactly. The rest is a template and a file to read. */
#include "confgen/properties.h"

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

/* The pairs of the template below. */
static int compare(void *context, const char *key, const char *value, size_t len)
{
    struct expected *expected = context;
    size_t value_len = strlen(expected->value);

    switch (expected->pairs++) {
    case 0:
        demand(strcmp(key, "a") == 0 && len == value_len + 2);
        demand(memcmp(value + 1, expected->value, value_len) == 0);
        break;
    case 1:
        demand(strlen(key) == value_len + 2 && memcmp(key + 1, expected->value, value_len) == 0);
        demand(strcmp(value, "1") == 0);
        break;
    default:
        demand(strcmp(key, "b") == 0 && strcmp(value, expected->value) == 0);
    }
    return 0;
}

static void expand(const char *text, size_t len, const char *entry, struct buf *ret_result)
{
    char *const environment[] = {(char *)entry, NULL};
    struct variables *variables = variables_new(environment, "", "");
    struct buf faults = BUF_INIT(1 << 16);
    struct expansion expansion;

    expansion_init(&expansion, "f", text, len, 1 << 20, variables, &faults);
    properties_expand(&expansion);
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
    static const char text[] = "a=x${V}y\nk${V}k=1\nb \\\n ${V}";
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
        demand(properties_read(buf_str(&result), result.len, compare, &expected, &err) == 0);
        demand(expected.pairs == 3);
    }
    (void)properties_read(data, size, ignore, NULL, &err);
    expand(data + first, size - first, buf_str(&entry), &other);
    return 0;
}
