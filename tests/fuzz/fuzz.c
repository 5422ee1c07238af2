#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 20)

/* No word overlaps itself or the other one; libFuzzer never learns them, since the targets are
 * built without coverage. */
#define PLAIN_V "aVALUEz"
#define PLAIN_PASSWORD "aSECRETz"
#define SECRET_TAIL "~hidden~"

#define MARK_HEAD "\xF4\x80" /* of U+100000 to U+100FFF; see expansion.c */

void fuzz_fail(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: this is false: %s\n", file, line, what);
    abort();
}

/* ---- bytes; libFuzzer would listen to memmem() ---- */

static const char *find(const char *data, size_t len, const char *word)
{
    size_t word_len = strlen(word);

    for (size_t i = 0; i + word_len <= len; i++) {
        size_t n = 0;

        while (n < word_len && data[i + n] == word[n])
            n++;
        if (n == word_len)
            return data + i;
    }
    return NULL;
}

static bool holds(const struct buf *buf, const char *word)
{
    return find(buf_str(buf), buf->len, word) != NULL;
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(buf_str(a), buf_str(b), a->len) == 0;
}

/* ---- expanding ---- */

/* A template and its values. */
struct subject {
    const struct fuzz_format *format;
    const char *template;
    size_t len;
    struct buf v, password;
};

struct outcome {
    struct buf result, faults;
    size_t placeholder_count;
    bool accepted;
};

static void outcome_free(struct outcome *outcome)
{
    buf_free(&outcome->result);
    buf_free(&outcome->faults);
}
#define OUTCOME_AUTO __attribute__((cleanup(outcome_free))) struct outcome

static void check_faults(const struct subject *subject, const struct outcome *outcome)
{
    const char *text = buf_str(&outcome->faults);
    unsigned long line = 0, column = 0;
    int end = 0;

    if (outcome->faults.failed)
        return;
    demand(sscanf(text, "f:%lu:%lu: %n", &line, &column, &end) == 2 && end > 0);
    demand(line > 0 && line <= subject->len + 1 && column > 0);
    demand(text[outcome->faults.len - 1] == '\n');
    if (!find(subject->template, subject->len, SECRET_TAIL))
        demand(!holds(&outcome->faults, SECRET_TAIL));
}

/* Expand with the subject's values, or with plain words for those that are not empty. */
static struct outcome expand(const struct subject *subject, bool plain)
{
    char *const environment[] = {
        plain && subject->v.len > strlen("V=") ? (char *)"V=" PLAIN_V : subject->v.data,
        plain ? (char *)"PASSWORD=" PLAIN_PASSWORD : subject->password.data,
        (char *)"EMPTY=",
        (char *)"A_PORT=tcp://10.0.0.1:1",
        NULL,
    };
    struct variables *variables = variables_new(environment, "", "*PASSWORD*");
    struct outcome outcome = {.faults = BUF_INIT(MAX_BYTES)};
    struct expansion expansion;

    demand(variables != NULL);
    expansion_init(&expansion, "f", subject->template, subject->len, MAX_BYTES, variables,
                   &outcome.faults);
    subject->format->expand(&expansion);
    outcome.accepted = expansion.fault_count == 0;
    outcome.placeholder_count = expansion.placeholder_count;
    outcome.result = expansion.result;
    expansion.result = BUF_INIT(0);
    demand(outcome.accepted == (outcome.faults.len == 0 && !outcome.faults.failed));
    if (outcome.accepted)
        demand(!buf_failed(&outcome.result));
    else
        check_faults(subject, &outcome);
    expansion_free(&expansion);
    variables_free(variables);
    return outcome;
}

/* ---- reading back ---- */

/* All pairs of a file, in one buffer that can be compared. */
struct collection {
    const struct subject *replace; /* put its values in the place of the plain words; or NULL */
    const struct fuzz_format *format;
    struct buf pairs, piece;
    size_t count;
};

