/* A stable sort of rows by a small whole number: what a deterministic scatter is made of. Radix sort from
 * the lowest digit, eight bits a pass and two launches a pass; everything counted is counted in integers,
 * so the result is the same on every run and every device. */
#ifndef LNG_KERNELS_CUDA_GPU_SORT_CUH
#define LNG_KERNELS_CUDA_GPU_SORT_CUH

#include "kernels/cuda/gpu_common.cuh"

enum {
    SORT_DIGITS = 256,
    SORT_THREADS = 256, /* one a digit */
    SORT_WARPS = SORT_THREADS / GPU_WARP,
    SORT_SHARE = 256, /* neighbouring entries of one warp */
    SORT_TILE = SORT_WARPS * SORT_SHARE,
};

/* Key in the upper half, row in the lower. */
typedef uint64_t sort_entry;
__device__ __forceinline__ uint32_t sort_key(sort_entry entry)
{
    return (uint32_t)(entry >> 32);
}
__device__ __forceinline__ int64_t sort_row(sort_entry entry)
{
    return (int64_t)(uint32_t)entry;
}

/* Where a pass finds its entries: in the last one's result, or (from NULL, the first pass) in the ids
 * themselves. An id outside [0, keys), such as -1, has the key `keys`: it comes last. */
struct sort_source {
    const sort_entry *from;
    const int32_t *ids;
    int64_t count;
    uint32_t keys;
    int shift; /* of the digit in the entry */
    __device__ __forceinline__ sort_entry at(int64_t i) const
    {
        if (from != NULL)
            return from[i];
        const uint32_t id = (uint32_t)ids[i];
        return (sort_entry)(id < keys ? id : keys) << 32 | (uint32_t)i;
    }
    __device__ __forceinline__ uint32_t digit(sort_entry entry) const
    {
        return (uint32_t)(entry >> shift) % SORT_DIGITS;
    }
};

/* counts[tile][digit] = entries of the tile with that digit.
 * Grid ceil(count / 2048) blocks of 256, 1 KiB shared. Cost: reads each entry once. */
static __global__ void __launch_bounds__(SORT_THREADS)
    sort_count_kernel(struct sort_source source, int *counts)
{
    __shared__ int count[SORT_DIGITS];
    count[threadIdx.x] = 0;
    __syncthreads();
    const int64_t first = (int64_t)blockIdx.x * SORT_TILE;
    for (int i = threadIdx.x; i < SORT_TILE && first + i < source.count; i += SORT_THREADS)
        atomicAdd(&count[source.digit(source.at(first + i))], 1);
    __syncthreads();
    counts[(int64_t)blockIdx.x * SORT_DIGITS + threadIdx.x] = count[threadIdx.x];
}

/* Where this tile's first entry of the calling thread's digit goes: behind all smaller digits, and behind
 * the same digit of earlier tiles. */
static __device__ __forceinline__ int64_t sort_digit_start(const int *counts, int64_t tiles,
                                                           int64_t *warp_total)
{
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    int64_t earlier = 0, total = 0;
#pragma unroll 8
    for (int64_t tile = 0; tile < tiles; tile++) {
        const int count = counts[tile * SORT_DIGITS + threadIdx.x];
        earlier += tile < blockIdx.x ? count : 0;
        total += count;
    }
    int64_t upto = total;
    for (int offset = 1; offset < GPU_WARP; offset *= 2) {
        const int64_t below = __shfl_up_sync(GPU_ALL_LANES, upto, offset);
        upto += lane >= offset ? below : 0;
    }
    if (lane == GPU_WARP - 1)
        warp_total[warp] = upto;
    __syncthreads();
    for (int w = 0; w < warp; w++)
        upto += warp_total[w];
    return upto - total + earlier;
}

/* Entries to their places by one digit, those of equal digits in the order they had.
 * Grid ceil(count / 2048) blocks of 256, 16.1 KiB shared: a warp moves 256 neighbours, 32 at a time, from
 * its own starts of the digits. `to` is apart from the source. Cost: reads and writes each entry once, and
 * reads all counts in every block. */
static __global__ void __launch_bounds__(SORT_THREADS)
    sort_scatter_kernel(struct sort_source source, const int *counts, sort_entry *to)
{
    __shared__ int64_t start[SORT_WARPS][SORT_DIGITS], warp_total[SORT_WARPS];
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    const int64_t first = (int64_t)blockIdx.x * SORT_TILE + warp * SORT_SHARE;
    for (int w = 0; w < SORT_WARPS; w++)
        start[w][threadIdx.x] = 0;
    int64_t running = sort_digit_start(counts, gridDim.x, warp_total); /* with a barrier inside */
    for (int turn = 0; turn < 2; turn++) {
        /* First how many of each digit the warp has, then where they go. */
        for (int i = 0; i < SORT_SHARE && first + i < source.count; i += GPU_WARP) {
            const bool present = first + i + lane < source.count;
            const sort_entry entry = present ? source.at(first + i + lane) : 0;
            const uint32_t digit = present ? source.digit(entry) : (uint32_t)SORT_DIGITS;
            const unsigned alike = __match_any_sync(GPU_ALL_LANES, digit);
            const int rank = __popc(alike & ((1u << lane) - 1));
            if (turn == 1 && present)
                to[start[warp][digit] + rank] = entry;
            __syncwarp();
            if (rank == 0 && present)
                start[warp][digit] += __popc(alike);
            __syncwarp();
        }
        __syncthreads();
        if (turn == 1)
            break;
        for (int w = 0; w < SORT_WARPS; w++) {
            const int64_t count = start[w][threadIdx.x];
            start[w][threadIdx.x] = running;
            running += count;
        }
        __syncthreads();
    }
}

static inline size_t sort_align(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}
/* Scratch memory of a sort of `count` rows. */
static inline size_t sort_bytes(int64_t count)
{
    return 2 * sort_align((size_t)count * sizeof(sort_entry)) +
           sort_align((size_t)gpu_ceil(count, SORT_TILE) * SORT_DIGITS * sizeof(int));
}
/* Sorts the rows 0 .. count - 1 (count > 0) by ids[row], equal ones in rising order; *sorted lies in the
 * scratch memory. */
static inline enum lng_status sort_rows(struct lng_device *device, const char *what,
                                        const int32_t *ids, int64_t count, int64_t keys,
                                        void *scratch, const sort_entry **sorted)
{
    const unsigned tiles = (unsigned)gpu_ceil(count, SORT_TILE);
    sort_entry *room[2];
    room[0] = static_cast<sort_entry *>(scratch);
    room[1] = room[0] + sort_align((size_t)count * sizeof(sort_entry)) / sizeof(sort_entry);
    int *counts = reinterpret_cast<int *>(room[1] + sort_align((size_t)count * sizeof(sort_entry)) /
                                                        sizeof(sort_entry));
    struct sort_source source = {NULL, ids, count, (uint32_t)keys, 32};
    int turn = 0;
    do {
        CUDA_TRY(device, what,
                 GPU_LAUNCH(sort_count_kernel, tiles, SORT_THREADS, 0, cuda_stream(device), source,
                            counts));
        CUDA_TRY(device, what,
                 GPU_LAUNCH(sort_scatter_kernel, tiles, SORT_THREADS, 0, cuda_stream(device),
                            source, counts, room[turn]));
        source.from = room[turn];
        source.shift += 8;
        turn = 1 - turn;
    } while (source.shift < 64 && (uint64_t)keys >> (source.shift - 32) != 0);
    *sorted = source.from;
    return LNG_OK;
}

#endif
