/* Documents of every format, made from a seed: sentences with markup and placeholders in them, and much around them
 * that must stay. */
#ifndef LNG_TESTS_SUPPORT_DOCUMENT_MAKER_H
#define LNG_TESTS_SUPPORT_DOCUMENT_MAKER_H

#include "host/documents/formats.h"

/* Formats with a maker, as enum lng_opt_document_format; index 0 to DOCUMENT_FORMATS - 1. */
enum { DOCUMENT_FORMATS = 8 };
enum lng_opt_document_format document_format(int index);

/* Appends the document. filled: as it is when each text is its own translation and nothing is marked for review; else
 * as it is before. They differ in PO, XLIFF and TMX. */
void document_make(enum lng_opt_document_format format, uint32_t seed, bool filled,
                   struct lng_buffer *out);
/* How such a document is to be read. */
struct lng_read_options document_options(enum lng_opt_document_format format);

/* Appends what must survive in a text, a line each, sorted: tags and placeholders, and lines of times. */
void document_marks(const char *text, size_t length, struct lng_buffer *out);
/* Lines with nothing but white space. */
size_t document_blank_lines(const char *text, size_t length);
/* Appends the kinds of Markdown's blocks and of spans, counted. */
void document_markdown_shape(const char *text, size_t length, struct lng_buffer *out);

/* Asserts that a translation `got` has the marks, the blank lines and the structure of `same`, where each text is its own
 * translation. */
void document_check(enum lng_opt_document_format format, uint32_t seed,
                    const struct lng_buffer *same, const struct lng_buffer *got);

/* Stand-ins for a translator, an lng_translate_lines each. The first gives back what it gets; the second changes every
 * word, and by the line also reverses them, keeps or spoils placeholders, drops words, or answers nothing. */
enum lng_status document_same(void *context, const struct lng_slice *lines, size_t count,
                              struct lng_translations *translations);
enum lng_status document_change(void *context, const struct lng_slice *lines, size_t count,
                                struct lng_translations *translations);

#endif