static void collection_free(struct collection *collection)
{
    buf_free(&collection->pairs);
    buf_free(&collection->piece);
}
#define COLLECTION_AUTO __attribute__((cleanup(collection_free))) struct collection

static bool is_xml_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_java_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* Add a key or value with its length; blanks at its ends, if any are given, are left out. */
static void add_piece(struct collection *collection, const char *text, size_t len,
                      bool (*blank)(char c))
{
    while (blank && len && blank(text[len - 1]))
        len--;
    while (blank && len && blank(*text))
        text++, len--;
    demand(buf_add(&collection->pairs, &len, sizeof(len)) == 0);
    demand(buf_add(&collection->pairs, text, len) == 0);
}

/* The text with the values in the place of the plain words. */
static const struct buf *put_values(struct collection *collection, const char *text, size_t len)
{
    const struct subject *values = collection->replace;
    struct buf *out = &collection->piece;

    buf_clear(out);
    for (size_t i = 0; i < len;) {
        const struct buf *value = NULL;
        size_t skip = 1, name = 0;

        if (find(text + i, len - i, PLAIN_V) == text + i)
            value = &values->v, skip = strlen(PLAIN_V), name = strlen("V=");
        else if (find(text + i, len - i, PLAIN_PASSWORD) == text + i)
            value = &values->password, skip = strlen(PLAIN_PASSWORD), name = strlen("PASSWORD=");
        if (value)
            demand(buf_add(out, value->data + name, value->len - name) == 0);
        else
            demand(buf_add_char(out, text[i]) == 0);
        i += skip;
    }
    return out;
}

static int collect(void *context, const struct pair *pair)
{
    struct collection *collection = context;
    const char *key = pair->key, *value = pair->value;
    size_t len = pair->value_len;
    size_t key_len = strlen(key);
    bool xml = collection->format->is_xml;
    const struct buf *replaced;

    demand(value[len] == '\0');
    collection->count++;
    if (collection->replace) {
        replaced = put_values(collection, key, key_len);
        add_piece(collection, buf_str(replaced), replaced->len, xml ? is_java_blank : NULL);
        replaced = put_values(collection, value, len);
        add_piece(collection, buf_str(replaced), replaced->len, NULL);
    } else {
        add_piece(collection, key, key_len, NULL);
        add_piece(collection, value, len, NULL);
    }
    return 0;
}

/* The same, but for the blanks around a value that a template loses. */
static int collect_trimmed(void *context, const struct pair *pair)
{
    struct collection *collection = context;

    collection->count++;
    add_piece(collection, pair->key, strlen(pair->key), NULL);
    add_piece(collection, pair->value, pair->value_len, is_xml_blank);
    return 0;
}

static struct collection read_back(const struct fuzz_format *format, const char *data, size_t len,
                                   pairs_fn fn, const struct subject *replace)
{
    struct collection collection = {.replace = replace,
                                    .format = format,
                                    .pairs = BUF_INIT(MAX_BYTES),
                                    .piece = BUF_INIT(MAX_BYTES)};
    struct err err = {0};
    int result = format->read(data, len, fn, &collection, &err);

    /* XML is expanded whatever its root element is, but read only if that is <configuration>. */
    demand(result == 0 || (format->is_xml && collection.count == 0 && err.message[0]));
    if (result < 0)
        collection.count = SIZE_MAX;
    return collection;
}

/* ---- what is demanded ---- */

/* b with blanks left out is a. */
static bool is_without_blanks(const struct buf *a, const char *b, size_t b_len)
{
    size_t i = 0;

    for (size_t j = 0; j < b_len; j++) {
        if (i < a->len && a->data[i] == b[j])
            i++;
        else if (!is_xml_blank(b[j]))
            return false;
    }
    return i == a->len;
}

