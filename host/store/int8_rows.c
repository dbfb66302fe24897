#include "host/store/int8_rows.h"

#include "kernels/ops.h"

enum lng_status lng_int8_rows(const float *values, int64_t rows, int64_t cols, int8_t *q,
                              float *scales)
{
    struct lng_device *device;
    LNG_TRY(lng_device_open("ref", NULL, &device));
    /* The view is only read. ref's memory is that of the host. */
    enum lng_status status = lng_quantize_rows(
        device, &(struct lng_quantize_rows_args){
                    .x = lng_view_make((void *)(uintptr_t)values, LNG_DTYPE_F32, rows, cols),
                    .q = lng_view_make(q, LNG_DTYPE_I8, rows, cols),
                    .scales = scales,
                });
    lng_device_close(device);
    return status;
}
