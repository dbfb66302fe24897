/* Attention over packed sentences: for each head of each sentence, blocks of queries against all keys,
 * as small products with the softmax between them while everything lies in the nearest cache. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_device.h"

enum { QUERY_BLOCK = 48 };

/* Scratch of one thread. */
struct scratch {
    float *scores, *d_p;                /* [QUERY_BLOCK, key_stride] */
    float *k_transposed, *v_transposed; /* B [width, keys] */
    float *left, *right;                /* operands whose width asks for packing */
    uint16_t *halves;
};

struct attention_job {
    struct lng_cpu *cpu;
    const struct lng_simd *simd;
    const struct lng_attention_fwd_args *fwd;
    const struct lng_attention_bwd_args *bwd;
    int64_t width, heads, pairs, block; /* (sentence, head) pairs, and how many a task */
    int64_t key_stride;                 /* longest sentence, rounded up to nr */
    bool packs;                         /* width is no multiple of nr */
    const float *vector;                /* ADDITIVE: the score vector, [heads * width] */
    float *vector_parts;                /* ADDITIVE, backward: [pairs, width] */
    size_t part[7];                     /* offsets into scratch */
};

static size_t plan(struct attention_job *job, const int32_t *q_offsets, const int32_t *k_offsets,
                   int64_t sentences)
{
    const int64_t nr = job->simd->nr;
    int64_t keys = 1, queries = 1;
    for (int64_t b = 0; b < sentences; b++) {
        int64_t k = k_offsets[b + 1] - k_offsets[b], q = q_offsets[b + 1] - q_offsets[b];
        keys = k > keys ? k : keys;
        queries = q > queries ? q : queries;
    }
    job->key_stride = lng_cpu_ceil(keys, nr) * nr;
    job->packs = job->width % nr != 0;
    const int64_t rows = lng_cpu_min(queries, QUERY_BLOCK);
    const int64_t longest = keys > rows ? keys : rows;
    const int64_t operand = job->packs ? longest * lng_cpu_ceil(job->width, nr) * nr : 0;
    const int64_t floats[7] = {rows * job->key_stride,
                               rows * job->key_stride,
                               job->width * job->key_stride,
                               job->width * job->key_stride,
                               operand,
                               operand,
                               (rows * (keys + 8) + 256) / 2 + 1};
    size_t total = 0;
    for (int i = 0; i < 7; i++) {
        job->part[i] = total;
        total += ((size_t)floats[i] * sizeof(float) + 63) / 64 * 64;
    }
    return total;
}

static struct scratch scratch_of(const struct attention_job *job, int thread)
{
    char *base = job->cpu->private[thread];
    return (struct scratch){.scores = (float *)(base + job->part[0]),
                            .d_p = (float *)(base + job->part[1]),
                            .k_transposed = (float *)(base + job->part[2]),
                            .v_transposed = (float *)(base + job->part[3]),
                            .left = (float *)(base + job->part[4]),
                            .right = (float *)(base + job->part[5]),
                            .halves = (uint16_t *)(base + job->part[6])};
}

static float *at(const struct lng_view *view, int64_t row, int64_t col)
{
    return (float *)view->data + row * view->stride + col;
}

/* c [m, n] (+)= a [m, k] b, where b [k, n] is a head's slice of a matrix. */
static void times_slice(const struct attention_job *job, struct lng_gemm *g,
                        const struct lng_view *view, int64_t row, int64_t col, float *packed)
{
    const float *b = at(view, row, col);
    g->b = b;
    g->b_k = view->stride;
    g->b_panel = job->simd->nr;
    if (job->packs) {
        g->b = packed;
        g->b_k = 0;
        g->b_panel = g->k * job->simd->nr;
        job->simd->pack_right_f32(b, view->stride, g->k, g->n, packed, g->b_panel);
    }
    job->simd->gemm_f32(g);
}

/* scores = x [m, width] times the transpose of the packed slice. */
static void score_product(const struct attention_job *job, const struct lng_view *x, int64_t row,
                          int64_t col, int64_t m, const float *transposed, int64_t keys, float *to)
{
    struct lng_gemm g = {.a = at(x, row, col),
                         .a_row = x->stride,
                         .a_k = 1,
                         .b = transposed,
                         .b_panel = job->width * job->simd->nr,
                         .c = to,
                         .c_row = job->key_stride,
                         .m = m,
                         .n = keys,
                         .k = job->width};
    job->simd->gemm_f32(&g);
}

