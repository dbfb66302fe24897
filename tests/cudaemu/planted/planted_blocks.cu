/* What blocks of one launch do to each other: nothing orders them but atomics behind a fence. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

__global__ void column_sums(float *sums, const float *x, int columns, bool bug)
{
    const int column = threadIdx.x;
    const float value = x[blockIdx.x * columns + column];
    if (bug)
        sums[column] += value;
    else
        atomicAdd(&sums[column], value);
}
bool plus_equals(bool bug)
{
    constexpr int ROWS = 6, COLUMNS = 40;
    planted_array<float> x(planted_counting(ROWS * COLUMNS)),
        sums(std::vector<float>(COLUMNS, 0.0f));
    PLANTED_TRY(GPU_LAUNCH(column_sums, ROWS, COLUMNS, 0, 0, sums.at, x.at, COLUMNS, bug));
    return sums.read()[1] == 6 + 40 * 15;
}

/* The last block to arrive adds up what all have left. */
__global__ void last_adds(float *sum, float *part, unsigned *count, const float *x, bool bug)
{
    part[blockIdx.x] = x[blockIdx.x] * 2;
    if (!bug)
        __threadfence();
    if (atomicAdd(count, 1u) != gridDim.x - 1)
        return;
    float total = 0;
    for (unsigned i = 0; i < gridDim.x; i++)
        total += part[i];
    *sum = total;
}
bool no_fence(bool bug)
{
    planted_array<float> x(planted_counting(8)), part(8), sum(1);
    planted_array<unsigned> count(std::vector<unsigned>(1, 0));
    PLANTED_TRY(GPU_LAUNCH(last_adds, 8, 1, 0, 0, sum.at, part.at, count.at, x.at, bug));
    return sum.read()[0] == 56;
}

__global__ void raise_flag(int *flag, bool bug)
{
    if (bug || threadIdx.x == 0)
        *flag = 1;
}
bool same_value(bool bug)
{
    planted_array<int> flag(1);
    PLANTED_TRY(GPU_LAUNCH(raise_flag, 1, 32, 0, 0, flag.at, bug));
    return flag.read()[0] == 1;
}

/* A byte a thread, two of them to a cell of the race checker; the bug lets neighbours share one. */
__global__ void count_bytes(signed char *y, bool bug)
{
    const int at = bug ? threadIdx.x / 2 * 2 : threadIdx.x;
    y[at] = (signed char)at;
    __syncthreads();
    y[at] = (signed char)(y[at] + 1);
}
bool shared_byte(bool bug)
{
    planted_array<signed char> y(std::vector<signed char>(64, 0));
    PLANTED_TRY(GPU_LAUNCH(count_bytes, 1, 64, 0, 0, y.at, bug));
    return y.read()[3] == 4 || bug;
}

} // namespace

const planted_case planted_blocks[] = {
    {"plus-equals", plus_equals}, {"no-fence", no_fence}, {"same-value", same_value},
    {"shared-byte", shared_byte}, {nullptr, nullptr},
};
