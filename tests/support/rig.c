#include "tests/support/rig.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/bf16.h"

enum { GUARD_BYTES = 256, GUARD = 0xA5, HOST_BLOCK = -1 };

struct rig_block {
    struct rig_block *next;
    void *memory;              /* device memory with guards at both ends, or host memory */
    int64_t bytes;             /* between the guards; HOST_BLOCK for host memory */
    int64_t row_bytes, stride; /* of a matrix, in bytes; the rest of a stride is guard too */
};

void rig_expect_ok(enum lng_status status, const char *what)
{
    cr_assert(status == LNG_OK, "%s: %s", what, lng_error_message());
}

void rig_open(struct rig *rig, const char *device_name, uint64_t seed)
{
    *rig = (struct rig){.seed = seed};
    RIG_OK(lng_device_open(device_name, &(struct lng_device_options){.threads = 2}, &rig->device));
    rig->real = lng_device_real(rig->device);
}

static struct rig_block *add_block(struct rig *rig)
{
    struct rig_block *block = lng_alloc(1, sizeof *block);
    cr_assert(block != NULL, "out of memory");
    block->next = rig->blocks;
    rig->blocks = block;
    return block;
}

void *rig_host(struct rig *rig, size_t count, size_t size)
{
    struct rig_block *block = add_block(rig);
    block->bytes = HOST_BLOCK;
    block->memory = lng_alloc(count, size);
    cr_assert(block->memory != NULL, "out of memory");
    return block->memory;
}

/* Device memory with guards; answers what lies between them. */
static void *guarded(struct rig *rig, int64_t rows, int64_t row_bytes, int64_t stride)
{
    struct rig_block *block = add_block(rig);
    block->bytes = rows * stride;
    block->row_bytes = row_bytes;
    block->stride = stride;
    size_t total = (size_t)block->bytes + 2 * GUARD_BYTES;
    RIG_OK(lng_device_alloc(rig->device, total, &block->memory));
    void *pattern = lng_alloc(total, 1);
    cr_assert(pattern != NULL, "out of memory");
    memset(pattern, GUARD, total);
    RIG_OK(lng_device_write(rig->device, block->memory, pattern, total));
    lng_free(pattern);
    return (char *)block->memory + GUARD_BYTES;
}

void rig_check_guards(const struct rig *rig)
{
    for (const struct rig_block *block = rig->blocks; block != NULL; block = block->next) {
        if (block->bytes == HOST_BLOCK)
            continue;
        int64_t total = block->bytes + 2 * GUARD_BYTES;
        unsigned char *bytes = lng_alloc((size_t)total, 1);
        cr_assert(bytes != NULL, "out of memory");
        RIG_OK(lng_device_read(rig->device, bytes, block->memory, (size_t)total));
        for (int64_t i = 0; i < total; i++) {
            int64_t at = i - GUARD_BYTES;
            bool inside = at >= 0 && at < block->bytes && at % block->stride < block->row_bytes;
            cr_assert(inside || bytes[i] == GUARD,
                      "byte %lld of an array of %lld bytes (rows of %lld, stride %lld) was "
                      "overwritten",
                      (long long)at, (long long)block->bytes, (long long)block->row_bytes,
                      (long long)block->stride);
        }
        lng_free(bytes);
    }
}

void rig_close(struct rig *rig)
{
    rig_check_guards(rig);
    while (rig->blocks != NULL) {
        struct rig_block *block = rig->blocks;
        rig->blocks = block->next;
        if (block->bytes == HOST_BLOCK)
            lng_free(block->memory);
        else
            lng_device_free(rig->device, block->memory);
        lng_free(block);
    }
    lng_device_close(rig->device);
}

static void encode(enum lng_dtype dtype, void *to, int64_t at, double value)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
        ((float *)to)[at] = (float)value;
        break;
    case LNG_DTYPE_F64:
        ((double *)to)[at] = value;
        break;
    case LNG_DTYPE_BF16:
        ((uint16_t *)to)[at] = lng_f32_to_bf16((float)value);
        break;
    case LNG_DTYPE_I8:
        ((int8_t *)to)[at] = isnan(value) ? -128 : (int8_t)value;
        break;
    case LNG_DTYPE_I32:
        ((int32_t *)to)[at] = isnan(value) ? INT32_MIN : (int32_t)value;
        break;
    }
}

static double decode(enum lng_dtype dtype, const void *from, int64_t at)
{
    switch (dtype) {
    case LNG_DTYPE_F32:
        return ((const float *)from)[at];
    case LNG_DTYPE_F64:
        return ((const double *)from)[at];
    case LNG_DTYPE_BF16:
        return lng_bf16_to_f32(((const uint16_t *)from)[at]);
    case LNG_DTYPE_I8:
        return ((const int8_t *)from)[at];
    case LNG_DTYPE_I32:
        return ((const int32_t *)from)[at];
    }
    return NAN;
}

