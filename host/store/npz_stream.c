#include "host/store/npz_stream.h"

#include <inttypes.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/numbers.h"

enum { PIECE = 1 << 16 }; /* bytes unpacked, or turned into f32, at a time */

static void *zlib_alloc(void *context, unsigned count, unsigned size)
{
    (void)context;
    return lng_alloc(count, size);
}

static void zlib_free(void *context, void *memory)
{
    (void)context;
    lng_free(memory);
}

void lng_npz_stream_close(struct lng_npz_stream *stream)
{
    if (stream->ready)
        inflateEnd(&stream->z);
    lng_free(stream->input);
    *stream = (struct lng_npz_stream){0};
}

enum lng_status lng_npz_stream_open(struct lng_npz_stream *stream, const struct lng_blob *blob,
                                    const struct lng_npz_member *member)
{
    *stream = (struct lng_npz_stream){.blob = blob, .member = member};
    if (!member->deflated)
        return LNG_OK;
    stream->z.zalloc = zlib_alloc;
    stream->z.zfree = zlib_free;
    stream->input = lng_alloc(PIECE, 1);
    stream->ready = stream->input && inflateInit2(&stream->z, -MAX_WBITS) == Z_OK;
    if (stream->ready)
        return LNG_OK;
    lng_npz_stream_close(stream);
    return lng_fail(LNG_ERR_MEMORY, "%s: array \"%s\": no memory to unpack it", blob->name,
                    member->name);
}

static enum lng_status damaged(const struct lng_npz_stream *stream, const char *reason)
{
    return lng_fail(LNG_ERR_FORMAT, "%s: array \"%s\": cannot be unpacked: %s", stream->blob->name,
                    stream->member->name, reason);
}

/* Unpacks into `room` bytes as far as they and one run of input go; *got of them were written. */
static enum lng_status inflate_some(struct lng_npz_stream *stream, unsigned char *to, size_t room,
                                    size_t *got)
{
    z_stream *z = &stream->z;
    if (z->avail_in == 0 && stream->taken < stream->member->packed) {
        uint64_t left = stream->member->packed - stream->taken;
        size_t count = left < PIECE ? (size_t)left : PIECE;
        LNG_TRY(lng_blob_read(stream->blob, stream->member->offset + stream->taken, stream->input,
                              count));
        stream->taken += count;
        z->next_in = stream->input;
        z->avail_in = (uInt)count;
    }
    uInt space = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
    z->next_out = to;
    z->avail_out = space;
    int result = inflate(z, Z_NO_FLUSH);
    *got = space - z->avail_out;
    stream->ended = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR)
        return lng_fail(LNG_ERR_MEMORY, "%s: no memory to unpack it", stream->blob->name);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return damaged(stream, z->msg ? z->msg : "the deflated data is damaged");
    if (result == Z_BUF_ERROR && *got == 0 && stream->taken == stream->member->packed)
        return damaged(stream, "the deflated data is cut short");
    return LNG_OK;
}

/* Exactly `size` bytes. Never called for more than the member claims to hold. */
enum lng_status lng_npz_stream_read(struct lng_npz_stream *stream, void *to, size_t size)
{
    unsigned char *at = to;
    if (size == 0)
        return LNG_OK;
    if (!stream->member->deflated) {
        LNG_TRY(lng_blob_read(stream->blob, stream->member->offset + stream->taken, at, size));
        stream->taken += size;
    }
    for (size_t done = 0, got = 0; stream->member->deflated && done < size; done += got) {
        if (stream->ended)
            return damaged(stream, "it has fewer bytes than its size in the directory");
        LNG_TRY(inflate_some(stream, at + done, size - done, &got));
    }
    stream->crc = crc32_z(stream->crc, at, size);
    return LNG_OK;
}

