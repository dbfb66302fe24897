/* What linear layers need beside products: the end of a forward product, ReLU's and the bias's gradients. */
#include "kernels/cuda/gpu_linear.cuh"

namespace
{

enum {
    THREADS = 256,
    COLUMNS = 32,                  /* of a block of column sums: one a lane */
    ROW_LANES = THREADS / COLUMNS, /* rows it reads at once */
    GROUP = 128,                   /* rows of one partial sum */
    MOST_BLOCKS = 65535,           /* in y and z */
};

/* y[n, o] = activation(sum[n, o] + bias[o]), or y += ...
 * grid: ceil(N out / THREADS) blocks. One element a thread, no order of sums. Bytes: (4 + |T|) N out. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    finish_kernel(const float *sum, linear_ending<T> end, int64_t rows, int64_t out)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < rows * out)
        end.store(i / out, i % out, sum[i]);
}

/* d_y[n, o] *= y[n, o] > 0 where y is there; partial[g, o] = sum of d_y[n, o] over the rows n of group g,
 * where partial is there. Rows r, r + 8, ... of a group are summed by one thread, then the eight sums in order.
 * grid: x = ceil(out / 32), y = min(groups, 65535). Shared: 1 KB. Bytes: (2 or 3) |T| N out. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    bias_bwd_kernel(gpu_matrix<const T> y, gpu_matrix<T> d_y, int64_t rows, int64_t out,
                    int64_t groups, float *partial)
{
    __shared__ float sums[ROW_LANES][COLUMNS];
    const int lane = threadIdx.x % COLUMNS, part = threadIdx.x / COLUMNS;
    const int64_t o = (int64_t)blockIdx.x * COLUMNS + lane;
    for (int64_t group = blockIdx.y; group < groups; group += gridDim.y) {
        const int64_t end = rows < (group + 1) * GROUP ? rows : (group + 1) * GROUP;
        float sum = 0.0f;
        for (int64_t n = group * GROUP + part; o < out && n < end; n += ROW_LANES) {
            float gradient = gpu_load(d_y.row(n) + o);
            if (y.data != nullptr && !(gpu_load(y.row(n) + o) > 0.0f)) {
                gradient = 0.0f;
                gpu_store(d_y.row(n) + o, 0.0f);
            }
            sum += gradient;
        }
        if (partial == nullptr)
            continue;
        sums[part][lane] = sum;
        __syncthreads();
        for (int p = 1; part == 0 && p < ROW_LANES; p++)
            sum += sums[p][lane];
        if (part == 0 && o < out)
            partial[group * out + o] = sum;
        __syncthreads();
    }
}

/* d_bias[o] += sum over g of partial[g, o], in order. grid: ceil(out / THREADS) blocks. */
__global__ void __launch_bounds__(THREADS)
    add_groups_kernel(const float *partial, int64_t groups, int64_t out, float *d_bias)
{
    int64_t o = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    float sum = 0.0f;
    for (int64_t g = 0; o < out && g < groups; g++)
        sum += partial[g * out + o];
    if (o < out)
        d_bias[o] += sum;
}

unsigned blocks(int64_t count, int64_t size)
{
    return (unsigned)gpu_ceil(count, size);
}
unsigned capped(int64_t count)
{
    return (unsigned)(count < MOST_BLOCKS ? count : (int64_t)MOST_BLOCKS);
}

} // namespace

extern "C" {

int64_t gpu_column_groups(int64_t rows)
{
    return gpu_ceil(rows, GROUP);
}

enum lng_status gpu_linear_finish(struct lng_device *device, const struct lng_linear_fwd_args *args,
                                  const float *sum)
{
    const int64_t rows = args->y.rows, out = args->y.cols;
    return gpu_by_dtype(args->y.dtype, [&](auto zero) {
        using T = decltype(zero);
        CUDA_TRY(device, "linear_fwd",
                 GPU_LAUNCH(finish_kernel<T>, blocks(rows * out, THREADS), THREADS, 0,
                            cuda_stream(device), sum, linear_ending_of<T>(args), rows, out));
        return LNG_OK;
    });
}

enum lng_status gpu_linear_bias_bwd(struct lng_device *device, struct lng_view y,
                                    struct lng_view d_y, struct lng_view d_bias, float *partial)
{
    const int64_t rows = d_y.rows, out = d_y.cols, groups = gpu_column_groups(rows);
    LNG_TRY(gpu_by_dtype(d_y.dtype, [&](auto zero) {
        using T = decltype(zero);
        CUDA_TRY(device, "linear_bwd",
                 GPU_LAUNCH(bias_bwd_kernel<T>, dim3(blocks(out, COLUMNS), capped(groups)), THREADS,
                            0, cuda_stream(device), gpu_matrix_of<const T>(y),
                            gpu_matrix_of<T>(d_y), rows, out, groups, partial));
        return LNG_OK;
    }));
    if (d_bias.data == nullptr)
        return LNG_OK;
    CUDA_TRY(device, "linear_bwd",
             GPU_LAUNCH(add_groups_kernel, blocks(out, THREADS), THREADS, 0, cuda_stream(device),
                        partial, groups, out, static_cast<float *>(d_bias.data)));
    return LNG_OK;
}
}
