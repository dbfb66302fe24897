/* HTML as browsers cut it into tokens (WHATWG HTML, section 13.2.5), with their places. No tree is built: where text
 * begins and ends follows from the names of the tags. */
#ifndef LNG_HOST_DOCUMENTS_HTML_TOKENS_H
#define LNG_HOST_DOCUMENTS_HTML_TOKENS_H

#include "host/documents/document.h"

enum lng_html_kind {
    LNG_HTML_TEXT,
    LNG_HTML_START,
    LNG_HTML_END,
    LNG_HTML_OTHER, /* comment, doctype, processing instruction */
};

/* What html_elements.def says of an element. */
enum lng_html_role {
    LNG_HTML_BLOCK, /* nothing */
    LNG_HTML_INLINE,
    LNG_HTML_POINT,
    LNG_HTML_HARD,
    LNG_HTML_KEEP,
    LNG_HTML_OPAQUE,
    LNG_HTML_RAW,
    LNG_HTML_TITLE,
};

struct lng_html_token {
    enum lng_html_kind kind;
    enum lng_html_role role; /* of START and END */
    size_t begin, end;
    size_t name, name_length;
    bool closed; /* START: ends in "/>" */
};

/* The next token at `at`; false at the end. Any bytes are HTML. */
bool lng_html_next(const struct lng_document *document, size_t at, struct lng_html_token *token);
/* The place behind the element that a START token begins: behind its end tag, or the end of the document. */
size_t lng_html_skip(const struct lng_document *document, const struct lng_html_token *start);

bool lng_html_is(const struct lng_document *document, const struct lng_html_token *token,
                 const char *name);
/* The next attribute of a START token: at starts as 0. Values are raw, unquoted; false when there is none left. */
bool lng_html_attribute(const struct lng_document *document, const struct lng_html_token *token,
                        size_t *at, struct lng_slice *name, struct lng_slice *value);
/* The attribute of this name; false when there is none. */
bool lng_html_find(const struct lng_document *document, const struct lng_html_token *token,
                   const char *name, struct lng_slice *value);

#endif
