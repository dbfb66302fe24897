/* Chosen logits from int8 rows: exact int32 sums, then scaled in the order of gemm_i8.c, so that a logit has the bits
 * that the whole product gives it. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* Rows of the table that are fetched while those before them are at work: they lie anywhere. */
enum { AHEAD = 4, LINE = 64 };

VEC_INLINE void fetch_row(const struct lng_select_block *b, int64_t j)
{
    if (j >= b->count)
        return;
    const char *row = (const char *)(b->table + b->tokens[j] * b->pitch);
    for (int64_t at = 0; at < b->pitch * 4; at += LINE)
        __builtin_prefetch(row + at);
}

VEC_INLINE float finish_sum(const struct lng_select_block *b, int64_t row, int32_t token,
                            int32_t sum)
{
    const int32_t less = b->less ? b->less[token] : 0;
    const float y = (float)(sum - less) * b->row_scales[row] * b->col_scales[token];
    return b->bias ? y + b->bias[token] : y;
}

/* x . w over `bytes`, a multiple of 64. */
#if defined(__AVX2__)
VEC_INLINE int32_t dot_bytes(const int8_t *x, const int8_t *w, int64_t bytes)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    for (int64_t i = 0; i < bytes; i += 32) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(w + i));
        /* |x| <= 127 and |w| <= 127: two products fit 16 bits */
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1)));
}
#else
VEC_INLINE __m128i wide_low(__m128i v)
{
    return _mm_srai_epi16(_mm_unpacklo_epi8(_mm_setzero_si128(), v), 8);
}
VEC_INLINE __m128i wide_high(__m128i v)
{
    return _mm_srai_epi16(_mm_unpackhi_epi8(_mm_setzero_si128(), v), 8);
}
VEC_INLINE int32_t dot_bytes(const int8_t *x, const int8_t *w, int64_t bytes)
{
    __m128i sum = _mm_setzero_si128();
    for (int64_t i = 0; i < bytes; i += 16) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(w + i));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(wide_low(a), wide_low(b)));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(wide_high(a), wide_high(b)));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}
#endif

void LNG_SIMD(select_i8)(const struct lng_select_block *b)
{
    for (int64_t j = 0; j < b->count; j++) {
        const int32_t token = b->tokens[j];
        const int8_t *w = (const int8_t *)(b->table + token * b->pitch);
        fetch_row(b, j + AHEAD);
        for (int64_t i = 0; i < b->rows; i++) {
            const int8_t *x = (const int8_t *)((const uint32_t *)b->x + i * b->x_pitch);
            b->y[i * b->y_stride + j] = finish_sum(b, i, token, dot_bytes(x, w, b->pitch * 4));
        }
    }
}

#if defined(__AVX512F__)
#define VNNI_CODE __attribute__((target("avx512vnni")))

/* Sums of the lanes of four registers. */
VEC_INLINE __m128i sum_four(const __m512i *s)
{
    const __m512i a =
        _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
    const __m512i b =
        _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
    const __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Four tokens and `rows` (a constant) rows of x, whose bytes are x + 128: `less` takes that off. */
static inline __attribute__((always_inline)) VNNI_CODE void
select_four(const struct lng_select_block *b, int64_t row, int rows, const int32_t *tokens,
            int64_t wanted, float *y)
{
    __m512i sum[4][4];
    const uint32_t *w[4], *x = (const uint32_t *)b->x + row * b->x_pitch;
#pragma GCC unroll 4
    for (int t = 0; t < 4; t++) {
        w[t] = b->table + tokens[t] * b->pitch;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            sum[i][t] = _mm512_setzero_si512();
    }
    for (int64_t k = 0; k < b->pitch; k += VW) {
        const __m512i w0 = _mm512_loadu_si512(w[0] + k), w1 = _mm512_loadu_si512(w[1] + k);
        const __m512i w2 = _mm512_loadu_si512(w[2] + k), w3 = _mm512_loadu_si512(w[3] + k);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            const __m512i a = _mm512_loadu_si512(x + i * b->x_pitch + k);
            /* not the intrinsic: gcc 12 moves sums to and fro around it */
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][0]) : "v"(a), "v"(w0));
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][1]) : "v"(a), "v"(w1));
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][2]) : "v"(a), "v"(w2));
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][3]) : "v"(a), "v"(w3));
        }
    }
    const __m128i at = _mm_loadu_si128((const __m128i *)(const void *)tokens);
    const __m128i less = _mm_i32gather_epi32(b->less, at, 4);
    const __m128 scales = _mm_i32gather_ps(b->col_scales, at, 4);
    const __m128 bias = b->bias ? _mm_i32gather_ps(b->bias, at, 4) : _mm_setzero_ps();
    const __mmask8 stored = (__mmask8)((1u << wanted) - 1u);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        __m128 v = _mm_cvtepi32_ps(_mm_sub_epi32(sum_four(sum[i]), less));
        v = _mm_mul_ps(_mm_mul_ps(v, _mm_set1_ps(b->row_scales[row + i])), scales);
        if (b->bias)
            v = _mm_add_ps(v, bias);
        _mm_mask_storeu_ps(y + i * b->y_stride, stored, v);
    }
}

VNNI_CODE void LNG_SIMD(select_i8_vnni)(const struct lng_select_block *b)
{
    for (int64_t j = 0; j < b->count; j += 4) {
        const int64_t wanted = b->count - j < 4 ? b->count - j : 4;
        int32_t tokens[4];
        for (int64_t t = 0; t < 4; t++) {
            tokens[t] = b->tokens[j + (t < wanted ? t : 0)];
            fetch_row(b, j + t + AHEAD);
        }
        for (int64_t i = 0; i < b->rows; i += 4) {
            float *y = b->y + i * b->y_stride + j;
            switch (b->rows - i) {
            case 1:
                select_four(b, i, 1, tokens, wanted, y);
                break;
            case 2:
                select_four(b, i, 2, tokens, wanted, y);
                break;
            case 3:
                select_four(b, i, 3, tokens, wanted, y);
                break;
            default:
                select_four(b, i, 4, tokens, wanted, y);
            }
        }
    }
}
#else
void LNG_SIMD(select_i8_vnni)(const struct lng_select_block *b)
{
    LNG_SIMD(select_i8)(b); /* never called: only AVX-512 machines are asked for VNNI */
}
#endif
