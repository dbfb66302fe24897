/* Adam, gradient statistics and averages over flat ranges of floats. */
#include "kernels/cuda/gpu_vector.cuh"

/* What Adam's factors come to, folded on the host in double. */
struct adam_factors {
    float grad_scale;
    float keep_m, take_m; /* beta1, 1 - beta1 */
    float keep_v, take_v; /* beta2, 1 - beta2 */
    float inverse_bias1, inverse_bias2;
    float epsilon, lr, weight_decay, ema_rate;
};

/* Adam as in ops.h, with the running average of the parameters where ema is present.
 * param, m, v, grad, ema [n], apart; any alignment (WIDE: 16 bytes). scale: NULL, or in grad_scale's place.
 * Grid ceil(ceil(n / 8) / 256) blocks of 256, eight neighbours a thread, nothing shared. In float: the
 * relative error is a few 2^-24. No sums, so deterministic.
 * Cost: 28 bytes a parameter (36 with ema), about 20 operations with a root and a division. */
template <bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    adam_kernel(float *param, float *m, float *v, const float *grad, float *ema, int64_t n,
                const double *scale, struct adam_factors f)
{
    const int64_t first = ((int64_t)blockIdx.x * GPU_OCTET_THREADS + threadIdx.x) * GPU_OCTET;
    const int count = gpu_octet_count(first, n);
    if (count == 0 || (scale != NULL && *scale == 0))
        return;
    if (scale != NULL)
        f.grad_scale = (float)*scale;
    float p[GPU_OCTET], mean[GPU_OCTET], square[GPU_OCTET], g[GPU_OCTET];
    gpu_load_octet<WIDE>(grad + first, count, g);
    gpu_load_octet<WIDE>(m + first, count, mean);
    gpu_load_octet<WIDE>(v + first, count, square);
    gpu_load_octet<WIDE>(param + first, count, p);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++) {
        g[i] *= f.grad_scale;
        mean[i] = f.keep_m * mean[i] + f.take_m * g[i];
        square[i] = f.keep_v * square[i] + f.take_v * g[i] * g[i];
        const float step =
            mean[i] * f.inverse_bias1 / (sqrtf(square[i] * f.inverse_bias2) + f.epsilon);
        p[i] -= f.lr * (step + f.weight_decay * p[i]);
    }
    gpu_store_octet<WIDE>(m + first, count, mean);
    gpu_store_octet<WIDE>(v + first, count, square);
    gpu_store_octet<WIDE>(param + first, count, p);
    if (ema == NULL)
        return;
    gpu_load_octet<WIDE>(ema + first, count, g);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        g[i] += f.ema_rate * (p[i] - g[i]);
    gpu_store_octet<WIDE>(ema + first, count, g);
}

enum {
    STATS_THREADS = 256,
    STATS_BLOCKS = 1024, /* at most */
    STATS_SHARE = 4,     /* octets a thread, at least */
};

/* partials[block] = {sum of squares of the finite entries, number of the others}.
 * grad [n], any alignment (WIDE: 16 bytes).
 * Grid min(1024, ceil(n / 8192)) blocks of 256, 64 bytes shared: how the entries are divided, and so the
 * order of the sums, depends on n alone. Sums in double. Cost: reads grad once; 2 operations in double a
 * value, still less than the memory takes where double is 64 times slower than float. */
template <bool WIDE>
static __global__ void __launch_bounds__(STATS_THREADS)
    gradient_stats_kernel(const float *grad, int64_t n, double2 *partials)
{
    __shared__ double room[STATS_THREADS / GPU_WARP];
    const int64_t step = (int64_t)gridDim.x * STATS_THREADS * GPU_OCTET;
    double squares = 0;
    int64_t others = 0;
    for (int64_t first = ((int64_t)blockIdx.x * STATS_THREADS + threadIdx.x) * GPU_OCTET; first < n;
         first += step) {
        float g[GPU_OCTET];
        gpu_load_octet<WIDE>(grad + first, gpu_octet_count(first, n), g);
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++) {
            const bool finite = fabsf(g[i]) <= 3.402823466e+38f;
            const double value = finite ? g[i] : 0.0f;
            squares += value * value;
            others += !finite;
        }
    }
    squares = gpu_block_sum<STATS_THREADS>(squares, room);
    const double count = gpu_block_sum<STATS_THREADS>((double)others, room);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = make_double2(squares, count);
}

/* out[0], out[1] = sums of the partials' members; *scale of them as in ops.h, unless it is NULL. One block of 256, 64
 * bytes shared, fixed order. Roots and quotients of doubles are the nearest, so the scale has the host's bits. */
