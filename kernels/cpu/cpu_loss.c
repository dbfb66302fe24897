/* Cross-entropy, of rows and of pairs. */
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
