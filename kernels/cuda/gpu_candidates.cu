/* The best continuations of each sentence: first those of every row, then of the rows of a sentence. */
#include "kernels/cuda/gpu_logits.cuh"

template <class T> struct search_job {
    gpu_matrix<T> logits;
    int64_t cols;
    const float *row_scores;
    const int32_t *forced, *banned;
    int64_t banned_count;
    const uint8_t *eos_banned;
    int32_t eos;
    bool normalized;
    int64_t places;             /* min(k, cols): of each row */
    struct lng_candidate *best; /* [rows, places], best first */
    int64_t *counts;            /* [rows] filled places */
};

enum { SEARCH_ROOM = 1024 }; /* candidates of a row put in order at once */

template <int THREADS> struct search_room {
    struct logits_room<THREADS> logits;
    double log_sum;
    float threshold, cut;
    int32_t found;
    float score[SEARCH_ROOM]; /* unordered */
    int32_t token[SEARCH_ROOM];
    float last_score; /* the last candidate taken: the rest is worse */
    int32_t last_token;
};

/* A row as a thread sees it. */
template <class T> struct search_row {
    const T *logits;
    int64_t cols, n;
    double log_sum;
    float row_score;
    const int32_t *banned;
    int64_t banned_count;
    int32_t eos; /* -1: may follow */
    __device__ __forceinline__ float logprob(float x) const
    {
        return (float)((double)x - log_sum);
    }
    /* Never falls where x rises. */
    __device__ __forceinline__ float score(float x) const
    {
        return row_score + logprob(x);
    }
    __device__ __forceinline__ bool is_allowed(int32_t token) const
    {
        if (token == eos)
            return false;
        for (int64_t i = 0; i < banned_count; i++)
            if (banned[i] == token)
                return false;
        return true;
    }
};

static __device__ __forceinline__ bool comes_before(float score_a, int32_t token_a, float score_b,
                                                    int32_t token_b)
{
    return score_a > score_b || (score_a == score_b && token_a < token_b);
}

/* The best allowed candidate of this thread's share behind the last one taken; score -inf: none. */
template <bool WIDE, int THREADS, class T>
static __device__ __forceinline__ float
best_left(const struct search_row<T> &row, const struct search_room<THREADS> *room, int32_t *token)
{
    float best = -INFINITY, best_x = -INFINITY;
    *token = -1;
    for (int64_t col = threadIdx.x * GPU_OCTET; col < row.cols; col += THREADS * GPU_OCTET) {
        const int count = gpu_octet_count(col, row.cols);
        float x[GPU_OCTET], highest = -INFINITY;
        gpu_load_octet<WIDE>(row.logits + col, count, x);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            highest = i < count ? fmaxf(highest, x[i]) : highest;
        if (!(highest > best_x))
            continue;
#pragma unroll 1
        for (int i = 0; i < count; i++) {
            const float logit = gpu_load(row.logits + col + i), score = row.score(logit);
            const int32_t here = (int32_t)col + i;
            if (!(logit > best_x) || !(score > best) ||
                !comes_before(room->last_score, room->last_token, score, here) ||
                !row.is_allowed(here))
                continue;
            best = score;
            best_x = logit;
            *token = here;
        }
    }
    return best;
}

