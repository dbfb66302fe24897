/* Inside the attention kernels: sentences, tiles, masks.
 *
 * A block works for one head on one tile of rows (queries, or keys in the gradients of keys) of one sentence.
 * Lengths are known on the device alone, so the grid is an upper bound: with F(b) = offsets[b] / tile + b,
 * sentence b owns slots F(b) .. F(b + 1) - 1, at least as many as it has tiles; offsets[B] / tile + B in all. */
#ifndef LNG_KERNELS_CUDA_GPU_ATTENTION_CUH
#define LNG_KERNELS_CUDA_GPU_ATTENTION_CUH

#include "kernels/cuda/gpu_common.cuh"

/* What forward and backward have in common, as kernels take it. */
template <class T> struct attention_inputs {
    gpu_matrix<const T> q, k, v;
    const float *score_vector; /* nullptr: dot product */
    const int32_t *q_offsets, *k_offsets;
    const uint32_t *sentence_ids;
    int64_t q_rows;
    int sentences, width;
    bool causal;
    float scale;
    uint32_t threshold; /* of dropout; keep_scale 0: off */
    float keep_scale;
    struct lng_rng_site rng;
};
template <class T, class Args> attention_inputs<T> attention_inputs_of(const Args &args)
{
    attention_inputs<T> in = {};
    in.q = gpu_matrix_of<const T>(args.q);
    in.k = gpu_matrix_of<const T>(args.k);
    in.v = gpu_matrix_of<const T>(args.v);
    in.score_vector = args.score == LNG_ATTENTION_ADDITIVE
                          ? static_cast<const float *>(args.score_vector.data)
                          : nullptr;
    in.q_offsets = args.q_offsets;
    in.k_offsets = args.k_offsets;
    in.sentence_ids = args.sentence_ids;
    in.q_rows = args.q.rows;
    in.sentences = (int)args.sentences;
    in.width = (int)(args.q.cols / args.heads);
    in.causal = args.causal;
    in.scale = (float)args.scale;
    if (args.dropout > 0) {
        in.threshold = lng_drop_threshold(args.dropout);
        in.keep_scale = (float)lng_drop_scale(args.dropout);
        in.rng = args.rng;
    }
    return in;
}

/* One block's share. rows first .. first + count - 1 of the sentence; count <= 0: nothing to do. */
struct attention_tile {
    int sentence, first, count;
    int q_start, queries, k_start, keys; /* of the sentence */
};
static inline int64_t attention_slots(int64_t rows, int64_t sentences, int tile)
{
    return rows / tile + sentences;
}
/* `offsets` are those of the rows that are tiled. */
__device__ __forceinline__ attention_tile attention_find_tile(const int32_t *offsets, int sentences,
                                                              int tile, const int32_t *q_offsets,
                                                              const int32_t *k_offsets)
{
    const int slot = (int)blockIdx.x;
    int low = 0, high = sentences - 1;
    while (low < high) { /* the last sentence whose slots begin at or before this one */
        const int middle = (low + high + 1) / 2;
        if (offsets[middle] / tile + middle <= slot)
            low = middle;
        else
            high = middle - 1;
    }
    attention_tile at;
    at.sentence = low;
    at.first = (slot - (offsets[low] / tile + low)) * tile;
    at.count = min(tile, offsets[low + 1] - offsets[low] - at.first);
    at.q_start = q_offsets[low];
    at.queries = q_offsets[low + 1] - at.q_start;
    at.k_start = k_offsets[low];
    at.keys = k_offsets[low + 1] - at.k_start;
    return at;
}

/* The numbers that decide about p[i, 8 * group .. 8 * group + 7] of head h. */
template <class T>
__device__ __forceinline__ struct lng_philox
attention_mask_block(const attention_inputs<T> &in, int sentence, int i, int group, int h)
{
    return lng_rng_block(in.rng, in.sentence_ids[sentence], (uint32_t)i, (uint32_t)group,
                         (uint32_t)h);
}

#ifdef __cplusplus
extern "C" {
#endif
/* Tensor cores: bf16, dot products, head widths that are multiples of 8 up to 128, 16-byte aligned rows. */
bool gpu_attention_mma_serves(const struct lng_view *const *views, int count, int64_t heads,
                              enum lng_attention_score score);
enum lng_status gpu_attention_mma_fwd(struct lng_device *device,
                                      const struct lng_attention_fwd_args *args);
enum lng_status gpu_attention_mma_bwd(struct lng_device *device,
                                      const struct lng_attention_bwd_args *args, float *delta);
/* Everything else. vector_partial: room for slots * H A floats, additive scores only. */
enum lng_status gpu_attention_plain_fwd(struct lng_device *device,
                                        const struct lng_attention_fwd_args *args);
enum lng_status gpu_attention_plain_bwd(struct lng_device *device,
                                        const struct lng_attention_bwd_args *args, float *delta,
                                        float *vector_partial);
int64_t gpu_attention_plain_slots(int64_t rows, int64_t sentences);
#ifdef __cplusplus
}
#endif

#endif
