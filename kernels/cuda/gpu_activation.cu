/* Activation functions with dropout, and their gradients. */
#include "kernels/cuda/gpu_vector.cuh"

static constexpr float SQRT_HALF = 0.707106781186547524f;
static constexpr float SQRT_8_OVER_PI = 1.59576912160573071f;
static constexpr float INVERSE_SQRT_2_PI = 0.398942280401432678f;
static constexpr float TANH_CUBIC = 0.044715f;
static constexpr float SIGMOID_SLOPE = 1.702f;

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Phi(x), exact also where it is tiny. */
static __device__ __forceinline__ float normal_distribution(float x)
{
    return 0.5f * erfcf(-x * SQRT_HALF);
}

/* (1 + tanh(u)) / 2 is sigmoid(2u), without cancellation. */
static __device__ __forceinline__ float tanh_gate(float x)
{
    return sigmoid(SQRT_8_OVER_PI * (x + TANH_CUBIC * x * x * x));
}

static __device__ __forceinline__ float activate(enum lng_activation activation, float x)
{
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0 ? x : 0.0f;
    case LNG_ACTIVATION_GELU:
        return x * normal_distribution(x);
    case LNG_ACTIVATION_GELU_TANH:
        return x * tanh_gate(x);
    case LNG_ACTIVATION_GELU_SIGMOID:
        return x * sigmoid(SIGMOID_SLOPE * x);
    case LNG_ACTIVATION_SWISH:
        return x * sigmoid(x);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return x;
}

static __device__ __forceinline__ float slope(enum lng_activation activation, float x)
{
    float t;
    switch (activation) {
    case LNG_ACTIVATION_RELU:
        return x > 0 ? 1.0f : 0.0f;
    case LNG_ACTIVATION_GELU:
        return normal_distribution(x) + x * INVERSE_SQRT_2_PI * expf(-0.5f * x * x);
    case LNG_ACTIVATION_GELU_TANH:
        t = tanh_gate(x);
        return t + x * t * (1 - t) * SQRT_8_OVER_PI * (1 + 3 * TANH_CUBIC * x * x);
    case LNG_ACTIVATION_GELU_SIGMOID:
        t = sigmoid(SIGMOID_SLOPE * x);
        return t + SIGMOID_SLOPE * x * t * (1 - t);
    case LNG_ACTIVATION_SWISH:
        t = sigmoid(x);
        return t + x * t * (1 - t);
    case LNG_ACTIVATION_NONE:
        break;
    }
    return 1.0f;
}

/* y = dropout(activation(x)). x, y [rows, cols], any alignment (WIDE: 16 bytes); y may be x.
 * Grid ceil(rows ceil(cols / 8) / 256) blocks of 256, an octet a thread, nothing shared, no order of sums.
 * Cost: reads x and writes y once; up to about 40 operations a value, and a Philox block every eight. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    activation_fwd_kernel(gpu_matrix<T> x, gpu_matrix<T> y, int64_t rows, int64_t cols,
                          enum lng_activation activation, struct gpu_dropout dropout)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(x.row(own.row) + own.col, own.count, value);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = activate(activation, value[i]);
    gpu_dropout_octet(dropout, own.row, own.col, value);
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

/* d_x = mask * d_y * activation'(x). x, d_y, d_x [rows, cols], any alignment (WIDE: 16 bytes); d_x may be
 * d_y or x. Grid, sharing and order as above.
 * Cost: reads x and d_y, writes d_x once; up to about 60 operations a value. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    activation_bwd_kernel(gpu_matrix<T> x, gpu_matrix<T> d_y, gpu_matrix<T> d_x, int64_t rows,
                          int64_t cols, enum lng_activation activation, struct gpu_dropout dropout)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET], gradient[GPU_OCTET];
    gpu_load_octet<WIDE>(x.row(own.row) + own.col, own.count, value);
    gpu_load_octet<WIDE>(d_y.row(own.row) + own.col, own.count, gradient);
    gpu_dropout_octet(dropout, own.row, own.col, gradient);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        gradient[i] *= slope(activation, value[i]);
    gpu_store_octet<WIDE>(d_x.row(own.row) + own.col, own.count, gradient);
}

enum lng_status cuda_activation_fwd(struct lng_device *device,
                                    const struct lng_activation_fwd_args *args)
{
    const unsigned blocks = gpu_octet_blocks(args->x.rows, args->x.cols);
    const bool wide = gpu_is_wide(args->x) && gpu_is_wide(args->y);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(args->x.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "activation_fwd",
                 GPU_LAUNCH((activation_fwd_kernel<T, decltype(flag)::value>), blocks,
                            GPU_OCTET_THREADS, 0, cuda_stream(device), gpu_matrix_of<T>(args->x),
                            gpu_matrix_of<T>(args->y), args->x.rows, args->x.cols, args->activation,
                            gpu_dropout_of(args->dropout)));
        return LNG_OK;
    });
}

enum lng_status cuda_activation_bwd(struct lng_device *device,
                                    const struct lng_activation_bwd_args *args)
{
    const unsigned blocks = gpu_octet_blocks(args->x.rows, args->x.cols);
    const bool wide = gpu_is_wide(args->x) && gpu_is_wide(args->d_y) && gpu_is_wide(args->d_x);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(args->x.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "activation_bwd",
                 GPU_LAUNCH((activation_bwd_kernel<T, decltype(flag)::value>), blocks,
                            GPU_OCTET_THREADS, 0, cuda_stream(device), gpu_matrix_of<T>(args->x),
                            gpu_matrix_of<T>(args->d_y), gpu_matrix_of<T>(args->d_x), args->x.rows,
                            args->x.cols, args->activation, gpu_dropout_of(args->dropout)));
        return LNG_OK;
    });
}
