/* Small passes over rows. */
#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"

enum { WIDE = 4 * VW };

/* d_y *= (y > 0) where y is given; d_bias [cols] = column sums where d_bias is given. */
void LNG_SIMD(relu_bias_bwd)(float *d_y, int64_t d_stride, const float *y, int64_t y_stride,
                             int64_t rows, int64_t cols, float *d_bias)
{
    int64_t j = 0;
    for (; j + WIDE <= cols; j += WIDE) {
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int64_t i = 0; i < rows; i++) {
            float *d = d_y + i * d_stride + j;
            const float *from = y ? y + i * y_stride + j : 0;
#pragma GCC unroll 4
            for (int c = 0; c < 4; c++) {
                vf v = v_load(d + c * VW);
                if (from) {
                    v = v_keep_positive(v, v_load(from + c * VW));
                    v_store(d + c * VW, v);
                }
                sum[c] = v_add(sum[c], v);
            }
        }
        for (int c = 0; d_bias && c < 4; c++)
            v_store(d_bias + j + c * VW, sum[c]);
    }
    for (; j < cols; j += VW) {
        vf sum = v_zero();
        int64_t n = cols - j;
        for (int64_t i = 0; i < rows; i++) {
            float *d = d_y + i * d_stride + j;
            vf v = v_load_n(d, n);
            if (y) {
                v = v_keep_positive(v, v_load_n(y + i * y_stride + j, n));
                v_store_n(d, v, n);
            }
            sum = v_add(sum, v);
        }
        if (d_bias)
            v_store_n(d_bias + j, sum, n);
    }
}
