/* A weight matrix on the GPU. */
#ifndef LNG_KERNELS_CUDA_CUDA_WEIGHT_H
#define LNG_KERNELS_CUDA_CUDA_WEIGHT_H

#include "kernels/backend.h"

struct cuda_weight {
    struct lng_weight head;
    struct lng_view
        values;    /* what products read: the master itself (f32), a copy in bf16, or int8 rows
                               padded with zeros to a multiple of 16 */
    float *scales; /* [out], int8 only */
    /* bf16 only: the bias that went with the weight last, and the copy of it [1, out]. */
    struct lng_view bias_master, bias;
    bool
        shared; /* values and scales are another handle's; the copy of the bias, a cache, is its own */
};

static inline const struct cuda_weight *cuda_weight_of(const struct lng_weight *weight)
{
    return (const struct cuda_weight *)weight;
}

/* *copy becomes the f32 bias in bf16: made when it first comes with a bf16 weight, and again at each refresh. While
 * a graph is recorded none is made, since that runs nothing: copy->data may then be NULL, to be converted there. */
LNG_MUST_CHECK enum lng_status cuda_weight_bias(struct lng_device *device,
                                                const struct lng_weight *weight,
                                                struct lng_view bias, struct lng_view *copy);

/* f32 values to be copied as bf16; no two of them overlap. */
struct gpu_narrowing {
    const float *from;
    void *to;
    int64_t count; /* > 0 */
};
enum { GPU_NARROWINGS = 128 }; /* that one launch takes */
#ifdef __cplusplus
extern "C"
#endif
    LNG_MUST_CHECK enum lng_status
    gpu_narrow(struct lng_device *device, const struct gpu_narrowing *copies, int count);

#endif
