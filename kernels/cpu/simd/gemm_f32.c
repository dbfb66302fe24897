/* f32 product: a tile of MR x 2 registers is kept in registers over the whole of k. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/simd.h"

VEC_INLINE void tile(int mr, const struct tile_job *job)
{
    vf sum[MR][2];
    const float *a[(MR + 3) / 4], *b = job->b;
    const int64_t a_row = job->a_row, a_k = job->a_k, b_k = job->b_k, depth = job->depth;
    const char *part = job->part;
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        sum[i][0] = sum[i][1] = v_zero();
#pragma GCC unroll 4
    for (int i = 0; i < mr; i += 4) {
        a[i / 4] = (const float *)job->a + i * a_row;
        /* gcc 12 would make 13 offsets from one pointer, and keep half of them in memory */
        __asm__("" : "+r"(a[i / 4]));
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < depth; k++) {
        vf b0 = v_load(b), b1 = v_load(b + VW);
        _mm_prefetch(part, _MM_HINT_T1);
        part += job->part_step;
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            vf x = v_set(a[i / 4][i % 4 * a_row]);
            sum[i][0] = v_fma(x, b0, sum[i][0]);
            sum[i][1] = v_fma(x, b1, sum[i][1]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < mr; i += 4)
            a[i / 4] += a_k;
        b += b_k;
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        finish_row(job, sum[i][0], sum[i][1], job->c + i * job->c_row);
}

/* The first VW columns of a panel. */
VEC_INLINE void tile_narrow(int mr, const struct tile_job *job)
{
    vf sum[MR];
    const float *a = job->a, *b = job->b;
    const int64_t a_row = job->a_row, a_k = job->a_k, b_k = job->b_k, depth = job->depth;
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        sum[i] = v_zero();
    for (int64_t k = 0; k < depth; k++) {
        vf b0 = v_load_n(b, job->cols);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
            sum[i] = v_fma(v_set(a[i * a_row]), b0, sum[i]);
        a += a_k;
        b += b_k;
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
        finish_row(job, sum[i], v_zero(), job->c + i * job->c_row);
}

#define NARROW(name, mr)                                                            \
    static __attribute__((noinline)) void narrow_##name(const struct tile_job *job) \
    {                                                                               \
        tile_narrow(mr, job);                                                       \
    }
TILES(NARROW)
#define NARROW_NAME(name, mr) narrow_##name,
static tile_function *const narrow_tiles[MR + 1] = {0, TILES(NARROW_NAME)};

#define TILE(name, mr)                                                     \
    static __attribute__((noinline)) void name(const struct tile_job *job) \
    {                                                                      \
        tile(mr, job);                                                     \
    }
TILES(TILE)
static tile_function *const tiles[MR + 1] = {TILE_NAMES};

void LNG_SIMD(gemm_f32)(const struct lng_gemm *g)
{
    walk_tiles(g, tiles, narrow_tiles);
}
