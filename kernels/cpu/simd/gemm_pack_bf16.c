/* Puts matrices into the order in which the bf16 product reads them: pairs along k, the low half the
 * even one, an odd k filled up with zero. Rounded to nearest even. Columns past n are not written. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/vec_transpose.h"

#if defined(__AVX512F__)
#define BF16_CODE __attribute__((target("avx512bf16")))
#define BF16_INLINE static inline __attribute__((always_inline)) BF16_CODE

/* Lane l: the pair (x[2 l], x[2 l + 1]) of `count` floats. */
BF16_INLINE vf pair_along(const float *x, int64_t count)
{
    if (count >= 2 * VW)
        return (vf)_mm512_cvtne2ps_pbh(v_load(x + VW), v_load(x));
    vf low = v_load_n(x, count), high = count > VW ? v_load_n(x + VW, count - VW) : v_zero();
    return (vf)_mm512_cvtne2ps_pbh(high, low);
}

/* Lane l: the pair (even[l], odd[l]). */
BF16_INLINE vf pair_across(vf even, vf odd)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512bh both = _mm512_cvtne2ps_pbh(odd, even);
    return VEC_CASTF(_mm512_permutexvar_epi16(order, (__m512i)both));
}

/* The rows even and even + stride (absent: zeros) as pairs, `count` of them, to `to` and, a panel of NR
 * columns each, b_panel further on. */
BF16_INLINE void pair_rows(const float *even, int64_t stride, bool odd, int64_t count, float *to,
                           int64_t b_panel)
{
    int64_t j = 0;
    for (; odd && j + NR <= count; j += NR, to += b_panel) {
        v_store(to, pair_across(v_load(even + j), v_load(even + stride + j)));
        v_store(to + VW, pair_across(v_load(even + j + VW), v_load(even + stride + j + VW)));
    }
    for (; j < count; j += NR, to += b_panel)
        for (int64_t half = 0; half < NR && j + half < count; half += VW) {
            int64_t n = count - j - half;
            const float *from = even + j + half;
            v_store(to + half,
                    pair_across(v_load_n(from, n), odd ? v_load_n(from + stride, n) : v_zero()));
        }
}

/* x [m, k] row by row as pairs, filled up with zeros to a multiple of VW pairs. */
BF16_CODE void LNG_SIMD(rows_bf16)(const float *x, int64_t stride, int64_t m, int64_t k,
                                   uint32_t *rows, int64_t out_stride)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j += 2 * VW)
            v_store((float *)rows + i * out_stride + j / 2, pair_along(x + i * stride + j, k - j));
}

/* B = x [k, n]. */
BF16_CODE void LNG_SIMD(pack_right_bf16)(const float *x, int64_t stride, int64_t k, int64_t n,
                                         uint32_t *panels, int64_t b_panel)
{
    for (int64_t i = 0; i < k; i += 2)
        pair_rows(x + i * stride, stride, i + 1 < k, n, (float *)panels + i / 2 * NR, b_panel);
}

/* B = transpose of x [n, k]. */
BF16_CODE void LNG_SIMD(pack_right_transposed_bf16)(const float *x, int64_t stride, int64_t k,
                                                    int64_t n, uint32_t *panels, int64_t b_panel)
{
    const int64_t pairs = (k + 1) / 2;
    for (int64_t j = 0; j < n; j += VW) {
        float *to = (float *)panels + j / NR * b_panel + j % NR;
        for (int64_t i = 0; i < pairs; i += VW) {
            vf r[VW];
#pragma GCC unroll 16
            for (int64_t l = 0; l < VW; l++)
                r[l] = j + l < n ? pair_along(x + (j + l) * stride + 2 * i, k - 2 * i) : v_zero();
            v_transpose(r);
#pragma GCC unroll 16
            for (int64_t l = 0; l < VW; l++)
                if (i + l < pairs)
                    v_store(to + (i + l) * NR, r[l]);
        }
    }
}

/* A = transpose of x [k, m]: pairs of rows, `pitch` apart. */
BF16_CODE void LNG_SIMD(pack_left_bf16)(const float *x, int64_t stride, int64_t k, int64_t m,
                                        uint32_t *rows, int64_t pitch)
{
    for (int64_t i = 0; i < k; i += 2)
        pair_rows(x + i * stride, stride, i + 1 < k, m, (float *)rows + i / 2 * pitch, NR);
}

/* A = transpose of x [k, m] row by row, `pitch` pairs apart, filled up with zeros to a multiple of VW. */
BF16_CODE void LNG_SIMD(pack_left_rows_bf16)(const float *x, int64_t stride, int64_t k, int64_t m,
                                             uint32_t *rows, int64_t pitch)
{
    for (int64_t i = 0; i < m; i += VW)
        for (int64_t s = 0; 2 * s < k; s += VW) {
            vf r[VW];
#pragma GCC unroll 16
            for (int64_t l = 0; l < VW; l++) {
                const int64_t even = 2 * (s + l);
                const float *from = x + even * stride + i;
                vf low = even < k ? v_load_n(from, m - i) : v_zero();
                vf high = even + 1 < k ? v_load_n(from + stride, m - i) : v_zero();
                r[l] = pair_across(low, high);
            }
            v_transpose(r);
            for (int64_t l = 0; l < VW && i + l < m; l++)
                v_store((float *)rows + (i + l) * pitch + s, r[l]);
        }
}

#else
/* Never called: lng_device_supports refuses bf16 without AVX512_BF16. */
void LNG_SIMD(rows_bf16)(const float *x, int64_t stride, int64_t m, int64_t k, uint32_t *rows,
                         int64_t out_stride)
{
    (void)x, (void)stride, (void)m, (void)k, (void)rows, (void)out_stride;
}
#define UNUSED_PACK(name)                                                                       \
    void LNG_SIMD(name)(const float *x, int64_t stride, int64_t k, int64_t n, uint32_t *panels, \
                        int64_t b_panel)                                                        \
    {                                                                                           \
        (void)x, (void)stride, (void)k, (void)n, (void)panels, (void)b_panel;                   \
    }
UNUSED_PACK(pack_right_bf16)
UNUSED_PACK(pack_right_transposed_bf16)
UNUSED_PACK(pack_left_bf16)
UNUSED_PACK(pack_left_rows_bf16)
#endif
