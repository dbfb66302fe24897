/* Products with int8 weights: rows of x are quantised, once, then multiplied by blocks of rows and columns. Sums of int8
 * are exact, so nothing of how the work is cut shows in the bits. */
#include "kernels/cpu/cpu_device.h"

/* Rows a task: a pass over weights that lie far away serves so many. Rows that one task quantises; so few are not worth
 * waking a thread for. Tasks a thread, where there are columns enough. */
enum { BLOCK = 144, QUANTIZE_ROWS = 16, FEW_ROWS = 8, SHARES = 6, SMALL_PRODUCTS = 200 * 1000 };

struct product {
    struct lng_cpu *cpu;
    const struct lng_linear_fwd_args *args;
    uint32_t *rows; /* [R, pitch] four values of int8 each */
    float *scales;  /* [R] */
    int64_t pitch;
    int64_t row_tasks, columns; /* blocks of rows; columns of a task */
};

static void quantize_task(void *context, int64_t task, int thread)
{
    const struct product *job = context;
    const struct lng_view *x = &job->args->x;
    const int64_t first = task * QUANTIZE_ROWS;
    (void)thread;
    for (int64_t r = first; r < lng_cpu_min(first + QUANTIZE_ROWS, x->rows); r++)
        job->scales[r] = job->cpu->simd->quantize_row((const float *)x->data + r * x->stride,
                                                      x->cols, job->cpu->vnni ? 0x80 : 0,
                                                      (int8_t *)(job->rows + r * job->pitch));
}

static void product_task(void *context, int64_t task, int thread)
{
    const struct product *job = context;
    const struct lng_linear_fwd_args *args = job->args;
    const struct lng_cpu_weight *weight = (const struct lng_cpu_weight *)args->weight;
    const struct lng_simd *simd = job->cpu->simd;
    const int64_t part = task % job->row_tasks, col = task / job->row_tasks * job->columns;
    const int64_t row = args->y.rows * part / job->row_tasks;
    const int64_t rows = args->y.rows * (part + 1) / job->row_tasks - row;
    const int64_t cols = lng_cpu_min(job->columns, args->y.cols - col);
    float *y = (float *)args->y.data + row * args->y.stride + col;
    (void)thread;
    const struct lng_gemm_i8 g = {
        .gemm = {.a = job->rows + row * job->pitch,
                 .a_row = job->pitch,
                 .b = (const uint32_t *)weight->forward + col / simd->nr * weight->forward_panel,
                 .b_panel = weight->forward_panel,
                 .c = y,
                 .c_row = args->y.stride,
                 .m = rows,
                 .n = cols,
                 .k = lng_cpu_ceil(args->x.cols, 4),
                 .bias = args->bias.data ? (const float *)args->bias.data + col : NULL,
                 .add = args->accumulate,
                 .relu = args->activation == LNG_ACTIVATION_RELU},
        .row_scales = job->scales + row,
        .col_scales = weight->scales + col,
        .less = job->cpu->vnni ? weight->less + col : NULL};
    if (job->cpu->vnni)
        simd->gemm_i8_vnni(&g);
    else
        simd->gemm_i8(&g);
    if (args->activation != LNG_ACTIVATION_NONE && args->activation != LNG_ACTIVATION_RELU)
        for (int64_t i = 0; i < rows; i++, y += args->y.stride)
            simd->activate(args->activation, y, y, cols);
}

/* Whole blocks of rows, and columns so that each thread has some tasks. */
static int64_t cut(struct product *job)
{
    const struct lng_cpu *cpu = job->cpu;
    const int64_t rows = job->args->y.rows, cols = job->args->y.cols, nr = cpu->simd->nr;
    const int64_t panels = lng_cpu_ceil(cols, nr);
    int64_t parts = 1;
    job->row_tasks = lng_cpu_ceil(rows, BLOCK);
    if (cpu->threads > 1 && rows * cols * job->args->x.cols >= SMALL_PRODUCTS)
        parts = lng_cpu_min(lng_cpu_ceil(SHARES * cpu->threads, job->row_tasks), panels);
    job->columns = lng_cpu_ceil(panels, parts) * nr;
    return job->row_tasks * lng_cpu_ceil(cols, job->columns);
}

enum lng_status lng_cpu_linear_i8(struct lng_cpu *cpu, const struct lng_linear_fwd_args *args)
{
    const int64_t rows = args->x.rows;
    struct product job = {.cpu = cpu, .args = args};
    /* 16 more, so that rows are not a power of two apart: cache sets */
    job.pitch = lng_cpu_ceil(args->x.cols, 4) + 16;
    LNG_TRY(lng_cpu_reserve(cpu, 0, (size_t)(rows * (job.pitch + 1)) * sizeof(uint32_t)));
    job.rows = cpu->shared;
    job.scales = (float *)(job.rows + rows * job.pitch);
    const int64_t tasks = lng_cpu_ceil(rows, QUANTIZE_ROWS);
    if (rows <= FEW_ROWS)
        quantize_task(&job, 0, 0);
    else
        lng_cpu_run(cpu, tasks, quantize_task, &job);
    lng_cpu_run(cpu, cut(&job), product_task, &job);
    return LNG_OK;
}
