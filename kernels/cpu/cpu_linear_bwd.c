/* Products with weights, backward. Rows are cut into blocks that the threads share out; every element of a
 * result is one sum in the order of k, so blocks, batch and threads do not show in the bits. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* Rows a block: a multiple of every mr. Depth of a bf16 piece, in pairs, and how far its rows lie
 * apart in scratch. */
enum { BLOCK = 48, PIECE = 512, PIECE_STRIDE = PIECE + 16 };
/* Rows summed at once into d_weight: 240 steps of k, twice the rows as bf16 pairs. A task makes at most
 * OUTS rows of it, whose steps lie PITCH apart in scratch (no power of two: cache sets). */
enum { CHUNK_STEPS = 5 * BLOCK, OUTS = 96, PITCH = OUTS + 16, TILE_PITCH = CHUNK_STEPS + 32 };
enum { PACKED_BYTES = 16 << 20, WIDE_ELEMENTS = 1 << 18, NEAR_ELEMENTS = 1 << 20 };

/* C (+)= A B for rows of x in bf16, by pieces of k through scratch. */
static void product_bf16(const struct lng_cpu *cpu, const struct lng_gemm *g, uint32_t *scratch)
{
    const struct lng_simd *simd = cpu->simd;
    struct lng_gemm piece = *g;
    piece.a = scratch;
    piece.a_row = PIECE_STRIDE;
    for (int64_t k = 0; k == 0 || k < g->k; k += 2 * PIECE) {
        int64_t depth = lng_cpu_min(g->k - k, 2 * PIECE);
        bool last = k + 2 * PIECE >= g->k;
        simd->rows_bf16((const float *)g->a + k, g->a_row, g->m, depth, scratch, PIECE_STRIDE);
        piece.k = (depth + 1) / 2;
        piece.b = (const uint32_t *)g->b + k / 2 * simd->nr;
        piece.add = g->add || k > 0;
        piece.bias = last ? g->bias : NULL;
        piece.relu = last && g->relu;
        cpu->gemm_tiles(&piece);
    }
}

struct backward {
    struct lng_cpu *cpu;
    const struct lng_linear_bwd_args *args;
    const struct lng_simd *simd;
    bool bf16;
    int64_t first, rows;  /* the range at work */
    int64_t col, cols;    /* and columns of d_y */
    int64_t chunk, depth; /* rows of a chunk, and steps of k that makes */
    int64_t panels;       /* of x */
    float *packed;        /* x as B: [chunk][panel][depth][nr] */
    float *bias_parts;    /* [block][out] */
    int64_t span, outs;   /* rows, and rows of d_weight, a task */
};

/* One block of rows: ReLU, bias sums, and, with the first columns, x packed for d_weight. */
static void prepare_block(const struct backward *job, int64_t at, int64_t rows)
{
    const struct lng_linear_bwd_args *args = job->args;
    const struct lng_simd *simd = job->simd;
    const int64_t row = job->first + at, out = args->d_y.cols, panel = job->depth * simd->nr;
    const float *y = args->activation == LNG_ACTIVATION_RELU
                         ? (const float *)args->y.data + row * args->y.stride + job->col
                         : NULL;
    if (y || args->d_bias.data)
        simd->relu_bias_bwd((float *)args->d_y.data + row * args->d_y.stride + job->col,
                            args->d_y.stride, y, args->y.stride, rows, job->cols,
                            args->d_bias.data ? job->bias_parts + row / BLOCK * out + job->col
                                              : NULL);
    if (!args->d_weight.data || job->col > 0)
        return;
    const int64_t chunk = at / job->chunk, step = at % job->chunk / (job->bf16 ? 2 : 1);
    const float *x = (const float *)args->x.data + row * args->x.stride;
    float *to = job->packed + chunk * job->panels * panel + step * simd->nr;
    if (!job->bf16) {
        simd->pack_right_f32(x, args->x.stride, rows, args->x.cols, to, panel);
        return;
    }
    simd->pack_right_bf16(x, args->x.stride, rows, args->x.cols, (uint32_t *)to, panel);
    if (at + rows < job->rows)
        return;
    /* tiles read on to a multiple of 16 steps: nothing there may be infinite or not a number */
    const int64_t end = step + (rows + 1) / 2, whole = lng_cpu_ceil(end, 16) * 16;
    for (int64_t p = 0; p < job->panels; p++)
        memset(to + p * panel + (end - step) * simd->nr, 0,
               (size_t)((whole - end) * simd->nr) * sizeof(float));
}

