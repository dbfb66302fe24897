/* Accesses that leave their array, and arithmetic that C++ does not define. */
#include "tests/cudaemu/planted/planted.h"

namespace
{

constexpr int THREADS = 128;

__global__ void add_one(float *y, const float *x, int count)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count)
        y[i] = x[i] + 1;
}
bool is_one_more(const std::vector<float> &y)
{
    for (size_t i = 0; i < y.size(); i++)
        if (y[i] != (float)i + 1)
            return false;
    return true;
}

/* One thread a row. */
__global__ void row_sums(float *y, const float *x, int columns, bool bug)
{
    float sum = 0;
    for (int i = 0; i < columns + (bug ? 1 : 0); i++)
        sum += i < columns ? x[threadIdx.x * columns + i] : 0 * x[threadIdx.x * columns + i];
    y[threadIdx.x] = sum;
}
bool row_overrun(bool bug)
{
    constexpr int ROWS = 4, COLUMNS = 50;
    planted_array<float> x(planted_counting(ROWS * COLUMNS)), y(ROWS);
    PLANTED_TRY(GPU_LAUNCH(row_sums, 1, ROWS, 0, 0, y.at, x.at, COLUMNS, bug));
    return y.read()[0] == 49 * 25;
}
bool no_bounds_test(bool bug)
{
    constexpr int COUNT = 100;
    planted_array<float> x(planted_counting(THREADS)), y(COUNT);
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, THREADS, 0, 0, y.at, x.at, bug ? THREADS : COUNT));
    return is_one_more(y.read());
}
bool host_pointer(bool bug)
{
    const std::vector<float> here = planted_counting(THREADS);
    planted_array<float> x(here), y(THREADS);
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, THREADS, 0, 0, y.at, bug ? here.data() : x.at, THREADS));
    return is_one_more(y.read());
}
bool use_after_free(bool bug)
{
    float *x = nullptr;
    const std::vector<float> here = planted_counting(THREADS);
    planted_array<float> y(THREADS);
    PLANTED_TRY(cudaMalloc(reinterpret_cast<void **>(&x), THREADS * sizeof(float)));
    PLANTED_TRY(cudaMemcpy(x, here.data(), THREADS * sizeof(float), cudaMemcpyHostToDevice));
    if (bug)
        PLANTED_TRY(cudaFree(x));
    PLANTED_TRY(GPU_LAUNCH(add_one, 1, THREADS, 0, 0, y.at, x, THREADS));
    if (!bug)
        PLANTED_TRY(cudaFree(x));
    return is_one_more(y.read());
}
/* With LNG_CUDAEMU_PROTECT. */
bool host_reads_device(bool bug)
{
    planted_array<float> x(planted_counting(THREADS));
    if (bug) {
        volatile float seen = x.at[5];
        return seen == 5;
    }
    return x.read()[5] == 5;
}

__global__ void shifted(int *y, int by)
{
    y[threadIdx.x] = 1 << (by + (int)threadIdx.x);
}
bool shift_overflow(bool bug)
{
    planted_array<int> y(32);
    PLANTED_TRY(GPU_LAUNCH(shifted, 1, bug ? 32 : 30, 0, 0, y.at, bug ? 1 : 0));
    return true;
}
__global__ void indexed(float *y, int at)
{
    float local[4] = {1, 2, 3, 4};
    local[at] = 7;
    y[threadIdx.x] = local[0] + local[3];
}
bool local_index(bool bug)
{
    planted_array<float> y(32);
    PLANTED_TRY(GPU_LAUNCH(indexed, 1, 32, 0, 0, y.at, bug ? 5 : 2));
    return y.read()[0] == 5;
}
bool leak(bool bug)
{
    float *x = nullptr;
    PLANTED_TRY(cudaMalloc(reinterpret_cast<void **>(&x), 1024));
    if (!bug)
        PLANTED_TRY(cudaFree(x));
    return true;
}

} // namespace

const planted_case planted_memory[] = {
    {"row-overrun", row_overrun},
    {"no-bounds-test", no_bounds_test},
    {"host-pointer", host_pointer},
    {"use-after-free", use_after_free},
    {"host-reads-device", host_reads_device},
    {"shift-overflow", shift_overflow},
    {"local-index", local_index},
    {"leak", leak},
    {nullptr, nullptr},
};
