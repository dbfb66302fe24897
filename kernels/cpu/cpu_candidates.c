/* The best continuations. Logits are looked at in blocks of columns, each while it lies in a near cache, where they are
 * computed here the moment they are: the exponentials are summed, and what may be among the best is kept. Which tokens
 * those are, and all sums, depend on the logits alone: not on threads, nor on whether logits were stored. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu_left.h"
#include "kernels/cpu/cpu_refine.h"

/* Rows that are multiplied by a block of weights at a time. */
enum { ROWS = 144, COLS = LNG_CPU_SCAN };

struct scan_job {
    struct lng_cpu *cpu;
    const struct lng_candidates_args *args;
    struct lng_cpu_left left;
    int64_t rows, blocks;
    int64_t offered,
        keep; /* logits a row: so that k of them are allowed; and with those that refining may lower */
    bool refine;              /* as LNG_REFINED says */
    struct lng_cpu_sum *sums; /* [rows, blocks] */
    float *forced;            /* [rows] logits of forced tokens */
    char *lists; /* [threads, rows] of list_bytes, each struct lng_cpu_found, logits, tokens */
    size_t list_bytes;
    struct lng_candidate *best; /* [rows, k], best first, filled up with token -1 */
};

static struct lng_cpu_found *found_of(const struct scan_job *job, int64_t thread, int64_t row)
{
    return (struct lng_cpu_found *)(void *)(job->lists +
                                            (size_t)(thread * job->rows + row) * job->list_bytes);
}

static void scan(const struct scan_job *job, int64_t row, int64_t block, const float *x, int thread)
{
    const struct lng_candidates_args *args = job->args;
    const int64_t first = block * COLS, n = lng_cpu_min(COLS, args->logits.cols - first);
    struct lng_cpu_found *found = found_of(job, thread, row);
    bool none = false;
    if (!args->normalized) {
        const struct lng_cpu_sum sum = job->cpu->simd->sum_exponentials(x, n);
        job->sums[row * job->blocks + block] = sum;
        none = found->count == job->keep && !(sum.highest >= found->logits[job->keep - 1]);
    }
    const int32_t forced = args->forced ? args->forced[row] : -1;
    if (forced >= first && forced < first + n)
        job->forced[row] = x[forced - first];
    if (!none)
        lng_cpu_keep_logits(job->cpu, found, job->keep, x, n, (int32_t)first);
}

/* A block of columns of all rows. */
static void scan_task(void *context, int64_t block, int thread)
{
    const struct scan_job *job = context;
    const struct lng_candidates_args *args = job->args;
    const struct lng_view *logits = &args->logits;
    if (logits->data) {
        for (int64_t r = 0; r < job->rows; r++)
            scan(job, r, block, (const float *)logits->data + r * logits->stride + block * COLS,
                 thread);
        return;
    }
    float *c = job->cpu->private[thread];
    for (int64_t row = 0; row < job->rows; row += ROWS) {
        const int64_t rows = lng_cpu_min(job->rows - row, ROWS), col = block * COLS;
        const float *bias = args->bias.data ? (const float *)args->bias.data + col : NULL;
        lng_cpu_left_multiply(job->cpu, &job->left, (const struct lng_cpu_weight *)args->weight,
                              &(struct lng_cpu_block){.row = row,
                                                      .rows = rows,
                                                      .col = col,
                                                      .cols = lng_cpu_min(COLS, logits->cols - col),
                                                      .c = c,
                                                      .c_row = COLS,
                                                      .bias = bias});
        for (int64_t r = 0; r < rows; r++)
            scan(job, row + r, block, c + r * COLS, thread);
    }
}

double lng_cpu_log_sum(const struct lng_cpu_sum *sums, int64_t blocks)
{
    float highest = -INFINITY;
    double sum = 0;
    for (int64_t b = 0; b < blocks; b++)
        highest = sums[b].highest > highest ? sums[b].highest : highest;
    for (int64_t b = 0; b < blocks; b++)
        sum += sums[b].sum * exp((double)sums[b].highest - highest);
    return highest + log(sum);
}

static bool is_better(const struct lng_candidate *a, const struct lng_candidate *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return a->row != b->row ? a->row < b->row : a->token < b->token;
}

