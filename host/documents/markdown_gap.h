/* The markup that md4c does not point at: what lies between one text of a block and the next. */
#ifndef LNG_HOST_DOCUMENTS_MARKDOWN_GAP_H
#define LNG_HOST_DOCUMENTS_MARKDOWN_GAP_H

#include <md4c.h>

#include "host/documents/document.h"

enum lng_md_kind {
    LNG_MD_TEXT,
    LNG_MD_CODE, /* in a span of code */
    LNG_MD_TAG,  /* HTML */
    LNG_MD_ENTITY,
    LNG_MD_KEEP, /* a whole span of code, or an address in angle brackets; visible is what is in it */
    LNG_MD_SOFT, /* from here on without bytes of their own */
    LNG_MD_HARD,
    LNG_MD_ENTER,
    LNG_MD_LEAVE,
};

struct lng_md_event {
    enum lng_md_kind kind;
    MD_SPANTYPE span;
    size_t begin, end; /* in the document's bytes */
    size_t visible, visible_end;
};

struct lng_md_block {
    struct lng_document *document;
    struct lng_md_event *events;
    size_t count, capacity;
    enum lng_encoding encoding;
};

/* Makes a unit of the block's events, if they say anything; the list is empty then. */
LNG_MUST_CHECK enum lng_status lng_md_finish_block(struct lng_md_block *block);

#endif
