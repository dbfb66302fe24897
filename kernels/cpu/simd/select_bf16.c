/* Chosen logits from bf16 rows: pairs of products, sums in f32. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

#if defined(__AVX512F__)
#define BF16_CODE __attribute__((target("avx512bf16")))
enum { AHEAD = 4, LINE = 64 };

/* One token and `rows` (a constant) rows of x; each sum is one chain, whatever rows stand beside it. */
static inline __attribute__((always_inline)) BF16_CODE void
select_token(const struct lng_select_block *b, int64_t row, int rows, int64_t j)
{
    vf sum[4];
    const int32_t token = b->tokens[j];
    const uint32_t *w = b->table + token * b->pitch;
    const uint32_t *x = (const uint32_t *)b->x + row * b->x_pitch;
    const float bias = b->bias ? b->bias[token] : 0.0f;
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        sum[i] = v_zero();
    for (int64_t k = 0; k < b->pitch; k += VW) {
        const __m512bh right = (__m512bh)_mm512_loadu_si512(w + k);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)_mm512_loadu_si512(x + i * b->x_pitch + k),
                                      right);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
        b->y[(row + i) * b->y_stride + j] = v_sum(sum[i]) + bias;
}

BF16_CODE void LNG_SIMD(select_bf16)(const struct lng_select_block *b)
{
    for (int64_t j = 0; j < b->count; j++) {
        if (j + AHEAD < b->count) {
            const char *next = (const char *)(b->table + b->tokens[j + AHEAD] * b->pitch);
            for (int64_t at = 0; at < b->pitch * 4; at += LINE)
                __builtin_prefetch(next + at);
        }
        int64_t i = 0;
        for (; i + 4 <= b->rows; i += 4)
            select_token(b, i, 4, j);
        if (b->rows - i == 3)
            select_token(b, i, 3, j);
        else if (b->rows - i == 2)
            select_token(b, i, 2, j);
        else if (b->rows - i == 1)
            select_token(b, i, 1, j);
    }
}
#else
/* Never called: lng_device_supports refuses bf16 without AVX512_BF16. */
void LNG_SIMD(select_bf16)(const struct lng_select_block *b)
{
    (void)b;
}
#endif
