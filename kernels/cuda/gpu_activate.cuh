/* Activation functions and their derivatives, as ref computes them (ops.h, enum lng_activation), in forms
 * that do not cancel where the result is tiny. */
#ifndef LNG_KERNELS_CUDA_GPU_ACTIVATE_CUH
#define LNG_KERNELS_CUDA_GPU_ACTIVATE_CUH

#include "kernels/ops.h"

__device__ __forceinline__ float gpu_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2. */
__device__ __forceinline__ float gpu_normal_distribution(float x)
{
    return 0.5f * erfcf(-x * 0.70710678f);
}

/* (1 + tanh(u)) / 2 = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
__device__ __forceinline__ float gpu_tanh_gate(float x)
{
    return gpu_sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
}

__device__ __forceinline__ float gpu_activate(enum lng_activation activation, float x)
{
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0.0f ? x : 0.0f;
    case LNG_ACTIVATION_GELU:
        return x * gpu_normal_distribution(x);
    case LNG_ACTIVATION_GELU_TANH:
        return x * gpu_tanh_gate(x);
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
        return gpu_normal_distribution(x) + x * 0.39894228f * expf(-0.5f * x * x);
    case LNG_ACTIVATION_GELU_TANH:
        t = gpu_tanh_gate(x);
        return t + x * t * (1.0f - t) * 1.59576912f * (1.0f + 0.134145f * x * x);
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
