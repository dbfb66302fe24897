/* Eight neighbouring values of a row, an octet: what one thread loads, computes and stores at a time, what
 * one block of random numbers decides about, and 16 bytes of bf16. Octets begin at columns divisible by 8;
 * the last of a row may be short.
 *
 * How octets move is a template argument, and so the host's choice (gpu_way): value by value; as vectors of
 * 16 bytes (8 of int8), short ones by value; or as vectors always, without a branch, where every octet of
 * the row is whole. Which thread works on which column does not depend on it, so results do not either. */
#ifndef LNG_KERNELS_CUDA_GPU_VECTOR_CUH
#define LNG_KERNELS_CUDA_GPU_VECTOR_CUH

#include "kernels/cuda/gpu_common.cuh"

enum { GPU_OCTET = 8, GPU_OCTET_THREADS = 256 };
enum { GPU_SCALAR, GPU_WIDE, GPU_WHOLE };

/* Octets of the view start at multiples of their size (of 16 bytes at most). Absent views do. */
static inline bool gpu_is_wide(const struct lng_view &view)
{
    const size_t size = view.dtype == LNG_DTYPE_I8 ? 1 : view.dtype == LNG_DTYPE_BF16 ? 2 : 4;
    const size_t octet = size == 1 ? 8 : 16;
    return view.data == NULL || ((uintptr_t)view.data % octet == 0 &&
                                 (view.rows <= 1 || (size_t)view.stride % (octet / size) == 0));
}

/* An octet as it lies in memory. Loading and unpacking are apart, so that several loads can be under way
 * before the first is waited for. */
template <class T> struct gpu_words {
    uint32_t word[GPU_OCTET * sizeof(T) / 4];
};
__device__ __forceinline__ void gpu_load_whole(const float *at, gpu_words<float> &words)
{
    const uint4 low = reinterpret_cast<const uint4 *>(at)[0];
    const uint4 high = reinterpret_cast<const uint4 *>(at)[1];
    words = gpu_words<float>{{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}
__device__ __forceinline__ void gpu_load_whole(const gpu_bf16 *at, gpu_words<gpu_bf16> &words)
{
    const uint4 all = *reinterpret_cast<const uint4 *>(at);
    words = gpu_words<gpu_bf16>{{all.x, all.y, all.z, all.w}};
}
__device__ __forceinline__ void gpu_load_whole(const int8_t *at, gpu_words<int8_t> &words)
{
    const uint2 all = *reinterpret_cast<const uint2 *>(at);
    words = gpu_words<int8_t>{{all.x, all.y}};
}
__device__ __forceinline__ uint32_t gpu_bits(float value)
{
    return __float_as_uint(value);
}
__device__ __forceinline__ uint32_t gpu_bits(gpu_bf16 value)
{
    return __bfloat16_as_ushort(value);
}
__device__ __forceinline__ uint32_t gpu_bits(int8_t value)
{
    return (uint8_t)value;
}

/* `count` values, 0 to 8, and zeros for the rest. */
template <int WIDE, class T>
__device__ __forceinline__ gpu_words<T> gpu_load_words(const T *at, int count)
{
    gpu_words<T> words = {};
    if constexpr (WIDE == GPU_WHOLE) {
        if (count > 0)
            gpu_load_whole(at, words);
    } else if (WIDE == GPU_WIDE && count == GPU_OCTET) {
        gpu_load_whole(at, words);
    } else {
        constexpr int SHARE = 4 / sizeof(T); /* values a word */
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            if (i < count)
                words.word[i / SHARE] |= gpu_bits(at[i]) << (i % SHARE * 8 * sizeof(T));
    }
    return words;
}
__device__ __forceinline__ void gpu_unpack(const gpu_words<float> &words, float (&value)[GPU_OCTET])
{
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = __uint_as_float(words.word[i]);
}
__device__ __forceinline__ void gpu_unpack(const gpu_words<gpu_bf16> &words,
                                           float (&value)[GPU_OCTET])
{
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] =
            __uint_as_float(i % 2 ? words.word[i / 2] & 0xFFFF0000u : words.word[i / 2] << 16);
}
__device__ __forceinline__ void gpu_unpack(const gpu_words<int8_t> &words,
                                           float (&value)[GPU_OCTET])
{
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] = (float)(int8_t)(words.word[i / 4] >> (i % 4 * 8));
}
template <int WIDE, class T>
__device__ __forceinline__ void gpu_load_octet(const T *at, int count, float (&value)[GPU_OCTET])
{
    gpu_unpack(gpu_load_words<WIDE>(at, count), value);
}

