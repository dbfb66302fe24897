/* Puts a segment's markup into its translation. */
#ifndef LNG_HOST_DOCUMENTS_PLACE_H
#define LNG_HOST_DOCUMENTS_PLACE_H

#include "host/documents/view.h"

/* Bytes of a line and of its translation that correspond. */
struct lng_link {
    size_t source_begin, source_end, target_begin, target_end;
};

/* A translated sentence of a view: its text, and what corresponds in it, if that is known. */
struct lng_translated {
    struct lng_slice text;
    const struct lng_link *links;
    size_t link_count;
};

/* Words of texts, by Unicode's rules. The protector is borrowed. */
struct lng_words;
LNG_MUST_CHECK enum lng_status lng_words_open(struct lng_protector *protector,
                                              struct lng_words **words);
/* NULL is fine. */
void lng_words_close(struct lng_words *words);

/* Appends the segment with the translations of its sentences, as the encoding spells it. Each extent of markup
 * goes around the words that come from its words, each point beside the word that comes from its neighbour: by the
 * links, by words that are equal in both, else in proportion. All markup survives and stays nested. *placed = false,
 * nothing appended, when it cannot: a placeholder is gone, or there are fewer words than extents. A view in runs
 * can always be placed. */
LNG_MUST_CHECK enum lng_status lng_place(const struct lng_segment_view *view,
                                         const struct lng_translated *translated,
                                         enum lng_encoding encoding, struct lng_words *words,
                                         struct lng_buffer *out, bool *placed);

#endif
