/* Weight matrices packed for the products, forward and backward. */
#include "host/base/mem.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/ref/ref.h"

struct pack_job {
    struct lng_cpu *cpu;
    struct lng_cpu_weight *weight;
    int64_t forward_tasks;
};

/* Panels of one task: about 64 KB of weights. */
enum { TASK_ELEMENTS = 16384 };

static int64_t panels_a_task(int64_t depth, int nr)
{
    int64_t panels = TASK_ELEMENTS / (depth * nr);
    return panels < 1 ? 1 : panels;
}

static void pack_forward(const struct lng_simd *simd, struct lng_cpu_weight *weight, int64_t task)
{
    const struct lng_view *master = &weight->head.master;
    int64_t count = panels_a_task(master->cols, simd->nr), first = task * count;
    int64_t row = first * simd->nr;
    int64_t rows = lng_cpu_min(count * simd->nr, master->rows - row);
    const float *from = (const float *)master->data + row * master->stride;
    if (weight->head.compute == LNG_DTYPE_BF16)
        simd->pack_right_transposed_bf16(
            from, master->stride, master->cols, rows,
            (uint32_t *)weight->forward + first * weight->forward_panel, weight->forward_panel);
    else
        simd->pack_right_transposed_f32(from, master->stride, master->cols, rows,
                                        (float *)weight->forward + first * weight->forward_panel,
                                        weight->forward_panel);
}

static void pack_backward(const struct lng_simd *simd, struct lng_cpu_weight *weight, int64_t task)
{
    const struct lng_view *master = &weight->head.master;
    int64_t count = panels_a_task(master->rows, simd->nr), first = task * count;
    int64_t col = first * simd->nr;
    int64_t cols = lng_cpu_min(count * simd->nr, master->cols - col);
    const float *from = (const float *)master->data + col;
    if (weight->head.compute == LNG_DTYPE_BF16)
        simd->pack_right_bf16(from, master->stride, master->rows, cols,
                              (uint32_t *)weight->backward + first * weight->backward_panel,
                              weight->backward_panel);
    else
        simd->pack_right_f32(from, master->stride, master->rows, cols,
                             (float *)weight->backward + first * weight->backward_panel,
                             weight->backward_panel);
}

/* The int8 values ref would take, so that sums of products agree exactly. A master that is int8 itself
 * (cpu_weight_rows.c) has its scales filled in by whoever gave it. */
static void pack_int8(const struct lng_cpu *cpu, struct lng_cpu_weight *weight, int64_t task,
                      int thread)
{
    const struct lng_view *master = &weight->head.master;
    const int64_t nr = cpu->simd->nr, first = task * nr;
    const int64_t rows = lng_cpu_min(nr, master->rows - first);
    const bool given = master->dtype == LNG_DTYPE_I8;
    int8_t *values = given ? (int8_t *)master->data + first * master->cols : cpu->private[thread];
    for (int64_t r = 0; !given && r < rows; r++)
        weight->scales[first + r] =
            cpu->simd->quantize_row((const float *)master->data + (first + r) * master->stride,
                                    master->cols, false, values + r * master->cols, NULL);
    cpu->simd->pack_right_i8(values, master->cols, rows,
                             (uint32_t *)weight->forward + task * weight->forward_panel,
                             weight->forward_panel, weight->less + first);
    for (int64_t r = 0; r < rows; r++)
        weight->less[first + r] *= 128;
}

static void pack_task(void *context, int64_t task, int thread)
{
    const struct pack_job *job = context;
    if (job->weight->head.compute == LNG_DTYPE_I8)
        pack_int8(job->cpu, job->weight, task, thread);
    else if (task < job->forward_tasks)
        pack_forward(job->cpu->simd, job->weight, task);
    else
        pack_backward(job->cpu->simd, job->weight, task - job->forward_tasks);
}

