/* Puts matrices into the order in which the f32 product reads them. */
#include "kernels/cpu/simd/gemm_tile.h"
#include "kernels/cpu/simd/vec_transpose.h"

/* B = x [k, n] into panels of NR columns, the last one filled up with zeros. */
void LNG_SIMD(pack_right_f32)(const float *x, int64_t stride, int64_t k, int64_t n, float *panels,
                              int64_t b_panel)
{
    for (int64_t j = 0; j < n; j += NR, panels += b_panel) {
        int64_t cols = n - j;
        for (int64_t i = 0; i < k; i++) {
            const float *from = x + i * stride + j;
            v_store(panels + i * NR, v_load_n(from, cols));
            v_store(panels + i * NR + VW, cols > VW ? v_load_n(from + VW, cols - VW) : v_zero());
        }
    }
}

/* B = transpose of x [n, k]. */
void LNG_SIMD(pack_right_transposed_f32)(const float *x, int64_t stride, int64_t k, int64_t n,
                                         float *panels, int64_t b_panel)
{
    for (int64_t j = 0; j < n || j % NR != 0; j += VW) {
        float *to = panels + j / NR * b_panel + j % NR;
        for (int64_t i = 0; i < k; i += VW) {
            vf r[VW];
#pragma GCC unroll 16
            for (int64_t l = 0; l < VW; l++)
                r[l] = j + l < n ? v_load_n(x + (j + l) * stride + i, k - i) : v_zero();
            v_transpose(r);
#pragma GCC unroll 16
            for (int64_t l = 0; l < VW; l++)
                if (i + l < k)
                    v_store(to + (i + l) * NR, r[l]);
        }
    }
}

/* A = transpose of x [k, m] into tiles of MR rows: element (i, kk) at [i / MR][kk][i % MR]. */
void LNG_SIMD(pack_left_transposed_f32)(const float *x, int64_t stride, int64_t k, int64_t m,
                                        float *tiles)
{
    for (int64_t i = 0; i < m; i += MR, tiles += k * MR) {
        int64_t rows = m - i < MR ? m - i : MR;
        for (int64_t kk = 0; kk < k; kk++) {
            const float *from = x + kk * stride + i;
            v_store_n(tiles + kk * MR, v_load_n(from, rows), MR);
            if ((int)MR > (int)VW)
                v_store_n(tiles + kk * MR + VW, v_load_n(from + VW, rows > VW ? rows - VW : 0),
                          MR - VW);
        }
    }
}
