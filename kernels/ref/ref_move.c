/* Element-wise moves: scale, fill, copy, add, gather. */
#include "kernels/ref/ref.h"

enum lng_status REF(scale)(struct lng_device *device, const struct lng_scale_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->y.rows; n++)
        for (int64_t d = 0; d < args->y.cols; d++)
            ref_store(&args->y, n, d, ref_load(&args->y, n, d) * args->factor);
    return LNG_OK;
}

enum lng_status REF(fill)(struct lng_device *device, const struct lng_fill_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->y.rows; n++)
        for (int64_t d = 0; d < args->y.cols; d++)
            ref_store(&args->y, n, d, args->value);
    return LNG_OK;
}

enum lng_status REF(copy)(struct lng_device *device, const struct lng_copy_args *args)
{
    (void)device;
    const bool bytes = args->y.dtype == LNG_DTYPE_I8;
    for (int64_t n = 0; n < args->y.rows && bytes; n++)
        REF(store_byte_row)(&args->x, n, &args->y, n, args->heads);
    for (int64_t n = 0; n < args->y.rows && !bytes; n++)
        for (int64_t d = 0; d < args->y.cols; d++)
            ref_store(&args->y, n, d, ref_load(&args->x, n, d));
    return LNG_OK;
}

enum lng_status REF(add)(struct lng_device *device, const struct lng_add_args *args)
{
    (void)device;
    for (int64_t n = 0; n < args->y.rows; n++)
        for (int64_t d = 0; d < args->y.cols; d++)
            ref_accumulate(&args->y, n, d, ref_load(&args->x, n, d));
    return LNG_OK;
}

enum lng_status REF(gather_rows)(struct lng_device *device, const struct lng_gather_rows_args *args)
{
    (void)device;
    LNG_TRY(REF(check_range)("gather_rows: rows", args->rows, args->y.rows, -1, args->x.rows));
    for (int64_t n = 0; n < args->y.rows; n++)
        for (int64_t d = 0; d < args->y.cols; d++)
            ref_store(&args->y, n, d, args->rows[n] < 0 ? 0 : ref_load(&args->x, args->rows[n], d));
    return LNG_OK;
}