/* Bits that order as their floats do, and back; -inf for what lies below all numbers. */
static __device__ __forceinline__ uint32_t ordered_bits(float value)
{
    const uint32_t bits = __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
static __device__ __forceinline__ float ordered_value(uint32_t bits)
{
    const float value = __uint_as_float(bits >> 31 ? bits & 0x7FFFFFFFu : ~bits);
    return value > -INFINITY ? value : -INFINITY;
}

enum { THRESHOLD_LOWEST_BIT = 12 }; /* the rest of a score is left out: it saves barriers */

/* room->threshold becomes the `ask`-th largest of the threads' scores, or a little less: each stands for a
 * different candidate, so at least `ask` candidates reach it. -inf where fewer threads have one. No logit
 * below room->cut can reach it: the slack is a few times what rounding the score and the log-probability
 * may make. */
template <int THREADS, class T>
static __device__ __forceinline__ void find_threshold(const struct search_row<T> &row,
                                                      struct search_room<THREADS> *room, float mine,
                                                      int64_t ask)
{
    const uint32_t own = ordered_bits(mine);
    uint32_t found = 0;
    for (int bit = 31; bit >= THRESHOLD_LOWEST_BIT; bit--) {
        const uint32_t higher = found | 1u << bit;
        if (__syncthreads_count(own >= higher) >= ask)
            found = higher;
    }
    if (threadIdx.x == 0) {
        const float threshold = ordered_value(found);
        const double reach = (double)threshold - (double)row.row_score + row.log_sum;
        const double slack = 4e-7 * (fabs((double)threshold) + fabs((double)row.row_score) +
                                     fabs(row.log_sum) + fabs(reach));
        room->threshold = threshold;
        room->cut = threshold > -INFINITY ? (float)(reach - slack) : -INFINITY;
        room->found = 0;
    }
    __syncthreads();
}

/* Lists this thread's allowed candidates with a score of at least the threshold, behind the last taken. */
template <bool WIDE, int THREADS, class T>
static __device__ __forceinline__ void collect(const struct search_row<T> &row,
                                               struct search_room<THREADS> *room)
{
    const float cut = room->cut, threshold = room->threshold;
    for (int64_t col = threadIdx.x * GPU_OCTET; col < row.cols; col += THREADS * GPU_OCTET) {
        const int count = gpu_octet_count(col, row.cols);
        float x[GPU_OCTET];
        bool any = false;
        gpu_load_octet<WIDE>(row.logits + col, count, x);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            any |= !(x[i] < cut);
        if (!any)
            continue;
#pragma unroll 1
        for (int i = 0; i < count; i++) {
            const float score = row.score(gpu_load(row.logits + col + i));
            const int32_t token = (int32_t)col + i;
            if (!(score >= threshold) || !(score > -INFINITY) ||
                !comes_before(room->last_score, room->last_token, score, token) ||
                !row.is_allowed(token))
                continue;
            const int place = atomicAdd(&room->found, 1);
            if (place < SEARCH_ROOM) {
                room->score[place] = score;
                room->token[place] = token;
            }
        }
    }
    __syncthreads();
}

/* Puts the best `take` of the `found` listed in order into out; each finds its own place. The list's order,
 * which may differ from run to run, is of no consequence. */
template <int THREADS, class T>
static __device__ __forceinline__ void take_best(const struct search_row<T> &row,
                                                 struct search_room<THREADS> *room, int found,
                                                 int64_t take, struct lng_candidate *out)
{
    __syncthreads(); /* all have read the last one taken */
    for (int i = threadIdx.x; i < found; i += THREADS) {
        const float score = room->score[i];
        const int32_t token = room->token[i];
        int64_t rank = score > -INFINITY ? 0 : take;
        for (int other = 0; other < found && rank < take; other++)
            rank += comes_before(room->score[other], room->token[other], score, token);
        if (rank >= take)
            continue;
        const float logprob = row.logprob(gpu_load(row.logits + token));
        out[rank] = lng_candidate{score, logprob, (int32_t)row.n, token};
        if (rank == take - 1) {
            room->last_score = score;
            room->last_token = token;
        }
    }
    __syncthreads();
}

/* Fills out with the best `places` candidates of the row, best first, and answers how many there are. The
 * first turn, mostly the only one, takes as thresholds what the threads saw when they summed the row:
 * with banned tokens among them, so it asks for as many more. Where more than the room holds reach the
 * threshold, many with equal scores, candidates are taken one by one. */
template <bool WIDE, int THREADS, class T>
static __device__ __forceinline__ int64_t search_best(const struct search_row<T> &row,
                                                      struct search_room<THREADS> *room, float seen,
                                                      int64_t places, struct lng_candidate *out)
{
    bool quick = places + row.banned_count + 1 <= THREADS / 2, crowded = false;
    int64_t filled = 0;
    while (filled < places) {
        int32_t token = -1;
        const float mine = quick ? row.score(seen) : best_left<WIDE>(row, room, &token);
        int64_t take = places - filled, found = THREADS;
        if (!crowded) {
            const int64_t most = take < THREADS / 2 ? take : (int64_t)THREADS / 2;
            find_threshold(row, room, mine, quick ? places + row.banned_count + 1 : most);
            collect<WIDE>(row, room);
            found = room->found;
            take = take < found ? take : found;
            quick = false;
            crowded = found > SEARCH_ROOM;
            if (crowded)
                continue;
        } else {
            take = 1;
            room->score[threadIdx.x] = mine;
            room->token[threadIdx.x] = token;
            if (!__syncthreads_or(mine > -INFINITY))
                break;
        }
        const bool all = !crowded && room->threshold == -INFINITY;
        take_best(row, room, (int)found, take, out + filled);
        filled += take;
        if (found == 0 || all)
            break;
    }
    return filled;
}

/* The best `places` candidates of each row (ops.h, lng_candidates), best first.
 * logits [rows, cols] any alignment (WIDE: 16 bytes), read only; the rest as in struct search_job.
 * Grid rows blocks of THREADS (128 up to 4,096 columns, else 512), a row each; shared under 9 KiB. The sum
 * of exponentials is of floats, joined in double; scores of the few candidates that matter are computed in
 * double and rounded as ref does. The result does not depend on any order, so it is deterministic.
 * Cost: reads the logits twice, the second time partly from the cache, while places and banned tokens are
 * fewer than half the threads; beyond, twice a turn of so many. One exponential a logit. */
template <class T, bool WIDE, int THREADS>
static __global__ void __launch_bounds__(THREADS, 1024 / THREADS)
    search_rows_kernel(struct search_job<T> job)
{
    __shared__ struct search_room<THREADS> room;
    const int64_t n = blockIdx.x;
    struct search_row<T> row = {
        job.logits.row(n), job.cols, n, 0, job.row_scores[n], job.banned, job.banned_count, -1
    };
    const struct logits_share share = logits_scan<WIDE, THREADS>(row.logits, job.cols);
    const struct logits_row whole = logits_join(&room.logits, share);
    if (threadIdx.x == 0) {
        room.log_sum = (double)whole.highest + log(whole.exponentials);
        if (job.normalized)
            room.log_sum = 0;
        room.last_score = INFINITY;
        room.last_token = -1;
    }
    __syncthreads();
    row.log_sum = room.log_sum;
    if (job.eos_banned != NULL && job.eos_banned[n] != 0)
        row.eos = job.eos;
    struct lng_candidate *out = job.best + n * job.places;
    const int32_t forced = job.forced != NULL ? job.forced[n] : -1;
    int64_t count = 0;
    if (forced >= 0) {
        const float x = forced < job.cols ? gpu_load(row.logits + forced) : -INFINITY;
        count = row.score(x) > -INFINITY;
        if (count > 0 && threadIdx.x == 0)
            *out = lng_candidate{row.score(x), row.logprob(x), (int32_t)n, forced};
    } else if (row.row_score > -INFINITY && row.log_sum == row.log_sum) {
        count = search_best<WIDE>(row, &room, share.highest, job.places, out);
    }
    if (threadIdx.x == 0)
        job.counts[n] = count;
}

struct merge_job {
    const struct lng_candidate *best; /* [rows, places] */
    const int64_t *counts;            /* [rows] */
    const int32_t *row_offsets;       /* [sentences + 1] */
    int64_t rows, places, sentences, k;
    struct lng_candidate *out; /* [sentences, k] */
};

/* How many of a row's candidates have a higher score, or (ties) one as high. */
static __device__ __forceinline__ int64_t count_before(const struct lng_candidate *best,
                                                       int64_t count, float score, bool ties)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (best[middle].score > score || (ties && best[middle].score == score))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum { MERGE_THREADS = 128 };

/* out [sentences, k]: the best k of the candidates of a sentence's rows by (higher score, lower row, lower
 * token), then row -1, token -1, score -inf. A candidate's place is its own among those of its row and the
 * number of better ones in the other rows, which are in order too.
 * Grid ceil(max(rows places, sentences k) / 128) blocks of 128, a candidate and a place a thread, nothing
 * shared; no two write one place. Cost: 16 bytes a candidate and place, and a binary search in every
 * other row of the sentence. */
static __global__ void __launch_bounds__(MERGE_THREADS) merge_kernel(struct merge_job job)
{
    const int64_t item = (int64_t)blockIdx.x * MERGE_THREADS + threadIdx.x;
    const int64_t row = item / job.places, sentence = item / job.k;
    if (row < job.rows && item - row * job.places < job.counts[row]) {
        const struct lng_candidate own = job.best[item];
        int64_t low = 0, high = job.sentences; /* the sentence begins at or before the row */
        while (high - low > 1) {
            const int64_t middle = low + (high - low) / 2;
            if (job.row_offsets[middle] <= row)
                low = middle;
            else
                high = middle;
        }
        int64_t rank = item - row * job.places;
        const int64_t end = job.row_offsets[low + 1];
        for (int64_t r = job.row_offsets[low]; r < end && rank < job.k; r++)
            if (r != row)
                rank += count_before(job.best + r * job.places, job.counts[r], own.score, r < row);
        if (rank < job.k)
            job.out[low * job.k + rank] = own;
    }
    if (sentence < job.sentences) {
        const int64_t place = item - sentence * job.k, end = job.row_offsets[sentence + 1];
        int64_t filled = 0;
        for (int64_t r = job.row_offsets[sentence]; r < end && filled <= place; r++)
            filled += job.counts[r];
        if (place >= filled)
            job.out[item] = lng_candidate{-INFINITY, -INFINITY, -1, -1};
    }
}

static enum lng_status search_rows(struct lng_device *device,
                                   const struct lng_candidates_args *args, int64_t places,
                                   struct lng_candidate *best, int64_t *counts)
{
    const struct lng_view logits = args->logits;
    const cudaStream_t stream = cuda_stream(device);
    return gpu_by_dtype_and_flag(logits.dtype, gpu_is_wide(logits), [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        constexpr bool WIDE = decltype(flag)::value;
        const struct search_job<T> job = {
            gpu_matrix_of<T>(logits), logits.cols, args->row_scores, args->forced, args->banned,
                args->banned_count, args->eos_banned, args->eos, args->normalized, places, best,
                counts,
        };
        if (gpu_logits_many(logits.cols))
            CUDA_TRY(device, "candidates",
                     GPU_LAUNCH((search_rows_kernel<T, WIDE, LOGITS_MANY>), (unsigned)logits.rows,
                                LOGITS_MANY, 0, stream, job));
        else
            CUDA_TRY(device, "candidates",
                     GPU_LAUNCH((search_rows_kernel<T, WIDE, LOGITS_FEW>), (unsigned)logits.rows,
                                LOGITS_FEW, 0, stream, job));
        return LNG_OK;
    });
}

enum lng_status cuda_candidates(struct lng_device *device, const struct lng_candidates_args *args)
{
    const int64_t rows = args->logits.rows, cols = args->logits.cols;
    const int64_t places = args->k < cols ? args->k : cols;
    const size_t room = (size_t)(rows * places) * sizeof(struct lng_candidate);
    void *scratch;
    LNG_TRY(cuda_scratch(device, room + (size_t)rows * sizeof(int64_t) + 1, &scratch));
    struct lng_candidate *best = static_cast<struct lng_candidate *>(scratch);
    int64_t *counts = reinterpret_cast<int64_t *>(static_cast<char *>(scratch) + room);
    if (rows > 0)
        LNG_TRY(search_rows(device, args, places, best, counts));
    const struct merge_job job = {best,   counts,          args->row_offsets, rows,
                                  places, args->sentences, args->k,           args->out};
    const int64_t found = rows * places, wanted = args->sentences * args->k;
    CUDA_TRY(device, "candidates",
             GPU_LAUNCH(merge_kernel,
                        (unsigned)gpu_ceil(found > wanted ? found : wanted, MERGE_THREADS),
                        MERGE_THREADS, 0, cuda_stream(device), job));
    return LNG_OK;
}
