/* Guided alignment: ref's arithmetic, sentences shared out among the threads. */
#include "kernels/cpu/cpu_device.h"
#include "kernels/ref/ref_guide.h"

struct guide_job {
    const struct lng_attention_guide_args *args;
    struct lng_cpu *cpu;
    double (*sums)[2]; /* [sentences] */
};

static void guide_task(void *context, int64_t task, int thread)
{
    const struct guide_job *job = context;
    double *sums = job->sums[task];
    lng_ref_guide_sentence(job->args, task, job->cpu->private[thread], NULL, sums);
}

/* Additive scores are rare, and their vector's gradient is a sum over sentences: left to ref. */
enum lng_status lng_cpu_attention_guide(struct lng_device *device,
                                        const struct lng_attention_guide_args *args)
{
    struct lng_cpu *cpu = lng_cpu_of(device);
    if (args->score == LNG_ATTENTION_ADDITIVE)
        return lng_backend_ref.ops.attention_guide(device, args);
    LNG_TRY(lng_ref_guide_check(args));
    LNG_TRY(lng_cpu_reserve(cpu, lng_ref_guide_room(args) * sizeof(double),
                            (size_t)args->sentences * sizeof(double[2])));
    struct guide_job job = {args, cpu, cpu->shared};
    lng_cpu_run(cpu, args->sentences, guide_task, &job);
    for (int64_t b = 0; b < args->sentences && args->sums != NULL; b++)
        for (int i = 0; i < 2; i++)
            args->sums[i] += job.sums[b][i];
    return LNG_OK;
}
