/* Runs every wrapper of gpu_ptx.cuh on known inputs and prints what each lane gets. On a GPU:
 *   nvcc -std=c++17 -arch=sm_80 -I. -o golden tests/cudaemu/golden.cu && ./golden > tests/cudaemu/golden.txt
 * The same source runs on the double; test_golden.c checks its text against the PTX ISA's formulas and
 * against golden.txt. */
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "kernels/cuda/gpu_ptx.cuh"
#include "tests/cudaemu/golden_inputs.h"

#define GOLDEN_TRY(call)                                                             \
    do {                                                                             \
        cudaError_t try_error = (call);                                              \
        if (try_error != cudaSuccess) {                                              \
            fprintf(stderr, "golden: %s: %s\n", #call, cudaGetErrorName(try_error)); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

namespace
{

/* Registers as they are: a [32][4], b [32][2], c and d [32][4]. One warp. */
__global__ void mma_kernel(float *d, const uint32_t *a, const uint32_t *b, const float *c)
{
    const int lane = threadIdx.x;
    uint32_t left[4], right[2];
    float sum[4], out[4];
    for (int i = 0; i < 4; i++) {
        left[i] = a[lane * 4 + i];
        sum[i] = c[lane * 4 + i];
    }
    for (int i = 0; i < 2; i++)
        right[i] = b[lane * 2 + i];
    gpu_mma_bf16(out, left, right, sum);
    for (int i = 0; i < 4; i++)
        d[lane * 4 + i] = out[i];
}
/* The same of int8: a [32][4], b [32][2], c and d [32][4]. */
__global__ void mma_s8_kernel(uint32_t *d, const uint32_t *a, const uint32_t *b, const int32_t *c)
{
    const int lane = threadIdx.x;
    uint32_t left[4], right[2];
    int32_t sum[4], out[4];
    for (int i = 0; i < 4; i++) {
        left[i] = a[lane * 4 + i];
        sum[i] = c[lane * 4 + i];
    }
    for (int i = 0; i < 2; i++)
        right[i] = b[lane * 2 + i];
    gpu_mma_s8(out, left, right, sum);
    for (int i = 0; i < 4; i++)
        d[lane * 4 + i] = (uint32_t)out[i];
}
/* tile [32 rows][4 words], row r at place (5 r + 3) % 32 of shared memory; out [32][4]. One warp. */
__global__ void ldmatrix_kernel(uint32_t *out, const uint32_t *tile, bool transposed)
{
    __shared__ __align__(16) uint32_t room[32 * 4];
    const int lane = threadIdx.x, place = (lane * 5 + 3) % 32;
    uint32_t got[4];
    for (int i = 0; i < 4; i++)
        room[place * 4 + i] = tile[lane * 4 + i];
    __syncwarp();
    if (transposed)
        gpu_ldmatrix4_transposed(got, room + place * 4);
    else
        gpu_ldmatrix4(got, room + place * 4);
    for (int i = 0; i < 4; i++)
        out[lane * 4 + i] = got[i];
}
/* Two groups of a piece a lane, those of every third lane not valid; the first is read while the second
 * may be under way. out [2][32][4]. */
__global__ void copy_kernel(uint32_t *out, const uint32_t *from)
{
    __shared__ __align__(16) uint32_t room[GOLDEN_COPIES * 4];
    const int lane = threadIdx.x;
    for (int i = 0; i < 8; i++)
        room[lane * 8 + i] = 0xDEADBEEFu;
    __syncwarp();
    for (int group = 0; group < 2; group++) {
        const int piece = group * 32 + lane;
        gpu_copy_async16(room + piece * 4, from + piece * 4, piece % 3 != 0);
        gpu_copy_async_commit();
    }
    gpu_copy_async_wait<1>();
    for (int i = 0; i < 4; i++)
        out[lane * 4 + i] = room[lane * 4 + i];
    gpu_copy_async_wait<0>();
    for (int i = 0; i < 4; i++)
        out[(32 + lane) * 4 + i] = room[(32 + lane) * 4 + i];
}

template <class T> struct device_values {
    T *at;
    size_t bytes;
    explicit device_values(size_t count) : at(nullptr), bytes(count * sizeof(T))
    {
        GOLDEN_TRY(cudaMalloc(reinterpret_cast<void **>(&at), bytes));
    }
    explicit device_values(const std::vector<T> &values) : device_values(values.size())
    {
        GOLDEN_TRY(cudaMemcpy(at, values.data(), bytes, cudaMemcpyHostToDevice));
    }
    device_values(const device_values &) = delete;
    ~device_values()
    {
        (void)cudaFree(at);
    }
    std::vector<T> read() const
    {
        std::vector<T> values(bytes / sizeof(T));
        GOLDEN_TRY(cudaMemcpy(values.data(), at, bytes, cudaMemcpyDeviceToHost));
        return values;
    }
};
std::vector<uint32_t> pairs(enum golden_use use, int number, int count)
{
    std::vector<uint32_t> out(count);
    for (int i = 0; i < count; i++)
        out[i] = (uint32_t)golden_bf16(use, number, 2 * i) |
                 (uint32_t)golden_bf16(use, number, 2 * i + 1) << 16;
    return out;
}
std::vector<uint32_t> words(enum golden_use use, int count)
{
    std::vector<uint32_t> out(count);
    for (int i = 0; i < count; i++)
        out[i] = golden_bits(use, 0, i);
    return out;
}
void print_words(const char *name, const std::vector<uint32_t> &values)
{
    for (size_t lane = 0; lane < values.size() / 4; lane++) {
        const uint32_t *v = &values[lane * 4];
        printf("%s %zu: %08x %08x %08x %08x\n", name, lane, v[0], v[1], v[2], v[3]);
    }
}

void run_mma(int number)
{
    std::vector<float> c(32 * 4);
    for (int i = 0; i < 32 * 4; i++)
        c[i] = golden_value(GOLDEN_C, number, i);
    device_values<uint32_t> a(pairs(GOLDEN_A, number, 32 * 4)), b(pairs(GOLDEN_B, number, 32 * 2));
    device_values<float> c_there(c), d(32 * 4);
    GOLDEN_TRY(GPU_LAUNCH(mma_kernel, 1, 32, 0, 0, d.at, a.at, b.at, c_there.at));
    const std::vector<float> found = d.read();
    for (int lane = 0; lane < 32; lane++) {
        const float *v = &found[lane * 4];
        printf("mma%d %d: %.9g %.9g %.9g %.9g\n", number, lane, v[0], v[1], v[2], v[3]);
    }
}
void run_mma_s8(int number)
{
    std::vector<uint32_t> a(32 * 4), b(32 * 2);
    std::vector<int32_t> c(32 * 4);
    char name[32];
    for (int i = 0; i < 32 * 4; i++) {
        a[i] = golden_bytes(GOLDEN_A8, number, i);
        c[i] = golden_s32(number, i);
    }
    for (int i = 0; i < 32 * 2; i++)
        b[i] = golden_bytes(GOLDEN_B8, number, i);
    device_values<uint32_t> a_there(a), b_there(b), d(32 * 4);
    device_values<int32_t> c_there(c);
    GOLDEN_TRY(GPU_LAUNCH(mma_s8_kernel, 1, 32, 0, 0, d.at, a_there.at, b_there.at, c_there.at));
    snprintf(name, sizeof name, "s8mma%d", number);
    print_words(name, d.read());
}

} // namespace

int main(void)
{
    for (int number = 0; number < GOLDEN_CASES; number++)
        run_mma(number);
    for (int number = 0; number < GOLDEN_S8; number++)
        run_mma_s8(number);
    device_values<uint32_t> tile(words(GOLDEN_TILE, 32 * 4)), out(32 * 4);
    GOLDEN_TRY(GPU_LAUNCH(ldmatrix_kernel, 1, 32, 0, 0, out.at, tile.at, false));
    print_words("ldmatrix4", out.read());
    GOLDEN_TRY(GPU_LAUNCH(ldmatrix_kernel, 1, 32, 0, 0, out.at, tile.at, true));
    print_words("ldmatrix4_transposed", out.read());
    device_values<uint32_t> from(words(GOLDEN_COPY, GOLDEN_COPIES * 4)), copies(GOLDEN_COPIES * 4);
    GOLDEN_TRY(GPU_LAUNCH(copy_kernel, 1, 32, 0, 0, copies.at, from.at));
    print_words("copy_async16", copies.read());
    return 0;
}
