/* The device registry and the device-independent part of memory, copies and weights. */
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/backend.h"
#include "kernels/plugin.h"
#include "kernels/timing.h"

/* The backends of this library; cuda is a plugin. */
static const struct lng_backend *const registry[] = {&lng_backend_cpu, &lng_backend_ref,
                                                     &lng_backend_ref64};
static const char KNOWN_NAMES[] = "auto, cpu, cuda, cuda:N, ref, ref64";

enum {
    BACKENDS = sizeof registry / sizeof registry[0],
    MAX_THREADS = 1024,
    MAX_ORDINAL = 63,
};

/* "cuda" is cuda:0. -1: the name is none of a GPU. */
static int cuda_ordinal(const char *name)
{
    int ordinal = 0, length = 0;
    if (strcmp(name, "cuda") == 0)
        return 0;
    if (sscanf(name, "cuda:%2d%n", &ordinal, &length) != 1 || name[length] != '\0' || ordinal < 0 ||
        ordinal > MAX_ORDINAL)
        return -1;
    return ordinal;
}

static enum lng_status find_backend(const char *name, const struct lng_backend **backend)
{
    if (cuda_ordinal(name) >= 0)
        return lng_plugin_open_cuda(backend);
    for (int i = 0; i < BACKENDS; i++) {
        if (strcmp(name, registry[i]->name) == 0) {
            *backend = registry[i];
            return LNG_OK;
        }
    }
    return lng_fail(LNG_ERR_UNSUPPORTED, "unknown device \"%.64s\", expected one of: %s", name,
                    KNOWN_NAMES);
}

