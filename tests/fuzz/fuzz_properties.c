/* Values and a template of Java properties; see fuzz.h. */
#include "confgen/properties.h"

#include "tests/fuzz/fuzz.h"

static const struct fuzz_format format = {
    .expand = properties_expand,
    .read = properties_read,
    .sample = "a=x${V}y\nk${V}k=1\n${V}:${PASSWORD}\n# ${V}\nb \\\n ${V:-none}\nc\\\n${V:?unset}",
    .sample_pairs = 5,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_expand(&format, bytes, size);
    return 0;
}
