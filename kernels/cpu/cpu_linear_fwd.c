/* Products with weights, forward. Rows and columns are cut into blocks that the threads share out; every element of
 * a result is one sum in the order of k, so blocks, batch and threads do not show in the bits. */
#include "kernels/cpu/cpu_left.h"
#include "kernels/cpu/cpu_refine.h"

/* Rows a block, at most: a pass over weights that lie far away serves so many, and they fit the second-level cache. Tasks
 * a thread, where there are columns enough. Rows of whole tiles, in the widest instruction set and on AMX. */
enum { BLOCK = 143, SHARES = 6, TILE = 13, AMX_TILES = 32 };
/* A second thread is not worth waking for fewer multiplications. */
enum { SMALL_PRODUCT = 200 * 1000 };

struct forward {
    struct lng_cpu *cpu;
    const struct lng_linear_fwd_args *args;
    struct lng_cpu_left left;
    int64_t row_tasks, block, columns; /* blocks of rows, their rows; columns of a task */
};

static void forward_task(void *context, int64_t task, int thread)
{
    const struct forward *job = context;
    const struct lng_linear_fwd_args *args = job->args;
    const int64_t row = task % job->row_tasks * job->block;
    const int64_t col = task / job->row_tasks * job->columns;
    const struct lng_cpu_block block = {
        .row = row,
        .rows = lng_cpu_min(job->block, args->y.rows - row),
        .col = args->first + col,
        .cols = lng_cpu_min(job->columns, args->y.cols - col),
        .c = (float *)args->y.data + row * args->y.stride + col,
        .c_row = args->y.stride,
        .bias = args->bias.data ? (const float *)args->bias.data + col : NULL,
        .add = args->accumulate,
        .relu = args->activation == LNG_ACTIVATION_RELU,
    };
    (void)thread;
    lng_cpu_left_multiply(job->cpu, &job->left, (const struct lng_cpu_weight *)args->weight,
                          &block);
    if (args->activation == LNG_ACTIVATION_NONE || args->activation == LNG_ACTIVATION_RELU)
        return;
    float *y = block.c;
    for (int64_t i = 0; i < block.rows; i++, y += args->y.stride)
        job->cpu->simd->activate(args->activation, y, y, block.cols);
}

/* At least some tasks a thread, by columns where rows do not suffice. */
static int64_t cut(struct forward *job)
{
    const struct lng_cpu *cpu = job->cpu;
    const int64_t rows = job->args->y.rows, cols = job->args->y.cols, nr = cpu->simd->nr;
    const int64_t panels = lng_cpu_ceil(cols, nr), wanted = SHARES * cpu->threads;
    int64_t parts = 1;
    const int64_t tile =
        cpu->tiles && job->args->weight->compute != LNG_DTYPE_F32 ? AMX_TILES : TILE;
    job->block = lng_cpu_ceil(rows, lng_cpu_ceil(rows, BLOCK) * tile) * tile; /* of like height */
    job->row_tasks = lng_cpu_ceil(rows, job->block);
    if (cpu->threads > 1 && rows * cols * job->args->x.cols >= SMALL_PRODUCT)
        parts = lng_cpu_min(lng_cpu_ceil(wanted, job->row_tasks), panels);
    job->columns = lng_cpu_ceil(panels, parts) * nr;
    return job->row_tasks * lng_cpu_ceil(cols, job->columns);
}

enum lng_status lng_cpu_linear_fwd(struct lng_device *device,
                                   const struct lng_linear_fwd_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    const enum lng_dtype compute = args->weight->compute;
    if (lng_cpu_weight_is_ref(args->weight))
        return lng_backend_ref.ops.linear_fwd(device, args);
    LNG_FAIL_IF(args->x.dtype != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "linear_fwd: x: expected f32 (the cpu stores activations in f32), found %s",
                lng_dtype_name(args->x.dtype));
    LNG_TRY(lng_cpu_reserve(cpu, args->refine ? (size_t)args->x.cols * sizeof(float) : 0,
                            lng_cpu_left_bytes(cpu, compute, args->x.rows, args->x.cols)));
    struct forward job = {.cpu = cpu, .args = args};
    job.left = lng_cpu_left_make(cpu, &args->x, compute, cpu->shared);
    lng_cpu_run(cpu, cut(&job), forward_task, &job);
    if (args->refine)
        lng_cpu_refine(cpu,
                       &(struct lng_cpu_refining){
                           .weight = (const void *)args->weight, .x = args->x, .bias = args->bias},
                       args->y, NULL, NULL, NULL);
    return LNG_OK;
}

enum lng_status lng_cpu_norm_linear_fwd(struct lng_device *device,
                                        const struct lng_norm_linear_fwd_args *args)
{
    LNG_TRY(lng_cpu_norm_fwd(device, &args->norm));
    return lng_cpu_linear_fwd(device, &args->linear);
}
