/* Instructions that CUDA C has no name for: tensor-core products, matrix loads, asynchronous copies; and
 * dynamic shared memory and launches. The only file with inline PTX. Every wrapper has a twin of the same
 * signature in tests/cudaemu, which stands in when LNG_CUDAEMU is defined: the kernels run on a CPU there. */
#ifndef LNG_KERNELS_CUDA_GPU_PTX_CUH
#define LNG_KERNELS_CUDA_GPU_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#ifndef LNG_CUDAEMU

/* The block's dynamic shared memory; carve it with gpu_shared_take. */
#define GPU_SHARED(name)                                                 \
    extern __shared__ __align__(128) unsigned char gpu_dynamic_shared[]; \
    unsigned char *name = gpu_dynamic_shared
/* Bytes that the emulation keeps forbidden behind each array. */
enum { GPU_SHARED_GAP = 0 };
__device__ __forceinline__ void gpu_shared_gap(void *)
{
}

/* Answers a cudaError_t; the launch names its stream. */
#define GPU_LAUNCH(kernel, grid, block, shared, stream, ...) \
    (kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__), cudaGetLastError())

__device__ __forceinline__ uint32_t gpu_shared_address(const void *at)
{
    return (uint32_t)__cvta_generic_to_shared(at);
}

/* d = a b + c for one warp: a 16 x 16, b 16 x 8, c and d 16 x 8 (PTX ISA, mma.m16n8k16). With
 * g = lane / 4, t = lane % 4, and pairs of bf16 in a register, lower half first:
 *   a[0] = A[g][2t, 2t+1]   a[1] = A[g+8][2t..]   a[2] = A[g][2t+8..]   a[3] = A[g+8][2t+8..]
 *   b[0] = B[2t, 2t+1][g]   b[1] = B[2t+8, 2t+9][g]
 *   c[0, 1] = C[g][2t, 2t+1]   c[2, 3] = C[g+8][2t, 2t+1] */
__device__ __forceinline__ void gpu_mma_bf16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2], const float (&c)[4])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]),
                   "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/* d = a b + c for one warp in int32, which wraps: a 16 x 32, b 32 x 8 of int8, c and d 16 x 8 (PTX ISA,
 * mma.m16n8k32). With g = lane / 4, t = lane % 4, and four values in a register, lowest byte first:
 *   a[0] = A[g][4t .. 4t+3]   a[1] = A[g+8][4t..]   a[2] = A[g][4t+16..]   a[3] = A[g+8][4t+16..]
 *   b[0] = B[4t .. 4t+3][g]   b[1] = B[4t+16 .. 4t+19][g]
 *   c[0, 1] = C[g][2t, 2t+1]   c[2, 3] = C[g+8][2t, 2t+1]
 * Byte for byte the registers of gpu_mma_bf16, so the same loads fill them. */
__device__ __forceinline__ void gpu_mma_s8(int32_t (&d)[4], const uint32_t (&a)[4],
                                           const uint32_t (&b)[2], const int32_t (&c)[4])
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(c[0]),
                   "r"(c[1]), "r"(c[2]), "r"(c[3]));
}

/* Four 8 x 8 matrices of 16-bit values from shared memory: lane l names row l % 8 of matrix l / 8 (16
 * bytes, 16-byte aligned). out[m] of lane l holds elements [l / 4][2 (l % 4), + 1] of matrix m; with
 * `transposed`, of the transposed matrix. */
__device__ __forceinline__ void gpu_ldmatrix4(uint32_t (&out)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(gpu_shared_address(row))
                 : "memory");
}
__device__ __forceinline__ void gpu_ldmatrix4_transposed(uint32_t (&out)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(gpu_shared_address(row))
                 : "memory");
}

/* 16 bytes from global to shared memory, both 16-byte aligned, there after a wait; zeros when not `valid`,
 * and `from` is then not read. */
__device__ __forceinline__ void gpu_copy_async16(void *to, const void *from, bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(gpu_shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
/* Closes the group of the copies issued since the last commit. */
__device__ __forceinline__ void gpu_copy_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Waits until at most KEEP of this thread's groups are under way. A barrier shows them to other threads. */
template <int KEEP> __device__ __forceinline__ void gpu_copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(KEEP) : "memory");
}

#endif

/* Dynamic shared memory: the host adds gpu_shared_bytes<T>(count) up, the kernel takes the same arrays in
 * the same order. Each is 16-byte aligned. */
template <class T> __host__ __device__ constexpr size_t gpu_shared_bytes(size_t count)
{
    return (count * sizeof(T) + 15) / 16 * 16 + GPU_SHARED_GAP;
}
template <class T> __device__ __forceinline__ T *gpu_shared_take(unsigned char *&room, size_t count)
{
    T *array = reinterpret_cast<T *>(room);
    room += gpu_shared_bytes<T>(count);
    gpu_shared_gap(room - GPU_SHARED_GAP);
    return array;
}

/* Two values as bf16, `low` in the lower half. */
__device__ __forceinline__ uint32_t gpu_pack_bf16(float low, float high)
{
    return (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(low)) |
           (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(high)) << 16;
}

#endif