static __global__ void __launch_bounds__(STATS_THREADS)
    gradient_stats_sum_kernel(const double2 *partials, int64_t count, double *out, double *scale,
                              double tokens, double clip_norm)
{
    __shared__ double room[STATS_THREADS / GPU_WARP];
    double squares = 0, others = 0;
    for (int64_t i = threadIdx.x; i < count; i += STATS_THREADS) {
        squares += partials[i].x;
        others += partials[i].y;
    }
    squares = gpu_block_sum<STATS_THREADS>(squares, room);
    others = gpu_block_sum<STATS_THREADS>(others, room);
    if (threadIdx.x == 0) {
        out[0] = squares;
        out[1] = others;
    }
    if (threadIdx.x == 0 && scale != NULL) {
        const double norm = sqrt(squares) / tokens;
        const double clip = clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1;
        *scale = others > 0 || !isfinite(norm) ? 0 : clip / tokens;
    }
}

/* y = keep y + rate x. x, y [n], any alignment (WIDE: 16 bytes); x may be y.
 * Grid ceil(ceil(n / 8) / 256) blocks of 256, eight neighbours a thread, nothing shared.
 * Cost: 12 bytes and 2 operations a value. */
template <bool WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    average_kernel(float *y, const float *x, int64_t n, float keep, float rate)
{
    const int64_t first = ((int64_t)blockIdx.x * GPU_OCTET_THREADS + threadIdx.x) * GPU_OCTET;
    const int count = gpu_octet_count(first, n);
    if (count == 0)
        return;
    float value[GPU_OCTET], other[GPU_OCTET];
    gpu_load_octet<WIDE>(y + first, count, value);
    gpu_load_octet<WIDE>(x + first, count, other);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = keep * value[i] + rate * other[i];
    gpu_store_octet<WIDE>(y + first, count, value);
}

static bool is_aligned(const void *range)
{
    return (uintptr_t)range % 16 == 0;
}

enum lng_status cuda_adam(struct lng_device *device, const struct lng_adam_args *args)
{
    const struct adam_factors factors = {
        (float)args->grad_scale,   (float)args->beta1,       (float)(1 - args->beta1),
        (float)args->beta2,        (float)(1 - args->beta2), (float)(1 / args->bias1),
        (float)(1 / args->bias2),  (float)args->epsilon,     (float)args->lr,
        (float)args->weight_decay, (float)args->ema_rate,
    };
    const bool wide = is_aligned(args->param) && is_aligned(args->m) && is_aligned(args->v) &&
                      is_aligned(args->grad) && is_aligned(args->ema);
    return gpu_by_flag(wide, [&](auto flag) {
        CUDA_TRY(device, "adam",
                 GPU_LAUNCH((adam_kernel<decltype(flag)::value>), gpu_octet_blocks(1, args->n),
                            GPU_OCTET_THREADS, 0, cuda_stream(device),
                            static_cast<float *>(args->param), static_cast<float *>(args->m),
                            static_cast<float *>(args->v), static_cast<const float *>(args->grad),
                            static_cast<float *>(args->ema), args->n, args->scale, factors));
        return LNG_OK;
    });
}

enum lng_status cuda_gradient_stats(struct lng_device *device,
                                    const struct lng_gradient_stats_args *args)
{
    const cudaStream_t stream = cuda_stream(device);
    int64_t blocks = gpu_ceil(args->n, STATS_THREADS * STATS_SHARE * GPU_OCTET);
    blocks = blocks < STATS_BLOCKS ? blocks : (int64_t)STATS_BLOCKS;
    void *scratch;
    LNG_TRY(cuda_scratch(device, STATS_BLOCKS * sizeof(double2), &scratch));
    double2 *partials = static_cast<double2 *>(scratch);
    if (blocks > 0)
        LNG_TRY(gpu_by_flag(is_aligned(args->grad), [&](auto flag) {
            CUDA_TRY(device, "gradient_stats",
                     GPU_LAUNCH((gradient_stats_kernel<decltype(flag)::value>), (unsigned)blocks,
                                STATS_THREADS, 0, stream, static_cast<const float *>(args->grad),
                                args->n, partials));
            return LNG_OK;
        }));
    CUDA_TRY(device, "gradient_stats",
             GPU_LAUNCH(gradient_stats_sum_kernel, 1, STATS_THREADS, 0, stream, partials, blocks,
                        args->out, args->scale, args->tokens, args->clip_norm));
    return LNG_OK;
}

enum lng_status cuda_average(struct lng_device *device, const struct lng_average_args *args)
{
    return gpu_by_flag(is_aligned(args->y) && is_aligned(args->x), [&](auto flag) {
        CUDA_TRY(device, "average",
                 GPU_LAUNCH((average_kernel<decltype(flag)::value>), gpu_octet_blocks(1, args->n),
                            GPU_OCTET_THREADS, 0, cuda_stream(device),
                            static_cast<float *>(args->y), static_cast<const float *>(args->x),
                            args->n, (float)(1 - args->rate), (float)args->rate));
        return LNG_OK;
    });
}
