/* Softmax over a vocabulary: the loss with its gradient, and the best tokens of a row. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* Four registers a step: independent chains, and still one fixed order. */
enum { STEP = 4 * VW };

VEC_INLINE float row_maximum(const float *x, int64_t n)
{
    vf best[4] = {v_set(-INFINITY), v_set(-INFINITY), v_set(-INFINITY), v_set(-INFINITY)};
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
        for (int c = 0; c < 4; c++)
            best[c] = v_max(v_load(x + j + c * VW), best[c]);
    for (; j < n; j += VW)
        best[0] = v_max(v_keep_n(v_load_n(x + j, n - j), n - j, best[0]), best[0]);
    return v_maximum(v_max(v_max(best[0], best[1]), v_max(best[2], best[3])));
}

/* Sum of x, for smoothing. */
VEC_INLINE float row_sum(const float *x, int64_t n)
{
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
        for (int c = 0; c < 4; c++)
            sum[c] = v_add(sum[c], v_load(x + j + c * VW));
    for (; j < n; j += VW)
        sum[0] = v_add(sum[0], v_load_n(x + j, n - j));
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

/* Sum of exp(x - highest); with `store` x becomes the terms. */
VEC_INLINE float row_exponentials(float *x, int64_t n, float highest, bool store)
{
    const vf shift = v_set(highest);
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
        for (int c = 0; c < 4; c++) {
            vf e = v_exp(v_sub(v_load(x + j + c * VW), shift));
            if (store)
                v_store(x + j + c * VW, e);
            sum[c] = v_add(sum[c], e);
        }
    for (; j < n; j += VW) {
        vf e = v_keep_n(v_exp(v_sub(v_load_n(x + j, n - j), shift)), n - j, v_zero());
        if (store)
            v_store_n(x + j, e, n - j);
        sum[0] = v_add(sum[0], e);
    }
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

/* One row: answers[0] loss, [1] -lp[target], [2] whether the first largest is the target. With w the
 * wanted distribution (at_target, elsewhere): loss = -sum w lp, gradient = scale (sum(w) p - w). */
void LNG_SIMD(loss_row)(const struct lng_loss_args *args, int64_t row, double at_target,
                        double elsewhere, double answers[3])
{
    const int64_t n = args->logits.cols, target = args->targets[row];
    float *x = (float *)args->logits.data + row * args->logits.stride;
    const float at = x[target], highest = row_maximum(x, n);
    const double total = at_target + (double)(n - 1) * elsewhere;
    bool first = at == highest;
    for (int64_t j = 0; first && j < target; j++)
        first = x[j] != highest;
    double all = elsewhere > 0 ? (double)row_sum(x, n) : 0;
    float sum = row_exponentials(x, n, highest, args->d_logits);
    double lse = highest + log((double)sum), logprob = at - lse;
    answers[0] = -at_target * logprob - elsewhere * (all - at - (double)(n - 1) * lse);
    answers[1] = -logprob;
    answers[2] = first;
    if (args->token_logprob)
        args->token_logprob[row] = (float)logprob;
    if (!args->d_logits)
        return;
    const double p_target = exp(logprob);
    const vf factor = v_set((float)(args->gradient_scale * total / sum));
    const vf less = v_set((float)(args->gradient_scale * elsewhere));
    for (int64_t j = 0; j < n; j += VW)
        v_store_n(x + j, v_sub(v_mul(v_load_n(x + j, n - j), factor), less), n - j);
    x[target] = (float)(args->gradient_scale * (total * p_target - at_target));
}

/* log-sum-exp of a row, which is not changed. */
double LNG_SIMD(row_log_sum)(const float *x, int64_t n)
{
    const float highest = row_maximum(x, n);
    return highest + log((double)row_exponentials((float *)(uintptr_t)x, n, highest, false));
}

/* The first j >= from with x[j] >= floor, or n. */
int64_t LNG_SIMD(find_at_least)(const float *x, int64_t from, int64_t n, float floor)
{
    for (int64_t j = from; j < n; j += VW) {
        vf v = v_load_n(x + j, n - j);
#if defined(__AVX512F__)
        unsigned hits = _mm512_cmp_ps_mask(v, v_set(floor), _CMP_GE_OQ);
#elif defined(__AVX2__)
        unsigned hits = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(v, v_set(floor), _CMP_GE_OQ));
#else
        unsigned hits = (unsigned)_mm_movemask_ps(_mm_cmpge_ps(v, v_set(floor)));
#endif
        if (n - j < VW)
            hits &= (1u << (n - j)) - 1u;
        if (hits)
            return j + __builtin_ctz(hits);
    }
    return n;
}
