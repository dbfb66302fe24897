/* Little-endian numbers in memory, read and written within bounds, and a checksum.
 * The hosts lingster runs on are little-endian; values are still put together byte by byte. */
#ifndef LNG_HOST_BASE_BYTES_H
#define LNG_HOST_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

/* Reads from borrowed memory. A read past the end fails with LNG_ERR_FORMAT and a message that names
 * the source and the offset; position and the out-pointer then stay as they were. */
struct lng_reader {
    const char *name; /* for messages: usually the path; borrowed */
    const unsigned char *data;
    size_t size, position;
};

void lng_reader_init(struct lng_reader *reader, const char *name, const void *data, size_t size);
size_t lng_reader_left(const struct lng_reader *reader);

LNG_MUST_CHECK enum lng_status lng_reader_u8(struct lng_reader *reader, uint8_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_u16(struct lng_reader *reader, uint16_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_u32(struct lng_reader *reader, uint32_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_u64(struct lng_reader *reader, uint64_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_i32(struct lng_reader *reader, int32_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_i64(struct lng_reader *reader, int64_t *value);
LNG_MUST_CHECK enum lng_status lng_reader_f32(struct lng_reader *reader, float *value);
LNG_MUST_CHECK enum lng_status lng_reader_f64(struct lng_reader *reader, double *value);
/* The next `count` bytes where they lie: no copy, no alignment promise. */
LNG_MUST_CHECK enum lng_status lng_reader_bytes(struct lng_reader *reader, size_t count,
                                                const void **bytes);
LNG_MUST_CHECK enum lng_status lng_reader_skip(struct lng_reader *reader, size_t count);
/* position = offset; offset == size is fine. */
LNG_MUST_CHECK enum lng_status lng_reader_seek(struct lng_reader *reader, size_t offset);

/* Writes into borrowed memory of fixed size; LNG_ERR_INTERNAL when it does not fit (the caller sized it). */
struct lng_writer {
    unsigned char *data;
    size_t size, position;
};

void lng_writer_init(struct lng_writer *writer, void *data, size_t size);
LNG_MUST_CHECK enum lng_status lng_writer_u8(struct lng_writer *writer, uint8_t value);
LNG_MUST_CHECK enum lng_status lng_writer_u16(struct lng_writer *writer, uint16_t value);
LNG_MUST_CHECK enum lng_status lng_writer_u32(struct lng_writer *writer, uint32_t value);
LNG_MUST_CHECK enum lng_status lng_writer_u64(struct lng_writer *writer, uint64_t value);
LNG_MUST_CHECK enum lng_status lng_writer_f32(struct lng_writer *writer, float value);
LNG_MUST_CHECK enum lng_status lng_writer_f64(struct lng_writer *writer, double value);
LNG_MUST_CHECK enum lng_status lng_writer_bytes(struct lng_writer *writer, const void *bytes,
                                                size_t count);

/* Little-endian at an unaligned place, unchecked. */
static inline uint16_t lng_load_u16(const void *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t lng_load_u32(const void *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t lng_load_u64(const void *at)
{
    return lng_load_u32(at) | (uint64_t)lng_load_u32((const unsigned char *)at + 4) << 32;
}
static inline void lng_store_u32(void *at, uint32_t value)
{
    unsigned char *b = (unsigned char *)at;
    for (int i = 0; i < 4; i++)
        b[i] = (unsigned char)(value >> (8 * i));
}
static inline void lng_store_u64(void *at, uint64_t value)
{
    lng_store_u32(at, (uint32_t)value);
    lng_store_u32((unsigned char *)at + 4, (uint32_t)(value >> 32));
}

/* XXH3, 64 bits, seed 0: finds accidents, not attacks. */
uint64_t lng_checksum(const void *data, size_t size);

/* The same over data that comes in pieces. */
struct lng_hash;
LNG_MUST_CHECK enum lng_status lng_hash_open(struct lng_hash **hash);
void lng_hash_add(struct lng_hash *hash, const void *data, size_t size);
/* Of all that was added so far; more may follow. */
uint64_t lng_hash_value(const struct lng_hash *hash);
void lng_hash_close(struct lng_hash *hash);

#endif
