/* Guided alignment: the cost of attention that does not go where the links say, and its gradients. One layer has
 * it, and most rows few links, so that a warp a row and head is fast enough: no tiles. */
#include "kernels/cuda/gpu_attention.cuh"

namespace
{

enum { THREADS = 128, WARPS = THREADS / GPU_WARP };

template <class T> struct guide_args {
    gpu_matrix<const T> q, k;
    gpu_matrix<T> d_q, d_k;
    const float *score_vector; /* nullptr: dot product */
    const int32_t *q_offsets, *k_offsets, *link_offsets, *link_keys;
    const float *lse;      /* [H, Nq] */
    float *shares;         /* [H, links] a head's part in m at a link, over the row's links */
    float *kept;           /* [H, Nq] sum of a row's shares; unset without links */
    float *vector_partial; /* [Nq, H A], additive scores only */
    double *answers;       /* [Nq, 2] cost; 1 for a row with links */
    int64_t q_rows, k_rows, links;
    int sentences, heads, width;
    float scale, gradient_scale;
};

/* The sentence that row n belongs to; empty ones are passed over. */
__device__ __forceinline__ int sentence_of(const int32_t *offsets, int sentences, int n)
{
    int low = 0, high = sentences - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (offsets[middle] <= n)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* log p of a query and a key in head h; the warp's lanes take columns in turn, and all get the result. */
template <class T>
__device__ __forceinline__ float log_probability(const guide_args<T> &args, int64_t n, int64_t key,
                                                 int h)
{
    const int64_t column = (int64_t)h * args.width;
    const T *q = args.q.row(n) + column, *k = args.k.row(key) + column;
    float sum = 0.0f;
    for (int a = threadIdx.x % GPU_WARP; a < args.width; a += GPU_WARP)
        sum += args.score_vector != nullptr
                   ? args.score_vector[column + a] * tanhf(gpu_load(q + a) + gpu_load(k + a))
                   : gpu_load(q + a) * gpu_load(k + a);
    return gpu_warp_sum(sum) * args.scale - args.lse[h * args.q_rows + n];
}

/* Costs, shares and their sums. grid: ceil(Nq / 4), a warp a row. Sums: f32 over columns and heads, the cost in
 * double over links, in order. Flops: 2 D a link. */
template <class T> __global__ void __launch_bounds__(THREADS) guide_links_kernel(guide_args<T> args)
{
    const int64_t n = (int64_t)blockIdx.x * WARPS + threadIdx.x / GPU_WARP;
    if (n >= args.q_rows) /* the whole warp */
        return;
    const int lane = threadIdx.x % GPU_WARP;
    const int begin = args.link_offsets[n], end = args.link_offsets[n + 1];
    const float count = (float)(end - begin);
    double cost = 0;
    if (begin < end) {
        const int sentence = sentence_of(args.q_offsets, args.sentences, (int)n);
        for (int l = begin; l < end; l++) {
            const int64_t key = (int64_t)args.k_offsets[sentence] + args.link_keys[l];
            float highest = -INFINITY, sum = 0.0f;
            for (int h = 0; h < args.heads; h++) {
                const float lp = log_probability(args, n, key, h);
                const float above = fmaxf(highest, lp);
                sum = sum * expf(highest - above) + expf(lp - above);
                highest = above;
                if (lane == 0)
                    args.shares[h * args.links + l] = lp;
            }
            __syncwarp();
            for (int h = lane; h < args.heads; h += GPU_WARP) {
                float *share = args.shares + h * args.links + l;
                *share = expf(*share - highest) / (sum * count);
            }
            cost -= ((double)highest + log((double)sum / args.heads)) / (double)(end - begin);
        }
        __syncwarp();
        for (int h = lane; h < args.heads; h += GPU_WARP) {
            float sum = 0.0f;
            for (int l = begin; l < end; l++)
                sum += args.shares[h * args.links + l];
            args.kept[h * args.q_rows + n] = sum;
        }
    }
    if (lane == 0) {
        args.answers[2 * n] = cost;
        args.answers[2 * n + 1] = begin < end;
    }
}

/* out[c] += d_s * d(score) / d(one side), and, where d_vector is wanted, d_vector[c] += d_s * tanh. `own` is the
 * side whose gradient it is; both point at the head's columns. */
template <class T, int CHUNKS>
__device__ __forceinline__ void add_gradient(float (&out)[CHUNKS], float *d_vector, float d_s,
                                             const T *own, const T *other, const float *vector,
                                             int width)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int a = threadIdx.x % GPU_WARP + GPU_WARP * c;
        if (a >= width)
            continue;
        if (vector == nullptr) {
            out[c] += d_s * gpu_load(other + a);
        } else {
            const float t = tanhf(gpu_load(own + a) + gpu_load(other + a));
            out[c] += d_s * vector[a] * (1.0f - t * t);
            if (d_vector != nullptr)
                d_vector[c] += d_s * t;
        }
    }
}

