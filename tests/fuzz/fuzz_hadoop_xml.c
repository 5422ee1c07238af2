/* Values and a template of Hadoop XML; see fuzz.h. */
#include "confgen/hadoop_xml.h"

#include "tests/fuzz/fuzz.h"

static const struct fuzz_format format = {
    .expand = hadoop_xml_expand,
    .read = hadoop_xml_read,
    .sample = "<configuration><property><name>a</name><value>\n ${V} </value></property>\n"
              "<property name='b' value=']]${V}>'/><property name=\"${V}\" value=\"${PASSWORD}\"/>"
              "<property><name>c</name><value><![CDATA[]]${V}>]]></value></property>"
              "<property><name>x${V}</name><value>]${V:?unset}]></value></property>"
              "<!-- ${V} --><?p ${V}?></configuration>",
    .sample_pairs = 5,
    .is_xml = true,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_expand(&format, bytes, size);
    return 0;
}
