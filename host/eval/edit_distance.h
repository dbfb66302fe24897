/* Levenshtein distance by bit-parallel columns (Myers 1999, in the form of Hyyro 2003). */
#ifndef LNG_HOST_EVAL_EDIT_DISTANCE_H
#define LNG_HOST_EVAL_EDIT_DISTANCE_H

#include "host/eval/words.h"

/* Fewest insertions, deletions and substitutions between two sequences of numbers below `numbers`. Takes
 * a->count * b->count / 64 steps. LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_edit_distance(const struct lng_units *a,
                                                 const struct lng_units *b, size_t numbers,
                                                 int64_t *distance);

#endif