/* Keeps out [k] sorted; -inf is no candidate. */
static void offer(struct lng_candidate *out, int64_t k, struct lng_candidate candidate)
{
    int64_t place = k;
    if (!(candidate.score > -INFINITY))
        return;
    while (place > 0 && is_better(&candidate, &out[place - 1]))
        place--;
    if (place == k)
        return;
    for (int64_t i = k - 1; i > place; i--)
        out[i] = out[i - 1];
    out[place] = candidate;
}

static void clear(struct lng_candidate *out, int64_t k)
{
    for (int64_t i = 0; i < k; i++)
        out[i] = (struct lng_candidate){-INFINITY, -INFINITY, -1, -1};
}

static bool is_banned(const struct lng_candidates_args *args, int64_t row, int64_t token)
{
    if (args->eos_banned && args->eos_banned[row] && token == args->eos)
        return true;
    for (int64_t i = 0; i < args->banned_count; i++)
        if (args->banned[i] == token)
            return true;
    return false;
}

/* The largest logits anew, and the log-sum-exp with them. */
static double refine(const struct scan_job *job, int64_t row, struct lng_cpu_found *all, double lse,
                     float *scratch)
{
    const struct lng_candidates_args *args = job->args;
    const struct lng_cpu_refining refining = {
        .weight = (const struct lng_cpu_weight *)args->weight, .x = args->x, .bias = args->bias};
    const int32_t count = (int32_t)lng_cpu_min(LNG_REFINED, all->count), left = all->count - count;
    float old[LNG_REFINED], exact[LNG_REFINED];
    int32_t tokens[LNG_REFINED];
    double highest = lse, sum = 0;
    memcpy(old, all->logits, (size_t)count * sizeof *old);
    memcpy(tokens, all->tokens, (size_t)count * sizeof *tokens);
    memmove(all->logits, all->logits + count, (size_t)left * sizeof *all->logits);
    memmove(all->tokens, all->tokens + count, (size_t)left * sizeof *all->tokens);
    all->count = left;
    for (int32_t i = 0; i < count; i++) {
        exact[i] = lng_cpu_exact_logit(job->cpu, &refining, row, tokens[i], scratch);
        if (exact[i] >= -INFINITY)
            lng_cpu_keep_logit(all, job->keep, exact[i], tokens[i]);
        highest = exact[i] > highest ? exact[i] : highest;
    }
    all->count = (int32_t)lng_cpu_min(all->count, job->offered);
    if (args->normalized || !isfinite(highest))
        return lse;
    for (int32_t i = 0; i < count; i++)
        sum += exp((double)exact[i] - highest) - exp((double)old[i] - highest);
    return highest + log(exp(lse - highest) + sum);
}

/* Score and log-probability rise with the logit; where they are rounded to the same, the earlier token goes before. */
static void choose_task(void *context, int64_t row, int thread)
{
    const struct scan_job *job = context;
    const struct lng_candidates_args *args = job->args;
    struct lng_candidate *out = job->best + row * args->k;
    const int32_t forced = args->forced ? args->forced[row] : -1;
    double lse = args->normalized ? 0 : lng_cpu_log_sum(job->sums + row * job->blocks, job->blocks);
    struct lng_cpu_found *all = found_of(job, 0, row);
    clear(out, args->k);
    for (int t = 1; t < job->cpu->threads; t++) {
        const struct lng_cpu_found *found = found_of(job, t, row);
        for (int32_t i = 0; i < found->count; i++)
            lng_cpu_keep_logit(all, job->keep, found->logits[i], found->tokens[i]);
    }
    if (job->refine)
        lse = refine(job, row, all, lse, job->cpu->private[thread]);
    if (forced >= 0) { /* it alone, refined where it was among the largest */
        float logit = forced < args->logits.cols ? job->forced[row] : -INFINITY;
        for (int32_t i = 0; i < all->count; i++)
            logit = all->tokens[i] == forced ? all->logits[i] : logit;
        all->count = 1;
        all->logits[0] = logit;
        all->tokens[0] = forced;
    }
    for (int32_t i = 0; i < all->count; i++) {
        if (forced < 0 && is_banned(args, row, all->tokens[i]))
            continue;
        const float logprob = (float)((double)all->logits[i] - lse);
        offer(out, args->k,
              (struct lng_candidate){args->row_scores[row] + logprob, logprob, (int32_t)row,
                                     all->tokens[i]});
    }
}

