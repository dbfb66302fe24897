/* One decoding step of attention against the cache. */
#include <string.h>

#include "kernels/cpu/cpu_device.h"

/* Key elements a task, about: rows of a few dozen keys go by eights, long ones alone. */
enum { TASK_ELEMENTS = 1 << 17 };

struct step_job {
    struct lng_cpu *cpu;
    const struct lng_attention_step_args *args;
    int64_t block;
    bool grouped; /* simd's attention_step_group, else _row */
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
        if (good && !args->ancestor)
            good = count == 0 ||
                   (args->key_start[r] >= 0 && args->key_start[r] + count <= args->k_cache.rows);
        for (int64_t s = 0; good && args->ancestor && s < count; s++) {
            int64_t row = cache_row(args, r, s);
            good = row >= 0 && row < args->k_cache.rows;
        }
        *longest = count > *longest ? count : *longest;
    }
    return good;
}

void lng_cpu_store_cache(const struct lng_cpu *cpu, const float *from, const struct lng_view *cache,
                         int64_t row, int64_t heads)
{
    const int64_t at = row * cache->stride, width = cache->cols / (heads > 0 ? heads : 1);
    if (cache->dtype == LNG_DTYPE_F32) {
        memcpy((float *)cache->data + at, from, (size_t)cache->cols * sizeof *from);
    } else if (cache->dtype == LNG_DTYPE_BF16) {
        cpu->simd->copy_bf16(from, cache->cols, (uint16_t *)cache->data + at);
    } else {
        int8_t *to = (int8_t *)cache->data + at;
        float *scales = (float *)(void *)(to + cache->cols);
        for (int64_t h = 0; h < heads; h++, to += width, from += width)
            scales[h] = cpu->simd->quantize_row(from, width, false, to, NULL);
    }
}

static void write_newest(const struct lng_cpu *cpu, const struct lng_attention_step_args *args)
{
    for (int64_t r = 0; r < args->q.rows; r++) {
        if (args->key_count[r] == 0)
            continue;
        int64_t row = cache_row(args, r, args->key_count[r] - 1);
        lng_cpu_store_cache(cpu, (const float *)args->new_k.data + r * args->new_k.stride,
                            &args->k_cache, row, args->heads);
        lng_cpu_store_cache(cpu, (const float *)args->new_v.data + r * args->new_v.stride,
                            &args->v_cache, row, args->heads);
    }
}

/* How many rows from r on have the same keys. */
static int64_t group_at(const struct lng_attention_step_args *args, int64_t r, int64_t end)
{
    int64_t rows = 1;
    while (!args->ancestor && rows < LNG_ATTENTION_GROUP && r + rows < end &&
           args->key_start[r + rows] == args->key_start[r] &&
           args->key_count[r + rows] == args->key_count[r])
        rows++;
    return rows;
}

static void step_task(void *context, int64_t task, int thread)
{
    const struct step_job *job = context;
    const struct lng_simd *simd = job->cpu->simd;
    float *scratch = job->cpu->private[thread];
    int64_t end = lng_cpu_min((task + 1) * job->block, job->args->q.rows);
    for (int64_t row = task * job->block, rows; row < end; row += rows) {
        rows = job->grouped ? group_at(job->args, row, end) : 1;
        if (job->grouped)
            simd->attention_step_group(job->args, row, rows, row + rows < end ? row + rows : -1,
                                       row == task * job->block, job->cpu->vnni, scratch);
        else
            simd->attention_step_row(job->args, row, scratch);
    }
}

enum lng_status lng_cpu_attention_step(struct lng_device *device,
                                       const struct lng_attention_step_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    int64_t longest = 0;
    struct step_job job = {.cpu = cpu, .args = args};
    /* of a register's width, or two, whatever the instruction set */
    job.grouped = args->score != LNG_ATTENTION_ADDITIVE &&
                  args->q.cols / args->heads % (cpu->simd->nr / 2) == 0;
    const enum lng_dtype kept = args->k_cache.dtype;
    const bool good =
        kept == LNG_DTYPE_F32 || (job.grouped && (kept == LNG_DTYPE_BF16 || kept == LNG_DTYPE_I8));
    if (args->q.dtype != LNG_DTYPE_F32 || !good || !keys_exist(args, &longest))
        return lng_backend_ref.ops.attention_step(device, args);
    job.block = 1 + TASK_ELEMENTS / ((longest + 1) * args->q.cols);
    /* one thread takes all: each row calls the next one's keys from memory */
    if (job.block * cpu->threads > args->q.rows || cpu->threads == 1)
        job.block = lng_cpu_ceil(args->q.rows, cpu->threads);
    if (job.block > LNG_ATTENTION_GROUP) /* whole beams of four, eight, ... */
        job.block = lng_cpu_ceil(job.block, LNG_ATTENTION_GROUP) * LNG_ATTENTION_GROUP;
    const int64_t most =
        job.grouped ? (LNG_ATTENTION_GROUP + 1) * lng_attention_padded(args->heads) : 1;
    /* two bytes a column of the queries, heads filled up to registers; two numbers a head */
    const int64_t planes = 2 * (args->q.cols + 64 * args->heads) + 8 * (args->heads + 16);
    size_t bytes =
        (size_t)longest * (3 * sizeof(void *)) + (size_t)((longest + 64) * most) * sizeof(float);
    if (job.grouped)
        bytes += (size_t)(LNG_ATTENTION_GROUP * planes);
    LNG_TRY(lng_cpu_reserve(cpu, bytes, 0));
    if (args->new_k.data)
        write_newest(cpu, args);
    lng_cpu_run(cpu, lng_cpu_ceil(args->q.rows, job.block), step_task, &job);
    return LNG_OK;
}
