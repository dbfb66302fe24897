/* Scores of tokens: chosen logits, log-probabilities of one model or several, single places changed. */
#include "kernels/cuda/gpu_logits.cuh"

enum { SELECT_WARPS = 8, SELECT_EACH = 4 /* tokens of a warp, about */, SCORE_THREADS = 256 };

template <class T> struct select_job {
    gpu_matrix<T> x, y;
    gpu_matrix<const float> table;
    const float *bias;
    const int32_t *tokens, *first, *count;
    int64_t width;
};

/* y[r, j] = x[r] . table[tokens[first[r] + j]] + bias, j < count[r].
 * x [rows, width], table [V, width] f32, any alignment. Grid (rows, ceil(widest / 32), at most 65,535) blocks of
 * 256: a warp takes every (8 times the blocks of the row)th token of a row. Sums of a lane in float over every 32nd column, lanes by a fixed
 * tree: the bits depend on the row and the token alone. Nothing shared, no atomics.
 * Cost: the chosen rows of the table once a row of x (rows of a sentence find them in the cache). */
template <class T>
static __global__ void __launch_bounds__(SELECT_WARPS *GPU_WARP) select_kernel(select_job<T> job)
{
    const int64_t n = blockIdx.x;
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    const int32_t count = job.count[n];
    const int32_t *tokens = job.tokens + job.first[n];
    const T *x = job.x.row(n);
    for (int64_t j = (int64_t)blockIdx.y * SELECT_WARPS + warp; j < count;
         j += (int64_t)gridDim.y * SELECT_WARPS) {
        const int64_t token = tokens[j];
        const float *w = job.table.row(token);
        float sum = 0;
        for (int64_t d = lane; d < job.width; d += GPU_WARP)
            sum = fmaf(gpu_load(x + d), w[d], sum);
        sum = gpu_warp_sum(sum);
        if (lane == 0)
            gpu_store(job.y.row(n) + j, sum + (job.bias != NULL ? job.bias[token] : 0.0f));
    }
}

template <class T> struct log_probs_job {
    gpu_matrix<T> logits;
    gpu_matrix<float> y;
    const int32_t *count;
    int64_t cols;
    double factor, offset;
    enum lng_combine combine;
};

/* ops.h, lng_log_probs. Grid rows blocks of 256, a row each, whatever its width: the order of the sums is a
 * matter of count[r] alone. Shared under 1 KiB. Cost: reads the logits twice, y as often as it is combined
 * with, writes it once. */
template <class T>
static __global__ void __launch_bounds__(SCORE_THREADS) log_probs_kernel(log_probs_job<T> job)
{
    __shared__ struct logits_room<SCORE_THREADS> room;
    const int64_t n = blockIdx.x, count = job.count != NULL ? job.count[n] : job.cols;
    const T *x = job.logits.row(n);
    float *y = job.y.row(n);
    const struct logits_row whole = logits_join(&room, logits_scan<false, SCORE_THREADS>(x, count));
    const double lse = (double)whole.highest + log(whole.exponentials);
    for (int64_t j = threadIdx.x; j < job.cols; j += SCORE_THREADS) {
        if (j >= count) {
            y[j] = -INFINITY;
            continue;
        }
        const float logprob = (float)((double)gpu_load(x + j) - lse);
        const double value = job.factor * logprob + job.offset;
        if (job.combine == LNG_COMBINE_WRITE) {
            y[j] = (float)value;
        } else if (job.combine == LNG_COMBINE_ADD) {
            y[j] = (float)(y[j] + value);
        } else {
            const float v = (float)value, old = y[j];
            const float high = old > v ? old : v, low = old > v ? v : old;
            y[j] = low == -INFINITY ? high : high + log1pf(expf(low - high));
        }
    }
}

/* y[row, column] = y multiply + add, a place a thread; no place comes twice. Grid ceil(edits / 256). */
static __global__ void __launch_bounds__(SCORE_THREADS)
    edit_kernel(gpu_matrix<float> y, const struct lng_score_edit *edits, int64_t count)
{
    const int64_t i = (int64_t)blockIdx.x * SCORE_THREADS + threadIdx.x;
    if (i >= count)
        return;
    const struct lng_score_edit edit = edits[i];
    float *at = y.row(edit.row) + edit.column;
    *at = edit.add == -INFINITY ? -INFINITY
                                : (float)((double)*at * (double)edit.multiply + (double)edit.add);
}

enum lng_status cuda_select_logits(struct lng_device *device,
                                   const struct lng_select_logits_args *args)
{
    const int64_t blocks = gpu_ceil(args->y.cols, SELECT_WARPS * SELECT_EACH);
    if (blocks == 0)
        return LNG_OK;
    const dim3 grid((unsigned)args->x.rows, (unsigned)(blocks < 65535 ? blocks : 65535));
    return gpu_by_dtype(args->x.dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const struct select_job<T> job = {
            gpu_matrix_of<T>(args->x), gpu_matrix_of<T>(args->y),
                gpu_matrix_of<const float>(args->table),
                static_cast<const float *>(args->bias.data), args->tokens, args->first, args->count,
                args->x.cols,
        };
        CUDA_TRY(device, "select_logits",
                 GPU_LAUNCH((select_kernel<T>), grid, SELECT_WARPS * GPU_WARP, 0,
                            cuda_stream(device), job));
        return LNG_OK;
    });
}

enum lng_status cuda_log_probs(struct lng_device *device, const struct lng_log_probs_args *args)
{
    return gpu_by_dtype(args->logits.dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const struct log_probs_job<T> job = {
            gpu_matrix_of<T>(args->logits), gpu_matrix_of<float>(args->y), args->count,
                args->logits.cols, args->factor, args->offset, args->combine,
        };
        CUDA_TRY(device, "log_probs",
                 GPU_LAUNCH((log_probs_kernel<T>), (unsigned)args->logits.rows, SCORE_THREADS, 0,
                            cuda_stream(device), job));
        return LNG_OK;
    });
}

enum lng_status cuda_edit_scores(struct lng_device *device, const struct lng_edit_scores_args *args)
{
    CUDA_TRY(device, "edit_scores",
             GPU_LAUNCH(edit_kernel, (unsigned)gpu_ceil(args->edit_count, SCORE_THREADS),
                        SCORE_THREADS, 0, cuda_stream(device), gpu_matrix_of<float>(args->y),
                        args->edits, args->edit_count));
    return LNG_OK;
}
