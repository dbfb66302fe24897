/* Included by cudaemu.h only: what device code may call. Barriers, warp collectives and atomics are run by the
 * scheduler (emu_block.cc); gpu_... are the twins of kernels/cuda/gpu_ptx.cuh. */
#ifndef LNG_TESTS_CUDAEMU_CUDAEMU_DEVICE_H
#define LNG_TESTS_CUDAEMU_CUDAEMU_DEVICE_H

namespace cudaemu
{

enum operation : uint8_t {
    OPERATION_BARRIER,
    OPERATION_SYNCWARP,
    OPERATION_SHUFFLE,
    OPERATION_VOTE,
    OPERATION_MMA,
    OPERATION_MMA_S8,
    OPERATION_LDMATRIX,
    OPERATIONS
};
/* Blocks the calling thread until every live lane of `mask` calls it with the same operation, mask and site;
 * the last one computes for all. */
void collective(operation which, unsigned mask, void *argument, const char *file, int line);
enum barrier_kind { BARRIER_PLAIN, BARRIER_COUNT, BARRIER_AND, BARRIER_OR };
int barrier(barrier_kind kind, int predicate, const char *file, int line);
unsigned lane();
unsigned live_lanes();

struct shuffle_argument {
    uint64_t in, out;
    unsigned source;
};
template <class T> T shuffle(unsigned mask, T value, unsigned source, const char *file, int line)
{
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "at most 8 bytes");
    shuffle_argument argument = {0, 0, source};
    memcpy(&argument.in, &value, sizeof value);
    collective(OPERATION_SHUFFLE, mask, &argument, file, line);
    memcpy(&value, &argument.out, sizeof value);
    return value;
}

enum vote_kind {
    VOTE_BALLOT,
    VOTE_ADD,
    VOTE_MAX,
    VOTE_MIN,
    VOTE_AND,
    VOTE_OR,
    VOTE_XOR,
    VOTE_MATCH
};
struct vote_argument {
    uint64_t in, out;
    vote_kind kind;
};
inline unsigned vote(vote_kind kind, unsigned mask, uint64_t value, const char *file, int line)
{
    vote_argument argument = {value, 0, kind};
    collective(OPERATION_VOTE, mask, &argument, file, line);
    return (unsigned)argument.out;
}

struct mma_argument {
    const uint32_t *a, *b;
    const float *c;
    float *d;
};
struct mma_s8_argument {
    const uint32_t *a, *b;
    const int32_t *c;
    int32_t *d;
};
struct ldmatrix_argument {
    const void *row;
    uint32_t *out;
    bool transposed;
};
/* Dies unless [at, at + bytes) is shared memory of the block and aligned. */
void check_shared(const void *at, size_t bytes, const char *what, const char *file, int line);
void copy_async(void *to, const void *from, bool valid, const char *file, int line);
void copy_async_commit();
void copy_async_wait(int keep);

/* For the race checker; nothing otherwise. */
void note_atomic(const void *at, size_t bytes, void *pc);
void note_fence();

/* Blocks are run one after another, threads switch in collectives only: a plain update is atomic. */
template <class T, class F>
CUDAEMU_UNCHECKED __attribute__((noinline)) T atomic_update(T *at, F next)
{
    note_atomic(at, sizeof(T), __builtin_return_address(0));
    T old = *at;
    *at = next(old);
    return old;
}

inline float exp_fast(float x)
{
    return exp2f(x * 1.4426950408889634f);
}
inline float log_fast(float x)
{
    return log2f(x) * 0.6931471805599453f;
}
template <class To, class From> inline To same_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

} // namespace cudaemu

