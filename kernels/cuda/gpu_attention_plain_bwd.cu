/* Attention backward for every shape, type and score. Two kernels, so that every gradient has one owner and
 * a fixed order: queries gather from keys, then keys from queries; p is computed again from lse in each. */
#include "kernels/cuda/gpu_attention_plain.cuh"

namespace
{

template <class T> struct backward_args {
    attention_inputs<T> in;
    gpu_matrix<const T> d_o;
    gpu_matrix<T> d_q, d_k, d_v;
    const float *lse, *delta; /* [H, Nq] */
    float *vector_partial;    /* [slots, H A], additive scores only */
};

/* d_q[i] = scale * sum_j ds[i, j] k[j], ds = p (mask d_o[i] . v[j] - delta[i]); for additive scores the
 * gradient of tanh, and each block's share of d_score_vector.
 * grid: x = slots of 16 queries, y = H. 128 threads. Shared: (2 * 16 + 32) pitch + 16 * 32 floats.
 * Sums: f32, keys in order. Flops: 6 Nq Nk A a head and sentence. */
template <class T, int CHUNKS>
__global__ void __launch_bounds__(PLAIN_THREADS, 1) d_query_kernel(backward_args<T> args)
{
    GPU_SHARED(room);
    const attention_inputs<T> &in = args.in;
    const attention_tile at =
        attention_find_tile(in.q_offsets, in.sentences, PLAIN_ROWS, in.q_offsets, in.k_offsets);
    const int width = in.width, pitch = width | 1, h = blockIdx.y;
    const int64_t column = (int64_t)h * width;
    float *q = gpu_shared_take<float>(room, PLAIN_ROWS * pitch);
    float *d_o = gpu_shared_take<float>(room, PLAIN_ROWS * pitch);
    float *tile = gpu_shared_take<float>(room, PLAIN_COLUMNS * pitch);
    float *ds = gpu_shared_take<float>(room, PLAIN_ROWS * PLAIN_COLUMNS);
    const int lane = threadIdx.x % GPU_WARP, row = threadIdx.x / GPU_WARP * PLAIN_EACH;
    const float *vector = in.score_vector != nullptr ? in.score_vector + column : nullptr;
    const int64_t first = (int64_t)at.q_start + at.first;
    float out[PLAIN_EACH][CHUNKS] = {}, d_vector[CHUNKS] = {};
    plain_load(q, pitch, in.q, first, at.count, PLAIN_ROWS, column, width);
    plain_load(d_o, pitch, args.d_o, first, at.count, PLAIN_ROWS, column, width);
    const int seen = at.count <= 0 ? 0 : in.causal ? min(at.keys, at.first + at.count) : at.keys;
    for (int k0 = 0; k0 < seen; k0 += PLAIN_COLUMNS) {
        const int count = min(PLAIN_COLUMNS, at.keys - k0), j = k0 + lane;
        float products[PLAIN_EACH], scores[PLAIN_EACH];
        __syncthreads();
        plain_load(tile, pitch, in.v, at.k_start + k0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        plain_dots(products, d_o + row * pitch, tile, pitch, width, nullptr);
        __syncthreads();
        plain_load(tile, pitch, in.k, at.k_start + k0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        plain_dots(scores, q + row * pitch, tile, pitch, width, vector);
        for (int r = 0; r < PLAIN_EACH; r++) {
            const int i = at.first + row + r;
            float gradient = 0.0f;
            if (row + r < at.count && j < at.keys && (!in.causal || j <= i)) {
                const int64_t n = h * in.q_rows + first + row + r;
                const float p = expf(scores[r] * in.scale - args.lse[n]);
                const float keep = plain_keep(in, at.sentence, i, j, h);
                gradient = p * (keep * products[r] - args.delta[n]) * in.scale;
            }
            ds[(row + r) * PLAIN_COLUMNS + lane] = gradient;
        }
        __syncwarp();
        if (vector == nullptr)
            plain_add_rows(out, ds + row * PLAIN_COLUMNS, tile, pitch, width);
        else
            plain_add_tanh(out, d_vector, ds + row * PLAIN_COLUMNS, q + row * pitch, tile, pitch,
                           width, vector);
    }
    for (int r = 0; r < PLAIN_EACH && row + r < at.count; r++)
        plain_store(args.d_q, first + row + r, column, width, out[r], 1.0f);
    if (vector == nullptr)
        return;
    /* The warps' shares of d_vector, in order. Every block writes its place, also one without rows. */
    __syncthreads();
    for (int c = 0; c < CHUNKS; c++)
        if (lane + GPU_WARP * c < width)
            tile[threadIdx.x / GPU_WARP * width + lane + GPU_WARP * c] = d_vector[c];
    __syncthreads();
    for (int a = threadIdx.x; a < width; a += PLAIN_THREADS) {
        float sum = 0.0f;
        for (int w = 0; w < PLAIN_WARPS; w++)
            sum += tile[w * width + a];
        args.vector_partial[(int64_t)blockIdx.x * gridDim.y * width + column + a] = sum;
    }
}

/* d_k[j] = scale * sum_i ds[i, j] q[i],  d_v[j] = sum_i mask p[i, j] d_o[i].
 * grid: x = slots of 16 keys, y = H. 128 threads. Shared: (2 * 16 + 32) pitch + 2 * 16 * 32 floats.
 * Sums: f32, queries in order. Flops: 8 Nq Nk A a head and sentence. */
template <class T, int CHUNKS>
__global__ void __launch_bounds__(PLAIN_THREADS, 1) d_key_kernel(backward_args<T> args)
{
    GPU_SHARED(room);
    const attention_inputs<T> &in = args.in;
    const attention_tile at =
        attention_find_tile(in.k_offsets, in.sentences, PLAIN_ROWS, in.q_offsets, in.k_offsets);
    if (at.count <= 0)
        return;
    const int width = in.width, pitch = width | 1, h = blockIdx.y;
    const int64_t column = (int64_t)h * width;
    float *k = gpu_shared_take<float>(room, PLAIN_ROWS * pitch);
    float *v = gpu_shared_take<float>(room, PLAIN_ROWS * pitch);
    float *tile = gpu_shared_take<float>(room, PLAIN_COLUMNS * pitch);
    float *p = gpu_shared_take<float>(room, PLAIN_ROWS * PLAIN_COLUMNS);
    float *ds = gpu_shared_take<float>(room, PLAIN_ROWS * PLAIN_COLUMNS);
    const int lane = threadIdx.x % GPU_WARP, row = threadIdx.x / GPU_WARP * PLAIN_EACH;
    const float *vector = in.score_vector != nullptr ? in.score_vector + column : nullptr;
    const int64_t first = (int64_t)at.k_start + at.first;
    float d_k[PLAIN_EACH][CHUNKS] = {}, d_v[PLAIN_EACH][CHUNKS] = {};
    plain_load(k, pitch, in.k, first, at.count, PLAIN_ROWS, column, width);
    plain_load(v, pitch, in.v, first, at.count, PLAIN_ROWS, column, width);
    const int start = in.causal ? at.first / PLAIN_COLUMNS * PLAIN_COLUMNS : 0;
    for (int q0 = start; q0 < at.queries; q0 += PLAIN_COLUMNS) {
        const int count = min(PLAIN_COLUMNS, at.queries - q0), i = q0 + lane;
        float scores[PLAIN_EACH], products[PLAIN_EACH];
        __syncthreads();
        plain_load(tile, pitch, in.q, at.q_start + q0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        plain_dots(scores, k + row * pitch, tile, pitch, width, vector);
        __syncthreads();
        plain_load(tile, pitch, args.d_o, at.q_start + q0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        plain_dots(products, v + row * pitch, tile, pitch, width, nullptr);
        for (int r = 0; r < PLAIN_EACH; r++) {
            const int j = at.first + row + r;
            float weight = 0.0f, gradient = 0.0f;
            if (row + r < at.count && i < at.queries && (!in.causal || j <= i)) {
                const int64_t n = h * in.q_rows + at.q_start + i;
                const float keep = plain_keep(in, at.sentence, i, j, h);
                const float value = expf(scores[r] * in.scale - args.lse[n]);
                weight = value * keep;
                gradient = value * (keep * products[r] - args.delta[n]) * in.scale;
            }
            p[(row + r) * PLAIN_COLUMNS + lane] = weight;
            ds[(row + r) * PLAIN_COLUMNS + lane] = gradient;
        }
        __syncwarp();
        plain_add_rows(d_v, p + row * PLAIN_COLUMNS, tile, pitch, width);
        __syncthreads();
        plain_load(tile, pitch, in.q, at.q_start + q0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        if (vector == nullptr)
            plain_add_rows(d_k, ds + row * PLAIN_COLUMNS, tile, pitch, width);
        else
            plain_add_tanh(d_k, nullptr, ds + row * PLAIN_COLUMNS, k + row * pitch, tile, pitch,
                           width, vector);
    }
    for (int r = 0; r < PLAIN_EACH && row + r < at.count; r++) {
        plain_store(args.d_k, first + row + r, column, width, d_k[r], 1.0f);
        plain_store(args.d_v, first + row + r, column, width, d_v[r], 1.0f);
    }
}

/* d_score_vector[a] += sum over slots of partial[slot, a], in order. One thread a column. */
__global__ void __launch_bounds__(PLAIN_THREADS)
    add_slots_kernel(const float *partial, int64_t slots, int64_t columns, float *d_score_vector)
{
    const int64_t a = (int64_t)blockIdx.x * PLAIN_THREADS + threadIdx.x;
    float sum = 0.0f;
    for (int64_t s = 0; a < columns && s < slots; s++)
        sum += partial[s * columns + a];
    if (a < columns)
        d_score_vector[a] += sum;
}

size_t shared_bytes(int width, int tables)
{
    const size_t pitch = (size_t)plain_pitch(width);
    return 2 * gpu_shared_bytes<float>(PLAIN_ROWS * pitch) +
           gpu_shared_bytes<float>(PLAIN_COLUMNS * pitch) +
           (size_t)tables * gpu_shared_bytes<float>(PLAIN_ROWS * PLAIN_COLUMNS);
}

template <class T, int CHUNKS>
enum lng_status launch(struct lng_device *device, const struct lng_attention_bwd_args *args,
                       const backward_args<T> &kernel_args)
{
    const int width = (int)(args->q.cols / args->heads);
    const unsigned heads = (unsigned)args->heads;
    const int64_t q_slots = gpu_attention_plain_slots(args->q.rows, args->sentences);
    const int64_t k_slots = gpu_attention_plain_slots(args->k.rows, args->sentences);
    auto *query_kernel = &d_query_kernel<T, CHUNKS>;
    auto *key_kernel = &d_key_kernel<T, CHUNKS>;
    CUDA_TRY(device, "attention_bwd", gpu_allow_shared(query_kernel, shared_bytes(width, 1)));
    CUDA_TRY(device, "attention_bwd",
             GPU_LAUNCH(query_kernel, dim3((unsigned)q_slots, heads), PLAIN_THREADS,
                        shared_bytes(width, 1), cuda_stream(device), kernel_args));
    CUDA_TRY(device, "attention_bwd", gpu_allow_shared(key_kernel, shared_bytes(width, 2)));
    CUDA_TRY(device, "attention_bwd",
             GPU_LAUNCH(key_kernel, dim3((unsigned)k_slots, heads), PLAIN_THREADS,
                        shared_bytes(width, 2), cuda_stream(device), kernel_args));
    if (kernel_args.in.score_vector == nullptr)
        return LNG_OK;
    CUDA_TRY(device, "attention_bwd",
             GPU_LAUNCH(add_slots_kernel, (unsigned)gpu_ceil(args->q.cols, PLAIN_THREADS),
                        PLAIN_THREADS, 0, cuda_stream(device), kernel_args.vector_partial, q_slots,
                        args->q.cols, static_cast<float *>(args->d_score_vector.data)));
    return LNG_OK;
}

} // namespace

extern "C" enum lng_status gpu_attention_plain_bwd(struct lng_device *device,
                                                   const struct lng_attention_bwd_args *args,
                                                   float *delta, float *vector_partial)
{
    const int width = (int)(args->q.cols / args->heads);
    return gpu_by_dtype(args->q.dtype, [&](auto zero) {
        using T = decltype(zero);
        backward_args<T> kernel_args = {};
        kernel_args.in = attention_inputs_of<T>(*args);
        kernel_args.d_o = gpu_matrix_of<const T>(args->d_o);
        kernel_args.d_q = gpu_matrix_of<T>(args->d_q);
        kernel_args.d_k = gpu_matrix_of<T>(args->d_k);
        kernel_args.d_v = gpu_matrix_of<T>(args->d_v);
        kernel_args.lse = static_cast<const float *>(args->lse);
        kernel_args.delta = delta;
        kernel_args.vector_partial = vector_partial;
        auto run = [&](auto chunks) -> enum lng_status {
            return launch<T, decltype(chunks)::value>(device, args, kernel_args);
        };
        return PLAIN_BY_WIDTH(width, run);
    });
}
