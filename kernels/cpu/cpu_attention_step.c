/* One decoding step of attention against the cache. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

struct step_job {
    struct lng_cpu *cpu;
    const struct lng_attention_step_args *args;
    int64_t block;
};

static int64_t cache_row(const struct lng_attention_step_args *args, int64_t r, int64_t s)
{
    if (!args->ancestor)
        return args->key_start[r] + s;
    return s * args->slots + args->ancestor[r * args->ancestor_stride + s];
}

/* Whether every key lies in the cache; ref then says which does not. */
static bool keys_exist(const struct lng_attention_step_args *args, int64_t *longest)
{
    bool good = true;
    for (int64_t r = 0; good && r < args->q.rows; r++) {
        int64_t count = args->key_count[r];
        good = count >= 0 && (!args->ancestor || count <= args->ancestor_stride);
        for (int64_t s = 0; good && s < count; s++) {
            int64_t row = cache_row(args, r, s);
            good = row >= 0 && row < args->k_cache.rows;
        }
        *longest = count > *longest ? count : *longest;
    }
    return good;
}

static void write_newest(const struct lng_attention_step_args *args)
{
    const size_t bytes = (size_t)args->q.cols * sizeof(float);
    for (int64_t r = 0; r < args->q.rows; r++) {
        if (args->key_count[r] == 0)
            continue;
        int64_t row = cache_row(args, r, args->key_count[r] - 1);
        memcpy((float *)args->k_cache.data + row * args->k_cache.stride,
               (const float *)args->new_k.data + r * args->new_k.stride, bytes);
        memcpy((float *)args->v_cache.data + row * args->v_cache.stride,
               (const float *)args->new_v.data + r * args->new_v.stride, bytes);
    }
}

static void step_task(void *context, int64_t task, int thread)
{
    const struct step_job *job = context;
    int64_t end = lng_cpu_min((task + 1) * job->block, job->args->q.rows);
    for (int64_t row = task * job->block; row < end; row++)
        job->cpu->simd->attention_step_row(job->args, row, job->cpu->private[thread]);
}

enum lng_status lng_cpu_attention_step(struct lng_device *device,
                                       const struct lng_attention_step_args *args)
{
    int64_t longest = 0;
    if (args->q.dtype != LNG_DTYPE_F32 || args->k_cache.dtype != LNG_DTYPE_F32 ||
        !keys_exist(args, &longest))
        return lng_backend_ref.ops.attention_step(device, args);
    struct step_job job = {.cpu = lng_cpu_of(device), .args = args};
    job.block = 1 + 16384 / ((longest + 1) * args->q.cols);
    size_t bytes = (size_t)longest * (2 * sizeof(void *) + sizeof(float)) + 64 * sizeof(float);
    LNG_TRY(lng_cpu_reserve(job.cpu, bytes, 0));
    if (args->new_k.data)
        write_newest(args);
    lng_cpu_run(job.cpu, lng_cpu_ceil(args->q.rows, job.block), step_task, &job);
    return LNG_OK;
}