void rig_write(struct rig *rig, struct lng_view view, const double *values)
{
    size_t size = lng_dtype_size(view.dtype);
    void *row = lng_alloc((size_t)view.cols, size);
    cr_assert(row != NULL, "out of memory");
    for (int64_t n = 0; n < view.rows; n++) {
        for (int64_t d = 0; d < view.cols; d++)
            encode(view.dtype, row, d, values != NULL ? values[n * view.cols + d] : NAN);
        char *to = (char *)view.data + (size_t)(n * view.stride) * size;
        RIG_OK(lng_device_write(rig->device, to, row, (size_t)view.cols * size));
    }
    lng_free(row);
}

static struct lng_view new_matrix(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols)
{
    int64_t size = (int64_t)lng_dtype_size(dtype), stride = cols + rig->gap;
    int64_t stride_bytes = stride > 0 ? stride * size : 1;
    void *data = guarded(rig, rows, cols * size, stride_bytes);
    struct lng_view view = lng_view_make(data, dtype, rows, cols);
    view.stride = stride;
    return view;
}

struct lng_view rig_values(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols,
                           const double *values)
{
    struct lng_view view = new_matrix(rig, dtype, rows, cols);
    rig_write(rig, view, values);
    return view;
}

struct lng_view rig_output(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols)
{
    return rig_values(rig, dtype, rows, cols, NULL);
}

struct lng_view rig_zeros(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols)
{
    return rig_values(rig, dtype, rows, cols, rig_host(rig, (size_t)(rows * cols), sizeof(double)));
}

double rig_uniform(struct rig *rig)
{
    struct lng_rng_site site = {rig->seed, 0, 0};
    return lng_philox_uniform(lng_rng_block(site, rig->draws++, 0, 0, 0).word[0]);
}

int64_t rig_integer(struct rig *rig, int64_t lowest, int64_t highest)
{
    return lowest + (int64_t)(rig_uniform(rig) * (double)(highest - lowest + 1));
}

struct lng_view rig_random(struct rig *rig, enum lng_dtype dtype, int64_t rows, int64_t cols,
                           double magnitude)
{
    double *values = rig_host(rig, (size_t)(rows * cols), sizeof *values);
    for (int64_t i = 0; i < rows * cols; i++)
        values[i] = magnitude * (2 * rig_uniform(rig) - 1);
    return rig_values(rig, dtype, rows, cols, values);
}

void *rig_array(struct rig *rig, const void *values, size_t count, size_t size)
{
    void *array = guarded(rig, (int64_t)count, (int64_t)size, (int64_t)size);
    void *ones = rig_host(rig, count, size);
    memset(ones, 0xFF, count * size);
    RIG_OK(lng_device_write(rig->device, array, values != NULL ? values : ones, count * size));
    return array;
}

double *rig_get(struct rig *rig, struct lng_view view)
{
    size_t size = lng_dtype_size(view.dtype);
    double *values = rig_host(rig, (size_t)(view.rows * view.cols), sizeof *values);
    void *row = rig_host(rig, (size_t)view.cols, size);
    for (int64_t n = 0; n < view.rows; n++) {
        const char *from = (const char *)view.data + (size_t)(n * view.stride) * size;
        RIG_OK(lng_device_read(rig->device, row, from, (size_t)view.cols * size));
        for (int64_t d = 0; d < view.cols; d++)
            values[n * view.cols + d] = decode(view.dtype, row, d);
    }
    return values;
}

void *rig_get_array(struct rig *rig, const void *array, size_t count, size_t size)
{
    void *copy = rig_host(rig, count, size);
    RIG_OK(lng_device_read(rig->device, copy, array, count * size));
    return copy;
}

int32_t *rig_offsets(struct rig *rig, int64_t sentences, int64_t longest)
{
    int32_t *offsets = rig_host(rig, (size_t)sentences + 1, sizeof *offsets);
    for (int64_t b = 0; b < sentences; b++)
        offsets[b + 1] = offsets[b] + (int32_t)rig_integer(rig, 0, longest);
    return offsets;
}

void rig_expect_close(const char *what, const double *got, const double *want, size_t count,
                      double relative, double absolute)
{
    for (size_t i = 0; i < count; i++) {
        bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i]));
        bool close = fabs(got[i] - want[i]) <= absolute + relative * fabs(want[i]);
        cr_assert(same || (close && isfinite(want[i])), "%s[%zu]: expected %.9g, found %.9g", what,
                  i, want[i], got[i]);
    }
}
