/* Attention forward on tensor cores: see gpu_attention_mma.cuh for who has which element. */
#include "kernels/cuda/gpu_attention_mma.cuh"

namespace
{

static constexpr float LOG2_E = 1.44269504f, LN_2 = 0.69314718f;

struct forward_args {
    attention_inputs<gpu_bf16> in;
    gpu_matrix<gpu_bf16> o;
    float *lse;
};

/* Over the four lanes that share a row. */
__device__ __forceinline__ float quad_max(float value)
{
    value = fmaxf(value, __shfl_xor_sync(GPU_ALL_LANES, value, 1));
    return fmaxf(value, __shfl_xor_sync(GPU_ALL_LANES, value, 2));
}
__device__ __forceinline__ float quad_sum(float value)
{
    value += __shfl_xor_sync(GPU_ALL_LANES, value, 1);
    return value + __shfl_xor_sync(GPU_ALL_LANES, value, 2);
}

/* What is known of the lane's two rows. */
struct row_state {
    float highest[2], sum[2]; /* highest in units of log 2; sum of this lane's columns alone */
};

/* Scores become exp(score - highest so far); out is scaled to the new highest. Invisible keys give 0. */
template <int WIDTH>
__device__ __forceinline__ void softmax_tile(float (&s)[MMA_GROUPS][4], float (&out)[WIDTH / 8][4],
                                             row_state &state, float scale, int first_query,
                                             int first_key, int keys, bool causal)
{
    const int g = threadIdx.x % GPU_WARP / 4, t = threadIdx.x % 4;
    float highest[2] = {state.highest[0], state.highest[1]};
#pragma unroll
    for (int n = 0; n < MMA_GROUPS; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int j = first_key + 8 * n + 2 * t + e % 2, i = first_query + g + 8 * (e / 2);
            s[n][e] = j < keys && (!causal || j <= i) ? s[n][e] * scale : -INFINITY;
            highest[e / 2] = fmaxf(highest[e / 2], s[n][e]);
        }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        highest[half] = quad_max(highest[half]);
        const float base = highest[half] == -INFINITY ? 0.0f : highest[half];
        const float factor = exp2f(state.highest[half] - base);
        float sum = 0.0f;
#pragma unroll
        for (int n = 0; n < MMA_GROUPS; n++)
#pragma unroll
            for (int e = 2 * half; e < 2 * half + 2; e++)
                sum += s[n][e] = exp2f(s[n][e] - base);
        state.sum[half] = state.sum[half] * factor + sum;
        state.highest[half] = highest[half];
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++)
            for (int e = 2 * half; e < 2 * half + 2; e++)
                out[n][e] *= factor;
    }
}