/* Barriers. */
inline void __syncthreads(CUDAEMU_SITE)
{
    cudaemu::barrier(cudaemu::BARRIER_PLAIN, 0, file, line);
}
inline int __syncthreads_count(int predicate, CUDAEMU_SITE)
{
    return cudaemu::barrier(cudaemu::BARRIER_COUNT, predicate, file, line);
}
inline int __syncthreads_and(int predicate, CUDAEMU_SITE)
{
    return cudaemu::barrier(cudaemu::BARRIER_AND, predicate, file, line);
}
inline int __syncthreads_or(int predicate, CUDAEMU_SITE)
{
    return cudaemu::barrier(cudaemu::BARRIER_OR, predicate, file, line);
}
inline void __syncwarp(unsigned mask = ~0u, CUDAEMU_SITE)
{
    cudaemu::collective(cudaemu::OPERATION_SYNCWARP, mask, nullptr, file, line);
}
inline void __threadfence()
{
    cudaemu::note_fence();
}
inline void __threadfence_block()
{
}
[[noreturn]] inline void __trap()
{
    cudaemu::die("trap", "__trap() was called");
}

/* Shuffles: a lane that would reach past its segment of `width` lanes keeps its own value. */
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDAEMU_SITE)
{
    unsigned first = cudaemu::lane() & ~(width - 1u);
    return cudaemu::shuffle(mask, value, first + (source & (width - 1)), file, line);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDAEMU_SITE)
{
    unsigned lane = cudaemu::lane(), source = lane ^ bits;
    return cudaemu::shuffle(mask, value, source / width > lane / width ? lane : source, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CUDAEMU_SITE)
{
    unsigned lane = cudaemu::lane();
    bool inside = (lane & (width - 1)) + by < (unsigned)width;
    return cudaemu::shuffle(mask, value, inside ? lane + by : lane, file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CUDAEMU_SITE)
{
    unsigned lane = cudaemu::lane();
    bool inside = (lane & (width - 1)) >= by;
    return cudaemu::shuffle(mask, value, inside ? lane - by : lane, file, line);
}

/* Votes and reductions over a warp. */
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDAEMU_SITE)
{
    return cudaemu::vote(cudaemu::VOTE_BALLOT, mask, predicate != 0, file, line);
}
inline int __any_sync(unsigned mask, int predicate, CUDAEMU_SITE)
{
    return cudaemu::vote(cudaemu::VOTE_BALLOT, mask, predicate != 0, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CUDAEMU_SITE)
{
    return cudaemu::vote(cudaemu::VOTE_BALLOT, mask, predicate == 0, file, line) == 0;
}
/* Signed numbers compare as unsigned ones with the top bit turned. */
#define CUDAEMU_REDUCE(name, kind, turn)                                                      \
    inline unsigned name(unsigned mask, unsigned value, CUDAEMU_SITE)                         \
    {                                                                                         \
        return cudaemu::vote(cudaemu::kind, mask, value, file, line);                         \
    }                                                                                         \
    inline int name(unsigned mask, int value, CUDAEMU_SITE)                                   \
    {                                                                                         \
        return (int)(cudaemu::vote(cudaemu::kind, mask, (unsigned)value ^ turn, file, line) ^ \
                     turn);                                                                   \
    }
CUDAEMU_REDUCE(__reduce_add_sync, VOTE_ADD, 0u)
CUDAEMU_REDUCE(__reduce_max_sync, VOTE_MAX, 0x80000000u)
CUDAEMU_REDUCE(__reduce_min_sync, VOTE_MIN, 0x80000000u)
CUDAEMU_REDUCE(__reduce_and_sync, VOTE_AND, 0u)
CUDAEMU_REDUCE(__reduce_or_sync, VOTE_OR, 0u)
CUDAEMU_REDUCE(__reduce_xor_sync, VOTE_XOR, 0u)
template <class T> unsigned __match_any_sync(unsigned mask, T value, CUDAEMU_SITE)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return cudaemu::vote(cudaemu::VOTE_MATCH, mask, bits, file, line);
}
inline unsigned __activemask()
{
    return cudaemu::live_lanes();
}

/* Atomics. */
#define CUDAEMU_ATOMIC(name, T, next)                                              \
    inline T name(T *at, T value)                                                  \
    {                                                                              \
        return cudaemu::atomic_update(at, [value](T old) -> T { return (next); }); \
    }
#define CUDAEMU_ATOMIC_INTEGERS(name, next) \
    CUDAEMU_ATOMIC(name, int, next)         \
    CUDAEMU_ATOMIC(name, unsigned, next)    \
    CUDAEMU_ATOMIC(name, unsigned long long, next)
CUDAEMU_ATOMIC_INTEGERS(atomicAdd, old + value)
CUDAEMU_ATOMIC(atomicAdd, float, old + value)
CUDAEMU_ATOMIC(atomicAdd, double, old + value)
CUDAEMU_ATOMIC(atomicSub, int, old - value)
CUDAEMU_ATOMIC(atomicSub, unsigned, old - value)
CUDAEMU_ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
CUDAEMU_ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
CUDAEMU_ATOMIC_INTEGERS(atomicAnd, old &value)
CUDAEMU_ATOMIC_INTEGERS(atomicOr, old | value)
CUDAEMU_ATOMIC_INTEGERS(atomicXor, old ^ value)
CUDAEMU_ATOMIC_INTEGERS(atomicExch, ((void)old, value))
CUDAEMU_ATOMIC(atomicExch, float, ((void)old, value))
template <class T> T atomicCAS(T *at, T expected, T value)
{
    return cudaemu::atomic_update(at, [=](T old) { return old == expected ? value : old; });
}

/* Loads and stores with a hint to the cache. */
#define CUDAEMU_LOAD(name)                        \
    template <class T> inline T name(const T *at) \
    {                                             \
        return *at;                               \
    }
CUDAEMU_LOAD(__ldg)
CUDAEMU_LOAD(__ldca)
CUDAEMU_LOAD(__ldcg)
CUDAEMU_LOAD(__ldcs)
#define CUDAEMU_STORE(name)                                    \
    template <class T> inline void name(T *at, const T &value) \
    {                                                          \
        *at = value;                                           \
    }
CUDAEMU_STORE(__stcg)
CUDAEMU_STORE(__stcs)

/* Bits. */
inline float __int_as_float(int x)
{
    return cudaemu::same_bits<float>(x);
}
inline float __uint_as_float(unsigned x)
{
    return cudaemu::same_bits<float>(x);
}
inline int __float_as_int(float x)
{
    return cudaemu::same_bits<int>(x);
}
inline unsigned __float_as_uint(float x)
{
    return cudaemu::same_bits<unsigned>(x);
}
inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x)
{
    return __builtin_popcountll(x);
}
inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
inline int __clzll(long long x)
{
    return x ? __builtin_clzll((unsigned long long)x) : 64;
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}
inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

