#include "host/store/npz.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/store/npz_stream.h"

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    MOST_COMMENT = 0xFFFF,
    NONE_U16 = 0xFFFF,        /* "see the ZIP64 record" */
    FLAG_ENCRYPTED = 1,       /* of the flags: */
    FLAG_DESCRIPTOR = 1 << 3, /* CRC and sizes follow the data */
    FLAGS_KNOWN = 1 << 1 | 1 << 2 | FLAG_DESCRIPTOR | 1 << 11,
    ZIP64_FIELD = 1,
    DEFLATE = 8,
    MOST_RATIO = 1032, /* no deflate stream unpacks to more per byte */
};

/* ---- the directory ---- */

struct directory {
    uint64_t offset, size, end; /* end: of the end record */
    unsigned count;
};

/* `at` is an end record whose comment reaches exactly to the end of the file. */
static enum lng_status read_end(const struct lng_blob *blob, const unsigned char *at,
                                uint64_t offset, struct directory *directory)
{
    unsigned char locator[4] = {0};
    unsigned entries = lng_load_u16(at + 8), total = lng_load_u16(at + 10);
    uint64_t size = lng_load_u32(at + 12), start = lng_load_u32(at + 16);
    if (offset >= LOCATOR_BYTES)
        LNG_TRY(lng_blob_read(blob, offset - LOCATOR_BYTES, locator, sizeof locator));
    LNG_FAIL_IF(memcmp(locator, "PK\6\7", 4) == 0 || total == NONE_U16 || size == UINT32_MAX ||
                    start == UINT32_MAX,
                LNG_ERR_UNSUPPORTED,
                "%s: expected a ZIP file below 4 GiB and 65,535 members, found a ZIP64 one",
                blob->name);
    LNG_FAIL_IF(lng_load_u16(at + 4) != 0 || lng_load_u16(at + 6) != 0 || entries != total,
                LNG_ERR_UNSUPPORTED, "%s: expected a ZIP file in one part, found one of several",
                blob->name);
    LNG_FAIL_IF(start + size != offset, LNG_ERR_FORMAT,
                "%s: expected the central directory to end where the end record starts, at %" PRIu64
                ", found offset %" PRIu64 " and %" PRIu64 " bytes",
                blob->name, offset, start, size);
    *directory = (struct directory){start, size, offset, total};
    return LNG_OK;
}

static enum lng_status find_directory(const struct lng_blob *blob, struct directory *directory)
{
    uint64_t most = END_BYTES + MOST_COMMENT;
    size_t size = blob->size < most ? (size_t)blob->size : (size_t)most;
    unsigned char *tail = lng_alloc(size, 1);
    if (!tail)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_blob_read(blob, blob->size - size, tail, size);
    bool found = false;
    for (size_t left = END_BYTES; status == LNG_OK && !found && left <= size; left++) {
        const unsigned char *at = tail + size - left;
        found = memcmp(at, "PK\5\6", 4) == 0 && lng_load_u16(at + 20) == left - END_BYTES;
        if (found)
            status = read_end(blob, at, blob->size - left, directory);
    }
    lng_free(tail);
    LNG_FAIL_IF(status == LNG_OK && !found, LNG_ERR_FORMAT,
                "%s: expected a .npz file (ZIP), found no end record: cut short?%s", blob->name,
                lng_blob_hint(blob));
    return status;
}

/* The name of an entry, checked, without ".npy". */
static enum lng_status take_name(const char *file, const char *name, size_t length, char **result)
{
    int shown = length > 60 ? 60 : (int)length;
    LNG_FAIL_IF(length > LNG_NPZ_NAME_BYTES || !lng_utf8_valid(name, length), LNG_ERR_FORMAT,
                "%s: expected names of members in UTF-8, %d bytes at most, found one of %zu", file,
                LNG_NPZ_NAME_BYTES, length);
    for (size_t i = 0; i < length; i++)
        LNG_FAIL_IF((unsigned char)name[i] < ' ' || name[i] == '/' || name[i] == '\\' ||
                        name[i] == 0x7F || (name[i] == '.' && i + 1 < length && name[i + 1] == '.'),
                    LNG_ERR_FORMAT,
                    "%s: expected members in no folder, found the byte 0x%02x in a name at offset "
                    "%zu",
                    file, (unsigned char)name[i], i);
    LNG_FAIL_IF(length < 5 || memcmp(name + length - 4, ".npy", 4) != 0, LNG_ERR_FORMAT,
                "%s: expected members NAME.npy, found '%.*s': this is another kind of ZIP file",
                file, shown, name);
    *result = lng_strndup(name, length - 4);
    return *result ? LNG_OK : LNG_ERR_MEMORY;
}

