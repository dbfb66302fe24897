/* Passes over flat ranges: optimiser, statistics, averages, element-wise moves. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* Elements first .. end - 1 of the optimiser step. */
void LNG_SIMD(adam)(const struct lng_adam_args *args, int64_t first, int64_t end)
{
    float *param = args->param, *m = args->m, *v = args->v, *ema = args->ema;
    const float *grad = args->grad;
    const vf scale = v_set((float)args->grad_scale);
    const vf beta1 = v_set((float)args->beta1), rest1 = v_set((float)(1 - args->beta1));
    const vf beta2 = v_set((float)args->beta2), rest2 = v_set((float)(1 - args->beta2));
    const vf rate = v_set((float)(args->lr / args->bias1));
    const vf unbias2 = v_set((float)(1 / args->bias2)), epsilon = v_set((float)args->epsilon);
    const vf decay = v_set((float)(args->lr * args->weight_decay));
    const vf ema_rate = v_set((float)args->ema_rate);
    for (int64_t i = first; i < end; i += VW) {
        int64_t n = end - i;
        vf g = v_mul(v_load_n(grad + i, n), scale);
        vf m_next = v_fma(beta1, v_load_n(m + i, n), v_mul(rest1, g));
        vf v_next = v_fma(beta2, v_load_n(v + i, n), v_mul(v_mul(rest2, g), g));
        vf p = v_load_n(param + i, n);
        vf step = v_div(v_mul(rate, m_next), v_add(v_sqrt(v_mul(v_next, unbias2)), epsilon));
        vf next = v_sub(v_fnma(decay, p, p), step);
        v_store_n(m + i, m_next, n);
        v_store_n(v + i, v_next, n);
        v_store_n(param + i, next, n);
        if (ema) {
            vf e = v_load_n(ema + i, n);
            v_store_n(ema + i, v_fma(ema_rate, v_sub(next, e), e), n);
        }
    }
}

/* out[0] = sum of squares of finite elements, out[1] = number of the others; sums in eight lanes. */
void LNG_SIMD(gradient_stats)(const float *x, int64_t n, double out[2])
{
    double sum[8] = {0};
    int64_t i = 0, bad = 0;
    for (; i + 8 <= n; i += 8)
        for (int64_t l = 0; l < 8; l++) {
            float finite = fabsf(x[i + l]) <= 3.402823466e38f ? x[i + l] : 0.0f;
            bad += !(fabsf(x[i + l]) <= 3.402823466e38f);
            sum[l] += (double)finite * (double)finite;
        }
    for (; i < n; i++) {
        bool finite = fabsf(x[i]) <= 3.402823466e38f;
        bad += !finite;
        sum[0] += finite ? (double)x[i] * (double)x[i] : 0;
    }
    out[0] = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    out[1] = (double)bad;
}

/* y = a y + b x; x NULL: y = a y + b. */
void LNG_SIMD(blend)(float *y, const float *x, int64_t n, float a, float b)
{
    const vf va = v_set(a), vb = v_set(b);
    for (int64_t i = 0; i < n; i += VW) {
        vf v = v_mul(va, v_load_n(y + i, n - i));
        v = x ? v_fma(vb, v_load_n(x + i, n - i), v) : v_add(v, vb);
        v_store_n(y + i, v, n - i);
    }
}
