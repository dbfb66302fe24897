#include "host/base/bytes.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "host/base/mem.h"

void lng_reader_init(struct lng_reader *reader, const char *name, const void *data, size_t size)
{
    *reader = (struct lng_reader){.name = name, .data = data, .size = size};
}

size_t lng_reader_left(const struct lng_reader *reader)
{
    return reader->size - reader->position;
}

enum lng_status lng_reader_bytes(struct lng_reader *reader, size_t count, const void **bytes)
{
    LNG_FAIL_IF(count > lng_reader_left(reader), LNG_ERR_FORMAT,
                "%s: expected %zu more bytes at offset %zu, found %zu: the file is cut short or "
                "damaged",
                reader->name, count, reader->position, lng_reader_left(reader));
    /* An empty file has no data pointer to add to. */
    *bytes = reader->data == NULL ? (const void *)"" : reader->data + reader->position;
    reader->position += count;
    return LNG_OK;
}

enum lng_status lng_reader_u8(struct lng_reader *reader, uint8_t *value)
{
    const void *at;
    LNG_TRY(lng_reader_bytes(reader, 1, &at));
    *value = *(const unsigned char *)at;
    return LNG_OK;
}

enum lng_status lng_reader_u16(struct lng_reader *reader, uint16_t *value)
{
    const void *at;
    LNG_TRY(lng_reader_bytes(reader, 2, &at));
    *value = lng_load_u16(at);
    return LNG_OK;
}

enum lng_status lng_reader_u32(struct lng_reader *reader, uint32_t *value)
{
    const void *at;
    LNG_TRY(lng_reader_bytes(reader, 4, &at));
    *value = lng_load_u32(at);
    return LNG_OK;
}

enum lng_status lng_reader_u64(struct lng_reader *reader, uint64_t *value)
{
    const void *at;
    LNG_TRY(lng_reader_bytes(reader, 8, &at));
    *value = lng_load_u64(at);
    return LNG_OK;
}

enum lng_status lng_reader_i32(struct lng_reader *reader, int32_t *value)
{
    uint32_t bits;
    LNG_TRY(lng_reader_u32(reader, &bits));
    memcpy(value, &bits, sizeof bits);
    return LNG_OK;
}

enum lng_status lng_reader_i64(struct lng_reader *reader, int64_t *value)
{
    uint64_t bits;
    LNG_TRY(lng_reader_u64(reader, &bits));
    memcpy(value, &bits, sizeof bits);
    return LNG_OK;
}

enum lng_status lng_reader_f32(struct lng_reader *reader, float *value)
{
    uint32_t bits;
    LNG_TRY(lng_reader_u32(reader, &bits));
    memcpy(value, &bits, sizeof bits);
    return LNG_OK;
}

enum lng_status lng_reader_f64(struct lng_reader *reader, double *value)
{
    uint64_t bits;
    LNG_TRY(lng_reader_u64(reader, &bits));
    memcpy(value, &bits, sizeof bits);
    return LNG_OK;
}

enum lng_status lng_reader_skip(struct lng_reader *reader, size_t count)
{
    const void *ignored;
    return lng_reader_bytes(reader, count, &ignored);
}

enum lng_status lng_reader_seek(struct lng_reader *reader, size_t offset)
{
    LNG_FAIL_IF(offset > reader->size, LNG_ERR_FORMAT,
                "%s: offset %zu lies past the end at %zu: the file is cut short or damaged",
                reader->name, offset, reader->size);
    reader->position = offset;
    return LNG_OK;
}

void lng_writer_init(struct lng_writer *writer, void *data, size_t size)
{
    *writer = (struct lng_writer){.data = data, .size = size};
}

enum lng_status lng_writer_bytes(struct lng_writer *writer, const void *bytes, size_t count)
{
    LNG_FAIL_IF(count > writer->size - writer->position, LNG_ERR_INTERNAL,
                "%zu bytes at offset %zu do not fit into %zu", count, writer->position,
                writer->size);
    if (count > 0)
        memcpy(writer->data + writer->position, bytes, count);
    writer->position += count;
    return LNG_OK;
}

/* The low `count` bytes of value. */
static enum lng_status write_number(struct lng_writer *writer, uint64_t value, size_t count)
{
    unsigned char bytes[8];
    lng_store_u64(bytes, value);
    return lng_writer_bytes(writer, bytes, count);
}

enum lng_status lng_writer_u8(struct lng_writer *writer, uint8_t value)
{
    return write_number(writer, value, 1);
}

enum lng_status lng_writer_u16(struct lng_writer *writer, uint16_t value)
{
    return write_number(writer, value, 2);
}

enum lng_status lng_writer_u32(struct lng_writer *writer, uint32_t value)
{
    return write_number(writer, value, 4);
}

enum lng_status lng_writer_u64(struct lng_writer *writer, uint64_t value)
{
    return write_number(writer, value, 8);
}

enum lng_status lng_writer_f32(struct lng_writer *writer, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return write_number(writer, bits, 4);
}

enum lng_status lng_writer_f64(struct lng_writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return write_number(writer, bits, 8);
}

uint64_t lng_checksum(const void *data, size_t size)
{
    return XXH3_64bits(size > 0 ? data : "", size);
}

struct lng_hash {
    XXH3_state_t state;
};

enum lng_status lng_hash_open(struct lng_hash **hash)
{
    struct lng_hash *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    XXH3_INITSTATE(&fresh->state);
    (void)XXH3_64bits_reset(&fresh->state);
    *hash = fresh;
    return LNG_OK;
}

void lng_hash_add(struct lng_hash *hash, const void *data, size_t size)
{
    if (size > 0)
        (void)XXH3_64bits_update(&hash->state, data, size);
}

uint64_t lng_hash_value(const struct lng_hash *hash)
{
    return XXH3_64bits_digest(&hash->state);
}

void lng_hash_close(struct lng_hash *hash)
{
    lng_free(hash);
}
