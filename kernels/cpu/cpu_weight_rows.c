/* Weights without a master, and rows looked up in them. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

struct rest_job {
    const struct lng_cpu *cpu;
    struct lng_cpu_weight *weight;
    const float *values; /* [out, in] */
};

enum { REST_ROWS = 64 };

/* What rounding leaves of REST_ROWS rows, rounded itself. */
static void rest_task(void *context, int64_t task, int thread)
{
    const struct rest_job *job = context;
    const struct lng_simd *simd = job->cpu->simd;
    struct lng_cpu_weight *weight = job->weight;
    const int64_t cols = weight->head.master.cols;
    const int64_t end = lng_cpu_min((task + 1) * REST_ROWS, weight->head.master.rows);
    float *left = job->cpu->private[thread];
    int8_t *q = (int8_t *)(left + cols); /* padded to a multiple of four */
    for (int64_t r = task * REST_ROWS; r < end; r++) {
        const float *x = job->values + r * cols;
        const float scale = simd->quantize_row(x, cols, false, q, NULL);
        for (int64_t i = 0; i < cols; i++)
            left[i] = x[i] - (float)q[i] * scale;
        weight->rest_scales[r] = simd->quantize_row(left, cols, false, q, NULL);
        memcpy(weight->rest + r * cols, q, (size_t)cols);
    }
}

static enum lng_status keep_rest(struct lng_cpu *cpu, struct lng_cpu_weight *weight,
                                 const struct lng_weight_rows *rows)
{
    const size_t count = (size_t)(rows->rows * rows->cols);
    const size_t scales = (size_t)rows->rows * sizeof *weight->rest_scales;
    weight->rest = lng_cpu_slab_take(&cpu->weights, count);
    weight->rest_scales = lng_cpu_slab_take(&cpu->weights, scales);
    if (!weight->rest || !weight->rest_scales)
        return LNG_ERR_MEMORY;
    weight->head.bytes += count + scales;
    if (rows->dtype == LNG_DTYPE_I8) {
        memcpy(weight->rest, rows->rest, count);
        memcpy(weight->rest_scales, rows->rest_scales, scales);
        return LNG_OK;
    }
    LNG_TRY(lng_cpu_reserve(cpu, (size_t)rows->cols * (sizeof(float) + 1) + 4, 0));
    struct rest_job job = {cpu, weight, rows->values};
    lng_cpu_run(cpu, lng_cpu_ceil(rows->rows, REST_ROWS), rest_task, &job);
    return LNG_OK;
}

enum lng_status lng_cpu_weight_prepare_rows(struct lng_device *device,
                                            const struct lng_weight_rows *rows,
                                            enum lng_dtype compute, struct lng_weight **out)
{
    struct lng_weight *weight;
    /* A master for as long as the packing takes; it is only read. */
    struct lng_view master =
        lng_view_make((void *)(uintptr_t)rows->values, rows->dtype, rows->rows, rows->cols);
    LNG_TRY(lng_cpu_weight_prepare(device, master, compute, LNG_WEIGHT_INFERENCE, &weight));
    if (rows->dtype == LNG_DTYPE_I8)
        memcpy(((struct lng_cpu_weight *)weight)->scales, rows->scales,
               (size_t)rows->rows * sizeof *rows->scales);
    weight->master.data = NULL;
    weight->master.dtype = LNG_DTYPE_F32;
    const bool rest =
        rows->dtype == LNG_DTYPE_I8 ? rows->rest != NULL : rows->table && compute == LNG_DTYPE_I8;
    enum lng_status status =
        rest ? keep_rest(lng_cpu_of(device), (struct lng_cpu_weight *)weight, rows) : LNG_OK;
    if (status != LNG_OK) {
        lng_cpu_weight_release(device, weight);
        return status;
    }
    *out = weight;
    return LNG_OK;
}

/* Undoes pack_right_i8 (simd/gemm_i8.c) for one column of B. */
void lng_cpu_weight_row(const struct lng_cpu *cpu, const struct lng_cpu_weight *weight, int64_t row,
                        float *values)
{
    const int64_t nr = cpu->simd->nr, cols = weight->head.master.cols;
    const uint32_t *quads =
        (const uint32_t *)weight->forward + row / nr * weight->forward_panel + row % nr;
    const float scale = weight->scales[row];
    for (int64_t k = 0; k < cols; k += 4, quads += nr) {
        int8_t quad[4];
        memcpy(quad, quads, sizeof quad);
        for (int64_t i = 0; i < lng_cpu_min(cols - k, 4); i++)
            values[k + i] = (float)quad[i] * scale;
    }
    if (!weight->rest)
        return;
    const int8_t *rest = weight->rest + row * cols;
    for (int64_t k = 0; k < cols; k++)
        values[k] += (float)rest[k] * weight->rest_scales[row];
}
