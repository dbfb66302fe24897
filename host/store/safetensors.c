#include "host/store/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/numbers.h"

enum { PIECE = 1 << 16 }; /* elements converted at a time */

static const struct {
    const char *name;
    unsigned bytes;
} types[LNG_SAFETENSORS_TYPE_COUNT] = {
#define LNG_ST(name, bytes) {#name, bytes},
    LNG_SAFETENSORS_TYPES(LNG_ST)
#undef LNG_ST
};

const char *lng_safetensors_type_name(enum lng_safetensors_type type)
{
    return types[type].name;
}

const char *lng_shape_text(const int64_t *shape, int rank, char text[LNG_SHAPE_TEXT_BYTES])
{
    size_t used = 1;
    memcpy(text, "[", 2);
    for (int i = 0; i < rank && used < LNG_SHAPE_TEXT_BYTES - 32; i++)
        used += (size_t)snprintf(text + used, LNG_SHAPE_TEXT_BYTES - used, "%s%" PRId64,
                                 i ? ", " : "", shape[i]);
    snprintf(text + used, LNG_SHAPE_TEXT_BYTES - used, "]");
    return text;
}

/* ---- the header ---- */

static enum lng_status read_type(const char *file, const char *name, const json_t *entry,
                                 enum lng_safetensors_type *type)
{
    char found[LNG_JSON_TEXT_BYTES];
    const json_t *value = json_object_get(entry, "dtype");
    LNG_FAIL_IF(!json_is_string(value), LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected \"dtype\" to be a string, found %s", file, name,
                lng_json_describe(value, found));
    for (int i = 0; i < LNG_SAFETENSORS_TYPE_COUNT; i++) {
        if (strcmp(types[i].name, json_string_value(value)) == 0) {
            *type = (enum lng_safetensors_type)i;
            return LNG_OK;
        }
    }
    return lng_fail(LNG_ERR_FORMAT,
                    "%s: tensor \"%s\": unknown dtype %s; known are F32, F16, BF16, F64, I8, I32, "
                    "I64 and the other types of the format",
                    file, name, lng_json_describe(value, found));
}

/* Shape, and the bytes it stands for; every product is checked. */
static enum lng_status read_shape(const char *file, const json_t *entry,
                                  struct lng_safetensor *tensor)
{
    char found[LNG_JSON_TEXT_BYTES];
    const json_t *shape = json_object_get(entry, "shape");
    LNG_FAIL_IF(!json_is_array(shape), LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected \"shape\" to be an array, found %s", file,
                tensor->name, lng_json_describe(shape, found));
    LNG_FAIL_IF(json_array_size(shape) > LNG_SAFETENSORS_RANK, LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected at most %d dimensions, found %zu", file, tensor->name,
                LNG_SAFETENSORS_RANK, json_array_size(shape));
    tensor->rank = (int)json_array_size(shape);
    tensor->elements = 1;
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        LNG_FAIL_IF(!json_is_integer(size) || json_integer_value(size) < 0, LNG_ERR_FORMAT,
                    "%s: tensor \"%s\": expected the sizes in \"shape\" to be integers >= 0, found "
                    "%s",
                    file, tensor->name, lng_json_describe(size, found));
        tensor->shape[i] = json_integer_value(size);
        LNG_FAIL_IF(
            __builtin_mul_overflow(tensor->elements, (uint64_t)tensor->shape[i], &tensor->elements),
            LNG_ERR_FORMAT, "%s: tensor \"%s\": the shape has more than 2^64 elements", file,
            tensor->name);
    }
    LNG_FAIL_IF(__builtin_mul_overflow(tensor->elements, (uint64_t)types[tensor->type].bytes,
                                       &tensor->bytes),
                LNG_ERR_FORMAT, "%s: tensor \"%s\": the shape has more than 2^64 bytes", file,
                tensor->name);
    return LNG_OK;
}

static enum lng_status read_offsets(const char *file, const json_t *entry, uint64_t data_bytes,
                                    struct lng_safetensor *tensor)
{
    char found[LNG_JSON_TEXT_BYTES];
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    LNG_FAIL_IF(!json_is_array(offsets) || json_array_size(offsets) != 2 ||
                    !json_is_integer(first) || !json_is_integer(second),
                LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected \"data_offsets\" to be two integers, found %s", file,
                tensor->name, lng_json_describe(offsets, found));
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    LNG_FAIL_IF(begin < 0 || end < begin || (uint64_t)end > data_bytes, LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected offsets with 0 <= begin <= end <= %" PRIu64
                ", found [%" PRId64 ", %" PRId64 "]%s",
                file, tensor->name, data_bytes, begin, end,
                end > 0 && (uint64_t)end > data_bytes ? ": the file is cut, fetch it again" : "");
    LNG_FAIL_IF((uint64_t)(end - begin) != tensor->bytes, LNG_ERR_FORMAT,
                "%s: tensor \"%s\": its shape and dtype make %" PRIu64
                " bytes, its offsets %" PRIu64,
                file, tensor->name, tensor->bytes, (uint64_t)(end - begin));
    tensor->offset = (uint64_t)begin;
    return LNG_OK;
}

