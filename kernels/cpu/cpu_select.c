/* Logits of chosen tokens. The output matrix is packed for whole products, by columns; here it is read by single
 * rows, which are kept beside it in the same type (f32: the master). */
#include <pthread.h>
#include <string.h>

#include "kernels/cpu/cpu_refine.h"

/* Tokens of a task, about; rows of x that a task makes ready; elements of 32 bits that vectors, and caches, take at once;
 * rows of the table that are fetched ahead, as they lie anywhere. */
enum { TOKENS = 64, PREPARED = 16, WHOLE = 16, AHEAD = 4 };

/* ---- rows of a weight ---- */

struct rows_job {
    const struct lng_cpu *cpu;
    const struct lng_cpu_weight *weight;
    int64_t steps;
};

/* The columns of one panel, one behind the other. */
static void rows_task(void *context, int64_t panel, int thread)
{
    const struct rows_job *job = context;
    const struct lng_cpu_weight *weight = job->weight;
    const int64_t nr = job->cpu->simd->nr, first = panel * nr;
    const int64_t columns = lng_cpu_min(nr, weight->head.master.rows - first);
    const uint32_t *from = (const uint32_t *)weight->forward + panel * weight->forward_panel;
    (void)thread;
    for (int64_t j = 0; j < columns; j++) {
        uint32_t *row = weight->rows + (first + j) * weight->rows_pitch;
        for (int64_t s = 0; s < job->steps; s++)
            row[s] = from[s * nr + j];
    }
}

static int64_t steps_of(const struct lng_cpu_weight *weight)
{
    return lng_cpu_ceil(weight->head.master.cols, weight->head.compute == LNG_DTYPE_BF16 ? 2 : 4);
}

void lng_cpu_weight_fill_rows(struct lng_cpu *cpu, struct lng_cpu_weight *weight)
{
    if (!weight->rows)
        return;
    struct rows_job job = {cpu, weight, steps_of(weight)};
    lng_cpu_run(cpu, lng_cpu_ceil(weight->head.master.rows, cpu->simd->nr), rows_task, &job);
}

enum lng_status lng_cpu_weight_keep_rows(struct lng_device *device, struct lng_weight *head)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct lng_cpu_weight *weight = (struct lng_cpu_weight *)head;
    enum lng_status status = LNG_OK;
    if (lng_cpu_weight_is_ref(head))
        return LNG_OK;
    pthread_mutex_lock(&lock);
    if (!head->rows && head->compute != LNG_DTYPE_F32) {
        const int64_t pitch = lng_cpu_ceil(steps_of(weight), WHOLE) * WHOLE;
        const size_t bytes = (size_t)(head->master.rows * pitch) * sizeof *weight->rows;
        weight->rows = lng_cpu_memory(bytes);
        weight->rows_pitch = pitch;
        head->bytes += weight->rows ? bytes : 0;
        status = weight->rows ? LNG_OK : LNG_ERR_MEMORY;
        lng_cpu_weight_fill_rows(lng_cpu_of(device), weight);
    }
    head->rows = status == LNG_OK;
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- products ---- */

/* Neighbouring rows that ask for the same tokens. */
struct select_group {
    int64_t first, rows;
};
struct select_job {
    struct lng_cpu *cpu;
    const struct lng_select_logits_args *args;
    const struct lng_cpu_weight *weight; /* BF16 or I8; NULL: f32 */
    struct select_group *groups;
    int64_t group_count, parts;
    uint32_t *x;       /* rows of x in the weight's type, [R, rows_pitch] */
    float *row_scales; /* I8: [R] */
};

/* Some rows of x as the products want them. */
static void prepare_task(void *context, int64_t task, int thread)
{
    const struct select_job *job = context;
    const struct lng_view *x = &job->args->x;
    const int64_t first = task * PREPARED, end = lng_cpu_min(first + PREPARED, x->rows);
    const int64_t pitch = job->weight->rows_pitch;
    const float *from = (const float *)x->data + first * x->stride;
    uint32_t *to = job->x + first * pitch;
    (void)thread;
    if (job->weight->head.compute == LNG_DTYPE_BF16) {
        job->cpu->simd->rows_bf16(from, x->stride, end - first, x->cols, to, pitch);
        return;
    }
    for (int64_t r = first; r < end; r++, from += x->stride, to += pitch) {
        memset(to, 0, (size_t)pitch * sizeof *to);
        job->row_scales[r] =
            job->cpu->simd->quantize_row(from, x->cols, job->cpu->vnni, (int8_t *)to, NULL);
    }
}

static void select_f32(const struct select_job *job, const struct select_group *group,
                       const int32_t *tokens, int64_t count, float *y)
{
    const struct lng_select_logits_args *a = job->args;
    const float *x = (const float *)a->x.data + group->first * a->x.stride, *table = a->table.data;
    for (int64_t j = 0; j < count; j++) {
        const int64_t token = tokens[j];
        if (j + AHEAD < count)
            for (int64_t k = 0; k < a->x.cols; k += WHOLE)
                __builtin_prefetch(table + tokens[j + AHEAD] * a->table.stride + k);
        const float add = a->bias.data ? ((const float *)a->bias.data)[token] : 0.0f;
        job->cpu->simd->dot_rows(x, a->x.stride, group->rows, table + token * a->table.stride,
                                 a->x.cols, add, y + j, a->y.stride);
    }
}

