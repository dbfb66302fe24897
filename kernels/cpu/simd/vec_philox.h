/* Dropout for a register of units: the Philox blocks of host/base/philox.h, VW at a time. */
#ifndef LNG_KERNELS_CPU_SIMD_VEC_PHILOX_H
#define LNG_KERNELS_CPU_SIMD_VEC_PHILOX_H

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

#if defined(__AVX512F__)
#define VI(name) _mm512_##name
#define VI_WHOLE(name) _mm512_##name##_si512
#elif defined(__AVX2__)
#define VI(name) _mm256_##name
#define VI_WHOLE(name) _mm256_##name##_si256
#else
#define VI(name) _mm_##name
#define VI_WHOLE(name) _mm_##name##_si128
#endif

/* Units a call of philox_halves makes, and what a buffer of halves needs beyond its units. */
enum { HALVES = 8 * VW };

/* Low and high halves of the 32 x 32 bit products of each lane with a constant. */
VEC_INLINE void multiply_wide(vi a, uint32_t constant, vi *low, vi *high)
{
    const vi factor = VI(set1_epi32)((int)constant), ones = VI(srli_epi64)(VI(set1_epi32)(-1), 32);
    vi even = VI(mul_epu32)(a, factor), odd = VI(mul_epu32)(VI(srli_epi64)(a, 32), factor);
    *low = VI_WHOLE(or)(VI_WHOLE(and)(even, ones), VI(slli_epi64)(odd, 32));
    *high = VI_WHOLE(or)(VI(srli_epi64)(even, 32), VI_WHOLE(andnot)(ones, odd));
}

/* The blocks of VW counters; c0 .. c3 become the four words of each. */
VEC_INLINE void philox_lanes(vi c[4], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        vi low0, high0, low1, high1;
        multiply_wide(c[0], 0xD2511F53u, &low0, &high0);
        multiply_wide(c[2], 0xCD9E8D57u, &low1, &high1);
        c[0] = VI_WHOLE(xor)(VI_WHOLE(xor)(high1, c[1]), vi_set((int32_t)key0));
        c[2] = VI_WHOLE(xor)(VI_WHOLE(xor)(high0, c[3]), vi_set((int32_t)key1));
        c[1] = low1;
        c[3] = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/* Lane 4 g + i works on block i * VW / 4 + g, so that storing row i of the transposed words puts the
 * blocks in order: halves[u] is then that of unit u. */
VEC_INLINE vi block_of_lane(void)
{
    int32_t order[VW];
    for (int lane = 0; lane < VW; lane++)
        order[lane] = lane % 4 * (VW / 4) + lane / 4;
    vi out;
    memcpy(&out, order, sizeof out);
    return out;
}

VEC_INLINE void store_words(vi c[4], uint16_t *halves)
{
    vi t0 = VI(unpacklo_epi32)(c[0], c[1]), t1 = VI(unpackhi_epi32)(c[0], c[1]);
    vi t2 = VI(unpacklo_epi32)(c[2], c[3]), t3 = VI(unpackhi_epi32)(c[2], c[3]);
    vi rows[4] = {VI(unpacklo_epi64)(t0, t2), VI(unpackhi_epi64)(t0, t2),
                  VI(unpacklo_epi64)(t1, t3), VI(unpackhi_epi64)(t1, t3)};
    for (int i = 0; i < 4; i++)
        memcpy(halves + i * 2 * VW, &rows[i], sizeof rows[i]);
}

struct dropper {
    vi threshold;
    vf scale;
    uint32_t key0, key1, site;
};

VEC_INLINE struct dropper dropper_make(double probability, struct lng_rng_site rng, uint32_t high)
{
    return (struct dropper){
        .threshold = vi_set((int32_t)lng_drop_threshold(probability)),
        .scale = v_set((float)lng_drop_scale(probability)),
        .key0 = (uint32_t)rng.seed,
        .key1 = (uint32_t)(rng.seed >> 32) ^ (rng.update * 0x9E3779B9u),
        .site = rng.site | high << 16,
    };
}

/* halves[0 .. units) of the row with this counter; writes up to HALVES - 1 more. */
VEC_INLINE void philox_halves(const struct dropper *d, uint32_t c0, uint32_t c1, int64_t units,
                              uint16_t *halves)
{
    for (int64_t u = 0; u < units; u += HALVES) {
        vi c[4] = {vi_set((int32_t)c0), vi_set((int32_t)c1),
                   vi_add(block_of_lane(), vi_set((int32_t)(u / 8))), vi_set((int32_t)d->site)};
        philox_lanes(c, d->key0, d->key1);
        store_words(c, halves + u);
    }
}

/* v with the units whose halves these are dropped or scaled. */
VEC_INLINE vf v_drop(vf v, const uint16_t *halves, const struct dropper *d)
{
#if defined(__AVX512F__)
    vi h = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)halves));
    return _mm512_maskz_mul_ps(_mm512_cmpge_epi32_mask(h, d->threshold), v, d->scale);
#elif defined(__AVX2__)
    vi h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)halves));
    vi dropped = _mm256_cmpgt_epi32(d->threshold, h);
    return _mm256_andnot_ps(_mm256_castsi256_ps(dropped), _mm256_mul_ps(v, d->scale));
#else
    __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)halves);
    __m128i h = _mm_unpacklo_epi16(packed, _mm_setzero_si128());
    __m128i dropped = _mm_cmpgt_epi32(d->threshold, h);
    return _mm_andnot_ps(_mm_castsi128_ps(dropped), _mm_mul_ps(v, d->scale));
#endif
}

/* The row's dropper for an activation, and its halves when it drops anything. */
VEC_INLINE struct dropper dropout_make(const struct lng_dropout *dropout)
{
    return dropout->probability > 0 ? dropper_make(dropout->probability, dropout->rng, 0)
                                    : (struct dropper){.site = 0};
}
VEC_INLINE const uint16_t *dropout_row(const struct lng_dropout *dropout, const struct dropper *d,
                                       int64_t row, int64_t units, uint16_t *halves)
{
    if (!(dropout->probability > 0))
        return 0;
    philox_halves(d, dropout->sentence[row], dropout->position[row], units, halves);
    return halves;
}
VEC_INLINE vf v_maybe_drop(vf v, const uint16_t *halves, int64_t unit, const struct dropper *d)
{
    return halves ? v_drop(v, halves + unit, d) : v;
}

#endif
