/* Attention backward on tensor cores. Two kernels, so that every gradient has one owner and a fixed order:
 * queries gather from keys, then keys from queries; scores are computed again in each. */
#include "kernels/cuda/gpu_attention_mma.cuh"

namespace
{

static constexpr float LOG2_E = 1.44269504f;

struct backward_args {
    attention_inputs<gpu_bf16> in;
    gpu_matrix<const gpu_bf16> d_o;
    gpu_matrix<gpu_bf16> d_q, d_k, d_v;
    const float *lse, *delta; /* [H, Nq] */
};

/* d_q[i] = scale * sum_j ds[i, j] k[j],  ds = p (mask d_o[i] . v[j] - delta[i]),  p = exp(score - lse[i]).
 * grid: x = slots of Shape::rows queries, y = H; a warp has 16 queries, keys come in tiles of 32.
 * Shared: (2 rows + 4 * 32) pitch bf16, 1 KB a warp for dropout. 16-byte aligned rows. ds is rounded to bf16
 * for its product. Bytes: q, d_o, d_q once, k and v once a tile of queries. Flops: 6 Nq Nk A a head. */
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 1) d_query_kernel(backward_args args)
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
    const int64_t column = (int64_t)h * in.width, start = (int64_t)at.q_start + at.first;
    gpu_bf16 *q = gpu_shared_take<gpu_bf16>(room, Shape::rows * PITCH);
    gpu_bf16 *d_o = gpu_shared_take<gpu_bf16>(room, Shape::rows * PITCH);
    gpu_bf16 *k = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    gpu_bf16 *v = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    uint4 *masks = gpu_shared_take<uint4>(room, Shape::warps * MMA_MASKS) + warp * MMA_MASKS;
    const int seen = in.causal ? min(at.keys, at.first + at.count) : at.keys;
    auto load_keys = [&](int k0, int buffer) {
        mma_load_columns<Shape>(k, in.k, v, in.v, buffer, at.k_start, k0, at.keys, column,
                                in.width);
    };
    mma_load<WIDTH, Shape::rows, Shape::threads>(q, in.q, start, at.count, column, in.width);
    mma_load<WIDTH, Shape::rows, Shape::threads>(d_o, args.d_o, start, at.count, column, in.width);
    load_keys(0, 0);
    float lse[2], delta[2];
    for (int half = 0; half < 2; half++) {
        const int i = first + g + 8 * half;
        const bool inside = i < at.first + at.count;
        lse[half] = inside ? args.lse[h * in.q_rows + at.q_start + i] * LOG2_E : 0.0f;
        delta[half] = inside ? args.delta[h * in.q_rows + at.q_start + i] : 0.0f;
    }
    float out[WIDTH / 8][4] = {}, s[MMA_GROUPS][4], d_p[MMA_GROUPS][4];
    for (int k0 = 0, buffer = 0; k0 < seen; k0 += MMA_COLUMNS, buffer ^= 1) {
        load_keys(k0 + MMA_COLUMNS, buffer ^ 1);
        gpu_copy_async_wait<1>();
        __syncthreads();
        mma_scores<WIDTH>(s, q + warp * MMA_ROWS * PITCH, k + buffer * TILE);
        mma_scores<WIDTH>(d_p, d_o + warp * MMA_ROWS * PITCH, v + buffer * TILE);
        if (in.keep_scale != 0.0f)
            mma_draw_masks(masks, in, at.sentence, first, MMA_ROWS, k0, h);
#pragma unroll
        for (int n = 0; n < MMA_GROUPS; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int half = e / 2, i = first + g + 8 * half, j = k0 + 8 * n + 2 * t + e % 2;
                const float keep = in.keep_scale == 0.0f
                                       ? 1.0f
                                       : mma_keep(masks, n * MMA_ROWS + g + 8 * half, 2 * t + e % 2,
                                                  in.threshold, in.keep_scale);
                const bool visible = j < at.keys && (!in.causal || j <= i);
                const float p = visible ? exp2f(s[n][e] * (in.scale * LOG2_E) - lse[half]) : 0.0f;
                s[n][e] = p * (keep * d_p[n][e] - delta[half]);
            }
        mma_add_rows<WIDTH>(out, s, k + buffer * TILE);
        __syncthreads();
    }
    gpu_copy_async_wait<0>();
    for (int half = 0; half < 2; half++) {
        const int i = first + g + 8 * half;
        if (i < at.first + at.count)
            mma_store_row<WIDTH>(args.d_q.row(at.q_start + i) + column, out, half, in.width,
                                 in.scale);
    }
}