template <class T, int CHUNKS>
__device__ __forceinline__ void add_columns(T *to, const float (&values)[CHUNKS], int width)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const int a = threadIdx.x % GPU_WARP + GPU_WARP * c;
        if (a < width)
            gpu_store(to + a, gpu_load(to + a) + values[c]);
    }
}

/* d_q[n] += sum over keys of d(cost) / d(score), which is scale * (p * kept - share). grid: ceil(Nq H / 4), a warp a
 * row and head. Sums: f32, keys in order. Flops: 4 A Nk. */
template <class T, int CHUNKS>
__global__ void __launch_bounds__(THREADS, 1) guide_query_kernel(guide_args<T> args)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / GPU_WARP;
    if (i >= args.q_rows * args.heads) /* the whole warp */
        return;
    const int64_t n = i / args.heads;
    const int h = (int)(i % args.heads), end = args.link_offsets[n + 1];
    const int64_t column = (int64_t)h * args.width;
    const float *vector = args.score_vector != nullptr ? args.score_vector + column : nullptr;
    int next = args.link_offsets[n];
    float out[CHUNKS] = {}, d_vector[CHUNKS] = {};
    if (next < end) {
        const int sentence = sentence_of(args.q_offsets, args.sentences, (int)n);
        const int k_start = args.k_offsets[sentence];
        const int keys = args.k_offsets[sentence + 1] - k_start;
        const float kept = args.kept[h * args.q_rows + n];
        for (int j = 0; j < keys; j++) {
            float d_s = kept * expf(log_probability(args, n, k_start + j, h));
            if (next < end && args.link_keys[next] == j)
                d_s -= args.shares[h * args.links + next++];
            add_gradient(out, vector != nullptr ? d_vector : nullptr,
                         d_s * args.gradient_scale * args.scale, args.q.row(n) + column,
                         args.k.row(k_start + j) + column, vector, args.width);
        }
        add_columns(args.d_q.row(n) + column, out, args.width);
    }
    for (int c = 0; vector != nullptr && c < CHUNKS; c++) {
        const int a = threadIdx.x % GPU_WARP + GPU_WARP * c;
        if (a < args.width)
            args.vector_partial[n * args.heads * args.width + column + a] = d_vector[c];
    }
}

/* d_k[m] likewise. grid: ceil(Nk H / 4), a warp a key and head. Sums: f32, queries in order. Flops: 4 A Nq. */
template <class T, int CHUNKS>
__global__ void __launch_bounds__(THREADS, 1) guide_key_kernel(guide_args<T> args)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / GPU_WARP;
    if (i >= args.k_rows * args.heads) /* the whole warp */
        return;
    const int64_t m = i / args.heads;
    const int h = (int)(i % args.heads);
    const int64_t column = (int64_t)h * args.width;
    const float *vector = args.score_vector != nullptr ? args.score_vector + column : nullptr;
    const int sentence = sentence_of(args.k_offsets, args.sentences, (int)m);
    const int j = (int)m - args.k_offsets[sentence];
    float out[CHUNKS] = {};
    for (int n = args.q_offsets[sentence]; n < args.q_offsets[sentence + 1]; n++) {
        const int end = args.link_offsets[n + 1];
        int low = args.link_offsets[n], high = end;
        if (low == high)
            continue;
        float d_s = args.kept[h * args.q_rows + n] * expf(log_probability(args, n, m, h));
        while (low < high) { /* the first link to j or behind it */
            const int middle = (low + high) / 2;
            if (args.link_keys[middle] < j)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < end && args.link_keys[low] == j)
            d_s -= args.shares[h * args.links + low];
        add_gradient(out, nullptr, d_s * args.gradient_scale * args.scale, args.k.row(m) + column,
                     args.q.row(n) + column, vector, args.width);
    }
    add_columns(args.d_k.row(m) + column, out, args.width);
}

/* d_score_vector[a] += sum over rows of partial[n, a], in order, in double: much of it cancels. One thread a column. */
__global__ void __launch_bounds__(THREADS)
    guide_vector_kernel(const float *partial, int64_t rows, int64_t columns, float *d_score_vector)
{
    const int64_t a = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    double sum = 0;
    for (int64_t n = 0; a < columns && n < rows; n++)
        sum += (double)partial[n * columns + a];
    if (a < columns)
        d_score_vector[a] = (float)(d_score_vector[a] + sum);
}

