/* Counting n-grams of small integers exactly: no hashing, so no collisions. */
#ifndef LNG_HOST_EVAL_NGRAM_H
#define LNG_HOST_EVAL_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

enum { LNG_NGRAM_MAX_ORDER = 6 };

struct lng_ngram {
    uint32_t unit[LNG_NGRAM_MAX_ORDER]; /* past the order: 0 */
};

/* The n-grams of one sequence, sorted. All zero is an empty list; memory is kept between calls. */
struct lng_ngrams {
    struct lng_ngram *list;
    size_t count, capacity;
};
void lng_ngrams_release(struct lng_ngrams *ngrams);

/* All n-grams of `order` (1 .. LNG_NGRAM_MAX_ORDER) of units [count]. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_ngrams_build(struct lng_ngrams *ngrams, const uint32_t *units,
                                                size_t count, int order);

/* Sum over the distinct n-grams g of a of min(count in a, max over the references of count in b). */
size_t lng_ngrams_matches(const struct lng_ngrams *a, const struct lng_ngrams *references,
                          size_t reference_count);

#endif
