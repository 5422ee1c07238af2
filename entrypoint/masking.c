#include "entrypoint/masking.h"

#include "common/log.h"
#include "confgen/hadoop_xml.h"
#include "confgen/properties.h"
#include "confgen/variables.h"

#include <string.h>

#define ESCAPED_MAX_BYTES ((size_t)8 << 20)

/* Percent-encoding, RFC 3986, section 2.1: all but the unreserved characters. */
static bool escape_url(struct buf *out, const char *value, size_t len)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (size_t i = 0; i < len; i++) {
        if (memchr(unreserved, value[i], sizeof(unreserved) - 1))
            (void)buf_add_char(out, value[i]);
        else
            (void)buf_printf(out, "%%%02X", (unsigned char)value[i]);
    }
    return true;
}

void masking_add(const char *value, size_t len)
{
    static const struct expansion_place url_place = {"a URL", escape_url};
    static const struct expansion_place *const places[] = {&hadoop_xml_text, &hadoop_xml_attribute,
                                                           &properties_value, &url_place};
    BUF_AUTO escaped = BUF_INIT(ESCAPED_MAX_BYTES);

    if (len < LOG_SECRET_MIN_BYTES)
        return;
    (void)log_mask_add(value, len);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        buf_clear(&escaped);
        if (places[i]->escape(&escaped, value, len) && !buf_failed(&escaped))
            (void)log_mask_add(buf_str(&escaped), escaped.len);
    }
}

void masking_add_environment(const struct config *config, char *const *environment)
{
    char name[256];

    for (; *environment; environment++) {
        const char *value = variables_part_entry(*environment, name, sizeof(name));

        if (value && variables_name_matches(config->render.secret_names, name))
            masking_add(value, strlen(value));
    }
}
