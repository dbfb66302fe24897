/* int8 weights made of rows, without a master, and such weights as tables. */
#include <string.h>

#include "kernels/ref/ref.h"

static void take_values(struct ref_weight *own, const struct lng_weight_rows *rows)
{
    const size_t count = (size_t)rows->rows * (size_t)rows->cols;
    const size_t bytes = (size_t)rows->rows * sizeof *own->scales;
    memcpy(own->values, rows->values, count);
    memcpy(own->scales, rows->scales, bytes);
    if (own->rest == NULL)
        return;
    memcpy(own->rest, rows->rest, count);
    memcpy(own->rest_scales, rows->rest_scales, bytes);
}

static enum lng_status quantize(struct ref_weight *own, const struct lng_weight_rows *rows)
{
    const int64_t cols = rows->cols;
    lng_real *wide = lng_alloc((size_t)cols, sizeof *wide);
    if (wide == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t o = 0; o < rows->rows; o++) {
        int8_t *q = (int8_t *)own->values + o * cols;
        for (int64_t i = 0; i < cols; i++)
            wide[i] = (lng_real)((const float *)rows->values)[o * cols + i];
        own->scales[o] = REF(quantize_row)(wide, cols, q);
        if (own->rest == NULL)
            continue;
        for (int64_t i = 0; i < cols; i++)
            wide[i] -= (lng_real)((float)q[i] * own->scales[o]);
        own->rest_scales[o] = REF(quantize_row)(wide, cols, own->rest + o * cols);
    }
    lng_free(wide);
    return LNG_OK;
}

static bool keeps_rest(const struct lng_weight_rows *rows)
{
    return rows->dtype == LNG_DTYPE_I8 ? rows->rest != NULL : rows->table;
}

enum lng_status REF(weight_prepare_rows)(struct lng_device *device,
                                         const struct lng_weight_rows *rows, enum lng_dtype compute,
                                         struct lng_weight **weight)
{
    const size_t count = (size_t)rows->rows * (size_t)rows->cols, planes = keeps_rest(rows) ? 2 : 1;
    struct ref_weight *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    own->head = (struct lng_weight){
        .master = lng_view_make(NULL, REF_REAL, rows->rows, rows->cols),
        .compute = compute,
        .bytes = planes * (count + (size_t)rows->rows * sizeof *own->scales),
    };
    own->values = lng_alloc(count, 1);
    own->scales = lng_alloc((size_t)rows->rows, sizeof *own->scales);
    if (planes > 1) {
        own->rest = lng_alloc(count, 1);
        own->rest_scales = lng_alloc((size_t)rows->rows, sizeof *own->rest_scales);
    }
    if (own->values == NULL || own->scales == NULL ||
        (planes > 1 && (own->rest == NULL || own->rest_scales == NULL)))
        status = LNG_ERR_MEMORY;
    else if (rows->dtype == LNG_DTYPE_I8)
        take_values(own, rows);
    else
        status = quantize(own, rows);
    if (status != LNG_OK) {
        REF(weight_release)(device, &own->head);
        return status;
    }
    *weight = &own->head;
    return LNG_OK;
}

double REF(weight_load)(const struct lng_weight *weight, int64_t row, int64_t col)
{
    const struct ref_weight *own = (const struct ref_weight *)weight;
    const int64_t at = row * weight->master.cols + col;
    const double value = ((const int8_t *)own->values)[at] * (double)own->scales[row];
    return own->rest == NULL ? value : value + own->rest[at] * (double)own->rest_scales[row];
}

double REF(table_load)(const struct lng_view *table, const struct lng_weight *rows, int64_t row,
                       int64_t col)
{
    return table->data != NULL ? ref_load(table, row, col) : REF(weight_load)(rows, row, col);
}
