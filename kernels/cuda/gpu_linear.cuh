/* The end of a forward product, whatever multiplies. */
#ifndef LNG_KERNELS_CUDA_GPU_LINEAR_CUH
#define LNG_KERNELS_CUDA_GPU_LINEAR_CUH

#include "kernels/cuda/gpu_activate.cuh"
#include "kernels/cuda/gpu_common.cuh"
#include "kernels/cuda/gpu_linear.h"

/* What follows a sum: bias, activation, or addition to what is there. */
template <class T> struct linear_ending {
    gpu_matrix<T> y;
    const float *bias;
    enum lng_activation activation;
    bool accumulate;
    __device__ __forceinline__ void store(int64_t n, int64_t o, float sum) const
    {
        T *at = y.row(n) + o;
        sum += bias != nullptr ? bias[o] : 0.0f;
        gpu_store(at, accumulate ? gpu_load(at) + sum : gpu_activate(activation, sum));
    }
};
template <class T>
static inline linear_ending<T> linear_ending_of(const struct lng_linear_fwd_args *args)
{
    return linear_ending<T>{gpu_matrix_of<T>(args->y), static_cast<const float *>(args->bias.data),
                            args->activation, args->accumulate};
}

#endif
