#include "entrypoint/findings.h"

#include "confgen/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char *const severities[] = {"error", "warning", "unchecked"};
static const char *const colours[] = {"\033[31m", "\033[33m", "\033[36m"};

int findings_init(struct findings *findings)
{
    *findings = (struct findings){.list = json_array(), .parts = json_array()};
    return findings->list && findings->parts ? 0 : -1;
}

void findings_free(struct findings *findings)
{
    json_decref(findings->list);
    json_decref(findings->parts);
}

void findings_begin(struct findings *findings, const char *part)
{
    (void)json_array_append_new(findings->parts, json_string(part));
}

/* File names and keys are anybody's bytes. */
static json_t *clean_string(const char *text)
{
    char *copy = strdup(text);
    bool is_utf8 = utf8_valid(text, strlen(text));
    json_t *string;

    for (char *p = copy; p && *p; p++) {
        unsigned char byte = (unsigned char)*p;

        if (byte < ' ' || byte == 0x7f || (byte >= 0x80 && !is_utf8))
            *p = '?';
    }
    string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

static void put(json_t *object, const char *name, const char *text)
{
    if (text)
        (void)json_object_set_new(object, name, clean_string(text));
}

/* The worse of two: what stands first here is to be put right first. */
static enum exit_status worse(enum exit_status a, enum exit_status b)
{
    static const enum exit_status order[] = {EXIT_CONFIG, EXIT_DATA, EXIT_REFUSED};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return a ? a : b;
}

void findings_add(struct findings *findings, const struct finding *finding)
{
    size_t parts = json_array_size(findings->parts);
    json_t *object = json_object();

    put(object, "severity", severities[finding->severity]);
    put(object, "part", json_string_value(json_array_get(findings->parts, parts - 1)));
    put(object, "rule", finding->rule);
    put(object, "file", finding->file);
    if (finding->line)
        (void)json_object_set_new(object, "line", json_integer((json_int_t)finding->line));
    put(object, "key", finding->key);
    put(object, "what", finding->what);
    put(object, "why", finding->why);
    put(object, "instead", finding->instead);
    if (finding->severity == FINDING_ERROR) {
        (void)json_object_set_new(object, "status", json_integer(finding->status));
        findings->status = worse(findings->status, finding->status);
    }
    findings->counts[finding->severity]++;
    (void)json_array_append_new(findings->list, object);
}

void findings_add_err(struct findings *findings, const char *subject, const struct err *err)
{
    findings_add(findings, &(struct finding){
                               .severity = err->status == EXIT_UNAVAILABLE ? FINDING_UNCHECKED
                                                                           : FINDING_ERROR,
                               .status = err->status,
                               .key = subject,
                               .what = err->message,
                           });
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void write_one(const json_t *finding, bool colour, struct buf *out)
{
    const char *severity = text_of(finding, "severity"), *file = text_of(finding, "file");
    const char *key = text_of(finding, "key"), *rule = text_of(finding, "rule");
    const char *why = text_of(finding, "why"), *instead = text_of(finding, "instead");
    json_int_t line = json_integer_value(json_object_get(finding, "line"));
    size_t i = 0;

    while (i + 1 < FINDING_SEVERITIES && strcmp(severity, severities[i]) != 0)
        i++;
    buf_printf(out, "%s%s%s: ", colour ? colours[i] : "", severity, colour ? "\033[0m" : "");
    if (file && line)
        buf_printf(out, "%s:%lld: ", file, (long long)line);
    else if (file)
        buf_printf(out, "%s: ", file);
    if (key)
        buf_printf(out, "%s: ", key);
    buf_printf(out, "%s", text_of(finding, "what"));
    if (rule)
        buf_printf(out, " [%s]", rule);
    if (why)
        buf_printf(out, "\n    why: %s", why);
    if (instead)
        buf_printf(out, "\n    instead: %s", instead);
    buf_add_str(out, "\n");
}

void findings_write_text(const struct findings *findings, bool colour, struct buf *out)
{
    size_t count = json_array_size(findings->list);

    for (size_t i = 0; i < count; i++)
        write_one(json_array_get(findings->list, i), colour, out);
    buf_printf(out, "%s%zu error%s, %zu warning%s, %zu unchecked; looked at:", count ? "\n" : "",
               findings->counts[FINDING_ERROR], findings->counts[FINDING_ERROR] == 1 ? "" : "s",
               findings->counts[FINDING_WARNING], findings->counts[FINDING_WARNING] == 1 ? "" : "s",
               findings->counts[FINDING_UNCHECKED]);
    for (size_t i = 0; i < json_array_size(findings->parts); i++)
        buf_printf(out, "%s %s", i ? "," : "",
                   json_string_value(json_array_get(findings->parts, i)));
    buf_add_str(out, "\n");
}

void findings_write_json(const struct findings *findings, struct buf *out)
{
    json_t *root = json_pack("{s:i, s:i, s:i, s:i, s:O, s:O}", "status", (int)findings->status,
                             "errors", (int)findings->counts[FINDING_ERROR], "warnings",
                             (int)findings->counts[FINDING_WARNING], "unchecked",
                             (int)findings->counts[FINDING_UNCHECKED], "looked_at", findings->parts,
                             "findings", findings->list);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;

    json_decref(root);
    if (text)
        buf_printf(out, "%s\n", text);
    else
        out->failed = true;
    free(text);
}
