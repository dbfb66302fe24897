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
};

static inline const struct cuda_weight *cuda_weight_of(const struct lng_weight *weight)
{
    return (const struct cuda_weight *)weight;
}

#endif
