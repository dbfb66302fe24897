#include "host/store/checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/store/hparams_json.h"

enum {
    HEADER_BYTES = 16,
    ENTRY_BYTES = 96,
    END_BYTES = 40,
    END_COVERED = 24, /* of the end, under the table's checksum */
    ALIGNMENT = 64,
    MOST_SECTIONS = 4096,
    HPARAMS_BYTES = 1 << 20,
};
static const char start_magic[] = "LNGCKPT1", end_magic[] = "LNGCKEND";

/* ---- writing ---- */

static enum lng_status pad(struct lng_checkpoint_writer *writer)
{
    static const unsigned char zero[ALIGNMENT];
    size_t over = (size_t)(writer->file.written % ALIGNMENT);
    return over ? lng_atomic_write(&writer->file, zero, ALIGNMENT - over) : LNG_OK;
}

static void make_header(unsigned char header[HEADER_BYTES])
{
    memcpy(header, start_magic, 8);
    lng_store_u32(header + 8, LNG_CHECKPOINT_VERSION);
    lng_store_u32(header + 12, 0);
}

enum lng_status lng_checkpoint_writer_open(struct lng_checkpoint_writer *writer, const char *path)
{
    struct lng_checkpoint_writer fresh = {.file.fd = -1};
    unsigned char header[HEADER_BYTES];
    make_header(header);
    LNG_TRY(lng_atomic_open(&fresh.file, path));
    enum lng_status status = lng_atomic_write(&fresh.file, header, sizeof header);
    if (status == LNG_OK)
        *writer = fresh;
    else
        lng_checkpoint_writer_discard(&fresh);
    return status;
}

enum lng_status lng_checkpoint_writer_begin(struct lng_checkpoint_writer *writer, const char *name,
                                            enum lng_checkpoint_type type)
{
    size_t length = strlen(name);
    LNG_FAIL_IF(writer->hash || length == 0 || length >= LNG_CHECKPOINT_NAME_BYTES ||
                    writer->count >= MOST_SECTIONS,
                LNG_ERR_INTERNAL, "%s: section \"%s\" cannot be begun", writer->file.path, name);
    for (size_t i = 0; i < writer->count; i++)
        LNG_FAIL_IF(strcmp(writer->list[i].name, name) == 0, LNG_ERR_INTERNAL,
                    "%s: section \"%s\" is written twice", writer->file.path, name);
    LNG_TRY(lng_grow(&writer->list, &writer->capacity, writer->count + 1, sizeof *writer->list));
    LNG_TRY(pad(writer));
    LNG_TRY(lng_hash_open(&writer->hash));
    struct lng_checkpoint_section *section = &writer->list[writer->count++];
    *section = (struct lng_checkpoint_section){.type = type, .offset = writer->file.written};
    memcpy(section->name, name, length);
    return LNG_OK;
}

enum lng_status lng_checkpoint_writer_put(struct lng_checkpoint_writer *writer, const void *data,
                                          size_t size)
{
    LNG_FAIL_IF(!writer->hash, LNG_ERR_INTERNAL, "%s: no section was begun", writer->file.path);
    lng_hash_add(writer->hash, data, size);
    writer->list[writer->count - 1].length += size;
    return lng_atomic_write(&writer->file, data, size);
}

enum lng_status lng_checkpoint_writer_end(struct lng_checkpoint_writer *writer)
{
    LNG_FAIL_IF(!writer->hash, LNG_ERR_INTERNAL, "%s: no section was begun", writer->file.path);
    writer->list[writer->count - 1].checksum = lng_hash_value(writer->hash);
    lng_hash_close(writer->hash);
    writer->hash = NULL;
    return LNG_OK;
}

enum lng_status lng_checkpoint_writer_add(struct lng_checkpoint_writer *writer, const char *name,
                                          enum lng_checkpoint_type type, const void *data,
                                          size_t size)
{
    LNG_TRY(lng_checkpoint_writer_begin(writer, name, type));
    LNG_TRY(lng_checkpoint_writer_put(writer, data, size));
    return lng_checkpoint_writer_end(writer);
}

