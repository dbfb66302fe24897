/* One pass of a block over a row of logits: largest, where it is, and the sum of exponentials. Shared by the
 * loss and by search. */
#ifndef LNG_KERNELS_CUDA_GPU_LOGITS_CUH
#define LNG_KERNELS_CUDA_GPU_LOGITS_CUH

#include "kernels/cuda/gpu_vector.cuh"

/* Threads of the block by the width of the rows, never by their number: the order of the sums is then a
 * matter of the row alone. */
enum { LOGITS_FEW = 128, LOGITS_MANY = 512, LOGITS_MANY_COLUMNS = 4097 };
static inline bool gpu_logits_many(int64_t cols)
{
    return cols >= LOGITS_MANY_COLUMNS;
}

/* What one thread has seen: octets threadIdx.x, + THREADS, ... of the row. */
struct logits_share {
    float highest; /* -inf: nothing above */
    int32_t best;  /* the first column of that value */
    float
        exponentials; /* sum of exp(x - highest), of exp(x) while highest is -inf; NaN where a logit is */
    float total; /* sum of x */
};
/* The same of the row; NaN sums where a logit is NaN or +inf, or all are -inf, so that no probability is a
 * number, as on every device. */
struct logits_row {
    float highest;
    int32_t best;
    double exponentials, total;
};

template <bool WIDE, int THREADS, class T>
static __device__ __forceinline__ struct logits_share logits_scan(const T *row, int64_t cols)
{
    struct logits_share share = {-INFINITY, 0, 0, 0};
    const int step = THREADS * GPU_OCTET;
    int64_t col = threadIdx.x * GPU_OCTET;
    struct gpu_words<T> next = gpu_load_words<WIDE>(row + col, gpu_octet_count(col, cols));
    for (; col < cols; col += step) {
        const int count = gpu_octet_count(col, cols);
        float x[GPU_OCTET], highest = share.highest, sum[GPU_OCTET];
        gpu_unpack(next, x);
        next = gpu_load_words<WIDE>(row + col + step, gpu_octet_count(col + step, cols));
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            highest = i < count ? fmaxf(highest, x[i]) : highest;
        if (highest > share.highest) {
#pragma unroll
            for (int i = GPU_OCTET - 1; i >= 0; i--)
                share.best = i < count && x[i] == highest ? (int32_t)col + i : share.best;
            if (share.highest > -INFINITY)
                share.exponentials *= expf(share.highest - highest);
            share.highest = highest;
        }
        const float shift = highest > -INFINITY ? highest : 0.0f;
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++) {
            sum[i] = i < count ? expf(x[i] - shift) : 0.0f;
            x[i] = i < count ? x[i] : 0.0f;
        }
        share.exponentials +=
            ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
        share.total += ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
    }
    return share;
}

/* What a block of THREADS needs to put its shares together. */
template <int THREADS> struct logits_room {
    float highest[THREADS / GPU_WARP], exponentials[THREADS / GPU_WARP], total[THREADS / GPU_WARP];
    int32_t best[THREADS / GPU_WARP];
    struct logits_row row;
};

/* The whole block calls it; every thread gets the result. Sums of a warp in float, of warps in double, in
 * fixed order. The room is free again after the next barrier. */
template <int THREADS>
static __device__ __forceinline__ struct logits_row logits_join(struct logits_room<THREADS> *room,
                                                                const struct logits_share &share)
{
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    const float highest = gpu_warp_max(share.highest);
    int32_t best = share.highest == highest && highest > -INFINITY ? share.best : INT32_MAX;
    for (int offset = GPU_WARP / 2; offset > 0; offset /= 2) {
        const int32_t other = __shfl_xor_sync(GPU_ALL_LANES, best, offset);
        best = other < best ? other : best;
    }
    const float factor = share.highest > -INFINITY ? expf(share.highest - highest) : 1.0f;
    const float exponentials = gpu_warp_sum(share.exponentials * factor);
    const float total = gpu_warp_sum(share.total);
    if (lane == 0) {
        room->highest[warp] = highest;
        room->exponentials[warp] = exponentials;
        room->total[warp] = total;
        room->best[warp] = best;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        struct logits_row row = {-INFINITY, INT32_MAX, 0, 0};
        for (int w = 0; w < THREADS / GPU_WARP; w++)
            row.highest = fmaxf(row.highest, room->highest[w]);
        for (int w = 0; w < THREADS / GPU_WARP; w++) {
            const bool above = room->highest[w] > -INFINITY;
            const float scale = above ? expf(room->highest[w] - row.highest) : 1.0f;
            row.exponentials += (double)(room->exponentials[w] * scale);
            row.total += (double)room->total[w];
            if (room->highest[w] == row.highest && room->best[w] < row.best)
                row.best = room->best[w];
        }
        if (!(row.highest > -INFINITY)) {
            row.exponentials = NAN;
            row.best = 0;
        }
        room->row = row;
    }
    __syncthreads();
    return room->row;
}

#endif