/* sums[i] += sum over the rows of answers[row, i]. One block, fixed order. */
__global__ void __launch_bounds__(THREADS)
    guide_sum_kernel(const double *answers, int64_t rows, double *sums)
{
    __shared__ double room[WARPS];
    double sum[2] = {0, 0};
    for (int64_t n = threadIdx.x; n < rows; n += THREADS)
        for (int i = 0; i < 2; i++)
            sum[i] += answers[2 * n + i];
    for (int i = 0; i < 2; i++) {
        const double all = gpu_block_sum<THREADS>(sum[i], room);
        if (threadIdx.x == 0)
            sums[i] += all;
    }
}

template <class T, int CHUNKS>
enum lng_status launch(struct lng_device *device, const struct lng_attention_guide_args *args,
                       const guide_args<T> &in)
{
    const cudaStream_t stream = cuda_stream(device);
    CUDA_TRY(device, "attention_guide",
             GPU_LAUNCH(guide_links_kernel<T>, (unsigned)gpu_ceil(in.q_rows, WARPS), THREADS, 0,
                        stream, in));
    auto *query_kernel = &guide_query_kernel<T, CHUNKS>;
    auto *key_kernel = &guide_key_kernel<T, CHUNKS>;
    CUDA_TRY(device, "attention_guide",
             GPU_LAUNCH(query_kernel, (unsigned)gpu_ceil(in.q_rows * in.heads, WARPS), THREADS, 0,
                        stream, in));
    if (in.k_rows > 0)
        CUDA_TRY(device, "attention_guide",
                 GPU_LAUNCH(key_kernel, (unsigned)gpu_ceil(in.k_rows * in.heads, WARPS), THREADS, 0,
                            stream, in));
    if (in.score_vector != nullptr)
        CUDA_TRY(device, "attention_guide",
                 GPU_LAUNCH(guide_vector_kernel, (unsigned)gpu_ceil(args->q.cols, THREADS), THREADS,
                            0, stream, in.vector_partial, in.q_rows, args->q.cols,
                            static_cast<float *>(args->d_score_vector.data)));
    if (args->sums != nullptr)
        CUDA_TRY(
            device, "attention_guide",
            GPU_LAUNCH(guide_sum_kernel, 1, THREADS, 0, stream, in.answers, in.q_rows, args->sums));
    return LNG_OK;
}

/* Scratch memory: answers, then shares, sums, and what additive scores need. */
template <class T>
enum lng_status guide_args_make(struct lng_device *device,
                                const struct lng_attention_guide_args *args, guide_args<T> *in)
{
    const size_t rows = (size_t)args->q.rows, heads = (size_t)args->heads;
    const size_t links = (size_t)args->link_count;
    const bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    const size_t floats = heads * (links + rows) + (additive ? rows * (size_t)args->q.cols : 0);
    void *scratch = nullptr;
    LNG_TRY(cuda_scratch(device, 2 * rows * sizeof(double) + floats * sizeof(float), &scratch));
    in->answers = static_cast<double *>(scratch);
    in->shares = reinterpret_cast<float *>(in->answers + 2 * rows);
    in->kept = in->shares + heads * links;
    in->vector_partial = in->kept + heads * rows;
    in->q = gpu_matrix_of<const T>(args->q);
    in->k = gpu_matrix_of<const T>(args->k);
    in->d_q = gpu_matrix_of<T>(args->d_q);
    in->d_k = gpu_matrix_of<T>(args->d_k);
    in->score_vector = additive ? static_cast<const float *>(args->score_vector.data) : nullptr;
    in->q_offsets = args->q_offsets;
    in->k_offsets = args->k_offsets;
    in->link_offsets = args->link_offsets;
    in->link_keys = args->link_keys;
    in->lse = static_cast<const float *>(args->lse);
    in->q_rows = args->q.rows;
    in->k_rows = args->k.rows;
    in->links = args->link_count;
    in->sentences = (int)args->sentences;
    in->heads = (int)args->heads;
    in->width = (int)(args->q.cols / args->heads);
    in->scale = (float)args->scale;
    in->gradient_scale = (float)args->gradient_scale;
    return LNG_OK;
}

} // namespace

extern "C" enum lng_status cuda_attention_guide(struct lng_device *device,
                                                const struct lng_attention_guide_args *args)
{
    return gpu_by_dtype(args->q.dtype, [&](auto zero) {
        using T = decltype(zero);
        guide_args<T> in = {};
        LNG_TRY(guide_args_make(device, args, &in));
        const int width = in.width;
        return width <= 32    ? launch<T, 1>(device, args, in)
               : width <= 64  ? launch<T, 2>(device, args, in)
               : width <= 128 ? launch<T, 4>(device, args, in)
                              : launch<T, 8>(device, args, in);
    });
}
