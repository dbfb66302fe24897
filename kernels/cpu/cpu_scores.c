/* Scores of tokens: chosen logits, and log-probabilities of one model or several. */
#include <math.h>

#include "kernels/cpu/cpu_device.h"

enum { SELECT_BLOCK = 64 /* tokens of a task */ };

/* Neighbouring rows that ask for the same tokens. */
struct select_group {
    int64_t first, rows, tasks; /* tasks: of this group and all before it */
};
struct select_job {
    struct lng_cpu *cpu;
    const struct lng_select_logits_args *args;
    struct select_group *groups;
    int64_t group_count;
};

static const struct select_group *group_of(const struct select_job *job, int64_t task)
{
    int64_t low = 0, high = job->group_count - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (job->groups[middle].tasks > task)
            high = middle;
        else
            low = middle + 1;
    }
    return &job->groups[low];
}

static void select_task(void *context, int64_t task, int thread)
{
    const struct select_job *job = context;
    const struct lng_select_logits_args *a = job->args;
    const struct select_group *group = group_of(job, task);
    const int64_t before = group == job->groups ? 0 : group[-1].tasks;
    const int32_t count = a->count[group->first];
    const int32_t *tokens = a->tokens + a->first[group->first];
    const float *x = (const float *)a->x.data + group->first * a->x.stride;
    float *y = (float *)a->y.data + group->first * a->y.stride;
    const int64_t begin = (task - before) * SELECT_BLOCK;
    float *unpacked = job->cpu->private[thread];
    for (int64_t j = begin; j < lng_cpu_min(begin + SELECT_BLOCK, count); j++) {
        const int64_t token = tokens[j];
        float add = a->bias.data ? ((const float *)a->bias.data)[token] : 0.0f;
        const float *row = unpacked;
        if (a->table.data)
            row = (const float *)a->table.data + token * a->table.stride;
        else
            lng_cpu_weight_row(job->cpu, (const struct lng_cpu_weight *)a->rows, token, unpacked);
        job->cpu->simd->dot_rows(x, a->x.stride, group->rows, row, a->x.cols, add, y + j,
                                 a->y.stride);
    }
}

static bool selection_is_good(const struct lng_select_logits_args *a)
{
    bool good = true;
    for (int64_t i = 0; i < a->token_count; i++)
        good &= a->tokens[i] >= 0 && a->tokens[i] < a->table.rows;
    for (int64_t r = 0; r < a->x.rows; r++)
        good &= a->first[r] >= 0 && a->count[r] >= 0 && a->count[r] <= a->y.cols &&
                a->first[r] + (int64_t)a->count[r] <= a->token_count;
    return good;
}

enum lng_status lng_cpu_select_logits(struct lng_device *device,
                                      const struct lng_select_logits_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    LNG_TRY(lng_cpu_check_table("select_logits", &args->table, args->x.dtype));
    if (args->x.dtype != LNG_DTYPE_F32 || !selection_is_good(args))
        return lng_backend_ref.ops.select_logits(device, args);
    struct select_job job = {.cpu = cpu, .args = args};
    LNG_TRY(lng_cpu_reserve(cpu, args->table.data ? 0 : (size_t)args->x.cols * sizeof(float),
                            (size_t)args->x.rows * sizeof *job.groups));
    job.groups = cpu->shared;
    int64_t tasks = 0;
    for (int64_t r = 0; r < args->x.rows; r++) {
        bool joins =
            r > 0 && args->first[r] == args->first[r - 1] && args->count[r] == args->count[r - 1];
        if (joins) {
            job.groups[job.group_count - 1].rows++;
            continue;
        }
        tasks += lng_cpu_ceil(args->count[r], SELECT_BLOCK);
        job.groups[job.group_count++] = (struct select_group){r, 1, tasks};
    }
    lng_cpu_run(cpu, tasks, select_task, &job);
    return LNG_OK;
}

struct log_probs_job {
    struct lng_cpu *cpu;
    const struct lng_log_probs_args *args;
};

static void log_probs_task(void *context, int64_t row, int thread)
{
    const struct log_probs_job *job = context;
    const struct lng_log_probs_args *a = job->args;
    const int64_t count = a->count ? a->count[row] : a->logits.cols;
    const float *x = (const float *)a->logits.data + row * a->logits.stride;
    float *y = (float *)a->y.data + row * a->y.stride;
    struct lng_cpu_sum *sums = job->cpu->private[thread];
    const int64_t blocks = lng_cpu_ceil(count, LNG_CPU_SCAN);
    for (int64_t b = 0; b < blocks; b++)
        sums[b] = job->cpu->simd->sum_exponentials(
            x + b * LNG_CPU_SCAN, lng_cpu_min(LNG_CPU_SCAN, count - b * LNG_CPU_SCAN));
    const double lse = lng_cpu_log_sum(sums, blocks);
    switch (a->combine) {
    case LNG_COMBINE_WRITE:
        for (int64_t j = 0; j < count; j++)
            y[j] = (float)(a->factor * (float)((double)x[j] - lse) + a->offset);
        break;
    case LNG_COMBINE_ADD:
        for (int64_t j = 0; j < count; j++)
            y[j] = (float)(y[j] + (a->factor * (float)((double)x[j] - lse) + a->offset));
        break;
    case LNG_COMBINE_LOG_ADD:
        for (int64_t j = 0; j < count; j++) {
            float v = (float)(a->factor * (float)((double)x[j] - lse) + a->offset);
            float high = y[j] > v ? y[j] : v, low = y[j] > v ? v : y[j];
            y[j] = low == -INFINITY ? high : high + log1pf(expf(low - high));
        }
        break;
    }
    for (int64_t j = count; j < a->logits.cols; j++)
        y[j] = -INFINITY;
}

enum lng_status lng_cpu_log_probs(struct lng_device *device, const struct lng_log_probs_args *args)
{
    bool good = args->logits.dtype == LNG_DTYPE_F32;
    for (int64_t r = 0; args->count && r < args->logits.rows; r++)
        good &= args->count[r] >= 1 && args->count[r] <= args->logits.cols;
    if (!good)
        return lng_backend_ref.ops.log_probs(device, args);
    struct log_probs_job job = {lng_cpu_of(device), args};
    const int64_t blocks = lng_cpu_ceil(args->logits.cols, LNG_CPU_SCAN);
    LNG_TRY(lng_cpu_reserve(job.cpu, (size_t)blocks * sizeof(struct lng_cpu_sum), 0));
    lng_cpu_run(job.cpu, args->logits.rows, log_probs_task, &job);
    return LNG_OK;
}
