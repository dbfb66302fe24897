/* One register of floats for the instruction set being compiled: AVX-512, AVX2 + FMA, or SSE2.
 * Each simd/ file is compiled once for each; results of different sets may differ in the last bits. */
#ifndef LNG_KERNELS_CPU_SIMD_VEC_H
#define LNG_KERNELS_CPU_SIMD_VEC_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define VEC_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)
enum { VW = 16 };
typedef __m512 vf;
typedef __m512i vi;
#define VEC_OP(name) _mm512_##name
#define VEC_CASTI _mm512_castps_si512
#define VEC_CASTF _mm512_castsi512_ps
#define VEC_INT(name) _mm512_##name
#elif defined(__AVX2__)
enum { VW = 8 };
typedef __m256 vf;
typedef __m256i vi;
#define VEC_OP(name) _mm256_##name
#define VEC_CASTI _mm256_castps_si256
#define VEC_CASTF _mm256_castsi256_ps
#else
enum { VW = 4 };
typedef __m128 vf;
typedef __m128i vi;
#define VEC_OP(name) _mm_##name
#define VEC_CASTI _mm_castps_si128
#define VEC_CASTF _mm_castsi128_ps
#endif

VEC_INLINE vf v_load(const float *p)
{
    return VEC_OP(loadu_ps)(p);
}
VEC_INLINE void v_store(float *p, vf v)
{
    VEC_OP(storeu_ps)(p, v);
}
VEC_INLINE vf v_set(float x)
{
    return VEC_OP(set1_ps)(x);
}
VEC_INLINE vf v_zero(void)
{
    return VEC_OP(setzero_ps)();
}
VEC_INLINE vf v_add(vf a, vf b)
{
    return VEC_OP(add_ps)(a, b);
}
VEC_INLINE vf v_sub(vf a, vf b)
{
    return VEC_OP(sub_ps)(a, b);
}
VEC_INLINE vf v_mul(vf a, vf b)
{
    return VEC_OP(mul_ps)(a, b);
}
VEC_INLINE vf v_div(vf a, vf b)
{
    return VEC_OP(div_ps)(a, b);
}
/* As maxps: the second operand when either is not a number. */
VEC_INLINE vf v_max(vf a, vf b)
{
    return VEC_OP(max_ps)(a, b);
}
VEC_INLINE vf v_min(vf a, vf b)
{
    return VEC_OP(min_ps)(a, b);
}
VEC_INLINE vf v_sqrt(vf a)
{
    return VEC_OP(sqrt_ps)(a);
}

/* a * b + c; fused where the set has it. */
VEC_INLINE vf v_fma(vf a, vf b, vf c)
{
#if defined(__FMA__)
    return VEC_OP(fmadd_ps)(a, b, c);
#else
    return _mm_add_ps(_mm_mul_ps(a, b), c);
#endif
}
/* c - a * b */
VEC_INLINE vf v_fnma(vf a, vf b, vf c)
{
#if defined(__FMA__)
    return VEC_OP(fnmadd_ps)(a, b, c);
#else
    return _mm_sub_ps(c, _mm_mul_ps(a, b));
#endif
}

#if defined(__AVX512F__)
VEC_INLINE __mmask16 v_mask_n(int64_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1u);
}
#elif defined(__AVX2__)
VEC_INLINE __m256i v_mask_n(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n > 8 ? 8 : n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

/* The first n floats (n may exceed VW), the rest zero; nothing past them is touched. */
VEC_INLINE vf v_load_n(const float *p, int64_t n)
{
#if defined(__AVX512F__)
    return _mm512_maskz_loadu_ps(v_mask_n(n), p);
#elif defined(__AVX2__)
    return n >= VW ? v_load(p) : _mm256_maskload_ps(p, v_mask_n(n));
#else
    if (n >= VW)
        return v_load(p);
    float part[VW] = {0};
    for (int64_t i = 0; i < n; i++)
        part[i] = p[i];
    return v_load(part);
#endif
}
VEC_INLINE void v_store_n(float *p, vf v, int64_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, v_mask_n(n), v);
#elif defined(__AVX2__)
    if (n >= VW)
        v_store(p, v);
    else
        _mm256_maskstore_ps(p, v_mask_n(n), v);
#else
    if (n >= VW) {
        v_store(p, v);
        return;
    }
    float part[VW];
    v_store(part, v);
    for (int64_t i = 0; i < n; i++)
        p[i] = part[i];
#endif
}
/* Lanes n and above replaced by `other`. */
VEC_INLINE vf v_keep_n(vf v, int64_t n, vf other)
{
#if defined(__AVX512F__)
    return _mm512_mask_blend_ps(v_mask_n(n), other, v);
#elif defined(__AVX2__)
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(v_mask_n(n)));
#else
    float a[VW], b[VW];
    v_store(a, v);
    v_store(b, other);
    for (int64_t i = n; i < VW; i++)
        a[i] = b[i];
    return v_load(a);
