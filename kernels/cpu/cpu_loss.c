/* Cross-entropy, of rows and of pairs, and the best continuations. */
#include <math.h>

#include "kernels/cpu/cpu_device.h"

struct loss_job {
    struct lng_cpu *cpu;
    const struct lng_loss_args *args;
    double at_target, elsewhere;
    double (*answers)[3]; /* [rows] */
    int64_t block;
};

static void loss_task(void *context, int64_t task, int thread)
{
    const struct loss_job *job = context;
    (void)thread;
    int64_t first = task * job->block;
    int64_t end = lng_cpu_min(first + job->block, job->args->logits.rows);
    for (int64_t row = first; row < end; row++)
        job->cpu->simd->loss_row(job->args, row, job->at_target, job->elsewhere, job->answers[row]);
}

/* The probability wanted at the target and at each other column. */
static double at_target_of(double smoothing, enum lng_smoothing kind, int64_t columns,
                           double *elsewhere)
{
    const double count = (double)columns;
    *elsewhere = kind == LNG_SMOOTHING_UNIFORM ? smoothing / count
                 : columns > 1                 ? smoothing / (count - 1)
                                               : 0;
    return 1 - smoothing + (kind == LNG_SMOOTHING_UNIFORM ? *elsewhere : 0);
}

static bool in_range(const int32_t *targets, int64_t count, int64_t columns)
{
    bool good = true;
    for (int64_t i = 0; i < count; i++)
        good &= targets[i] >= 0 && targets[i] < columns;
    return good;
}

/* sums may be NULL. */
static void add_answers(double *sums, const double (*answers)[3], int64_t count)
{
    double all[3] = {0};
    for (int64_t n = 0; n < count; n++)
        for (int i = 0; i < 3; i++)
            all[i] += answers[n][i];
    for (int i = 0; sums && i < 3; i++)
        sums[i] += all[i];
}

enum lng_status lng_cpu_loss(struct lng_device *device, const struct lng_loss_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const int64_t rows = args->logits.rows, columns = args->logits.cols;
    if (args->logits.dtype != LNG_DTYPE_F32 || !in_range(args->targets, rows, columns))
        return lng_backend_ref.ops.loss(device, args);
    struct loss_job job = {.cpu = cpu, .args = args, .block = 1 + 16384 / columns};
    job.at_target = at_target_of(args->smoothing, args->kind, columns, &job.elsewhere);
    LNG_TRY(lng_cpu_reserve(cpu, 0, (size_t)rows * sizeof *job.answers));
    job.answers = cpu->shared;
    lng_cpu_run(cpu, lng_cpu_ceil(rows, job.block), loss_task, &job);
    add_answers(args->sums, job.answers, rows);
    return LNG_OK;
}

struct pair_job {
    struct lng_cpu *cpu;
    const struct lng_pair_loss_args *args;
    double at_target, elsewhere;
    double (*answers)[3]; /* [pairs] */
    int64_t block;
};

static void pair_task(void *context, int64_t task, int thread)
{
    const struct pair_job *job = context;
    (void)thread;
    int64_t first = task * job->block;
    int64_t end = lng_cpu_min(first + job->block, job->args->logits.rows / 2);
    for (int64_t pair = first; pair < end; pair++)
        job->cpu->simd->loss_pair(job->args, pair, job->at_target, job->elsewhere,
                                  job->answers[pair]);
}

enum lng_status lng_cpu_pair_loss(struct lng_device *device, const struct lng_pair_loss_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const int64_t pairs = args->logits.rows / 2, columns = args->logits.cols;
    if (args->logits.dtype != LNG_DTYPE_F32 || !in_range(args->targets, pairs, columns))
        return lng_backend_ref.ops.pair_loss(device, args);
    struct pair_job job = {.cpu = cpu, .args = args, .block = 1 + 8192 / columns};
    job.at_target = at_target_of(args->smoothing, args->kind, columns, &job.elsewhere);
    LNG_TRY(lng_cpu_reserve(cpu, 0, (size_t)pairs * sizeof *job.answers));
    job.answers = cpu->shared;
    lng_cpu_run(cpu, lng_cpu_ceil(pairs, job.block), pair_task, &job);
    add_answers(args->sums, job.answers, pairs);
    return LNG_OK;
}

