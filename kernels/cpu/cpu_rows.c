/* Ops that work row by row: norm, embedding, activation. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* Rows whose shares of d_gamma and d_beta are summed first: fixed, so that threads do not show. */
enum { NORM_BLOCK = 32, TASK_ELEMENTS = 8192 };

struct rows_job {
    struct lng_cpu *cpu;
    const void *args;
    int64_t rows, block;
    float *parts;
    int64_t width, shares;
};

/* A row of floats and its dropout halves. */
static size_t row_scratch(int64_t width)
{
    return (size_t)(width + 32) * sizeof(float) + (size_t)(width + 256) * sizeof(uint16_t);
}

static struct rows_job rows_job_make(struct lng_cpu *cpu, const void *args, int64_t rows,
                                     int64_t width)
{
    int64_t block = TASK_ELEMENTS / (width < 1 ? 1 : width);
    return (struct rows_job){
        .cpu = cpu, .args = args, .rows = rows, .block = block < 1 ? 1 : block, .width = width};
}

static enum lng_status run_rows(struct rows_job *job, lng_cpu_task *function)
{
    LNG_TRY(lng_cpu_reserve(job->cpu, row_scratch(job->width), 0));
    lng_cpu_run(job->cpu, lng_cpu_ceil(job->rows, job->block), function, job);
    return LNG_OK;
}

#define ROWS_TASK(name)                                                                    \
    static void name##_task(void *context, int64_t task, int thread)                       \
    {                                                                                      \
        const struct rows_job *job = context;                                              \
        int64_t first = task * job->block;                                                 \
        job->cpu->simd->name(job->args, first, lng_cpu_min(first + job->block, job->rows), \
                             job->cpu->private[thread]);                                   \
    }
ROWS_TASK(norm_fwd)
ROWS_TASK(embed_fwd)
ROWS_TASK(activation_fwd)
ROWS_TASK(activation_bwd)