/* One entry of the central directory; its member is appended to the list. */
static enum lng_status read_entry(struct lng_npz *file, struct lng_reader *reader,
                                  const struct directory *directory)
{
    const void *data, *name;
    LNG_TRY(lng_reader_bytes(reader, ENTRY_BYTES, &data));
    const unsigned char *at = data;
    LNG_FAIL_IF(memcmp(at, "PK\1\2", 4) != 0, LNG_ERR_FORMAT,
                "%s: expected entry %zu of the central directory, found something else",
                file->blob.name, file->count);
    unsigned flags = lng_load_u16(at + 8), method = lng_load_u16(at + 10);
    struct lng_npz_member member = {
        .deflated = method == DEFLATE,
        .crc = lng_load_u32(at + 16),
        .packed = lng_load_u32(at + 20),
        .size = lng_load_u32(at + 24),
        .entry = lng_load_u32(at + 42),
    };
    LNG_TRY(lng_reader_bytes(reader, lng_load_u16(at + 28), &name));
    LNG_TRY(lng_reader_skip(reader, (size_t)lng_load_u16(at + 30) + lng_load_u16(at + 32)));
    LNG_TRY(take_name(file->blob.name, name, lng_load_u16(at + 28), &member.name));
    file->list[file->count++] = member; /* owns the name from here on */
    const char *why =
        flags & FLAG_ENCRYPTED             ? "it is encrypted"
        : flags & ~(unsigned)FLAGS_KNOWN   ? "it has unknown flags"
        : method != 0 && method != DEFLATE ? "it is neither stored nor deflated"
        : member.packed == UINT32_MAX || member.size == UINT32_MAX || member.entry == UINT32_MAX
            ? "it is a ZIP64 member of 4 GiB or more"
            : NULL;
    LNG_FAIL_IF(why, LNG_ERR_UNSUPPORTED, "%s: array \"%s\": cannot be read: %s", file->blob.name,
                member.name, why);
    LNG_FAIL_IF(!member.deflated && member.packed != member.size, LNG_ERR_FORMAT,
                "%s: array \"%s\": is stored, but its two sizes differ: %" PRIu64 " and %" PRIu64,
                file->blob.name, member.name, member.packed, member.size);
    LNG_FAIL_IF(member.packed > directory->offset || member.entry > directory->offset ||
                    member.size / MOST_RATIO > member.packed,
                LNG_ERR_FORMAT,
                "%s: array \"%s\": %" PRIu64 " bytes at %" PRIu64 " that unpack to %" PRIu64
                " are more than the file can hold",
                file->blob.name, member.name, member.packed, member.entry, member.size);
    return LNG_OK;
}

/* The sizes in a member's own header, or in the ZIP64 field behind it. */
static void local_sizes(const unsigned char *header, const unsigned char *extra, size_t length,
                        uint64_t *packed, uint64_t *size)
{
    *packed = lng_load_u32(header + 18);
    *size = lng_load_u32(header + 22);
    for (size_t at = 0; *packed == UINT32_MAX && *size == UINT32_MAX && at + 4 <= length;) {
        size_t bytes = lng_load_u16(extra + at + 2);
        if (lng_load_u16(extra + at) == ZIP64_FIELD && bytes >= 16 && at + 4 + bytes <= length) {
            *size = lng_load_u64(extra + at + 4);
            *packed = lng_load_u64(extra + at + 12);
            return;
        }
        at += 4 + bytes;
    }
}

/* The header in front of the member's bytes must say what the directory says. `limit` is where the next
 * thing in the file starts. */
