/* v_transpose: VW rows of VW 4-byte lanes, in registers. v_sums: lane l the sum of r[l], each in the same tree. */
#ifndef LNG_KERNELS_CPU_SIMD_VEC_TRANSPOSE_H
#define LNG_KERNELS_CPU_SIMD_VEC_TRANSPOSE_H

#include "kernels/cpu/simd/vec.h"

#if defined(__AVX512F__)
VEC_INLINE void v_transpose(vf r[VW])
{
    vf t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    }
}
VEC_INLINE vf v_sums(const vf r[VW])
{
    vf t[8], u[4];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        t[i] = v_add(_mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]),
                     _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        u[i] = v_add(_mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0x44),
                     _mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0xEE));
    vf low = v_add(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xDD));
    vf high = v_add(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xDD));
    return v_add(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD));
}
/* The same of integers. */
VEC_INLINE vi vi_sums(const vi r[VW])
{
    vf f[16], t[8], u[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        f[i] = _mm512_castsi512_ps(r[i]);
#define ADD(a, b) _mm512_castsi512_ps(vi_add(_mm512_castps_si512(a), _mm512_castps_si512(b)))
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        t[i] = ADD(_mm512_unpacklo_ps(f[2 * i], f[2 * i + 1]),
                   _mm512_unpackhi_ps(f[2 * i], f[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        u[i] = ADD(_mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0x44),
                   _mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0xEE));
    vf low = ADD(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xDD));
    vf high = ADD(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xDD));
    return _mm512_castps_si512(
        ADD(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD)));
#undef ADD
}
#elif defined(__AVX2__)
VEC_INLINE vf v_sums(const vf r[VW])
{
    vf t[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        t[i] = v_add(_mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]),
                     _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]));
    vf low = v_add(_mm256_shuffle_ps(t[0], t[1], 0x44), _mm256_shuffle_ps(t[0], t[1], 0xEE));
    vf high = v_add(_mm256_shuffle_ps(t[2], t[3], 0x44), _mm256_shuffle_ps(t[2], t[3], 0xEE));
    return v_add(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
VEC_INLINE void v_transpose(vf r[VW])
{
    vf t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        r[i] = t[i];
}
#else
VEC_INLINE vf v_sums(const vf r[VW])
{
    vf low = v_add(_mm_unpacklo_ps(r[0], r[1]), _mm_unpackhi_ps(r[0], r[1]));
    vf high = v_add(_mm_unpacklo_ps(r[2], r[3]), _mm_unpackhi_ps(r[2], r[3]));
    return v_add(_mm_movelh_ps(low, high), _mm_movehl_ps(high, low));
}
VEC_INLINE void v_transpose(vf r[VW])
{
    _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
}
#endif

#endif
