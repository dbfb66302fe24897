#include <string.h>
#include <zlib.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/npz.h"

enum { LOCAL_BYTES = 30, MOST_MEMBERS = 65534, VERSION = 20 };

enum lng_status lng_npz_writer_open(struct lng_npz_writer *writer, const char *path)
{
    struct lng_npz_writer fresh = {.file.fd = -1, .path = lng_strdup(path)};
    enum lng_status status = fresh.path ? lng_atomic_open(&fresh.file, path) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        *writer = fresh;
    else
        lng_npz_writer_discard(&fresh);
    return status;
}

static enum lng_status put_u16(struct lng_buffer *to, unsigned value)
{
    LNG_TRY(lng_buffer_append_byte(to, (char)(value & 0xFF)));
    return lng_buffer_append_byte(to, (char)(value >> 8 & 0xFF));
}

static enum lng_status put_u32(struct lng_buffer *to, uint64_t value)
{
    unsigned char bytes[4];
    lng_store_u32(bytes, (uint32_t)value);
    return lng_buffer_append(to, bytes, sizeof bytes);
}

/* What a member's own header and its entry in the directory have in common. */
static enum lng_status put_common(struct lng_buffer *to, uint32_t crc, uint64_t size,
                                  size_t name_bytes)
{
    static const char stored_without_time[8] = {0}; /* flags, method, time, date */
    LNG_TRY(put_u16(to, VERSION));
    LNG_TRY(lng_buffer_append(to, stored_without_time, sizeof stored_without_time));
    LNG_TRY(put_u32(to, crc));
    LNG_TRY(put_u32(to, size)); /* packed */
    LNG_TRY(put_u32(to, size));
    LNG_TRY(put_u16(to, (unsigned)name_bytes));
    return put_u16(to, 0); /* no extra field */
}

static enum lng_status put_name(struct lng_buffer *to, const char *name)
{
    LNG_TRY(lng_buffer_append_text(to, name));
    return lng_buffer_append_text(to, ".npy");
}

static enum lng_status put_local(struct lng_buffer *to, const char *name, uint32_t crc,
                                 uint64_t size)
{
    LNG_TRY(lng_buffer_append(to, "PK\3\4", 4));
    LNG_TRY(put_common(to, crc, size, strlen(name) + 4));
    return put_name(to, name);
}

static enum lng_status put_entry(struct lng_buffer *to, const char *name, uint32_t crc,
                                 uint64_t size, uint64_t offset)
{
    static const char nothing[10] = {0}; /* comment, disk, attributes */
    LNG_TRY(lng_buffer_append(to, "PK\1\2", 4));
    LNG_TRY(put_u16(to, VERSION));
    LNG_TRY(put_common(to, crc, size, strlen(name) + 4));
    LNG_TRY(lng_buffer_append(to, nothing, sizeof nothing));
    LNG_TRY(put_u32(to, offset));
    return put_name(to, name);
}

enum lng_status lng_npz_writer_add(struct lng_npz_writer *writer, const char *name,
                                   enum lng_npy_type type, const int64_t *shape, int rank,
                                   const void *data)
{
    struct lng_npy array = {.type = type, .rank = rank};
    LNG_FAIL_IF(rank > LNG_NPY_RANK || strlen(name) > LNG_NPZ_NAME_BYTES - 4, LNG_ERR_INTERNAL,
                "%s: array \"%s\" cannot be written (rank %d)", writer->path, name, rank);
    memcpy(array.shape, shape, (size_t)rank * sizeof *shape);
    LNG_TRY(lng_npy_measure(writer->path, &array));
    lng_buffer_clear(&writer->header);
    LNG_TRY(lng_npy_format_header(type, shape, rank, &writer->header));
    uint64_t size = writer->header.length + array.bytes, offset = writer->file.written;
    uint64_t after = offset + LOCAL_BYTES + strlen(name) + 4 + size + writer->directory.length;
    LNG_FAIL_IF(writer->count >= MOST_MEMBERS || size >= UINT32_MAX ||
                    after >= UINT32_MAX - (64 << 10),
                LNG_ERR_RANGE,
                "%s: with array \"%s\" the file would have more than 4 GiB or %d members, which "
                "Marian's .npz files cannot have",
                writer->path, name, MOST_MEMBERS);
    uLong crc = crc32_z(0, (const unsigned char *)writer->header.data, writer->header.length);
    if (array.bytes > 0) /* with a NULL pointer it would start anew */
        crc = crc32_z(crc, data, (size_t)array.bytes);
    struct lng_buffer local = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(put_local(&local, name, (uint32_t)crc, size));
    LNG_TRY_OR_FAIL(put_entry(&writer->directory, name, (uint32_t)crc, size, offset));
    LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, local.data, local.length));
    LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, writer->header.data, writer->header.length));
    LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, data, (size_t)array.bytes));
    writer->count++;
fail:
    lng_buffer_release(&local);
    return status;
}

enum lng_status lng_npz_writer_commit(struct lng_npz_writer *writer)
{
    enum lng_status status;
    struct lng_buffer end = {0};
    unsigned count = (unsigned)writer->count;
    size_t directory = writer->directory.length;
    LNG_TRY_OR_FAIL(lng_buffer_append(&end, "PK\5\6\0\0\0\0", 8));
    LNG_TRY_OR_FAIL(put_u16(&end, count));
    LNG_TRY_OR_FAIL(put_u16(&end, count));
    LNG_TRY_OR_FAIL(put_u32(&end, directory));
    LNG_TRY_OR_FAIL(put_u32(&end, writer->file.written));
    LNG_TRY_OR_FAIL(put_u16(&end, 0));
    if (directory > 0)
        LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, writer->directory.data, directory));
    LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, end.data, end.length));
    status = lng_atomic_commit(&writer->file);
fail:
    lng_buffer_release(&end);
    lng_npz_writer_discard(writer);
    return status;
}

void lng_npz_writer_discard(struct lng_npz_writer *writer)
{
    lng_atomic_discard(&writer->file);
    lng_buffer_release(&writer->directory);
    lng_buffer_release(&writer->header);
    lng_free(writer->path);
    *writer = (struct lng_npz_writer){.file.fd = -1};
}
