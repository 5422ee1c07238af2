/* No line shows a secret, in whichever form it got there. */
#include "common/log.h"
#include "entrypoint/masking.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

/* The text of the lines, without their times. */
static void expect_lines(const char *const *messages, size_t count)
{
    FILE *lines = cr_get_redirected_stderr();
    char line[LOG_LINE_BYTES + 1], expected[LOG_LINE_BYTES];

    for (size_t i = 0; i < count; i++) {
        cr_assert(fgets(line, sizeof(line), lines) != NULL, "%s", messages[i]);
        (void)snprintf(expected, sizeof(expected), " info  x: %s\n", messages[i]);
        cr_expect_str_eq(line + 24, expected, "%s", line);
    }
}

Test(masking, finds_a_secret_in_each_form_and_inside_a_longer_line, .init = cr_redirect_stderr)
{
    static const char secret[] = "p&w\"d \\x=";
    static const char *const messages[] = {
        "plain *** and ***, twice", "in text ***!", "in an attribute '***'", "as a property: ***.",
        "in a URL: user:***@host",
    };

    masking_add(secret, strlen(secret));
    log_info("x", "plain %s and %s, twice", secret, secret);
    log_info("x", "in text p&amp;w\"d \\x=!");
    log_info("x", "in an attribute 'p&amp;w&quot;d \\x='");
    log_info("x", "as a property: p&w\"d \\\\x=.");
    log_info("x", "in a URL: user:p%%26w%%22d%%20%%5Cx%%3D@host");
    expect_lines(messages, sizeof(messages) / sizeof(messages[0]));
    log_mask_clear();
}

Test(masking, knows_the_environments_secrets_by_their_names, .init = cr_redirect_stderr)
{
    char password[] = "DB_PASSWORD=hunter2000", plain[] = "DB_HOST=database1", brief[] = "A_KEY=1",
         odd[] = "NOT_A_VARIABLE", *const environment[] = {password, plain, brief, odd, NULL};
    static const char *const messages[] = {"*** on database1, 1 try"};
    struct config config = {.render.secret_names = (char *)"*PASSWORD* *KEY*"};

    masking_add_environment(&config, environment);
    log_info("x", "hunter2000 on database1, 1 try");
    expect_lines(messages, 1);
    log_mask_clear();
}