static struct lng_additive_block additive_block(const struct attention_job *job,
                                                const struct lng_view *q, int64_t row,
                                                const struct lng_view *k, int64_t k0, int64_t col)
{
    return (struct lng_additive_block){.q = at(q, row, col),
                                       .k = at(k, k0, col),
                                       .vector = job->vector + col,
                                       .q_stride = q->stride,
                                       .k_stride = k->stride,
                                       .stride = job->key_stride,
                                       .width = job->width};
}

static void additive_product(const struct attention_job *job, struct lng_additive_block block,
                             int64_t rows, int64_t keys, float *scores)
{
    block.queries = rows;
    block.keys = keys;
    block.scores = scores;
    job->simd->additive_scores(&block);
}

static void forward_pair(const struct attention_job *job, int64_t b, int64_t h, struct scratch *s)
{
    const struct lng_attention_fwd_args *args = job->fwd;
    const int64_t col = h * job->width, q0 = args->q_offsets[b], q1 = args->q_offsets[b + 1];
    const int64_t k0 = args->k_offsets[b], keys = args->k_offsets[b + 1] - k0;
    if (q0 == q1)
        return;
    if (!job->vector)
        job->simd->pack_right_transposed_f32(at(&args->k, k0, col), args->k.stride, job->width,
                                             keys, s->k_transposed, job->width * job->simd->nr);
    for (int64_t q = q0; q < q1; q += QUERY_BLOCK) {
        const int64_t rows = lng_cpu_min(q1 - q, QUERY_BLOCK);
        const int64_t seen = args->causal ? lng_cpu_min(keys, q - q0 + rows) : keys;
        if (job->vector)
            additive_product(job, additive_block(job, &args->q, q, &args->k, k0, col), rows, seen,
                             s->scores);
        else
            score_product(job, &args->q, q, col, rows, s->k_transposed, seen, s->scores);
        struct lng_softmax_block block = {
            .scores = s->scores,
            .stride = job->key_stride,
            .queries = rows,
            .keys = seen,
            .first_query = q - q0,
            .causal = args->causal,
            .scale = args->scale,
            .dropout = args->dropout,
            .lse = args->lse ? (float *)args->lse + h * args->q.rows + q : NULL,
            .rng = args->rng,
            .sentence = args->dropout > 0 ? args->sentence_ids[b] : 0,
            .head = (uint32_t)h,
            .halves = s->halves};
        job->simd->softmax_rows(&block);
        struct lng_gemm g = {.a = s->scores,
                             .a_row = job->key_stride,
                             .a_k = 1,
                             .c = at(&args->o, q, col),
                             .c_row = args->o.stride,
                             .m = rows,
                             .n = job->width,
                             .k = seen};
        times_slice(job, &g, &args->v, k0, col, s->right);
    }
}

/* From d(q . k) in s->d_p to d_q and d_k. */
static void dot_gradients(const struct attention_job *job, int64_t b, int64_t h, int64_t q,
                          int64_t rows, int64_t seen, struct scratch *s)
{
    const struct lng_attention_bwd_args *args = job->bwd;
    const int64_t col = h * job->width, k0 = args->k_offsets[b];
    struct lng_gemm d_q = {.a = s->d_p,
                           .a_row = job->key_stride,
                           .a_k = 1,
                           .c = at(&args->d_q, q, col),
                           .c_row = args->d_q.stride,
                           .m = rows,
                           .n = job->width,
                           .k = seen};
    times_slice(job, &d_q, &args->k, k0, col, s->right);
    struct lng_gemm d_k = {.a = s->d_p,
                           .a_row = 1,
                           .a_k = job->key_stride,
                           .c = at(&args->d_k, k0, col),
                           .c_row = args->d_k.stride,
                           .m = seen,
                           .n = job->width,
                           .k = rows,
                           .add = true};
    times_slice(job, &d_k, &args->q, q, col, s->right);
}

static void additive_gradients(const struct attention_job *job, int64_t b, int64_t h, int64_t q,
                               int64_t rows, int64_t seen, struct scratch *s)
{
    const struct lng_attention_bwd_args *args = job->bwd;
    const int64_t col = h * job->width, k0 = args->k_offsets[b];
    struct lng_additive_block block = additive_block(job, &args->q, q, &args->k, k0, col);
    block.scores = s->d_p;
    block.d_q = at(&args->d_q, q, col);
    block.d_q_stride = args->d_q.stride;
    block.d_k = at(&args->d_k, k0, col);
    block.d_k_stride = args->d_k.stride;
    block.d_vector = job->vector_parts + (b * job->heads + h) * job->width;
    block.queries = rows;
    block.keys = seen;
    for (int64_t i = 0; i < rows; i++)
        memset(at(&args->d_q, q + i, col), 0, (size_t)job->width * sizeof(float));
    job->simd->additive_bwd(&block);
}

