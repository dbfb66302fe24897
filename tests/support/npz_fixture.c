#include "tests/support/npz_fixture.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

static void put(struct lng_buffer *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++, value >>= 8)
        check_ok(lng_buffer_append_byte(to, (char)value));
}

static void put_text(struct lng_buffer *to, const char *text)
{
    check_ok(lng_buffer_append_text(to, text));
}

static size_t pack(const void *bytes, size_t size, unsigned char *to, size_t capacity)
{
    z_stream z = {.next_in = (unsigned char *)bytes,
                  .avail_in = (uInt)size,
                  .next_out = to,
                  .avail_out = (uInt)capacity};
    cr_assert(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    cr_assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return capacity - z.avail_out;
}

void npz_fixture_member(struct npz_fixture *npz, const char *file_name, const void *bytes,
                        size_t size, unsigned kind)
{
    size_t packed_size = size, capacity = size + size / 8 + 64, name = strlen(file_name);
    unsigned char *packed = lng_alloc(capacity, 1);
    cr_assert(packed != NULL);
    if (kind & NPZ_DEFLATED)
        packed_size = pack(bytes, size, packed, capacity);
    else if (size > 0)
        memcpy(packed, bytes, size);
    uint64_t crc = crc32(0, bytes, (uInt)size), offset = npz->file.length;
    bool late = kind & NPZ_DESCRIPTOR, wide = kind & NPZ_ZIP64;
    unsigned version = wide ? 45 : 20, flags = late ? 8 : 0, method = kind & NPZ_DEFLATED ? 8 : 0;

    put(&npz->file, 0x04034B50, 4);
    put(&npz->file, version, 2);
    put(&npz->file, flags, 2);
    put(&npz->file, method, 2);
    put(&npz->file, 0, 4); /* time and date */
    put(&npz->file, late ? 0 : crc, 4);
    put(&npz->file, late ? 0 : wide ? UINT32_MAX : packed_size, 4);
    put(&npz->file, late ? 0 : wide ? UINT32_MAX : size, 4);
    put(&npz->file, name, 2);
    put(&npz->file, wide ? 20 : 0, 2);
    put_text(&npz->file, file_name);
    if (wide) {
        put(&npz->file, 1, 2);
        put(&npz->file, 16, 2);
        put(&npz->file, size, 8);
        put(&npz->file, packed_size, 8);
    }
    check_ok(lng_buffer_append(&npz->file, packed, packed_size));
    if (late) {
        put(&npz->file, 0x08074B50, 4);
        put(&npz->file, crc, 4);
        put(&npz->file, packed_size, 4);
        put(&npz->file, size, 4);
    }

    put(&npz->directory, 0x02014B50, 4);
    put(&npz->directory, 20, 2);
    put(&npz->directory, version, 2);
    put(&npz->directory, flags, 2);
    put(&npz->directory, method, 2);
    put(&npz->directory, 0, 4);
    put(&npz->directory, crc, 4);
    put(&npz->directory, packed_size, 4);
    put(&npz->directory, size, 4);
    put(&npz->directory, name, 2);
    put(&npz->directory, 0, 12); /* extra, comment, disk, attributes */
    put(&npz->directory, offset, 4);
    put_text(&npz->directory, file_name);
    npz->count++;
    lng_free(packed);
}

void npz_fixture_array(struct npz_fixture *npz, const char *name, const char *descr,
                       const char *shape, const void *data, size_t size, unsigned kind)
{
    struct lng_buffer member = {0};
    char text[256], file_name[256];
    size_t length = (size_t)snprintf(
        text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    size_t step = kind == NPZ_MARIAN ? 16 : 64;
    size_t whole = (10 + length) / step * step + step;
    snprintf(file_name, sizeof file_name, "%s.npy", name);
    check_ok(lng_buffer_append(&member, "\x93NUMPY\1\0", 8));
    put(&member, whole - 10, 2);
    put_text(&member, text);
    while (member.length < whole - 1)
        put(&member, ' ', 1);
    put(&member, '\n', 1);
    check_ok(lng_buffer_append(&member, data, size));
    npz_fixture_member(npz, file_name, member.data, member.length, kind);
    lng_buffer_release(&member);
}

void npz_fixture_end(struct npz_fixture *npz)
{
    uint64_t start = npz->file.length, size = npz->directory.length;
    if (size > 0)
        check_ok(lng_buffer_append(&npz->file, npz->directory.data, size));
    put(&npz->file, 0x06054B50, 4);
    put(&npz->file, 0, 4);
    put(&npz->file, npz->count, 2);
    put(&npz->file, npz->count, 2);
    put(&npz->file, size, 4);
    put(&npz->file, start, 4);
    put(&npz->file, 0, 2);
}

void npz_fixture_release(struct npz_fixture *npz)
{
    lng_buffer_release(&npz->file);
    lng_buffer_release(&npz->directory);
    *npz = (struct npz_fixture){0};
}
