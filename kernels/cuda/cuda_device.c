/* A GPU: opening, errors, memory, copies. */
#include "kernels/cuda/cuda_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "kernels/cuda/cuda_gemm.h"
#include "kernels/cuda/cuda_graph.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_pool.h"
#include "kernels/cuda/gpu_linear.h"

enum {
    OLDEST_MAJOR = 8,         /* Ampere: bf16 and asynchronous copies */
    LOGIT_ELEMENTS = 1 << 27, /* 256 MB of bf16 */
    MOST_LOGIT_ROWS = 1 << 14,
};

static const char *advice_for(cudaError_t error)
{
    switch (error) {
    case cudaErrorInvalidDevice:
        return "; nvidia-smi lists the GPUs there are";
    case cudaErrorNoKernelImageForDevice:
        return "; this build has no code for this GPU";
    default:
        return "";
    }
}

enum lng_status cuda_check(struct lng_device *device, const char *what, cudaError_t error)
{
    struct cuda_state *cuda = cuda_state_of(device);
    if (error == cudaSuccess && cuda != NULL && cuda->check_each)
        error = cudaStreamSynchronize(cuda->stream);
    if (error == cudaSuccess)
        return LNG_OK;
    (void)cudaGetLastError();
    enum lng_status code = error == cudaErrorMemoryAllocation ? LNG_ERR_MEMORY : LNG_ERR_DEVICE;
    char message[sizeof cuda->first_error];
    snprintf(message, sizeof message, "%s: %s: %s (%s)%s", device->name, what,
             cudaGetErrorString(error), cudaGetErrorName(error), advice_for(error));
    if (cuda != NULL && !cuda->broken && !cuda->capturing && cuda->stream != NULL) {
        cudaError_t left = cudaStreamQuery(cuda->stream);
        cuda->broken = left != cudaSuccess && left != cudaErrorNotReady;
        memcpy(cuda->first_error, message, sizeof message);
    }
    LNG_FAIL_IF(cuda != NULL && cuda->broken, code,
                "%s; all work on this device is lost. LNG_CUDA_SYNC=1 names the operation itself",
                cuda->first_error);
    return lng_fail(code, "%s", message);
}

enum lng_status cuda_select(struct lng_device *device)
{
    int current = -1;
    if (cudaGetDevice(&current) == cudaSuccess && current == device->ordinal)
        return LNG_OK;
    return cuda_check(device, "choosing the GPU", cudaSetDevice(device->ordinal));
}

enum lng_status cuda_check_usable(struct lng_device *device)
{
    const struct cuda_state *cuda = cuda_state_of(device);
    LNG_FAIL_IF(cuda->owner != getpid(), LNG_ERR_DEVICE,
                "%s: opened by process %ld and used by its child %ld; open the device after fork",
                device->name, (long)cuda->owner, (long)getpid());
    LNG_FAIL_IF(cuda->broken, LNG_ERR_DEVICE, "%s", cuda->first_error);
    LNG_FAIL_IF(cuda->capturing, LNG_ERR_INTERNAL,
                "%s: repeated work allocates, copies or waits; it may only call operations",
                device->name);
    return cuda_select(device);
}

static const char *why_none(cudaError_t error)
{
    switch (error) {
    case cudaSuccess:
    case cudaErrorNoDevice:
        return "CUDA finds no GPU";
    case cudaErrorInsufficientDriver:
        return "the NVIDIA driver is not installed, or too old for this build's CUDA";
    default:
        return cudaGetErrorString(error);
    }
}

/* What is there and of use; else LNG_ERR_UNSUPPORTED: "auto" then takes the CPU. */
static enum lng_status check_present(struct lng_device *device, struct cudaDeviceProp *properties)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
        (void)cudaGetLastError();
        return lng_fail(LNG_ERR_UNSUPPORTED, "device %s: %s; use --device cpu", device->name,
                        why_none(error));
    }
    LNG_FAIL_IF(device->ordinal >= count, LNG_ERR_UNSUPPORTED,
                "device %s: expected cuda:0 to cuda:%d, as many GPUs as there are", device->name,
                count - 1);
    error = cudaGetDeviceProperties(properties, device->ordinal);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        return lng_fail(LNG_ERR_UNSUPPORTED, "device %s: %s", device->name,
                        cudaGetErrorString(error));
    }
    LNG_FAIL_IF(properties->major < OLDEST_MAJOR, LNG_ERR_UNSUPPORTED,
                "device %s: expected compute capability 8.0 or newer, found %d.%d (%s)",
                device->name, properties->major, properties->minor, properties->name);
    return LNG_OK;
}

static enum lng_status read_int8_tile(struct cuda_state *cuda)
{
    const char *text = getenv("LNG_CUDA_INT8_TILE");
    cuda->int8_tile = -1;
    if (text == NULL || *text == '\0')
        return LNG_OK;
    LNG_FAIL_IF(text[0] < '0' || text[0] >= '0' + GPU_INT8_TILES || text[1] != '\0', LNG_ERR_USAGE,
                "LNG_CUDA_INT8_TILE: expected 0 to %d, found \"%s\"; without it products choose by "
                "their shapes",
                GPU_INT8_TILES - 1, text);
    cuda->int8_tile = text[0] - '0';
    return LNG_OK;
}

