/* Rows of int8 with one scale each. */
#include "kernels/cuda/gpu_vector.cuh"

enum { QUANTIZE_WARPS = 4 };

/* scales[n] = max|x[n]| / 127 (a row of zeros: 1), q = round to nearest even of x (127 / max|x[n]|) in [-127, 127],
 * 0 for NaN. x [rows, cols], q [rows, cols] int8, apart; any alignment (WIDE: x 16 bytes, q 8).
 * Grid ceil(rows / 4) blocks of 128, a warp a row, nothing shared. The largest is exact in any order and
 * the rest one float operation a value: the bits are ref's.
 * Cost: reads x twice, the second time mostly from the cache, writes q once; a product a value. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(QUANTIZE_WARPS *GPU_WARP)
    quantize_kernel(gpu_matrix<T> x, gpu_matrix<int8_t> q, float *scales, int64_t rows,
                    int64_t cols)
{
    const int64_t n = (int64_t)blockIdx.x * QUANTIZE_WARPS + threadIdx.x / GPU_WARP;
    const int lane = threadIdx.x % GPU_WARP;
    if (n >= rows)
        return;
    float value[GPU_OCTET], highest = 0;
    for (int64_t col = lane * GPU_OCTET; col < cols; col += GPU_WARP * GPU_OCTET) {
        gpu_load_octet<WIDE>(x.row(n) + col, gpu_octet_count(col, cols), value);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            highest = fmaxf(highest, fabsf(value[i]));
    }
    highest = gpu_warp_max(highest);
    float scale = highest / 127.0f, steps = 127.0f / highest;
    if (!(scale > 0))
        scale = 1, steps = 1;
    if (lane == 0)
        scales[n] = scale;
    for (int64_t col = lane * GPU_OCTET; col < cols; col += GPU_WARP * GPU_OCTET) {
        const int count = gpu_octet_count(col, cols);
        gpu_load_octet<WIDE>(x.row(n) + col, count, value);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++) {
            const float rounded = rintf(value[i] * steps);
            value[i] = rounded == rounded ? fminf(fmaxf(rounded, -127.0f), 127.0f) : 0.0f;
        }
        gpu_store_octet<WIDE>(q.row(n) + col, count, value);
    }
}

/* y = q scales[row]. q [rows, cols] int8, y [rows, cols]; any alignment (WIDE: q 8 bytes, y 16).
 * Grid ceil(rows ceil(cols / 8) / 256) blocks of 256, an octet a thread, nothing shared.
 * Cost: reads q and writes y once; a product a value. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    dequantize_kernel(gpu_matrix<int8_t> q, gpu_matrix<T> y, const float *scales, int64_t rows,
                      int64_t cols)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    const float scale = scales[own.row];
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(q.row(own.row) + own.col, own.count, value);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] *= scale;
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

enum lng_status cuda_quantize_rows(struct lng_device *device,
                                   const struct lng_quantize_rows_args *args)
{
    const bool wide = gpu_is_wide(args->x) && gpu_is_wide(args->q);
    return gpu_by_dtype_and_flag(args->x.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "quantize_rows",
                 GPU_LAUNCH((quantize_kernel<T, decltype(flag)::value>),
                            (unsigned)gpu_ceil(args->x.rows, QUANTIZE_WARPS),
                            QUANTIZE_WARPS * GPU_WARP, 0, cuda_stream(device),
                            gpu_matrix_of<T>(args->x), gpu_matrix_of<int8_t>(args->q), args->scales,
                            args->x.rows, args->x.cols));
        return LNG_OK;
    });
}

enum lng_status cuda_dequantize_rows(struct lng_device *device,
                                     const struct lng_dequantize_rows_args *args)
{
    const unsigned blocks = gpu_octet_blocks(args->q.rows, args->q.cols);
    const bool wide = gpu_is_wide(args->q) && gpu_is_wide(args->y);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(args->y.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "dequantize_rows",
                 GPU_LAUNCH((dequantize_kernel<T, decltype(flag)::value>), blocks,
                            GPU_OCTET_THREADS, 0, cuda_stream(device),
                            gpu_matrix_of<int8_t>(args->q), gpu_matrix_of<T>(args->y), args->scales,
                            args->q.rows, args->q.cols));
        return LNG_OK;
    });
}
