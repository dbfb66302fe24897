/* What must come through a translation as it is: placeholders and addresses, as the tokenizer's table says
 * (tokenizer/placeholder.def), and what is markup inside a text: tags and character references. */
#ifndef LNG_HOST_DOCUMENTS_PROTECT_H
#define LNG_HOST_DOCUMENTS_PROTECT_H

#include "host/documents/document.h"

struct lng_protected {
    enum lng_piece_kind kind; /* KEEP; OPEN, CLOSE or POINT for a tag */
    size_t begin, end;
    size_t name, name_length; /* of a tag, in the text */
};

struct lng_protected_list {
    const struct lng_protected *data;
    size_t count;
};

/* Compiled patterns: one for a document, one thread at a time. */
struct lng_protector;
LNG_MUST_CHECK enum lng_status lng_protector_open(struct lng_protector **protector);
/* NULL is fine. */
void lng_protector_close(struct lng_protector *protector);

/* All that a text holds, rising and apart: the built-in placeholders; tags ("<b>", "</b>", "<br/>", "<!-- -->"),
 * of which those that stay open are the caller's to see; references ("&amp;", "&#65;"). Where two
 * overlap, the one that begins first counts, a tag before a placeholder. The list is the protector's, until the next call. */
LNG_MUST_CHECK enum lng_status lng_protector_find(struct lng_protector *protector, const char *text,
                                                  size_t length, struct lng_protected_list *list);

/* The tag at the start of `text`, HTML's or XML's way: the bytes it takes, 0 when none is there. Quoted attribute
 * values may hold '>'. found->begin is 0. */
size_t lng_protect_tag(const char *text, size_t length, struct lng_protected *found);

#endif
