/* The gradient of the norms. The sums over rows, d_gamma and d_beta, are made of groups of rows: how many
 * depends on the number of rows alone, so their bits are the same on every device. */
#include "kernels/cuda/gpu_vector.cuh"

template <class T> struct norm_bwd_job {
    gpu_matrix<T> sum, d_y, d_sum, d_residual, d_x; /* the last three may be absent */
    const float *gamma, *mean, *rstd;               /* mean not read for RMS */
    float *partials;                                /* [groups, 2, pitch]: of d_gamma, of d_beta */
    int64_t rows, cols, pitch, group_rows;
    bool layer; /* else RMS */
    struct gpu_dropout dropout;
};

/* Stores an octet of d_s to d_residual, and times the mask to d_x. */
template <int WIDE, class T>
static __device__ __forceinline__ void store_gradient(const struct norm_bwd_job<T> &job, int64_t n,
                                                      int64_t col, int count,
                                                      float (&d_s)[GPU_OCTET])
{
    if (job.d_residual.data != NULL)
        gpu_store_octet<WIDE>(job.d_residual.row(n) + col, count, d_s);
    if (job.d_x.data == NULL || count == 0)
        return;
    gpu_dropout_octet(job.dropout, n, col, d_s);
    gpu_store_octet<WIDE>(job.d_x.row(n) + col, count, d_s);
}

enum {
    NORM_WARPS = 4,
    NORM_BLOCK = 256,
    NORM_COLUMNS = 128,    /* threads, each with a column */
    NORM_GROUPS = 512,     /* at most */
    NORM_GROUP_ROWS = 16,  /* at least, but for the last group */
    NORM_SUM_COLUMNS = 32, /* that a block adds up */
    NORM_SUM_LANES = 8,    /* with so many threads each */
};

/* Adds the warps' values column by column, in order, and writes them to the block's partial sums. */
template <int OCTETS>
static __device__ __forceinline__ void store_partial(float (&room)[NORM_WARPS][OCTETS * 256],
                                                     const float (&value)[OCTETS][GPU_OCTET],
                                                     float *partial, int64_t cols)
{
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
#pragma unroll
    for (int o = 0; o < OCTETS; o++)
        gpu_store_whole(&room[warp][(o * GPU_WARP + lane) * GPU_OCTET], value[o]);
    __syncthreads();
    for (int col = threadIdx.x; col < cols; col += NORM_WARPS * GPU_WARP) {
        float sum = room[0][col];
        for (int w = 1; w < NORM_WARPS; w++)
            sum += room[w][col];
        partial[col] = sum;
    }
    __syncthreads();
}

/* With h = (sum - mean) rstd and g = d_y gamma, per row:
 *   d_s = rstd (g - mean(g) - h mean(g h)) + d_sum     (RMS: without mean(g))
 *   d_residual = d_s,  d_x = mask * d_s
 * and for the rows of the block's group, partials = sums of d_y h and of d_y.
 * sum, d_y, d_sum, d_residual, d_x [rows, cols], cols <= 256 OCTETS; gamma [cols]; mean, rstd [rows]. Any
 * alignment (WHOLE: 16 bytes and cols divisible by 8). d_residual and d_x may be d_y, d_sum or (without dropout) each other.
 * Grid ceil(rows / group_rows) blocks of 128; shared 16 KiB (OCTETS 4) or 8; warp w takes rows w, w + 4, ...
 * of the group and keeps a row in registers. Sums in float, in fixed order.
 * Cost: reads sum, d_y, d_sum once, writes d_residual, d_x once; about 20 operations a value. */
