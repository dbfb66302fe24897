#include "host/data/alignment_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/data/line_read.h"
#include "host/data/unpack.h"

enum { LENGTH_BITS = 24 }; /* enough for LNG_ALIGNMENT_LINE_BYTES */

enum lng_status lng_alignment_file_open(struct lng_alignment_file *file, const char *path,
                                        const char *cache_directory)
{
    *file = (struct lng_alignment_file){.fd = -1, .path = lng_strdup(path)};
    return file->path != NULL ? lng_unpack_open(path, cache_directory, &file->fd) : LNG_ERR_MEMORY;
}

static void end_pass(struct lng_alignment_file *file)
{
    lng_line_scan_close(&file->lines);
    lng_alignment_room_release(&file->room);
    file->line = (struct lng_scanned_line){0};
}

void lng_alignment_file_close(struct lng_alignment_file *file)
{
    end_pass(file);
    if (file->path != NULL && file->fd >= 0)
        close(file->fd);
    lng_free(file->path);
    lng_free(file->places);
    *file = (struct lng_alignment_file){.fd = -1};
}

enum lng_status lng_alignment_file_begin(struct lng_alignment_file *file)
{
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return lng_line_scan_open(&file->lines, file->fd, file->path, LNG_ALIGNMENT_LINE_BYTES + 1);
}

/* Without byte order mark and carriage return. */
static void strip(struct lng_scanned_line *line, bool first)
{
    if (line->data == NULL)
        return;
    if (first && line->length >= 3 && memcmp(line->data, "\xEF\xBB\xBF", 3) == 0) {
        line->data += 3;
        line->length -= 3;
        line->offset += 3;
    }
    line->length -= line->length > 0 && line->data[line->length - 1] == '\r';
}

enum lng_status lng_alignment_file_next(struct lng_alignment_file *file)
{
    bool got;
    LNG_TRY(lng_line_scan_next(&file->lines, &file->line, &got));
    if (got)
        strip(&file->line, file->lines.lines == 1);
    else /* the count of lines says so in the end */
        file->line = (struct lng_scanned_line){.data = ""};
    return LNG_OK;
}

enum lng_status lng_alignment_file_keep(struct lng_alignment_file *file, struct lng_slice source,
                                        struct lng_slice target)
{
    const struct lng_scanned_line *line = &file->line;
    unsigned long long number = file->lines.lines;
    LNG_FAIL_IF(line->data == NULL, LNG_ERR_FORMAT,
                "line %llu of %s: expected links such as 0-0 1-2, found %llu bytes in a "
                "line, more than %d",
                number, file->path, (unsigned long long)line->length, LNG_ALIGNMENT_LINE_BYTES);
    LNG_FAIL_IF(line->offset >> (64 - LENGTH_BITS) != 0, LNG_ERR_RANGE,
                "%s is larger than 1 TiB: split it", file->path);
    enum lng_status status = lng_alignment_read(
        &file->room, (struct lng_slice){line->data, (size_t)line->length}, source, target);
    if (status != LNG_OK)
        return lng_fail_context(status, "line %llu of %s", number, file->path);
    LNG_TRY(lng_grow(&file->places, &file->capacity, file->count + 1, sizeof *file->places));
    file->places[file->count++] = line->offset << LENGTH_BITS | line->length;
    return LNG_OK;
}

enum lng_status lng_alignment_file_end(struct lng_alignment_file *file, const char *corpus_path,
                                       uint64_t lines, uint64_t *digest)
{
    struct lng_scanned_line rest;
    for (bool got = true; got;)
        LNG_TRY(lng_line_scan_next(&file->lines, &rest, &got));
    LNG_FAIL_IF(
        file->lines.lines != lines, LNG_ERR_MISMATCH,
        "%s has %llu lines but %s has %llu: expected line n of one to hold the alignment of "
        "pair n of the other, empty where there is none; is one of them cut off?",
        file->path, (unsigned long long)file->lines.lines, corpus_path, (unsigned long long)lines);
    *digest = lng_hash_value(file->lines.hash);
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
    end_pass(file);
    return LNG_OK;
}

enum lng_status lng_alignment_file_read(const struct lng_alignment_file *file, uint64_t pair,
                                        uint64_t line, struct lng_buffer *text)
{
    uint64_t place = file->places[pair];
    return lng_line_read(file->fd, file->path, line, place >> LENGTH_BITS,
                         (uint32_t)(place & ((1u << LENGTH_BITS) - 1)), text);
}