/* Some blocks of rows, and their d_x. */
static void rows_task(void *context, int64_t task, int thread)
{
    const struct backward *job = context;
    const struct lng_linear_bwd_args *args = job->args;
    const struct lng_cpu_weight *weight = (const struct lng_cpu_weight *)args->weight;
    const int64_t first = task * job->span, end = lng_cpu_min(first + job->span, job->rows);
    const int64_t row = job->first + first;
    for (int64_t at = first; at < end; at += BLOCK)
        prepare_block(job, at, lng_cpu_min(end - at, BLOCK));
    if (!args->d_x.data)
        return;
    struct lng_gemm g = {
        .a = (const float *)args->d_y.data + row * args->d_y.stride + job->col,
        .a_row = args->d_y.stride,
        .a_k = 1,
        .b = (const float *)weight->backward + job->col / (job->bf16 ? 2 : 1) * job->simd->nr,
        .b_panel = weight->backward_panel,
        .c = (float *)args->d_x.data + row * args->d_x.stride,
        .c_row = args->d_x.stride,
        .m = end - first,
        .n = args->weight->master.cols,
        .k = job->cols,
        .add = args->accumulate_d_x || job->col > 0,
    };
    if (job->bf16)
        product_bf16(job->cpu, &g, job->cpu->private[thread]);
    else
        job->simd->gemm_f32(&g);
}

/* Some rows of d_weight, over all chunks in order. */
static void weight_task(void *context, int64_t task, int thread)
{
    const struct backward *job = context;
    const struct lng_linear_bwd_args *args = job->args;
    const struct lng_simd *simd = job->simd;
    const int64_t at_col = task * job->outs, first = job->col + at_col;
    const int64_t count = lng_cpu_min(job->outs, job->cols - at_col);
    void *left = job->cpu->private[thread];
    const float *packed = job->packed;
    for (int64_t at = 0; at < job->rows; at += job->chunk) {
        int64_t rows = lng_cpu_min(job->rows - at, job->chunk);
        int64_t steps = job->bf16 ? (rows + 1) / 2 : rows;
        const float *d_y =
            (const float *)args->d_y.data + (job->first + at) * args->d_y.stride + first;
        struct lng_gemm g = {
            .a = left,
            .a_row = 1,
            .a_k = PITCH,
            .b = packed,
            .b_panel = job->depth * simd->nr,
            .c = (float *)args->d_weight.data + first * args->d_weight.stride,
            .c_row = args->d_weight.stride,
            .m = count,
            .n = args->d_weight.cols,
            .k = steps,
            .add = true,
        };
        if (job->bf16 && job->cpu->tiles) {
            simd->pack_left_rows_bf16(d_y, args->d_y.stride, rows, count, left, TILE_PITCH);
            g.a_row = TILE_PITCH;
            g.a_k = 1;
            job->cpu->gemm_tiles(&g);
        } else if (job->bf16) {
            simd->pack_left_bf16(d_y, args->d_y.stride, rows, count, left, PITCH);
            simd->gemm_bf16(&g);
        } else {
            simd->pack_left_f32(d_y, args->d_y.stride, rows, count, left, PITCH);
            simd->gemm_f32(&g);
        }
        packed += job->panels * job->depth * simd->nr;
    }
}

static void sum_bias(const struct backward *job)
{
    const int64_t out = job->args->d_y.cols, blocks = lng_cpu_ceil(job->args->d_y.rows, BLOCK);
    for (int64_t b = 1; b < blocks; b++)
        job->simd->blend(job->bias_parts, job->bias_parts + b * out, out, 1, 1);
    job->simd->blend(job->args->d_bias.data, job->bias_parts, out, 1, 1);
}

