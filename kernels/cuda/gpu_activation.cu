/* Activation functions with dropout, and their gradients. */
#include "kernels/cuda/gpu_activate.cuh"
#include "kernels/cuda/gpu_vector.cuh"

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
        value[i] = gpu_activate(activation, value[i]);
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
    const struct gpu_words<T> in = gpu_load_words<WIDE>(x.row(own.row) + own.col, own.count);
    const struct gpu_words<T> out = gpu_load_words<WIDE>(d_y.row(own.row) + own.col, own.count);
    gpu_unpack(in, value);
    gpu_unpack(out, gradient);
    gpu_dropout_octet(dropout, own.row, own.col, gradient);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        gradient[i] *= gpu_activate_slope(activation, value[i]);
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