enum lng_status lng_checkpoint_writer_add_hparams(struct lng_checkpoint_writer *writer,
                                                  const struct lng_hparams *hparams)
{
    enum lng_status status;
    struct lng_buffer text = {0};
    json_t *object = json_object();
    LNG_GOTO_FAIL_IF(!object, LNG_ERR_MEMORY, "%s: out of memory", writer->file.path);
    LNG_TRY_OR_FAIL(lng_hparams_to_json(hparams, LNG_HPARAMS_ALL, object));
    LNG_TRY_OR_FAIL(lng_json_print(object, &text));
    status = lng_checkpoint_writer_add(writer, LNG_SECTION_HPARAMS, LNG_CHECKPOINT_BYTES, text.data,
                                       text.length);
fail:
    json_decref(object);
    lng_buffer_release(&text);
    return status;
}

static void make_entry(unsigned char entry[ENTRY_BYTES],
                       const struct lng_checkpoint_section *section)
{
    memset(entry, 0, ENTRY_BYTES);
    memcpy(entry, section->name, LNG_CHECKPOINT_NAME_BYTES);
    lng_store_u32(entry + 64, (uint32_t)section->type);
    lng_store_u64(entry + 72, section->offset);
    lng_store_u64(entry + 80, section->length);
    lng_store_u64(entry + 88, section->checksum);
}

static enum lng_status put_table(struct lng_checkpoint_writer *writer)
{
    unsigned char header[HEADER_BYTES], entry[ENTRY_BYTES], end[END_BYTES] = {0};
    enum lng_status status;
    make_header(header);
    LNG_TRY(pad(writer));
    uint64_t table = writer->file.written;
    LNG_TRY(lng_hash_open(&writer->hash));
    lng_hash_add(writer->hash, header, sizeof header);
    for (size_t i = 0; i < writer->count; i++) {
        make_entry(entry, &writer->list[i]);
        lng_hash_add(writer->hash, entry, sizeof entry);
        LNG_TRY_OR_FAIL(lng_atomic_write(&writer->file, entry, sizeof entry));
    }
    lng_store_u64(end, table);
    lng_store_u32(end + 8, (uint32_t)writer->count);
    lng_store_u64(end + 16, writer->file.written + END_BYTES);
    lng_hash_add(writer->hash, end, END_COVERED);
    lng_store_u64(end + END_COVERED, lng_hash_value(writer->hash));
    memcpy(end + 32, end_magic, 8);
    status = lng_atomic_write(&writer->file, end, sizeof end);
fail:
    lng_hash_close(writer->hash);
    writer->hash = NULL;
    return status;
}

enum lng_status lng_checkpoint_writer_commit(struct lng_checkpoint_writer *writer)
{
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(writer->hash, LNG_ERR_INTERNAL, "%s: a section was not ended",
                     writer->file.path);
    LNG_TRY_OR_FAIL(put_table(writer));
    status = lng_atomic_commit(&writer->file);
fail:
    lng_checkpoint_writer_discard(writer);
    return status;
}

void lng_checkpoint_writer_discard(struct lng_checkpoint_writer *writer)
{
    lng_atomic_discard(&writer->file);
    lng_hash_close(writer->hash);
    lng_free(writer->list);
    *writer = (struct lng_checkpoint_writer){.file.fd = -1};
}

/* ---- reading ---- */

