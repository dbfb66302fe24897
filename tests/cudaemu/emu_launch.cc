/* Launches: checked as the runtime checks them, then run block by block in the order of the schedule. */
#include "tests/cudaemu/emu.h"

#include <algorithm>
#include <map>

namespace cudaemu
{

const running_launch *running;
static std::map<const void *, size_t> &shared_limits = *new std::map<const void *, size_t>;

static size_t shared_limit(const void *function)
{
    auto found = shared_limits.find(function);
    return found == shared_limits.end() ? shared_default : found->second;
}

static void run_blocks(const running_launch &launch)
{
    const dim3 grid = launch.request.grid;
    const size_t count = (size_t)grid.x * grid.y * grid.z;
    const schedule order = options().order;
    std::vector<size_t> shuffled;
    if (order == schedule::random) {
        shuffled.resize(count);
        for (size_t i = 0; i < count; i++)
            shuffled[i] = i;
        for (size_t i = count; i > 1; i--)
            std::swap(shuffled[i - 1], shuffled[random_number() % i]);
    }
    for (size_t i = 0; i < count; i++)
        run_block(launch, order == schedule::random    ? shuffled[i]
                          : order == schedule::reverse ? count - 1 - i
                                                       : i);
}
void run_launch(const running_launch &launch)
{
    catch_faults();
    running = &launch;
    ::blockDim = launch.request.block;
    ::gridDim = launch.request.grid;
    shared_open(launch.request.shared);
    race_launch_begin();
    {
        device_access access;
        run_blocks(launch);
    }
    race_launch_end();
    shared_close();
    running = nullptr;
}

static cudaError_t check(const launch_request &request)
{
    const dim3 grid = request.grid, block = request.block;
    const size_t threads = (size_t)block.x * block.y * block.z;
    if (threads == 0 || threads > most_threads || block.z > 64)
        return failed(cudaErrorInvalidConfiguration, "kernel %s: a block of %u x %u x %u threads",
                      request.name, block.x, block.y, block.z);
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFFu || grid.y > 65535 ||
        grid.z > 65535)
        return failed(cudaErrorInvalidConfiguration, "kernel %s: a grid of %u x %u x %u blocks",
                      request.name, grid.x, grid.y, grid.z);
    const size_t most = shared_limit(request.function);
    if (request.shared > most)
        return failed(cudaErrorInvalidValue,
                      "kernel %s: %zu bytes of dynamic shared memory, where %zu are allowed "
                      "(cudaFuncSetAttribute)",
                      request.name, request.shared, most);
    return cudaSuccess;
}
cudaError_t submit(const launch_request &request)
{
    entry guard;
    if (current != nullptr)
        die("launch", "a kernel launches kernel %s", request.name);
    std::shared_ptr<void> arguments(request.arguments, request.dispose);
    cudaError_t error = check(request);
    if (error != cudaSuccess)
        return error;
    if (elsewhere(request.stream))
        return failed(cudaErrorInvalidResourceHandle,
                      "kernel %s: the stream is another device's than the thread's (%d)",
                      request.name, current_device());
    running_launch launch = {request, arguments};
    const span all = {static_cast<unsigned char *>(request.arguments), request.argument_bytes};
    return enqueue(request.stream, {request.name,
                                    KERNEL_NODE,
                                    [launch] {
                                        static uint64_t launches;
                                        if (++launches == options().fatal_launch)
                                            lose_device();
                                        else if (device_lost() == cudaSuccess)
                                            run_launch(launch);
                                    },
                                    {all},
                                    {}});
}

} // namespace cudaemu

using namespace cudaemu;

CUDAEMU_API cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    entry guard;
    if (function == nullptr)
        return failed(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return value >= -1 && value <= 100 ? cudaSuccess : failed(cudaErrorInvalidValue);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        (size_t)value > shared_most)
        return failed(cudaErrorInvalidValue);
    shared_limits[function] = std::max((size_t)value, shared_default);
    return cudaSuccess;
}
CUDAEMU_API cudaFuncGetAttributes(cudaFuncAttributes *out, const void *function)
{
    entry guard;
    if (function == nullptr)
        return failed(cudaErrorInvalidDeviceFunction);
    *out = {};
    out->maxThreadsPerBlock = (int)most_threads;
    out->numRegs = 64;
    out->binaryVersion = out->ptxVersion = 90;
    out->maxDynamicSharedSizeBytes = (int)shared_limit(function);
    return cudaSuccess;
}
/* As if nothing but threads and shared memory counted. */
CUDAEMU_API cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks,
                                                                   const void *function,
                                                                   int threads, size_t shared,
                                                                   unsigned)
{
    entry guard;
    if (function == nullptr || threads <= 0)
        return failed(cudaErrorInvalidValue);
    size_t by_shared = (228 << 10) / (shared + 1024);
    *blocks = (unsigned)threads > most_threads || shared > shared_limit(function)
                  ? 0
                  : (int)std::min<size_t>(std::min(32, 2048 / threads), by_shared);
    return cudaSuccess;
}
CUDAEMU_API cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function,
                                                          int threads, size_t shared)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared,
                                                                  0);
}
/* Without types the arguments cannot be taken over. */
CUDAEMU_API cudaLaunchKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t)
{
    die("launch", "cudaLaunchKernel: launch with GPU_LAUNCH or cudaLaunchKernelEx");
}
CUDAEMU_API cudaLaunchKernelExC(const cudaLaunchConfig_t *, const void *, void **)
{
    die("launch", "cudaLaunchKernelExC: launch with GPU_LAUNCH or cudaLaunchKernelEx");
}
