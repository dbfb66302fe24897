/* Flat ranges and plain moves. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* Elements a task; also the block of a fixed-order sum. */
enum { BLOCK = 16384 };

struct flat_job {
    struct lng_cpu *cpu;
    const void *args;
    int64_t n;
    double (*parts)[2];
};

static void adam_task(void *context, int64_t task, int thread)
{
    const struct flat_job *job = context;
    (void)thread;
    job->cpu->simd->adam(job->args, task * BLOCK, lng_cpu_min((task + 1) * BLOCK, job->n));
}

enum lng_status lng_cpu_adam(struct lng_device *device, const struct lng_adam_args *args)
{
    struct lng_adam_args known = *args;
    struct flat_job job = {.cpu = lng_cpu_of(device), .args = &known, .n = args->n};
    if (args->scale != NULL)
        known.grad_scale = *args->scale;
    if (args->scale != NULL && known.grad_scale == 0)
        return LNG_OK;
    lng_cpu_run(job.cpu, lng_cpu_ceil(args->n, BLOCK), adam_task, &job);
    return LNG_OK;
}

static void stats_task(void *context, int64_t task, int thread)
{
    const struct flat_job *job = context;
    const struct lng_gradient_stats_args *args = job->args;
    (void)thread;
    job->cpu->simd->gradient_stats((const float *)args->grad + task * BLOCK,
                                   lng_cpu_min(BLOCK, job->n - task * BLOCK), job->parts[task]);
}

enum lng_status lng_cpu_gradient_stats(struct lng_device *device,
                                       const struct lng_gradient_stats_args *args)
{
    struct flat_job job = {.cpu = lng_cpu_of(device), .args = args, .n = args->n};
    int64_t tasks = lng_cpu_ceil(args->n, BLOCK);
    LNG_TRY(lng_cpu_reserve(job.cpu, 0, (size_t)tasks * sizeof *job.parts));
    job.parts = job.cpu->shared;
    lng_cpu_run(job.cpu, tasks, stats_task, &job);
    args->out[0] = args->out[1] = 0;
    for (int64_t t = 0; t < tasks; t++)
        for (int i = 0; i < 2; i++)
            args->out[i] += job.parts[t][i];
    if (args->scale != NULL)
        *args->scale = lng_gradient_scale(args);
    return LNG_OK;
}

static void average_task(void *context, int64_t task, int thread)
{
    const struct flat_job *job = context;
    const struct lng_average_args *args = job->args;
    (void)thread;
    job->cpu->simd->blend((float *)args->y + task * BLOCK, (const float *)args->x + task * BLOCK,
                          lng_cpu_min(BLOCK, job->n - task * BLOCK), (float)(1 - args->rate),
                          (float)args->rate);
}

enum lng_status lng_cpu_average(struct lng_device *device, const struct lng_average_args *args)
{
    struct flat_job job = {.cpu = lng_cpu_of(device), .args = args, .n = args->n};
    lng_cpu_run(job.cpu, lng_cpu_ceil(args->n, BLOCK), average_task, &job);
    return LNG_OK;
}

/* A matrix whose rows touch is one long row. */
struct move_job {
    struct lng_cpu *cpu;
    struct lng_view x, y;
    const int32_t *rows;
    int64_t block, heads;
    float a, b;
};

static struct move_job move_job_make(struct lng_device *device, struct lng_view x,
                                     struct lng_view y)
{
    struct move_job job = {.cpu = lng_cpu_of(device), .x = x, .y = y};
    if (y.stride == y.cols && (!x.data || x.stride == x.cols) && y.rows * y.cols > 0) {
        const int64_t total = y.rows * y.cols, cols = lng_cpu_min(total, BLOCK);
        /* whole pieces only: otherwise rows stay what they are */
        if (total % cols == 0) {
            job.x.rows = job.y.rows = total / cols;
            job.x.cols = job.y.cols = job.x.stride = job.y.stride = cols;
        }
    }
    job.block = 1 + BLOCK / (job.y.cols > 0 ? job.y.cols : 1);
    return job;
}