/* Reals. The fast ones take the hardware's way (2^x and log2 of a scaled operand), so their errors are of the
 * same size. Macros where glibc declares a function of the name. */
#define CUDAEMU_REAL2(name, expression) \
    inline float name(float a, float b) \
    {                                   \
        return (expression);            \
    }
#define CUDAEMU_REAL1(name, expression) \
    inline float name(float x)          \
    {                                   \
        return (expression);            \
    }
CUDAEMU_REAL2(__fadd_rn, a + b)
CUDAEMU_REAL2(__fsub_rn, a - b)
CUDAEMU_REAL2(__fmul_rn, a *b)
CUDAEMU_REAL2(__fdiv_rn, a / b)
CUDAEMU_REAL2(__fdividef, a *(1.0f / b))
CUDAEMU_REAL1(rsqrtf, 1.0f / sqrtf(x))
CUDAEMU_REAL1(__frsqrt_rn, 1.0f / sqrtf(x))
CUDAEMU_REAL1(__fsqrt_rn, sqrtf(x))
CUDAEMU_REAL1(__frcp_rn, 1.0f / x)
CUDAEMU_REAL1(__saturatef, x > 1 ? 1.0f : x > 0 ? x : 0.0f)
CUDAEMU_REAL1(normcdff, 0.5f * erfcf(-x * 0.70710678f))
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline int __float2int_rn(float x)
{
    return (int)lrintf(x);
}
inline int __float2int_rz(float x)
{
    return (int)x;
}
inline int __float2int_rd(float x)
{
    return (int)floorf(x);
}
inline int __float2int_ru(float x)
{
    return (int)ceilf(x);
}
#define __expf(x) (::cudaemu::exp_fast(x))
#define __logf(x) (::cudaemu::log_fast(x))
#define __log2f(x) (::log2f(x))
#define __powf(x, y) (::exp2f((y) * ::log2f(x)))
#define __sinf(x) (::sinf(x))
#define __cosf(x) (::cosf(x))
#define __tanhf(x) (::tanhf(x))

