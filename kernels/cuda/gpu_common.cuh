/* What all kernels share: values of either dtype, sums over a warp and a block, dropout.
 * Kernels compute in float whatever they load and store. */
#ifndef LNG_KERNELS_CUDA_GPU_COMMON_CUH
#define LNG_KERNELS_CUDA_GPU_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "host/base/philox.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/gpu_ptx.cuh"

typedef __nv_bfloat16 gpu_bf16;

__device__ __forceinline__ float gpu_load(const float *at)
{
    return *at;
}
__device__ __forceinline__ float gpu_load(const gpu_bf16 *at)
{
    return __bfloat162float(*at);
}
__device__ __forceinline__ void gpu_store(float *at, float value)
{
    *at = value;
}
/* As an integer: the race checker sees stores of scalars, not of what a call returns in a class. */
__device__ __forceinline__ void gpu_store(gpu_bf16 *at, float value)
{
    *reinterpret_cast<unsigned short *>(at) = __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

/* A matrix argument of a kernel. data NULL: absent. */
template <class T> struct gpu_matrix {
    T *data;
    int64_t stride;
    __device__ __forceinline__ T *row(int64_t n) const
    {
        return data + n * stride;
    }
};
template <class T> static inline gpu_matrix<T> gpu_matrix_of(const struct lng_view &view)
{
    return gpu_matrix<T>{static_cast<T *>(view.data), view.stride};
}

enum { GPU_WARP = 32 };
static constexpr unsigned GPU_ALL_LANES = 0xFFFFFFFFu;

/* Over the 32 lanes, in a fixed order; every lane gets the result. */
template <class T> __device__ __forceinline__ T gpu_warp_sum(T value)
{
    for (int offset = GPU_WARP / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(GPU_ALL_LANES, value, offset);
    return value;
}
__device__ __forceinline__ float gpu_warp_max(float value)
{
    for (int offset = GPU_WARP / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(GPU_ALL_LANES, value, offset));
    return value;
}

/* Over a block of THREADS (a multiple of 32), in a fixed order; every thread gets the result. `room` is
 * shared memory of THREADS / 32 values, free to use again on return. */
template <int THREADS, class T> __device__ __forceinline__ T gpu_block_sum(T value, T *room)
{
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    value = gpu_warp_sum(value);
    if (lane == 0)
        room[warp] = value;
    __syncthreads();
    T sum = room[0];
    for (int w = 1; w < THREADS / GPU_WARP; w++)
        sum += room[w];
    __syncthreads();
    return sum;
}
template <int THREADS> __device__ __forceinline__ float gpu_block_max(float value, float *room)
{
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    value = gpu_warp_max(value);
    if (lane == 0)
        room[warp] = value;
    __syncthreads();
    float highest = room[0];
    for (int w = 1; w < THREADS / GPU_WARP; w++)
        highest = fmaxf(highest, room[w]);
    __syncthreads();
    return highest;
}

/* struct lng_dropout as a kernel takes it. scale 0: off, and every factor is 1. */
struct gpu_dropout {
    struct lng_rng_site rng;
    const uint32_t *sentence, *position;
    uint32_t threshold;
    float scale;
};
static inline struct gpu_dropout gpu_dropout_of(const struct lng_dropout &dropout)
{
    struct gpu_dropout out = {};
    if (dropout.probability > 0) {
        out.rng = dropout.rng;
        out.sentence = dropout.sentence;
        out.position = dropout.position;
        out.threshold = lng_drop_threshold(dropout.probability);
        out.scale = (float)lng_drop_scale(dropout.probability);
    }
    return out;
}
/* The eight numbers that decide about units 8 * (unit / 8) .. + 7 of row n. */
__device__ __forceinline__ struct lng_philox gpu_dropout_block(const struct gpu_dropout &dropout,
                                                               int64_t n, uint32_t unit)
{
    return lng_rng_block(dropout.rng, dropout.sentence[n], dropout.position[n], unit >> 3, 0);
}
__device__ __forceinline__ float gpu_dropout_keep(const struct gpu_dropout &dropout,
                                                  const struct lng_philox &block, uint32_t unit)
{
    return lng_philox_half(block, unit) < dropout.threshold ? 0.0f : dropout.scale;
}
/* What unit `unit` of row n is multiplied by. Ten rounds for one number: where eight neighbours belong to
 * one thread, take the block once. */
__device__ __forceinline__ float gpu_dropout_factor(const struct gpu_dropout &dropout, int64_t n,
                                                    uint32_t unit)
{
    return dropout.scale == 0.0f
               ? 1.0f
               : gpu_dropout_keep(dropout, gpu_dropout_block(dropout, n, unit), unit);
}

static inline int64_t gpu_ceil(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Shared memory above 48 KB has to be asked for. */
template <class Kernel> static inline cudaError_t gpu_allow_shared(Kernel *kernel, size_t bytes)
{
    return bytes <= 48 * 1024
               ? cudaSuccess
               : cudaFuncSetAttribute((const void *)kernel,
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

/* Calls body(float()) or body(gpu_bf16()), whichever the activations are. */
template <class Body> static inline enum lng_status gpu_by_dtype(enum lng_dtype dtype, Body body)
{
    return dtype == LNG_DTYPE_BF16 ? body(gpu_bf16()) : body(float());
}

#endif
