/* Any bytes are cut into tokens without gaps, names are names, and a literal holds nothing that is
 * ours. */
#include "confgen/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    struct template_position position = {0};
    enum template_kind before = TEMPLATE_ESCAPE;

    for (size_t p = 0; p < size;) {
        struct template_token token = template_next(data, p, size);

        demand(token.start == p && token.end > p && token.end <= size);
        demand(token.kind != TEMPLATE_LITERAL || before != TEMPLATE_LITERAL);
        if (token.kind == TEMPLATE_LITERAL)
            demand(!memmem(data + p, token.end - p, "$${", 3));
        else if (token.kind != TEMPLATE_ESCAPE)
            demand(token.name == p + 2 && token.name_len > 0);
        if (token.kind == TEMPLATE_DEFAULT || token.kind == TEMPLATE_MESSAGE)
            demand(!memchr(data + token.word, '}', token.word_len) && data[token.end - 1] == '}');
        template_locate(data, p, &position);
        demand(position.line > 0 && position.column > 0);
        before = token.kind;
        p = token.end;
    }
    return 0;
}