struct search_job {
    struct lng_cpu *cpu;
    const struct lng_candidates_args *args;
    struct lng_candidate *rows; /* [R, k], best first, filled up with token -1 */
};

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

static struct lng_candidate candidate_of(const struct lng_candidates_args *args, int64_t row,
                                         int64_t token, float x, double lse)
{
    float logprob = (float)((double)x - lse);
    return (struct lng_candidate){args->row_scores[row] + logprob, logprob, (int32_t)row,
                                  (int32_t)token};
}

/* The best k of one row. A logit below the k-th best so far cannot enter: score and log-probability
 * rise with it, and at equal scores the earlier token stays. */
static void search_task(void *context, int64_t row, int thread)
{
    const struct search_job *job = context;
    const struct lng_candidates_args *args = job->args;
    const struct lng_simd *simd = job->cpu->simd;
    const int64_t n = args->logits.cols, k = args->k;
    const float *x = (const float *)args->logits.data + row * args->logits.stride;
    struct lng_candidate *out = job->rows + row * k;
    (void)thread;
    clear(out, k);
    float floor;
    /* k allowed tokens reach it whatever the banned ones are */
    double lse = simd->row_log_sum(x, n, k + args->banned_count + 1, &floor);
    if (args->normalized)
        lse = 0;
    int32_t forced = args->forced ? args->forced[row] : -1;
    if (forced >= 0) {
        if (forced < n)
            offer(out, k, candidate_of(args, row, forced, x[forced], lse));
        return;
    }
    int64_t held = 0;
    for (int64_t j = simd->find_at_least(x, 0, n, floor); j < n;
         j = simd->find_at_least(x, j + 1, n, floor)) {
        if (is_banned(args, row, j))
            continue;
        offer(out, k, candidate_of(args, row, j, x[j], lse));
        held++;
        if (held >= k && out[k - 1].token >= 0 && x[out[k - 1].token] > floor)
            floor = x[out[k - 1].token];
    }
}

static void merge_task(void *context, int64_t sentence, int thread)
{
    const struct search_job *job = context;
    const struct lng_candidates_args *args = job->args;
    struct lng_candidate *out = args->out + sentence * args->k;
    (void)thread;
    clear(out, args->k);
    for (int64_t r = args->row_offsets[sentence]; r < args->row_offsets[sentence + 1]; r++)
        for (int64_t i = 0; i < args->k && job->rows[r * args->k + i].token >= 0; i++)
            offer(out, args->k, job->rows[r * args->k + i]);
}

static bool offsets_rise(const int32_t *offsets, int64_t sentences, int64_t last)
{
    bool good = offsets[0] == 0 && offsets[sentences] == last;
    for (int64_t b = 0; b < sentences; b++)
        good &= offsets[b + 1] >= offsets[b];
    return good;
}

enum lng_status lng_cpu_candidates(struct lng_device *device,
                                   const struct lng_candidates_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const int64_t rows = args->logits.rows;
    if (args->logits.dtype != LNG_DTYPE_F32 ||
        !offsets_rise(args->row_offsets, args->sentences, rows))
        return lng_backend_ref.ops.candidates(device, args);
    struct search_job job = {.cpu = cpu, .args = args};
    LNG_TRY(lng_cpu_reserve(cpu, 0, (size_t)(rows * args->k) * sizeof *job.rows));
    job.rows = cpu->shared;
    lng_cpu_run(cpu, rows, search_task, &job);
    for (int64_t b = 0; b < args->sentences; b++)
        merge_task(&job, b, 0);
    return LNG_OK;
}
