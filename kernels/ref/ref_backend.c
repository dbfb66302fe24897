/* The reference device: host memory, one thread, every operation. */
#include "kernels/ref/ref.h"

#include <string.h>

enum { ALIGNMENT = 256, LOGIT_ELEMENTS = 1 << 22 };

static enum lng_status ref_open(struct lng_device *device, const struct lng_device_options *options)
{
    (void)options;
    device->threads = 1;
    return LNG_OK;
}

static void ref_close(struct lng_device *device)
{
    (void)device;
}

/* lng_alloc aligns to 64 bytes; the address it gave is kept just below the one handed out. */
static enum lng_status ref_alloc(struct lng_device *device, size_t bytes, void **memory)
{
    (void)device;
    LNG_FAIL_IF(bytes > SIZE_MAX - ALIGNMENT - sizeof(void *), LNG_ERR_MEMORY,
                "out of memory: %zu bytes asked for", bytes);
    unsigned char *block = lng_alloc(bytes + ALIGNMENT + sizeof(void *), 1);
    if (block == NULL)
        return LNG_ERR_MEMORY;
    uintptr_t address = (uintptr_t)block + sizeof(void *);
    unsigned char *aligned = block + sizeof(void *) + (size_t)(-address & (ALIGNMENT - 1));
    memcpy(aligned - sizeof(void *), &block, sizeof(void *));
    *memory = aligned;
    return LNG_OK;
}

static void ref_free(struct lng_device *device, void *memory)
{
    (void)device;
    void *block;
    memcpy(&block, (unsigned char *)memory - sizeof(void *), sizeof(void *));
    lng_free(block);
}

static enum lng_status ref_move_bytes(struct lng_device *device, void *to, const void *from,
                                      size_t bytes)
{
    (void)device;
    memcpy(to, from, bytes);
    return LNG_OK;
}

static enum lng_status ref_sync(struct lng_device *device)
{
    (void)device;
    return LNG_OK;
}

/* Always real: with bf16 or int8 weights only the operands of products are rounded, which makes this
 * device the yardstick of what low precision itself costs. */
static enum lng_dtype ref_activation(const struct lng_device *device, enum lng_dtype compute)
{
    (void)device;
    (void)compute;
    return REF_REAL;
}

static enum lng_status ref_supports(const struct lng_device *device, enum lng_dtype compute)
{
    LNG_FAIL_IF(compute != REF_REAL && compute != LNG_DTYPE_F32 && compute != LNG_DTYPE_BF16 &&
                    compute != LNG_DTYPE_I8,
                LNG_ERR_UNSUPPORTED, "device %s cannot compute in %s; it offers f32, bf16 and int8",
                lng_device_name(device), lng_dtype_name(compute));
    return LNG_OK;
}

static int64_t ref_logit_rows(const struct lng_device *device, int64_t vocabulary)
{
    (void)device;
    int64_t rows = LOGIT_ELEMENTS / (vocabulary < 1 ? 1 : vocabulary);
    return rows < 1 ? 1 : rows > 1024 ? 1024 : rows;
}

enum lng_status REF(check_range)(const char *name, const int32_t *values, int64_t count,
                                 int64_t first, int64_t end)
{
    for (int64_t i = 0; i < count; i++)
        LNG_FAIL_IF(values[i] < first || values[i] >= end, LNG_ERR_RANGE,
                    "%s[%lld]: expected %lld to %lld, found %d", name, (long long)i,
                    (long long)first, (long long)end - 1, (int)values[i]);
    return LNG_OK;
}

enum lng_status REF(check_offsets)(const char *name, const int32_t *offsets, int64_t sentences,
                                   int64_t last)
{
    LNG_FAIL_IF(offsets[0] != 0, LNG_ERR_RANGE, "%s[0]: expected 0, found %d", name,
                (int)offsets[0]);
    for (int64_t b = 0; b < sentences; b++)
        LNG_FAIL_IF(offsets[b + 1] < offsets[b], LNG_ERR_RANGE,
                    "%s[%lld]: expected at least %d, found %d", name, (long long)b + 1,
                    (int)offsets[b], (int)offsets[b + 1]);
    LNG_FAIL_IF(offsets[sentences] != last, LNG_ERR_RANGE, "%s[%lld]: expected %lld, found %d",
                name, (long long)sentences, (long long)last, (int)offsets[sentences]);
    return LNG_OK;
}

#ifdef LNG_REF_DOUBLE
#define BACKEND lng_backend_ref64
#define BACKEND_NAME "ref64"
#else
#define BACKEND lng_backend_ref
#define BACKEND_NAME "ref"
#endif

const struct lng_backend BACKEND = {
    .name = BACKEND_NAME,
    .real = REF_REAL,
    .fuses_logits = true,
    .byte_caches = true,
    .refines = true,
    .ops =
        {
#define LNG_OP(name) .name = REF(name),
#include "kernels/ops.def"
#undef LNG_OP
        },
    .open = ref_open,
    .close = ref_close,
    .alloc = ref_alloc,
    .free = ref_free,
    .write = ref_move_bytes,
    .read = ref_move_bytes,
    .sync = ref_sync,
    .activation = ref_activation,
    .supports = ref_supports,
    .logit_rows = ref_logit_rows,
    .weight_prepare = REF(weight_prepare),
    .weight_prepare_rows = REF(weight_prepare_rows),
    .rows_compute = 1u << LNG_DTYPE_I8,
    .weight_refresh = REF(weight_refresh),
    .weight_release = REF(weight_release),
    .weight_keep_rows = REF(weight_keep_rows),
};
