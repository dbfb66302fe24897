/* int8 weights made of rows, without a master, and such weights as tables. */
#include <string.h>

#include "kernels/ref/ref.h"

static void take_values(struct ref_weight *own, const struct lng_weight_rows *rows)
{
    memcpy(own->values, rows->values, (size_t)rows->rows * (size_t)rows->cols);
    memcpy(own->scales, rows->scales, (size_t)rows->rows * sizeof *own->scales);
}

static enum lng_status quantize(struct ref_weight *own, const struct lng_weight_rows *rows)
{
    lng_real *wide = lng_alloc((size_t)rows->cols, sizeof *wide);
    if (wide == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t o = 0; o < rows->rows; o++) {
        for (int64_t i = 0; i < rows->cols; i++)
            wide[i] = (lng_real)((const float *)rows->values)[o * rows->cols + i];
        own->scales[o] =
            REF(quantize_row)(wide, rows->cols, (int8_t *)own->values + o * rows->cols);
    }
    lng_free(wide);
    return LNG_OK;
}

enum lng_status REF(weight_prepare_rows)(struct lng_device *device,
                                         const struct lng_weight_rows *rows, enum lng_dtype compute,
                                         struct lng_weight **weight)
{
    size_t count = (size_t)rows->rows * (size_t)rows->cols;
    struct ref_weight *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    own->head = (struct lng_weight){
        .master = lng_view_make(NULL, REF_REAL, rows->rows, rows->cols),
        .compute = compute,
        .bytes = count + (size_t)rows->rows * sizeof *own->scales,
    };
    own->values = lng_alloc(count, 1);
    own->scales = lng_alloc((size_t)rows->rows, sizeof *own->scales);
    if (own->values == NULL || own->scales == NULL)
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

double REF(table_load)(const struct lng_view *table, const struct lng_weight *rows, int64_t row,
                       int64_t col)
{
    if (table->data != NULL)
        return ref_load(table, row, col);
    const struct ref_weight *own = (const struct ref_weight *)rows;
    return ((const int8_t *)own->values)[row * rows->master.cols + col] * (double)own->scales[row];
}
