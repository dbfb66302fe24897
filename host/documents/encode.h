/* Visible text to the spelling of a document, and HTML's character references the other way. */
#ifndef LNG_HOST_DOCUMENTS_ENCODE_H
#define LNG_HOST_DOCUMENTS_ENCODE_H

#include "host/documents/document.h"

/* Appends bytes [begin, end) of `text` as the encoding spells them; what is around them in the text counts. line:
 * where in the text a line of the document begins, which matters in Markdown. What the format cannot hold (control
 * characters in XML, a tab in a cell) becomes a space. */
LNG_MUST_CHECK enum lng_status lng_encode(enum lng_encoding encoding, struct lng_slice text,
                                          size_t begin, size_t end, size_t line,
                                          struct lng_buffer *out);

/* The character reference at the start of `text` ("&amp;", "&#65;", "&eacute;"): the bytes it takes and what it
 * stands for, 1 to 4 bytes of UTF-8. 0 when there is none that is known. */
size_t lng_decode_reference(const char *text, size_t length, char out[4], size_t *out_length);

#endif
