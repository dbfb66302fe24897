/* Softmax over a vocabulary: the loss with its gradient, and the best tokens of a row. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* Four registers a step: independent chains, and still one fixed order. */
enum { STEP = 4 * VW };

VEC_INLINE vf join_max(const vf a[4])
{
    return v_max(v_max(a[0], a[1]), v_max(a[2], a[3]));
}
VEC_INLINE vf join_sum(const vf a[4])
{
    return v_add(v_add(a[0], a[1]), v_add(a[2], a[3]));
}

/* The maximum; where wanted the sum (for smoothing) and the maxima of STEP disjoint parts. */
VEC_INLINE float row_maximum(const float *x, int64_t n, float *total, float *lanes)
{
    const vf lowest = v_set(-INFINITY);
    vf best[4] = {lowest, lowest, lowest, lowest},
       sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++) {
            vf v = v_load(x + j + c * VW);
            best[c] = v_max(v, best[c]);
            if (total)
                sum[c] = v_add(sum[c], v);
        }
    for (; j < n; j += VW) {
        vf v = v_load_n(x + j, n - j);
        best[0] = v_max(v_keep_n(v, n - j, best[0]), best[0]);
        sum[0] = v_add(sum[0], v);
    }
    if (total)
        *total = v_sum(join_sum(sum));
    for (int c = 0; lanes && c < 4; c++)
        v_store(lanes + c * VW, best[c]);
    return v_maximum(join_max(best));
}

/* Sum of exp(x - highest); with `store` x becomes the terms. */
VEC_INLINE float row_exponentials(float *x, int64_t n, float highest, bool store)
{
    const vf shift = v_set(highest);
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
#pragma GCC unroll 4
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
    return v_sum(join_sum(sum));
}

/* One row: answers[0] loss, [1] -lp[target], [2] whether the first largest is the target. With w the
 * wanted distribution (at_target, elsewhere): loss = -sum w lp, gradient = scale (sum(w) p - w). */
void LNG_SIMD(loss_row)(const struct lng_loss_args *args, int64_t row, double at_target,
                        double elsewhere, double answers[3])
{
    const int64_t n = args->logits.cols, target = args->targets[row];
    float *x = (float *)args->logits.data + row * args->logits.stride;
    float all = 0;
    const float at = x[target], highest = row_maximum(x, n, elsewhere > 0 ? &all : 0, 0);
    const double total = at_target + (double)(n - 1) * elsewhere;
    bool first = at == highest;
    for (int64_t j = 0; first && j < target; j++)
        first = x[j] != highest;
    float sum = row_exponentials(x, n, highest, args->d_logits);
    double lse = highest + log((double)sum), logprob = at - lse;
    answers[0] = -at_target * logprob - elsewhere * ((double)all - at - (double)(n - 1) * lse);
    answers[1] = -logprob;
    answers[2] = first;
    if (args->token_logprob)
        args->token_logprob[row] = (float)logprob;
    if (!args->d_logits)
        return;
    const double p_target = exp(logprob);
    const vf factor = v_set((float)(args->gradient_scale * total / sum));
    const vf less = v_set((float)(args->gradient_scale * elsewhere));
    int64_t j = 0;
    for (; j + STEP <= n; j += STEP)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++)
            v_store(x + j + c * VW, v_sub(v_mul(v_load(x + j + c * VW), factor), less));
    for (; j < n; j += VW)
        v_store_n(x + j, v_sub(v_mul(v_load_n(x + j, n - j), factor), less), n - j);
    x[target] = (float)(args->gradient_scale * (total * p_target - at_target));
}

/* log-sum-exp of a row, which is not changed. floor: something that at least `count` of its elements
 * reach, -inf when that is not known: the count-th largest of the maxima of disjoint parts. */
double LNG_SIMD(row_log_sum)(const float *x, int64_t n, int64_t count, float *floor)
{
    float lanes[STEP];
    const float highest = row_maximum(x, n, 0, lanes);
    for (int64_t i = 0; i < count && i < STEP; i++)
        for (int64_t j = i + 1; j < STEP; j++)
            if (lanes[j] > lanes[i]) {
                float swap = lanes[i];
                lanes[i] = lanes[j];
                lanes[j] = swap;
            }
    *floor = count > 0 && count <= STEP ? lanes[count - 1] : -INFINITY;
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