#endif
}

/* v where x > 0, else 0. */
VEC_INLINE vf v_keep_positive(vf v, vf x)
{
#if defined(__AVX512F__)
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, v_zero(), _CMP_GT_OQ), v);
#elif defined(__AVX2__)
    return _mm256_and_ps(v, _mm256_cmp_ps(x, v_zero(), _CMP_GT_OQ));
#else
    return _mm_and_ps(v, _mm_cmpgt_ps(x, v_zero()));
#endif
}
/* a where x > 0, else b. */
VEC_INLINE vf v_select_positive(vf x, vf a, vf b)
{
#if defined(__AVX512F__)
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, v_zero(), _CMP_GT_OQ), a);
#elif defined(__AVX2__)
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, v_zero(), _CMP_GT_OQ));
#else
    __m128 mask = _mm_cmpgt_ps(x, v_zero());
    return _mm_or_ps(_mm_and_ps(mask, a), _mm_andnot_ps(mask, b));
#endif
}
VEC_INLINE vf v_abs(vf a)
{
    return v_max(a, v_sub(v_zero(), a));
}

/* Sums and maxima over the lanes, in a fixed tree. */
VEC_INLINE float v_sum(vf v)
{
#if defined(__AVX512F__)
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v),
                             _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#elif defined(__AVX2__)
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
#else
    __m128 q = v;
#endif
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    q = _mm_add_ss(q, _mm_shuffle_ps(q, q, 1));
    return _mm_cvtss_f32(q);
}
VEC_INLINE float v_maximum(vf v)
{
#if defined(__AVX512F__)
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v),
                             _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#elif defined(__AVX2__)
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
#else
    __m128 q = v;
#endif
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    q = _mm_max_ss(q, _mm_shuffle_ps(q, q, 1));
    return _mm_cvtss_f32(q);
}

VEC_INLINE vi v_to_int(vf v) /* round to nearest even */
{
    return VEC_OP(cvtps_epi32)(v);
}
VEC_INLINE vf v_to_float(vi v)
{
    return VEC_OP(cvtepi32_ps)(v);
}
/* VW int8. */
VEC_INLINE vf v_load_bytes(const int8_t *p)
{
#if defined(__AVX512F__)
    return v_to_float(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#elif defined(__AVX2__)
    return v_to_float(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#else
    int32_t four;
    memcpy(&four, p, sizeof four);
    __m128i x = _mm_cvtsi32_si128(four);
    x = _mm_unpacklo_epi8(x, x);
    return v_to_float(_mm_srai_epi32(_mm_unpacklo_epi16(x, x), 24));
#endif
}
VEC_INLINE vi vi_set(int32_t x)
{
    return VEC_OP(set1_epi32)(x);
}
VEC_INLINE vi vi_add(vi a, vi b)
{
    return VEC_OP(add_epi32)(a, b);
}

VEC_INLINE vi vi_sub(vi a, vi b)
{
    return VEC_OP(sub_epi32)(a, b);
}
VEC_INLINE vf v_nan_to_zero(vf v)
{
#if defined(__AVX512F__)
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);
#elif defined(__AVX2__)
    return _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));
#else
    return _mm_and_ps(v, _mm_cmpord_ps(v, v));
#endif
}

/* e^x within 2 ulp; 0 below -87.3; NaN stays NaN. Cephes' reduction and polynomial. */
VEC_INLINE vf v_exp(vf x)
{
    const float lowest = -87.33654f;
    x = v_min(v_set(88.3762626647949f), x);
    vf clamped = v_max(v_set(lowest), x);
    vf f = v_mul(clamped, v_set(1.44269504088896341f));
#if defined(__AVX512F__)
    f = _mm512_roundscale_ps(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    vi n = v_to_int(f);
    f = v_to_float(n);
#endif
    vf r = v_fnma(f, v_set(0.693359375f), clamped);
    r = v_fnma(f, v_set(-2.12194440e-4f), r);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(p, v_mul(r, r), v_add(r, v_set(1.0f)));
#if defined(__AVX512F__)
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, v_set(lowest), _CMP_NLT_UQ), p, f);
#elif defined(__AVX2__)
    vi power = _mm256_slli_epi32(vi_add(n, vi_set(127)), 23);
    vf y = v_mul(p, VEC_CASTF(power));
    return _mm256_and_ps(y, _mm256_cmp_ps(x, v_set(lowest), _CMP_NLT_UQ));
#else
    vi power = _mm_slli_epi32(vi_add(n, vi_set(127)), 23);
    vf y = v_mul(p, VEC_CASTF(power));
    return _mm_and_ps(y, _mm_cmpnlt_ps(x, v_set(lowest)));
#endif
}

#endif
