/* Embedding look-up with positions, and its gradient: a scatter without atomics. */
#include "kernels/cuda/gpu_sort.cuh"
#include "kernels/cuda/gpu_vector.cuh"

template <class T> struct embed_fwd_job {
    gpu_matrix<float> table, position_table; /* position_table.data NULL: absent */
    gpu_matrix<T> y;
    const int32_t *ids, *positions;
    int64_t rows, cols;
    float scale;
    struct gpu_dropout dropout, word_dropout;
};

/* y = dropout(table[id] * scale * word mask + position_table[position]); id -1 is a row of zeros.
 * table [V, cols], position_table [P, cols], y [rows, cols]; any alignment (WIDE: 16 bytes); y apart.
 * Grid ceil(rows ceil(cols / 8) / 256) blocks of 256, an octet a thread, nothing shared, one float
 * operation after the other: deterministic.
 * Cost: 4 bytes of either table and one activation a value. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    embed_fwd_kernel(struct embed_fwd_job<T> job)
{
    const struct gpu_octet own = gpu_own_octet(job.rows, job.cols);
    if (own.count == 0)
        return;
    const int32_t id = job.ids[own.row];
    const int count = id < 0 ? 0 : own.count;
    float value[GPU_OCTET], position[GPU_OCTET] = {};
    gpu_load_octet<WIDE>(job.table.row(id < 0 ? 0 : id) + own.col, count, value);
    if (job.position_table.data != NULL)
        gpu_load_octet<WIDE>(job.position_table.row(job.positions[own.row]) + own.col, own.count,
                             position);
    const float factor = job.scale * gpu_dropout_factor(job.word_dropout, own.row, 0);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = value[i] * factor + position[i];
    gpu_dropout_octet(job.dropout, own.row, own.col, value);
    gpu_store_octet<WIDE>(job.y.row(own.row) + own.col, own.count, value);
}

enum {
    EMBED_CHUNK = 32, /* sorted rows that one thread sums */
    EMBED_AHEAD = 4,  /* rows it loads at once */
};

/* The gradient of one table: rows of d_y, sorted by what table row they are for. */
template <class T> struct embed_bwd_job {
    const sort_entry *sorted;
    gpu_matrix<T> d_y;
    gpu_matrix<float> d_table;
    float *partials; /* [chunks, 2, pitch] */
    int64_t rows, chunks, cols, pitch;
    uint32_t keys;
    float scale;
    struct gpu_dropout dropout, word_dropout;
    __device__ __forceinline__ bool same_key(int64_t a, int64_t b) const
    {
        return sort_key(sorted[a]) == sort_key(sorted[b]);
    }
};

template <bool WIDE, class T>
static __device__ __forceinline__ void embed_add(const struct embed_bwd_job<T> &job, uint32_t key,
                                                 const struct gpu_octet &own,
                                                 const float (&sum)[GPU_OCTET])
{
    float value[GPU_OCTET];
    float *at = job.d_table.row(key) + own.col;
    gpu_load_octet<WIDE>(at, own.count, value);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] += sum[i];
    gpu_store_octet<WIDE>(at, own.count, value);
}

