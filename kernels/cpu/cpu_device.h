/* Inside kernels/cpu only: the device state, its worker threads and scratch, and the op functions. */
#ifndef LNG_KERNELS_CPU_DEVICE_H
#define LNG_KERNELS_CPU_DEVICE_H

#include "kernels/backend.h"

struct lng_cpu_pool;

struct lng_cpu {
    struct lng_cpu_pool *pool;
};

static inline struct lng_cpu *lng_cpu_of(const struct lng_device *device)
{
    return (struct lng_cpu *)device->state;
}

/* One function an op; those without a faster way of their own hand over to ref (cpu_fallback.c). */
#define LNG_OP(name) \
    enum lng_status lng_cpu_##name(struct lng_device *device, const struct lng_##name##_args *args);
#include "kernels/ops.def"
#undef LNG_OP

#endif
