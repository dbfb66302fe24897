/* attention_fwd and attention_bwd: which kernels, and what both kinds share. */
#include "kernels/cuda/gpu_attention.cuh"

namespace
{

enum { THREADS = 128, WARPS = THREADS / GPU_WARP };

/* delta[h, n] = d_o[n, h] . o[n, h], which is sum_j p[n, j] d_p[n, j].
 * grid: x = ceil(N H / 4): a warp an element. Sums: f32, by lane, then the warp. Bytes: 2 |T| N H A. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    delta_kernel(gpu_matrix<const T> o, gpu_matrix<const T> d_o, int64_t rows, int heads, int width,
                 float *delta)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / GPU_WARP;
    if (i >= rows * heads) /* the whole warp */
        return;
    const int lane = threadIdx.x % GPU_WARP;
    const int64_t n = i / heads, h = i % heads;
    float sum = 0.0f;
    for (int a = lane; a < width; a += GPU_WARP)
        sum += gpu_load(o.row(n) + h * width + a) * gpu_load(d_o.row(n) + h * width + a);
    sum = gpu_warp_sum(sum);
    if (lane == 0)
        delta[h * rows + n] = sum;
}

enum lng_status launch_delta(struct lng_device *device, const struct lng_attention_bwd_args *args,
                             float *delta)
{
    const int64_t count = args->q.rows * args->heads;
    if (count == 0)
        return LNG_OK;
    return gpu_by_dtype(args->q.dtype, [&](auto zero) {
        using T = decltype(zero);
        CUDA_TRY(device, "attention_bwd",
                 GPU_LAUNCH(delta_kernel<T>, (unsigned)gpu_ceil(count, WARPS), THREADS, 0,
                            cuda_stream(device), gpu_matrix_of<const T>(args->o),
                            gpu_matrix_of<const T>(args->d_o), args->q.rows, (int)args->heads,
                            (int)(args->q.cols / args->heads), delta));
        return LNG_OK;
    });
}

} // namespace

extern "C" {

enum lng_status cuda_attention_fwd(struct lng_device *device,
                                   const struct lng_attention_fwd_args *args)
{
    const struct lng_view *const views[] = {&args->q, &args->k, &args->v, &args->o};
    return gpu_attention_mma_serves(views, 4, args->heads, args->score)
               ? gpu_attention_mma_fwd(device, args)
               : gpu_attention_plain_fwd(device, args);
}

enum lng_status cuda_attention_bwd(struct lng_device *device,
                                   const struct lng_attention_bwd_args *args)
{
    const struct lng_view *const views[] = {&args->q,   &args->k,   &args->v,   &args->o,
                                            &args->d_o, &args->d_q, &args->d_k, &args->d_v};
    const size_t delta_floats = (size_t)(args->q.rows * args->heads);
    const size_t slots = (size_t)gpu_attention_plain_slots(args->q.rows, args->sentences);
    const bool additive = args->score == LNG_ATTENTION_ADDITIVE;
    void *scratch = nullptr;
    LNG_TRY(cuda_scratch(
        device, (delta_floats + (additive ? slots * (size_t)args->q.cols : 0) + 1) * sizeof(float),
        &scratch));
    float *delta = static_cast<float *>(scratch);
    LNG_TRY(launch_delta(device, args, delta));
    return gpu_attention_mma_serves(views, 8, args->heads, args->score)
               ? gpu_attention_mma_bwd(device, args, delta)
               : gpu_attention_plain_bwd(device, args, delta, delta + delta_floats);
}
}