enum lng_status cuda_open(struct lng_device *device, const struct lng_device_options *options)
{
    enum lng_status status = LNG_OK;
    struct cudaDeviceProp properties;
    (void)options;
    LNG_TRY(check_present(device, &properties));
    struct cuda_state *cuda = lng_alloc(1, sizeof *cuda);
    if (cuda == NULL)
        return LNG_ERR_MEMORY;
    const char *check_each = getenv("LNG_CUDA_SYNC"), *fuse = getenv("LNG_CUDA_FUSE");
    *cuda = (struct cuda_state){.owner = getpid(),
                                .strict = !device->fast,
                                .apart = fuse != NULL && fuse[0] == '0',
                                .check_each = check_each != NULL && check_each[0] == '1'};
    snprintf(cuda->kind, sizeof cuda->kind, "%s, sm_%d%d", properties.name, properties.major,
             properties.minor);
    device->state = cuda;
    device->threads = 1;
    LNG_TRY_OR_FAIL(read_int8_tile(cuda));
    LNG_TRY_OR_FAIL(cuda_select(device));
    LNG_TRY_OR_FAIL(cuda_check(device, "making a stream",
                               cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking)));
    LNG_TRY_OR_FAIL(cuda_pool_open(&cuda->pool));
    LNG_TRY_OR_FAIL(cuda_staging_open(device));
    LNG_TRY_OR_FAIL(cuda_gemm_open(device));
    LNG_TRY_OR_FAIL(cuda_graphs_open(device));
    return LNG_OK;
fail:
    cuda_close(device);
    return status;
}

void cuda_close(struct lng_device *device)
{
    struct cuda_state *cuda = cuda_state_of(device);
    if (cuda == NULL)
        return;
    if (cuda->owner == getpid()) { /* a child of fork must not touch its parent's GPU */
        /* Of a lost device only the host's structs are left to free; the message that says why stays. */
        (void)cudaSetDevice(device->ordinal);
        if (cuda->stream != NULL)
            (void)cudaStreamSynchronize(cuda->stream);
        cuda_graphs_close(device);
        cuda_gemm_close(device);
        cuda_staging_close(device);
        cuda_pool_close(cuda->pool);
        if (cuda->stream != NULL)
            (void)cudaStreamDestroy(cuda->stream);
    }
    lng_free(cuda);
    device->state = NULL;
}

enum lng_status cuda_alloc(struct lng_device *device, size_t bytes, void **memory)
{
    void *taken = NULL;
    LNG_TRY(cuda_check_usable(device));
    LNG_TRY(cuda_pool_take(cuda_state_of(device)->pool, device, bytes, &taken));
    enum lng_status status = cuda_check(device, "clearing memory",
                                        cudaMemsetAsync(taken, 0, bytes, cuda_stream(device)));
    if (status != LNG_OK) {
        cuda_pool_give(cuda_state_of(device)->pool, taken);
        return status;
    }
    *memory = taken;
    return LNG_OK;
}

void cuda_free(struct lng_device *device, void *memory)
{
    cuda_pool_give(cuda_state_of(device)->pool, memory);
}

/* An outgrown block goes back to the pool, from where a later operation may get it: in order, as all work. */
enum lng_status cuda_scratch(struct lng_device *device, size_t bytes, void **memory)
{
    struct cuda_state *cuda = cuda_state_of(device);
    if (bytes > cuda->scratch_bytes || cuda->scratch == NULL) {
        void *larger = NULL;
        LNG_TRY(cuda_pool_take(cuda->pool, device, bytes + bytes / 4, &larger));
        if (cuda->scratch != NULL)
            cuda_pool_give(cuda->pool, cuda->scratch);
        cuda->scratch = larger;
        cuda->scratch_bytes = bytes + bytes / 4;
    }
    *memory = cuda->scratch;
    return LNG_OK;
}

enum lng_status cuda_write(struct lng_device *device, void *to, const void *from, size_t bytes)
{
    LNG_TRY(cuda_check_usable(device));
    return cuda_staging_write(device, to, from, bytes);
}

enum lng_status cuda_read(struct lng_device *device, void *to, const void *from, size_t bytes)
{
    LNG_TRY(cuda_check_usable(device));
    return cuda_staging_read(device, to, from, bytes);
}

enum lng_status cuda_sync(struct lng_device *device)
{
    LNG_TRY(cuda_check_usable(device));
    return cuda_check(device, "waiting for the GPU", cudaStreamSynchronize(cuda_stream(device)));
}

enum lng_dtype cuda_activation(const struct lng_device *device, enum lng_dtype compute)
{
    (void)device;
    return compute == LNG_DTYPE_BF16 ? LNG_DTYPE_BF16 : LNG_DTYPE_F32;
}

enum lng_status cuda_supports(const struct lng_device *device, enum lng_dtype compute)
{
    LNG_FAIL_IF(compute != LNG_DTYPE_F32 && compute != LNG_DTYPE_BF16 && compute != LNG_DTYPE_I8,
                LNG_ERR_UNSUPPORTED, "device %s cannot compute in %s; it offers f32, bf16 and int8",
                device->name, lng_dtype_name(compute));
    return LNG_OK;
}

int64_t cuda_logit_rows(const struct lng_device *device, int64_t vocabulary)
{
    (void)device;
    int64_t rows = LOGIT_ELEMENTS / (vocabulary < 1 ? 1 : vocabulary);
    return rows < 1 ? 1 : rows > MOST_LOGIT_ROWS ? MOST_LOGIT_ROWS : rows;
}

const char *cuda_instructions(const struct lng_device *device)
{
    return cuda_state_of(device)->kind;
}

size_t cuda_free_memory(struct lng_device *device)
{
    size_t free_bytes = 0, total = 0;
    if (cuda_select(device) != LNG_OK || cudaMemGetInfo(&free_bytes, &total) != cudaSuccess) {
        (void)cudaGetLastError();
        return SIZE_MAX;
    }
    return free_bytes + cuda_pool_idle(cuda_state_of(device)->pool);
}

void cuda_trim(struct lng_device *device)
{
    if (cuda_check_usable(device) == LNG_OK && cuda_sync(device) == LNG_OK)
        cuda_pool_trim(cuda_state_of(device)->pool);
}