/* The weights of one tile of 32 queries for the lane's two keys: s becomes mask p, d_p becomes ds. */
template <class Shape>
__device__ __forceinline__ void key_weights(float (&s)[MMA_GROUPS][4], float (&d_p)[MMA_GROUPS][4],
                                            const backward_args &args, const attention_tile &at,
                                            const uint4 *masks, int first, int q0, int h)
{
    const attention_inputs<gpu_bf16> &in = args.in;
    const int g = threadIdx.x % GPU_WARP / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < MMA_GROUPS; n++)
#pragma unroll
        for (int parity = 0; parity < 2; parity++) {
            const int column = 8 * n + 2 * t + parity, i = q0 + column;
            const bool inside = i < at.queries;
            const int64_t place = h * in.q_rows + at.q_start + i;
            const float lse = inside ? args.lse[place] * LOG2_E : 0.0f;
            const float delta = inside ? args.delta[place] : 0.0f;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int e = 2 * half + parity, j = first + g + 8 * half;
                const float keep = in.keep_scale == 0.0f
                                       ? 1.0f
                                       : mma_keep(masks, half * MMA_COLUMNS + column, g,
                                                  in.threshold, in.keep_scale);
                const bool visible = inside && j < at.keys && (!in.causal || j <= i);
                const float p = visible ? exp2f(s[n][e] * (in.scale * LOG2_E) - lse) : 0.0f;
                s[n][e] = p * keep;
                d_p[n][e] = p * (keep * d_p[n][e] - delta);
            }
        }
}

/* d_k[j] = scale * sum_i ds[i, j] q[i],  d_v[j] = sum_i mask p[i, j] d_o[i]: the same with queries and keys
 * changed over. grid: x = slots of Shape::rows keys, y = H. Shared: as above. Flops: 8 Nq Nk A a head. */
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 1) d_key_kernel(backward_args args)
{
    constexpr int WIDTH = Shape::width, PITCH = mma_pitch<WIDTH>, TILE = MMA_COLUMNS * PITCH;
    GPU_SHARED(room);
    const attention_inputs<gpu_bf16> &in = args.in;
    const attention_tile at =
        attention_find_tile(in.k_offsets, in.sentences, Shape::rows, in.q_offsets, in.k_offsets);
    if (at.count <= 0)
        return;
    const int warp = threadIdx.x / GPU_WARP, g = threadIdx.x % GPU_WARP / 4;
    const int h = blockIdx.y, first = at.first + warp * MMA_ROWS;
    const int64_t column = (int64_t)h * in.width, start = (int64_t)at.k_start + at.first;
    gpu_bf16 *k = gpu_shared_take<gpu_bf16>(room, Shape::rows * PITCH);
    gpu_bf16 *v = gpu_shared_take<gpu_bf16>(room, Shape::rows * PITCH);
    gpu_bf16 *q = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    gpu_bf16 *d_o = gpu_shared_take<gpu_bf16>(room, 2 * TILE);
    uint4 *masks = gpu_shared_take<uint4>(room, Shape::warps * MMA_MASKS) + warp * MMA_MASKS;
    auto load_queries = [&](int q0, int buffer) {
        mma_load_columns<Shape>(q, in.q, d_o, args.d_o, buffer, at.q_start, q0, at.queries, column,
                                in.width);
    };
    const int begin = in.causal ? at.first / MMA_COLUMNS * MMA_COLUMNS : 0;
    mma_load<WIDTH, Shape::rows, Shape::threads>(k, in.k, start, at.count, column, in.width);
    mma_load<WIDTH, Shape::rows, Shape::threads>(v, in.v, start, at.count, column, in.width);
    load_queries(begin, 0);
    float d_k[WIDTH / 8][4] = {}, d_v[WIDTH / 8][4] = {}, s[MMA_GROUPS][4], d_p[MMA_GROUPS][4];
    for (int q0 = begin, buffer = 0; q0 < at.queries; q0 += MMA_COLUMNS, buffer ^= 1) {
        load_queries(q0 + MMA_COLUMNS, buffer ^ 1);
        gpu_copy_async_wait<1>();
        __syncthreads();
        mma_scores<WIDTH>(s, k + warp * MMA_ROWS * PITCH, q + buffer * TILE);
        mma_scores<WIDTH>(d_p, v + warp * MMA_ROWS * PITCH, d_o + buffer * TILE);
        if (in.keep_scale != 0.0f)
            mma_draw_masks(masks, in, at.sentence, q0, MMA_COLUMNS, first, h);
        key_weights<Shape>(s, d_p, args, at, masks, first, q0, h);
        mma_add_rows<WIDTH>(d_v, s, d_o + buffer * TILE);
        mma_add_rows<WIDTH>(d_k, d_p, q + buffer * TILE);
        __syncthreads();
    }
    gpu_copy_async_wait<0>();
    for (int half = 0; half < 2; half++) {
        const int j = first + g + 8 * half;
        if (j >= at.first + at.count)
            continue;
        mma_store_row<WIDTH>(args.d_k.row(at.k_start + j) + column, d_k, half, in.width, in.scale);
        mma_store_row<WIDTH>(args.d_v.row(at.k_start + j) + column, d_v, half, in.width, 1.0f);
    }
}

