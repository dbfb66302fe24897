/* Pieces of the plain attention kernels: any head width up to 256, any score, f32 arithmetic on CUDA cores.
 * A warp has four rows; a lane has one column of a tile of 32 where scores are computed, and the head's
 * columns lane, lane + 32, ... where products with whole rows are summed. */
#ifndef LNG_KERNELS_CUDA_GPU_ATTENTION_PLAIN_CUH
#define LNG_KERNELS_CUDA_GPU_ATTENTION_PLAIN_CUH

#include "kernels/cuda/gpu_attention.cuh"

enum {
    PLAIN_WARPS = 4,
    PLAIN_THREADS = 32 * PLAIN_WARPS,
    PLAIN_EACH = 4,                        /* rows of a warp */
    PLAIN_ROWS = PLAIN_WARPS * PLAIN_EACH, /* of a block */
    PLAIN_COLUMNS = 32,                    /* of a tile that it walks over */
};

/* Rows first .. first + count - 1, head columns `column` .. + width - 1, as floats; rows from `count` up to
 * `room` are zeros. */
template <class T>
__device__ __forceinline__ void plain_load(float *to, int pitch, gpu_matrix<const T> from,
                                           int64_t first, int count, int room, int64_t column,
                                           int width)
{
    for (int i = threadIdx.x; i < room * width; i += PLAIN_THREADS) {
        const int row = i / width, a = i % width;
        to[row * pitch + a] = row < count ? gpu_load(from.row(first + row) + column + a) : 0.0f;
    }
}

/* sums[r] = rows[r] . tile[lane] of the warp's four rows, or vector . tanh(rows[r] + tile[lane]). */
__device__ __forceinline__ void plain_dots(float (&sums)[PLAIN_EACH], const float *rows,
                                           const float *tile, int pitch, int width,
                                           const float *vector)
{
    const float *column = tile + (threadIdx.x % GPU_WARP) * pitch;
    for (int r = 0; r < PLAIN_EACH; r++)
        sums[r] = 0.0f;
    for (int a = 0; a < width; a++) {
        const float value = column[a];
        for (int r = 0; r < PLAIN_EACH; r++) {
            const float row = rows[r * pitch + a];
            sums[r] += vector != nullptr ? vector[a] * tanhf(row + value) : row * value;
        }
    }
}

/* out[r][c] += sum over j of weights[r][j] tile[j][lane + 32 c]. weights: shared [PLAIN_EACH][32]. */
template <int CHUNKS>
__device__ __forceinline__ void plain_add_rows(float (&out)[PLAIN_EACH][CHUNKS],
                                               const float *weights, const float *tile, int pitch,
                                               int width)
{
    const int lane = threadIdx.x % GPU_WARP;
    for (int j = 0; j < PLAIN_COLUMNS; j++)
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int a = lane + GPU_WARP * c;
            const float value = a < width ? tile[j * pitch + a] : 0.0f;
#pragma unroll
            for (int r = 0; r < PLAIN_EACH; r++)
                out[r][c] += weights[r * PLAIN_COLUMNS + j] * value;
        }
}

/* The same for additive scores: out[r][c] += weights[r][j] vector[a] (1 - t^2), t = tanh(rows[r] + tile[j]),
 * and, where d_vector is wanted, d_vector[c] += weights[r][j] t. */
template <int CHUNKS>
__device__ __forceinline__ void
plain_add_tanh(float (&out)[PLAIN_EACH][CHUNKS], float *d_vector, const float *weights,
               const float *rows, const float *tile, int pitch, int width, const float *vector)
{
    const int lane = threadIdx.x % GPU_WARP;
    for (int j = 0; j < PLAIN_COLUMNS; j++)
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int a = lane + GPU_WARP * c;
            if (a >= width)
                continue;
#pragma unroll
            for (int r = 0; r < PLAIN_EACH; r++) {
                const float weight = weights[r * PLAIN_COLUMNS + j];
                const float t = tanhf(rows[r * pitch + a] + tile[j * pitch + a]);
                out[r][c] += weight * vector[a] * (1.0f - t * t);
                if (d_vector != nullptr)
                    d_vector[c] += weight * t;
            }
        }
}

template <class T, int CHUNKS>
__device__ __forceinline__ void plain_store(gpu_matrix<T> to, int64_t row, int64_t column,
                                            int width, const float (&values)[CHUNKS], float factor)
{
    const int lane = threadIdx.x % GPU_WARP;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (lane + GPU_WARP * c < width)
            gpu_store(to.row(row) + column + lane + GPU_WARP * c, values[c] * factor);
}

/* What dropout multiplies p[i, j] of head h by. */
template <class T>
__device__ __forceinline__ float plain_keep(const attention_inputs<T> &in, int sentence, int i,
                                            int j, int h)
{
    if (in.keep_scale == 0.0f)
        return 1.0f;
    const struct lng_philox block = attention_mask_block(in, sentence, i, j >> 3, h);
    return lng_philox_half(block, (uint32_t)j) < in.threshold ? 0.0f : in.keep_scale;
}

/* An odd distance between rows keeps 32 lanes on 32 banks. */
static inline int plain_pitch(int width)
{
    return width | 1;
}

/* Launches kernel<T, 1, 2, 4 or 8>, as many chunks of 32 as the head is wide. */
#define PLAIN_BY_WIDTH(width, run)        \
    ((width) <= 32    ? run(gpu_int<1>()) \
     : (width) <= 64  ? run(gpu_int<2>()) \
     : (width) <= 128 ? run(gpu_int<4>()) \
                      : run(gpu_int<8>()))
template <int VALUE> struct gpu_int {
    static constexpr int value = VALUE;
};

#endif