/* The result of a template without placeholders. */
static void check_unchanged(const struct subject *subject, const struct buf *result)
{
    const struct fuzz_format *format = subject->format;
    const char *template = subject->template;

    if (find(template, subject->len, "$${"))
        return;
    if (format->is_xml) {
        COLLECTION_AUTO before = read_back(format, template, subject->len, collect_trimmed, NULL);
        COLLECTION_AUTO after =
            read_back(format, buf_str(result), result->len, collect_trimmed, NULL);

        demand(is_without_blanks(result, template, subject->len));
        demand(before.count == after.count && same(&before.pairs, &after.pairs));
    } else {
        demand(result->len == subject->len && memcmp(buf_str(result), template, subject->len) == 0);
    }
}

/* The result of a template with placeholders. */
static void check_values(const struct subject *subject, const struct buf *result)
{
    const struct fuzz_format *format = subject->format;
    OUTCOME_AUTO plain = expand(subject, true);

    /* A template that holds a mark of expansion.c is refused, unless the value holds it too. */
    demand(plain.accepted || holds(&subject->v, MARK_HEAD) || holds(&subject->password, MARK_HEAD));
    if (plain.accepted && !find(subject->template, subject->len, PLAIN_V) &&
        !find(subject->template, subject->len, PLAIN_PASSWORD)) {
        COLLECTION_AUTO actual = read_back(format, buf_str(result), result->len, collect, NULL);
        COLLECTION_AUTO expected =
            read_back(format, buf_str(&plain.result), plain.result.len, collect, subject);

        demand(actual.count == expected.count && same(&actual.pairs, &expected.pairs));
        demand(subject->template != format->sample || actual.count == format->sample_pairs);
    }
}

/* Whether no format has a reason to refuse the value. */
static bool is_harmless(const struct buf *entry)
{
    for (size_t i = 0; i < entry->len; i++)
        if (entry->data[i] <= ' ' || entry->data[i] > '~')
            return false;
    return !holds(entry, "${");
}

static void check(const struct subject *subject, bool again)
{
    OUTCOME_AUTO outcome = expand(subject, false);

    if (again) {
        OUTCOME_AUTO other = expand(subject, false);

        demand(other.accepted == outcome.accepted && same(&other.result, &outcome.result) &&
               same(&other.faults, &outcome.faults));
    }
    if (subject->template == subject->format->sample && subject->v.len > strlen("V=") &&
        is_harmless(&subject->v) && is_harmless(&subject->password))
        demand(outcome.accepted);
    if (!outcome.accepted)
        return;
    if (outcome.placeholder_count)
        check_values(subject, &outcome.result);
    else
        check_unchanged(subject, &outcome.result);
}

/* Append what stands before the next NUL, or all, to the entry. Behind that NUL, or NULL. */
static const char *take(struct buf *entry, const char *name, const char *data, const char *end)
{
    const char *nul = data ? memchr(data, '\0', (size_t)(end - data)) : NULL;

    *entry = BUF_INIT(MAX_BYTES);
    demand(buf_add_str(entry, name) == 0);
    if (data)
        demand(buf_add(entry, data, (size_t)((nul ? nul : end) - data)) == 0);
    return nul ? nul + 1 : NULL;
}

void fuzz_expand(const struct fuzz_format *format, const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes, *end = data + size;
    struct subject subject = {.format = format};
    BUF_AUTO template = BUF_INIT(MAX_BYTES);

    data = take(&subject.v, "V=", data, end);
    data = take(&subject.password, "PASSWORD=", data, end);
    demand(buf_add_str(&subject.password, SECRET_TAIL) == 0);
    if (data) /* an expansion wants a NUL behind the template */
        demand(buf_add(&template, data, (size_t)(end - data)) == 0);
    subject.template = data ? buf_str(&template) : format->sample;
    subject.len = data ? template.len : strlen(format->sample);
    check(&subject, size % 8 == 0);
    buf_free(&subject.v);
    buf_free(&subject.password);
}