/* A hole in the table would be a crash much later. */
static enum lng_status check_complete(const struct lng_backend *backend)
{
#define LNG_OP(op)                                         \
    LNG_FAIL_IF(backend->ops.op == NULL, LNG_ERR_INTERNAL, \
                "device %s has no implementation of operation " #op, backend->name);
#include "kernels/ops.def"
#undef LNG_OP
    return LNG_OK;
}

static enum lng_status open_named(const char *name, const struct lng_device_options *options,
                                  struct lng_device **device)
{
    const struct lng_backend *backend = NULL;
    LNG_TRY(find_backend(name, &backend));
    LNG_TRY(check_complete(backend));
    struct lng_device *opened = lng_alloc(1, sizeof *opened);
    if (opened == NULL)
        return LNG_ERR_MEMORY;
    *opened = (struct lng_device){.backend = backend,
                                  .threads = options->threads,
                                  .fast = options->fast,
                                  .ordinal = cuda_ordinal(name)};
    snprintf(opened->name, sizeof opened->name, "%s", opened->ordinal > 0 ? name : backend->name);
    enum lng_status status = backend->open(opened, options);
    if (status != LNG_OK) {
        lng_free(opened);
        return status;
    }
    *device = opened;
    return LNG_OK;
}

enum lng_status lng_device_open(const char *name, const struct lng_device_options *options,
                                struct lng_device **device)
{
    static const struct lng_device_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    LNG_FAIL_IF(options->threads < 0 || options->threads > MAX_THREADS, LNG_ERR_RANGE,
                "device threads: expected 0 (one a core) to %d, found %d", MAX_THREADS,
                options->threads);
    if (name != NULL && strcmp(name, "auto") != 0)
        return open_named(name, options, device);
    char why_not[sizeof(*device)->remark] = "";
    enum lng_status status = open_named("cuda", options, device);
    if (status != LNG_ERR_UNSUPPORTED)
        return status;
    if (lng_plugin_is_there())
        snprintf(why_not, sizeof why_not, "%s", lng_error_message());
    LNG_TRY(open_named("cpu", options, device));
    memcpy((*device)->remark, why_not, sizeof why_not);
    return LNG_OK;
}

void lng_device_close(struct lng_device *device)
{
    if (device == NULL)
        return;
    lng_timer_close(device);
    device->backend->close(device);
    lng_free(device);
}

const char *lng_device_name(const struct lng_device *device)
{
    return device->name;
}

const char *lng_device_remark(const struct lng_device *device)
{
    return device->remark;
}

int lng_device_threads(const struct lng_device *device)
{
    return device->threads;
}

const char *lng_device_instructions(const struct lng_device *device)
{
    return device->backend->instructions == NULL ? "" : device->backend->instructions(device);
}

enum lng_dtype lng_device_real(const struct lng_device *device)
{
    return device->backend->real;
}

enum lng_dtype lng_device_activation(const struct lng_device *device, enum lng_dtype compute)
{
    return device->backend->activation(device, compute);
}

enum lng_status lng_device_supports(const struct lng_device *device, enum lng_dtype compute)
{
    return device->backend->supports(device, compute);
}

int64_t lng_device_logit_rows(const struct lng_device *device, int64_t vocabulary)
{
    return device->backend->logit_rows(device, vocabulary);
}

size_t lng_device_free_memory(struct lng_device *device)
{
    return device->backend->free_memory == NULL ? SIZE_MAX : device->backend->free_memory(device);
}

bool lng_device_hardware(struct lng_device *device, struct lng_hardware *hardware)
{
    return device->backend->hardware != NULL && device->backend->hardware(device, hardware);
}

void lng_device_trim(struct lng_device *device)
{
    if (device->backend->trim != NULL)
        device->backend->trim(device);
}

enum lng_status lng_device_alloc(struct lng_device *device, size_t bytes, void **memory)
{
    return device->backend->alloc(device, bytes, memory);
}

void lng_device_free(struct lng_device *device, void *memory)
{
    if (memory != NULL)
        device->backend->free(device, memory);
}

enum lng_status lng_device_write(struct lng_device *device, void *to, const void *from,
                                 size_t bytes)
{
    LNG_FAIL_IF(bytes > 0 && (to == NULL || from == NULL), LNG_ERR_SHAPE,
                "device write of %zu bytes: expected two addresses, found none", bytes);
    if (bytes == 0)
        return LNG_OK;
    LNG_TIMED(device, LNG_PHASE_COPY, device->backend->write(device, to, from, bytes));
}

enum lng_status lng_device_read(struct lng_device *device, void *to, const void *from, size_t bytes)
{
    LNG_FAIL_IF(bytes > 0 && (to == NULL || from == NULL), LNG_ERR_SHAPE,
                "device read of %zu bytes: expected two addresses, found none", bytes);
    if (bytes == 0)
        return LNG_OK;
    LNG_TIMED(device, LNG_PHASE_COPY, device->backend->read(device, to, from, bytes));
}

enum lng_status lng_device_sync(struct lng_device *device)
{
    return device->backend->sync(device);
}

bool lng_device_runs_behind(const struct lng_device *device)
{
    return device->backend->landing_open != NULL;
}

enum lng_status lng_landing_open(struct lng_device *device, size_t bytes,
                                 struct lng_landing **landing)
{
    LNG_FAIL_IF(bytes == 0, LNG_ERR_SHAPE, "landing: expected 1 byte or more, found none");
    if (device->backend->landing_open != NULL)
        return device->backend->landing_open(device, bytes, landing);
    struct lng_landing *plain = lng_alloc(1, sizeof *plain);
    unsigned char *memory = lng_alloc(bytes, 1);
    if (plain == NULL || memory == NULL) {
        lng_free(plain);
        lng_free(memory);
        return LNG_ERR_MEMORY;
    }
    *plain = (struct lng_landing){memory, bytes};
    *landing = plain;
    return LNG_OK;
}

void lng_landing_close(struct lng_device *device, struct lng_landing *landing)
{
    if (landing == NULL)
        return;
    if (device->backend->landing_close != NULL) {
        device->backend->landing_close(device, landing);
        return;
    }
    lng_free(landing->memory);
    lng_free(landing);
}

enum lng_status lng_landing_copy(struct lng_device *device, struct lng_landing *landing, size_t at,
                                 const void *from, size_t bytes)
{
    LNG_FAIL_IF(at > landing->bytes || bytes > landing->bytes - at, LNG_ERR_SHAPE,
                "landing of %zu bytes: expected a copy inside it, found %zu at %zu", landing->bytes,
                bytes, at);
    LNG_FAIL_IF(bytes > 0 && from == NULL, LNG_ERR_SHAPE,
                "landing: expected an address to copy %zu bytes from, found none", bytes);
    if (bytes == 0)
        return LNG_OK;
    if (device->backend->landing_copy != NULL)
        LNG_TIMED(device, LNG_PHASE_COPY,
                  device->backend->landing_copy(device, landing, at, from, bytes));
    LNG_TIMED(device, LNG_PHASE_COPY,
              device->backend->read(device, landing->memory + at, from, bytes));
}

enum lng_status lng_landing_wait(struct lng_device *device, struct lng_landing *landing,
                                 const void **memory)
{
    if (device->backend->landing_wait != NULL)
        LNG_TRY(device->backend->landing_wait(device, landing));
    *memory = landing->memory;
    return LNG_OK;
}

/* An observer wants to see every operation, and a timer to time it. */
enum lng_status lng_device_repeat(struct lng_device *device, const void *key, size_t bytes,
                                  lng_device_work work, void *context)
{
    LNG_FAIL_IF(bytes > LNG_REPEAT_KEY, LNG_ERR_SHAPE,
                "repeated work: expected a key of at most %d bytes, found %zu", LNG_REPEAT_KEY,
                bytes);
    if (device->backend->repeat != NULL && device->observer == NULL && device->timer == NULL)
        return device->backend->repeat(device, key, bytes, work, context);
    device->repeats.plain++;
    return work(context);
}

bool lng_device_fuses_logits(const struct lng_device *device)
{
    return device->backend->fuses_logits && device->observer == NULL;
}

bool lng_device_byte_caches(const struct lng_device *device)
{
    return device->backend->byte_caches;
}

bool lng_device_refines(const struct lng_device *device)
{
    return device->backend->refines;
}

bool lng_device_repeats(const struct lng_device *device)
{
    return device->backend->repeat != NULL;
}

struct lng_repeat_stats lng_device_repeat_stats(const struct lng_device *device)
{
    return device->repeats;
}

enum lng_status lng_weight_prepare(struct lng_device *device, struct lng_view master,
                                   enum lng_dtype compute, int flags, struct lng_weight **weight)
{
    LNG_FAIL_IF(master.data == NULL || master.rows < 1 || master.cols < 1 ||
                    master.stride < master.cols,
                LNG_ERR_SHAPE,
                "weight master: expected a matrix of at least 1 x 1, found %lld x %lld, stride "
                "%lld%s",
                (long long)master.rows, (long long)master.cols, (long long)master.stride,
                master.data == NULL ? ", without data" : "");
    LNG_FAIL_IF(master.dtype != device->backend->real, LNG_ERR_DTYPE,
                "weight master: expected %s, found %s", lng_dtype_name(device->backend->real),
                lng_dtype_name(master.dtype));
    LNG_FAIL_IF(compute == LNG_DTYPE_I8 && (flags & LNG_WEIGHT_BACKWARD) != 0, LNG_ERR_UNSUPPORTED,
                "weight: int8 products have no backward pass; train in f32 or bf16");
    LNG_TRY(lng_device_supports(device, compute));
    return device->backend->weight_prepare(device, master, compute, flags, weight);
}

static enum lng_status check_master(const struct lng_weight *weight)
{
    LNG_FAIL_IF(weight->master.data == NULL, LNG_ERR_USAGE,
                "weight: it was made for inference and keeps no values to be made again from");
    return LNG_OK;
}

enum lng_status lng_weight_refresh(struct lng_device *device, struct lng_weight *weight)
{
    LNG_TRY(check_master(weight));
    LNG_TIMED(device, LNG_PHASE_OPTIMIZER, device->backend->weight_refresh(device, weight));
}

enum lng_status lng_weights_refresh(struct lng_device *device, struct lng_weight *const *weights,
                                    size_t count)
{
    const struct lng_backend *backend = device->backend;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(check_master(weights[i]));
    if (backend->weights_refresh != NULL)
        LNG_TIMED(device, LNG_PHASE_OPTIMIZER, backend->weights_refresh(device, weights, count));
    for (size_t i = 0; i < count; i++)
        LNG_TRY(lng_weight_refresh(device, weights[i]));
    return LNG_OK;
}

void lng_weight_release(struct lng_device *device, struct lng_weight *weight)
{
    if (weight != NULL)
        device->backend->weight_release(device, weight);
}

enum lng_status lng_weight_share(struct lng_device *device, struct lng_weight *weight,
                                 struct lng_weight **shared)
{
    if (device->backend->weight_share != NULL)
        return device->backend->weight_share(device, weight, shared);
    *shared = weight;
    return LNG_OK;
}

enum lng_status lng_weight_keep_rows(struct lng_device *device, struct lng_weight *weight)
{
    if (device->backend->weight_keep_rows == NULL)
        return LNG_OK;
    return device->backend->weight_keep_rows(device, weight);
}

bool lng_weight_has_rows(const struct lng_weight *weight)
{
    return weight->rows;
}

size_t lng_weight_bytes(const struct lng_weight *weight)
{
    return weight->bytes;
}
