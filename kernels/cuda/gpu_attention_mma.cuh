/* Pieces of the tensor-core attention kernels: bf16, head widths that are multiples of 8 up to 128.
 *
 * A warp has 16 rows (queries; keys where keys' gradients are computed) and walks over tiles of 32 columns.
 * With g = lane / 4 and t = lane % 4 it holds, of a 16 x 32 tile of scores, in s[n][e] the element of
 *   row g + 8 * (e / 2), column 8 n + 2 t + e % 2,
 * the layout of the results of gpu_mma_bf16, and of its left operand once packed by pairs. Rows in shared
 * memory lie WIDTH + 8 apart, so that eight of them start in different banks. */
#ifndef LNG_KERNELS_CUDA_GPU_ATTENTION_MMA_CUH
#define LNG_KERNELS_CUDA_GPU_ATTENTION_MMA_CUH

#include "kernels/cuda/gpu_attention.cuh"
#include "kernels/cuda/gpu_mma.cuh"

enum {
    MMA_ROWS = 16,    /* of a warp */
    MMA_COLUMNS = 32, /* of a tile */
    MMA_GROUPS = MMA_COLUMNS / 8,
    MMA_MASKS = 64, /* Philox blocks of a warp and tile */
};

template <int WIDTH> static constexpr int mma_pitch = WIDTH + 8;

/* Rows first .. of a matrix, head columns column .. column + width - 1, to shared memory [ROOM, pitch],
 * asynchronously; rows from `count` on and columns from `width` on become zeros. */
template <int WIDTH, int ROOM, int THREADS>
__device__ __forceinline__ void mma_load(gpu_bf16 *to, gpu_matrix<const gpu_bf16> from,
                                         int64_t first, int count, int64_t column, int width)
{
    constexpr int PIECES = WIDTH / 8;
    for (int i = threadIdx.x; i < ROOM * PIECES; i += THREADS) {
        const int row = i / PIECES, piece = i % PIECES;
        const bool valid = row < count && piece * 8 < width;
        const gpu_bf16 *source = valid ? from.row(first + row) + column + piece * 8 : from.data;
        gpu_copy_async16(to + row * mma_pitch<WIDTH> + piece * 8, source, valid);
    }
}

/* The next 32 rows of two matrices, from row `row` of `rows` of a sentence that starts at `start`, to half
 * `buffer` of their two double buffers; one group of copies. Past the end: zeros. */
template <class Shape>
__device__ __forceinline__ void
mma_load_columns(gpu_bf16 *first, gpu_matrix<const gpu_bf16> from_first, gpu_bf16 *second,
                 gpu_matrix<const gpu_bf16> from_second, int buffer, int start, int row, int rows,
                 int64_t column, int width)
{
    constexpr int TILE = MMA_COLUMNS * mma_pitch<Shape::width>;
    mma_load<Shape::width, MMA_COLUMNS, Shape::threads>(first + buffer * TILE, from_first,
                                                        start + row, rows - row, column, width);
    mma_load<Shape::width, MMA_COLUMNS, Shape::threads>(second + buffer * TILE, from_second,
                                                        start + row, rows - row, column, width);
    gpu_copy_async_commit();
}

/* s = the warp's 16 rows of `rows` times the 32 rows of `columns`: s[i][j] = rows[i] . columns[j]. */
template <int WIDTH>
__device__ __forceinline__ void mma_scores(float (&s)[MMA_GROUPS][4], const gpu_bf16 *rows,
                                           const gpu_bf16 *columns)
{
#pragma unroll
    for (int n = 0; n < MMA_GROUPS; n++)
        for (int e = 0; e < 4; e++)
            s[n][e] = 0.0f;
#pragma unroll
    for (int k = 0; k < WIDTH; k += 16) {
        uint32_t a[4], b[4];
        mma_left(a, rows, mma_pitch<WIDTH>, 0, k);
#pragma unroll
        for (int n = 0; n < MMA_GROUPS; n += 2) {
            mma_right(b, columns, mma_pitch<WIDTH>, 8 * n, k);
            mma_pair(s[n], s[n + 1], a, b);
        }
    }
}

