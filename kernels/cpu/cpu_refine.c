#include "kernels/cpu/cpu_refine.h"

#include <math.h>
#include <string.h>

/* Rows of a task. */
enum { BLOCK = 4 };

void lng_cpu_keep_logit(struct lng_cpu_found *found, int64_t most, float logit, int32_t token)
{
    int64_t place = found->count;
    while (place > 0 && (logit > found->logits[place - 1] ||
                         (logit == found->logits[place - 1] && token < found->tokens[place - 1])))
        place--;
    if (place == most)
        return;
    const int64_t last = found->count < most ? found->count++ : most - 1;
    memmove(found->logits + place + 1, found->logits + place,
            (size_t)(last - place) * sizeof *found->logits);
    memmove(found->tokens + place + 1, found->tokens + place,
            (size_t)(last - place) * sizeof *found->tokens);
    found->logits[place] = logit;
    found->tokens[place] = token;
}

void lng_cpu_keep_logits(const struct lng_cpu *cpu, struct lng_cpu_found *found, int64_t most,
                         const float *x, int64_t n, int32_t first)
{
    float floor = found->count == most ? found->logits[most - 1] : -INFINITY;
    for (int64_t j = cpu->simd->find_at_least(x, 0, n, floor); j < n;
         j = cpu->simd->find_at_least(x, j + 1, n, floor)) {
        lng_cpu_keep_logit(found, most, x[j], first + (int32_t)j);
        if (found->count == most)
            floor = found->logits[most - 1];
    }
}

float lng_cpu_exact_logit(const struct lng_cpu *cpu, const struct lng_cpu_refining *refining,
                          int64_t row, int64_t token, float *scratch)
{
    const struct lng_view *x = &refining->x;
    const float *bias = refining->bias.data;
    float logit;
    lng_cpu_weight_row(cpu, refining->weight, token, scratch);
    cpu->simd->dot_rows((const float *)x->data + row * x->stride, x->stride, 1, scratch, x->cols,
                        bias ? bias[token] : 0, &logit, 1);
    return logit;
}

struct refine_job {
    struct lng_cpu *cpu;
    const struct lng_cpu_refining *refining;
    struct lng_view y;
    const int32_t *tokens, *first, *count;
};

static void refine_task(void *context, int64_t task, int thread)
{
    const struct refine_job *job = context;
    const int64_t end = lng_cpu_min((task + 1) * BLOCK, job->y.rows);
    float *scratch = job->cpu->private[thread];
    for (int64_t r = task * BLOCK; r < end; r++) {
        float *y = (float *)job->y.data + r * job->y.stride, logits[LNG_REFINED];
        int32_t columns[LNG_REFINED];
        struct lng_cpu_found best = {.logits = logits, .tokens = columns};
        lng_cpu_keep_logits(job->cpu, &best, LNG_REFINED, y,
                            job->tokens ? job->count[r] : job->y.cols, 0);
        for (int32_t i = 0; i < best.count; i++) {
            const int32_t j = columns[i], token = job->tokens ? job->tokens[job->first[r] + j] : j;
            y[j] = lng_cpu_exact_logit(job->cpu, job->refining, r, token, scratch);
        }
    }
}

void lng_cpu_refine(struct lng_cpu *cpu, const struct lng_cpu_refining *refining, struct lng_view y,
                    const int32_t *tokens, const int32_t *first, const int32_t *count)
{
    struct refine_job job = {cpu, refining, y, tokens, first, count};
    lng_cpu_run(cpu, lng_cpu_ceil(y.rows, BLOCK), refine_task, &job);
}