static enum lng_status parse_entry(const char *file, const unsigned char *entry, uint64_t from,
                                   uint64_t table, struct lng_checkpoint_section *section)
{
    uint32_t type = lng_load_u32(entry + 64);
    LNG_FAIL_IF(entry[0] == 0 || entry[LNG_CHECKPOINT_NAME_BYTES - 1] != 0, LNG_ERR_FORMAT,
                "%s: expected section names of 1 to 63 bytes", file);
    memcpy(section->name, entry, LNG_CHECKPOINT_NAME_BYTES);
    LNG_FAIL_IF(!lng_utf8_valid(section->name, strlen(section->name)), LNG_ERR_FORMAT,
                "%s: a section name is not UTF-8", file);
    LNG_FAIL_IF(type >= LNG_CHECKPOINT_TYPE_COUNT || lng_load_u32(entry + 68) != 0, LNG_ERR_FORMAT,
                "%s: section \"%s\": unknown type %" PRIu32, file, section->name, type);
    section->type = (enum lng_checkpoint_type)type;
    section->offset = lng_load_u64(entry + 72);
    section->length = lng_load_u64(entry + 80);
    section->checksum = lng_load_u64(entry + 88);
    uint64_t expected = (from + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    LNG_FAIL_IF(section->offset != expected || section->offset > table ||
                    section->length > table - section->offset,
                LNG_ERR_FORMAT,
                "%s: section \"%s\": expected its data at offset %" PRIu64 " and to end by %" PRIu64
                ", found offset %" PRIu64 " and %" PRIu64 " bytes",
                file, section->name, expected, table, section->offset, section->length);
    return LNG_OK;
}

/* Padding is zero: nothing hides between sections. */
static enum lng_status check_padding(const struct lng_blob *blob, uint64_t from, uint64_t to)
{
    unsigned char bytes[ALIGNMENT];
    LNG_FAIL_IF(to < from || to - from >= ALIGNMENT, LNG_ERR_FORMAT,
                "%s: expected less than %d bytes between sections, found them to end at %" PRIu64
                " and to go on at %" PRIu64,
                blob->name, ALIGNMENT, from, to);
    LNG_TRY(lng_blob_read(blob, from, bytes, (size_t)(to - from)));
    for (uint64_t i = 0; i < to - from; i++)
        LNG_FAIL_IF(bytes[i] != 0, LNG_ERR_MISMATCH,
                    "%s: expected a zero byte at offset %" PRIu64 ", found 0x%02x: the file is "
                    "damaged",
                    blob->name, from + i, bytes[i]);
    return LNG_OK;
}

static enum lng_status check_section(const struct lng_blob *blob,
                                     const struct lng_checkpoint_section *section)
{
    uint64_t checksum = 0;
    LNG_TRY(lng_blob_checksum(blob, section->offset, section->length, &checksum));
    LNG_FAIL_IF(checksum != section->checksum, LNG_ERR_MISMATCH,
                "%s: section \"%s\": expected checksum %016" PRIx64 ", found %016" PRIx64
                ": the file is damaged",
                blob->name, section->name, section->checksum, checksum);
    return LNG_OK;
}

/* The first 16 bytes: is it a checkpoint, and one that this program knows? */
static enum lng_status check_header(const struct lng_blob *blob, unsigned char header[HEADER_BYTES])
{
    LNG_FAIL_IF(blob->size < HEADER_BYTES + END_BYTES, LNG_ERR_FORMAT,
                "%s: expected a checkpoint, found only %" PRIu64 " bytes", blob->name, blob->size);
    LNG_TRY(lng_blob_read(blob, 0, header, HEADER_BYTES));
    LNG_FAIL_IF(memcmp(header, start_magic, 8) != 0, LNG_ERR_FORMAT,
                "%s: expected a lingster checkpoint (\"%s\"), found bytes %02x %02x %02x %02x",
                blob->name, start_magic, header[0], header[1], header[2], header[3]);
    uint32_t version = lng_load_u32(header + 8);
    LNG_FAIL_IF(version > LNG_CHECKPOINT_VERSION, LNG_ERR_UNSUPPORTED,
                "%s: expected checkpoint version %d, found %" PRIu32
                ": it was written by a newer lingster",
                blob->name, LNG_CHECKPOINT_VERSION, version);
    LNG_FAIL_IF(version == 0 || lng_load_u32(header + 12) != 0, LNG_ERR_FORMAT,
                "%s: expected checkpoint version %d, found %" PRIu32 ": the file is damaged",
                blob->name, LNG_CHECKPOINT_VERSION, version);
    return LNG_OK;
}

/* The end and the table, read into `bytes` (owned by the caller) and checked. */
static enum lng_status read_table(const struct lng_blob *blob,
                                  const unsigned char header[HEADER_BYTES], unsigned char **bytes,
                                  uint64_t *table, uint32_t *count)
{
    unsigned char end[END_BYTES];
    LNG_TRY(lng_blob_read(blob, blob->size - END_BYTES, end, sizeof end));
    LNG_FAIL_IF(memcmp(end + 32, end_magic, 8) != 0 || lng_load_u64(end + 16) != blob->size,
                LNG_ERR_FORMAT,
                "%s: expected the end of a checkpoint at byte %" PRIu64
                ": the file is cut, or something was appended",
                blob->name, blob->size);
    uint64_t at = lng_load_u64(end);
    uint32_t sections = lng_load_u32(end + 8);
    LNG_FAIL_IF(sections > MOST_SECTIONS || lng_load_u32(end + 12) != 0 || at < HEADER_BYTES ||
                    at % ALIGNMENT != 0 || at > blob->size - END_BYTES ||
                    blob->size - END_BYTES - at != (uint64_t)sections * ENTRY_BYTES,
                LNG_ERR_FORMAT, "%s: the table of sections is damaged", blob->name);
    size_t length = (size_t)sections * ENTRY_BYTES;
    unsigned char *all = lng_alloc(HEADER_BYTES + length + END_COVERED, 1);
    if (!all)
        return LNG_ERR_MEMORY;
    memcpy(all, header, HEADER_BYTES);
    enum lng_status status = lng_blob_read(blob, at, all + HEADER_BYTES, length);
    memcpy(all + HEADER_BYTES + length, end, END_COVERED);
    if (status == LNG_OK &&
        lng_checksum(all, HEADER_BYTES + length + END_COVERED) != lng_load_u64(end + END_COVERED))
        status = lng_fail(LNG_ERR_MISMATCH,
                          "%s: the checksum of the table of sections is wrong: the file is damaged",
                          blob->name);
    if (status != LNG_OK) {
        lng_free(all);
        return status;
    }
    *bytes = all;
    *table = at;
    *count = sections;
    return LNG_OK;
}

static enum lng_status check_all(struct lng_checkpoint *checkpoint)
{
    enum lng_status status;
    const struct lng_blob *blob = &checkpoint->blob;
    unsigned char header[HEADER_BYTES], *bytes = NULL;
    uint64_t table = 0, done = HEADER_BYTES;
    uint32_t count = 0;
    LNG_TRY(check_header(blob, header));
    LNG_TRY(read_table(blob, header, &bytes, &table, &count));
    checkpoint->list = lng_alloc(count, sizeof *checkpoint->list);
    LNG_GOTO_FAIL_IF(!checkpoint->list, LNG_ERR_MEMORY, "%s: out of memory", blob->name);
    for (uint32_t i = 0; i < count; i++) {
        struct lng_checkpoint_section *section = &checkpoint->list[i];
        LNG_TRY_OR_FAIL(parse_entry(blob->name, bytes + HEADER_BYTES + (size_t)i * ENTRY_BYTES,
                                    done, table, section));
        LNG_GOTO_FAIL_IF(lng_checkpoint_find(checkpoint, section->name), LNG_ERR_FORMAT,
                         "%s: section \"%s\" is there twice", blob->name, section->name);
        checkpoint->count++;
        LNG_TRY_OR_FAIL(check_padding(blob, done, section->offset));
        LNG_TRY_OR_FAIL(check_section(blob, section));
        done = section->offset + section->length;
    }
    status = check_padding(blob, done, table);
fail:
    lng_free(bytes);
    return status;
}

static enum lng_status open_blob(struct lng_checkpoint *fresh, struct lng_checkpoint *checkpoint)
{
    enum lng_status status = check_all(fresh);
    if (status == LNG_OK)
        *checkpoint = *fresh;
    else
        lng_checkpoint_close(fresh);
    return status;
}

enum lng_status lng_checkpoint_open(struct lng_checkpoint *checkpoint, const char *path)
{
    struct lng_checkpoint fresh = {0};
    LNG_TRY(lng_blob_open(&fresh.blob, path));
    return open_blob(&fresh, checkpoint);
}

enum lng_status lng_checkpoint_open_memory(struct lng_checkpoint *checkpoint, const char *name,
                                           const void *data, size_t size)
{
    struct lng_checkpoint fresh = {0};
    LNG_TRY(lng_blob_open_memory(&fresh.blob, name, data, size));
    return open_blob(&fresh, checkpoint);
}

void lng_checkpoint_close(struct lng_checkpoint *checkpoint)
{
    lng_blob_close(&checkpoint->blob);
    lng_free(checkpoint->list);
    *checkpoint = (struct lng_checkpoint){.blob.fd = -1};
}

bool lng_checkpoint_is_file(const char *path)
{
    /* Without the heap: running out of memory must not look like another kind of file. */
    unsigned char magic[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is = fd >= 0 && pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
              memcmp(magic, start_magic, sizeof magic) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

const struct lng_checkpoint_section *lng_checkpoint_find(const struct lng_checkpoint *checkpoint,
                                                         const char *name)
{
    for (size_t i = 0; i < checkpoint->count; i++)
        if (strcmp(checkpoint->list[i].name, name) == 0)
            return &checkpoint->list[i];
    return NULL;
}

enum lng_status lng_checkpoint_read(const struct lng_checkpoint *checkpoint,
                                    const struct lng_checkpoint_section *section, uint64_t offset,
                                    void *to, size_t size)
{
    LNG_FAIL_IF(offset > section->length || size > section->length - offset, LNG_ERR_FORMAT,
                "%s: section \"%s\": expected %zu bytes at offset %" PRIu64 ", found %" PRIu64
                " bytes in all",
                checkpoint->blob.name, section->name, size, offset, section->length);
    return lng_blob_read(&checkpoint->blob, section->offset + offset, to, size);
}

static enum lng_status need(const struct lng_checkpoint *checkpoint, const char *name,
                            enum lng_checkpoint_type type,
                            const struct lng_checkpoint_section **section)
{
    const struct lng_checkpoint_section *found = lng_checkpoint_find(checkpoint, name);
    LNG_FAIL_IF(!found, LNG_ERR_FORMAT, "%s: section \"%s\" is missing", checkpoint->blob.name,
                name);
    LNG_FAIL_IF(found->type != type, LNG_ERR_FORMAT,
                "%s: section \"%s\": expected type %d, found %d", checkpoint->blob.name, name,
                (int)type, (int)found->type);
    *section = found;
    return LNG_OK;
}

enum lng_status lng_checkpoint_read_f32(const struct lng_checkpoint *checkpoint, const char *name,
                                        float *values, size_t count)
{
    const struct lng_checkpoint_section *section;
    LNG_TRY(need(checkpoint, name, LNG_CHECKPOINT_F32, &section));
    LNG_FAIL_IF(section->length != (uint64_t)count * sizeof *values, LNG_ERR_MISMATCH,
                "%s: section \"%s\": expected %zu floats, found %" PRIu64
                " bytes: the checkpoint is of another architecture",
                checkpoint->blob.name, name, count, section->length);
    return lng_checkpoint_read(checkpoint, section, 0, values, count * sizeof *values);
}

enum lng_status lng_checkpoint_read_bytes(const struct lng_checkpoint *checkpoint, const char *name,
                                          size_t limit, struct lng_buffer *content)
{
    const struct lng_checkpoint_section *section;
    LNG_TRY(need(checkpoint, name, LNG_CHECKPOINT_BYTES, &section));
    LNG_FAIL_IF(section->length > limit, LNG_ERR_RANGE,
                "%s: section \"%s\": expected at most %zu bytes, found %" PRIu64,
                checkpoint->blob.name, name, limit, section->length);
    lng_buffer_clear(content);
    LNG_TRY(lng_buffer_reserve(content, (size_t)section->length));
    LNG_TRY(lng_checkpoint_read(checkpoint, section, 0, content->data, (size_t)section->length));
    content->length = (size_t)section->length;
    content->data[content->length] = '\0';
    return LNG_OK;
}

enum lng_status lng_checkpoint_read_hparams(const struct lng_checkpoint *checkpoint,
                                            struct lng_hparams *hparams)
{
    enum lng_status status;
    struct lng_buffer text = {0};
    json_t *object = NULL;
    struct lng_hparams fresh = lng_hparams_default();
    LNG_TRY_OR_FAIL(
        lng_checkpoint_read_bytes(checkpoint, LNG_SECTION_HPARAMS, HPARAMS_BYTES, &text));
    LNG_TRY_OR_FAIL(lng_json_parse(checkpoint->blob.name, text.data, text.length, &object));
    LNG_TRY_OR_FAIL(lng_hparams_from_json(object, checkpoint->blob.name, LNG_HPARAMS_ALL, &fresh));
    status = lng_hparams_check(&fresh);
    if (status == LNG_OK)
        *hparams = fresh;
    else
        (void)lng_fail_context(status, "%s", checkpoint->blob.name);
fail:
    json_decref(object);
    lng_buffer_release(&text);
    return status;
}
