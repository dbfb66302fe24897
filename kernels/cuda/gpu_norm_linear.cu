/* A norm and the product of its result in one launch, for the few rows of a decoding step. There each launch costs more
 * than what it computes; norming a row once for every block of columns costs little. */
#include "kernels/cuda/gpu_activate.cuh"
#include "kernels/cuda/gpu_linear.h"
#include "kernels/cuda/gpu_mma.cuh"
#include "kernels/cuda/gpu_norm.cuh"

namespace
{

enum {
    PARTS = 4,    /* of a sum, each a warp's */
    DEPTH = 16,   /* of a product of a tensor core */
    COLUMNS = 16, /* of a warp */
    ROWS = 4,     /* that a warp normalises */
    PAD = 8,      /* between rows in shared memory: eight of them start in different banks */
};

struct linear_job {
    gpu_matrix<const gpu_bf16> weight; /* [out, cols] */
    const float *bias;                 /* [out], may be NULL */
    gpu_matrix<gpu_bf16> y;            /* [rows, out] */
    int64_t out;
    enum lng_activation activation;
    bool pairs; /* y can be stored two at a time */
};

/* Rows first .. first + SIDE - 1 of the weight to shared memory, asynchronously; zeros behind the last. */
template <int SIDE>
__device__ __forceinline__ void load_weight(gpu_bf16 *to, const linear_job &linear, int64_t first,
                                            int cols)
{
    const int pieces = cols / GPU_OCTET;
    for (int i = threadIdx.x; i < SIDE * pieces; i += 8 * SIDE) {
        const int row = i / pieces, piece = i - row * pieces;
        const bool valid = first + row < linear.out;
        gpu_copy_async16(
            to + row * (cols + PAD) + piece * GPU_OCTET,
            valid ? linear.weight.row(first + row) + piece * GPU_OCTET : linear.weight.data, valid);
    }
    gpu_copy_async_commit();
}

/* Normalises the warp's rows, from row `own` of the tile on, to the tile, and, where this block is to (`store`), to
 * global memory. */
template <int OCTETS>
__device__ __forceinline__ void norm_to_tile(gpu_bf16 *tile, const norm_fwd_job<gpu_bf16> &job,
                                             int64_t first, int own, bool store)
{
    const int lane = threadIdx.x % GPU_WARP, cols = (int)job.cols;
    const int64_t n = first + own;
    float s[ROWS][OCTETS][GPU_OCTET], mean[ROWS], rstd[ROWS];
    norm_rows<GPU_WHOLE>(job, n, s, mean, rstd);
#pragma unroll
    for (int o = 0; o < OCTETS; o++) {
        const int col = (o * GPU_WARP + lane) * GPU_OCTET;
        if (col >= cols)
            break;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const bool stored = store && n + r < job.rows;
            if (stored && job.sum.data != nullptr)
                gpu_store_whole(job.sum.row(n + r) + col, s[r][o]);
            normalise<GPU_WHOLE>(job, col, GPU_OCTET, s[r][o], mean[r], rstd[r]);
            gpu_store_whole(tile + (own + r) * (cols + PAD) + col, s[r][o]);
            if (stored)
                gpu_store_whole(job.y.row(n + r) + col, s[r][o]);
        }
    }
}

__device__ __forceinline__ void store_pair(const linear_job &linear, int64_t n, int64_t o,
                                           float first, float second)
{
    const bool both = o + 1 < linear.out;
    if (linear.bias != nullptr) {
        first += linear.bias[o];
        second += both ? linear.bias[o + 1] : 0.0f;
    }
    first = gpu_activate(linear.activation, first);
    second = gpu_activate(linear.activation, second);
    gpu_bf16 *at = linear.y.row(n) + o;
    if (both && linear.pairs) {
        *reinterpret_cast<uint32_t *>(at) = gpu_pack_bf16(first, second);
        return;
    }
    gpu_store(at, first);
    if (both)
        gpu_store(at + 1, second);
}

/* norm.y = norm(residual + x), norm.sum = residual + x, y = activation(norm.y W^T + bias), norm.y in bf16.
 * x, residual, norm.y, norm.sum [rows, cols] 16-byte aligned, cols <= 256 OCTETS and a multiple of 16; y [rows, out].
 * Grid: x = ceil(out / SIDE), y = ceil(rows / SIDE); blocks of 8 SIDE threads with a tile of SIDE x SIDE results. While
 * its rows of the weight are on their way each block normalises its rows, four a warp; those of x = 0 store them.
 * Then a warp multiplies all rows with 16 columns, over a quarter of the depth: every fourth 16 of it.
 * Shared: (2 SIDE (cols + 8)) 2 + 4 SIDE^2 bytes. Sums: f32; within a quarter in order of k as the tensor core
 * has it, then the four in order: what a row gets does not depend on the others, nor on SIDE.
 * Bytes, mostly of the L2 cache: 2 cols (2 rows out / SIDE + out rows / SIDE). Flops: 2 rows out cols. */