/* max and min of mixed integers, as in the device's own headers: to the wider type, else unsigned. */
#define CUDAEMU_PAIR(A, B, R)             \
    inline R max(A a, B b)                \
    {                                     \
        return (R)a > (R)b ? (R)a : (R)b; \
    }                                     \
    inline R min(A a, B b)                \
    {                                     \
        return (R)a < (R)b ? (R)a : (R)b; \
    }
CUDAEMU_PAIR(int, int, int)
CUDAEMU_PAIR(unsigned, unsigned, unsigned)
CUDAEMU_PAIR(int, unsigned, unsigned)
CUDAEMU_PAIR(unsigned, int, unsigned)
CUDAEMU_PAIR(long, long, long)
CUDAEMU_PAIR(unsigned long, unsigned long, unsigned long)
CUDAEMU_PAIR(long, unsigned long, unsigned long)
CUDAEMU_PAIR(unsigned long, long, unsigned long)
CUDAEMU_PAIR(long long, long long, long long)
CUDAEMU_PAIR(unsigned long long, unsigned long long, unsigned long long)
CUDAEMU_PAIR(float, float, float)
CUDAEMU_PAIR(double, double, double)

/* Twins of gpu_ptx.cuh. */
inline void gpu_mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const float (&c)[4], CUDAEMU_SITE)
{
    cudaemu::mma_argument argument = {a, b, c, d};
    cudaemu::collective(cudaemu::OPERATION_MMA, ~0u, &argument, file, line);
}
inline void gpu_mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                       const int32_t (&c)[4], CUDAEMU_SITE)
{
    cudaemu::mma_s8_argument argument = {a, b, c, d};
    cudaemu::collective(cudaemu::OPERATION_MMA_S8, ~0u, &argument, file, line);
}
namespace cudaemu
{
inline void ldmatrix(uint32_t *out, const void *row, bool transposed, const char *file, int line)
{
    check_shared(row, 16, "ldmatrix", file, line);
    /* A load that the sanitizers and the race checker see. */
    uint4 seen = *static_cast<const uint4 *>(row);
    asm volatile("" ::"m"(seen));
    ldmatrix_argument argument = {row, out, transposed};
    collective(OPERATION_LDMATRIX, ~0u, &argument, file, line);
}
} // namespace cudaemu
inline void gpu_ldmatrix4(uint32_t (&out)[4], const void *row, CUDAEMU_SITE)
{
    cudaemu::ldmatrix(out, row, false, file, line);
}
inline void gpu_ldmatrix4_transposed(uint32_t (&out)[4], const void *row, CUDAEMU_SITE)
{
    cudaemu::ldmatrix(out, row, true, file, line);
}
inline void gpu_copy_async16(void *to, const void *from, bool valid, CUDAEMU_SITE)
{
    cudaemu::copy_async(to, from, valid, file, line);
}
inline void gpu_copy_async_commit()
{
    cudaemu::copy_async_commit();
}
template <int KEEP> inline void gpu_copy_async_wait()
{
    cudaemu::copy_async_wait(KEEP);
}

#endif