static void run_moves(struct move_job *job, lng_cpu_task *function)
{
    lng_cpu_run(job->cpu, lng_cpu_ceil(job->y.rows, job->block), function, job);
}

/* y row = a y + b x, or a y + b without x; or the row copied, or filled. */
#define EACH_ROW(name, body)                                             \
    static void name(void *context, int64_t task, int thread)            \
    {                                                                    \
        const struct move_job *job = context;                            \
        int64_t end = lng_cpu_min((task + 1) * job->block, job->y.rows); \
        (void)thread;                                                    \
        for (int64_t row = task * job->block; row < end; row++) {        \
            float *y = (float *)job->y.data + row * job->y.stride;       \
            body                                                         \
        }                                                                \
    }
EACH_ROW(blend_task, {
    const float *x = job->x.data ? (const float *)job->x.data + row * job->x.stride : NULL;
    job->cpu->simd->blend(y, x, job->y.cols, job->a, job->b);
})
EACH_ROW(copy_task, {
    memcpy(y, (const float *)job->x.data + row * job->x.stride, (size_t)job->y.cols * sizeof *y);
})
EACH_ROW(store_task, {
    lng_cpu_store_cache(job->cpu, (const float *)job->x.data + row * job->x.stride, &job->y, row,
                        job->heads);
    (void)y;
})
EACH_ROW(fill_task, {
    for (int64_t j = 0; j < job->y.cols; j++)
        y[j] = job->b;
})
EACH_ROW(gather_task, {
    if (job->rows[row] < 0)
        memset(y, 0, (size_t)job->y.cols * sizeof *y);
    else
        memcpy(y, (const float *)job->x.data + job->rows[row] * job->x.stride,
               (size_t)job->y.cols * sizeof *y);
})

enum lng_status lng_cpu_scale(struct lng_device *device, const struct lng_scale_args *args)
{
    if (args->y.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.scale(device, args);
    struct move_job job = move_job_make(device, (struct lng_view){0}, args->y);
    job.a = (float)args->factor;
    run_moves(&job, blend_task);
    return LNG_OK;
}

enum lng_status lng_cpu_fill(struct lng_device *device, const struct lng_fill_args *args)
{
    if (args->y.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.fill(device, args);
    struct move_job job = move_job_make(device, (struct lng_view){0}, args->y);
    job.b = (float)args->value;
    run_moves(&job, fill_task);
    return LNG_OK;
}

enum lng_status lng_cpu_copy(struct lng_device *device, const struct lng_copy_args *args)
{
    const bool bytes = args->y.dtype == LNG_DTYPE_I8;
    if (args->x.dtype != LNG_DTYPE_F32 || args->y.dtype == LNG_DTYPE_F64 ||
        (bytes && args->y.cols / args->heads % 4 != 0))
        return lng_backend_ref.ops.copy(device, args);
    struct move_job job = move_job_make(device, args->x, args->y);
    job.heads = args->heads;
    run_moves(&job, args->y.dtype == LNG_DTYPE_F32 ? copy_task : store_task);
    return LNG_OK;
}

enum lng_status lng_cpu_add(struct lng_device *device, const struct lng_add_args *args)
{
    if (args->x.dtype != LNG_DTYPE_F32 || args->y.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.add(device, args);
    struct move_job job = move_job_make(device, args->x, args->y);
    job.a = job.b = 1;
    run_moves(&job, blend_task);
    return LNG_OK;
}

enum lng_status lng_cpu_gather_rows(struct lng_device *device,
                                    const struct lng_gather_rows_args *args)
{
    bool good = args->x.dtype == LNG_DTYPE_F32 && args->y.dtype == LNG_DTYPE_F32;
    for (int64_t i = 0; i < args->y.rows; i++)
        good &= args->rows[i] >= -1 && args->rows[i] < args->x.rows;
    if (!good)
        return lng_backend_ref.ops.gather_rows(device, args);
    struct move_job job = {.cpu = lng_cpu_of(device), .x = args->x, .y = args->y};
    job.rows = args->rows;
    job.block = 1 + BLOCK / (args->y.cols > 0 ? args->y.cols : 1);
    run_moves(&job, gather_task);
    return LNG_OK;
}
