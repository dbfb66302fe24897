/* Residual sum with layer, RMS or no normalisation. A warp a row where its values fit into registers
 * (up to 1,024 columns), a block a row beyond. gpu_norm_bwd.cu has the gradient. */
#include "kernels/cuda/gpu_norm.cuh"

template <class T>
static __device__ __forceinline__ void store_statistics(const struct norm_fwd_job<T> &job,
                                                        int64_t n, float mean, float rstd)
{
    if (job.mean != NULL)
        job.mean[n] = mean;
    if (job.rstd != NULL)
        job.rstd[n] = rstd;
}

enum { NORM_WARPS = 4, NORM_BLOCK = 256 };

/* s = residual + dropout(x), sum = s, y = (s - mean) rstd gamma + beta, with the mean (RMS: 0) and
 * rstd = 1 / sqrt(mean of (s - mean)^2 + epsilon) of the row.
 * x, residual, y, sum [rows, cols], cols <= 256 OCTETS; gamma, beta [cols]; mean, rstd [rows]. Any alignment
 * (WHOLE: 16 bytes and cols divisible by 8). x, residual, y, sum may be one another, row on row.
 * Grid ceil(rows / 4) blocks of 128, a warp a row, nothing shared. The row stays in registers.
 * Cost: reads x and residual once, writes sum and y once; about 10 operations a value. */
template <class T, int WIDE, int OCTETS>
static __global__ void __launch_bounds__(NORM_WARPS *GPU_WARP)
    norm_fwd_warp_kernel(struct norm_fwd_job<T> job)
{
    const int64_t n = (int64_t)blockIdx.x * NORM_WARPS + threadIdx.x / GPU_WARP;
    const int lane = threadIdx.x % GPU_WARP;
    if (n >= job.rows)
        return;
    float s[1][OCTETS][GPU_OCTET], mean[1], rstd[1];
    norm_rows<WIDE>(job, n, s, mean, rstd);
#pragma unroll
    for (int o = 0; o < OCTETS; o++) {
        const int col = (o * GPU_WARP + lane) * GPU_OCTET;
        store_normalised<WIDE>(job, n, col, gpu_octet_count(col, job.cols), s[0][o], mean[0],
                               rstd[0]);
    }
    if (lane == 0)
        store_statistics(job, n, mean[0], rstd[0]);
}

/* The same for any width. Grid rows blocks of 256, 32 bytes shared. A thread reads its octets of the row
 * three times, from the cache but for the first, and writes them last.
 * Cost: as above, and two more reads of the row from the cache. */
template <class T, int WIDE>
static __global__ void __launch_bounds__(NORM_BLOCK)
    norm_fwd_block_kernel(struct norm_fwd_job<T> job)
{
    __shared__ float room[NORM_BLOCK / GPU_WARP];
    const int64_t n = blockIdx.x, first = threadIdx.x * GPU_OCTET, step = NORM_BLOCK * GPU_OCTET;
    float s[GPU_OCTET], mean = 0, square = 0;
    if (job.layer) {
        float total = 0;
        for (int64_t col = first; col < job.cols; col += step) {
            residual_sum<WIDE>(job, n, col, gpu_octet_count(col, job.cols), s);
            total += octet_sum(s);
        }
        mean = gpu_block_sum<NORM_BLOCK>(total, room) / (float)job.cols;
    }
    for (int64_t col = first; col < job.cols; col += step) {
        residual_sum<WIDE>(job, n, col, gpu_octet_count(col, job.cols), s);
        square += octet_squares(s, gpu_octet_count(col, job.cols), mean);
    }
    square = gpu_block_sum<NORM_BLOCK>(square, room);
    const float rstd = 1.0f / sqrtf(square / (float)job.cols + job.epsilon);
    for (int64_t col = first; col < job.cols; col += step) {
        const int count = gpu_octet_count(col, job.cols);
        residual_sum<WIDE>(job, n, col, count, s);
        store_normalised<WIDE>(job, n, col, count, s, mean, rstd);
    }
    if (threadIdx.x == 0)
        store_statistics(job, n, mean, rstd);
}

/* sum = y = residual + dropout(x); sum or y may be absent. Views and alignment as above.
 * Grid ceil(rows ceil(cols / 8) / 256) blocks of 256, an octet a thread, nothing shared.
 * Cost: reads x and residual once, writes sum and y once. */
template <class T, int WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    residual_kernel(struct norm_fwd_job<T> job)
{
    const struct gpu_octet own = gpu_own_octet(job.rows, job.cols);
    if (own.count == 0)
        return;
    float s[GPU_OCTET];
    residual_sum<WIDE>(job, own.row, own.col, own.count, s);
    if (job.sum.data != NULL)
        gpu_store_octet<WIDE>(job.sum.row(own.row) + own.col, own.count, s);
    if (job.y.data != NULL)
        gpu_store_octet<WIDE>(job.y.row(own.row) + own.col, own.count, s);
}

template <class T, int WIDE>
static enum lng_status launch(struct lng_device *device, const struct norm_fwd_job<T> &job,
                              bool plain)
{
    const cudaStream_t stream = cuda_stream(device);
    const unsigned blocks = (unsigned)gpu_ceil(job.rows, NORM_WARPS);
    if (plain)
        CUDA_TRY(device, "norm_fwd",
                 GPU_LAUNCH((residual_kernel<T, WIDE>), gpu_octet_blocks(job.rows, job.cols),
                            GPU_OCTET_THREADS, 0, stream, job));
    else if (job.cols <= 2 * GPU_WARP * GPU_OCTET)
        CUDA_TRY(device, "norm_fwd",
                 GPU_LAUNCH((norm_fwd_warp_kernel<T, WIDE, 2>), blocks, NORM_WARPS * GPU_WARP, 0,
                            stream, job));
    else if (job.cols <= 4 * GPU_WARP * GPU_OCTET)
        CUDA_TRY(device, "norm_fwd",
                 GPU_LAUNCH((norm_fwd_warp_kernel<T, WIDE, 4>), blocks, NORM_WARPS * GPU_WARP, 0,
                            stream, job));
    else
        CUDA_TRY(device, "norm_fwd",
                 GPU_LAUNCH((norm_fwd_block_kernel<T, WIDE>), (unsigned)job.rows, NORM_BLOCK, 0,
                            stream, job));
    return LNG_OK;
}

enum lng_status cuda_norm_fwd(struct lng_device *device, const struct lng_norm_fwd_args *args)
{
    const bool plain = args->kind == LNG_NORM_NONE;
    const bool whole = norm_is_whole(args);
    if (args->x.cols == 0 && plain)
        return LNG_OK;
    return gpu_by_dtype_and_flag(args->x.dtype, whole, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        const struct norm_fwd_job<T> job = norm_fwd_job_of<T>(args);
        return launch < T, decltype(flag)::value ? GPU_WHOLE : GPU_SCALAR > (device, job, plain);
    });
}