template <class T, int WIDE, int OCTETS>
static __global__ void __launch_bounds__(NORM_WARPS *GPU_WARP, OCTETS > 2 ? 2 : 4)
    norm_bwd_warp_kernel(struct norm_bwd_job<T> job)
{
    constexpr bool EARLY = OCTETS * sizeof(T) <= 8; /* there are registers for d_sum at once */
    __shared__ __align__(16) float room[NORM_WARPS][OCTETS * GPU_WARP * GPU_OCTET];
    const int lane = threadIdx.x % GPU_WARP, warp = threadIdx.x / GPU_WARP;
    const int64_t first = blockIdx.x * job.group_rows;
    const int64_t end = first + job.group_rows < job.rows ? first + job.group_rows : job.rows;
    float d_gamma[OCTETS][GPU_OCTET] = {}, d_beta[OCTETS][GPU_OCTET] = {};
    for (int64_t n = first + warp; n < end; n += NORM_WARPS) {
        float g[OCTETS][GPU_OCTET], h[OCTETS][GPU_OCTET];
        struct gpu_words<T> d_y[OCTETS], sum[OCTETS], d_sum[OCTETS] = {
        };
        const float mean = job.layer ? job.mean[n] : 0.0f, rstd = job.rstd[n];
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            const int count = gpu_octet_count(col, job.cols);
            d_y[o] = gpu_load_words<WIDE>(job.d_y.row(n) + col, count);
            sum[o] = gpu_load_words<WIDE>(job.sum.row(n) + col, count);
            if (EARLY && job.d_sum.data != NULL)
                d_sum[o] = gpu_load_words<WIDE>(job.d_sum.row(n) + col, count);
        }
        float total = 0, product = 0;
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            float gamma[GPU_OCTET];
            gpu_load_octet<WIDE>(job.gamma + col, gpu_octet_count(col, job.cols), gamma);
            gpu_unpack(d_y[o], g[o]);
            gpu_unpack(sum[o], h[o]);
#pragma unroll
            for (int i = 0; i < GPU_OCTET; i++) {
                h[o][i] = (h[o][i] - mean) * rstd;
                d_gamma[o][i] += g[o][i] * h[o][i];
                d_beta[o][i] += g[o][i];
                g[o][i] *= gamma[i];
                total += g[o][i];
                product += g[o][i] * h[o][i];
            }
        }
        const float shift = job.layer ? gpu_warp_sum(total) / (float)job.cols : 0.0f;
        product = gpu_warp_sum(product) / (float)job.cols;
#pragma unroll
        for (int o = 0; o < OCTETS; o++) {
            const int col = (o * GPU_WARP + lane) * GPU_OCTET;
            const int count = gpu_octet_count(col, job.cols);
            float above[GPU_OCTET];
            if (!EARLY && job.d_sum.data != NULL)
                d_sum[o] = gpu_load_words<WIDE>(job.d_sum.row(n) + col, count);
            gpu_unpack(d_sum[o], above);
#pragma unroll
            for (int i = 0; i < GPU_OCTET; i++)
                g[o][i] = rstd * (g[o][i] - shift - h[o][i] * product) + above[i];
            store_gradient<WIDE>(job, n, col, count, g[o]);
        }
    }
    float *partial = job.partials + (int64_t)blockIdx.x * 2 * job.pitch;
    store_partial<OCTETS>(room, d_gamma, partial, job.cols);
    store_partial<OCTETS>(room, d_beta, partial + job.pitch, job.cols);
}

/* The partial sums alone, for wide rows: before d_x or d_residual, which may be d_y, are written.
 * Grid (ceil(cols / 128), groups) blocks of 128, a column a thread, nothing shared.
 * Cost: reads sum and d_y once. */
template <class T>
static __global__ void __launch_bounds__(NORM_COLUMNS)
    norm_bwd_columns_kernel(struct norm_bwd_job<T> job)
{
    const int64_t col = (int64_t)blockIdx.x * NORM_COLUMNS + threadIdx.x;
    const int64_t first = blockIdx.y * job.group_rows;
    const int64_t end = first + job.group_rows < job.rows ? first + job.group_rows : job.rows;
    if (col >= job.cols)
        return;
    float d_gamma = 0, d_beta = 0;
#pragma unroll 4
    for (int64_t n = first; n < end; n++) {
        const float mean = job.layer ? job.mean[n] : 0.0f, d_y = gpu_load(job.d_y.row(n) + col);
        d_gamma += d_y * ((gpu_load(job.sum.row(n) + col) - mean) * job.rstd[n]);
        d_beta += d_y;
    }
    float *partial = job.partials + (int64_t)blockIdx.y * 2 * job.pitch + col;
    partial[0] = d_gamma;
    partial[job.pitch] = d_beta;
}

/* d_residual and d_x of rows of any width; formula, views and aliasing as above.
 * Grid rows blocks of 256, a row each, 32 bytes shared. A thread reads its octets twice, the second time
 * mostly from the cache, and writes them then.
 * Cost: as above, and one more read of d_y and sum from the cache. */
