/* Whether a text is well-formed XML of the plain kind: a declaration, elements, attributes, text with the
 * five entities; no comments, CDATA or processing instructions. */
#ifndef TESTS_SUPPORT_XML_CHECK_H
#define TESTS_SUPPORT_XML_CHECK_H

#include <stdbool.h>

/* *elements (may be NULL) counts start tags of that name. */
bool xml_well_formed(const char *text, const char *name, int *elements);

#endif