/* The parts of all lists that lie alike come one after the other: lists rise, as a rule, so that sentences share rows
 * of the table that are near. */
static void select_task(void *context, int64_t task, int thread)
{
    const struct select_job *job = context;
    const struct lng_select_logits_args *a = job->args;
    const struct select_group *group = &job->groups[task % job->group_count];
    const struct lng_cpu_weight *weight = job->weight;
    const int64_t part = task / job->group_count, all = a->count[group->first];
    const int64_t begin = all * part / job->parts;
    const int64_t count = all * (part + 1) / job->parts - begin;
    const int32_t *tokens = a->tokens + a->first[group->first] + begin;
    float *y = (float *)a->y.data + group->first * a->y.stride + begin;
    (void)thread;
    if (weight == NULL) {
        select_f32(job, group, tokens, count, y);
        return;
    }
    const struct lng_select_block block = {
        .x = job->x + group->first * weight->rows_pitch,
        .x_pitch = weight->rows_pitch,
        .rows = group->rows,
        .table = weight->rows,
        .pitch = weight->rows_pitch,
        .tokens = tokens,
        .count = count,
        .bias = a->bias.data,
        .y = y,
        .y_stride = a->y.stride,
        .row_scales = job->row_scales + group->first,
        .col_scales = weight->scales,
        .less = job->cpu->vnni ? weight->less : NULL,
    };
    if (weight->head.compute == LNG_DTYPE_BF16)
        job->cpu->simd->select_bf16(&block);
    else if (job->cpu->vnni)
        job->cpu->simd->select_i8_vnni(&block);
    else
        job->cpu->simd->select_i8(&block);
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

/* Scratch of the job. */
static enum lng_status reserve(struct select_job *job)
{
    const int64_t rows = job->args->x.rows, pitch = job->weight ? job->weight->rows_pitch : 0;
    const size_t x_bytes = (size_t)(rows * pitch) * sizeof *job->x;
    const bool bytes = job->weight && job->weight->head.compute == LNG_DTYPE_I8;
    const size_t scale_bytes = (size_t)lng_cpu_ceil(rows, WHOLE) * WHOLE * sizeof *job->row_scales;
    LNG_TRY(lng_cpu_reserve(job->cpu, bytes ? (size_t)job->args->x.cols * sizeof(float) : 0,
                            x_bytes + scale_bytes + (size_t)rows * sizeof *job->groups));
    char *at = job->cpu->shared;
    job->x = (uint32_t *)(void *)at;
    job->row_scales = (float *)(void *)(at + x_bytes);
    job->groups = (struct select_group *)(void *)(at + x_bytes + scale_bytes);
    return LNG_OK;
}

static void find_groups(struct select_job *job)
{
    const struct lng_select_logits_args *args = job->args;
    int64_t longest = 0;
    for (int64_t r = 0; r < args->x.rows; r++) {
        bool joins =
            r > 0 && args->first[r] == args->first[r - 1] && args->count[r] == args->count[r - 1];
        if (joins) {
            job->groups[job->group_count - 1].rows++;
            continue;
        }
        longest = args->count[r] > longest ? args->count[r] : longest;
        job->groups[job->group_count++] = (struct select_group){r, 1};
    }
    job->parts = lng_cpu_ceil(longest, TOKENS);
}

enum lng_status lng_cpu_select_logits(struct lng_device *device,
                                      const struct lng_select_logits_args *given)
{
    struct lng_select_logits_args args = *given;
    struct lng_cpu *cpu = lng_cpu_of(device);
    struct select_job job = {.cpu = cpu, .args = &args};
    const struct lng_view master = args.weight ? args.weight->master : args.table;
    if (args.weight != NULL && args.weight->compute != LNG_DTYPE_F32)
        job.weight = (const struct lng_cpu_weight *)args.weight;
    args.weight = NULL;
    args.table = master;
    if (!selection_is_good(&args)) /* which ref says better */
        return lng_backend_ref.ops.select_logits(device, &args);
    LNG_FAIL_IF(args.x.dtype != LNG_DTYPE_F32 && job.weight != NULL, LNG_ERR_UNSUPPORTED,
                "select_logits: x: expected f32 (the cpu stores activations in f32), found %s",
                lng_dtype_name(args.x.dtype));
    if (args.x.dtype != LNG_DTYPE_F32)
        return lng_backend_ref.ops.select_logits(device, &args);
    LNG_TRY(reserve(&job));
    if (job.weight != NULL)
        lng_cpu_run(cpu, lng_cpu_ceil(args.x.rows, PREPARED), prepare_task, &job);
    find_groups(&job);
    lng_cpu_run(cpu, job.group_count * job.parts, select_task, &job);
    if (job.weight != NULL && job.weight->head.compute == LNG_DTYPE_I8)
        lng_cpu_refine(
            cpu, &(struct lng_cpu_refining){.weight = job.weight, .x = args.x, .bias = args.bias},
            args.y, args.tokens, args.first, args.count);
    return LNG_OK;
}