template <class T, int WIDE>
static __global__ void __launch_bounds__(NORM_BLOCK)
    norm_bwd_block_kernel(struct norm_bwd_job<T> job)
{
    __shared__ float room[NORM_BLOCK / GPU_WARP];
    const int64_t n = blockIdx.x, start = threadIdx.x * GPU_OCTET, step = NORM_BLOCK * GPU_OCTET;
    const float mean = job.layer ? job.mean[n] : 0.0f, rstd = job.rstd[n];
    float shift = 0, product = 0;
    for (int turn = 0; turn < 2; turn++) {
        for (int64_t col = start; col < job.cols; col += step) {
            const int count = gpu_octet_count(col, job.cols);
            float g[GPU_OCTET], h[GPU_OCTET], gamma[GPU_OCTET], d_sum[GPU_OCTET] = {};
            gpu_load_octet<WIDE>(job.d_y.row(n) + col, count, g);
            gpu_load_octet<WIDE>(job.sum.row(n) + col, count, h);
            gpu_load_octet<WIDE>(job.gamma + col, count, gamma);
            if (turn == 1 && job.d_sum.data != NULL)
                gpu_load_octet<WIDE>(job.d_sum.row(n) + col, count, d_sum);
#pragma unroll
            for (int i = 0; i < GPU_OCTET; i++) {
                g[i] *= gamma[i];
                h[i] = (h[i] - mean) * rstd;
                if (turn == 0) {
                    shift += g[i];
                    product += g[i] * h[i];
                } else {
                    g[i] = rstd * (g[i] - shift - h[i] * product) + d_sum[i];
                }
            }
            if (turn == 1)
                store_gradient<WIDE>(job, n, col, count, g);
        }
        if (turn == 1)
            break;
        shift = gpu_block_sum<NORM_BLOCK>(shift, room) / (float)job.cols;
        product = gpu_block_sum<NORM_BLOCK>(product, room) / (float)job.cols;
        shift = job.layer ? shift : 0.0f;
    }
}

/* d_gamma += and d_beta += their partial sums (d_beta NULL: none). out [cols], partials [groups, 2, pitch].
 * Grid (ceil(cols / 32), 1 or 2) blocks of 256: lane y of a column sums groups y, y + 8, ..., then the
 * eight are added in order. 1 KiB shared. Cost: reads the partial sums once. */
static __global__ void __launch_bounds__(NORM_SUM_COLUMNS *NORM_SUM_LANES)
    norm_bwd_sum_kernel(const float *partials, int64_t groups, int64_t pitch, int64_t cols,
                        float *d_gamma, float *d_beta)
{
    __shared__ float room[NORM_SUM_LANES][NORM_SUM_COLUMNS];
    const int x = threadIdx.x % NORM_SUM_COLUMNS, y = threadIdx.x / NORM_SUM_COLUMNS;
    const int64_t col = (int64_t)blockIdx.x * NORM_SUM_COLUMNS + x;
    float sum = 0;
    if (col < cols)
#pragma unroll 8
        for (int64_t group = y; group < groups; group += NORM_SUM_LANES)
            sum += partials[(group * 2 + blockIdx.y) * pitch + col];
    room[y][x] = sum;
    __syncthreads();
    if (y > 0 || col >= cols)
        return;
    for (int lane = 1; lane < NORM_SUM_LANES; lane++)
        sum += room[lane][x];
    float *out = blockIdx.y == 0 ? d_gamma : d_beta;
    out[col] += sum;
}

/* d_s = d_y + d_sum without a norm (d_y, d_sum NULL: zero); d_residual = d_s, d_x = mask * d_s. Views and
 * aliasing as above. Grid ceil(rows ceil(cols / 8) / 256) blocks of 256, an octet a thread.
 * Cost: reads d_y and d_sum once, writes d_residual and d_x once. */
template <class T, int WIDE>
static __global__ void __launch_bounds__(GPU_OCTET_THREADS)
    residual_bwd_kernel(struct norm_bwd_job<T> job)
{
    const struct gpu_octet own = gpu_own_octet(job.rows, job.cols);
    if (own.count == 0)
        return;
    float d_s[GPU_OCTET] = {}, d_sum[GPU_OCTET] = {};
    if (job.d_y.data != NULL)
        gpu_load_octet<WIDE>(job.d_y.row(own.row) + own.col, own.count, d_s);
    if (job.d_sum.data != NULL)
        gpu_load_octet<WIDE>(job.d_sum.row(own.row) + own.col, own.count, d_sum);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        d_s[i] += d_sum[i];
    store_gradient<WIDE>(job, own.row, own.col, own.count, d_s);
}

