/* Guided alignment a sentence at a time, for backends that have threads: gradients of a sentence belong to nobody else,
 * so the same bits come out in any order. */
#ifndef LNG_KERNELS_REF_REF_GUIDE_H
#define LNG_KERNELS_REF_REF_GUIDE_H

#include "kernels/ref/ref.h"

/* What ref refuses. Nothing below looks again. */
enum lng_status REF(guide_check)(const struct lng_attention_guide_args *args);
/* Doubles that the largest sentence needs. */
size_t REF(guide_room)(const struct lng_attention_guide_args *args);
/* Adds the gradients of sentence b to d_q and d_k, those of the score vector to d_vector [H*A] (additive scores only),
 * and writes its cost and number of rows with links to sums. */
void REF(guide_sentence)(const struct lng_attention_guide_args *args, int64_t b, double *room,
                         double *d_vector, double sums[2]);

#endif
