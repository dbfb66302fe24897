/* The attention probabilities themselves, for alignments and pictures. */
#include "kernels/cuda/gpu_attention.cuh"

namespace
{

enum { THREADS = 128, WARPS = THREADS / GPU_WARP, WIDEST = 256 };

template <class T> struct weights_args {
    gpu_matrix<const T> q, k;
    const float *score_vector;
    const int32_t *q_offsets, *k_offsets;
    const int64_t *weights_offsets;
    float *weights;
    int sentences, width, first_head, head_count;
    bool causal;
    float scale;
};

template <class T>
__device__ __forceinline__ float score_of(const weights_args<T> &args, const float *q, int64_t key,
                                          int64_t column)
{
    const T *k = args.k.row(key) + column;
    float sum = 0.0f;
    if (args.score_vector == nullptr)
        for (int a = 0; a < args.width; a++)
            sum += q[a] * gpu_load(k + a);
    else
        for (int a = 0; a < args.width; a++)
            sum += args.score_vector[column + a] * tanhf(q[a] + gpu_load(k + a));
    return sum * args.scale;
}

/* weights[b][i, j] = mean over the chosen heads of p[i, j]; 0 for keys that i does not see.
 * grid: Nq, a block a query. Scores are computed three times (maximum, sum, value) rather than stored.
 * Shared: 1 KB. Sums: f32, fixed order; heads in order. Flops: 6 A keys a query and head. */
template <class T> __global__ void __launch_bounds__(THREADS) weights_kernel(weights_args<T> args)
{
    __shared__ float q[WIDEST], room[WARPS];
    const int n = (int)blockIdx.x;
    int low = 0, high = args.sentences - 1;
    while (low <
           high) { /* the last sentence that begins at or before row n, empty ones passed over */
        const int middle = (low + high + 1) / 2;
        if (args.q_offsets[middle] <= n)
            low = middle;
        else
            high = middle - 1;
    }
    const int i = n - args.q_offsets[low], k_start = args.k_offsets[low];
    const int keys = args.k_offsets[low + 1] - k_start;
    const int seen = args.causal ? min(i + 1, keys) : keys;
    float *weights = args.weights + args.weights_offsets[low] + (int64_t)i * keys;
    for (int j = seen + threadIdx.x; j < keys; j += THREADS)
        weights[j] = 0.0f;
    for (int h = args.first_head; h < args.first_head + args.head_count; h++) {
        const int64_t column = (int64_t)h * args.width;
        for (int a = threadIdx.x; a < args.width; a += THREADS)
            q[a] = gpu_load(args.q.row(n) + column + a);
        __syncthreads();
        float highest = -INFINITY, sum = 0.0f;
        for (int j = threadIdx.x; j < seen; j += THREADS)
            highest = fmaxf(highest, score_of(args, q, k_start + j, column));
        highest = gpu_block_max<THREADS>(highest, room);
        for (int j = threadIdx.x; j < seen; j += THREADS)
            sum += expf(score_of(args, q, k_start + j, column) - highest);
        sum = gpu_block_sum<THREADS>(sum, room);
        for (int j = threadIdx.x; j < seen; j += THREADS) {
            const float p = expf(score_of(args, q, k_start + j, column) - highest) / sum /
                            (float)args.head_count;
            weights[j] = h == args.first_head ? p : weights[j] + p;
        }
        __syncthreads();
    }
}

} // namespace

extern "C" enum lng_status cuda_attention_weights(struct lng_device *device,
                                                  const struct lng_attention_weights_args *args)
{
    return gpu_by_dtype(args->q.dtype, [&](auto zero) {
        using T = decltype(zero);
        weights_args<T> in = {};
        in.q = gpu_matrix_of<const T>(args->q);
        in.k = gpu_matrix_of<const T>(args->k);
        in.score_vector = args->score == LNG_ATTENTION_ADDITIVE
                              ? static_cast<const float *>(args->score_vector.data)
                              : nullptr;
        in.q_offsets = args->q_offsets;
        in.k_offsets = args->k_offsets;
        in.weights_offsets = args->weights_offsets;
        in.weights = args->weights;
        in.sentences = (int)args->sentences;
        in.width = (int)(args->q.cols / args->heads);
        in.first_head = (int)args->first_head;
        in.head_count = (int)args->head_count;
        in.causal = args->causal;
        in.scale = (float)args->scale;
        CUDA_TRY(device, "attention_weights",
                 GPU_LAUNCH(weights_kernel<T>, (unsigned)args->q.rows, THREADS, 0,
                            cuda_stream(device), in));
        return LNG_OK;
    });
}