template <class T, int WIDE>
static enum lng_status launch_rows(struct lng_device *device, const struct norm_bwd_job<T> &job,
                                   unsigned groups)
{
    const cudaStream_t stream = cuda_stream(device);
    if (job.cols <= 2 * GPU_WARP * GPU_OCTET) {
        CUDA_TRY(device, "norm_bwd",
                 GPU_LAUNCH((norm_bwd_warp_kernel<T, WIDE, 2>), groups, NORM_WARPS * GPU_WARP, 0,
                            stream, job));
    } else if (job.cols <= 4 * GPU_WARP * GPU_OCTET) {
        CUDA_TRY(device, "norm_bwd",
                 GPU_LAUNCH((norm_bwd_warp_kernel<T, WIDE, 4>), groups, NORM_WARPS * GPU_WARP, 0,
                            stream, job));
    } else {
        const dim3 grid((unsigned)gpu_ceil(job.cols, NORM_COLUMNS), groups);
        CUDA_TRY(device, "norm_bwd",
                 GPU_LAUNCH((norm_bwd_columns_kernel<T>), grid, NORM_COLUMNS, 0, stream, job));
        CUDA_TRY(device, "norm_bwd",
                 GPU_LAUNCH((norm_bwd_block_kernel<T, WIDE>), (unsigned)job.rows, NORM_BLOCK, 0,
                            stream, job));
    }
    return LNG_OK;
}

template <class T>
static struct norm_bwd_job<T> job_of(const struct lng_norm_bwd_args *args,
                                     const struct lng_view &shape) {
    return norm_bwd_job<T>{
        gpu_matrix_of<T>(args->sum),
        gpu_matrix_of<T>(args->d_y),
        gpu_matrix_of<T>(args->d_sum),
        gpu_matrix_of<T>(args->d_residual),
        gpu_matrix_of<T>(args->d_x),
        static_cast<const float *>(args->gamma.data),
        static_cast<const float *>(args->mean),
        static_cast<const float *>(args->rstd),
        NULL,
        shape.rows,
        shape.cols,
        gpu_ceil(shape.cols, GPU_OCTET) * GPU_OCTET,
        shape.rows,
        args->kind == LNG_NORM_LAYER,
        gpu_dropout_of(args->dropout),
    };
}

enum lng_status
cuda_norm_bwd(struct lng_device *device, const struct lng_norm_bwd_args *args)
{
    const bool plain = args->kind == LNG_NORM_NONE;
    const struct lng_view shape = args->d_y.data != NULL ? args->d_y : args->d_sum;
    const bool whole = shape.cols % GPU_OCTET == 0 && gpu_is_wide(args->d_y) &&
                       gpu_is_wide(args->d_sum) && gpu_is_wide(args->d_residual) &&
                       gpu_is_wide(args->d_x) &&
                       (plain || (gpu_is_wide(args->sum) && gpu_is_wide(args->gamma)));
    if (shape.cols == 0)
        return LNG_OK;
    return gpu_by_dtype_and_flag(shape.dtype, whole, [&](auto zero, auto flag) {
        typedef decltype(zero) T;
        constexpr int WIDE = decltype(flag)::value ? GPU_WHOLE : GPU_SCALAR;
        const cudaStream_t stream = cuda_stream(device);
        struct norm_bwd_job<T> job = job_of<T>(args, shape);
        if (plain) {
            CUDA_TRY(device, "norm_bwd",
                     GPU_LAUNCH((residual_bwd_kernel<T, WIDE>),
                                gpu_octet_blocks(job.rows, job.cols), GPU_OCTET_THREADS, 0, stream,
                                job));
            return LNG_OK;
        }
        int64_t groups = gpu_ceil(job.rows, NORM_GROUP_ROWS);
        job.group_rows = gpu_ceil(job.rows, groups < NORM_GROUPS ? groups : (int64_t)NORM_GROUPS);
        groups = gpu_ceil(job.rows, job.group_rows);
        void *scratch;
        LNG_TRY(cuda_scratch(device, (size_t)(groups * 2 * job.pitch) * sizeof(float), &scratch));
        job.partials = static_cast<float *>(scratch);
        LNG_TRY((launch_rows<T, WIDE>(device, job, (unsigned)groups)));
        const bool both = args->d_beta.data != NULL;
        const dim3 grid((unsigned)gpu_ceil(job.cols, NORM_SUM_COLUMNS), both ? 2 : 1);
        CUDA_TRY(device, "norm_bwd",
                 GPU_LAUNCH(norm_bwd_sum_kernel, grid, NORM_SUM_COLUMNS * NORM_SUM_LANES, 0, stream,
                            job.partials, groups, job.pitch, job.cols,
                            static_cast<float *>(args->d_gamma.data),
                            static_cast<float *>(args->d_beta.data)));
        return LNG_OK;
    });
}
