/* Products of a few rows with single rows of a table. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

/* out[i * out_stride] = x[i] . w for `rows` (a constant) rows. The sums of a row are two chains, whatever rows
 * stand beside it: the same bits alone and in company. */
VEC_INLINE void dot_some(const float *x, int64_t x_stride, int64_t rows, const float *w, int64_t n,
                         float add, float *out, int64_t out_stride)
{
    vf even[4] = {v_zero(), v_zero(), v_zero(), v_zero()},
       odd[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t d = 0;
    for (; d + 2 * VW <= n; d += 2 * VW) {
        const vf w0 = v_load(w + d), w1 = v_load(w + d + VW);
#pragma GCC unroll 4
        for (int64_t i = 0; i < rows; i++) {
            even[i] = v_fma(v_load(x + i * x_stride + d), w0, even[i]);
            odd[i] = v_fma(v_load(x + i * x_stride + d + VW), w1, odd[i]);
        }
    }
    for (; d < n; d += VW) {
        const vf w0 = v_load_n(w + d, n - d);
#pragma GCC unroll 4
        for (int64_t i = 0; i < rows; i++)
            even[i] = v_fma(v_load_n(x + i * x_stride + d, n - d), w0, even[i]);
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < rows; i++)
        out[i * out_stride] = v_sum(v_add(even[i], odd[i])) + add;
}

void LNG_SIMD(dot_rows)(const float *x, int64_t x_stride, int64_t rows, const float *w, int64_t n,
                        float add, float *out, int64_t out_stride)
{
    for (; rows >= 4; rows -= 4, x += 4 * x_stride, out += 4 * out_stride)
        dot_some(x, x_stride, 4, w, n, add, out, out_stride);
    if (rows == 3)
        dot_some(x, x_stride, 3, w, n, add, out, out_stride);
    else if (rows == 2)
        dot_some(x, x_stride, 2, w, n, add, out, out_stride);
    else if (rows == 1)
        dot_some(x, x_stride, 1, w, n, add, out, out_stride);
}
