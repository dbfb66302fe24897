/* What the f32 and the bf16 product share: tile sizes and the way a finished row is stored. */
#ifndef LNG_KERNELS_CPU_SIMD_GEMM_TILE_H
#define LNG_KERNELS_CPU_SIMD_GEMM_TILE_H

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* 2 MR sums, 2 of B and 1 of A fill 32 registers on AVX-512 (29 used), 16 elsewhere. */
#if defined(__AVX512F__)
enum { MR = 13 };
#define TILES(T) \
    T(tile_1, 1) \
    T(tile_2, 2) \
    T(tile_3, 3) \
    T(tile_4, 4) \
    T(tile_5, 5) \
    T(tile_6, 6) \
    T(tile_7, 7) \
    T(tile_8, 8) T(tile_9, 9) T(tile_10, 10) T(tile_11, 11) T(tile_12, 12) T(tile_13, 13)
#define TILE_NAMES                                                                               \
    0, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11, \
        tile_12, tile_13
#else
enum { MR = 6 };
#define TILES(T) T(tile_1, 1) T(tile_2, 2) T(tile_3, 3) T(tile_4, 4) T(tile_5, 5) T(tile_6, 6)
#define TILE_NAMES 0, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6
#endif
enum { NR = 2 * VW };

/* One tile: rows of A (4-byte elements) times one panel of B, over `depth` of k. */
struct tile_job {
    const void *a, *b;
    int64_t a_row, a_k, b_k, c_row, depth, cols;
    /* a part of a later panel, of which so many bytes a step are called into the second-level cache */
    const char *part;
    int64_t part_step;
    float *c;
    const float *bias;
    bool add, relu;
};
typedef void tile_function(const struct tile_job *job);

VEC_INLINE void finish_row(const struct tile_job *job, vf s0, vf s1, float *c)
{
    const int64_t cols = job->cols, cols1 = cols > VW ? cols - VW : 0;
    const float *bias = job->bias;
    if (job->add) {
        s0 = v_add(s0, v_load_n(c, cols));
        s1 = v_add(s1, v_load_n(c + VW, cols1));
    }
    if (bias) {
        s0 = v_add(s0, v_load_n(bias, cols));
        s1 = v_add(s1, v_load_n(bias + VW, cols1));
    }
    if (job->relu) {
        s0 = v_max(s0, v_zero());
        s1 = v_max(s1, v_zero());
    }
    v_store_n(c, s0, cols);
    if (cols1 > 0)
        v_store_n(c + VW, s1, cols1);
}

/* Panels of up to VW columns go to narrow_tiles. k is cut into blocks of KC, columns into groups whose part of B stays in the second-level cache. */
enum { KC = 512, GROUP_BYTES = 128 * 1024 };

/* Where the panels of the next group, or of the next block of k, begin. */
VEC_INLINE const char *next_panel(const struct lng_gemm *g, const struct tile_job *job, int64_t k,
                                  int64_t group)
{
    const int64_t way = k + KC < g->k ? KC * job->b_k : group * g->b_panel - k * job->b_k;
    return (const char *)((const float *)job->b + way);
}

/* A group is multiplied by all rows before the next, which is called from memory by parts meanwhile. Few rows leave too
 * little to do: there the processor's own reading ahead keeps up better alone. */
VEC_INLINE void walk_tiles(const struct lng_gemm *g, tile_function *const *tiles,
                           tile_function *const *narrow_tiles)
{
    float copy[MR * (KC + 16)];
    const int64_t panels = (g->n + NR - 1) / NR, panel_step = NR * 4;
    const int64_t depth = g->k < KC ? (g->k > 0 ? g->k : 1) : KC;
    /* tiles of equal height: a last one of few rows would wait for its own sums */
    const int64_t count = (g->m + MR - 1) / MR, step = count > 1 ? (g->m + count - 1) / count : MR;
    const int64_t group = GROUP_BYTES / (depth * NR * 4);
    struct tile_job job = {.a_k = g->a_k, .b_k = g->b_k ? g->b_k : NR, .c_row = g->c_row};
    if (g->m > MR / 3 && job.b_k == NR)
        job.part_step = (panel_step + count - 1) / count;
    for (int64_t first = 0; first < panels; first += group) {
        int64_t last = first + group < panels ? first + group : panels;
        for (int64_t k = 0; k == 0 || k < g->k; k += KC) {
            job.depth = g->k - k < KC ? g->k - k : KC;
            job.add = g->add || k > 0;
            job.relu = g->relu && k + KC >= g->k;
            for (int64_t i = 0; i < g->m; i += step) {
                int64_t rows = g->m - i < step ? g->m - i : step;
                job.a = (const float *)g->a + i * g->a_row + k * g->a_k;
                job.a_row = g->a_row;
                if (g->k > KC && g->a_k == 1) {
                    /* rows a power of two apart would fight over the same few cache lines */
                    for (int64_t r = 0; r < rows; r++)
                        memcpy(copy + r * (KC + 16), (const float *)job.a + r * g->a_row,
                               (size_t)job.depth * 4);
                    job.a = copy;
                    job.a_row = KC + 16;
                }
                for (int64_t p = first; p < last; p++) {
                    job.b = (const float *)g->b + p * g->b_panel + k * job.b_k;
                    job.c = g->c + i * g->c_row + p * NR;
                    job.cols = g->n - p * NR < NR ? g->n - p * NR : NR;
                    job.bias = g->bias && k + KC >= g->k ? g->bias + p * NR : 0;
                    job.part = next_panel(g, &job, k, group) + i / step * job.depth * job.part_step;
                    (job.cols > VW ? tiles : narrow_tiles)[rows](&job);
                }
            }
        }
    }
}

#endif
