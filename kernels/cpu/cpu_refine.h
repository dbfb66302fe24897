/* Logits of int8 computed again from rows as they are, see LNG_REFINED; and the lists of a row's largest. */
#ifndef LNG_KERNELS_CPU_REFINE_H
#define LNG_KERNELS_CPU_REFINE_H

#include "kernels/cpu/cpu_device.h"

/* Of a row the largest logits, sorted; of equal ones the first tokens. */
struct lng_cpu_found {
    float *logits;
    int32_t *tokens;
    int32_t count;
};
/* Keeps `most` of them. */
void lng_cpu_keep_logit(struct lng_cpu_found *found, int64_t most, float logit, int32_t token);
/* The same for the logits x [n] of tokens first, first + 1, ... */
void lng_cpu_keep_logits(const struct lng_cpu *cpu, struct lng_cpu_found *found, int64_t most,
                         const float *x, int64_t n, int32_t first);

/* Rows of an I8 weight (W [V, D]) for rows of x. */
struct lng_cpu_refining {
    const struct lng_cpu_weight *weight;
    struct lng_view x;    /* [R, D] f32 */
    struct lng_view bias; /* [1, V], or data NULL */
};
/* x . w + bias. scratch [D] */
float lng_cpu_exact_logit(const struct lng_cpu *cpu, const struct lng_cpu_refining *refining,
                          int64_t row, int64_t token, float *scratch);
/* Replaces the largest logits of each row of y [R, C]. tokens NULL: column j is token j, of C; else token
 * tokens[first[r] + j], of count[r]. Uses the threads and D floats of their scratch. */
void lng_cpu_refine(struct lng_cpu *cpu, const struct lng_cpu_refining *refining, struct lng_view y,
                    const int32_t *tokens, const int32_t *first, const int32_t *count);

#endif