static enum lng_status read_entry(const char *file, const char *name, const json_t *entry,
                                  uint64_t data_bytes, struct lng_safetensor *tensor)
{
    char found[LNG_JSON_TEXT_BYTES];
    LNG_FAIL_IF(!json_is_object(entry), LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected an object, found %s", file, name,
                lng_json_describe(entry, found));
    LNG_FAIL_IF(json_object_size(entry) > 3, LNG_ERR_FORMAT,
                "%s: tensor \"%s\": expected dtype, shape and data_offsets only, found %zu keys",
                file, name, json_object_size(entry));
    tensor->name = lng_strdup(name);
    if (!tensor->name)
        return LNG_ERR_MEMORY;
    LNG_TRY(read_type(file, name, entry, &tensor->type));
    LNG_TRY(read_shape(file, entry, tensor));
    return read_offsets(file, entry, data_bytes, tensor);
}

static enum lng_status check_metadata(const char *file, const json_t *metadata)
{
    char found[LNG_JSON_TEXT_BYTES];
    LNG_FAIL_IF(!json_is_object(metadata), LNG_ERR_FORMAT,
                "%s: expected \"__metadata__\" to be an object, found %s", file,
                lng_json_describe(metadata, found));
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)metadata, key, value)
        LNG_FAIL_IF(!json_is_string(value), LNG_ERR_FORMAT,
                    "%s: expected \"__metadata__\" to hold strings, found %s at \"%s\"", file,
                    lng_json_describe(value, found), key);
    return LNG_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct lng_safetensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lng_safetensor *)a)->name,
                  ((const struct lng_safetensor *)b)->name);
}

/* Every byte of data belongs to exactly one tensor. */
static enum lng_status check_layout(const struct lng_safetensors *file, uint64_t data_bytes)
{
    uint64_t covered = 0;
    qsort(file->list, file->count, sizeof *file->list, by_offset);
    for (size_t i = 0; i < file->count; i++) {
        const struct lng_safetensor *tensor = &file->list[i];
        LNG_FAIL_IF(tensor->offset != covered, LNG_ERR_FORMAT,
                    "%s: tensor \"%s\": expected its data at offset %" PRIu64 ", found %" PRIu64
                    ": tensors %s",
                    file->blob.name, tensor->name, covered, tensor->offset,
                    tensor->offset < covered ? "overlap" : "leave a hole");
        covered += tensor->bytes;
    }
    LNG_FAIL_IF(covered != data_bytes, LNG_ERR_FORMAT,
                "%s: the tensors end at byte %" PRIu64 " of the data, the file at %" PRIu64
                ": it is damaged or has something appended",
                file->blob.name, covered, data_bytes);
    return LNG_OK;
}

static enum lng_status read_entries(struct lng_safetensors *file, json_t *root, uint64_t start)
{
    const char *name;
    json_t *entry;
    uint64_t data_bytes = file->blob.size - start;
    file->list = lng_alloc(json_object_size(root), sizeof *file->list);
    if (!file->list)
        return LNG_ERR_MEMORY;
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            LNG_TRY(check_metadata(file->blob.name, entry));
            continue;
        }
        LNG_TRY(read_entry(file->blob.name, name, entry, data_bytes, &file->list[file->count++]));
    }
    LNG_TRY(check_layout(file, data_bytes));
    for (size_t i = 0; i < file->count; i++)
        file->list[i].offset += start;
    qsort(file->list, file->count, sizeof *file->list, by_name);
    return LNG_OK;
}

