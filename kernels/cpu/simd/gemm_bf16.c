/* bf16 product with f32 sums: vdpbf16ps on AVX512_BF16 machines. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/simd.h"

#if defined(__AVX512F__)
#define BF16_CODE __attribute__((target("avx512bf16")))

static inline __attribute__((always_inline)) BF16_CODE void tile(int mr, const struct tile_job *job)
{
    vf sum[MR][2];
    const uint32_t *a = job->a, *b = job->b;
    const int64_t a_row = job->a_row, a_k = job->a_k, b_k = job->b_k, depth = job->depth;
    const char *part = job->part;
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        sum[i][0] = sum[i][1] = v_zero();
    for (int64_t k = 0; k < depth; k++) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + VW);
        _mm_prefetch(part, _MM_HINT_T1);
        part += job->part_step;
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i * a_row]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
        }
        a += a_k;
        b += b_k;
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        finish_row(job, sum[i][0], sum[i][1], job->c + i * job->c_row);
}

#define TILE(name, mr)                                                               \
    static __attribute__((noinline)) BF16_CODE void name(const struct tile_job *job) \
    {                                                                                \
        tile(mr, job);                                                               \
    }
TILES(TILE)
static tile_function *const tiles[MR + 1] = {TILE_NAMES};

void LNG_SIMD(gemm_bf16)(const struct lng_gemm *g)
{
    walk_tiles(g, tiles, tiles);
}
#else
void LNG_SIMD(gemm_bf16)(const struct lng_gemm *g)
{
    (void)g; /* never called: lng_device_supports refuses bf16 without AVX512_BF16 */
}
#endif
