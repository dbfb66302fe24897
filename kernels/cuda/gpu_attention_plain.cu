/* Attention forward for every shape, type and score: see gpu_attention_plain.cuh for who has which element. */
#include "kernels/cuda/gpu_attention_plain.cuh"

namespace
{

template <class T> struct forward_args {
    attention_inputs<T> in;
    gpu_matrix<T> o;
    float *lse;
};

/* One step of online softmax for one row (Milakov & Gimelshein 2018): `score` is this lane's. Answers
 * exp(score - new maximum), and the factor for what was summed before. */
__device__ __forceinline__ float online_softmax(float score, float &highest, float &sum,
                                                float &factor)
{
    const float next = fmaxf(highest, gpu_warp_max(score));
    const float base = next == -INFINITY ? 0.0f : next; /* nothing seen yet: all terms are zero */
    const float p = expf(score - base);
    factor = expf(highest - base);
    sum = sum * factor + gpu_warp_sum(p);
    highest = next;
    return p;
}

/* o[i] = sum_j p[i, j] v[j], lse[i]: packed attention as in ops.h, online softmax over tiles of 32 keys.
 * grid: x = slots of 16 queries, y = H. 128 threads. Shared: (16 + 32) pitch + 16 * 32 floats.
 * Sums: f32, keys in order within a lane. Bytes: q, o once, k and v once a tile of 16 queries.
 * Flops: 4 Nq Nk A a head and sentence. */
template <class T, int CHUNKS>
__global__ void __launch_bounds__(PLAIN_THREADS, 1) forward_kernel(forward_args<T> args)
{
    GPU_SHARED(room);
    const attention_inputs<T> &in = args.in;
    const attention_tile at =
        attention_find_tile(in.q_offsets, in.sentences, PLAIN_ROWS, in.q_offsets, in.k_offsets);
    if (at.count <= 0)
        return;
    const int width = in.width, pitch = width | 1, h = blockIdx.y;
    const int64_t column = (int64_t)h * width;
    float *q = gpu_shared_take<float>(room, PLAIN_ROWS * pitch);
    float *tile = gpu_shared_take<float>(room, PLAIN_COLUMNS * pitch);
    float *p = gpu_shared_take<float>(room, PLAIN_ROWS * PLAIN_COLUMNS);
    const int lane = threadIdx.x % GPU_WARP, row = threadIdx.x / GPU_WARP * PLAIN_EACH;
    const float *vector = in.score_vector != nullptr ? in.score_vector + column : nullptr;
    float out[PLAIN_EACH][CHUNKS] = {}, highest[PLAIN_EACH], sum[PLAIN_EACH] = {};
    for (int r = 0; r < PLAIN_EACH; r++)
        highest[r] = -INFINITY;
    plain_load(q, pitch, in.q, at.q_start + at.first, at.count, PLAIN_ROWS, column, width);
    const int seen = in.causal ? min(at.keys, at.first + at.count) : at.keys;
    for (int k0 = 0; k0 < seen; k0 += PLAIN_COLUMNS) {
        const int count = min(PLAIN_COLUMNS, at.keys - k0), j = k0 + lane;
        __syncthreads();
        plain_load(tile, pitch, in.k, at.k_start + k0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        float scores[PLAIN_EACH];
        plain_dots(scores, q + row * pitch, tile, pitch, width, vector);
#pragma unroll
        for (int r = 0; r < PLAIN_EACH; r++) {
            const int i = at.first + row + r;
            const bool visible = j < at.keys && (!in.causal || j <= i);
            float factor;
            const float weight = online_softmax(visible ? scores[r] * in.scale : -INFINITY,
                                                highest[r], sum[r], factor);
            p[(row + r) * PLAIN_COLUMNS + lane] =
                visible ? weight * plain_keep(in, at.sentence, i, j, h) : 0.0f;
            for (int c = 0; c < CHUNKS; c++)
                out[r][c] *= factor;
        }
        __syncthreads();
        plain_load(tile, pitch, in.v, at.k_start + k0, count, PLAIN_COLUMNS, column, width);
        __syncthreads();
        plain_add_rows(out, p + row * PLAIN_COLUMNS, tile, pitch, width);
    }
    for (int r = 0; r < PLAIN_EACH && row + r < at.count; r++) {
        const int64_t n = at.q_start + at.first + row + r;
        plain_store(args.o, n, column, width, out[r], sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f);
        if (args.lse != nullptr && lane == 0)
            args.lse[h * in.q_rows + n] = highest[r] + logf(sum[r]);
    }
}

size_t shared_bytes(int width)
{
    const size_t pitch = (size_t)plain_pitch(width);
    return gpu_shared_bytes<float>(PLAIN_ROWS * pitch) +
           gpu_shared_bytes<float>(PLAIN_COLUMNS * pitch) +
           gpu_shared_bytes<float>(PLAIN_ROWS * PLAIN_COLUMNS);
}

} // namespace

extern "C" {

int64_t gpu_attention_plain_slots(int64_t rows, int64_t sentences)
{
    return attention_slots(rows, sentences, PLAIN_ROWS);
}

enum lng_status gpu_attention_plain_fwd(struct lng_device *device,
                                        const struct lng_attention_fwd_args *args)
{
    const int width = (int)(args->q.cols / args->heads);
    const dim3 grid((unsigned)gpu_attention_plain_slots(args->q.rows, args->sentences),
                    (unsigned)args->heads);
    return gpu_by_dtype(args->q.dtype, [&](auto zero) {
        using T = decltype(zero);
        const forward_args<T> kernel_args = {attention_inputs_of<T>(*args),
                                             gpu_matrix_of<T>(args->o),
                                             static_cast<float *>(args->lse)};
        auto run = [&](auto chunks) -> enum lng_status {
            auto *kernel = &forward_kernel<T, decltype(chunks)::value>;
            const size_t shared = shared_bytes(width);
            CUDA_TRY(device, "attention_fwd", gpu_allow_shared(kernel, shared));
            CUDA_TRY(
                device, "attention_fwd",
                GPU_LAUNCH(kernel, grid, PLAIN_THREADS, shared, cuda_stream(device), kernel_args));
            return LNG_OK;
        };
        return PLAIN_BY_WIDTH(width, run);
    });
}
}
