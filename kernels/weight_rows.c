/* Weights made of rows that nobody keeps: the checks, before a backend takes them. */
#include <math.h>

#include "kernels/backend.h"

bool lng_weight_takes_rows(const struct lng_device *device, enum lng_dtype compute)
{
    return device->backend->weight_prepare_rows != NULL &&
           (device->backend->rows_compute & (1u << compute)) != 0;
}

static enum lng_status check_scales(const char *what, const float *scales, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        LNG_FAIL_IF(!(scales[i] > 0) || !isfinite(scales[i]), LNG_ERR_RANGE,
                    "weight rows: %s[%lld]: expected a finite number above 0, found %g", what,
                    (long long)i, (double)scales[i]);
    return LNG_OK;
}

static enum lng_status check_rows(const struct lng_weight_rows *rows, enum lng_dtype compute)
{
    LNG_FAIL_IF(rows->values == NULL || rows->rows < 1 || rows->cols < 1, LNG_ERR_SHAPE,
                "weight rows: expected a matrix of at least 1 x 1, found %lld x %lld%s",
                (long long)rows->rows, (long long)rows->cols,
                rows->values == NULL ? ", without values" : "");
    if (rows->dtype == LNG_DTYPE_F32)
        return LNG_OK;
    LNG_FAIL_IF(rows->dtype != LNG_DTYPE_I8 || compute != LNG_DTYPE_I8, LNG_ERR_DTYPE,
                "weight rows: expected f32, or int8 for products in int8, found %s for %s",
                lng_dtype_name(rows->dtype), lng_dtype_name(compute));
    LNG_FAIL_IF(rows->scales == NULL, LNG_ERR_SHAPE,
                "weight rows: expected a scale for each of %lld rows of int8, found none",
                (long long)rows->rows);
    LNG_FAIL_IF((rows->rest == NULL) != (rows->rest_scales == NULL), LNG_ERR_SHAPE,
                "weight rows: rest: expected values and scales, found one of them");
    LNG_TRY(check_scales("scale", rows->scales, rows->rows));
    return rows->rest == NULL ? LNG_OK : check_scales("rest scale", rows->rest_scales, rows->rows);
}

enum lng_status lng_weight_prepare_rows(struct lng_device *device,
                                        const struct lng_weight_rows *rows, enum lng_dtype compute,
                                        struct lng_weight **weight)
{
    LNG_TRY(check_rows(rows, compute));
    LNG_TRY(lng_device_supports(device, compute));
    LNG_FAIL_IF(!lng_weight_takes_rows(device, compute), LNG_ERR_UNSUPPORTED,
                "weight rows: device %s needs a master for products in %s", lng_device_name(device),
                lng_dtype_name(compute));
    return device->backend->weight_prepare_rows(device, rows, compute, weight);
}
