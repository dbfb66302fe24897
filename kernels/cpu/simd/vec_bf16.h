/* bf16 in memory, floats in registers. */
#ifndef LNG_KERNELS_CPU_SIMD_VEC_BF16_H
#define LNG_KERNELS_CPU_SIMD_VEC_BF16_H

#include "host/base/bf16.h"
#include "kernels/cpu/simd/vec.h"

VEC_INLINE vf v_load_bf16(const uint16_t *p)
{
#if defined(__AVX512F__)
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
#elif defined(__AVX2__)
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
#else
    __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), x));
#endif
}

/* Rounded to nearest even. */
VEC_INLINE void v_store_bf16(uint16_t *p, vf v)
{
#if defined(__AVX512F__)
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    /* not a number stays so, quiet */
    up = _mm512_mask_or_epi32(up, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits,
                              _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
#else
    float lanes[VW];
    v_store(lanes, v);
    for (int l = 0; l < VW; l++)
        p[l] = lng_f32_to_bf16(lanes[l]);
#endif
}

#endif
