/* Weights as products want them: a copy in bf16 or int8 beside the master, or the master alone. */
#include "kernels/ref/ref.h"

static void fill_bf16(const struct lng_view *master, uint16_t *values)
{
    for (int64_t o = 0; o < master->rows; o++)
        for (int64_t i = 0; i < master->cols; i++)
            values[o * master->cols + i] = lng_f32_to_bf16((float)ref_load(master, o, i));
}

static void fill_int8(const struct lng_view *master, int8_t *values, float *scales)
{
    const lng_real *data = master->data;
    for (int64_t o = 0; o < master->rows; o++)
        scales[o] =
            REF(quantize_row)(data + o * master->stride, master->cols, values + o * master->cols);
}

enum lng_status REF(weight_refresh)(struct lng_device *device, struct lng_weight *weight)
{
    (void)device;
    struct ref_weight *own = (struct ref_weight *)weight;
    if (weight->compute == LNG_DTYPE_BF16)
        fill_bf16(&weight->master, own->values);
    else if (weight->compute == LNG_DTYPE_I8)
        fill_int8(&weight->master, own->values, own->scales);
    return LNG_OK;
}

enum lng_status REF(weight_prepare)(struct lng_device *device, struct lng_view master,
                                    enum lng_dtype compute, int flags, struct lng_weight **weight)
{
    struct ref_weight *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    own->head = (struct lng_weight){.master = master, .compute = compute, .flags = flags};
    size_t count = (size_t)master.rows * (size_t)master.cols;
    if (compute == LNG_DTYPE_BF16 || compute == LNG_DTYPE_I8) {
        own->values = lng_alloc(count, lng_dtype_size(compute));
        if (own->values == NULL)
            goto fail;
        own->head.bytes += count * lng_dtype_size(compute);
    }
    if (compute == LNG_DTYPE_I8) {
        own->scales = lng_alloc((size_t)master.rows, sizeof *own->scales);
        if (own->scales == NULL)
            goto fail;
        own->head.bytes += (size_t)master.rows * sizeof *own->scales;
    }
    *weight = &own->head;
    return REF(weight_refresh)(device, *weight);
fail:
    REF(weight_release)(device, &own->head);
    return LNG_ERR_MEMORY;
}

enum lng_status REF(weight_keep_rows)(struct lng_device *device, struct lng_weight *weight)
{
    (void)device;
    weight->rows = true; /* they are all there is */
    return LNG_OK;
}

void REF(weight_release)(struct lng_device *device, struct lng_weight *weight)
{
    (void)device;
    struct ref_weight *own = (struct ref_weight *)weight;
    if (own == NULL)
        return;
    lng_free(own->values);
    lng_free(own->scales);
    lng_free(own->rest);
    lng_free(own->rest_scales);
    lng_free(own);
}