/* d_table[key] += sum over the rows of that key of scale * masks * d_y, in the order of the rows, as far as
 * chunks of 32 sorted rows go: the rows of a key that lie in one chunk are added to the table; of a key
 * that reaches over chunks, each has a partial sum: [chunk][0] where it came from the chunk before,
 * [chunk][1] where it begins here and goes on. embed_join_kernel adds those.
 * d_y [rows, cols], d_table [V, cols], apart; any alignment (WIDE: 16 bytes).
 * Grid ceil(ceil(rows / 32) ceil(cols / 8) / 256) blocks of 256, an octet of a chunk a thread, nothing
 * shared. Sums in float, in fixed order; no two threads write one address.
 * Cost: reads d_y once; reads and writes the table rows of the batch once; up to 8 bytes of partial sums a
 * value and chunk. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS, 2)
    embed_chunk_kernel(struct embed_bwd_job<T> job)
{
    const struct gpu_octet own = gpu_own_octet(job.chunks, job.cols);
    if (own.count == 0)
        return;
    const int64_t begin = own.row * EMBED_CHUNK;
    const int64_t end = begin + EMBED_CHUNK < job.rows ? begin + EMBED_CHUNK : job.rows;
    float *partial = job.partials + own.row * 2 * job.pitch + own.col;
    uint32_t key = sort_key(job.sorted[begin]);
    bool from_before = begin > 0 && job.same_key(begin - 1, begin);
    float sum[GPU_OCTET] = {};
    for (int64_t first = begin; first < end && key < job.keys; first += EMBED_AHEAD) {
        sort_entry entry[EMBED_AHEAD];
        struct gpu_words<T> term[EMBED_AHEAD];
#pragma unroll
        for (int j = 0; j < EMBED_AHEAD; j++)
            entry[j] = first + j < end ? job.sorted[first + j] : (sort_entry)job.keys << 32;
#pragma unroll
        for (int j = 0; j < EMBED_AHEAD; j++)
            term[j] = gpu_load_words<WIDE>(job.d_y.row(sort_row(entry[j])) + own.col,
                                           sort_key(entry[j]) < job.keys ? own.count : 0);
#pragma unroll
        for (int j = 0; j < EMBED_AHEAD; j++) {
            if (first + j >= end)
                break;
            if (sort_key(entry[j]) != key) {
                if (from_before)
                    gpu_store_octet<true>(partial, GPU_OCTET, sum);
                else
                    embed_add<WIDE>(job, key, own, sum);
                from_before = false;
                key = sort_key(entry[j]);
#pragma unroll
                for (int i = 0; i < GPU_OCTET; i++)
                    sum[i] = 0;
            }
            if (key >= job.keys)
                break;
            float value[GPU_OCTET];
            gpu_unpack(term[j], value);
            gpu_dropout_octet(job.dropout, sort_row(entry[j]), own.col, value);
            const float factor =
                job.scale * gpu_dropout_factor(job.word_dropout, sort_row(entry[j]), 0);
#pragma unroll
            for (int i = 0; i < GPU_OCTET; i++)
                sum[i] += value[i] * factor;
        }
    }
    if (key >= job.keys)
        return;
    if (from_before)
        gpu_store_octet<true>(partial, GPU_OCTET, sum);
    else if (end < job.rows && job.same_key(end - 1, end))
        gpu_store_octet<true>(partial + job.pitch, GPU_OCTET, sum);
    else
        embed_add<WIDE>(job, key, own, sum);
}

/* The end of the rows of job.sorted[first]'s key. */
template <class T>
static __device__ __forceinline__ int64_t embed_key_end(const struct embed_bwd_job<T> &job,
                                                        int64_t first)
{
    const uint32_t key = sort_key(job.sorted[first]);
    int64_t low = first + 1, high = job.rows;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sort_key(job.sorted[middle]) == key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* d_table[key] += its partial sums, in the order of the chunks, for the keys that reach over chunks: the
 * thread of the chunk where one begins does it. Grid, alignment and determinism as above.
 * Cost: reads the partial sums once; reads and writes the table rows concerned. */
template <class T, bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    embed_join_kernel(struct embed_bwd_job<T> job)
{
    const struct gpu_octet own = gpu_own_octet(job.chunks, job.cols);
    const int64_t begin = own.row * EMBED_CHUNK, last = begin + EMBED_CHUNK - 1;
    if (own.count == 0 || last + 1 >= job.rows || !job.same_key(last, last + 1) ||
        sort_key(job.sorted[last]) >= job.keys)
        return;
    if (begin > 0 && job.same_key(begin - 1, begin) && job.same_key(begin, last))
        return;
    const int64_t last_chunk = (embed_key_end(job, last) - 1) / EMBED_CHUNK;
    const float *partial = job.partials + own.col;
    float sum[GPU_OCTET], term[GPU_OCTET];
    gpu_load_octet<true>(partial + (2 * own.row + 1) * job.pitch, GPU_OCTET, sum);
#pragma unroll 4
    for (int64_t chunk = own.row + 1; chunk <= last_chunk; chunk++) {
        gpu_load_octet<true>(partial + 2 * chunk * job.pitch, GPU_OCTET, term);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            sum[i] += term[i];
    }
    embed_add<WIDE>(job, sort_key(job.sorted[last]), own, sum);
}

enum lng_status cuda_embed_fwd(struct lng_device *device, const struct lng_embed_fwd_args *args)
{
    const unsigned blocks = gpu_octet_blocks(args->y.rows, args->y.cols);
    const bool wide =
        gpu_is_wide(args->table) && gpu_is_wide(args->position_table) && gpu_is_wide(args->y);
    if (blocks == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(args->y.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        const struct embed_fwd_job<T> job = {
            gpu_matrix_of<float>(args->table), gpu_matrix_of<float>(args->position_table),
                gpu_matrix_of<T>(args->y), args->ids, args->positions, args->y.rows, args->y.cols,
                (float)args->scale, gpu_dropout_of(args->dropout),
                gpu_dropout_of(args->word_dropout),
        };
        CUDA_TRY(device, "embed_fwd",
                 GPU_LAUNCH((embed_fwd_kernel<T, decltype(flag)::value>), blocks, GPU_OCTET_THREADS,
                            0, cuda_stream(device), job));
        return LNG_OK;
    });
}

/* `ids` into `table`; `word` decides about whole rows. */
static enum lng_status scatter_add(struct lng_device *device, const struct lng_embed_bwd_args *args,
                                   const struct lng_view &table, const int32_t *ids, double scale,
                                   const struct lng_dropout &word)
{
    const int64_t rows = args->d_y.rows, cols = args->d_y.cols;
    const int64_t chunks = gpu_ceil(rows, EMBED_CHUNK);
    const int64_t pitch = gpu_ceil(cols, GPU_OCTET) * GPU_OCTET;
    const size_t sorting = sort_bytes(rows);
    void *scratch;
    const sort_entry *sorted;
    LNG_TRY(cuda_scratch(device, sorting + (size_t)(chunks * 2 * pitch) * sizeof(float), &scratch));
    LNG_TRY(sort_rows(device, "embed_bwd", ids, rows, table.rows, scratch, &sorted));
    const bool wide = gpu_is_wide(args->d_y) && gpu_is_wide(table);
    const unsigned blocks = gpu_octet_blocks(chunks, cols);
    return gpu_by_dtype_and_flag(args->d_y.dtype, wide, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        const struct embed_bwd_job<T> job = {
            sorted, gpu_matrix_of<T>(args->d_y), gpu_matrix_of<float>(table),
                reinterpret_cast<float *>(static_cast<char *>(scratch) + sorting), rows, chunks,
                cols, pitch, (uint32_t)table.rows, (float)scale, gpu_dropout_of(args->dropout),
                gpu_dropout_of(word),
        };
        CUDA_TRY(device, "embed_bwd",
                 GPU_LAUNCH((embed_chunk_kernel<T, decltype(flag)::value>), blocks,
                            GPU_OCTET_THREADS, 0, cuda_stream(device), job));
        if (chunks > 1)
            CUDA_TRY(device, "embed_bwd",
                     GPU_LAUNCH((embed_join_kernel<T, decltype(flag)::value>), blocks,
                                GPU_OCTET_THREADS, 0, cuda_stream(device), job));
        return LNG_OK;
    });
}

enum lng_status cuda_embed_bwd(struct lng_device *device, const struct lng_embed_bwd_args *args)
{
    const struct lng_dropout off = {};
    if (args->d_y.cols == 0)
        return LNG_OK;
    if (args->d_table.data != NULL)
        LNG_TRY(
            scatter_add(device, args, args->d_table, args->ids, args->scale, args->word_dropout));
    if (args->d_position_table.data != NULL)
        LNG_TRY(scatter_add(device, args, args->d_position_table, args->positions, 1, off));
    return LNG_OK;
}
