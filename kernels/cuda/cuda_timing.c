#include "kernels/cuda/cuda_timing.h"

#include <stdio.h>

#include "host/base/mem.h"
#include "kernels/cuda/cuda_device.h"

/* Made when first used, and used again after they were read. */
struct marks {
    cudaEvent_t events[LNG_TIMER_MARKS];
};

enum lng_status cuda_mark(struct lng_device *device, void **marks, size_t number)
{
    LNG_TRY(cuda_check_usable(device));
    if (*marks == NULL)
        *marks = lng_alloc(1, sizeof(struct marks));
    if (*marks == NULL)
        return LNG_ERR_MEMORY;
    cudaEvent_t *event = &((struct marks *)*marks)->events[number];
    if (*event == NULL)
        CUDA_TRY(device, "making an event", cudaEventCreate(event));
    return cuda_check(device, "recording an event", cudaEventRecord(*event, cuda_stream(device)));
}

enum lng_status cuda_between(struct lng_device *device, void *marks, size_t from, size_t to,
                             double *seconds)
{
    const struct marks *m = marks;
    float milliseconds = 0;
    LNG_TRY(cuda_check_usable(device));
    CUDA_TRY(device, "waiting for an event", cudaEventSynchronize(m->events[from]));
    CUDA_TRY(device, "waiting for an event", cudaEventSynchronize(m->events[to]));
    CUDA_TRY(device, "reading events",
             cudaEventElapsedTime(&milliseconds, m->events[from], m->events[to]));
    *seconds = 1e-3 * (double)milliseconds;
    return LNG_OK;
}

void cuda_marks_release(struct lng_device *device, void *marks)
{
    struct marks *m = marks;
    (void)device;
    for (size_t i = 0; i < LNG_TIMER_MARKS && m->events[i] != NULL; i++)
        (void)cudaEventDestroy(m->events[i]);
    lng_free(m);
}

bool cuda_hardware(struct lng_device *device, struct lng_hardware *hardware)
{
    struct cudaDeviceProp properties;
    struct lng_hardware found = {0};
    size_t free_bytes = 0;
    if (cuda_select(device) != LNG_OK ||
        cudaGetDeviceProperties(&properties, device->ordinal) != cudaSuccess ||
        cudaMemGetInfo(&free_bytes, &found.memory_bytes) != cudaSuccess ||
        cudaDriverGetVersion(&found.driver) != cudaSuccess ||
        cudaRuntimeGetVersion(&found.runtime) != cudaSuccess) {
        (void)cudaGetLastError();
        return false;
    }
    snprintf(found.name, sizeof found.name, "%.*s", (int)sizeof found.name - 1, properties.name);
    found.used_bytes = found.memory_bytes - free_bytes;
    found.multiprocessors = properties.multiProcessorCount;
    found.compute_capability = 10 * properties.major + properties.minor;
    *hardware = found;
    return true;
}
