/* Attention of one query row against cached keys and values. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_tanh.h"
#include "kernels/cpu/simd/vec_transpose.h"

VEC_INLINE int64_t cache_row(const struct lng_attention_step_args *args, int64_t r, int64_t s)
{
    if (!args->ancestor)
        return args->key_start[r] + s;
    return s * args->slots + args->ancestor[r * args->ancestor_stride + s];
}

/* scores[s] = scale q . k[s] for s in [0, keys), or with a vector scale vector . tanh(q + k[s]); VW keys
 * at a time, their sums by a transposition. */
VEC_INLINE float score_keys(const float *q, const float *const *k, const float *vector, int64_t col,
                            int64_t keys, int64_t width, float scale, float *scores)
{
    vf best = v_set(-INFINITY);
    for (int64_t s = 0; s < keys; s += VW) {
        vf dot[VW];
#pragma GCC unroll 16
        for (int64_t l = 0; l < VW; l++) {
            dot[l] = v_zero();
            if (s + l < keys)
                for (int64_t a = 0; a < width; a += VW) {
                    vf x = v_load_n(q + a, width - a);
                    vf y = v_load_n(k[s + l] + col + a, width - a);
                    if (vector) {
                        y = v_tanh(v_add(x, y));
                        x = v_load_n(vector + a, width - a);
                    }
                    dot[l] = v_fma(x, y, dot[l]);
                }
        }
        v_transpose(dot);
        for (int64_t half = VW / 2; half > 0; half /= 2)
            for (int64_t l = 0; l < half; l++)
                dot[l] = v_add(dot[l], dot[l + half]);
        vf score = v_keep_n(v_mul(dot[0], v_set(scale)), keys - s, v_set(-INFINITY));
        v_store(scores + s, score);
        best = v_max(score, best);
    }
    return v_maximum(best);
}

/* o = sum over s of p[s] v[s], even and odd keys apart. */
VEC_INLINE void mix_values(const float *p, const float *const *v, int64_t col, int64_t keys,
                           int64_t width, float *o)
{
    for (int64_t a = 0; a < width; a += 2 * VW) {
        const int64_t n0 = width - a, n1 = n0 > VW ? n0 - VW : 0;
        vf even[2] = {v_zero(), v_zero()}, odd[2] = {v_zero(), v_zero()};
        int64_t s = 0;
        for (; s + 2 <= keys; s += 2) {
            const float *v0 = v[s] + col + a, *v1 = v[s + 1] + col + a;
            even[0] = v_fma(v_set(p[s]), v_load_n(v0, n0), even[0]);
            odd[0] = v_fma(v_set(p[s + 1]), v_load_n(v1, n0), odd[0]);
            if (n1 > 0) {
                even[1] = v_fma(v_set(p[s]), v_load_n(v0 + VW, n1), even[1]);
                odd[1] = v_fma(v_set(p[s + 1]), v_load_n(v1 + VW, n1), odd[1]);
            }
        }
        if (s < keys) {
            even[0] = v_fma(v_set(p[s]), v_load_n(v[s] + col + a, n0), even[0]);
            if (n1 > 0)
                even[1] = v_fma(v_set(p[s]), v_load_n(v[s] + col + a + VW, n1), even[1]);
        }
        v_store_n(o + a, v_add(even[0], odd[0]), n0);
        if (n1 > 0)
            v_store_n(o + a + VW, v_add(even[1], odd[1]), n1);
    }
}

/* All heads of row r. scratch: 2 pointers and 1 float a key, and VW floats. */
void LNG_SIMD(attention_step_row)(const struct lng_attention_step_args *args, int64_t r,
                                  float *scratch)
{
    const int64_t keys = args->key_count[r], width = args->q.cols / args->heads;
    const float **k = (const float **)(void *)scratch, **v = k + keys;
    float *p = (float *)(void *)(v + keys);
    float *weights = args->weights ? args->weights + r * args->weights_stride : 0;
    for (int64_t s = 0; s < keys; s++) {
        int64_t row = cache_row(args, r, s);
        k[s] = (const float *)args->k_cache.data + row * args->k_cache.stride;
        v[s] = (const float *)args->v_cache.data + row * args->v_cache.stride;
    }
    for (int64_t s = 0; weights && s < keys; s++)
        weights[s] = 0;
    for (int64_t h = 0; h < args->heads; h++) {
        const int64_t col = h * width;
        const float *q = (const float *)args->q.data + r * args->q.stride + col;
        float *o = (float *)args->o.data + r * args->o.stride + col;
        const float scale = (float)args->scale;
        const float highest = args->score == LNG_ATTENTION_ADDITIVE
                                  ? score_keys(q, k, (const float *)args->score_vector.data + col,
                                               col, keys, width, scale, p)
                                  : score_keys(q, k, 0, col, keys, width, scale, p);
        vf sum = v_zero();
        for (int64_t s = 0; s < keys; s += VW) {
            vf e = v_exp(v_sub(v_load(p + s), v_set(highest)));
            e = v_keep_n(e, keys - s, v_zero());
            v_store(p + s, e);
            sum = v_add(sum, e);
        }
        const vf inverse = v_set(1.0f / v_sum(sum));
        for (int64_t s = 0; s < keys; s += VW)
            v_store(p + s, v_mul(v_load(p + s), inverse));
        mix_values(p, v, col, keys, width, o);
        if (weights && h >= args->first_head && h < args->first_head + args->head_count)
            for (int64_t s = 0; s < keys; s++)
                weights[s] += p[s] / (float)args->head_count;
    }
}
