/* Residual sum with layer, RMS or no normalisation, and its gradient, a row at a time. */
#include <math.h>

#include "kernels/cpu/simd/simd.h"
#include "kernels/cpu/simd/vec.h"
#include "kernels/cpu/simd/vec_philox.h"

VEC_INLINE float *row_of(const struct lng_view *view, int64_t row)
{
    return view->data ? (float *)view->data + row * view->stride : 0;
}

/* Scratch behind the width floats of a row, for its halves. */
VEC_INLINE uint16_t *halves_after(float *scratch, int64_t width)
{
    return (uint16_t *)(void *)(scratch + (width + VW - 1) / VW * VW);
}

/* s = residual + dropout(x); answers the sum of s. */
VEC_INLINE float residual_row(const float *x, const float *residual, float *s, float *copy,
                              int64_t width, const uint16_t *halves, const struct dropper *d)
{
    vf total = v_zero();
    for (int64_t j = 0; j < width; j += VW) {
        vf v = v_maybe_drop(v_load_n(x + j, width - j), halves, j, d);
        if (residual)
            v = v_add(v, v_load_n(residual + j, width - j));
        v_store_n(s + j, v, width - j);
        if (copy)
            v_store_n(copy + j, v, width - j);
        total = v_add(total, v);
    }
    return v_sum(total);
}

VEC_INLINE void normalise_row(const struct lng_norm_fwd_args *args, int64_t row, const float *s,
                              float sum, int64_t width)
{
    const float mean = args->kind == LNG_NORM_LAYER ? sum / (float)width : 0;
    const vf shift = v_set(mean);
    vf square = v_zero();
    for (int64_t j = 0; j < width; j += VW) {
        vf v = v_keep_n(v_sub(v_load_n(s + j, width - j), shift), width - j, v_zero());
        square = v_fma(v, v, square);
    }
    const float rstd = 1.0f / sqrtf(v_sum(square) / (float)width + (float)args->epsilon);
    const float *gamma = args->gamma.data, *beta = args->beta.data;
    float *y = row_of(&args->y, row);
    for (int64_t j = 0; j < width; j += VW) {
        vf v = v_mul(v_sub(v_load_n(s + j, width - j), shift), v_set(rstd));
        v = v_fma(v, v_load_n(gamma + j, width - j),
                  beta ? v_load_n(beta + j, width - j) : v_zero());
        v_store_n(y + j, v, width - j);
    }
    if (args->mean)
        ((float *)args->mean)[row] = mean;
    if (args->rstd)
        ((float *)args->rstd)[row] = rstd;
}

/* Rows first .. end - 1. scratch: LNG_ROW_SCRATCH(width) bytes. */
void LNG_SIMD(norm_fwd)(const struct lng_norm_fwd_args *args, int64_t first, int64_t end,
                        float *scratch)
{
    const int64_t width = args->x.cols;
    const struct dropper drop = dropout_make(&args->dropout);
    for (int64_t row = first; row < end; row++) {
        const uint16_t *halves =
            dropout_row(&args->dropout, &drop, row, width, halves_after(scratch, width));
        float sum = residual_row(row_of(&args->x, row), row_of(&args->residual, row), scratch,
                                 row_of(&args->sum, row), width, halves, &drop);
        if (args->kind != LNG_NORM_NONE)
            normalise_row(args, row, scratch, sum, width);
        else if (args->y.data)
            memcpy(row_of(&args->y, row), scratch, (size_t)width * sizeof(float));
    }
}

/* The two means of the backward pass; d_gamma and d_beta of the block grow by this row. */
VEC_INLINE void backward_sums(const float *d_y, const float *s, const float *gamma, float *d_gamma,
                              float *d_beta, int64_t width, float mean, float rstd, vf *sum,
                              vf *product)
{
    vf total = v_zero(), dot = v_zero();
    for (int64_t j = 0; j < width; j += VW) {
        int64_t n = width - j;
        vf g = v_load_n(d_y + j, n);
        vf h = v_mul(v_sub(v_load_n(s + j, n), v_set(mean)), v_set(rstd));
        v_store_n(d_gamma + j, v_fma(g, h, v_load_n(d_gamma + j, n)), n);
        v_store_n(d_beta + j, v_add(g, v_load_n(d_beta + j, n)), n);
        g = v_mul(g, v_load_n(gamma + j, n));
        total = v_add(total, g);
        dot = v_fma(g, h, dot);
    }
    *sum = v_set(v_sum(total) / (float)width);
    *product = v_set(v_sum(dot) / (float)width);
}

/* Rows first .. end - 1. parts [2, width]: the block's share of d_gamma and d_beta, written. */
void LNG_SIMD(norm_bwd)(const struct lng_norm_bwd_args *args, int64_t first, int64_t end,
                        float *parts, float *scratch)
{
    const struct lng_view *shape = args->d_y.data ? &args->d_y : &args->d_sum;
    const int64_t width = shape->cols;
    const struct dropper drop = dropout_make(&args->dropout);
    const float *gamma = args->gamma.data;
    if (args->kind != LNG_NORM_NONE)
        memset(parts, 0, (size_t)width * 2 * sizeof(float));
    for (int64_t row = first; row < end; row++) {
        const float *d_y = row_of(&args->d_y, row), *d_sum = row_of(&args->d_sum, row);
        const float *s = row_of(&args->sum, row);
        float *d_residual = row_of(&args->d_residual, row), *d_x = row_of(&args->d_x, row);
        float mean = 0, rstd = 1;
        vf sum = v_zero(), product = v_zero();
        if (args->kind != LNG_NORM_NONE) {
            mean = args->kind == LNG_NORM_LAYER ? ((const float *)args->mean)[row] : 0;
            rstd = ((const float *)args->rstd)[row];
            backward_sums(d_y, s, gamma, parts, parts + width, width, mean, rstd, &sum, &product);
            if (args->kind == LNG_NORM_RMS)
                sum = v_zero();
        }
        const uint16_t *halves =
            d_x ? dropout_row(&args->dropout, &drop, row, width, halves_after(scratch, width)) : 0;
        for (int64_t j = 0; j < width; j += VW) {
            int64_t n = width - j;
            vf v = d_y ? v_load_n(d_y + j, n) : v_zero();
            if (args->kind != LNG_NORM_NONE) {
                vf h = v_mul(v_sub(v_load_n(s + j, n), v_set(mean)), v_set(rstd));
                v = v_sub(v_mul(v, v_load_n(gamma + j, n)), sum);
                v = v_mul(v_fnma(h, product, v), v_set(rstd));
            }
            if (d_sum)
                v = v_add(v, v_load_n(d_sum + j, n));
            if (d_residual)
                v_store_n(d_residual + j, v, n);
            if (d_x)
                v_store_n(d_x + j, v_maybe_drop(v, halves, j, &drop), n);
        }
    }
}