static void backward_block(const struct attention_job *job, int64_t b, int64_t h, int64_t q,
                           struct scratch *s)
{
    const struct lng_attention_bwd_args *args = job->bwd;
    const int64_t col = h * job->width, q0 = args->q_offsets[b], k0 = args->k_offsets[b];
    const int64_t keys = args->k_offsets[b + 1] - k0;
    const int64_t rows = lng_cpu_min(args->q_offsets[b + 1] - q, QUERY_BLOCK);
    const int64_t seen = args->causal ? lng_cpu_min(keys, q - q0 + rows) : keys;
    if (job->vector)
        additive_product(job, additive_block(job, &args->q, q, &args->k, k0, col), rows, seen,
                         s->scores);
    else
        score_product(job, &args->q, q, col, rows, s->k_transposed, seen, s->scores);
    score_product(job, &args->d_o, q, col, rows, s->v_transposed, seen, s->d_p);
    struct lng_softmax_block block = {.scores = s->scores,
                                      .d_p = s->d_p,
                                      .stride = job->key_stride,
                                      .queries = rows,
                                      .keys = seen,
                                      .first_query = q - q0,
                                      .causal = args->causal,
                                      .scale = args->scale,
                                      .dropout = args->dropout,
                                      .lse = (float *)(uintptr_t)args->lse + h * args->q.rows + q,
                                      .rng = args->rng,
                                      .sentence = args->dropout > 0 ? args->sentence_ids[b] : 0,
                                      .head = (uint32_t)h,
                                      .halves = s->halves};
    job->simd->softmax_rows_bwd(&block);
    struct lng_gemm d_v = {.a = s->scores,
                           .a_row = 1,
                           .a_k = job->key_stride,
                           .c = at(&args->d_v, k0, col),
                           .c_row = args->d_v.stride,
                           .m = seen,
                           .n = job->width,
                           .k = rows,
                           .add = true};
    times_slice(job, &d_v, &args->d_o, q, col, s->right);
    if (job->vector)
        additive_gradients(job, b, h, q, rows, seen, s);
    else
        dot_gradients(job, b, h, q, rows, seen, s);
}

static void backward_pair(const struct attention_job *job, int64_t b, int64_t h, struct scratch *s)
{
    const struct lng_attention_bwd_args *args = job->bwd;
    const struct lng_simd *simd = job->simd;
    const int64_t col = h * job->width, k0 = args->k_offsets[b];
    const int64_t keys = args->k_offsets[b + 1] - k0, panel = job->width * simd->nr;
    for (int64_t j = 0; j < keys; j++) {
        memset(at(&args->d_k, k0 + j, col), 0, (size_t)job->width * sizeof(float));
        memset(at(&args->d_v, k0 + j, col), 0, (size_t)job->width * sizeof(float));
    }
    if (!job->vector)
        simd->pack_right_transposed_f32(at(&args->k, k0, col), args->k.stride, job->width, keys,
                                        s->k_transposed, panel);
    simd->pack_right_transposed_f32(at(&args->v, k0, col), args->v.stride, job->width, keys,
                                    s->v_transposed, panel);
    for (int64_t q = args->q_offsets[b]; q < args->q_offsets[b + 1]; q += QUERY_BLOCK)
        backward_block(job, b, h, q, s);
}

/* Rows of a head's slice lie too far apart for the processor to guess where the next are. */
static void prefetch_slice(const struct attention_job *job, const struct lng_view *view,
                           int64_t first, int64_t end, int64_t col)
{
    enum { ROWS = 64, LINE = 16 };
    end = lng_cpu_min(end, first + ROWS);
    for (int64_t row = first; row < end; row++)
        for (int64_t a = 0; a < job->width; a += LINE)
            __builtin_prefetch(at(view, row, col + a));
}