static enum lng_status read_header(struct lng_safetensors *file)
{
    enum lng_status status;
    unsigned char start[8];
    const char *name = file->blob.name;
    char *text = NULL;
    json_t *root = NULL;
    LNG_FAIL_IF(file->blob.size < 8, LNG_ERR_FORMAT,
                "%s: expected a safetensors file, found only %" PRIu64
                " bytes: it is cut, fetch or write it again",
                name, file->blob.size);
    LNG_TRY(lng_blob_read(&file->blob, 0, start, sizeof start));
    uint64_t length = lng_load_u64(start);
    const char *hint = lng_blob_hint(&file->blob);
    LNG_FAIL_IF(length > LNG_SAFETENSORS_HEADER_BYTES || length > file->blob.size - 8 || length < 2,
                LNG_ERR_FORMAT,
                "%s: expected a safetensors header of 2 to %" PRIu64 " bytes, found a length of "
                "%" PRIu64 "%s",
                name,
                file->blob.size - 8 < LNG_SAFETENSORS_HEADER_BYTES ? file->blob.size - 8
                                                                   : LNG_SAFETENSORS_HEADER_BYTES,
                length,
                *hint != '\0' ? hint : ": it is cut or another kind of file, fetch it again");
    text = lng_alloc((size_t)length, 1);
    if (!text)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_blob_read(&file->blob, 8, text, (size_t)length));
    LNG_GOTO_FAIL_IF(text[0] != '{', LNG_ERR_FORMAT,
                     "%s: expected the header to start with '{', found byte 0x%02x", name,
                     (unsigned char)text[0]);
    LNG_TRY_OR_FAIL(lng_json_parse(name, text, (size_t)length, &root));
    LNG_TRY_OR_FAIL(read_entries(file, root, 8 + length));
fail:
    json_decref(root);
    lng_free(text);
    return status;
}

static enum lng_status open_blob(struct lng_safetensors *file, struct lng_safetensors *result)
{
    enum lng_status status = read_header(file);
    if (status != LNG_OK)
        lng_safetensors_close(file);
    else
        *result = *file;
    return status;
}

enum lng_status lng_safetensors_open(struct lng_safetensors *file, const char *path)
{
    struct lng_safetensors fresh = {0};
    LNG_TRY(lng_blob_open(&fresh.blob, path));
    return open_blob(&fresh, file);
}

enum lng_status lng_safetensors_open_memory(struct lng_safetensors *file, const char *name,
                                            const void *data, size_t size)
{
    struct lng_safetensors fresh = {0};
    LNG_TRY(lng_blob_open_memory(&fresh.blob, name, data, size));
    return open_blob(&fresh, file);
}

void lng_safetensors_close(struct lng_safetensors *file)
{
    for (size_t i = 0; i < file->count; i++)
        lng_free(file->list[i].name);
    lng_free(file->list);
    lng_blob_close(&file->blob);
    *file = (struct lng_safetensors){.blob.fd = -1};
}

/* ---- tensors ---- */

const struct lng_safetensor *lng_safetensors_find(const struct lng_safetensors *file,
                                                  const char *name)
{
    struct lng_safetensor key = {.name = (char *)name};
    return file->count ? bsearch(&key, file->list, file->count, sizeof key, by_name) : NULL;
}

static void convert(enum lng_safetensors_type type, const unsigned char *from, float *to,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (type == LNG_SAFETENSORS_F16) {
            to[i] = lng_f16_value(lng_load_u16(from + 2 * i));
        } else if (type == LNG_SAFETENSORS_BF16) {
            to[i] = lng_bf16_to_f32(lng_load_u16(from + 2 * i));
        } else {
            uint64_t bits = lng_load_u64(from + 8 * i);
            double value;
            memcpy(&value, &bits, sizeof value);
            to[i] = (float)value;
        }
    }
}

enum lng_status lng_safetensors_read_f32(const struct lng_safetensors *file,
                                         const struct lng_safetensor *tensor, float *values)
{
    enum lng_safetensors_type type = tensor->type;
    LNG_FAIL_IF(type != LNG_SAFETENSORS_F32 && type != LNG_SAFETENSORS_F16 &&
                    type != LNG_SAFETENSORS_BF16 && type != LNG_SAFETENSORS_F64,
                LNG_ERR_DTYPE, "%s: tensor \"%s\": expected dtype F32, F16, BF16 or F64, found %s",
                file->blob.name, tensor->name, types[type].name);
    if (type == LNG_SAFETENSORS_F32)
        return lng_safetensors_read_raw(file, tensor, values);
    size_t width = types[type].bytes;
    enum lng_status status = LNG_OK;
    unsigned char *piece = lng_alloc(PIECE, width);
    if (!piece)
        return LNG_ERR_MEMORY;
    for (uint64_t done = 0; done < tensor->elements;) {
        uint64_t left = tensor->elements - done;
        size_t count = left < PIECE ? (size_t)left : PIECE;
        LNG_TRY_OR_FAIL(
            lng_blob_read(&file->blob, tensor->offset + done * width, piece, count * width));
        convert(type, piece, values + done, count);
        done += count;
    }
fail:
    lng_free(piece);
    return status;
}

enum lng_status lng_safetensors_read_raw(const struct lng_safetensors *file,
                                         const struct lng_safetensor *tensor, void *to)
{
    return lng_blob_read(&file->blob, tensor->offset, to, (size_t)tensor->bytes);
}
