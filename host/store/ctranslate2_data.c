/* The numbers of a model.bin. */
#include <inttypes.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"
#include "host/store/numbers.h"
#include "host/store/safetensors.h"

enum { PIECE = 1 << 16 }; /* bytes read at a time */

static const struct {
    const char *name;
    unsigned bytes;
} types[LNG_CT2_TYPE_COUNT] = {
#define LNG_CT2_T(name, bytes, text) {text, bytes},
    LNG_CT2_TYPES(LNG_CT2_T)
#undef LNG_CT2_T
};

unsigned lng_ct2_type_bytes(enum lng_ct2_type type)
{
    return types[type].bytes;
}

const char *lng_ct2_type_name(enum lng_ct2_type type)
{
    return types[type].name;
}

/* A name with "_scale" after it against a variable. */
static int by_scale_name(const void *key, const void *variable)
{
    const char *name = key, *found = ((const struct lng_ct2_variable *)variable)->name;
    size_t length = strlen(name);
    int order = strncmp(name, found, length);
    return order != 0 ? order : strcmp("_scale", found + length);
}

static const struct lng_ct2_variable *find_scale(const struct lng_ct2_file *file, const char *name)
{
    return file->count ? bsearch(name, file->list, file->count, sizeof *file->list, by_scale_name)
                       : NULL;
}

const struct lng_ct2_variable *lng_ct2_scale_of(const struct lng_ct2_file *file,
                                                const struct lng_ct2_variable *variable)
{
    const struct lng_ct2_variable *scale = find_scale(file, variable->name);
    return scale || !variable->alias_of ? scale : find_scale(file, variable->alias_of);
}

static float number_at(enum lng_ct2_type type, const unsigned char *from)
{
    uint32_t word;
    float value;
    switch (type) {
    case LNG_CT2_I8:
        return (float)(int8_t)from[0];
    case LNG_CT2_I16:
        return (float)(int16_t)lng_load_u16(from);
    case LNG_CT2_I32:
        return (float)(int32_t)lng_load_u32(from);
    case LNG_CT2_F16:
        return lng_f16_value(lng_load_u16(from));
    case LNG_CT2_BF16:
        return lng_bf16_to_f32(lng_load_u16(from));
    default:
        word = lng_load_u32(from);
        memcpy(&value, &word, sizeof value);
        return value;
    }
}

static enum lng_status read_numbers(const struct lng_ct2_file *file,
                                    const struct lng_ct2_variable *variable, float *values)
{
    unsigned char piece[PIECE];
    size_t width = types[variable->type].bytes, most = sizeof piece / width;
    for (uint64_t done = 0; done < variable->elements;) {
        uint64_t left = variable->elements - done;
        size_t count = left < most ? (size_t)left : most;
        LNG_TRY(lng_blob_read(&file->blob, variable->offset + done * width, piece, count * width));
        for (size_t i = 0; i < count; i++)
            values[done + i] = number_at(variable->type, piece + i * width);
        done += count;
    }
    return LNG_OK;
}

/* One number, or one for each of `rows`. *scales is the caller's, *count 1 or rows. */
static enum lng_status read_scales(const struct lng_ct2_file *file,
                                   const struct lng_ct2_variable *variable, float **scales,
                                   uint64_t *count)
{
    enum lng_status status = LNG_OK;
    char found[LNG_SHAPE_TEXT_BYTES];
    const struct lng_ct2_variable *scale = lng_ct2_scale_of(file, variable);
    LNG_FAIL_IF(!scale && variable->type != LNG_CT2_I16, LNG_ERR_FORMAT,
                "%s: variable \"%s\": %s needs a scale, but there is no \"%s_scale\"",
                file->blob.name, variable->name, types[variable->type].name, variable->name);
    *count = scale ? scale->elements : 1;
    LNG_FAIL_IF(scale && *count != 1 &&
                    (variable->rank == 0 || *count != (uint64_t)variable->shape[0]),
                LNG_ERR_SHAPE,
                "%s: variable \"%s\": expected one scale or one for each row, found shape %s",
                file->blob.name, scale->name, lng_shape_text(scale->shape, scale->rank, found));
    float *fresh = lng_alloc((size_t)*count, sizeof *fresh);
    if (!fresh)
        return LNG_ERR_MEMORY;
    fresh[0] = LNG_CT2_GLOBAL_SCALE;
    if (scale)
        LNG_TRY_OR_FAIL(read_numbers(file, scale, fresh));
    for (uint64_t i = 0; i < *count; i++)
        LNG_GOTO_FAIL_IF(
            !(fresh[i] > 0) || lng_first_not_finite(&fresh[i], 1) == 0, LNG_ERR_RANGE,
            "%s: variable \"%s\": expected scales over 0, found %g at element %" PRIu64,
            file->blob.name, scale->name, (double)fresh[i], i);
    *scales = fresh;
    return LNG_OK;
fail:
    lng_free(fresh);
    return status;
}