static void prefetch_pair(const struct attention_job *job, int64_t pair)
{
    const int64_t b = pair / job->heads, col = pair % job->heads * job->width;
    if (job->fwd) {
        const struct lng_attention_fwd_args *args = job->fwd;
        prefetch_slice(job, &args->k, args->k_offsets[b], args->k_offsets[b + 1], col);
        prefetch_slice(job, &args->q, args->q_offsets[b], args->q_offsets[b + 1], col);
        prefetch_slice(job, &args->v, args->k_offsets[b], args->k_offsets[b + 1], col);
    } else {
        const struct lng_attention_bwd_args *args = job->bwd;
        prefetch_slice(job, &args->k, args->k_offsets[b], args->k_offsets[b + 1], col);
        prefetch_slice(job, &args->v, args->k_offsets[b], args->k_offsets[b + 1], col);
        prefetch_slice(job, &args->q, args->q_offsets[b], args->q_offsets[b + 1], col);
        prefetch_slice(job, &args->d_o, args->q_offsets[b], args->q_offsets[b + 1], col);
        prefetch_slice(job, &args->d_q, args->q_offsets[b], args->q_offsets[b + 1], col);
        prefetch_slice(job, &args->d_k, args->k_offsets[b], args->k_offsets[b + 1], col);
        prefetch_slice(job, &args->d_v, args->k_offsets[b], args->k_offsets[b + 1], col);
    }
}

static void attention_task(void *context, int64_t task, int thread)
{
    const struct attention_job *job = context;
    struct scratch scratch = scratch_of(job, thread);
    int64_t end = lng_cpu_min((task + 1) * job->block, job->pairs);
    for (int64_t pair = task * job->block; pair < end; pair++) {
        if (pair + 1 < end)
            prefetch_pair(job, pair + 1);
        if (job->fwd)
            forward_pair(job, pair / job->heads, pair % job->heads, &scratch);
        else
            backward_pair(job, pair / job->heads, pair % job->heads, &scratch);
    }
}

static bool offsets_rise(const int32_t *offsets, int64_t sentences, int64_t last)
{
    bool good = offsets[0] == 0 && offsets[sentences] == last;
    for (int64_t b = 0; b < sentences; b++)
        good &= offsets[b + 1] >= offsets[b];
    return good;
}

static enum lng_status run_attention(struct attention_job *job, const int32_t *q_offsets,
                                     const int32_t *k_offsets, int64_t sentences)
{
    job->simd = job->cpu->simd;
    job->pairs = sentences * job->heads;
    job->block = job->pairs / (16 * job->cpu->threads) + 1;
    const size_t parts =
        job->vector && job->bwd ? (size_t)(job->pairs * job->width) * sizeof(float) : 0;
    LNG_TRY(lng_cpu_reserve(job->cpu, plan(job, q_offsets, k_offsets, sentences), parts));
    job->vector_parts = job->cpu->shared;
    if (parts > 0)
        memset(job->vector_parts, 0, parts);
    lng_cpu_run(job->cpu, lng_cpu_ceil(job->pairs, job->block), attention_task, job);
    return LNG_OK;
}

static const float *score_vector(enum lng_attention_score score, const struct lng_view *vector)
{
    return score == LNG_ATTENTION_ADDITIVE ? vector->data : NULL;
}

enum lng_status lng_cpu_attention_fwd(struct lng_device *device,
                                      const struct lng_attention_fwd_args *args)
{
    if (args->q.dtype != LNG_DTYPE_F32 ||
        !offsets_rise(args->q_offsets, args->sentences, args->q.rows) ||
        !offsets_rise(args->k_offsets, args->sentences, args->k.rows))
        return lng_backend_ref.ops.attention_fwd(device, args);
    struct attention_job job = {.cpu = lng_cpu_of(device),
                                .fwd = args,
                                .heads = args->heads,
                                .width = args->q.cols / args->heads,
                                .vector = score_vector(args->score, &args->score_vector)};
    return run_attention(&job, args->q_offsets, args->k_offsets, args->sentences);
}

enum lng_status lng_cpu_attention_bwd(struct lng_device *device,
                                      const struct lng_attention_bwd_args *args)
{
    if (args->q.dtype != LNG_DTYPE_F32 ||
        !offsets_rise(args->q_offsets, args->sentences, args->q.rows) ||
        !offsets_rise(args->k_offsets, args->sentences, args->k.rows))
        return lng_backend_ref.ops.attention_bwd(device, args);
    struct attention_job job = {.cpu = lng_cpu_of(device),
                                .bwd = args,
                                .heads = args->heads,
                                .width = args->q.cols / args->heads,
                                .vector = score_vector(args->score, &args->score_vector)};
    LNG_TRY(run_attention(&job, args->q_offsets, args->k_offsets, args->sentences));
    for (int64_t pair = 0; job.vector && pair < job.pairs; pair++)
        job.simd->blend((float *)args->d_score_vector.data + pair % job.heads * job.width,
                        job.vector_parts + pair * job.width, job.width, 1, 1);
    return LNG_OK;
}
