#include <string.h>

#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/numbers.h"
#include "host/store/safetensors.h"

enum { PIECE = 1 << 14 };

static uint64_t width_of(enum lng_safetensors_type type)
{
    static const unsigned char width[LNG_SAFETENSORS_TYPE_COUNT] = {
#define LNG_ST(name, bytes) bytes,
        LNG_SAFETENSORS_TYPES(LNG_ST)
#undef LNG_ST
    };
    return width[type];
}

enum lng_status lng_safetensors_writer_open(struct lng_safetensors_writer *writer, const char *path)
{
    struct lng_safetensors_writer fresh = {.file.fd = -1, .path = lng_strdup(path)};
    if (!fresh.path)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_hash_open(&fresh.hash);
    if (status == LNG_OK)
        status = lng_atomic_open(&fresh.file, path);
    if (status == LNG_OK)
        *writer = fresh;
    else
        lng_safetensors_writer_discard(&fresh);
    return status;
}

enum lng_status lng_safetensors_writer_declare(struct lng_safetensors_writer *writer,
                                               const char *name, enum lng_safetensors_type type,
                                               const int64_t *shape, int rank)
{
    LNG_FAIL_IF(rank > LNG_SAFETENSORS_RANK || writer->header_done, LNG_ERR_INTERNAL,
                "%s: tensor \"%s\" cannot be declared (rank %d)", writer->path, name, rank);
    LNG_TRY(lng_grow(&writer->list, &writer->capacity, writer->count + 1, sizeof *writer->list));
    struct lng_safetensor tensor = {.type = type, .rank = rank, .elements = 1};
    for (int i = 0; i < rank; i++) {
        tensor.shape[i] = shape[i];
        tensor.elements *= (uint64_t)shape[i];
    }
    tensor.bytes = tensor.elements * width_of(type);
    if (writer->count > 0)
        tensor.offset =
            writer->list[writer->count - 1].offset + writer->list[writer->count - 1].bytes;
    tensor.name = lng_strdup(name);
    if (!tensor.name)
        return LNG_ERR_MEMORY;
    writer->list[writer->count++] = tensor;
    return LNG_OK;
}

static enum lng_status put(struct lng_safetensors_writer *writer, const void *data, size_t size)
{
    lng_hash_add(writer->hash, data, size);
    return lng_atomic_write(&writer->file, data, size);
}

static enum lng_status add_entry(json_t *root, const struct lng_safetensor *tensor)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->shape[i]));
    LNG_FAIL_IF(!shape || json_array_size(shape) != (size_t)tensor->rank, LNG_ERR_MEMORY,
                "out of memory while writing tensor \"%s\"", tensor->name);
    return lng_json_set(root, tensor->name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                  lng_safetensors_type_name(tensor->type), "shape", shape,
                                  "data_offsets", (json_int_t)tensor->offset,
                                  (json_int_t)(tensor->offset + tensor->bytes)));
}

/* The header, padded with spaces so that the data starts at a multiple of 8. */
static enum lng_status put_header(struct lng_safetensors_writer *writer)
{
    enum lng_status status;
    struct lng_buffer text = {0};
    unsigned char length[8] = {0};
    json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    LNG_GOTO_FAIL_IF(!root, LNG_ERR_MEMORY, "%s: out of memory", writer->path);
    for (size_t i = 0; i < writer->count; i++)
        LNG_TRY_OR_FAIL(add_entry(root, &writer->list[i]));
    LNG_TRY_OR_FAIL(lng_json_print_compact(root, &text));
    while (text.length % 8 != 0)
        LNG_TRY_OR_FAIL(lng_buffer_append_byte(&text, ' '));
    lng_store_u64(length, text.length);
    LNG_TRY_OR_FAIL(put(writer, length, sizeof length));
    status = put(writer, text.data, text.length);
    writer->header_done = true;
fail:
    json_decref(root);
    lng_buffer_release(&text);
    return status;
}

/* The tensor whose turn it is; `count` must be all of it. */
static enum lng_status next(struct lng_safetensors_writer *writer, uint64_t count, bool bytes,
                            const struct lng_safetensor **tensor)
{
    if (!writer->header_done)
        LNG_TRY(put_header(writer));
    LNG_FAIL_IF(writer->written >= writer->count, LNG_ERR_INTERNAL,
                "%s: more tensors written than declared", writer->path);
    const struct lng_safetensor *due = &writer->list[writer->written];
    LNG_FAIL_IF(count != (bytes ? due->bytes : due->elements), LNG_ERR_INTERNAL,
                "%s: tensor \"%s\" written with another size than declared", writer->path,
                due->name);
    writer->written++;
    *tensor = due;
    return LNG_OK;
}

enum lng_status lng_safetensors_writer_add_f32(struct lng_safetensors_writer *writer,
                                               const float *values, uint64_t count)
{
    const struct lng_safetensor *tensor;
    LNG_TRY(next(writer, count, false, &tensor));
    if (tensor->type == LNG_SAFETENSORS_F32)
        return put(writer, values, (size_t)tensor->bytes);
    LNG_FAIL_IF(tensor->type != LNG_SAFETENSORS_BF16, LNG_ERR_INTERNAL,
                "%s: tensor \"%s\": floats are written as F32 or BF16 only", writer->path,
                tensor->name);
    uint16_t piece[PIECE];
    for (uint64_t done = 0; done < count;) {
        size_t now = count - done < PIECE ? (size_t)(count - done) : PIECE;
        for (size_t i = 0; i < now; i++)
            piece[i] = lng_f32_to_bf16(values[done + i]);
        LNG_TRY(put(writer, piece, now * sizeof piece[0]));
        done += now;
    }
    return LNG_OK;
}

enum lng_status lng_safetensors_writer_add_raw(struct lng_safetensors_writer *writer,
                                               const void *data, uint64_t bytes)
{
    const struct lng_safetensor *tensor;
    LNG_TRY(next(writer, bytes, true, &tensor));
    return put(writer, data, (size_t)bytes);
}

enum lng_status lng_safetensors_writer_commit(struct lng_safetensors_writer *writer,
                                              uint64_t *checksum, uint64_t *size)
{
    enum lng_status status = LNG_OK;
    if (!writer->header_done)
        LNG_TRY_OR_FAIL(put_header(writer));
    LNG_GOTO_FAIL_IF(writer->written != writer->count, LNG_ERR_INTERNAL,
                     "%s: %zu of %zu tensors written", writer->path, writer->written,
                     writer->count);
    uint64_t written = writer->file.written;
    LNG_TRY_OR_FAIL(lng_atomic_commit(&writer->file));
    if (checksum)
        *checksum = lng_hash_value(writer->hash);
    if (size)
        *size = written;
fail:
    lng_safetensors_writer_discard(writer);
    return status;
}

void lng_safetensors_writer_discard(struct lng_safetensors_writer *writer)
{
    lng_atomic_discard(&writer->file);
    lng_hash_close(writer->hash);
    for (size_t i = 0; i < writer->count; i++)
        lng_free(writer->list[i].name);
    lng_free(writer->list);
    lng_free(writer->path);
    *writer = (struct lng_safetensors_writer){.file.fd = -1};
}
