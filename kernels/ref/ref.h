/* The reference device: every operation of ops.def in plain C, double accumulation, one thread.
 *
 * Each file is compiled twice: with lng_real = float (backend "ref", symbols lng_ref_*) and, with
 * LNG_REF_DOUBLE, with lng_real = double (backend "ref64", symbols lng_ref64_*; for gradient checks).
 * Clarity goes before speed: these files are the executable specification of ops.h.
 *
 * A fast backend may put lng_ref_<op> into its own table for operations it does not override, and may
 * hand ref functions its own device and (for linear) only its own weights if made by lng_ref_weight_*. */
#ifndef LNG_KERNELS_REF_REF_H
#define LNG_KERNELS_REF_REF_H

#include <math.h>
#include <stddef.h>

#include "host/base/mem.h"
#include "kernels/backend.h"
#include "host/base/bf16.h"

#ifdef LNG_REF_DOUBLE
typedef double lng_real;
#define REF(name) lng_ref64_##name
#define REF_REAL LNG_DTYPE_F64
#else
typedef float lng_real;
#define REF(name) lng_ref_##name
#define REF_REAL LNG_DTYPE_F32
#endif

/* enum lng_status lng_ref_embed_fwd(device, args), ... */
#define LNG_OP(name) \
    enum lng_status REF(name)(struct lng_device * device, const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP

/* Weights: values in the compute type beside the master; F32 (and F64) read the master itself.
 * I8 has one scale an output row, values = round(w / scale). */
struct ref_weight {
    struct lng_weight head;
    void *values;  /* [out, in] bf16 or int8; NULL = the master */
    float *scales; /* [out] for I8 */
    int8_t *rest;  /* [out, in] of a table in I8, or NULL; see lng_weight_rows */
    float *rest_scales;
};
enum lng_status REF(weight_prepare)(struct lng_device *device, struct lng_view master,
                                    enum lng_dtype compute, int flags, struct lng_weight **weight);
enum lng_status REF(weight_refresh)(struct lng_device *device, struct lng_weight *weight);
enum lng_status REF(weight_keep_rows)(struct lng_device *device, struct lng_weight *weight);
void REF(weight_release)(struct lng_device *device, struct lng_weight *weight);
/* I8 only. */
enum lng_status REF(weight_prepare_rows)(struct lng_device *device,
                                         const struct lng_weight_rows *rows, enum lng_dtype compute,
                                         struct lng_weight **weight);
/* An element of an I8 weight, with its rest; and of a table: of the view, or where it has no data of the weight that
 * stands for it. */
double REF(weight_load)(const struct lng_weight *weight, int64_t row, int64_t col);
double REF(table_load)(const struct lng_view *table, const struct lng_weight *rows, int64_t row,
                       int64_t col);

/* q[i] = round to nearest even of x[i] (127 / max|x|), clamped to [-127, 127]; the scale is the result:
 * max|x| / 127, or 1, and q = 0, where that is none. NaN becomes 0. */
float REF(quantize_row)(const lng_real *x, int64_t count, int8_t *q);
/* Row x of a view to a row of a cache (lng_cache_width), and element `col` back. */
void REF(store_byte_row)(const struct lng_view *x, int64_t x_row, const struct lng_view *cache,
                         int64_t row, int64_t heads);
double REF(load_byte)(const struct lng_view *cache, int64_t row, int64_t col, int64_t heads);
/* Value and derivative of an activation function. */
double REF(activate)(enum lng_activation activation, double x);
double REF(activate_slope)(enum lng_activation activation, double x);
/* s = score(q, k) of one head, `width` wide; vector NULL for DOT. */
double REF(attention_score)(const double *q, const double *k, const double *vector, int64_t width,
                            double scale);
/* Overwrites scores [count] with their softmax and answers the log-sum-exp; count 0 gives -inf. */
double REF(softmax)(double *scores, int64_t count);
/* Fails with LNG_ERR_RANGE naming `name` unless first <= values[i] < end for every i. */
enum lng_status REF(check_range)(const char *name, const int32_t *values, int64_t count,
                                 int64_t first, int64_t end);
/* Fails with LNG_ERR_RANGE unless offsets [sentences + 1] rise from 0 to `last`. */
enum lng_status REF(check_offsets)(const char *name, const int32_t *offsets, int64_t sentences,
                                   int64_t last);

static inline double ref_load(const struct lng_view *view, int64_t row, int64_t col)
{
    size_t at = (size_t)row * (size_t)view->stride + (size_t)col;
    switch (view->dtype) {
    case LNG_DTYPE_F32:
        return ((const float *)view->data)[at];
    case LNG_DTYPE_F64:
        return ((const double *)view->data)[at];
    case LNG_DTYPE_BF16:
        return lng_bf16_to_f32(((const uint16_t *)view->data)[at]);
    case LNG_DTYPE_I8:
        return ((const int8_t *)view->data)[at];
    case LNG_DTYPE_I32:
        return ((const int32_t *)view->data)[at];
    }
    return NAN;
}

/* Floating-point views only; ops.c has seen to that. */
static inline void ref_store(const struct lng_view *view, int64_t row, int64_t col, double value)
{
    size_t at = (size_t)row * (size_t)view->stride + (size_t)col;
    if (view->dtype == LNG_DTYPE_F32)
        ((float *)view->data)[at] = (float)value;
    else if (view->dtype == LNG_DTYPE_F64)
        ((double *)view->data)[at] = value;
    else
        ((uint16_t *)view->data)[at] = lng_f32_to_bf16((float)value);
}

static inline void ref_accumulate(const struct lng_view *view, int64_t row, int64_t col,
                                  double value)
{
    ref_store(view, row, col, ref_load(view, row, col) + value);
}

/* What dropout multiplies (row, unit) by: 0 or 1 / (1 - p). */
static inline double ref_mask(const struct lng_dropout *dropout, int64_t row, int64_t unit)
{
    if (dropout->probability <= 0)
        return 1;
    struct lng_philox block = lng_rng_block(dropout->rng, dropout->sentence[row],
                                            dropout->position[row], (uint32_t)unit >> 3, 0);
    bool dropped =
        lng_philox_half(block, (uint32_t)unit) < lng_drop_threshold(dropout->probability);
    return dropped ? 0 : lng_drop_scale(dropout->probability);
}

/* Four interleaved sums: a fixed order, and faster than one. */
static inline double ref_dot(const double *a, const double *b, int64_t count)
{
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int64_t lane = 0; lane < 4; lane++)
            sum[lane] += a[i + lane] * b[i + lane];
    for (; i < count; i++)
        sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#endif
