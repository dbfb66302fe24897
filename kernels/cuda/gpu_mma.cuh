/* Operands of tensor-core products of bf16 or int8, from tiles in shared memory whose rows are 16-byte aligned. */
#ifndef LNG_KERNELS_CUDA_GPU_MMA_CUH
#define LNG_KERNELS_CUDA_GPU_MMA_CUH

#include "kernels/cuda/gpu_common.cuh"

/* Half the depth of a product, 16 bytes: 8 values of bf16, 16 of int8. */
template <class T> constexpr int MMA_HALF = 16 / (int)sizeof(T);

/* Left operand: rows `row` .. + 15, of a product's depth from `column` on, of a tile. */
template <class T>
__device__ __forceinline__ void mma_left(uint32_t (&a)[4], const T *tile, int pitch, int row,
                                         int column)
{
    const int lane = threadIdx.x % GPU_WARP;
    gpu_ldmatrix4(a, tile + (row + lane % 16) * pitch + column + lane / 16 * MMA_HALF<T>);
}
/* Right operands for 16 columns n, from a tile whose rows are n: B[k][n] = tile[n][k]. */
template <class T>
__device__ __forceinline__ void mma_right(uint32_t (&b)[4], const T *tile, int pitch, int n, int k)
{
    const int lane = threadIdx.x % GPU_WARP;
    gpu_ldmatrix4(b,
                  tile + (n + lane / 16 * 8 + lane % 8) * pitch + k + lane / 8 % 2 * MMA_HALF<T>);
}
/* The same from a tile of bf16 whose rows are k: B[k][n] = tile[k][n]. */
__device__ __forceinline__ void mma_right_rows(uint32_t (&b)[4], const gpu_bf16 *tile, int pitch,
                                               int k, int n)
{
    const int lane = threadIdx.x % GPU_WARP;
    gpu_ldmatrix4_transposed(b,
                             tile + (k + lane / 8 % 2 * 8 + lane % 8) * pitch + n + lane / 16 * 8);
}

__device__ __forceinline__ void mma_pair(float (&first)[4], float (&second)[4],
                                         const uint32_t (&a)[4], const uint32_t (&b)[4])
{
    const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
    gpu_mma_bf16(first, a, left, first);
    gpu_mma_bf16(second, a, right, second);
}
__device__ __forceinline__ void mma_pair(int32_t (&first)[4], int32_t (&second)[4],
                                         const uint32_t (&a)[4], const uint32_t (&b)[4])
{
    const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
    gpu_mma_s8(first, a, left, first);
    gpu_mma_s8(second, a, right, second);
}

#endif
