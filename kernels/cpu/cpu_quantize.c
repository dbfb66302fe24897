/* Rows of int8 with one scale each. The bits are ref's. */
#include "kernels/cpu/cpu_device.h"

/* Rows of a task. */
enum { BLOCK = 16 };

struct quantize_job {
    const struct lng_cpu *cpu;
    const struct lng_quantize_rows_args *args;
};

static void quantize_task(void *context, int64_t task, int thread)
{
    const struct quantize_job *job = context;
    const struct lng_view *x = &job->args->x, *q = &job->args->q;
    const int64_t end = lng_cpu_min((task + 1) * BLOCK, x->rows);
    (void)thread;
    for (int64_t r = task * BLOCK; r < end; r++)
        job->args->scales[r] =
            job->cpu->simd->quantize_row((const float *)x->data + r * x->stride, x->cols, false,
                                         (int8_t *)q->data + r * q->stride, NULL);
}

enum lng_status lng_cpu_quantize_rows(struct lng_device *device,
                                      const struct lng_quantize_rows_args *args)
{
    /* whole quads are written */
    if (args->x.dtype != LNG_DTYPE_F32 || args->x.cols % 4 != 0)
        return lng_backend_ref.ops.quantize_rows(device, args);
    struct quantize_job job = {lng_cpu_of(device), args};
    lng_cpu_run(lng_cpu_of(device), lng_cpu_ceil(args->x.rows, BLOCK), quantize_task, &job);
    return LNG_OK;
}

static void dequantize_task(void *context, int64_t task, int thread)
{
    const struct lng_dequantize_rows_args *args = context;
    const int64_t end = lng_cpu_min((task + 1) * BLOCK, args->q.rows);
    (void)thread;
    for (int64_t r = task * BLOCK; r < end; r++) {
        const int8_t *q = (const int8_t *)args->q.data + r * args->q.stride;
        float *y = (float *)args->y.data + r * args->y.stride;
        const float scale = args->scales[r];
        for (int64_t i = 0; i < args->q.cols; i++)
            y[i] = (float)q[i] * scale;
    }
}

enum lng_status lng_cpu_dequantize_rows(struct lng_device *device,
                                        const struct lng_dequantize_rows_args *args)
{
    struct lng_dequantize_rows_args own = *args;
    if (args->y.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.dequantize_rows(device, args);
    lng_cpu_run(lng_cpu_of(device), lng_cpu_ceil(args->q.rows, BLOCK), dequantize_task, &own);
    return LNG_OK;
}
