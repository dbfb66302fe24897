/* Stands in for nvcc: force-included when a .cu file is compiled as host C++ (-include tests/cudaemu/cudaemu.h).
 * NVIDIA's own headers declare the runtime and cuBLASLt, emu_*.cc define what kernels/cuda calls of them; here
 * is what the compiler itself provides: keywords, built-in variables, launches; cudaemu_device.h has the
 * intrinsics. C++17, g++ or clang++. */
#ifndef LNG_TESTS_CUDAEMU_CUDAEMU_H
#define LNG_TESTS_CUDAEMU_CUDAEMU_H

#ifndef LNG_CUDAEMU
#define LNG_CUDAEMU 1
#endif

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <type_traits>

/* Blocks run one after another, so a plain static is a block's shared memory (and, unlike a thread-local, has
 * AddressSanitizer's guard zones). All lie in one section (shared.ld): every block starts with garbage in it.
 * g++ forgets the section of a static variable in a template, but not that it is not initialised. */
#undef __shared__
#ifdef __clang__
#define __shared__ static __attribute__((section("cudaemu_shared")))
#else
#define __shared__ static __attribute__((noinit))
#endif
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif
/* Where in a kernel an operation was called from. */
#define CUDAEMU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define CUDAEMU_UNCHECKED __attribute__((no_sanitize("thread")))

/* Objects, not macros: cudaLaunchConfig_t has members of these names. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

namespace cudaemu
{

/* Ends the process, saying what, in which kernel, block and thread. */
[[noreturn]] void die(const char *kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct launch_request {
    const char *name;
    const void *function;
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
    void (*body)(const void *arguments); /* of one thread */
    void *arguments;
    size_t argument_bytes;
    void (*dispose)(void *arguments);
};
/* Takes over the arguments. */
cudaError_t submit(const launch_request &request);

template <class... P> struct kernel_call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;

    static CUDAEMU_UNCHECKED void body(const void *call)
    {
        const kernel_call *self = static_cast<const kernel_call *>(call);
        std::apply(self->kernel, self->arguments);
    }
    static void dispose(void *call)
    {
        delete static_cast<kernel_call *>(call);
    }
};

/* Arguments are converted as in a call of the kernel, and copied at once. */
template <class T> struct as_is {
    typedef T type;
};
template <class... P>
cudaError_t launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                   cudaStream_t stream, typename as_is<P>::type... arguments)
{
    static_assert((std::is_trivially_copyable<P>::value && ...), "kernels take plain data");
    typedef kernel_call<P...> call;
    return submit({name, reinterpret_cast<const void *>(kernel), grid, block, shared, stream,
                   call::body, new call{kernel, std::tuple<P...>(arguments...)}, sizeof(call),
                   call::dispose});
}
template <class... P>
cudaError_t launch_config(const char *name, const cudaLaunchConfig_t *config, void (*kernel)(P...),
                          typename as_is<P>::type... arguments)
{
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id == cudaLaunchAttributeClusterDimension ||
            config->attrs[i].id == cudaLaunchAttributeCooperative)
            return cudaErrorNotSupported;
    return launch(name, kernel, config->gridDim, config->blockDim, config->dynamicSmemBytes,
                  config->stream, arguments...);
}

/* This launch's dynamic shared memory. */
unsigned char *dynamic_shared();
/* Nobody may touch [at, at + bytes) until the block ends. */
void forbid_shared(void *at, size_t bytes);

} // namespace cudaemu

/* The one in cuda_runtime.h erases the types of the arguments. */
#define cudaLaunchKernelEx(config, kernel, ...) \
    ::cudaemu::launch_config(#kernel, (config), (kernel), ##__VA_ARGS__)
#define GPU_LAUNCH(kernel, grid, block, shared, stream, ...) \
    ::cudaemu::launch(#kernel, (kernel), (grid), (block), (shared), (stream), ##__VA_ARGS__)

#define GPU_SHARED(name) unsigned char *name = ::cudaemu::dynamic_shared()
enum { GPU_SHARED_GAP = 32 };
static inline void gpu_shared_gap(void *at)
{
    cudaemu::forbid_shared(at, GPU_SHARED_GAP);
}

#include "tests/cudaemu/cudaemu_device.h"

#endif
