/* What XLIFF and TMX share: the content of a segment, and edits of tags. */
#ifndef LNG_HOST_DOCUMENTS_INLINE_XML_H
#define LNG_HOST_DOCUMENTS_INLINE_XML_H

#include "host/documents/xml_nodes.h"

/* Adds the content of an element to the unit begun last. */
LNG_MUST_CHECK enum lng_status lng_inline_add(struct lng_document *document,
                                              const struct lng_xml *xml, size_t element);

/* Appends the start tag of an element as an open one ("<a/>" gives "<a>"), with the attributes set to the values
 * (pairs of names and values, ended by NULL), instead of or after those that it has. */
LNG_MUST_CHECK enum lng_status lng_inline_append_tag(const struct lng_document *document,
                                                     const struct lng_xml_node *element,
                                                     const char *const *attributes,
                                                     struct lng_buffer *out);
/* The line end and the spaces before an element when nothing else is before it on its line, else nothing. */
struct lng_slice lng_inline_indent(const struct lng_document *document,
                                   const struct lng_xml_node *element);

/* Is one of the two language tags the other, or the beginning of it ("en" and "en-US")? In any case. */
bool lng_same_language(struct lng_slice one, struct lng_slice other);
/* The document says its source language. */
void lng_inline_set_language(struct lng_document *document, struct lng_slice language);

#endif
