/* Element-wise moves: scale, fill, copy, add, gather. One octet a thread, nothing shared, so every value is
 * read once and written once: the bytes of the views are the cost, floating-point work is nothing. All of
 * them: grid ceil(rows ceil(cols / 8) / 256) blocks of 256, no shared memory, any alignment (WIDE: 16
 * bytes), a view may be read and written in place; every result is one float operation, so deterministic. */
#include "kernels/cuda/cuda_weight.h"
#include "kernels/cuda/gpu_vector.cuh"

/* y *= factor. y [rows, cols]. Reads and writes y once. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    scale_kernel(gpu_matrix<T> y, int64_t rows, int64_t cols, float factor)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] *= factor;
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

/* y = value. y [rows, cols]. Writes y once. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    fill_kernel(gpu_matrix<T> y, int64_t rows, int64_t cols, float number)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET];
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = number;
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

/* y = x, rounded to nearest even where y is bf16. x, y [rows, cols]. Reads x and writes y once. */
template <class From, class To, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    copy_kernel(gpu_matrix<From> x, gpu_matrix<To> y, int64_t rows, int64_t cols)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(x.row(own.row) + own.col, own.count, value);
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

struct narrow_job {
    const float *from[GPU_NARROWINGS];
    gpu_bf16 *to[GPU_NARROWINGS];
    int64_t size[GPU_NARROWINGS];
    int32_t end[GPU_NARROWINGS]; /* the block behind those of the copy */
    int count;
};

/* to[c] = from[c] in bf16, for all copies: each has blocks of its own, found by halving. Reads and writes once. */
template <bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS) narrow_kernel(struct narrow_job job)
{
    int low = 0, high = job.count - 1;
    while (low < high) {
        const int middle = (low + high) / 2;
        if ((int32_t)blockIdx.x < job.end[middle])
            high = middle;
        else
            low = middle + 1;
    }
    const int32_t block = (int32_t)blockIdx.x - (low > 0 ? job.end[low - 1] : 0);
    const int64_t first = ((int64_t)block * GPU_OCTET_THREADS + threadIdx.x) * GPU_OCTET;
    const int count = gpu_octet_count(first, job.size[low]);
    if (count == 0)
        return;
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(job.from[low] + first, count, value);
    gpu_store_octet<WIDE>(job.to[low] + first, count, value);
}

/* y += x. x, y [rows, cols]. Reads both and writes y once. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    add_kernel(gpu_matrix<T> x, gpu_matrix<T> y, int64_t rows, int64_t cols)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    float value[GPU_OCTET], term[GPU_OCTET];
    const struct gpu_words<T> here = gpu_load_words<WIDE>(y.row(own.row) + own.col, own.count);
    const struct gpu_words<T> there = gpu_load_words<WIDE>(x.row(own.row) + own.col, own.count);
    gpu_unpack(here, value);
    gpu_unpack(there, term);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] += term[i];
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

/* y[i] = x[picks[i]], zeros where that is -1. y [rows, cols], apart from x. Reads as much as it writes. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    gather_kernel(gpu_matrix<T> x, gpu_matrix<T> y, const int32_t *picks, int64_t rows,
                  int64_t cols)
{
    const struct gpu_octet own = gpu_own_octet(rows, cols);
    if (own.count == 0)
        return;
    const int32_t pick = picks[own.row];
    float value[GPU_OCTET];
    gpu_load_octet<WIDE>(x.row(pick < 0 ? 0 : pick) + own.col, pick < 0 ? 0 : own.count, value);
    gpu_store_octet<WIDE>(y.row(own.row) + own.col, own.count, value);
}

/* Without gaps between its rows a matrix is one long row: odd widths are then no matter. */
static bool is_dense(const struct lng_view &view)
{
    return view.stride == view.cols || view.rows == 1;
}
static struct lng_view as_row(const struct lng_view &view)
{
    return lng_view_make(view.data, view.dtype, 1, view.rows * view.cols);
}

enum lng_status cuda_scale(struct lng_device *device, const struct lng_scale_args *args)
{
    const struct lng_view y = is_dense(args->y) ? as_row(args->y) : args->y;
    const unsigned blocks = gpu_octet_blocks(y.rows, y.cols);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(y.dtype, gpu_is_wide(y), [&](auto zero, auto wide) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "scale",
                 GPU_LAUNCH((scale_kernel<T, decltype(wide)::value>), blocks, GPU_OCTET_THREADS, 0,
                            cuda_stream(device), gpu_matrix_of<T>(y), y.rows, y.cols,
                            (float)args->factor));
        return LNG_OK;
    });
}