enum lng_status lng_cpu_norm_fwd(struct lng_device *device, const struct lng_norm_fwd_args *args)
{
    if (args->x.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.norm_fwd(device, args);
    struct rows_job job = rows_job_make(lng_cpu_of(device), args, args->x.rows, args->x.cols);
    return run_rows(&job, norm_fwd_task);
}

static void norm_bwd_task(void *context, int64_t task, int thread)
{
    const struct rows_job *job = context;
    int64_t first = task * NORM_BLOCK;
    job->cpu->simd->norm_bwd(job->args, first, lng_cpu_min(first + NORM_BLOCK, job->rows),
                             job->parts + task * 2 * job->width, job->cpu->private[thread]);
}

enum lng_status lng_cpu_norm_bwd(struct lng_device *device, const struct lng_norm_bwd_args *args)
{
    const struct lng_view *shape = args->d_y.data ? &args->d_y : &args->d_sum;
    if (shape->dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.norm_bwd(device, args);
    struct lng_cpu *cpu = lng_cpu_of(device);
    struct rows_job job = rows_job_make(cpu, args, shape->rows, shape->cols);
    int64_t tasks = lng_cpu_ceil(job.rows, NORM_BLOCK), width = job.width;
    LNG_TRY(lng_cpu_reserve(cpu, row_scratch(width), (size_t)(tasks * 2 * width) * sizeof(float)));
    job.parts = cpu->shared;
    lng_cpu_run(cpu, tasks, norm_bwd_task, &job);
    if (args->kind == LNG_NORM_NONE || tasks == 0)
        return LNG_OK;
    for (int64_t t = 1; t < tasks; t++)
        cpu->simd->blend(job.parts, job.parts + t * 2 * width, 2 * width, 1, 1);
    cpu->simd->blend(args->d_gamma.data, job.parts, width, 1, 1);
    if (args->d_beta.data)
        cpu->simd->blend(args->d_beta.data, job.parts + width, width, 1, 1);
    return LNG_OK;
}

/* Whether every index lies in [first, end); ref then says which does not. */
static bool in_range(const int32_t *index, int64_t count, int64_t first, int64_t end)
{
    bool good = true;
    for (int64_t i = 0; i < count; i++)
        good &= index[i] >= first && index[i] < end;
    return good;
}

/* Rows of an int8 weight, as a table of those that are asked for. */
struct gather {
    const struct lng_cpu *cpu;
    const struct lng_embed_fwd_args *args;
    float *table;
    int32_t *ids; /* of rows in the table */
};

static void gather_task(void *context, int64_t row, int thread)
{
    const struct gather *job = context;
    const struct lng_embed_fwd_args *args = job->args;
    (void)thread;
    job->ids[row] = args->ids[row] < 0 ? -1 : (int32_t)row;
    if (args->ids[row] >= 0)
        lng_cpu_weight_row(job->cpu, (const struct lng_cpu_weight *)args->rows, args->ids[row],
                           job->table + row * args->y.cols);
}

static enum lng_status gather_table(struct lng_cpu *cpu, struct lng_embed_fwd_args *args)
{
    const size_t rows = (size_t)args->y.rows, width = (size_t)args->y.cols;
    LNG_TRY(lng_cpu_reserve(cpu, 0, rows * (width * sizeof(float) + sizeof(int32_t))));
    struct gather job = {cpu, args, cpu->shared, NULL};
    job.ids = (int32_t *)(void *)(job.table + rows * width);
    lng_cpu_run(cpu, args->y.rows, gather_task, &job);
    args->table = lng_view_make(job.table, LNG_DTYPE_F32, args->y.rows, args->y.cols);
    args->ids = job.ids;
    return LNG_OK;
}

enum lng_status lng_cpu_embed_fwd(struct lng_device *device, const struct lng_embed_fwd_args *args)
{
    const int64_t rows = args->y.rows;
    const bool good = in_range(args->ids, rows, -1, args->table.rows) &&
                      (!args->position_table.data ||
                       in_range(args->positions, rows, 0, args->position_table.rows));
    LNG_TRY(lng_cpu_check_table("embed_fwd", &args->table, args->y.dtype));
    if (args->y.dtype != LNG_DTYPE_F32 || !good)
        return lng_backend_ref.ops.embed_fwd(device, args);
    struct lng_embed_fwd_args plain = *args;
    if (!args->table.data)
        LNG_TRY(gather_table(lng_cpu_of(device), &plain));
    struct rows_job job = rows_job_make(lng_cpu_of(device), &plain, rows, args->y.cols);
    return run_rows(&job, embed_fwd_task);
}

static void embed_bwd_task(void *context, int64_t task, int thread)
{
    const struct rows_job *job = context;
    const struct lng_embed_bwd_args *args = job->args;
    bool positions = task >= job->shares || !args->d_table.data;
    job->cpu->simd->embed_bwd(args, positions, task % job->shares, job->shares,
                              job->cpu->private[thread]);
}

enum lng_status lng_cpu_embed_bwd(struct lng_device *device, const struct lng_embed_bwd_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const int64_t rows = args->d_y.rows, width = args->d_y.cols;
    const bool table = args->d_table.data, positions = args->d_position_table.data;
    const bool good =
        (!table || in_range(args->ids, rows, -1, args->d_table.rows)) &&
        (!positions || in_range(args->positions, rows, 0, args->d_position_table.rows));
    if (args->d_y.dtype != LNG_DTYPE_F32 || !good)
        return lng_backend_ref.ops.embed_bwd(device, args);
    struct rows_job job = rows_job_make(cpu, args, rows, width);
    job.shares = cpu->threads > 1 && rows * width > TASK_ELEMENTS ? 4 * cpu->threads : 1;
    LNG_TRY(lng_cpu_reserve(cpu, row_scratch(width), 0));
    lng_cpu_run(cpu, job.shares * ((int64_t)table + positions), embed_bwd_task, &job);
    return LNG_OK;
}

enum lng_status lng_cpu_activation_fwd(struct lng_device *device,
                                       const struct lng_activation_fwd_args *args)
{
    if (args->x.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.activation_fwd(device, args);
    struct rows_job job = rows_job_make(lng_cpu_of(device), args, args->x.rows, args->x.cols);
    return run_rows(&job, activation_fwd_task);
}

enum lng_status lng_cpu_activation_bwd(struct lng_device *device,
                                       const struct lng_activation_bwd_args *args)
{
    if (args->x.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.activation_bwd(device, args);
    struct rows_job job = rows_job_make(lng_cpu_of(device), args, args->x.rows, args->x.cols);
    return run_rows(&job, activation_bwd_task);
}
