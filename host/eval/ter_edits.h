/* The edits of TER: insertions, deletions, substitutions and shifts of blocks (Snover et al. 2006), found as Tercom
 * and sacreBLEU's version of it find them, limits and order of preference included. */
#ifndef LNG_HOST_EVAL_TER_EDITS_H
#define LNG_HOST_EVAL_TER_EDITS_H

#include "host/eval/words.h"

/* Fewest edits found that make the hypothesis the reference; words as equal numbers. Takes time in proportion to the
 * lengths, about 250 bytes of memory for each word. LNG_ERR_MEMORY, LNG_ERR_RANGE above 2^30 words. */
LNG_MUST_CHECK enum lng_status lng_ter_edits(const struct lng_units *hypothesis,
                                             const struct lng_units *reference, int64_t *edits);

#endif
