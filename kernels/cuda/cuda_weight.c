#include "kernels/cuda/cuda_weight.h"

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_memory.h"

enum { INT8_STEP = 16 };

enum lng_status cuda_weight_refresh(struct lng_device *device, struct lng_weight *weight)
{
    struct cuda_weight *own = (struct cuda_weight *)weight;
    struct lng_view values = own->values;
    if (own->bias_master.data != NULL)
        LNG_TRY(cuda_copy(device, &(struct lng_copy_args){.x = own->bias_master, .y = own->bias}));
    if (weight->compute == LNG_DTYPE_BF16)
        return cuda_copy(device, &(struct lng_copy_args){.x = weight->master, .y = values});
    values.cols = weight->master.cols;
    if (weight->compute == LNG_DTYPE_I8)
        return cuda_quantize_rows(device, &(struct lng_quantize_rows_args){.x = weight->master,
                                                                           .q = values,
                                                                           .scales = own->scales});
    return LNG_OK;
}

/* Copies that wait to be done together. */
struct narrowings {
    struct gpu_narrowing list[GPU_NARROWINGS];
    int count;
};

static enum lng_status narrow(struct lng_device *device, struct narrowings *copies,
                              struct lng_view from, struct lng_view to)
{
    const int64_t elements = from.rows * from.cols;
    if (from.data == NULL || elements == 0)
        return LNG_OK;
    if (from.rows > 1 && from.stride != from.cols)
        return cuda_copy(device, &(struct lng_copy_args){.x = from, .y = to});
    copies->list[copies->count++] = (struct gpu_narrowing){from.data, to.data, elements};
    if (copies->count < GPU_NARROWINGS)
        return LNG_OK;
    copies->count = 0;
    return gpu_narrow(device, copies->list, GPU_NARROWINGS);
}

enum lng_status cuda_weights_refresh(struct lng_device *device, struct lng_weight *const *weights,
                                     size_t count)
{
    struct narrowings copies = {.count = 0};
    LNG_TRY(cuda_select(device));
    for (size_t i = 0; i < count; i++) {
        const struct cuda_weight *own = cuda_weight_of(weights[i]);
        if (own->head.compute != LNG_DTYPE_BF16) {
            LNG_TRY(cuda_weight_refresh(device, weights[i]));
            continue;
        }
        LNG_TRY(narrow(device, &copies, own->bias_master, own->bias));
        LNG_TRY(narrow(device, &copies, own->head.master, own->values));
    }
    return gpu_narrow(device, copies.list, copies.count);
}

enum lng_status cuda_weight_bias(struct lng_device *device, const struct lng_weight *weight,
                                 struct lng_view bias, struct lng_view *copy)
{
    struct cuda_weight *own = (struct cuda_weight *)weight; /* a cache: what it means stays */
    *copy = (struct lng_view){0};
    if (own->bias_master.data != bias.data) {
        if (own->bias.data == NULL || cuda_state_of(device)->capturing)
            return LNG_OK;
        own->bias_master = (struct lng_view){0};
        LNG_TRY(cuda_copy(device, &(struct lng_copy_args){.x = bias, .y = own->bias}));
        own->bias_master = bias;
    }
    *copy = own->bias;
    return LNG_OK;
}

enum lng_status cuda_weight_prepare(struct lng_device *device, struct lng_view master,
                                    enum lng_dtype compute, int flags, struct lng_weight **weight)
{
    enum lng_status status = LNG_OK;
    int64_t width = compute == LNG_DTYPE_I8 ? (master.cols + INT8_STEP - 1) / INT8_STEP * INT8_STEP
                                            : master.cols;
    size_t bytes = (size_t)master.rows * (size_t)width * lng_dtype_size(compute);
    struct cuda_weight *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    own->head = (struct lng_weight){.master = master, .compute = compute, .flags = flags};
    own->values = master;
    if (compute != LNG_DTYPE_F32) {
        own->values = lng_view_make(NULL, compute, master.rows, width);
        LNG_TRY_OR_FAIL(cuda_alloc(device, bytes, &own->values.data));
        own->head.bytes = bytes;
    }
    if (compute == LNG_DTYPE_BF16) {
        own->bias = lng_view_make(NULL, compute, 1, master.rows);
        LNG_TRY_OR_FAIL(
            cuda_alloc(device, (size_t)master.rows * lng_dtype_size(compute), &own->bias.data));
        own->head.bytes += (size_t)master.rows * lng_dtype_size(compute);
    }
    if (compute == LNG_DTYPE_I8) {
        void *scales = NULL;
        LNG_TRY_OR_FAIL(cuda_alloc(device, (size_t)master.rows * sizeof(float), &scales));
        own->scales = scales;
        own->head.bytes += (size_t)master.rows * sizeof(float);
    }
    LNG_TRY_OR_FAIL(cuda_weight_refresh(device, &own->head));
    *weight = &own->head;
    return LNG_OK;
fail:
    cuda_weight_release(device, &own->head);
    return status;
}

enum lng_status cuda_weight_share(struct lng_device *device, const struct lng_weight *weight,
                                  struct lng_weight **shared)
{
    struct cuda_weight *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    *own = *cuda_weight_of(weight);
    own->shared = true;
    own->bias_master = own->bias = (struct lng_view){0};
    own->head.bytes = 0;
    if (weight->compute == LNG_DTYPE_BF16) {
        const int64_t rows = weight->master.rows;
        const size_t bytes = (size_t)rows * lng_dtype_size(weight->compute);
        void *bias = NULL;
        enum lng_status status = cuda_alloc(device, bytes, &bias);
        if (status != LNG_OK) {
            lng_free(own);
            return status;
        }
        own->bias = lng_view_make(bias, weight->compute, 1, rows);
        own->head.bytes = bytes;
    }
    *shared = &own->head;
    return LNG_OK;
}

void cuda_weight_release(struct lng_device *device, struct lng_weight *weight)
{
    struct cuda_weight *own = (struct cuda_weight *)weight;
    if (!own->shared && own->head.compute != LNG_DTYPE_F32 && own->values.data != NULL)
        cuda_free(device, own->values.data);
    if (!own->shared && own->scales != NULL)
        cuda_free(device, own->scales);
    if (own->bias.data != NULL)
        cuda_free(device, own->bias.data);
    lng_free(own);
}