static enum lng_status check_local(struct lng_npz *file, struct lng_npz_member *member,
                                   uint64_t limit)
{
    unsigned char header[LOCAL_BYTES], *rest = NULL;
    uint64_t packed, size;
    enum lng_status status;
    const char *name = file->blob.name;
    LNG_TRY(lng_blob_read(&file->blob, member->entry, header, sizeof header));
    size_t name_bytes = lng_load_u16(header + 26), extra = lng_load_u16(header + 28);
    rest = lng_alloc(name_bytes + extra, 1);
    if (!rest)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(
        lng_blob_read(&file->blob, member->entry + LOCAL_BYTES, rest, name_bytes + extra));
    local_sizes(header, rest + name_bytes, extra, &packed, &size);
    unsigned flags = lng_load_u16(header + 6);
    /* With a descriptor after the data the header may leave all three open. */
    bool open =
        flags & FLAG_DESCRIPTOR && packed == 0 && size == 0 && lng_load_u32(header + 14) == 0;
    size_t length = strlen(member->name);
    LNG_GOTO_FAIL_IF(
        memcmp(header, "PK\3\4", 4) != 0 || name_bytes != length + 4 ||
            memcmp(rest, member->name, length) != 0 || memcmp(rest + length, ".npy", 4) != 0 ||
            lng_load_u16(header + 8) != (member->deflated ? DEFLATE : 0) || flags & FLAG_ENCRYPTED,
        LNG_ERR_FORMAT,
        "%s: array \"%s\": the header at offset %" PRIu64
        " says something else than the central directory",
        name, member->name, member->entry);
    LNG_GOTO_FAIL_IF(!open && (packed != member->packed || size != member->size ||
                               lng_load_u32(header + 14) != member->crc),
                     LNG_ERR_FORMAT,
                     "%s: array \"%s\": expected %" PRIu64 " bytes, %" PRIu64
                     " unpacked, as in the central directory, found %" PRIu64 " and %" PRIu64
                     " or another CRC in its header",
                     name, member->name, member->packed, member->size, packed, size);
    member->offset = member->entry + LOCAL_BYTES + name_bytes + extra;
    LNG_GOTO_FAIL_IF(member->offset > limit || member->packed > limit - member->offset,
                     LNG_ERR_FORMAT, "%s: array \"%s\": overlaps with what is at offset %" PRIu64,
                     name, member->name, limit);
fail:
    lng_free(rest);
    return status;
}

/* `place` is for messages. */
static enum lng_status read_header(struct lng_npz_stream *stream, const char *place,
                                   struct lng_npz_member *member)
{
    unsigned char start[LNG_NPY_PREAMBLE_BYTES], *header = NULL;
    size_t first = member->size < sizeof start ? (size_t)member->size : sizeof start, bytes = 0;
    enum lng_status status;
    LNG_TRY(lng_npz_stream_read(stream, start, first));
    LNG_TRY(lng_npy_header_bytes(place, start, first, &bytes));
    LNG_FAIL_IF(bytes > member->size || bytes < first, LNG_ERR_FORMAT,
                "%s: expected a .npy header of %zu to %" PRIu64 " bytes, found a length of %zu",
                place, first, member->size, bytes);
    header = lng_alloc(bytes, 1);
    if (!header)
        return LNG_ERR_MEMORY;
    memcpy(header, start, first);
    LNG_TRY_OR_FAIL(lng_npz_stream_read(stream, header + first, bytes - first));
    LNG_TRY_OR_FAIL(lng_npy_parse_header(place, header, bytes, &member->array));
    LNG_GOTO_FAIL_IF(member->array.bytes != member->size - bytes, LNG_ERR_FORMAT,
                     "%s: its shape and type stand for %" PRIu64 " bytes, found %" PRIu64, place,
                     member->array.bytes, member->size - bytes);
fail:
    lng_free(header);
    return status;
}

