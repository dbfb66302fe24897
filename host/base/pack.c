#include "host/base/pack.h"

#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "host/base/mem.h"

/* The usual ones: packing is little beside translating. */
enum { GZIP_LEVEL = 6, ZSTD_LEVEL = 9, GZIP_HEADER = 16, MOST_AT_ONCE = 1 << 30 };

enum lng_packing lng_packing_of(const char *path)
{
    static const enum lng_packing kinds[] = {LNG_PACKING_GZIP, LNG_PACKING_ZSTD};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *suffix = lng_packing_suffix(kinds[i]);
        if (length > strlen(suffix) && strcmp(path + length - strlen(suffix), suffix) == 0)
            return kinds[i];
    }
    return LNG_PACKING_NONE;
}

const char *lng_packing_suffix(enum lng_packing packing)
{
    return packing == LNG_PACKING_GZIP ? ".gz" : packing == LNG_PACKING_ZSTD ? ".zst" : "";
}

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

static enum lng_status pack_gzip(const void *piece, size_t size, struct lng_buffer *out)
{
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    LNG_FAIL_IF(size > MOST_AT_ONCE, LNG_ERR_RANGE,
                "%zu bytes of output at once are too many to pack; lower --window", size);
    LNG_FAIL_IF(deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_HEADER,
                             MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK,
                LNG_ERR_MEMORY, "no memory to pack with gzip");
    size_t room = deflateBound(&stream, (uLong)size);
    enum lng_status status = lng_buffer_reserve(out, room);
    if (status == LNG_OK) {
        stream.next_in = (unsigned char *)(uintptr_t)piece;
        stream.avail_in = (unsigned)size;
        stream.next_out = (unsigned char *)out->data + out->length;
        stream.avail_out = (unsigned)room;
        if (deflate(&stream, Z_FINISH) == Z_STREAM_END)
            out->length += room - stream.avail_out;
        else
            status = lng_fail(LNG_ERR_INTERNAL, "gzip did not pack %zu bytes", size);
        out->data[out->length] = '\0';
    }
    (void)deflateEnd(&stream);
    return status;
}

static enum lng_status pack_zstd(const void *piece, size_t size, struct lng_buffer *out)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    LNG_FAIL_IF(context == NULL, LNG_ERR_MEMORY, "no memory to pack with zstd");
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t room = ZSTD_compressBound(size);
    enum lng_status status = lng_buffer_reserve(out, room);
    if (status == LNG_OK) {
        size_t packed = ZSTD_compress2(context, out->data + out->length, room, piece, size);
        if (ZSTD_isError(packed))
            status = lng_fail(LNG_ERR_MEMORY, "zstd did not pack %zu bytes: %s", size,
                              ZSTD_getErrorName(packed));
        else
            out->length += packed;
        out->data[out->length] = '\0';
    }
    ZSTD_freeCCtx(context);
    return status;
}

enum lng_status lng_pack(enum lng_packing packing, const void *piece, size_t size,
                         struct lng_buffer *out)
{
    switch (packing) {
    case LNG_PACKING_GZIP:
        return pack_gzip(piece, size, out);
    case LNG_PACKING_ZSTD:
        return pack_zstd(piece, size, out);
    default:
        return lng_buffer_append(out, piece, size);
    }
}
