/* Puts matrices into the order in which the bf16 product reads them: pairs along k, the low half the
 * even one, an odd k filled up with zero. Rounded to nearest even. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/vec_transpose.h"

#if defined(__AVX512F__)
#define BF16_CODE __attribute__((target("avx512bf16")))
#define BF16_INLINE static inline __attribute__((always_inline)) BF16_CODE

/* Lane l: the pair (x[2 l], x[2 l + 1]) of `count` floats. */
BF16_INLINE vf pair_along(const float *x, int64_t count)
{
    vf low = v_load_n(x, count), high = count > VW ? v_load_n(x + VW, count - VW) : v_zero();
    return (vf)_mm512_cvtne2ps_pbh(high, low);
}

/* Lane l: the pair (even[l], odd[l]). */
BF16_INLINE vf pair_across(vf even, vf odd)
{
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return VEC_CASTF(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

/* x [m, k] row by row as pairs. */
BF16_CODE void LNG_SIMD(rows_bf16)(const float *x, int64_t stride, int64_t m, int64_t k,
                                   uint32_t *rows, int64_t out_stride)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j += 2 * VW)
            v_store_n((float *)rows + i * out_stride + j / 2, pair_along(x + i * stride + j, k - j),
                      (k - j + 1) / 2);
}

/* B = x [k, n]. */
BF16_CODE void LNG_SIMD(pack_right_bf16)(const float *x, int64_t stride, int64_t k, int64_t n,
                                         uint32_t *panels, int64_t b_panel)
{
    float *to = (float *)panels;
    for (int64_t j = 0; j < n; j += NR, to += b_panel) {
        for (int64_t i = 0; i < k; i += 2) {
            for (int64_t half = 0; half < 2; half++) {
                int64_t at = j + half * VW, cols = n > at ? n - at : 0;
                const float *from = x + i * stride + (cols > 0 ? at : 0);
                vf even = v_load_n(from, cols);
                vf odd = i + 1 < k ? v_load_n(from + stride, cols) : v_zero();
                v_store(to + i / 2 * NR + half * VW, pair_across(even, odd));
            }
        }
    }
}

/* B = transpose of x [n, k]. */
BF16_CODE void LNG_SIMD(pack_right_transposed_bf16)(const float *x, int64_t stride, int64_t k,
                                                    int64_t n, uint32_t *panels, int64_t b_panel)
{
    const int64_t pairs = (k + 1) / 2;
    for (int64_t j = 0; j < n || j % NR != 0; j += VW) {
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

/* A = transpose of x [k, m] into tiles of MR rows. */
BF16_CODE void LNG_SIMD(pack_left_transposed_bf16)(const float *x, int64_t stride, int64_t k,
                                                   int64_t m, uint32_t *tiles)
{
    const int64_t pairs = (k + 1) / 2;
    float *to = (float *)tiles;
    for (int64_t i = 0; i < m; i += MR, to += pairs * MR) {
        int64_t rows = m - i < MR ? m - i : MR;
        for (int64_t kk = 0; kk < k; kk += 2) {
            const float *from = x + kk * stride + i;
            vf odd = kk + 1 < k ? v_load_n(from + stride, rows) : v_zero();
            v_store_n(to + kk / 2 * MR, pair_across(v_load_n(from, rows), odd), MR);
        }
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
void LNG_SIMD(pack_left_transposed_bf16)(const float *x, int64_t stride, int64_t k, int64_t m,
                                         uint32_t *tiles)
{
    (void)x, (void)stride, (void)k, (void)m, (void)tiles;
}
#endif
