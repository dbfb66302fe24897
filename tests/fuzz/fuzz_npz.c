/* libFuzzer target: any bytes as a .npz file; and as one array of a file whose ZIP records are right, stored or
 * deflated. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 24 }; /* bytes that are unpacked: a small file may claim 1,000 times its size */

/* What was accepted lies inside the file and is found by its name; reading it fails cleanly or works. */
static void use(const struct lng_npz *file, size_t size)
{
    uint64_t covered = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct lng_npz_member *member = &file->list[i];
        const struct lng_npy *array = &member->array;
        if (member->offset > size || member->packed > size - member->offset ||
            array->bytes > member->size || lng_npz_find(file, member->name) != member)
            abort();
        covered += member->packed;
        if (array->bytes > MOST || array->elements > MOST)
            continue;
        void *raw = lng_alloc((size_t)array->bytes, 1);
        float *values = lng_alloc((size_t)array->elements, sizeof *values);
        enum lng_status first = lng_npz_read_raw(file, member, raw);
        enum lng_status second = lng_npz_read_f32(file, member, values);
        if (first != LNG_OK && first != LNG_ERR_FORMAT)
            abort();
        if (second != first && second != LNG_ERR_DTYPE)
            abort();
        lng_free(raw);
        lng_free(values);
    }
    if (covered > size)
        abort();
}

static void open_and_use(const void *data, size_t size)
{
    struct lng_npz file;
    if (lng_npz_open_memory(&file, "fuzz", data, size) == LNG_OK) {
        use(&file, size);
        lng_npz_close(&file);
    }
}

/* A header of `fixed` bytes, of which the fields from `at` on are those that both kinds have. */
static size_t put_header(unsigned char *to, uint32_t magic, size_t fixed, size_t at, bool deflated,
                         uint32_t crc, size_t packed, size_t size)
{
    lng_store_u32(to, magic);
    to[at + 4] = deflated ? 8 : 0;
    lng_store_u32(to + at + 10, crc);
    lng_store_u32(to + at + 14, (uint32_t)packed);
    lng_store_u32(to + at + 18, (uint32_t)size);
    to[at + 22] = 5;
    memcpy(to + fixed, "a.npy", 5);
    return fixed + 5;
}

/* The first byte says whether it is deflated; then the two bytes after it are its size. */
static void wrap(const uint8_t *data, size_t size)
{
    enum { RECORDS = 35 + 51 + 22 };
    bool deflated = data[0] & 1;
    size_t skipped = deflated ? 3 : 1, packed = size - skipped;
    size_t unpacked = deflated ? lng_load_u16(data + 1) : packed;
    unsigned char *file = lng_alloc(packed + RECORDS, 1);
    uint32_t crc = (uint32_t)crc32(0, data + skipped, (uInt)packed);
    if (deflated) { /* of what it unpacks to, as far as it does */
        unsigned char *out = lng_alloc(unpacked, 1);
        z_stream z = {.next_in = (unsigned char *)data + skipped, .avail_in = (uInt)packed};
        if (inflateInit2(&z, -15) == Z_OK) {
            z.next_out = out;
            z.avail_out = (uInt)unpacked;
            (void)inflate(&z, Z_FINISH);
            inflateEnd(&z);
        }
        crc = (uint32_t)crc32(0, out, (uInt)unpacked);
        lng_free(out);
    }
    size_t at = put_header(file, 0x04034B50, 30, 4, deflated, crc, packed, unpacked);
    memcpy(file + at, data + skipped, packed);
    at += packed;
    size_t directory = at;
    at += put_header(file + at, 0x02014B50, 46, 6, deflated, crc, packed, unpacked);
    lng_store_u32(file + at, 0x06054B50);
    file[at + 8] = file[at + 10] = 1;
    lng_store_u32(file + at + 12, (uint32_t)(at - directory));
    lng_store_u32(file + at + 16, (uint32_t)directory);
    open_and_use(file, at + 22);
    lng_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_use(data, size);
    if (size > 3 && size <= 1 << 16)
        wrap(data, size);
    return 0;
}