/* o[i] = sum_j p[i, j] v[j], lse[i]: packed attention as in ops.h; flash attention (Dao et al. 2022) on
 * ragged rows. Scores and sums in f32, p rounded to bf16 for its product with v.
 * grid: x = slots of Shape::rows queries, y = H. 32 threads a warp of 16 queries. Keys and values come in
 * tiles of 32, the next while the last is worked on. Shared: (rows + 4 * 32) pitch bf16, 1 KB a warp for
 * dropout. 16-byte aligned rows. Bytes: q and o once, k and v once a tile of queries.
 * Flops: 4 Nq Nk A a head and sentence. Deterministic: each row has one owner, keys come in order. */
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 1) forward_kernel(forward_args args)
{
    constexpr int WIDTH = Shape::width, PITCH = mma_pitch<WIDTH>, TILE = MMA_COLUMNS * PITCH;
    GPU_SHARED(room);
    const attention_inputs<gpu_bf16> &in = args.in;
    const attention_tile at =
        attention_find_tile(in.q_offsets, in.sentences, Shape::rows, in.q_offsets, in.k_offsets);
    if (at.count <= 0)
        return;
    const int warp = threadIdx.x / GPU_WARP, g = threadIdx.x % GPU_WARP / 4, t = threadIdx.x % 4;
    const int h = blockIdx.y, first = at.first + warp * MMA_ROWS;
    const int64_t column = (int64_t)h * in.width;
    gpu_bf16 *q = gpu_shared_take<gpu_bf16>(room, Shape::rows * PITCH);
    gpu_bf16 *k = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    gpu_bf16 *v = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    uint4 *masks = gpu_shared_take<uint4>(room, Shape::warps * MMA_MASKS) + warp * MMA_MASKS;
    const int seen = in.causal ? min(at.keys, at.first + at.count) : at.keys;
    auto load_keys = [&](int k0, int buffer) {
        mma_load_columns<Shape>(k, in.k, v, in.v, buffer, at.k_start, k0, at.keys, column,
                                in.width);
    };
    mma_load<WIDTH, Shape::rows, Shape::threads>(q, in.q, at.q_start + at.first, at.count, column,
                                                 in.width);
    load_keys(0, 0);
    float out[WIDTH / 8][4] = {}, s[MMA_GROUPS][4];
    row_state state = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};
    for (int k0 = 0, buffer = 0; k0 < seen; k0 += MMA_COLUMNS, buffer ^= 1) {
        load_keys(k0 + MMA_COLUMNS, buffer ^ 1); /* past the end: zeros */
        gpu_copy_async_wait<1>();
        __syncthreads();
        mma_scores<WIDTH>(s, q + warp * MMA_ROWS * PITCH, k + buffer * TILE);
        softmax_tile<WIDTH>(s, out, state, in.scale * LOG2_E, first, k0, at.keys, in.causal);
        if (in.keep_scale != 0.0f) {
            mma_draw_masks(masks, in, at.sentence, first, MMA_ROWS, k0, h);
#pragma unroll
            for (int n = 0; n < MMA_GROUPS; n++)
                for (int e = 0; e < 4; e++)
                    s[n][e] *= mma_keep(masks, n * MMA_ROWS + g + 8 * (e / 2), 2 * t + e % 2,
                                        in.threshold, in.keep_scale);
        }
        mma_add_rows<WIDTH>(out, s, v + buffer * TILE);
        __syncthreads(); /* before the next tile but one overwrites this */
    }
    gpu_copy_async_wait<0>();
    for (int half = 0; half < 2; half++) {
        const float sum = quad_sum(state.sum[half]);
        const int i = first + g + 8 * half;
        if (i >= at.first + at.count)
            continue;
        const int64_t n = at.q_start + i;
        mma_store_row<WIDTH>(args.o.row(n) + column, out, half, in.width,
                             sum > 0.0f ? 1.0f / sum : 0.0f);
        if (args.lse != nullptr && t == 0)
            args.lse[h * in.q_rows + n] = state.highest[half] * LN_2 + logf(sum);
    }
}

} // namespace

extern "C" {

bool gpu_attention_mma_serves(const struct lng_view *const *views, int count, int64_t heads,
                              enum lng_attention_score score)
{
    enum { WIDEST = 128, ELEMENTS = 8, BYTES = 16 };
    const int64_t width = views[0]->cols / heads;
    if (score != LNG_ATTENTION_DOT || width % ELEMENTS != 0 || width > WIDEST)
        return false;
    for (int i = 0; i < count; i++)
        if (views[i]->dtype != LNG_DTYPE_BF16 || (uintptr_t)views[i]->data % BYTES != 0 ||
            views[i]->stride % ELEMENTS != 0)
            return false;
    return true;
}

enum lng_status gpu_attention_mma_fwd(struct lng_device *device,
                                      const struct lng_attention_fwd_args *args)
{
    const forward_args kernel_args = {attention_inputs_of<gpu_bf16>(*args),
                                      gpu_matrix_of<gpu_bf16>(args->o),
                                      static_cast<float *>(args->lse)};
    return mma_by_width(kernel_args.in.width, args->q.rows / args->sentences, [&](auto shape) {
        using Shape = decltype(shape);
        auto *kernel = &forward_kernel<Shape>;
        const size_t shared = mma_tile_bytes<Shape>(Shape::rows) +
                              2 * mma_tile_bytes<Shape>(2 * MMA_COLUMNS) +
                              gpu_shared_bytes<uint4>(Shape::warps * MMA_MASKS);
        const dim3 grid((unsigned)attention_slots(args->q.rows, args->sentences, Shape::rows),
                        (unsigned)args->heads);
        CUDA_TRY(device, "attention_fwd", gpu_allow_shared(kernel, shared));
        CUDA_TRY(
            device, "attention_fwd",
            GPU_LAUNCH(kernel, grid, Shape::threads, shared, cuda_stream(device), kernel_args));
        return LNG_OK;
    });
}
}
