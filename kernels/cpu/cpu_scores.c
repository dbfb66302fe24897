/* Log-probabilities of one model or several. */
#include <math.h>

#include "kernels/cpu/cpu_device.h"

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
