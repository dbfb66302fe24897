/* Label-smoothed cross-entropy with its gradient, of rows and of pairs that are to agree. */
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

/* What is wanted of a row: see loss_job. */
struct loss_wanted {
    double at_target, elsewhere;
};
static struct loss_wanted wanted_of(double smoothing, enum lng_smoothing kind, double cols)
{
    const bool uniform = kind == LNG_SMOOTHING_UNIFORM;
    struct loss_wanted wanted;
    wanted.elsewhere = uniform ? smoothing / cols : cols > 1 ? smoothing / (cols - 1) : 0;
    wanted.at_target = 1 - smoothing + (uniform ? wanted.elsewhere : 0);
    return wanted;
}

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
    const struct loss_wanted wanted = wanted_of(args->smoothing, args->kind, cols);
    struct loss_job<T> job = {
    };
    job.logits = gpu_matrix_of<T>(args->logits);
    job.rows = args->logits.rows;
    job.cols = args->logits.cols;
    job.targets = args->targets;
    job.token_logprob = args->token_logprob;
    job.answers = answers;
    job.elsewhere = wanted.elsewhere;
    job.at_target = wanted.at_target;
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

enum { PAIR_MANY = 256 };

template <class T> struct pair_job {
    gpu_matrix<T> logits;
    int64_t pairs, cols;
    const int32_t *targets;
    double
        *answers; /* [pairs, 3] or NULL: loss, -lp[target] of both rows, how many hit the target */
    double at_target, elsewhere, half; /* half the weight of the divergence */
    float scale, total;
};

/* Loss of each pair of rows (ops.h, lng_pair_loss), and the gradients in place of the logits.
 * logits [2 pairs, cols] any alignment (WIDE: 16 bytes); targets [pairs].
 * Grid pairs blocks of THREADS (128 up to 4,096 columns, else 256: two rows need the registers), a pair each; shared about 1.2 KB. A pass
 * over each row for its largest and its sum of exponentials; one over both for sum px (x - y) and
 * sum py (x - y), which the divergences are made of; one for the gradients. Sums of a warp in float, of
 * warps in double, in an order that the width alone decides. With l = log px - log py,
 *   d/dx = scale (total px - w + half (px (l - KL(x || y)) + px - py)), and so for y with -l.
 * Cost: reads the logits three times, twice partly from the cache, and writes them once; three
 * exponentials a logit. */
template <class T, bool WIDE, int THREADS>
static __global__ void __launch_bounds__(THREADS) pair_loss_kernel(struct pair_job<T> job)
{
    __shared__ struct logits_room<THREADS> rooms[2];
    __shared__ double room[THREADS / GPU_WARP];
    const int64_t n = blockIdx.x, target = job.targets[n];
    T *const x = job.logits.row(n), *const y = job.logits.row(job.pairs + n);
    const float x_at = gpu_load(x + target), y_at = gpu_load(y + target); /* before they change */
    const struct logits_row xs = logits_join(&rooms[0], logits_scan<WIDE, THREADS>(x, job.cols));
    const struct logits_row ys = logits_join(&rooms[1], logits_scan<WIDE, THREADS>(y, job.cols));
    const float x_factor = (float)(1 / xs.exponentials), y_factor = (float)(1 / ys.exponentials);
    float x_apart = 0.0f, y_apart = 0.0f;
    for (int64_t col = threadIdx.x * GPU_OCTET; col < job.cols; col += THREADS * GPU_OCTET) {
        const int count = gpu_octet_count(col, job.cols);
        float a[GPU_OCTET], b[GPU_OCTET];
        gpu_load_octet<WIDE>(x + col, count, a);
        gpu_load_octet<WIDE>(y + col, count, b);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++) {
            const float sx = a[i] - xs.highest, sy = b[i] - ys.highest;
            x_apart += i < count ? expf(sx) * (sx - sy) : 0.0f;
            y_apart += i < count ? expf(sy) * (sx - sy) : 0.0f;
        }
    }
    /* The barriers in here also part the reading above from the writing below. */
    const double x_mean = gpu_block_sum<THREADS>((double)x_apart, room) / xs.exponentials;
    const double y_mean = gpu_block_sum<THREADS>((double)y_apart, room) / ys.exponentials;
    const double x_log = log(xs.exponentials), y_log = log(ys.exponentials);
    const double x_kl = x_mean + (y_log - x_log), y_kl = -y_mean - (y_log - x_log);
    const float half = (float)job.half, logs = (float)(y_log - x_log);
    for (int64_t col = threadIdx.x * GPU_OCTET; col < job.cols; col += THREADS * GPU_OCTET) {
        const int count = gpu_octet_count(col, job.cols);
        float a[GPU_OCTET], b[GPU_OCTET];
        gpu_load_octet<WIDE>(x + col, count, a);
        gpu_load_octet<WIDE>(y + col, count, b);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++) {
            const float sx = a[i] - xs.highest, sy = b[i] - ys.highest, l = sx - sy + logs;
            const float px = x_factor * expf(sx), py = y_factor * expf(sy);
            const float w = (float)(col + i == target ? job.at_target : job.elsewhere);
            a[i] = job.scale * (job.total * px - w + half * (px * (l - (float)x_kl) + px - py));
            b[i] = job.scale * (job.total * py - w + half * (py * (-l - (float)y_kl) + py - px));
        }
        gpu_store_octet<WIDE>(x + col, count, a);
        gpu_store_octet<WIDE>(y + col, count, b);
    }
    if (threadIdx.x != 0 || job.answers == NULL)
        return;
    const double x_lse = (double)xs.highest + x_log, y_lse = (double)ys.highest + y_log;
    const double at = (double)x_at - x_lse + ((double)y_at - y_lse);
    double loss = -job.at_target * at + job.half * (x_kl + y_kl);
    if (job.elsewhere > 0)
        loss -= job.elsewhere * (xs.total - (double)x_at + (ys.total - (double)y_at) -
                                 (double)(job.cols - 1) * (x_lse + y_lse));
    job.answers[3 * n] = loss;
    job.answers[3 * n + 1] = -at;
    job.answers[3 * n + 2] = (xs.best == target) + (ys.best == target);
}

