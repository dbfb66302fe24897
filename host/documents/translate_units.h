/* Translates the units of a document. */
#ifndef LNG_HOST_DOCUMENTS_TRANSLATE_UNITS_H
#define LNG_HOST_DOCUMENTS_TRANSLATE_UNITS_H

#include "host/documents/place.h"

/* Translations of lines, in order. */
struct lng_translations {
    struct lng_buffer text;
    struct lng_translation_line {
        size_t text, length, link, link_count;
    } * lines;
    struct lng_link *links;
    size_t count, capacity, link_count, link_capacity;
};
/* Appends the translation of the next line, and what corresponds in the line appended last. */
LNG_MUST_CHECK enum lng_status lng_translations_add(struct lng_translations *translations,
                                                    const char *text, size_t length);
LNG_MUST_CHECK enum lng_status lng_translations_link(struct lng_translations *translations,
                                                     struct lng_link link);
void lng_translations_release(struct lng_translations *translations);

/* Translates lines without line ends, each by itself; none is empty. Adds one translation for each. */
typedef enum lng_status (*lng_translate_lines)(void *context, const struct lng_slice *lines,
                                               size_t count, struct lng_translations *translations);

struct lng_document_stats {
    uint64_t units, lines; /* lines: sentences given to the translator, repeated ones counted */
    uint64_t masked,
        runs; /* segments that were translated without their placeholders; between their markup */
    uint64_t
        kept; /* sentences left as they were: the translation was empty or lost a placeholder */
};

/* Fills the results of all units. language: of the source, for the ends of sentences; NULL = what the document says. A
 * line that holds no letter is not translated. */
LNG_MUST_CHECK enum lng_status lng_document_translate(struct lng_document *document,
                                                      const char *language,
                                                      lng_translate_lines translate, void *context,
                                                      struct lng_document_stats *stats);

#endif
