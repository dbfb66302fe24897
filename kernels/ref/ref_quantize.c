/* Rows of int8 with one scale each. */
#include "kernels/ref/ref.h"

float REF(quantize_row)(const lng_real *x, int64_t count, int8_t *q)
{
    lng_real highest = 0;
    for (int64_t i = 0; i < count; i++) {
        lng_real magnitude = x[i] < 0 ? -x[i] : x[i];
        if (magnitude > highest)
            highest = magnitude;
    }
    float scale = (float)(highest / 127);
    lng_real steps = 127 / highest;
    if (!(scale > 0))
        scale = 1, steps = 1;
    for (int64_t i = 0; i < count; i++) {
        double value = rint((double)(lng_real)(x[i] * steps));
        q[i] = isnan(value) ? 0 : (int8_t)(value > 127 ? 127 : value < -127 ? -127 : value);
    }
    return scale;
}

/* The scales of a row of a cache. */
static float *scales_of(const struct lng_view *cache, int64_t row)
{
    return (float *)(void *)((int8_t *)cache->data + row * cache->stride + cache->cols);
}

void REF(store_byte_row)(const struct lng_view *x, int64_t x_row, const struct lng_view *cache,
                         int64_t row, int64_t heads)
{
    const int64_t width = cache->cols / heads;
    int8_t *to = (int8_t *)cache->data + row * cache->stride;
    const lng_real *from = (const lng_real *)x->data + x_row * x->stride;
    for (int64_t h = 0; h < heads; h++)
        scales_of(cache, row)[h] = REF(quantize_row)(from + h * width, width, to + h * width);
}

double REF(load_byte)(const struct lng_view *cache, int64_t row, int64_t col, int64_t heads)
{
    return ((const int8_t *)cache->data)[row * cache->stride + col] *
           (double)scales_of(cache, row)[col / (cache->cols / heads)];
}

enum lng_status REF(quantize_rows)(struct lng_device *device,
                                   const struct lng_quantize_rows_args *args)
{
    (void)device;
    lng_real *row = lng_alloc((size_t)args->x.cols, sizeof *row);
    if (row == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t n = 0; n < args->x.rows; n++) {
        for (int64_t d = 0; d < args->x.cols; d++)
            row[d] = (lng_real)ref_load(&args->x, n, d);
        args->scales[n] =
            REF(quantize_row)(row, args->x.cols, (int8_t *)args->q.data + n * args->q.stride);
    }
    lng_free(row);
    return LNG_OK;
}

enum lng_status REF(dequantize_rows)(struct lng_device *device,
                                     const struct lng_dequantize_rows_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->q.rows; n++)
        for (int64_t d = 0; d < args->q.cols; d++)
            ref_store(&args->y, n, d, ref_load(&args->q, n, d) * (double)args->scales[n]);
    return LNG_OK;
}