template <class T>
static struct pair_job<T> pair_job_of(const struct lng_pair_loss_args *args, double *answers) {
    const double cols = (double)args->logits.cols;
    const struct loss_wanted wanted = wanted_of(args->smoothing, args->kind, cols);
    struct pair_job<T> job = {
    };
    job.logits = gpu_matrix_of<T>(args->logits);
    job.pairs = args->logits.rows / 2;
    job.cols = args->logits.cols;
    job.targets = args->targets;
    job.answers = answers;
    job.at_target = wanted.at_target;
    job.elsewhere = wanted.elsewhere;
    job.half = args->divergence / 2;
    job.scale = (float)args->gradient_scale;
    job.total = (float)(wanted.at_target + (cols - 1) * wanted.elsewhere);
    return job;
}

enum lng_status
cuda_pair_loss(struct lng_device *device, const struct lng_pair_loss_args *args)
{
    const cudaStream_t stream = cuda_stream(device);
    const int64_t pairs = args->logits.rows / 2;
    void *answers = NULL;
    if (args->sums != NULL)
        LNG_TRY(cuda_scratch(device, (size_t)pairs * 3 * sizeof(double), &answers));
    LNG_TRY(gpu_by_dtype_and_flag(
        args->logits.dtype, gpu_is_wide(args->logits), [&](auto zero, auto flag) {
            typedef decltype(zero) T;
            constexpr bool WIDE = decltype(flag)::value;
            const struct pair_job<T> job = pair_job_of<T>(args, static_cast<double *>(answers));
            if (gpu_logits_many(job.cols))
                CUDA_TRY(device, "pair_loss",
                         GPU_LAUNCH((pair_loss_kernel<T, WIDE, PAIR_MANY>), (unsigned)pairs,
                                    PAIR_MANY, 0, stream, job));
            else
                CUDA_TRY(device, "pair_loss",
                         GPU_LAUNCH((pair_loss_kernel<T, WIDE, LOGITS_FEW>), (unsigned)pairs,
                                    LOGITS_FEW, 0, stream, job));
            return LNG_OK;
        }));
    if (args->sums != NULL)
        CUDA_TRY(device, "pair_loss",
                 GPU_LAUNCH(loss_sum_kernel, 1, LOSS_SUM_THREADS, 0, stream,
                            static_cast<const double *>(answers), pairs, args->sums));
    return LNG_OK;
}
