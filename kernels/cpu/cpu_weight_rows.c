/* Weights without a master, and rows looked up in them. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

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
}
