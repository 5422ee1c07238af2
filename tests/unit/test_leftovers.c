/* Which objects of a list are leftovers, and lists that are none. What is asked of Kubernetes is
 * tested in tests/integration/test_leftovers.py. */
#include "entrypoint/leftovers.h"

#include <criterion/criterion.h>
#include <string.h>

#define NAMED "\"name\":\"a\",\"uid\":\"1\""
#define OWNED(references) "{\"metadata\":{" NAMED ",\"ownerReferences\":" references "}}"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    cr_assert(value, "%s", text);
    return value;
}

Test(leftovers, an_object_is_one_if_the_pod_owns_it)
{
    static const struct {
        const char *object;
        bool of_pod, of_anybody;
    } rows[] = {
        {OWNED("[{\"kind\":\"Pod\",\"uid\":\"pod-1\"}]"), true, true},
        {OWNED("[{\"uid\":\"pod-2\"},{\"uid\":\"pod-1\"}]"), true, true},
        {OWNED("[{\"uid\":\"pod-2\"}]"), false, true},
        {OWNED("[{\"uid\":\"pod-12\"}]"), false, true},
        {OWNED("[{\"uid\":\"pod-\"}]"), false, true},
        {OWNED("[]"), false, true},
        {"{\"metadata\":{" NAMED "}}", false, true},
        /* being deleted already */
        {"{\"metadata\":{" NAMED ",\"deletionTimestamp\":\"2026-11-22T00:00:00Z\","
         "\"ownerReferences\":[{\"uid\":\"pod-1\"}]}}",
         false, false},
        /* not what Kubernetes says */
        {OWNED("[{\"uid\":1},null,\"pod-1\",[\"pod-1\"],{}]"), false, true},
        {OWNED("{\"uid\":\"pod-1\"}"), false, true},
        {OWNED("\"pod-1\""), false, true},
        {"{\"metadata\":{\"name\":\"a\",\"ownerReferences\":[{\"uid\":\"pod-1\"}]}}", false, false},
        {"{\"metadata\":{\"uid\":\"1\",\"ownerReferences\":[{\"uid\":\"pod-1\"}]}}", false, false},
        {"{\"metadata\":{\"name\":1,\"uid\":[],\"ownerReferences\":[{\"uid\":\"pod-1\"}]}}", false,
         false},
        {"{\"metadata\":[]}", false, false},
        {"{\"name\":\"a\",\"uid\":\"1\"}", false, false},
        {"[]", false, false},
        {"null", false, false},
        {"\"a\"", false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *object = parse(rows[i].object);

        cr_expect(leftovers_is_one(object, "pod-1") == rows[i].of_pod, "%s", rows[i].object);
        cr_expect(leftovers_is_one(object, NULL) == rows[i].of_anybody, "%s", rows[i].object);
        json_decref(object);
    }
}

Test(leftovers, a_page_says_what_is_in_it_and_where_the_next_begins)
{
    static const struct {
        const char *page, *next; /* NULL: no list */
        size_t count;
    } rows[] = {
        {"{\"metadata\":{\"continue\":\"eyJ2\"},\"items\":[{},{}]}", "eyJ2", 2},
        {"{\"metadata\":{\"continue\":\"\"},\"items\":[{}]}", "", 1},
        {"{\"metadata\":{\"remainingItemCount\":7},\"items\":[]}", "", 0},
        {"{\"metadata\":{},\"items\":null}", "", 0}, /* as Go writes an empty list */
        {"{\"items\":[1,null,\"x\"]}", "", 3},
        {"{\"metadata\":{\"continue\":3},\"items\":[]}", "", 0},
        {"{\"metadata\":\"x\",\"items\":[]}", "", 0},
        {"{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\"}", NULL, 0},
        {"{\"metadata\":{},\"items\":{}}", NULL, 0},
        {"{\"metadata\":{},\"items\":\"x\"}", NULL, 0},
        {"[]", NULL, 0},
        {"7", NULL, 0},
        {"null", NULL, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *page = parse(rows[i].page);
        const json_t *items;
        struct err err = {0};
        const char *next = leftovers_read_page(page, &items, &err);

        cr_assert((next != NULL) == (rows[i].next != NULL), "%s", rows[i].page);
        if (next) {
            cr_expect_str_eq(next, rows[i].next, "%s", rows[i].page);
            cr_expect_eq(json_array_size(items), rows[i].count, "%s", rows[i].page);
        } else {
            cr_expect_eq(err.status, EXIT_UNAVAILABLE);
        }
        json_decref(page);
    }
}