/* The array's own header, which must account for every byte of the member. */
static enum lng_status read_array(const struct lng_npz *file, struct lng_npz_member *member)
{
    struct lng_npz_stream stream;
    char *place = lng_format("%s: array \"%s\"", file->blob.name, member->name);
    if (!place)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_npz_stream_open(&stream, &file->blob, member);
    if (status == LNG_OK) {
        status = read_header(&stream, place, member);
        lng_npz_stream_close(&stream);
    }
    lng_free(place);
    return status;
}

static int by_entry(const void *a, const void *b)
{
    const struct lng_npz_member *left = a, *right = b;
    return (left->entry > right->entry) - (left->entry < right->entry);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lng_npz_member *)a)->name,
                  ((const struct lng_npz_member *)b)->name);
}

static enum lng_status read_entries(struct lng_npz *file, const struct directory *directory,
                                    const void *bytes)
{
    struct lng_reader reader;
    lng_reader_init(&reader, file->blob.name, bytes, (size_t)directory->size);
    for (unsigned i = 0; i < directory->count; i++)
        LNG_TRY(read_entry(file, &reader, directory));
    LNG_FAIL_IF(lng_reader_left(&reader) > 0, LNG_ERR_FORMAT,
                "%s: expected %u members, found more bytes in the central directory",
                file->blob.name, directory->count);
    qsort(file->list, file->count, sizeof *file->list, by_entry);
    for (size_t i = 0; i < file->count; i++) {
        uint64_t limit = i + 1 < file->count ? file->list[i + 1].entry : directory->offset;
        LNG_TRY(check_local(file, &file->list[i], limit));
        LNG_TRY(read_array(file, &file->list[i]));
    }
    qsort(file->list, file->count, sizeof *file->list, by_name);
    for (size_t i = 1; i < file->count; i++)
        LNG_FAIL_IF(strcmp(file->list[i - 1].name, file->list[i].name) == 0, LNG_ERR_FORMAT,
                    "%s: array \"%s\" is there twice", file->blob.name, file->list[i].name);
    return LNG_OK;
}

static enum lng_status read_directory(struct lng_npz *file)
{
    struct directory directory;
    enum lng_status status;
    unsigned char *bytes = NULL;
    LNG_TRY(find_directory(&file->blob, &directory));
    LNG_FAIL_IF(directory.size / ENTRY_BYTES < directory.count, LNG_ERR_FORMAT,
                "%s: expected a central directory of %u members, found %" PRIu64 " bytes",
                file->blob.name, directory.count, directory.size);
    bytes = lng_alloc((size_t)directory.size, 1);
    file->list = lng_alloc(directory.count, sizeof *file->list);
    if (!bytes || !file->list) {
        lng_free(bytes);
        return LNG_ERR_MEMORY;
    }
    LNG_TRY_OR_FAIL(lng_blob_read(&file->blob, directory.offset, bytes, (size_t)directory.size));
    status = read_entries(file, &directory, bytes);
fail:
    lng_free(bytes);
    return status;
}

static enum lng_status open_blob(struct lng_npz *file, struct lng_npz *result)
{
    enum lng_status status = read_directory(file);
    if (status != LNG_OK)
        lng_npz_close(file);
    else
        *result = *file;
    return status;
}

enum lng_status lng_npz_open(struct lng_npz *file, const char *path)
{
    struct lng_npz fresh = {0};
    LNG_TRY(lng_blob_open(&fresh.blob, path));
    return open_blob(&fresh, file);
}

enum lng_status lng_npz_open_memory(struct lng_npz *file, const char *name, const void *data,
                                    size_t size)
{
    struct lng_npz fresh = {0};
    LNG_TRY(lng_blob_open_memory(&fresh.blob, name, data, size));
    return open_blob(&fresh, file);
}

void lng_npz_close(struct lng_npz *file)
{
    for (size_t i = 0; i < file->count; i++)
        lng_free(file->list[i].name);
    lng_free(file->list);
    lng_blob_close(&file->blob);
    *file = (struct lng_npz){.blob.fd = -1};
}

/* ---- arrays ---- */

const struct lng_npz_member *lng_npz_find(const struct lng_npz *file, const char *name)
{
    struct lng_npz_member key = {.name = (char *)name};
    return file->count ? bsearch(&key, file->list, file->count, sizeof key, by_name) : NULL;
}
