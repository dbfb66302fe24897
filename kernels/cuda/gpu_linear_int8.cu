/* Products of int8 on tensor cores, sums in int32: exact in any order, so that what a result is depends on neither the
 * tile it lies in nor how its depth is divided. */
#include "kernels/cuda/gpu_linear.cuh"
#include "kernels/cuda/gpu_mma.cuh"

namespace
{

enum {
    PIECE = 16,      /* int8 values of a copy */
    PRODUCT = 32,    /* depth of a product of a tensor core */
    STAGES = 3,      /* steps of the depth in shared memory: one multiplied, two on their way */
    BUSY = 128,      /* blocks that occupy a GPU: A100 has 108 multiprocessors, H100 132 */
    SUM_PADDING = 8, /* words between rows of sums; see int8_kernel */
};

/* A block's tile: ROWS_ x OUTS_ results, by steps of DEPTH_ values of the depth; and among how many warps its rows, its
 * outputs and (PARTS_) each step's depth are divided. */
template <int ROWS_, int OUTS_, int DEPTH_, int ROW_WARPS, int OUT_WARPS, int PARTS_>
struct int8_tile {
    static constexpr int ROWS = ROWS_, OUTS = OUTS_, DEPTH = DEPTH_, PARTS = PARTS_;
    static constexpr int THREADS = GPU_WARP * ROW_WARPS * OUT_WARPS * PARTS;
    static constexpr int WARP_ROWS = ROWS / ROW_WARPS, WARP_OUTS = OUTS / OUT_WARPS;
    static constexpr int PITCH = DEPTH + PIECE, STAGE = (ROWS + OUTS) * PITCH;
    static constexpr int SUM_PITCH = OUTS + SUM_PADDING, SUMS = 4 * PARTS * ROWS * SUM_PITCH;
    static constexpr int SHARED = STAGES * STAGE > SUMS ? STAGES *STAGE : SUMS;
    static_assert(WARP_ROWS % 16 == 0 && WARP_OUTS % 16 == 0, "whole fragments");
    static_assert(DEPTH % (PRODUCT * PARTS) == 0, "parts of whole products");
    static_assert(PITCH / PIECE % 2 == 1, "eight rows in different banks");
};

struct int8_job {
    gpu_matrix<const int8_t> x, weight; /* [rows, depth], [out, depth] */
    const float *x_scales, *weight_scales;
    int64_t rows, out, depth;
};

/* Columns d .. + DEPTH - 1 of COUNT rows from `first` on to shared memory, asynchronously; zeros behind the last row and
 * the last column. */
template <class Tile, int COUNT>
__device__ __forceinline__ void load_rows(int8_t *to, const gpu_matrix<const int8_t> &from,
                                          int64_t first, int64_t rows, int64_t d, int64_t depth)
{
    constexpr int PIECES = Tile::DEPTH / PIECE;
    static_assert(COUNT * PIECES % Tile::THREADS == 0, "as many for each thread");
#pragma unroll
    for (int turn = 0; turn < COUNT * PIECES / Tile::THREADS; turn++) {
        const int i = turn * Tile::THREADS + threadIdx.x;
        const int row = i / PIECES, column = i % PIECES * PIECE;
        const bool valid = first + row < rows && d + column < depth;
        gpu_copy_async16(to + row * Tile::PITCH + column,
                         valid ? from.row(first + row) + d + column : from.data, valid);
    }
}
/* One step's rows of x and, behind them, of the weight. Past the depth: an empty group of copies. */
template <class Tile>
__device__ __forceinline__ void load_stage(int8_t *to, const int8_job &job, int64_t first_row,
                                           int64_t first_out, int64_t d)
{
    if (d < job.depth) {
        load_rows<Tile, Tile::ROWS>(to, job.x, first_row, job.rows, d, job.depth);
        load_rows<Tile, Tile::OUTS>(to + Tile::ROWS * Tile::PITCH, job.weight, first_out, job.out,
                                    d, job.depth);
    }
    gpu_copy_async_commit();
}

/* Where the calling warp's results begin in the tile, and which part of the depth it multiplies. */
struct int8_share {
    int row, out, part;
};
template <class Tile> __device__ __forceinline__ int8_share own_share()
{
    constexpr int OUT_WARPS = Tile::OUTS / Tile::WARP_OUTS,
                  ROW_WARPS = Tile::ROWS / Tile::WARP_ROWS;
    const int warp = threadIdx.x / GPU_WARP;
    return int8_share{warp / OUT_WARPS % ROW_WARPS * Tile::WARP_ROWS,
                      warp % OUT_WARPS * Tile::WARP_OUTS, warp / (OUT_WARPS * ROW_WARPS)};
}

template <class Tile> using int8_sums = int32_t[Tile::WARP_ROWS / 16][Tile::WARP_OUTS / 8][4];

/* Adds the warp's part of a step. */
template <class Tile>
__device__ __forceinline__ void multiply(int8_sums<Tile> &sums, const int8_t *stage,
                                         const int8_share &own)
{
    const int8_t *weight = stage + Tile::ROWS * Tile::PITCH;
#pragma unroll
    for (int i = 0; i < Tile::DEPTH / (PRODUCT * Tile::PARTS); i++) {
        const int k = PRODUCT * (i * Tile::PARTS + own.part);
        uint32_t left[4], right[Tile::WARP_OUTS / 16][4];
#pragma unroll
        for (int o = 0; o < Tile::WARP_OUTS / 16; o++)
            mma_right(right[o], weight, Tile::PITCH, own.out + 16 * o, k);
#pragma unroll
        for (int r = 0; r < Tile::WARP_ROWS / 16; r++) {
            mma_left(left, stage, Tile::PITCH, own.row + 16 * r, k);
#pragma unroll
            for (int o = 0; o < Tile::WARP_OUTS / 16; o++)
                mma_pair(sums[r][2 * o], sums[r][2 * o + 1], left, right[o]);
        }
    }
}

/* The warp's sums, to shared memory [PARTS][ROWS][SUM_PITCH]. */
template <class Tile>
__device__ __forceinline__ void keep(int32_t *to, const int8_sums<Tile> &sums,
                                     const int8_share &own)
{
    const int lane = threadIdx.x % GPU_WARP;
    to += ((own.part * Tile::ROWS) + own.row + lane / 4) * Tile::SUM_PITCH + own.out + lane % 4 * 2;
#pragma unroll
    for (int r = 0; r < Tile::WARP_ROWS / 16; r++)
#pragma unroll
        for (int o = 0; o < Tile::WARP_OUTS / 8; o++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<int2 *>(to + (16 * r + 8 * half) * Tile::SUM_PITCH + 8 * o) =
                    make_int2(sums[r][o][2 * half], sums[r][o][2 * half + 1]);
}

/* y[n, o] = ending(sum over d of x[n, d] weight[o, d] * x_scale[n] * weight_scale[o]), sums in int32.
 * x and weight: 16-byte aligned rows, depth a multiple of 16 and below 133,000, where sums of 127 * 127 would wrap; y any
 * alignment. Grid: ceil(rows / ROWS) ceil(out / OUTS) blocks of THREADS; those with the same rows of the weight follow
 * each other, so that memory gives these once. A step's products run while two more steps are copied; one barrier a
 * step. At the end the parts of the depth are added, and results stored by rows.
 * Shared: max(STAGES (ROWS + OUTS) (DEPTH + 16), 4 PARTS ROWS (OUTS + 8)) bytes, sums in the place of operands.
 * Banks: the eight rows of an ldmatrix, 16 bytes each, lie DEPTH + 16 bytes apart. That is an odd number of 16 bytes, so
 * they fall on all eight places of 16 bytes there are in 32 banks. Pairs of sums are stored by 16 lanes at once: four
 * rows of eight words, OUTS + 8 words apart, which is 8 or 24 modulo 32, so they fall on all 32 banks.
 * 2 rows out depth operations. Read from the L2 cache: depth (rows ceil(out / OUTS) + out ceil(rows / ROWS)) bytes. */
template <class T, class Tile>
__global__ void __launch_bounds__(Tile::THREADS)
    int8_kernel(int8_job job, linear_ending<T> end, unsigned row_tiles)
{
    GPU_SHARED(room);
    int8_t *stages = gpu_shared_take<int8_t>(room, Tile::SHARED);
    const int64_t first_row = (int64_t)(blockIdx.x % row_tiles) * Tile::ROWS;
    const int64_t first_out = (int64_t)(blockIdx.x / row_tiles) * Tile::OUTS;
    const int8_share own = own_share<Tile>();
    int8_sums<Tile> sums = {};
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++)
        load_stage<Tile>(stages + s * Tile::STAGE, job, first_row, first_out, s * Tile::DEPTH);
    int now = 0;
    for (int64_t d = 0; d < job.depth; d += Tile::DEPTH) {
        const int next = now == 0 ? STAGES - 1 : now - 1;
        gpu_copy_async_wait<STAGES - 2>();
        __syncthreads(); /* all see the step's copies, and are done with the step before it */
        load_stage<Tile>(stages + next * Tile::STAGE, job, first_row, first_out,
                         d + (STAGES - 1) * Tile::DEPTH);
        multiply<Tile>(sums, stages + now * Tile::STAGE, own);
        now = now == STAGES - 1 ? 0 : now + 1;
    }
    gpu_copy_async_wait<0>(); /* of empty groups */
    __syncthreads();
    int32_t *kept = reinterpret_cast<int32_t *>(stages);
    keep<Tile>(kept, sums, own);
    __syncthreads();
    static_assert(Tile::ROWS * Tile::OUTS % Tile::THREADS == 0, "as many for each thread");
#pragma unroll 2
    for (int turn = 0; turn < Tile::ROWS * Tile::OUTS / Tile::THREADS; turn++) {
        const int i = turn * Tile::THREADS + threadIdx.x;
        const int row = i / Tile::OUTS, column = i % Tile::OUTS;
        const int64_t n = first_row + row, o = first_out + column;
        if (n >= job.rows || o >= job.out)
            continue;
        int32_t sum = 0;
#pragma unroll
        for (int p = 0; p < Tile::PARTS; p++)
            sum += kept[(p * Tile::ROWS + row) * Tile::SUM_PITCH + column];
        /* Products of their own: merged with the bias's addition or not, tiles could differ. */
        end.store(n, o, __fmul_rn(__fmul_rn((float)sum, job.x_scales[n]), job.weight_scales[o]));
    }
}

template <class T, class Tile>
enum lng_status launch(struct lng_device *device, const struct lng_linear_fwd_args *args,
                       const int8_job &job)
{
    const size_t shared = gpu_shared_bytes<int8_t>(Tile::SHARED);
    const int64_t row_tiles = gpu_ceil(job.rows, Tile::ROWS);
    auto *kernel = &int8_kernel<T, Tile>;
    CUDA_TRY(device, "linear_fwd", gpu_allow_shared(kernel, shared));
    CUDA_TRY(device, "linear_fwd",
             GPU_LAUNCH(kernel, (unsigned)(row_tiles * gpu_ceil(job.out, Tile::OUTS)),
                        Tile::THREADS, shared, cuda_stream(device), job, linear_ending_of<T>(args),
                        (unsigned)row_tiles));
    return LNG_OK;
}

struct int8_choice {
    int64_t rows, outs;
    enum lng_status (*launch_f32)(struct lng_device *, const struct lng_linear_fwd_args *,
                                  const int8_job &);
    enum lng_status (*launch_bf16)(struct lng_device *, const struct lng_linear_fwd_args *,
                                   const int8_job &);
};
template <int... SIZES> int8_choice choice()
{
    typedef int8_tile<SIZES...> Tile;
    return int8_choice{Tile::ROWS, Tile::OUTS, launch<float, Tile>, launch<gpu_bf16, Tile>};
}

/* The tiles, from the one that reads its operands least often to the one that gives the most blocks: 128 x 128 for the
 * thousands of rows of an encoder, 16 x 64 for the wide output matrix of few rows. Where rows are few, warps divide the
 * depth, since there are no more rows to divide; the last takes 256 values at a step, so that a depth of 512 is on its
 * way at once. By arithmetic, not by a clock. */
const int8_choice choices[] = {
    choice<128, 128, 64, 2, 4, 1>(), choice<64, 64, 64, 2, 2, 1>(),  choice<32, 32, 128, 1, 1, 4>(),
    choice<16, 64, 128, 1, 1, 4>(),  choice<16, 16, 256, 1, 1, 4>(),
};
constexpr int LAST = GPU_INT8_TILES - 1;
static_assert(sizeof choices == GPU_INT8_TILES * sizeof choices[0], "all of them");

/* The first tile that at least half of is filled with rows, and that gives enough blocks; else the last. */
const int8_choice &choose(int64_t rows, int64_t out)
{
    for (const int8_choice &tile : choices) {
        const bool filled = tile.rows == choices[LAST].rows || rows > tile.rows / 2;
        if (filled && gpu_ceil(rows, tile.rows) * gpu_ceil(out, tile.outs) >= BUSY)
            return tile;
    }
    return choices[LAST];
}

} // namespace

enum lng_status gpu_linear_int8(struct lng_device *device, const struct lng_linear_fwd_args *args,
                                struct lng_view x, const float *x_scales, struct lng_view weight,
                                const float *weight_scales)
{
    const int chosen = cuda_state_of(device)->int8_tile;
    const int8_choice &tile = chosen >= 0 ? choices[chosen] : choose(x.rows, weight.rows);
    const int8_job job = {gpu_matrix_of<const int8_t>(x),
                          gpu_matrix_of<const int8_t>(weight),
                          x_scales,
                          weight_scales,
                          x.rows,
                          weight.rows,
                          x.cols};
    return args->y.dtype == LNG_DTYPE_BF16 ? tile.launch_bf16(device, args, job)
                                           : tile.launch_f32(device, args, job);
}
