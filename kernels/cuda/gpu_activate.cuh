/* Activation functions and their derivatives, as ref computes them (ops.h, enum lng_activation). */
#ifndef LNG_KERNELS_CUDA_GPU_ACTIVATE_CUH
#define LNG_KERNELS_CUDA_GPU_ACTIVATE_CUH

#include "kernels/ops.h"

__device__ __forceinline__ float gpu_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

__device__ __forceinline__ float gpu_activate(enum lng_activation activation, float x)
{
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0.0f ? x : 0.0f;
    case LNG_ACTIVATION_GELU:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case LNG_ACTIVATION_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case LNG_ACTIVATION_GELU_SIGMOID:
        return x * gpu_sigmoid(1.702f * x);
    case LNG_ACTIVATION_SWISH:
        return x * gpu_sigmoid(x);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return x;
}

__device__ __forceinline__ float gpu_activate_slope(enum lng_activation activation, float x)
{
    float t;
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0.0f ? 1.0f : 0.0f;
    case LNG_ACTIVATION_GELU:
        return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
    case LNG_ACTIVATION_GELU_TANH:
        t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));
        return 0.5f * (1.0f + t) +
               0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * x * x);
    case LNG_ACTIVATION_GELU_SIGMOID:
        t = gpu_sigmoid(1.702f * x);
        return t + 1.702f * x * t * (1.0f - t);
    case LNG_ACTIVATION_SWISH:
        t = gpu_sigmoid(x);
        return t + x * t * (1.0f - t);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return 1.0f;
}

#endif
