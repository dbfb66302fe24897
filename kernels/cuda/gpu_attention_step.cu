/* One decoding step of attention: a query row for each live hypothesis, against a cache of keys and values. */
#include "kernels/cuda/gpu_attention.cuh"

namespace
{

enum {
    WARPS =
        4, /* rows of one sentence (cross), or heads of one row (self), that a block works on at once */
    THREADS = WARPS * GPU_WARP,
    KEYS = 32,    /* of a tile: one a lane */
    WIDEST = 256, /* columns of a head */
    CHUNKS = WIDEST / GPU_WARP,
};

template <class T, class C> struct step_args {
    gpu_matrix<const T> q, new_k, new_v;
    gpu_matrix<C> k_cache, v_cache;
    gpu_matrix<T> o;
    const int32_t *key_count, *key_start, *ancestor;
    int64_t ancestor_stride, slots, rows;
    int heads, width;
    float scale;
    const float *score_vector;
    float *weights;
    int64_t weights_stride;
    int first_head, head_count;
};

template <class T, class C>
__device__ __forceinline__ int64_t cache_row(const step_args<T, C> &args, int64_t r, int s)
{
    return args.ancestor == nullptr ? (int64_t)args.key_start[r] + s
                                    : s * args.slots + args.ancestor[r * args.ancestor_stride + s];
}

/* score of this lane's key with q (shared); -inf beyond the last. */
template <class T, class C>
__device__ __forceinline__ float key_score(const step_args<T, C> &args, const float *q, int64_t row,
                                           bool inside, int64_t column)
{
    if (!inside)
        return -INFINITY;
    const C *key = args.k_cache.row(row) + column;
    float sum = 0.0f;
    if (args.score_vector == nullptr)
        for (int a = 0; a < args.width; a++)
            sum += q[a] * gpu_load(key + a);
    else
        for (int a = 0; a < args.width; a++)
            sum += args.score_vector[column + a] * tanhf(q[a] + gpu_load(key + a));
    return sum * args.scale;
}

/* Puts head h of the newest key and value of row r where key_count says, in the type of the cache. No other warp reads
 * them: rows never share that slot. */
template <class T, class C>
__device__ __forceinline__ void append(const step_args<T, C> &args, int64_t r, int64_t column,
                                       int count)
{
    if (args.new_k.data == nullptr || count == 0)
        return;
    const int64_t row = cache_row(args, r, count - 1);
    for (int a = threadIdx.x % GPU_WARP; a < args.width; a += GPU_WARP) {
        gpu_store(args.k_cache.row(row) + column + a, gpu_load(args.new_k.row(r) + column + a));
        gpu_store(args.v_cache.row(row) + column + a, gpu_load(args.new_v.row(r) + column + a));
    }
}

/* o[r, h] = sum_s p[s] v[s]: a warp for each row and head; online softmax over tiles of 32 keys, a key a
 * lane; then the lanes take columns, 32 apart, and walk over the tile's values.
 * Self-attention puts the newest key and value into the caches first.
 * The rows of a sentence are neighbours and so are their warps: keys and values that hypotheses share (all
 * in cross-attention, the common past in self-attention) come from memory once and from the cache after.
 * grid: x = ceil(R / 4), y = H; warp w has row 4 x + w. Shared: 4 * (A + 64) values.
 * Sums: f32, fixed order, a row alone: what a row gets does not depend on the others.
 * Bytes: 2 |C| A keys a row and head, and 2 (|T| + |C|) A for the newest. Flops: 4 A keys. */
template <class T, class C>
__global__ void __launch_bounds__(THREADS) step_kernel(step_args<T, C> args)
{
    __shared__ float shared_q[WARPS][WIDEST], shared_p[WARPS][KEYS];
    __shared__ int64_t shared_rows[WARPS][KEYS];
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP, h = blockIdx.y;
    const int64_t r = (int64_t)blockIdx.x * WARPS + warp, column = (int64_t)h * args.width;
    if (r >= args.rows) /* the whole warp */
        return;
    float *q = shared_q[warp], *p = shared_p[warp];
    int64_t *rows = shared_rows[warp];
    const int count = args.key_count[r];
    float out[CHUNKS] = {}, highest = -INFINITY, sum = 0.0f;
    for (int a = lane; a < args.width; a += GPU_WARP)
        q[a] = gpu_load(args.q.row(r) + column + a);
    append(args, r, column, count);
    for (int s0 = 0; s0 < count; s0 += KEYS) {
        const int s = s0 + lane;
        rows[lane] = s < count ? cache_row(args, r, s) : 0;
        __syncwarp();
        const float score = key_score(args, q, rows[lane], s < count, column);
        const float next = fmaxf(highest, gpu_warp_max(score));
        const float base = next == -INFINITY ? 0.0f : next, factor = expf(highest - base);
        p[lane] = expf(score - base);
        sum = sum * factor + gpu_warp_sum(p[lane]);
        highest = next;
        __syncwarp();
        const int tile = min(KEYS, count - s0);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int a = lane + GPU_WARP * c;
            if (GPU_WARP * c >= args.width)
                break;
            float value = out[c] * factor;
            for (int j = 0; a < args.width && j < tile; j++)
                value += p[j] * gpu_load(args.v_cache.row(rows[j]) + column + a);
            out[c] = value;
        }
        __syncwarp();
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (lane + GPU_WARP * c < args.width)
            gpu_store(args.o.row(r) + column + lane + GPU_WARP * c,
                      sum > 0.0f ? out[c] / sum : 0.0f);
}

/* weights[r, s] = mean over the chosen heads of p[s]: for alignments. A block a row; each head's maximum and
 * sum first, then its probabilities are added, heads in order; every key belongs to one thread.
 * grid: R. Shared: 1 KB and a head of q. */
template <class T, class C>
__global__ void __launch_bounds__(THREADS) step_weights_kernel(step_args<T, C> args)
{
    __shared__ float q[WIDEST], room[WARPS];
    const int64_t r = blockIdx.x;
    const int count = args.key_count[r];
    float *weights = args.weights + r * args.weights_stride;
    for (int h = args.first_head; h < args.first_head + args.head_count; h++) {
        const int64_t column = (int64_t)h * args.width;
        for (int a = threadIdx.x; a < args.width; a += THREADS)
            q[a] = gpu_load(args.q.row(r) + column + a);
        __syncthreads();
        float highest = -INFINITY, sum = 0.0f;
        for (int s = threadIdx.x; s < count; s += THREADS)
            highest = fmaxf(highest, key_score(args, q, cache_row(args, r, s), true, column));
        highest = gpu_block_max<THREADS>(highest, room);
        for (int s = threadIdx.x; s < count; s += THREADS)
            sum += expf(key_score(args, q, cache_row(args, r, s), true, column) - highest);
        sum = gpu_block_sum<THREADS>(sum, room);
        for (int s = threadIdx.x; s < count; s += THREADS) {
            const float p =
                expf(key_score(args, q, cache_row(args, r, s), true, column) - highest) / sum /
                (float)args.head_count;
            weights[s] = h == args.first_head ? p : weights[s] + p;
        }
        __syncthreads();
    }
}

template <class T, class C>
enum lng_status launch(struct lng_device *device, const struct lng_attention_step_args *args)
{
    const int64_t rows = args->q.rows;
    step_args<T, C> in = {};
    in.q = gpu_matrix_of<const T>(args->q);
    in.new_k = gpu_matrix_of<const T>(args->new_k);
    in.new_v = gpu_matrix_of<const T>(args->new_v);
    in.k_cache = gpu_matrix_of<C>(args->k_cache);
    in.v_cache = gpu_matrix_of<C>(args->v_cache);
    in.o = gpu_matrix_of<T>(args->o);
    in.key_count = args->key_count;
    in.key_start = args->key_start;
    in.ancestor = args->ancestor;
    in.ancestor_stride = args->ancestor_stride;
    in.slots = args->slots;
    in.rows = rows;
    in.heads = (int)args->heads;
    in.width = (int)(args->q.cols / args->heads);
    in.scale = (float)args->scale;
    in.score_vector = args->score == LNG_ATTENTION_ADDITIVE
                          ? static_cast<const float *>(args->score_vector.data)
                          : nullptr;
    in.weights = args->weights;
    in.weights_stride = args->weights_stride;
    in.first_head = (int)args->first_head;
    in.head_count = (int)args->head_count;
    auto *step = &step_kernel<T, C>;
    CUDA_TRY(device, "attention_step",
             GPU_LAUNCH(step, dim3((unsigned)gpu_ceil(rows, WARPS), (unsigned)args->heads), THREADS,
                        0, cuda_stream(device), in));
    if (args->weights == nullptr)
        return LNG_OK;
    auto *weights = &step_weights_kernel<T, C>;
    CUDA_TRY(device, "attention_step",
             GPU_LAUNCH(weights, (unsigned)rows, THREADS, 0, cuda_stream(device), in));
    return LNG_OK;
}

} // namespace

extern "C" enum lng_status cuda_attention_step(struct lng_device *device,
                                               const struct lng_attention_step_args *args)
{
    if (args->q.dtype == LNG_DTYPE_BF16)
        return launch<gpu_bf16, gpu_bf16>(device, args);
    return args->k_cache.dtype == LNG_DTYPE_BF16 ? launch<float, gpu_bf16>(device, args)
                                                 : launch<float, float>(device, args);
}
