/* Counting n-grams exactly, in time proportional to the length: an n-gram is numbered by the pair of the number of
 * its first n - 1 units and its last unit, which fits a key of 64 bits whole, so nothing collides. */
#ifndef LNG_HOST_EVAL_NGRAM_H
#define LNG_HOST_EVAL_NGRAM_H

#include "host/eval/words.h"

/* How many n-grams of n units a sequence of `count` has. */
static inline int64_t lng_ngram_total(size_t count, int n)
{
    return count >= (size_t)n ? (int64_t)(count - (size_t)n) + 1 : 0;
}

/* matches[n - 1], n = 1 .. orders: the sum over the distinct n-grams g of `own` of min(count of g in own, most
 * counts of g in one of references [reference_count]). Sequences may hold any numbers. LNG_ERR_MEMORY, or
 * LNG_ERR_RANGE above 2^31 units in all. */
LNG_MUST_CHECK enum lng_status lng_ngram_matches(const struct lng_units *own,
                                                 const struct lng_units *references,
                                                 size_t reference_count, int orders,
                                                 int64_t *matches);

#endif
