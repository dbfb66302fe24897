/* Label-smoothed cross-entropy with its gradient. */
#include "kernels/cuda/gpu_logits.cuh"

/* The loss of a row is -sum of w[j] lp[j], with w = at_target for its target and elsewhere for the rest. */
template <class T> struct loss_job {
    gpu_matrix<T> logits;
    int64_t rows, cols;
    const int32_t *targets;
    float *token_logprob; /* [rows] or NULL */
    double *answers; /* [rows, 3] or NULL: loss, -lp[target], whether the arg-max is the target */
    double at_target, elsewhere;
    /* gradient = gradient_total * softmax - (gradient_target or gradient_elsewhere) */
    float gradient_total, gradient_target, gradient_elsewhere;
    bool d_logits;
};

/* Loss, log-probability and arg-max of each row (ops.h, lng_loss), and the gradient in place of the logits.
 * logits [rows, cols] any alignment (WIDE: 16 bytes); targets [rows].
 * Grid rows blocks of THREADS (128 up to 4,096 columns, else 512), a row each; shared under 600 bytes. One
 * pass for the largest, its first place and the sum of exponentials, rescaled whenever a thread meets a
 * larger logit; one for the gradient. Sums of a warp in float, of warps and of the row's answers in
 * double, in an order that the width alone decides.
 * Cost: reads the logits twice, the second time partly from the cache, and writes them once; two
 * exponentials a logit. */
template <class T, bool WIDE, int THREADS>
static __global__ void __launch_bounds__(THREADS, 1024 / THREADS)
    loss_kernel(struct loss_job<T> job)
{
    __shared__ struct logits_room<THREADS> room;
    const int64_t n = blockIdx.x, target = job.targets[n];
    T *logits = job.logits.row(n);
    const float at_target = gpu_load(logits + target); /* before anyone writes there */
    const struct logits_row row = logits_join(&room, logits_scan<WIDE, THREADS>(logits, job.cols));
    const float factor = job.gradient_total / (float)row.exponentials;
    for (int64_t col = threadIdx.x * GPU_OCTET; job.d_logits && col < job.cols;
         col += THREADS * GPU_OCTET) {
        const int count = gpu_octet_count(col, job.cols);
        float x[GPU_OCTET];
        gpu_load_octet<WIDE>(logits + col, count, x);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            x[i] = factor * expf(x[i] - row.highest) -
                   (col + i == target ? job.gradient_target : job.gradient_elsewhere);
        gpu_store_octet<WIDE>(logits + col, count, x);
    }
    if (threadIdx.x != 0)
        return;
    const double log_sum = (double)row.highest + log(row.exponentials);
    const double logprob = (double)at_target - log_sum;
    if (job.token_logprob != NULL)
        job.token_logprob[n] = (float)logprob;
    if (job.answers != NULL) {
        double loss = -job.at_target * logprob;
        if (job.elsewhere > 0)
            loss -=
                job.elsewhere * (row.total - (double)at_target - (double)(job.cols - 1) * log_sum);
        job.answers[3 * n] = loss;
        job.answers[3 * n + 1] = -logprob;
        job.answers[3 * n + 2] = row.best == target;
    }
}

enum { LOSS_SUM_THREADS = 256 };

/* sums[i] += sum over the rows of answers[row][i]. One block of 256, 64 bytes shared, fixed order.
 * Cost: 24 bytes a row. */
static __global__ void __launch_bounds__(LOSS_SUM_THREADS)
    loss_sum_kernel(const double *answers, int64_t rows, double *sums)
{
    __shared__ double room[LOSS_SUM_THREADS / GPU_WARP];
    double sum[3] = {0, 0, 0};
    for (int64_t n = threadIdx.x; n < rows; n += LOSS_SUM_THREADS)
        for (int i = 0; i < 3; i++)
            sum[i] += answers[3 * n + i];
    for (int i = 0; i < 3; i++) {
        const double all = gpu_block_sum<LOSS_SUM_THREADS>(sum[i], room);
        if (threadIdx.x == 0)
            sums[i] += all;
    }
}

template <class T>
static struct loss_job<T> job_of(const struct lng_loss_args *args, double *answers) {
    const double cols = (double)args->logits.cols;
    const bool uniform = args->kind == LNG_SMOOTHING_UNIFORM;
    struct loss_job<T> job = {
    };
    job.logits = gpu_matrix_of<T>(args->logits);
    job.rows = args->logits.rows;
    job.cols = args->logits.cols;
    job.targets = args->targets;
    job.token_logprob = args->token_logprob;
    job.answers = answers;
    job.elsewhere = uniform ? args->smoothing / cols : cols > 1 ? args->smoothing / (cols - 1) : 0;
    job.at_target = 1 - args->smoothing + (uniform ? job.elsewhere : 0);
    job.gradient_total =
        (float)(args->gradient_scale * (job.at_target + (cols - 1) * job.elsewhere));
    job.gradient_target = (float)(args->gradient_scale * job.at_target);
    job.gradient_elsewhere = (float)(args->gradient_scale * job.elsewhere);
    job.d_logits = args->d_logits;
    return job;
}

enum lng_status
cuda_loss(struct lng_device *device, const struct lng_loss_args *args)
{
    const cudaStream_t stream = cuda_stream(device);
    const int64_t rows = args->logits.rows;
    void *answers = NULL;
    if (args->sums != NULL)
        LNG_TRY(cuda_scratch(device, (size_t)rows * 3 * sizeof(double), &answers));
    LNG_TRY(gpu_by_dtype_and_flag(
        args->logits.dtype, gpu_is_wide(args->logits), [&](auto zero, auto flag) {
            typedef decltype(zero) T;
            constexpr bool WIDE = decltype(flag)::value;
            const struct loss_job<T> job = job_of<T>(args, static_cast<double *>(answers));
            if (gpu_logits_many(job.cols))
                CUDA_TRY(device, "loss",
                         GPU_LAUNCH((loss_kernel<T, WIDE, LOGITS_MANY>), (unsigned)rows,
                                    LOGITS_MANY, 0, stream, job));
            else
                CUDA_TRY(device, "loss",
                         GPU_LAUNCH((loss_kernel<T, WIDE, LOGITS_FEW>), (unsigned)rows, LOGITS_FEW,
                                    0, stream, job));
            return LNG_OK;
        }));
    if (args->sums != NULL)
        CUDA_TRY(device, "loss",
                 GPU_LAUNCH(loss_sum_kernel, 1, LOSS_SUM_THREADS, 0, stream,
                            static_cast<const double *>(answers), rows, args->sums));
    return LNG_OK;
}