template <class Shape, class Kernel>
enum lng_status launch(struct lng_device *device, const backward_args &kernel_args, Kernel *kernel,
                       int64_t rows, int64_t heads)
{
    const size_t shared = 2 * mma_tile_bytes<Shape>(Shape::rows) +
                          2 * mma_tile_bytes<Shape>(2 * MMA_COLUMNS) +
                          gpu_shared_bytes<uint4>(Shape::warps * MMA_MASKS);
    const dim3 grid((unsigned)attention_slots(rows, kernel_args.in.sentences, Shape::rows),
                    (unsigned)heads);
    CUDA_TRY(device, "attention_bwd", gpu_allow_shared(kernel, shared));
    CUDA_TRY(device, "attention_bwd",
             GPU_LAUNCH(kernel, grid, Shape::threads, shared, cuda_stream(device), kernel_args));
    return LNG_OK;
}

} // namespace

extern "C" enum lng_status gpu_attention_mma_bwd(struct lng_device *device,
                                                 const struct lng_attention_bwd_args *args,
                                                 float *delta)
{
    backward_args kernel_args = {};
    kernel_args.in = attention_inputs_of<gpu_bf16>(*args);
    kernel_args.d_o = gpu_matrix_of<const gpu_bf16>(args->d_o);
    kernel_args.d_q = gpu_matrix_of<gpu_bf16>(args->d_q);
    kernel_args.d_k = gpu_matrix_of<gpu_bf16>(args->d_k);
    kernel_args.d_v = gpu_matrix_of<gpu_bf16>(args->d_v);
    kernel_args.lse = static_cast<const float *>(args->lse);
    kernel_args.delta = delta;
    const int64_t longest = args->q.rows > args->k.rows ? args->q.rows : args->k.rows;
    return mma_by_width(kernel_args.in.width, longest / args->sentences, [&](auto shape) {
        using Shape = decltype(shape);
        LNG_TRY(
            launch<Shape>(device, kernel_args, &d_query_kernel<Shape>, args->q.rows, args->heads));
        return launch<Shape>(device, kernel_args, &d_key_kernel<Shape>, args->k.rows, args->heads);
    });
}