/* out[i] += sum over j of weights[i][j] tile[j]: weights in the layout of scores, rounded to bf16. */
template <int WIDTH>
__device__ __forceinline__ void mma_add_rows(float (&out)[WIDTH / 8][4],
                                             const float (&weights)[MMA_GROUPS][4],
                                             const gpu_bf16 *tile)
{
#pragma unroll
    for (int k = 0; k < MMA_COLUMNS; k += 16) {
        const int n = k / 8;
        const uint32_t a[4] = {gpu_pack_bf16(weights[n][0], weights[n][1]),
                               gpu_pack_bf16(weights[n][2], weights[n][3]),
                               gpu_pack_bf16(weights[n + 1][0], weights[n + 1][1]),
                               gpu_pack_bf16(weights[n + 1][2], weights[n + 1][3])};
#pragma unroll
        for (int c = 0; c < WIDTH; c += 16) {
            uint32_t b[4];
            mma_right_rows(b, tile, mma_pitch<WIDTH>, k, c);
            mma_pair(out[c / 8], out[c / 8 + 1], a, b);
        }
    }
}

/* Row `half` (0: g, 1: g + 8) of the warp's result to global memory, times factor. */
template <int WIDTH>
__device__ __forceinline__ void mma_store_row(gpu_bf16 *to, const float (&values)[WIDTH / 8][4],
                                              int half, int width, float factor)
{
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < WIDTH / 8; n++)
        if (8 * n < width)
            *reinterpret_cast<uint32_t *>(to + 8 * n + 2 * t) =
                gpu_pack_bf16(values[n][2 * half] * factor, values[n][2 * half + 1] * factor);
}

/* The Philox blocks of a warp's tile to its own 64 places, two a lane: place p is that of row p % rows and
 * group of eight keys p / rows. Ends with a warp barrier; the next block barrier ends their life. */
template <class T>
__device__ __forceinline__ void mma_draw_masks(uint4 *places, const attention_inputs<T> &in,
                                               int sentence, int first_query, int queries,
                                               int first_key, int h)
{
    for (int p = threadIdx.x % GPU_WARP; p < MMA_MASKS; p += GPU_WARP) {
        const struct lng_philox block = attention_mask_block(
            in, sentence, first_query + p % queries, (first_key >> 3) + p / queries, h);
        places[p] = make_uint4(block.word[0], block.word[1], block.word[2], block.word[3]);
    }
    __syncwarp();
}
/* What dropout multiplies the element by: `key` counts within the group of place p. */
__device__ __forceinline__ float mma_keep(const uint4 *places, int p, int key, uint32_t threshold,
                                          float keep_scale)
{
    const uint32_t word = reinterpret_cast<const uint32_t *>(places + p)[key >> 1];
    return (word >> 16 * (key & 1) & 0xFFFFu) < threshold ? 0.0f : keep_scale;
}

/* Calls run(shape) with the smallest width that holds the heads, and two or four warps. */
template <int WIDTH, int WARPS> struct mma_shape {
    static constexpr int width = WIDTH, warps = WARPS, rows = WARPS * MMA_ROWS,
                         threads = 32 * WARPS;
};
/* Long sentences share keys among more queries. */
enum { MMA_LONG = 64 };
template <class Run> enum lng_status mma_by_width(int width, int64_t mean_length, Run run)
{
    if (width <= 16)
        return run(mma_shape<16, 2>());
    if (width <= 32)
        return run(mma_shape<32, 2>());
    if (width <= 64)
        return mean_length < MMA_LONG ? run(mma_shape<64, 2>()) : run(mma_shape<64, 4>());
    return run(mma_shape<128, 2>());
}
template <class Shape> static inline size_t mma_tile_bytes(int rows)
{
    return gpu_shared_bytes<gpu_bf16>((size_t)rows * mma_pitch<Shape::width>);
}

#endif