enum lng_status lng_ct2_read_f32(const struct lng_ct2_file *file,
                                 const struct lng_ct2_variable *variable, float *values)
{
    enum lng_ct2_type type = variable->type;
    float *scales;
    uint64_t count;
    LNG_FAIL_IF(type == LNG_CT2_I32, LNG_ERR_DTYPE,
                "%s: variable \"%s\": expected a type for weights, found int32", file->blob.name,
                variable->name);
    if (type != LNG_CT2_I8 && type != LNG_CT2_I16)
        return read_numbers(file, variable, values);
    LNG_TRY(read_scales(file, variable, &scales, &count));
    enum lng_status status = read_numbers(file, variable, values);
    uint64_t each = variable->elements / count;
    for (uint64_t i = 0; status == LNG_OK && i < variable->elements; i++)
        values[i] /= scales[i / each];
    lng_free(scales);
    return status;
}

enum lng_status lng_ct2_read_number(const struct lng_ct2_file *file,
                                    const struct lng_ct2_variable *variable, double *value)
{
    float number;
    char found[LNG_SHAPE_TEXT_BYTES];
    LNG_FAIL_IF(variable->elements != 1, LNG_ERR_SHAPE,
                "%s: variable \"%s\": expected one number, found shape %s", file->blob.name,
                variable->name, lng_shape_text(variable->shape, variable->rank, found));
    LNG_TRY(read_numbers(file, variable, &number));
    *value = (double)number;
    return LNG_OK;
}

enum lng_status lng_ct2_read_text(const struct lng_ct2_file *file,
                                  const struct lng_ct2_variable *variable, char **text)
{
    LNG_FAIL_IF(variable->type != LNG_CT2_I8 || variable->bytes > LNG_VOCAB_MAX_ENTRY_BYTES,
                LNG_ERR_FORMAT,
                "%s: variable \"%s\": expected a text (int8, at most %d bytes), found %" PRIu64
                " bytes of %s",
                file->blob.name, variable->name, LNG_VOCAB_MAX_ENTRY_BYTES, variable->bytes,
                types[variable->type].name);
    size_t length = (size_t)variable->bytes;
    char *fresh = lng_alloc(length + 1, 1);
    if (!fresh)
        return LNG_ERR_MEMORY;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_blob_read(&file->blob, variable->offset, fresh, length));
    LNG_GOTO_FAIL_IF(memchr(fresh, 0, length) || !lng_utf8_valid(fresh, length), LNG_ERR_FORMAT,
                     "%s: variable \"%s\": expected UTF-8 text without NUL", file->blob.name,
                     variable->name);
    *text = fresh;
    return LNG_OK;
fail:
    lng_free(fresh);
    return status;
}

static enum lng_status same_bytes(const struct lng_blob *blob, uint64_t a, uint64_t b,
                                  uint64_t size, bool *same)
{
    unsigned char left[PIECE / 2], right[PIECE / 2];
    *same = true;
    while (size > 0 && a != b && *same) {
        size_t count = size < sizeof left ? (size_t)size : sizeof left;
        LNG_TRY(lng_blob_read(blob, a, left, count));
        LNG_TRY(lng_blob_read(blob, b, right, count));
        *same = memcmp(left, right, count) == 0;
        a += count;
        b += count;
        size -= count;
    }
    return LNG_OK;
}

enum lng_status lng_ct2_same(const struct lng_ct2_file *file, const struct lng_ct2_variable *a,
                             const struct lng_ct2_variable *b, bool *same)
{
    bool alike = a->type == b->type && a->rank == b->rank;
    for (int i = 0; i < a->rank && alike; i++)
        alike = a->shape[i] == b->shape[i];
    if (alike)
        LNG_TRY(same_bytes(&file->blob, a->offset, b->offset, a->bytes, &alike));
    bool integers = a->type == LNG_CT2_I8 || a->type == LNG_CT2_I16;
    if (alike && integers && a->offset != b->offset) {
        const struct lng_ct2_variable *left = lng_ct2_scale_of(file, a),
                                      *right = lng_ct2_scale_of(file, b);
        alike = !left == !right && (!left || left->bytes == right->bytes);
        if (alike && left)
            LNG_TRY(same_bytes(&file->blob, left->offset, right->offset, left->bytes, &alike));
    }
    *same = alike;
    return LNG_OK;
}
