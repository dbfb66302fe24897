/* What the int8 products share: how a tile's sums begin, and what becomes of them. */
#ifndef LNG_KERNELS_CPU_SIMD_GEMM_I8_TILE_H
#define LNG_KERNELS_CPU_SIMD_GEMM_I8_TILE_H

#include <math.h>

#include "kernels/cpu/simd/gemm_tile.h"

/* All rows begin with what is taken off their columns. */
VEC_INLINE void begin_tile(int mr, const struct lng_gemm_i8 *g, int64_t cols, int64_t col,
                           vi sum[MR][2])
{
    vi begin0 = vi_set(0), begin1 = vi_set(0);
    if (g->less) {
        const float *less = (const float *)(const void *)(g->less + col);
        begin0 = vi_sub(begin0, VEC_CASTI(v_load_n(less, cols)));
        begin1 = vi_sub(begin1, VEC_CASTI(v_load_n(less + VW, cols > VW ? cols - VW : 0)));
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        sum[i][0] = begin0;
        sum[i][1] = begin1;
    }
}

/* c = sum * row scale * column scale, in ref's order, then as finish_row says. A tile that is not whole, or is added, goes through a
 * copy: the sums must not leave their registers. */
VEC_INLINE void finish_tile(int mr, const struct lng_gemm_i8 *g, const struct tile_job *job,
                            int64_t row, int64_t col, vi sum[MR][2])
{
    float copy[MR * NR];
    const bool whole = job->cols == NR && !job->add;
    const int64_t n0 = job->cols, n1 = n0 > VW ? n0 - VW : 0, c_row = whole ? job->c_row : NR;
    float *c = whole ? job->c : copy;
    const float *scales = g->row_scales + row;
    const vf scale0 = v_load_n(g->col_scales + col, n0);
    const vf scale1 = v_load_n(g->col_scales + col + VW, n1);
    vf bias0 = v_zero(), bias1 = v_zero();
    if (whole && job->bias) {
        bias0 = v_load(job->bias);
        bias1 = v_load(job->bias + VW);
    }
    const vf floor = v_set(whole && job->relu ? 0.0f : -INFINITY);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        const vf scale = v_set(scales[i]);
        vf y0 = v_mul(v_mul(v_to_float(sum[i][0]), scale), scale0);
        vf y1 = v_mul(v_mul(v_to_float(sum[i][1]), scale), scale1);
        /* in this order what is not a number stays so */
        v_store(c + i * c_row, v_max(floor, v_add(y0, bias0)));
        v_store(c + i * c_row + VW, v_max(floor, v_add(y1, bias1)));
    }
    for (int i = 0; i < mr && !whole; i++)
        finish_row(job, v_load(copy + i * NR), v_load(copy + i * NR + VW), job->c + i * job->c_row);
}

#endif