/* All was read: nothing may be left, and the checksum must fit. */
enum lng_status lng_npz_stream_finish(struct lng_npz_stream *stream)
{
    unsigned char spare;
    size_t got = 0;
    const struct lng_npz_member *member = stream->member;
    while (member->deflated && !stream->ended && got == 0)
        LNG_TRY(inflate_some(stream, &spare, 1, &got));
    if (got > 0)
        return damaged(stream, "it has more bytes than its size in the directory");
    if (member->deflated && (stream->taken < member->packed || stream->z.avail_in > 0))
        return damaged(stream, "there is something after the deflated data");
    LNG_FAIL_IF((uint32_t)stream->crc != member->crc, LNG_ERR_FORMAT,
                "%s: array \"%s\": expected CRC-32 %08" PRIx32 ", found %08" PRIx32
                ": the file is damaged, fetch it again",
                stream->blob->name, member->name, member->crc, (uint32_t)stream->crc);
    return LNG_OK;
}

/* ---- arrays ---- */

static uint64_t width_of(const struct lng_npy *array)
{
    return array->elements > 0 ? array->bytes / array->elements : 1;
}

/* Past the array's header. */
static enum lng_status skip_header(struct lng_npz_stream *stream)
{
    unsigned char skipped[256];
    uint64_t left = stream->member->size - stream->member->array.bytes;
    while (left > 0) {
        size_t count = left < sizeof skipped ? (size_t)left : sizeof skipped;
        LNG_TRY(lng_npz_stream_read(stream, skipped, count));
        left -= count;
    }
    return LNG_OK;
}

enum lng_status lng_npz_read_raw(const struct lng_npz *file, const struct lng_npz_member *member,
                                 void *to)
{
    struct lng_npz_stream stream;
    LNG_TRY(lng_npz_stream_open(&stream, &file->blob, member));
    enum lng_status status;
    LNG_TRY_OR_FAIL(skip_header(&stream));
    LNG_TRY_OR_FAIL(lng_npz_stream_read(&stream, to, (size_t)member->array.bytes));
    status = lng_npz_stream_finish(&stream);
fail:
    lng_npz_stream_close(&stream);
    return status;
}

static void convert(enum lng_npy_type type, const unsigned char *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (type == LNG_NPY_F16) {
            to[i] = lng_f16_value(lng_load_u16(from + 2 * i));
        } else {
            uint64_t bits = lng_load_u64(from + 8 * i);
            double value;
            memcpy(&value, &bits, sizeof value);
            to[i] = (float)value;
        }
    }
}

enum lng_status lng_npz_read_f32(const struct lng_npz *file, const struct lng_npz_member *member,
                                 float *values)
{
    const struct lng_npy *array = &member->array;
    struct lng_npz_stream stream;
    enum lng_status status;
    LNG_FAIL_IF(array->type != LNG_NPY_F32 && array->type != LNG_NPY_F16 &&
                    array->type != LNG_NPY_F64,
                LNG_ERR_DTYPE, "%s: array \"%s\": expected type F32, F16 or F64, found %s",
                file->blob.name, member->name, lng_npy_type_name(array->type));
    if (array->type == LNG_NPY_F32)
        return lng_npz_read_raw(file, member, values);
    size_t width = (size_t)width_of(array);
    unsigned char *piece = lng_alloc(PIECE, 1);
    if (!piece)
        return LNG_ERR_MEMORY;
    status = lng_npz_stream_open(&stream, &file->blob, member);
    if (status != LNG_OK) {
        lng_free(piece);
        return status;
    }
    LNG_TRY_OR_FAIL(skip_header(&stream));
    for (uint64_t done = 0; done < array->elements;) {
        uint64_t left = array->elements - done;
        size_t count = left < PIECE / width ? (size_t)left : PIECE / width;
        LNG_TRY_OR_FAIL(lng_npz_stream_read(&stream, piece, count * width));
        convert(array->type, piece, values + done, count);
        done += count;
    }
    status = lng_npz_stream_finish(&stream);
fail:
    lng_npz_stream_close(&stream);
    lng_free(piece);
    return status;
}