__device__ __forceinline__ void gpu_store_whole(float *at, const float (&value)[GPU_OCTET])
{
    reinterpret_cast<float4 *>(at)[0] = make_float4(value[0], value[1], value[2], value[3]);
    reinterpret_cast<float4 *>(at)[1] = make_float4(value[4], value[5], value[6], value[7]);
}
__device__ __forceinline__ void gpu_store_whole(gpu_bf16 *at, const float (&value)[GPU_OCTET])
{
    *reinterpret_cast<uint4 *>(at) =
        make_uint4(gpu_pack_bf16(value[0], value[1]), gpu_pack_bf16(value[2], value[3]),
                   gpu_pack_bf16(value[4], value[5]), gpu_pack_bf16(value[6], value[7]));
}
/* Whole numbers in [-127, 127]. */
__device__ __forceinline__ void gpu_store_whole(int8_t *at, const float (&value)[GPU_OCTET])
{
    uint32_t word[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        word[i / 4] |= ((uint32_t)(int)value[i] & 0xFFu) << (i % 4 * 8);
    *reinterpret_cast<uint2 *>(at) = make_uint2(word[0], word[1]);
}
__device__ __forceinline__ void gpu_store(int8_t *at, float value)
{
    *at = (int8_t)value;
}

/* The first `count` values. */
template <int WIDE, class T>
__device__ __forceinline__ void gpu_store_octet(T *at, int count, const float (&value)[GPU_OCTET])
{
    if constexpr (WIDE == GPU_WHOLE) {
        if (count > 0)
            gpu_store_whole(at, value);
    } else if (WIDE == GPU_WIDE && count == GPU_OCTET) {
        gpu_store_whole(at, value);
    } else {
#pragma unroll
        for (int i = 0; i < GPU_OCTET; i++)
            if (i < count)
                gpu_store(at + i, value[i]);
    }
}

/* How many values the octet at column `col` of `cols` has: 8, fewer at the end, 0 behind it. */
__device__ __forceinline__ int gpu_octet_count(int64_t col, int64_t cols)
{
    return col + GPU_OCTET <= cols ? (int)GPU_OCTET : col < cols ? (int)(cols - col) : 0;
}

/* Dropout of the octet of row n whose first unit is `unit`. */
__device__ __forceinline__ void gpu_dropout_octet(const struct gpu_dropout &dropout, int64_t n,
                                                  int64_t unit, float (&value)[GPU_OCTET])
{
    if (dropout.scale == 0.0f)
        return;
    const struct lng_philox block = gpu_dropout_block(dropout, n, (uint32_t)unit);
#pragma unroll
    for (int i = 0; i < GPU_OCTET; i++)
        value[i] *= gpu_dropout_keep(dropout, block, (uint32_t)i);
}

/* For kernels of one octet a thread, in blocks of GPU_OCTET_THREADS: which one. */
struct gpu_octet {
    int64_t row, col;
    int count; /* 0: this thread has none */
};
__device__ __forceinline__ struct gpu_octet gpu_own_octet(int64_t rows, int64_t cols)
{
    const uint64_t width = (uint64_t)(cols + GPU_OCTET - 1) / GPU_OCTET;
    const uint64_t item = (uint64_t)blockIdx.x * GPU_OCTET_THREADS + threadIdx.x;
    struct gpu_octet own;
    /* A division of 32 bits is several times faster. */
    own.row =
        (int64_t)((item | width) >> 32 == 0 ? (uint32_t)item / (uint32_t)width : item / width);
    own.col = ((int64_t)item - own.row * (int64_t)width) * GPU_OCTET;
    own.count = own.row < rows ? gpu_octet_count(own.col, cols) : 0;
    return own;
}
/* Blocks of such a launch; 0 where there is nothing to do. */
static inline unsigned gpu_octet_blocks(int64_t rows, int64_t cols)
{
    return (unsigned)gpu_ceil(rows * gpu_ceil(cols, GPU_OCTET), GPU_OCTET_THREADS);
}

/* Calls body with a constant: a lambda takes decltype(flag)::value as a template argument. */
template <bool VALUE> struct gpu_flag {
    static constexpr bool value = VALUE;
};
template <class Body> static inline enum lng_status gpu_by_flag(bool flag, Body body)
{
    return flag ? body(gpu_flag<true>()) : body(gpu_flag<false>());
}
/* Calls body with a zero of the activations' type and the flag. */
template <class Body>
static inline enum lng_status gpu_by_dtype_and_flag(enum lng_dtype dtype, bool flag, Body body)
{
    return gpu_by_dtype(dtype, [&](auto zero) {
        return gpu_by_flag(flag, [&](auto constant) { return body(zero, constant); });
    });
}

#endif
