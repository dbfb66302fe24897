/* An XML file as a list of nodes with their places in its bytes. expat parses; entities that a file declares are
 * refused, and nothing outside the file is ever read. */
#ifndef LNG_HOST_DOCUMENTS_XML_NODES_H
#define LNG_HOST_DOCUMENTS_XML_NODES_H

#include "host/documents/document.h"

enum lng_xml_kind {
    LNG_XML_ELEMENT,
    LNG_XML_TEXT,  /* CDATA sections too */
    LNG_XML_OTHER, /* comments, processing instructions, entities that are not resolved */
};

struct lng_xml_node {
    enum lng_xml_kind kind;
    size_t begin, end;              /* the start tag, or all of it */
    size_t close_begin, close_end;  /* the end tag; both `end` for an empty-element tag */
    size_t parent;                  /* SIZE_MAX of the root */
    size_t after;                   /* the node behind all that is in it */
    size_t name, name_length;       /* without prefix, in the document's bytes */
    size_t visible, visible_length; /* of TEXT: what it says, in `text` */
};

/* In the order of the bytes: what is inside an element follows it. */
struct lng_xml {
    struct lng_xml_node *nodes;
    size_t count, capacity;
    struct lng_buffer text;
};

/* UTF-8 only. LNG_ERR_FORMAT with the line for what is not well-formed, declares entities, or is deeper than 256. */
LNG_MUST_CHECK enum lng_status lng_xml_parse(const struct lng_document *document,
                                             struct lng_xml *xml);
/* Fine on a zeroed one. */
void lng_xml_release(struct lng_xml *xml);

bool lng_xml_is(const struct lng_document *document, const struct lng_xml_node *node,
                const char *name);
/* What stands before an element's name, colon included: part of its end tag too. */
struct lng_slice lng_xml_prefix(const struct lng_document *document,
                                const struct lng_xml_node *element);
/* The raw value of an attribute of an element, with or without a prefix; false when it has none. The value's
 * place is where an edit would go. */
bool lng_xml_attribute(const struct lng_document *document, const struct lng_xml_node *node,
                       const char *name, struct lng_slice *value);
bool lng_xml_attribute_is(const struct lng_document *document, const struct lng_xml_node *node,
                          const char *name, const char *value);
/* The first child element of that name; SIZE_MAX when there is none. */
size_t lng_xml_child(const struct lng_document *document, const struct lng_xml *xml, size_t parent,
                     const char *name);
/* Does it say anything but white space, or hold markup? */
bool lng_xml_is_empty(const struct lng_xml *xml, size_t element);

#endif
