/* What placing works on: the words of a text and of its translation, and which come from which. */
#ifndef LNG_HOST_DOCUMENTS_LINKED_WORDS_H
#define LNG_HOST_DOCUMENTS_LINKED_WORDS_H

#include "host/documents/place.h"

struct lng_word {
    size_t begin, end; /* of the text */
    size_t whole;      /* where the word begins of which this is a part; equal to begin mostly */
    size_t sentence;
    size_t keep;  /* the item that it is; SIZE_MAX = none */
    size_t link;  /* of a word of the translation: the word of the source; SIZE_MAX = not known */
    size_t owner; /* of a word of the translation: the extent that it is in */
};

struct lng_word_list {
    struct lng_word *data;
    size_t count, capacity;
};

/* A translation put together: sentences joined as they were. */
struct lng_joined {
    struct lng_buffer text;
    struct lng_segment *sentences;
    struct lng_word_list source, target;
};

/* Words of the view and of the translation, linked. *fine = false when a placeholder is not in the translation as
 * often as in the source, or when the segment is too large for it. Release in any case. */
LNG_MUST_CHECK enum lng_status lng_join_sentences(const struct lng_segment_view *view,
                                                  const struct lng_translated *translated,
                                                  struct lng_words *words,
                                                  struct lng_joined *joined, bool *fine);
void lng_joined_release(struct lng_joined *joined);

#endif
