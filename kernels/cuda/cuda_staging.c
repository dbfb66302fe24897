/* Copies between host and device. From pageable memory CUDA would wait for each; through pinned slots the
 * host goes on. */
#include <string.h>

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_memory.h"

enum { SLOTS = 64, SLOT_BYTES = 128 * 1024 };

struct cuda_staging {
    unsigned char *memory; /* pinned [SLOTS, SLOT_BYTES] */
    cudaEvent_t done[SLOTS];
    int events, next;
};

enum lng_status cuda_staging_open(struct lng_device *device)
{
    struct cuda_staging *staging = lng_alloc(1, sizeof *staging);
    if (staging == NULL)
        return LNG_ERR_MEMORY;
    cuda_state_of(device)->staging = staging;
    void *memory = NULL;
    CUDA_TRY(device, "pinned memory",
             cudaHostAlloc(&memory, (size_t)SLOTS * SLOT_BYTES, cudaHostAllocDefault));
    staging->memory = memory;
    for (; staging->events < SLOTS; staging->events++)
        CUDA_TRY(device, "an event",
                 cudaEventCreateWithFlags(&staging->done[staging->events], cudaEventDisableTiming));
    return LNG_OK;
}

void cuda_staging_close(struct lng_device *device)
{
    struct cuda_staging *staging = cuda_state_of(device)->staging;
    if (staging == NULL)
        return;
    for (int i = 0; i < staging->events; i++)
        (void)cudaEventDestroy(staging->done[i]);
    if (staging->memory != NULL)
        (void)cudaFreeHost(staging->memory);
    lng_free(staging);
    cuda_state_of(device)->staging = NULL;
}

/* The next slot, once its last copy is done. An event that was never recorded is done. */
static enum lng_status take_slot(struct lng_device *device, int *slot)
{
    struct cuda_staging *staging = cuda_state_of(device)->staging;
    CUDA_TRY(device, "waiting for a copy", cudaEventSynchronize(staging->done[staging->next]));
    *slot = staging->next;
    staging->next = (staging->next + 1) % SLOTS;
    return LNG_OK;
}

enum lng_status cuda_staging_write(struct lng_device *device, void *to, const void *from,
                                   size_t bytes)
{
    struct cuda_staging *staging = cuda_state_of(device)->staging;
    for (size_t at = 0; at < bytes; at += SLOT_BYTES) {
        int slot = 0;
        size_t count = bytes - at < SLOT_BYTES ? bytes - at : SLOT_BYTES;
        LNG_TRY(take_slot(device, &slot));
        unsigned char *pinned = staging->memory + (size_t)slot * SLOT_BYTES;
        memcpy(pinned, (const unsigned char *)from + at, count);
        CUDA_TRY(device, "copy to the GPU",
                 cudaMemcpyAsync((unsigned char *)to + at, pinned, count, cudaMemcpyHostToDevice,
                                 cuda_stream(device)));
        CUDA_TRY(device, "copy to the GPU",
                 cudaEventRecord(staging->done[slot], cuda_stream(device)));
    }
    return LNG_OK;
}

enum lng_status cuda_staging_read(struct lng_device *device, void *to, const void *from,
                                  size_t bytes)
{
    struct cuda_staging *staging = cuda_state_of(device)->staging;
    int slot = 0;
    bool small = bytes <= SLOT_BYTES;
    if (small)
        LNG_TRY(take_slot(device, &slot));
    void *landing = small ? staging->memory + (size_t)slot * SLOT_BYTES : to;
    CUDA_TRY(device, "copy from the GPU",
             cudaMemcpyAsync(landing, from, bytes, cudaMemcpyDeviceToHost, cuda_stream(device)));
    CUDA_TRY(device, "copy from the GPU, or an operation before it",
             cudaStreamSynchronize(cuda_stream(device)));
    if (small)
        memcpy(to, landing, bytes);
    return LNG_OK;
}

/* ---- copies that are waited for later --------------------------------------------------------- */

/* `done` comes after the last copy; one that was never recorded is done. */
struct landing {
    struct lng_landing head;
    cudaEvent_t done;
};

enum lng_status cuda_landing_open(struct lng_device *device, size_t bytes,
                                  struct lng_landing **landing)
{
    enum lng_status status = LNG_OK;
    void *memory = NULL;
    LNG_TRY(cuda_check_usable(device));
    struct landing *own = lng_alloc(1, sizeof *own);
    if (own == NULL)
        return LNG_ERR_MEMORY;
    own->head.bytes = bytes;
    LNG_TRY_OR_FAIL(
        cuda_check(device, "pinned memory", cudaHostAlloc(&memory, bytes, cudaHostAllocDefault)));
    own->head.memory = memory;
    memset(memory, 0, bytes);
    LNG_TRY_OR_FAIL(cuda_check(device, "an event",
                               cudaEventCreateWithFlags(&own->done, cudaEventDisableTiming)));
    *landing = &own->head;
    return LNG_OK;
fail:
    cuda_landing_close(device, &own->head);
    return status;
}

/* Nobody may free what the GPU is still to write to. */
void cuda_landing_close(struct lng_device *device, struct lng_landing *landing)
{
    struct landing *own = (struct landing *)landing;
    (void)device;
    if (own->done != NULL) {
        (void)cudaEventSynchronize(own->done);
        (void)cudaEventDestroy(own->done);
    }
    if (landing->memory != NULL)
        (void)cudaFreeHost(landing->memory);
    lng_free(own);
}

enum lng_status cuda_landing_copy(struct lng_device *device, struct lng_landing *landing, size_t at,
                                  const void *from, size_t bytes)
{
    LNG_TRY(cuda_check_usable(device));
    CUDA_TRY(device, "copy from the GPU",
             cudaMemcpyAsync(landing->memory + at, from, bytes, cudaMemcpyDeviceToHost,
                             cuda_stream(device)));
    return cuda_check(device, "copy from the GPU",
                      cudaEventRecord(((struct landing *)landing)->done, cuda_stream(device)));
}

enum lng_status cuda_landing_wait(struct lng_device *device, struct lng_landing *landing)
{
    LNG_TRY(cuda_check_usable(device));
    return cuda_check(device, "copy from the GPU, or an operation before it",
                      cudaEventSynchronize(((struct landing *)landing)->done));
}
