#include "kernels/cpu/cpu_device.h"

#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"

static enum lng_status cpu_open(struct lng_device *device, const struct lng_device_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    device->threads =
        options && options->threads > 0 ? options->threads : (int)(cores > 0 ? cores : 1);
    struct lng_cpu *cpu = lng_alloc(1, sizeof *cpu);
    if (!cpu)
        return LNG_ERR_MEMORY;
    device->state = cpu;
    return LNG_OK;
}

static void cpu_close(struct lng_device *device)
{
    lng_free(device->state);
    device->state = NULL;
}

static enum lng_status cpu_alloc(struct lng_device *device, size_t bytes, void **memory)
{
    return lng_backend_ref.alloc(device, bytes, memory);
}
static void cpu_free(struct lng_device *device, void *memory)
{
    lng_backend_ref.free(device, memory);
}
static enum lng_status cpu_write(struct lng_device *device, void *to, const void *from,
                                 size_t bytes)
{
    return lng_backend_ref.write(device, to, from, bytes);
}
static enum lng_status cpu_read(struct lng_device *device, void *to, const void *from, size_t bytes)
{
    return lng_backend_ref.read(device, to, from, bytes);
}
static enum lng_status cpu_sync(struct lng_device *device)
{
    (void)device;
    return LNG_OK;
}
static enum lng_dtype cpu_activation(const struct lng_device *device, enum lng_dtype compute)
{
    return lng_backend_ref.activation(device, compute);
}
static enum lng_status cpu_supports(const struct lng_device *device, enum lng_dtype compute)
{
    return lng_backend_ref.supports(device, compute);
}
static int64_t cpu_logit_rows(const struct lng_device *device, int64_t vocabulary)
{
    return lng_backend_ref.logit_rows(device, vocabulary);
}
static enum lng_status cpu_weight_prepare(struct lng_device *device, struct lng_view master,
                                          enum lng_dtype compute, int flags,
                                          struct lng_weight **weight)
{
    return lng_backend_ref.weight_prepare(device, master, compute, flags, weight);
}
static enum lng_status cpu_weight_refresh(struct lng_device *device, struct lng_weight *weight)
{
    return lng_backend_ref.weight_refresh(device, weight);
}
static void cpu_weight_release(struct lng_device *device, struct lng_weight *weight)
{
    lng_backend_ref.weight_release(device, weight);
}

const struct lng_backend lng_backend_cpu = {
    .name = "cpu",
    .real = LNG_DTYPE_F32,
    .ops =
        {
#define LNG_OP(name) .name = lng_cpu_##name,
#include "kernels/ops.def"
#undef LNG_OP
        },
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .write = cpu_write,
    .read = cpu_read,
    .sync = cpu_sync,
    .activation = cpu_activation,
    .supports = cpu_supports,
    .logit_rows = cpu_logit_rows,
    .weight_prepare = cpu_weight_prepare,
    .weight_refresh = cpu_weight_refresh,
    .weight_release = cpu_weight_release,
};