enum lng_status lng_cpu_weight_refresh(struct lng_device *device, struct lng_weight *head)
{
    if (lng_cpu_weight_is_ref(head))
        return lng_backend_ref.weight_refresh(device, head);
    struct lng_cpu *cpu = lng_cpu_of(device);
    struct lng_cpu_weight *weight = (struct lng_cpu_weight *)head;
    const int nr = cpu->simd->nr;
    int64_t out = head->master.rows, in = head->master.cols, backward = 0;
    struct pack_job job = {.cpu = cpu, .weight = weight};
    if (head->compute == LNG_DTYPE_I8) {
        LNG_TRY(lng_cpu_reserve(cpu, (size_t)(nr * in + 4), 0));
        lng_cpu_run(cpu, lng_cpu_ceil(out, nr), pack_task, &job);
        lng_cpu_weight_fill_rows(cpu, weight);
        return LNG_OK;
    }
    job.forward_tasks = lng_cpu_ceil(lng_cpu_ceil(out, nr), panels_a_task(in, nr));
    if (weight->backward)
        backward = lng_cpu_ceil(lng_cpu_ceil(in, nr), panels_a_task(out, nr));
    lng_cpu_run(cpu, job.forward_tasks + backward, pack_task, &job);
    lng_cpu_weight_fill_rows(cpu, weight);
    return LNG_OK;
}

enum lng_status lng_cpu_weight_prepare(struct lng_device *device, struct lng_view master,
                                       enum lng_dtype compute, int flags, struct lng_weight **out)
{
    if (compute == LNG_DTYPE_I8 && (flags & LNG_WEIGHT_BACKWARD))
        return lng_backend_ref.weight_prepare(device, master, compute, flags, out);
    struct lng_cpu *cpu = lng_cpu_of(device);
    LNG_TRY(device->backend->supports(device, compute));
    struct lng_cpu_weight *weight = lng_alloc(1, sizeof *weight);
    if (!weight)
        return LNG_ERR_MEMORY;
    const int64_t nr = cpu->simd->nr, rows = master.rows, cols = master.cols;
    const int64_t step = compute == LNG_DTYPE_BF16 ? 2 : compute == LNG_DTYPE_I8 ? 4 : 1;
    weight->head = (struct lng_weight){.master = master, .compute = compute, .flags = flags};
    /* Steps of k; tiles read 16 of them at a time, zeros past the end. */
    const int64_t whole = cpu->tiles && compute != LNG_DTYPE_F32 ? 16 : 1;
    weight->forward_panel = lng_cpu_ceil(cols, step * whole) * whole * nr;
    weight->backward_panel = lng_cpu_ceil(rows, step * whole) * whole * nr;
    const struct {
        void **memory;
        int64_t count;
    } parts[] = {
        {&weight->forward, lng_cpu_ceil(rows, nr) * weight->forward_panel},
        {&weight->backward,
         flags & LNG_WEIGHT_BACKWARD ? lng_cpu_ceil(cols, nr) * weight->backward_panel : 0},
        {(void **)&weight->scales, compute == LNG_DTYPE_I8 ? rows : 0},
        {(void **)&weight->less, compute == LNG_DTYPE_I8 ? rows : 0},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].count == 0)
            continue;
        *parts[i].memory = lng_cpu_slab_take(&cpu->weights, (size_t)parts[i].count * sizeof(float));
        if (!*parts[i].memory)
            goto fail;
        weight->head.bytes += (size_t)parts[i].count * sizeof(float);
    }
    if (lng_cpu_weight_refresh(device, &weight->head) != LNG_OK)
        goto fail;
    *out = &weight->head;
    return LNG_OK;
fail:
    lng_cpu_weight_release(device, &weight->head);
    return LNG_ERR_MEMORY;
}

void lng_cpu_weight_release(struct lng_device *device, struct lng_weight *head)
{
    if (head && lng_cpu_weight_is_ref(head)) {
        lng_backend_ref.weight_release(device, head);
        return;
    }
    struct lng_cpu_weight *weight = (struct lng_cpu_weight *)head;
    if (!weight)
        return;
    void *pieces[] = {weight->forward, weight->backward, weight->scales,
                      weight->less,    weight->rest,     weight->rest_scales};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        lng_cpu_slab_give(&lng_cpu_of(device)->weights, pieces[i]);
    lng_free(weight->rows);
    lng_free(weight);
}