enum lng_status cuda_fill(struct lng_device *device, const struct lng_fill_args *args)
{
    const struct lng_view y = is_dense(args->y) ? as_row(args->y) : args->y;
    const unsigned blocks = gpu_octet_blocks(y.rows, y.cols);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(y.dtype, gpu_is_wide(y), [&](auto zero, auto wide) {
        typedef decltype(zero) T;
        CUDA_TRY(device, "fill",
                 GPU_LAUNCH((fill_kernel<T, decltype(wide)::value>), blocks, GPU_OCTET_THREADS, 0,
                            cuda_stream(device), gpu_matrix_of<T>(y), y.rows, y.cols,
                            (float)args->value));
        return LNG_OK;
    });
}

enum lng_status cuda_copy(struct lng_device *device, const struct lng_copy_args *args)
{
    const bool dense = is_dense(args->x) && is_dense(args->y);
    const struct lng_view x = dense ? as_row(args->x) : args->x;
    const struct lng_view y = dense ? as_row(args->y) : args->y;
    const unsigned blocks = gpu_octet_blocks(y.rows, y.cols);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype(x.dtype, [&](auto from) {
        typedef decltype(from) From;
        return gpu_by_dtype_and_flag(
            y.dtype, gpu_is_wide(x) && gpu_is_wide(y), [&](auto to, auto wide) {
                typedef decltype(to) To;
                CUDA_TRY(device, "copy",
                         GPU_LAUNCH((copy_kernel<From, To, decltype(wide)::value>), blocks,
                                    GPU_OCTET_THREADS, 0, cuda_stream(device),
                                    gpu_matrix_of<From>(x), gpu_matrix_of<To>(y), y.rows, y.cols));
                return LNG_OK;
            });
    });
}

enum lng_status cuda_add(struct lng_device *device, const struct lng_add_args *args)
{
    const bool dense = is_dense(args->x) && is_dense(args->y);
    const struct lng_view x = dense ? as_row(args->x) : args->x;
    const struct lng_view y = dense ? as_row(args->y) : args->y;
    const unsigned blocks = gpu_octet_blocks(y.rows, y.cols);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(
        y.dtype, gpu_is_wide(x) && gpu_is_wide(y), [&](auto zero, auto wide) {
            typedef decltype(zero) T;
            CUDA_TRY(device, "add",
                     GPU_LAUNCH((add_kernel<T, decltype(wide)::value>), blocks, GPU_OCTET_THREADS,
                                0, cuda_stream(device), gpu_matrix_of<T>(x), gpu_matrix_of<T>(y),
                                y.rows, y.cols));
            return LNG_OK;
        });
}

enum lng_status cuda_gather_rows(struct lng_device *device, const struct lng_gather_rows_args *args)
{
    const struct lng_view x = args->x, y = args->y;
    const unsigned blocks = gpu_octet_blocks(y.rows, y.cols);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(
        y.dtype, gpu_is_wide(x) && gpu_is_wide(y), [&](auto zero, auto wide) {
            typedef decltype(zero) T;
            CUDA_TRY(device, "gather_rows",
                     GPU_LAUNCH((gather_kernel<T, decltype(wide)::value>), blocks,
                                GPU_OCTET_THREADS, 0, cuda_stream(device), gpu_matrix_of<T>(x),
                                gpu_matrix_of<T>(y), args->rows, y.rows, y.cols));
            return LNG_OK;
        });
}

enum lng_status gpu_narrow(struct lng_device *device, const struct gpu_narrowing *copies, int count)
{
    struct narrow_job job = {};
    uintptr_t bits = 0;
    int32_t blocks = 0;
    for (int c = 0; c < count; c++) {
        blocks += (int32_t)gpu_octet_blocks(1, copies[c].count);
        job.from[c] = copies[c].from;
        job.to[c] = static_cast<gpu_bf16 *>(copies[c].to);
        job.size[c] = copies[c].count;
        job.end[c] = blocks;
        bits |= (uintptr_t)copies[c].from | (uintptr_t)copies[c].to;
    }
    job.count = count;
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_flag(bits % 16 == 0, [&](auto wide) {
        CUDA_TRY(device, "weight_refresh",
                 GPU_LAUNCH(narrow_kernel<decltype(wide)::value>, (unsigned)blocks,
                            GPU_OCTET_THREADS, 0, cuda_stream(device), job));
        return LNG_OK;
    });
}