static void merge(const struct scan_job *job, int64_t sentence)
{
    const struct lng_candidates_args *args = job->args;
    struct lng_candidate *out = args->out + sentence * args->k;
    clear(out, args->k);
    for (int64_t r = args->row_offsets[sentence]; r < args->row_offsets[sentence + 1]; r++)
        for (int64_t i = 0; i < args->k && job->best[r * args->k + i].token >= 0; i++)
            offer(out, args->k, job->best[r * args->k + i]);
}

static bool offsets_rise(const int32_t *offsets, int64_t sentences, int64_t last)
{
    bool good = offsets[0] == 0 && offsets[sentences] == last;
    for (int64_t b = 0; b < sentences; b++)
        good &= offsets[b + 1] >= offsets[b];
    return good;
}

/* Shared scratch, in this order; returns its bytes. memory NULL: only measures. */
static size_t lay_scratch(struct scan_job *job, size_t left_bytes, char *memory)
{
    const int threads = job->cpu->threads;
    const struct {
        void **place;
        size_t bytes;
    } parts[] = {
        {(void **)&job->sums, (size_t)(job->rows * job->blocks) * sizeof *job->sums},
        {(void **)&job->lists, (size_t)(threads * job->rows) * job->list_bytes},
        {(void **)&job->best, (size_t)(job->rows * job->args->k) * sizeof *job->best},
        {(void **)&job->forced, (size_t)job->rows * sizeof *job->forced},
    };
    size_t used = left_bytes;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (memory)
            *parts[i].place = memory + used;
        used += (parts[i].bytes + 63) / 64 * 64;
    }
    return used;
}

static void open_lists(const struct scan_job *job)
{
    for (int64_t i = 0; i < job->cpu->threads * job->rows; i++) {
        struct lng_cpu_found *found = found_of(job, 0, i);
        found->logits = (float *)(void *)(found + 1);
        found->tokens = (int32_t *)(void *)(found->logits + job->keep);
        found->count = 0;
    }
}

enum lng_status lng_cpu_candidates(struct lng_device *device,
                                   const struct lng_candidates_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const struct lng_view *logits = &args->logits;
    const bool fused = !logits->data && logits->rows > 0;
    LNG_FAIL_IF(fused && args->x.dtype != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "candidates: x: expected f32 (the cpu stores activations in f32), found %s",
                lng_dtype_name(args->x.dtype));
    if (logits->dtype != LNG_DTYPE_F32 || (fused && lng_cpu_weight_is_ref(args->weight)) ||
        !offsets_rise(args->row_offsets, args->sentences, logits->rows))
        return lng_backend_ref.ops.candidates(device, args);
    struct scan_job job = {.cpu = cpu, .args = args, .rows = logits->rows};
    const enum lng_dtype compute = fused ? args->weight->compute : LNG_DTYPE_F32;
    job.blocks = lng_cpu_ceil(logits->cols, COLS);
    job.refine = fused && compute == LNG_DTYPE_I8;
    job.offered = lng_cpu_min(args->k + args->banned_count + 1, logits->cols);
    job.keep = lng_cpu_min(job.offered + (job.refine ? LNG_REFINED : 0), logits->cols);
    job.list_bytes = (sizeof(struct lng_cpu_found) + (size_t)job.keep * 8 + 63) / 64 * 64;
    const size_t left = fused ? lng_cpu_left_bytes(cpu, compute, job.rows, args->x.cols) : 0;
    size_t tile = fused ? (size_t)lng_cpu_min(job.rows, ROWS) * COLS * sizeof(float) : 0;
    if (job.refine && tile < (size_t)args->x.cols * sizeof(float))
        tile = (size_t)args->x.cols * sizeof(float);
    LNG_TRY(lng_cpu_reserve(cpu, tile, lay_scratch(&job, left, NULL)));
    lay_scratch(&job, left, cpu->shared);
    open_lists(&job);
    if (fused)
        job.left = lng_cpu_left_make(cpu, &args->x, compute, cpu->shared);
    lng_cpu_run(cpu, job.blocks, scan_task, &job);
    lng_cpu_run(cpu, job.rows, choose_task, &job);
    for (int64_t b = 0; b < args->sentences; b++)
        merge(&job, b);
    return LNG_OK;
}
