/* Hadoop's configuration XML (hive-site.xml, core-site.xml): expanding a template of that format,
 * and reading a finished file. libxml2 judges; what is ours finds the places of the placeholders
 * and leaves every other byte alone.
 *
 * Accepted is what Hadoop's own parser takes without surprises: UTF-8, XML 1.0, no DOCTYPE, no
 * entities but the five of XML and numeric ones, nothing nested deeper than 256. */
#ifndef SPARKPOD_CONFGEN_HADOOP_XML_H
#define SPARKPOD_CONFGEN_HADOOP_XML_H

#include "common/err.h"
#include "confgen/expansion.h"
#include "confgen/pairs.h"

#include <stddef.h>

/* Text and attribute values of elements. */
extern const struct expansion_place hadoop_xml_text, hadoop_xml_attribute;

/* Expand the template into expansion->result, or add faults. Placeholders stand in text, attribute
 * values and CDATA; those in comments and processing instructions stay. The template's own blanks
 * around a property's <name> and <value> are dropped, since Hadoop does not trim values, unless the
 * element holds blanks only. */
void hadoop_xml_expand(struct expansion *expansion);

/* Call fn for each property with a value, in the elements' or the attributes' form; the name
 * trimmed, the value not. An empty value counts as unset, as in Hadoop, and is not reported.
 * xi:include is not followed. 0, or -1 with err for what is not such XML, and when fn stops. */
int hadoop_xml_read(const char *data, size_t len, pairs_fn fn, void *context, struct err *err);

#endif
