/* Words as numbers: equal words, equal numbers, from 0 in the order of their first coming. Compared byte by
 * byte, so nothing collides. */
#ifndef LNG_HOST_EVAL_WORDS_H
#define LNG_HOST_EVAL_WORDS_H

#include "host/base/text.h"

/* A sequence of such numbers. All zero is an empty one. */
struct lng_units {
    uint32_t *list;
    size_t count, capacity;
};
LNG_MUST_CHECK enum lng_status lng_units_append(struct lng_units *units, uint32_t unit);
void lng_units_release(struct lng_units *units);

/* The words of the sides of one segment, whose texts are borrowed. All zero is an empty set. */
struct lng_words {
    struct lng_slice *list; /* [count] */
    size_t count, capacity;
    uint32_t *table; /* private: 1 + number at the place of the hash, 0 is free */
    size_t table_size;
};
void lng_words_release(struct lng_words *words);

/* The number of `word`, a new one if it is new. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_words_number(struct lng_words *words, struct lng_slice word,
                                                uint32_t *number);
/* Appends the numbers of the words of `text`, split at ASCII white space. */
LNG_MUST_CHECK enum lng_status lng_words_split(struct lng_words *words, struct lng_slice text,
                                               struct lng_units *units);
/* Appends the numbers of the code points of `text`; each byte that is no UTF-8 stands for itself. */
LNG_MUST_CHECK enum lng_status lng_words_characters(struct lng_words *words, struct lng_slice text,
                                                    struct lng_units *units);

#endif
