/* Findings: which status counts, and that text and JSON carry no bytes of others. */
#include "entrypoint/findings.h"

#include <criterion/criterion.h>
#include <string.h>

static struct findings make(void)
{
    struct findings findings;

    cr_assert(findings_init(&findings) == 0);
    findings_begin(&findings, "settings");
    return findings;
}

Test(findings, the_error_to_put_right_first_is_the_status)
{
    static const struct {
        enum exit_status errors[3], expected; /* EXIT_UNAVAILABLE is no error */
    } rows[] = {
        {{EXIT_UNAVAILABLE}, EXIT_DONE},
        {{EXIT_REFUSED, EXIT_UNAVAILABLE}, EXIT_REFUSED},
        {{EXIT_REFUSED, EXIT_DATA}, EXIT_DATA},
        {{EXIT_DATA, EXIT_REFUSED}, EXIT_DATA},
        {{EXIT_CONFIG, EXIT_DATA, EXIT_REFUSED}, EXIT_CONFIG},
        {{EXIT_REFUSED, EXIT_DATA, EXIT_CONFIG}, EXIT_CONFIG},
        {{EXIT_INTERNAL, EXIT_REFUSED}, EXIT_REFUSED},
        {{EXIT_INTERNAL}, EXIT_INTERNAL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct findings findings = make();

        for (size_t k = 0; k < 3 && rows[i].errors[k]; k++) {
            struct err err = {rows[i].errors[k], "x"};

            findings_add_err(&findings, "subject", &err);
        }
        cr_expect_eq(findings.status, rows[i].expected, "row %zu", i);
        findings_free(&findings);
    }
}

Test(findings, a_warning_is_no_error)
{
    struct findings findings = make();
    BUF_AUTO text = BUF_INIT(4096);

    findings_add(&findings, &(struct finding){.severity = FINDING_WARNING,
                                              .status = EXIT_CONFIG,
                                              .file = "a\033\n\xff",
                                              .line = 3,
                                              .what = "what",
                                              .instead = "b"});
    cr_expect_eq(findings.status, EXIT_DONE);
    findings_write_text(&findings, false, &text);
    cr_expect_str_eq(buf_str(&text),
                     "warning: a???:3: what\n    instead: b\n\n"
                     "0 errors, 1 warning, 0 unchecked; looked at: settings\n",
                     "%s", buf_str(&text));
    findings_free(&findings);
}
