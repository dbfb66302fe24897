/* Additive attention scores (Bahdanau et al. 2015) of some queries against some keys, and their gradient. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_tanh.h"

/* scores[i, j] = sum over a of vector[a] tanh(q[i, a] + k[j, a]) */
void LNG_SIMD(additive_scores)(const struct lng_additive_block *b)
{
    for (int64_t i = 0; i < b->queries; i++) {
        const float *q = b->q + i * b->q_stride;
        for (int64_t j = 0; j < b->keys; j++) {
            const float *k = b->k + j * b->k_stride;
            vf sum = v_zero();
            for (int64_t a = 0; a < b->width; a += VW) {
                int64_t n = b->width - a;
                vf t = v_tanh(v_add(v_load_n(q + a, n), v_load_n(k + a, n)));
                sum = v_fma(v_load_n(b->vector + a, n), t, sum);
            }
            b->scores[i * b->stride + j] = v_sum(sum);
        }
    }
}

/* With g = d(score[i, j]) and t as above: d_q[i], d_k[j] += g vector (1 - t t), d_vector += g t. */
void LNG_SIMD(additive_bwd)(const struct lng_additive_block *b)
{
    for (int64_t a = 0; a < b->width; a += VW) {
        const int64_t n = b->width - a;
        const vf vector = v_load_n(b->vector + a, n);
        vf d_vector = v_load_n(b->d_vector + a, n);
        for (int64_t i = 0; i < b->queries; i++) {
            const vf q = v_load_n(b->q + i * b->q_stride + a, n);
            float *to = b->d_q + i * b->d_q_stride + a;
            vf d_q = v_load_n(to, n);
            for (int64_t j = 0; j < b->keys; j++) {
                float *d_k = b->d_k + j * b->d_k_stride + a;
                vf t = v_tanh(v_add(q, v_load_n(b->k + j * b->k_stride + a, n)));
                vf g = v_set(b->scores[i * b->stride + j]);
                vf d = v_mul(v_mul(g, vector), v_fnma(t, t, v_set(1)));
                d_vector = v_fma(g, t, d_vector);
                d_q = v_add(d_q, d);
                v_store_n(d_k, v_add(v_load_n(d_k, n), d), n);
            }
            v_store_n(to, d_q, n);
        }
        v_store_n(b->d_vector + a, d_vector, n);
    }
}
