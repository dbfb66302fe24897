/* Residual sum and statistics of rows, for the kernels that normalise. */
#ifndef LNG_KERNELS_CUDA_GPU_NORM_CUH
#define LNG_KERNELS_CUDA_GPU_NORM_CUH

#include "kernels/cuda/gpu_vector.cuh"

template <class T> struct norm_fwd_job {
    gpu_matrix<T> x, residual, y, sum; /* residual, y, sum may be absent */
    const float *gamma, *beta;         /* beta may be NULL */
    float *mean, *rstd;                /* may be NULL */
    int64_t rows, cols;
    float epsilon;
    bool layer; /* else RMS */
    struct gpu_dropout dropout;
};

template <class T>
static inline norm_fwd_job<T> norm_fwd_job_of(const struct lng_norm_fwd_args *args)
{
    return norm_fwd_job<T>{
        gpu_matrix_of<T>(args->x),
        gpu_matrix_of<T>(args->residual),
        gpu_matrix_of<T>(args->y),
        gpu_matrix_of<T>(args->sum),
        static_cast<const float *>(args->gamma.data),
        static_cast<const float *>(args->beta.data),
        static_cast<float *>(args->mean),
        static_cast<float *>(args->rstd),
        args->x.rows,
        args->x.cols,
        (float)args->epsilon,
        args->kind == LNG_NORM_LAYER,
        gpu_dropout_of(args->dropout),
    };
}
/* Every octet of every row is whole and can be moved at once. */
static inline bool norm_is_whole(const struct lng_norm_fwd_args *args)
{
    return args->x.cols % GPU_OCTET == 0 && gpu_is_wide(args->x) && gpu_is_wide(args->residual) &&
           gpu_is_wide(args->y) && gpu_is_wide(args->sum) &&
           (args->kind == LNG_NORM_NONE || (gpu_is_wide(args->gamma) && gpu_is_wide(args->beta)));
}

/* What an octet of s is made of, on its way from memory. */
template <class T> struct norm_octet {
    struct gpu_words<T> x, residual;
};
template <int WIDE, class T>
static __device__ __forceinline__ norm_octet<T> load_parts(const struct norm_fwd_job<T> &job,
                                                           int64_t n, int64_t col, int count)
{
    norm_octet<T> parts = {};
    parts.x = gpu_load_words<WIDE>(job.x.row(n) + col, count);
    if (job.residual.data != NULL)
        parts.residual = gpu_load_words<WIDE>(job.residual.row(n) + col, count);
    return parts;
}

/* s = residual + dropout(x), zeros behind the row. */
template <class T>
static __device__ __forceinline__ void
add_parts(const struct norm_fwd_job<T> &job, int64_t n, int64_t col, int count,
          const struct norm_octet<T> &parts, float (&s)[GPU_OCTET])
{
    float residual[GPU_OCTET];
    gpu_unpack(parts.x, s);
    gpu_unpack(parts.residual, residual);
    if (count > 0)
        gpu_dropout_octet(job.dropout, n, col, s);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        s[i] += residual[i];
}
template <int WIDE, class T>
static __device__ __forceinline__ void residual_sum(const struct norm_fwd_job<T> &job, int64_t n,
                                                    int64_t col, int count, float (&s)[GPU_OCTET])
{
    add_parts(job, n, col, count, load_parts<WIDE>(job, n, col, count), s);
}

static __device__ __forceinline__ float octet_sum(const float (&s)[GPU_OCTET])
{
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* The sum of (s - mean)^2 over the `count` values the row has here. */
static __device__ __forceinline__ float octet_squares(const float (&s)[GPU_OCTET], int count,
                                                      float mean)
{
    float square[GPU_OCTET];
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        square[i] = i < count ? (s[i] - mean) * (s[i] - mean) : 0.0f;
    return octet_sum(square);
}

/* s = (s - mean) rstd gamma + beta. */
template <int WIDE, class T>
static __device__ __forceinline__ void normalise(const struct norm_fwd_job<T> &job, int64_t col,
                                                 int count, float (&s)[GPU_OCTET], float mean,
                                                 float rstd)
{
    float gamma[GPU_OCTET], beta[GPU_OCTET] = {};
    gpu_load_octet<WIDE>(job.gamma + col, count, gamma);
    if (job.beta != NULL)
        gpu_load_octet<WIDE>(job.beta + col, count, beta);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        s[i] = (s[i] - mean) * rstd * gamma[i] + beta[i];
}
/* Stores s, and y = (s - mean) rstd gamma + beta, which is then in s. */
template <int WIDE, class T>
static __device__ __forceinline__ void
store_normalised(const struct norm_fwd_job<T> &job, int64_t n, int64_t col, int count,
                 float (&s)[GPU_OCTET], float mean, float rstd)
{
    if (job.sum.data != NULL)
        gpu_store_octet<WIDE>(job.sum.row(n) + col, count, s);
    normalise<WIDE>(job, col, count, s, mean, rstd);
    gpu_store_octet<WIDE>(job.y.row(n) + col, count, s);
}

/* The sums of ROWS values each over the warp. Side by side, and yet each as gpu_warp_sum has it. */
template <int ROWS> static __device__ __forceinline__ void warp_sums(float (&value)[ROWS])
{
#pragma unroll
    for (int offset = GPU_WARP / 2; offset > 0; offset /= 2)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            value[r] += __shfl_xor_sync(GPU_ALL_LANES, value[r], offset);
}

/* s, mean (RMS: 0) and rstd of rows n .. n + ROWS - 1, of up to 256 OCTETS columns, by a warp: lane l has the octets
 * l, l + 32, .... Rows from job.rows on are taken as zeros. The mean first, then squares about it, in float, in
 * an order that depends on the column alone. */
template <int WIDE, int OCTETS, int ROWS, class T>
static __device__ __forceinline__ void norm_rows(const struct norm_fwd_job<T> &job, int64_t n,
                                                 float (&s)[ROWS][OCTETS][GPU_OCTET],
                                                 float (&mean)[ROWS], float (&rstd)[ROWS])
{
    const int lane = threadIdx.x % GPU_WARP;
    struct norm_octet<T> parts[ROWS][OCTETS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            const int count = n + r < job.rows ? gpu_octet_count(col, job.cols) : 0;
            parts[r][o] = load_parts<WIDE>(job, n + r, col, count);
        }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        mean[r] = 0;
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            const int count = n + r < job.rows ? gpu_octet_count(col, job.cols) : 0;
            add_parts(job, n + r, col, count, parts[r][o], s[r][o]);
            mean[r] += octet_sum(s[r][o]);
        }
    }
    if (job.layer)
        warp_sums(mean);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        mean[r] = job.layer ? mean[r] / (float)job.cols : 0.0f;
        rstd[r] = 0;
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            rstd[r] += octet_squares(s[r][o], gpu_octet_count(col, job.cols), mean[r]);
        }
    }
    warp_sums(rstd);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        rstd[r] = 1.0f / sqrtf(rstd[r] / (float)job.cols + job.epsilon);
}

#endif
