/* Softmax over a vocabulary: the loss with its gradient, of a row and of a pair, and the best tokens of a row. */
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

/* The maximum; where wanted the sum, for smoothing. */
VEC_INLINE float row_maximum(const float *x, int64_t n, float *total)
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
    const float at = x[target], highest = row_maximum(x, n, elsewhere > 0 ? &all : 0);
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

/* What the second pass over a pair of rows x, y finds, with d = (x - highest x) - (y - highest y): sums of
 * e^(x - highest x) and of that times d, and the same of y. */
struct pair_sums {
    float x, x_apart, y, y_apart;
};
VEC_INLINE struct pair_sums sum_pair(const float *x, const float *y, int64_t n, float x_highest,
                                     float y_highest)
{
    const vf x_shift = v_set(x_highest), y_shift = v_set(y_highest);
    vf sums[4][4];
    for (int c = 0; c < 4; c++)
        for (int k = 0; k < 4; k++)
            sums[k][c] = v_zero();
    for (int64_t j = 0; j < n; j += STEP)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++) {
            const int64_t left = n - j - c * VW;
            if (left <= 0)
                break;
            vf a = v_sub(v_load_n(x + j + c * VW, left), x_shift);
            vf b = v_sub(v_load_n(y + j + c * VW, left), y_shift);
            vf apart = v_sub(a, b);
            a = v_keep_n(v_exp(a), left, v_zero());
            b = v_keep_n(v_exp(b), left, v_zero());
            sums[0][c] = v_add(sums[0][c], a);
            sums[1][c] = v_fma(a, apart, sums[1][c]);
            sums[2][c] = v_add(sums[2][c], b);
            sums[3][c] = v_fma(b, apart, sums[3][c]);
        }
    return (struct pair_sums){v_sum(join_sum(sums[0])), v_sum(join_sum(sums[1])),
                              v_sum(join_sum(sums[2])), v_sum(join_sum(sums[3]))};
}

/* Whether the first largest of a row is the target. */
VEC_INLINE bool is_hit(const float *x, int64_t target, float highest)
{
    bool first = x[target] == highest;
    for (int64_t j = 0; first && j < target; j++)
        first = x[j] != highest;
    return first;
}

/* One pair of rows, answers as for two of them. With lx, ly the log-probabilities, l = lx - ly and h half
 * the weight of the divergence, the gradient at x is scale (total px - w + h (px (l - KL(x || y)) + px - py)). */
void LNG_SIMD(loss_pair)(const struct lng_pair_loss_args *args, int64_t pair, double at_target,
                         double elsewhere, double answers[3])
{
    const int64_t n = args->logits.cols, target = args->targets[pair];
    float *x = (float *)args->logits.data + pair * args->logits.stride;
    float *y = x + args->logits.rows / 2 * args->logits.stride;
    float x_all = 0, y_all = 0;
    const float x_highest = row_maximum(x, n, elsewhere > 0 ? &x_all : 0);
    const float y_highest = row_maximum(y, n, elsewhere > 0 ? &y_all : 0);
    const struct pair_sums sum = sum_pair(x, y, n, x_highest, y_highest);
    const double x_log = log((double)sum.x), y_log = log((double)sum.y), logs = y_log - x_log;
    const double x_kl = (double)sum.x_apart / sum.x + logs,
                 y_kl = -(double)sum.y_apart / sum.y - logs;
    const double x_lse = x_highest + x_log, y_lse = y_highest + y_log;
    const double x_at = x[target] - x_lse, y_at = y[target] - y_lse;
    const double total = at_target + (double)(n - 1) * elsewhere, half = args->divergence / 2;
    const double others =
        (double)x_all - x[target] + (double)y_all - y[target] - (double)(n - 1) * (x_lse + y_lse);
    answers[0] = -at_target * (x_at + y_at) - elsewhere * others + half * (x_kl + y_kl);
    answers[1] = -(x_at + y_at);
    answers[2] = is_hit(x, target, x_highest) + is_hit(y, target, y_highest);
    /* px (total + half (l - KL + 1)) - half py - elsewhere, everything times scale */
    const double scale = args->gradient_scale;
    const vf weight = v_set((float)(scale * half)), less = v_set((float)(scale * elsewhere));
    const vf x_own = v_set((float)(scale * (total + half * (logs - x_kl + 1))));
    const vf y_own = v_set((float)(scale * (total + half * (-logs - y_kl + 1))));
    const vf x_factor = v_set((float)(1 / (double)sum.x)),
             y_factor = v_set((float)(1 / (double)sum.y));
    const vf x_shift = v_set(x_highest), y_shift = v_set(y_highest);
    for (int64_t j = 0; j < n; j += VW) {
        vf a = v_sub(v_load_n(x + j, n - j), x_shift), b = v_sub(v_load_n(y + j, n - j), y_shift);
        vf apart = v_mul(v_sub(a, b), weight);
        vf px = v_mul(v_exp(a), x_factor), py = v_mul(v_exp(b), y_factor);
        vf gx = v_fma(px, v_add(x_own, apart), v_fnma(weight, py, v_sub(v_zero(), less)));
        vf gy = v_fma(py, v_sub(y_own, apart), v_fnma(weight, px, v_sub(v_zero(), less)));
        v_store_n(x + j, gx, n - j);
        v_store_n(y + j, gy, n - j);
    }
    const double px = exp(x_at), py = exp(y_at), apart = x_at - y_at;
    x[target] = (float)(scale * (total * px - at_target + half * (px * (apart - x_kl) + px - py)));
    y[target] = (float)(scale * (total * py - at_target + half * (py * (-apart - y_kl) + py - px)));
}

/* Of a block of columns, which is not changed. Without any above -inf the sum is 0, or not a number. */
struct lng_cpu_sum LNG_SIMD(sum_exponentials)(const float *x, int64_t n)
{
    const float highest = row_maximum(x, n, 0);
    const float shift = highest == -INFINITY ? 0 : highest;
    return (struct lng_cpu_sum){highest, row_exponentials((float *)(uintptr_t)x, n, shift, false)};
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