/* How the work is cut: nothing of it shows in the result. */
static struct backward plan_backward(struct lng_cpu *cpu, const struct lng_linear_bwd_args *args)
{
    const int64_t rows = args->d_y.rows, out = args->d_y.cols;
    const int64_t mr = cpu->tiles ? 16 : cpu->simd->mr;
    struct backward job = {.cpu = cpu,
                           .args = args,
                           .simd = cpu->simd,
                           .bf16 = args->weight->compute == LNG_DTYPE_BF16,
                           .depth = CHUNK_STEPS,
                           .span = BLOCK};
    job.chunk = job.bf16 ? 2 * CHUNK_STEPS : CHUNK_STEPS;
    job.panels = lng_cpu_ceil(args->weight->master.cols, cpu->simd->nr);
    job.outs = lng_cpu_min(lng_cpu_ceil(lng_cpu_ceil(out, 4 * cpu->threads), mr) * mr, OUTS);
    /* A matrix that does not fit the second-level cache is read once for more rows. */
    if (out * args->weight->master.cols > WIDE_ELEMENTS && rows >= 10 * BLOCK * cpu->threads)
        job.span = 2 * BLOCK;
    return job;
}

/* So many columns of d_y that both passes over them find them in a cache. Whole pieces of k, so that d_x
 * is the same sum. */
static int64_t column_block(int64_t rows, int64_t out)
{
    int64_t pieces = NEAR_ELEMENTS / (rows * 2 * PIECE);
    return pieces < 1 ? 2 * PIECE : pieces * 2 * PIECE > out ? out : pieces * 2 * PIECE;
}

enum lng_status lng_cpu_linear_bwd(struct lng_device *device,
                                   const struct lng_linear_bwd_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    if (lng_cpu_weight_is_ref(args->weight))
        return lng_backend_ref.ops.linear_bwd(device, args);
    LNG_FAIL_IF(args->d_y.dtype != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "linear_bwd: d_y: expected f32 (the cpu stores activations in f32), found %s",
                lng_dtype_name(args->d_y.dtype));
    const int64_t rows = args->d_y.rows, out = args->d_y.cols;
    struct backward job = plan_backward(cpu, args);
    const size_t chunk_bytes = (size_t)(job.panels * job.depth * job.simd->nr) * sizeof(float);
    /* Few enough that what the first pass read or wrote is still near when the second comes. */
    int64_t chunks = lng_cpu_min((int64_t)(PACKED_BYTES / chunk_bytes),
                                 NEAR_ELEMENTS / (job.chunk * lng_cpu_min(out, 2 * PIECE)));
    chunks = lng_cpu_min(chunks < 1 ? 1 : chunks, lng_cpu_ceil(rows, job.chunk));
    size_t packed_bytes = args->d_weight.data ? chunk_bytes * (size_t)chunks : 0;
    size_t bias_bytes =
        args->d_bias.data ? (size_t)(lng_cpu_ceil(rows, BLOCK) * out) * sizeof(float) : 0;
    const size_t left = (size_t)TILE_PITCH * PITCH, pieces = (size_t)(job.span + 16) * PIECE_STRIDE;
    LNG_TRY(lng_cpu_reserve(cpu, (left > pieces ? left : pieces) * sizeof(float),
                            packed_bytes + bias_bytes));
    job.packed = cpu->shared;
    job.bias_parts = (float *)((char *)cpu->shared + packed_bytes);
    for (job.first = 0; job.first < rows; job.first += job.rows) {
        job.rows = lng_cpu_min(rows - job.first, chunks * job.chunk);
        const int64_t block = column_block(job.rows, out);
        for (job.col = 0; job.col < out; job.col += job.cols) {
            job.cols = lng_cpu_min(out - job.col, block);
            lng_cpu_run(cpu, lng_cpu_ceil(job.rows, job.span), rows_task, &job);
            if (args->d_weight.data)
                lng_cpu_run(cpu, lng_cpu_ceil(job.cols, job.outs), weight_task, &job);
        }
    }
    if (args->d_bias.data)
        sum_bias(&job);
    return LNG_OK;
}
