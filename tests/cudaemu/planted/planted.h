/* Small kernels and host code with a bug planted in each, or not: what the double must report, and what it
 * must not. One program a variant; test_cudaemu.c runs it. Each case answers whether its results are right. */
#ifndef LNG_TESTS_CUDAEMU_PLANTED_H
#define LNG_TESTS_CUDAEMU_PLANTED_H

#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "kernels/cuda/gpu_ptx.cuh"

struct planted_case {
    const char *name;
    bool (*run)(bool bug);
};
/* Each ends with a name of NULL. */
extern const planted_case planted_copies[], planted_reductions[], planted_blocks[],
    planted_memory[], planted_host[], planted_graphs[], planted_products[];

#define PLANTED_TRY(call)                                           \
    do {                                                            \
        cudaError_t try_error = (call);                             \
        if (try_error != cudaSuccess) {                             \
            printf("%s: %s\n", #call, cudaGetErrorName(try_error)); \
            exit(3);                                                \
        }                                                           \
    } while (0)

/* Device memory of exactly `count` values. */
template <class T> struct planted_array {
    T *at;
    size_t count;

    explicit planted_array(size_t size) : at(nullptr), count(size)
    {
        PLANTED_TRY(cudaMalloc(reinterpret_cast<void **>(&at), count * sizeof(T)));
    }
    explicit planted_array(const std::vector<T> &values) : planted_array(values.size())
    {
        PLANTED_TRY(cudaMemcpy(at, values.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    }
    planted_array(const planted_array &) = delete;
    ~planted_array()
    {
        (void)cudaFree(at);
    }
    std::vector<T> read() const
    {
        std::vector<T> values(count);
        PLANTED_TRY(cudaDeviceSynchronize());
        PLANTED_TRY(cudaMemcpy(values.data(), at, count * sizeof(T), cudaMemcpyDeviceToHost));
        return values;
    }
};
/* 0, 1, 2, ... */
inline std::vector<float> planted_counting(size_t count)
{
    std::vector<float> values(count);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)i;
    return values;
}

#endif
