/* The devices there are, all alike and with one memory; errors and their names. */
#include "tests/cudaemu/emu.h"

#include <stdarg.h>
#include <stdio.h>

namespace cudaemu
{

static thread_local cudaError_t last_error;

cudaError_t failed(cudaError_t error)
{
    last_error = error;
    return error;
}
cudaError_t failed(cudaError_t error, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("cudaemu: %s: %s\n", cudaGetErrorName(error), text);
    return failed(error);
}

static cudaError_t lost;
cudaError_t device_lost()
{
    return lost;
}
void lose_device()
{
    lost = cudaErrorIllegalAddress;
}

static thread_local int chosen_device;
int current_device()
{
    return chosen_device;
}
static bool is_there(int device)
{
    return device >= 0 && device < options().devices;
}

static constexpr int multiprocessors = 4;
static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorGraphExecUpdateFailure, "cudaErrorGraphExecUpdateFailure",
     "the graph update was not performed because it included changes which violated constraints "
     "specific to instantiated graph update"},
};

static bool attribute(cudaDeviceAttr which, int *value)
{
    switch (which) {
    case cudaDevAttrMultiProcessorCount:
        *value = multiprocessors;
        return true;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)shared_most;
        return true;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)shared_default;
        return true;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = 228 << 10;
        return true;
    case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        return true;
    case cudaDevAttrWarpSize:
        *value = 32;
        return true;
    case cudaDevAttrMaxThreadsPerBlock:
        *value = (int)most_threads;
        return true;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        return true;
    case cudaDevAttrMaxGridDimX:
        *value = 0x7FFFFFFF;
        return true;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
        *value = 65535;
        return true;
    case cudaDevAttrL2CacheSize:
        *value = 50 << 20;
        return true;
    case cudaDevAttrMemoryPoolsSupported:
        *value = 1;
        return true;
    case cudaDevAttrComputeCapabilityMinor:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrIntegrated:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrComputeMode:
        *value = 0;
        return true;
    default:
        return false;
    }
}

} // namespace cudaemu

using namespace cudaemu;

CUDAEMU_API cudaGetDeviceCount(int *count)
{
    *count = options().devices;
    return cudaSuccess;
}
CUDAEMU_API cudaGetDevice(int *device)
{
    *device = current_device();
    return cudaSuccess;
}
CUDAEMU_API cudaSetDevice(int device)
{
    if (!is_there(device))
        return failed(cudaErrorInvalidDevice);
    if (lost != cudaSuccess)
        return lost;
    chosen_device = device;
    return cudaSuccess;
}
CUDAEMU_API cudaInitDevice(int device, unsigned, unsigned)
{
    return cudaSetDevice(device);
}
CUDAEMU_API cudaSetDeviceFlags(unsigned)
{
    return cudaSuccess;
}
CUDAEMU_API cudaDeviceReset(void)
{
    entry guard;
    drain_all();
    lost = cudaSuccess;
    return cudaSuccess;
}
CUDAEMU_API cudaGetDeviceProperties(cudaDeviceProp *out, int device)
{
    if (!is_there(device))
        return failed(cudaErrorInvalidDevice);
    *out = {};
    snprintf(out->name, sizeof out->name, "emulated CUDA device%s",
             options().mixed && device % 2 != 0 ? " of another kind" : "");
    out->totalGlobalMem = options().memory;
    out->sharedMemPerBlock = shared_default;
    out->sharedMemPerBlockOptin = shared_most;
    out->sharedMemPerMultiprocessor = 228 << 10;
    out->regsPerBlock = out->regsPerMultiprocessor = 65536;
    out->warpSize = 32;
    out->maxThreadsPerBlock = (int)most_threads;
    out->maxThreadsDim[0] = out->maxThreadsDim[1] = (int)most_threads;
    out->maxThreadsDim[2] = 64;
    out->maxGridSize[0] = 0x7FFFFFFF;
    out->maxGridSize[1] = out->maxGridSize[2] = 65535;
    out->major = 9;
    out->multiProcessorCount = multiprocessors;
    out->maxThreadsPerMultiProcessor = 2048;
    out->l2CacheSize = 50 << 20;
    out->memoryPoolsSupported = 1;
    return cudaSuccess;
}
CUDAEMU_API cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device)
{
    if (!is_there(device))
        return failed(cudaErrorInvalidDevice);
    return attribute(which, value) ? cudaSuccess : failed(cudaErrorInvalidValue);
}
CUDAEMU_API cudaGetLastError(void)
{
    cudaError_t error = lost != cudaSuccess ? lost : last_error;
    last_error = cudaSuccess;
    return error;
}
CUDAEMU_API cudaPeekAtLastError(void)
{
    return lost != cudaSuccess ? lost : last_error;
}
CUDAEMU_API cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
CUDAEMU_API cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
extern "C" const char *CUDARTAPI cudaGetErrorName(cudaError_t error)
{
    for (const auto &one : errors)
        if (one.error == error)
            return one.name;
    return "unrecognized error code";
}
extern "C" const char *CUDARTAPI cudaGetErrorString(cudaError_t error)
{
    for (const auto &one : errors)
        if (one.error == error)
            return one.text;
    return "unrecognized error code";
}
