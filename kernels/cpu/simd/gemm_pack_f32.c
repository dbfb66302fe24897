/* Puts matrices into the order in which the f32 product reads them. Columns past n are not written:
 * they only meet columns of the result that are never stored. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/vec_transpose.h"

/* `count` floats to `to` and, a panel of NR columns each, b_panel further on. */
VEC_INLINE void copy_row(const float *x, int64_t count, float *to, int64_t b_panel)
{
    int64_t j = 0;
    for (; j + NR <= count; j += NR, to += b_panel) {
        v_store(to, v_load(x + j));
        v_store(to + VW, v_load(x + j + VW));
    }
    for (; j < count; j += NR, to += b_panel)
        for (int64_t half = 0; half < NR && j + half < count; half += VW)
            v_store(to + half, v_load_n(x + j + half, count - j - half));
}

/* B = x [k, n] into panels of NR columns. */
void LNG_SIMD(pack_right_f32)(const float *x, int64_t stride, int64_t k, int64_t n, float *panels,
                              int64_t b_panel)
{
    for (int64_t i = 0; i < k; i++)
        copy_row(x + i * stride, n, panels + i * NR, b_panel);
}

/* A = transpose of x [k, m]: the rows, `pitch` apart. */
void LNG_SIMD(pack_left_f32)(const float *x, int64_t stride, int64_t k, int64_t m, float *rows,
                             int64_t pitch)
{
    for (int64_t i = 0; i < k; i++)
        copy_row(x + i * stride, m, rows + i * pitch, NR);
}

/* B = transpose of x [n, k]. */
void LNG_SIMD(pack_right_transposed_f32)(const float *x, int64_t stride, int64_t k, int64_t n,
                                         float *panels, int64_t b_panel)
{
    for (int64_t j = 0; j < n; j += VW) {
        float *to = panels + j / NR * b_panel + j % NR;
        for (int64_t i = 0; i < k; i += VW) {
            const float *from = x + j * stride + i;
            vf r[VW];
            if (n - j >= VW && k - i >= VW) {
#pragma GCC unroll 16
                for (int64_t l = 0; l < VW; l++)
                    r[l] = v_load(from + l * stride);
            } else {
#pragma GCC unroll 16
                for (int64_t l = 0; l < VW; l++)
                    r[l] = j + l < n ? v_load_n(from + l * stride, k - i) : v_zero();
            }
            v_transpose(r);
            if (k - i >= VW) {
#pragma GCC unroll 16
                for (int64_t l = 0; l < VW; l++)
                    v_store(to + (i + l) * NR, r[l]);
            } else {
                for (int64_t l = 0; l < k - i; l++)
                    v_store(to + (i + l) * NR, r[l]);
            }
        }
    }
}
