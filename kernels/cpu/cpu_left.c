#include "kernels/cpu/cpu_left.h"

/* Rows that one task makes ready; so few are not worth waking a thread for. Pairs of bf16 that are multiplied at a
 * time: as long as sums stay as they were, it does not matter how many. */
enum { TASK_ROWS = 16, FEW_ROWS = 8, PIECE = 512 };
/* Rows are no power of two apart: cache sets. Tiles read 16 steps at a time; of int8 what lies past the end of a row meets
 * zeros. */
enum { APART = 16, TILE_STEPS = 16 };

struct making {
    struct lng_cpu *cpu;
    const struct lng_view *x;
    enum lng_dtype compute;
    uint32_t *rows;
    float *scales;
    int64_t pitch;
};

static int64_t pitch_of(const struct lng_cpu *cpu, enum lng_dtype compute, int64_t cols)
{
    if (compute == LNG_DTYPE_I8) /* without VNNI magnitudes follow */
        return lng_cpu_ceil(cols, 4) * (cpu->vnni ? 1 : 2) + APART;
    return lng_cpu_ceil(cols, 2 * TILE_STEPS) * TILE_STEPS + APART;
}

static int64_t elements_of(const struct lng_cpu *cpu, enum lng_dtype compute, int64_t rows,
                           int64_t cols)
{
    return rows * pitch_of(cpu, compute, cols);
}

size_t lng_cpu_left_bytes(const struct lng_cpu *cpu, enum lng_dtype compute, int64_t rows,
                          int64_t cols)
{
    if (compute == LNG_DTYPE_F32)
        return 0;
    const int64_t elements = elements_of(cpu, compute, rows, cols) + rows;
    return (size_t)lng_cpu_ceil(elements, 16) * 16 * sizeof(uint32_t);
}

static void make_task(void *context, int64_t task, int thread)
{
    const struct making *job = context;
    const struct lng_simd *simd = job->cpu->simd;
    const int64_t first = task * TASK_ROWS, end = lng_cpu_min(first + TASK_ROWS, job->x->rows);
    const float *x = (const float *)job->x->data + first * job->x->stride;
    (void)thread;
    if (job->compute == LNG_DTYPE_BF16) {
        simd->rows_bf16(x, job->x->stride, end - first, job->x->cols,
                        job->rows + first * job->pitch, job->pitch);
        return;
    }
    for (int64_t r = first; r < end; r++, x += job->x->stride) {
        int8_t *q = (int8_t *)(job->rows + r * job->pitch);
        const int64_t bytes = lng_cpu_ceil(job->x->cols, 4) * 4;
        const bool offset = job->cpu->vnni;
        job->scales[r] = simd->quantize_row(x, job->x->cols, offset, q, offset ? NULL : q + bytes);
    }
}

struct lng_cpu_left lng_cpu_left_make(struct lng_cpu *cpu, const struct lng_view *x,
                                      enum lng_dtype compute, void *memory)
{
    if (compute == LNG_DTYPE_F32)
        return (struct lng_cpu_left){.rows = x->data, .pitch = x->stride};
    struct making job = {.cpu = cpu, .x = x, .compute = compute, .rows = memory};
    job.pitch = pitch_of(cpu, compute, x->cols);
    job.scales = (float *)(job.rows + elements_of(cpu, compute, x->rows, x->cols));
    const int64_t tasks = lng_cpu_ceil(x->rows, TASK_ROWS);
    if (x->rows <= FEW_ROWS)
        make_task(&job, 0, 0);
    else
        lng_cpu_run(cpu, tasks, make_task, &job);
    return (struct lng_cpu_left){job.rows, job.pitch, job.scales};
}

static void multiply_i8(const struct lng_cpu *cpu, const struct lng_gemm *gemm,
                        const struct lng_cpu_left *left, const struct lng_cpu_weight *weight,
                        const struct lng_cpu_block *block)
{
    const struct lng_gemm_i8 g = {.gemm = *gemm,
                                  .row_scales = left->scales + block->row,
                                  .col_scales = weight->scales + block->col,
                                  .less = cpu->vnni ? weight->less + block->col : NULL,
                                  .magnitudes = lng_cpu_ceil(weight->head.master.cols, 4)};
    cpu->gemm_i8(&g);
}

/* By pieces of k. */
static void multiply_bf16(const struct lng_cpu *cpu, const struct lng_gemm *g)
{
    struct lng_gemm piece = *g;
    for (int64_t k = 0; k == 0 || k < g->k; k += PIECE) {
        const bool last = k + PIECE >= g->k;
        piece.a = (const uint32_t *)g->a + k;
        piece.b = (const uint32_t *)g->b + k * cpu->simd->nr;
        piece.k = lng_cpu_min(g->k - k, PIECE);
        piece.add = g->add || k > 0;
        piece.bias = last ? g->bias : NULL;
        piece.relu = last && g->relu;
        cpu->gemm_tiles(&piece);
    }
}

void lng_cpu_left_multiply(const struct lng_cpu *cpu, const struct lng_cpu_left *left,
                           const struct lng_cpu_weight *weight, const struct lng_cpu_block *block)
{
    const enum lng_dtype compute = weight->head.compute;
    const int64_t step = compute == LNG_DTYPE_I8 ? 4 : compute == LNG_DTYPE_BF16 ? 2 : 1;
    const struct lng_gemm g = {
        .a = (const uint32_t *)left->rows + block->row * left->pitch,
        .a_row = left->pitch,
        .a_k = 1,
        .b = (const uint32_t *)weight->forward + block->col / cpu->simd->nr * weight->forward_panel,
        .b_panel = weight->forward_panel,
        .c = block->c,
        .c_row = block->c_row,
        .m = block->rows,
        .n = block->cols,
        .k = lng_cpu_ceil(weight->head.master.cols, step),
        .bias = block->bias,
        .add = block->add,
        .relu = block->relu,
    };
    if (compute == LNG_DTYPE_I8)
        multiply_i8(cpu, &g, left, weight, block);
    else if (compute == LNG_DTYPE_BF16)
        multiply_bf16(cpu, &g);
    else
        cpu->simd->gemm_f32(&g);
}
