/* Sums over a block by way of warps and shared memory, as the normalisation kernels have them. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

enum bug {
    NONE,
    STATIC_OVERRUN,
    NO_BARRIER,
    NO_SECOND_BARRIER,
    MISALIGNED,
    UNWRITTEN_SHARED,
    DIVERGENT_BARRIER,
    DIVERGENT_SHUFFLE,
};
constexpr int THREADS = 128, WARPS = THREADS / 32, COLUMNS = 512;

template <int BUG> __device__ float block_sum(float value)
{
    __shared__ float part[WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (BUG != DIVERGENT_SHUFFLE || lane < 16)
        value += __shfl_xor_sync(0xFFFFFFFFu, value, 16);
    for (int offset = 8; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
    if (lane == 0)
        part[warp + (BUG == STATIC_OVERRUN)] = value;
    if (BUG != NO_BARRIER)
        __syncthreads();
    float sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += part[w];
    if (BUG != NO_SECOND_BARRIER)
        __syncthreads();
    return sum;
}
/* y[row] = (sum of the row, sum of its squares). */
template <int BUG> __global__ void sums(float2 *y, const float *x)
{
    GPU_SHARED(room);
    float *row = gpu_shared_take<float>(room, COLUMNS + 1);
    const float *from = x + (size_t)blockIdx.x * COLUMNS;
    float sum = 0, squares = 0;
    for (int i = threadIdx.x * 4; i < COLUMNS; i += THREADS * 4) {
        const int skewed = BUG == MISALIGNED && i + 8 < COLUMNS ? i + 1 : i;
        const float4 v = *reinterpret_cast<const float4 *>(from + skewed);
        *reinterpret_cast<float4 *>(row + i) = v;
        sum += v.x + v.y + v.z + v.w;
    }
    sum = block_sum<BUG>(sum);
    for (int i = threadIdx.x * 4; i < COLUMNS; i += THREADS * 4)
        for (int e = 0; e < 4; e++)
            squares += row[i + e] * row[i + e];
    squares = block_sum<BUG>(squares);
    /* Read, and then not used. */
    const float unused = BUG == UNWRITTEN_SHARED ? row[COLUMNS] : 0.0f;
    if (threadIdx.x == THREADS - 1)
        y[blockIdx.x] = unused == 12345.0f ? make_float2(0, 0) : make_float2(sum, squares);
    if (BUG == DIVERGENT_BARRIER && threadIdx.x < 64)
        __syncthreads();
}
template <int BUG> bool run_sums(bool bug)
{
    constexpr int ROWS = 3;
    std::vector<float> x(ROWS * COLUMNS);
    std::vector<float2> wanted(ROWS, make_float2(0, 0));
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        x[i] = (float)(i * 7 % 13 - 6);
        wanted[i / COLUMNS].x += x[i];
        wanted[i / COLUMNS].y += x[i] * x[i];
    }
    planted_array<float> from(x);
    planted_array<float2> y(ROWS);
    const size_t shared = gpu_shared_bytes<float>(COLUMNS + 1);
    PLANTED_TRY(bug ? GPU_LAUNCH(sums<BUG>, ROWS, THREADS, shared, 0, y.at, from.at)
                    : GPU_LAUNCH(sums<NONE>, ROWS, THREADS, shared, 0, y.at, from.at));
    const std::vector<float2> found = y.read();
    bool right = true;
    for (int row = 0; row < ROWS; row++)
        right = right && found[row].x == wanted[row].x && found[row].y == wanted[row].y;
    return right;
}

__global__ void reversed(float *y, const float *x, int count, bool bug)
{
    __shared__ float room[THREADS];
    if (bug && (int)threadIdx.x >= count)
        return;
    if ((int)threadIdx.x < count)
        room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if ((int)threadIdx.x < count)
        y[threadIdx.x] = room[count - 1 - threadIdx.x];
}
bool early_exit(bool bug)
{
    constexpr int COUNT = 100;
    planted_array<float> x(planted_counting(COUNT)), y(COUNT);
    PLANTED_TRY(GPU_LAUNCH(reversed, 1, THREADS, 0, 0, y.at, x.at, COUNT, bug));
    const std::vector<float> found = y.read();
    return found[0] == COUNT - 1 && found[COUNT - 1] == 0;
}

/* A block of 48 threads has half a warp. */
__global__ void partial(float *y, const float *x, bool bug)
{
    const unsigned mask = bug || threadIdx.x < 32 ? 0xFFFFFFFFu : 0x0000FFFFu;
    float value = x[threadIdx.x];
    for (int offset = bug || threadIdx.x < 32 ? 16 : 8; offset > 0; offset /= 2)
        value += __shfl_xor_sync(mask, value, offset);
    y[threadIdx.x] = value;
}
bool absent_lanes(bool bug)
{
    planted_array<float> x(planted_counting(48)), y(48);
    PLANTED_TRY(GPU_LAUNCH(partial, 1, 48, 0, 0, y.at, x.at, bug));
    const std::vector<float> found = y.read();
    return found[0] == 496 && found[47] == 632;
}

__global__ void neighbours(float *y, const float *x, bool bug)
{
    __shared__ float room[64];
    room[threadIdx.x] = x[threadIdx.x];
    if (!bug)
        __syncwarp();
    y[threadIdx.x] = room[threadIdx.x ^ 1];
}
bool no_syncwarp(bool bug)
{
    planted_array<float> x(planted_counting(64)), y(64);
    PLANTED_TRY(GPU_LAUNCH(neighbours, 1, 64, 0, 0, y.at, x.at, bug));
    const std::vector<float> found = y.read();
    bool right = true;
    for (int i = 0; i < 64; i++)
        right = right && found[i] == (float)(i ^ 1);
    return right;
}

} // namespace

const planted_case planted_reductions[] = {
    {"static-overrun", run_sums<STATIC_OVERRUN>},
    {"no-barrier", run_sums<NO_BARRIER>},
    {"no-second-barrier", run_sums<NO_SECOND_BARRIER>},
    {"misaligned", run_sums<MISALIGNED>},
    {"unwritten-shared", run_sums<UNWRITTEN_SHARED>},
    {"divergent-barrier", run_sums<DIVERGENT_BARRIER>},
    {"divergent-shuffle", run_sums<DIVERGENT_SHUFFLE>},
    {"early-exit", early_exit},
    {"absent-lanes", absent_lanes},
    {"no-syncwarp", no_syncwarp},
    {nullptr, nullptr},
};