template <int SIDE, int OCTETS>
__global__ void __launch_bounds__(8 * SIDE)
    norm_linear_kernel(norm_fwd_job<gpu_bf16> job, linear_job linear)
{
    constexpr int TILES = SIDE / 16, GROUPS = SIDE / COLUMNS, VALUES = TILES * 8;
    GPU_SHARED(room);
    const int cols = (int)job.cols, pitch = cols + PAD;
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    const int part = warp / GROUPS, group = warp % GROUPS;
    const int64_t first_row = (int64_t)blockIdx.y * SIDE, first_out = (int64_t)blockIdx.x * SIDE;
    gpu_bf16 *rows = gpu_shared_take<gpu_bf16>(room, SIDE * pitch);
    gpu_bf16 *weight = gpu_shared_take<gpu_bf16>(room, SIDE * pitch);
    float *sums = gpu_shared_take<float>(room, SIDE * SIDE);
    load_weight<SIDE>(weight, linear, first_out, cols);
    norm_to_tile<OCTETS>(rows, job, first_row, ROWS * warp, blockIdx.x == 0);
    gpu_copy_async_wait<0>();
    __syncthreads();

    float sum[TILES][2][4] = {};
    for (int k = DEPTH * part; k < cols; k += DEPTH * PARTS) {
        uint32_t left[4], right[4];
        mma_right(right, weight, pitch, COLUMNS * group, k);
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            mma_left(left, rows, pitch, 16 * t, k);
            mma_pair(sum[t][0], sum[t][1], left, right);
        }
    }

    float *before = sums + group * VALUES * GPU_WARP + lane; /* of the parts before this one */
    for (int p = 0; p < PARTS; p++) {
        if (part == p)
#pragma unroll
            for (int i = 0; i < VALUES; i++) {
                float &value = sum[i / 8][i / 4 % 2][i % 4];
                if (p > 0)
                    value = before[i * GPU_WARP] + value;
                if (p < PARTS - 1)
                    before[i * GPU_WARP] = value;
            }
        __syncthreads();
    }
    if (part != PARTS - 1)
        return;
#pragma unroll
    for (int i = 0; i < VALUES; i += 2) {
        const int t = i / 8, column = i / 4 % 2, half = i / 2 % 2;
        const int64_t n = first_row + 16 * t + lane / 4 + 8 * half;
        const int64_t o = first_out + COLUMNS * group + 8 * column + 2 * (lane % 4);
        if (n < job.rows && o < linear.out)
            store_pair(linear, n, o, sum[t][column][2 * half], sum[t][column][2 * half + 1]);
    }
}

template <int SIDE> size_t shared_bytes(int64_t cols)
{
    return 2 * gpu_shared_bytes<gpu_bf16>((size_t)(SIDE * (cols + PAD))) +
           gpu_shared_bytes<float>(SIDE * SIDE);
}

/* *done: whether the GPU has the shared memory for it. */
template <int SIDE, int OCTETS>
enum lng_status launch(struct lng_device *device, const struct lng_norm_linear_fwd_args *args,
                       struct lng_view weight, bool *done)
{
    const size_t shared = shared_bytes<SIDE>(args->norm.x.cols);
    const struct lng_view y = args->linear.y;
    int gpu = 0, most = 0;
    CUDA_TRY(device, "norm_linear_fwd", cudaGetDevice(&gpu));
    CUDA_TRY(device, "norm_linear_fwd",
             cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu));
    *done = shared <= (size_t)most;
    if (!*done)
        return LNG_OK;
    auto *kernel = &norm_linear_kernel<SIDE, OCTETS>;
    const linear_job linear = {gpu_matrix_of<const gpu_bf16>(weight),
                               static_cast<const float *>(args->linear.bias.data),
                               gpu_matrix_of<gpu_bf16>(y),
                               y.cols,
                               args->linear.activation,
                               (uintptr_t)y.data % 4 == 0 && y.stride % 2 == 0};
    const dim3 grid((unsigned)gpu_ceil(y.cols, SIDE), (unsigned)gpu_ceil(y.rows, SIDE));
    CUDA_TRY(device, "norm_linear_fwd", gpu_allow_shared(kernel, shared));
    CUDA_TRY(device, "norm_linear_fwd",
             GPU_LAUNCH(kernel, grid, 8 * SIDE, shared, cuda_stream(device),
                        norm_fwd_job_of<gpu_bf16>(&args->norm), linear));
    return LNG_OK;
}

/* How many rows are few. More are worth a launch of their own for the norm; by arithmetic, not yet by a clock. */
enum { FEW = 16, MORE = 64, MOST = 512, NARROW = 512, WIDEST = 1024 };

bool can_fuse(const struct lng_norm_linear_fwd_args *args, struct lng_view weight)
{
    const struct lng_norm_fwd_args *norm = &args->norm;
    const struct lng_linear_fwd_args *linear = &args->linear;
    const int64_t cols = norm->x.cols, most = cols <= NARROW ? MOST : MORE;
    return norm->x.dtype == LNG_DTYPE_BF16 && weight.dtype == LNG_DTYPE_BF16 &&
           norm->x.rows <= most && cols % DEPTH == 0 && cols <= WIDEST &&
           norm->kind != LNG_NORM_NONE && norm->mean == nullptr && norm->rstd == nullptr &&
           !(norm->dropout.probability > 0) && !linear->accumulate && norm_is_whole(norm) &&
           gpu_is_wide(weight);
}

} // namespace

enum lng_status gpu_norm_linear(struct lng_device *device,
                                const struct lng_norm_linear_fwd_args *args, struct lng_view weight,
                                bool *done)
{
    const int64_t rows = args->norm.x.rows, cols = args->norm.x.cols;
    *done = false;
    if (cuda_state_of(device)->apart || !can_fuse(args, weight))
        return LNG_OK;
    if (rows <= FEW)
        return cols <= NARROW ? launch<16, 2>(device, args, weight, done)
                              : launch<16, 4>(device, args, weight, done);
    if (rows <= MORE)
        return cols <= NARROW ? launch<32, 2>(device, args, weight, done)
                              : launch<32, 4>(device, args, weight, done);
    return launch<64, 2>(device, args, weight, done);
}
