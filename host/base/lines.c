#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"

enum { CHUNK_BYTES = 1 << 16, LONGEST_LINE = 1 << 30 };

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct lng_lines {
    int fd;
    bool owned;
    char *name;
    uint64_t number;
    size_t limit, chunk;
    struct lng_hash *hash; /* borrowed; NULL = none */

    /* As it comes from the descriptor. */
    unsigned char *input;
    size_t input_at, input_end;
    bool input_over;

    enum packing packing;
    bool inside; /* in the middle of a gzip member or zstd frame */
    bool gzip_ready;
    z_stream gzip;
    ZSTD_DStream *zstd;

    /* Unpacked text: [start, end) is not given out yet, and [start, scanned) holds no newline. */
    char *text;
    size_t start, scanned, end, capacity;
    bool over;
};

static size_t default_chunk = CHUNK_BYTES;

void lng_lines_set_chunk(size_t bytes)
{
    default_chunk = bytes < LNG_LINES_LEAST_CHUNK ? LNG_LINES_LEAST_CHUNK
                    : bytes < CHUNK_BYTES         ? bytes
                                                  : CHUNK_BYTES;
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

enum lng_status lng_lines_open_fd(int fd, const char *name, struct lng_lines **lines)
{
    struct lng_lines *fresh = lng_alloc(1, sizeof *fresh);
    if (fresh == NULL)
        return LNG_ERR_MEMORY;
    fresh->fd = fd;
    fresh->limit = LONGEST_LINE;
    fresh->chunk = default_chunk;
    fresh->name = lng_strdup(name);
    fresh->input = lng_alloc(fresh->chunk, 1);
    if (fresh->name == NULL || fresh->input == NULL) {
        lng_lines_close(fresh);
        return LNG_ERR_MEMORY;
    }
    *lines = fresh;
    return LNG_OK;
}

enum lng_status lng_lines_open(const char *path, struct lng_lines **lines)
{
    if (strcmp(path, "-") == 0)
        return lng_lines_open_fd(STDIN_FILENO, "standard input", lines);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    LNG_FAIL_IF(fd < 0, LNG_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum lng_status status = lng_lines_open_fd(fd, path, lines);
    if (status == LNG_OK)
        (*lines)->owned = true;
    else
        close(fd);
    return status;
}

void lng_lines_close(struct lng_lines *lines)
{
    if (lines == NULL)
        return;
    if (lines->owned)
        close(lines->fd);
    if (lines->gzip_ready)
        inflateEnd(&lines->gzip);
    ZSTD_freeDStream(lines->zstd);
    lng_free(lines->name);
    lng_free(lines->input);
    lng_free(lines->text);
    lng_free(lines);
}

uint64_t lng_lines_number(const struct lng_lines *lines)
{
    return lines->number;
}

void lng_lines_set_limit(struct lng_lines *lines, size_t bytes)
{
    lines->limit = bytes;
}

void lng_lines_set_hash(struct lng_lines *lines, struct lng_hash *hash)
{
    lines->hash = hash;
}

/* Reads once, after what is still in the input. */
static enum lng_status read_input(struct lng_lines *lines)
{
    if (lines->input_at == lines->input_end)
        lines->input_at = lines->input_end = 0;
    ssize_t got;
    do {
        got = read(lines->fd, lines->input + lines->input_end, lines->chunk - lines->input_end);
    } while (got < 0 && errno == EINTR);
    LNG_FAIL_IF(got < 0, LNG_ERR_IO, "cannot read %s after line %llu: %s", lines->name,
                (unsigned long long)lines->number, strerror(errno));
    lines->input_end += (size_t)got;
    lines->input_over = got == 0;
    return LNG_OK;
}

/* Whether the first bytes could begin (whole = false) or do begin with the magic number. */
static bool begins(const struct lng_lines *lines, const char *magic, size_t length, bool whole)
{
    size_t have = lines->input_end < length ? lines->input_end : length;
    return (have == length || !whole) && memcmp(lines->input, magic, have) == 0;
}

/* No more is read than tells plain text apart, so that somebody typing gets his answers. */
static enum lng_status recognise(struct lng_lines *lines)
{
    static const char gzip_magic[] = "\x1F\x8B\x08", zstd_magic[] = "\x28\xB5\x2F\xFD";
    while (lines->input_end < 4 && !lines->input_over &&
           (begins(lines, gzip_magic, 3, false) || begins(lines, zstd_magic, 4, false)))
        LNG_TRY(read_input(lines));
    lines->packing = PACKING_NONE;
    if (begins(lines, gzip_magic, 3, true)) {
        lines->gzip.zalloc = zlib_alloc;
        lines->gzip.zfree = zlib_free;
        LNG_FAIL_IF(inflateInit2(&lines->gzip, 15 + 16) != Z_OK, LNG_ERR_MEMORY,
                    "no memory to unpack %s", lines->name);
        lines->gzip_ready = true;
        lines->packing = PACKING_GZIP;
    } else if (begins(lines, zstd_magic, 4, true)) {
        lines->zstd = ZSTD_createDStream();
        LNG_FAIL_IF(lines->zstd == NULL, LNG_ERR_MEMORY, "no memory to unpack %s", lines->name);
        lines->packing = PACKING_ZSTD;
    }
    return LNG_OK;
}

static enum lng_status damaged(const struct lng_lines *lines, const char *reason)
{
    return lng_fail(LNG_ERR_FORMAT, "%s cannot be unpacked after line %llu: %s", lines->name,
                    (unsigned long long)lines->number, reason);
}

static enum lng_status unpack_gzip(struct lng_lines *lines, size_t room)
{
    if (!lines->inside) {
        /* Between members: zero padding (tapes) is skipped, as gzip does. */
        while (lines->input_at < lines->input_end && lines->input[lines->input_at] == 0)
            lines->input_at++;
        if (lines->input_at == lines->input_end)
            return LNG_OK;
        if (lines->input[lines->input_at] != 0x1F)
            return damaged(lines, "there is something else after the gzip data");
        inflateReset(&lines->gzip);
        lines->inside = true;
    }
    z_stream *gzip = &lines->gzip;
    gzip->next_in = lines->input + lines->input_at;
    gzip->avail_in = (uInt)(lines->input_end - lines->input_at);
    gzip->next_out = (Bytef *)lines->text + lines->end;
    gzip->avail_out = (uInt)(room < lines->chunk ? room : lines->chunk);
    int result = inflate(gzip, Z_NO_FLUSH);
    lines->input_at = lines->input_end - gzip->avail_in;
    lines->end = (size_t)(gzip->next_out - (Bytef *)lines->text);
    if (result == Z_STREAM_END)
        lines->inside = false;
    else if (result == Z_MEM_ERROR)
        return lng_fail(LNG_ERR_MEMORY, "no memory to unpack %s", lines->name);
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return damaged(lines, gzip->msg ? gzip->msg : "the gzip data is damaged");
    return LNG_OK;
}

static enum lng_status unpack_zstd(struct lng_lines *lines, size_t room)
{
    ZSTD_inBuffer in = {lines->input, lines->input_end, lines->input_at};
    ZSTD_outBuffer out = {lines->text + lines->end, room, 0};
    size_t result = ZSTD_decompressStream(lines->zstd, &out, &in);
    lines->input_at = in.pos;
    lines->end += out.pos;
    if (ZSTD_isError(result))
        return damaged(lines, ZSTD_getErrorName(result));
    lines->inside = result != 0;
    return LNG_OK;
}

/* Adds at least one byte at text + end, or sets `over`. */
static enum lng_status fill(struct lng_lines *lines, size_t room)
{
    size_t before = lines->end;
    if (lines->packing == PACKING_UNKNOWN)
        LNG_TRY(recognise(lines));
    while (lines->end == before && !lines->over) {
        if (lines->input_at == lines->input_end && !lines->input_over)
            LNG_TRY(read_input(lines));
        size_t left = lines->input_end - lines->input_at;
        if (left == 0 && !lines->inside) {
            lines->over = lines->input_over;
        } else if (lines->packing == PACKING_NONE) {
            size_t count = left < room ? left : room;
            memcpy(lines->text + lines->end, lines->input + lines->input_at, count);
            lines->input_at += count;
            lines->end += count;
        } else {
            LNG_TRY(lines->packing == PACKING_GZIP ? unpack_gzip(lines, room)
                                                   : unpack_zstd(lines, room));
            /* A decoder may hold output back, so it is asked once more before this is believed. */
            if (left == 0 && lines->input_over && lines->inside && lines->end == before)
                return damaged(lines, "it is cut short");
        }
    }
    return LNG_OK;
}

/* Room for at least one more byte, and a NUL, behind the text. */
static enum lng_status make_room(struct lng_lines *lines)
{
    if (lines->start > 0) {
        memmove(lines->text, lines->text + lines->start, lines->end - lines->start);
        lines->scanned -= lines->start;
        lines->end -= lines->start;
        lines->start = 0;
    }
    LNG_FAIL_IF(lines->end > lines->limit, LNG_ERR_RANGE,
                "line %llu of %s is longer than the %zu bytes accepted",
                (unsigned long long)lines->number + 1, lines->name, lines->limit);
    if (lines->capacity - lines->end < lines->chunk / 2)
        LNG_TRY(lng_grow(&lines->text, &lines->capacity, lines->end + lines->chunk, 1));
    return LNG_OK;
}

enum lng_status lng_lines_next(struct lng_lines *lines, struct lng_line *line, bool *got)
{
    char *newline = NULL;
    for (;;) {
        if (lines->scanned < lines->end)
            newline = memchr(lines->text + lines->scanned, '\n', lines->end - lines->scanned);
        if (newline != NULL || lines->over)
            break;
        lines->scanned = lines->end;
        LNG_TRY(make_room(lines));
        LNG_TRY(fill(lines, lines->capacity - lines->end - 1));
    }
    if (newline == NULL && lines->start == lines->end) {
        *got = false;
        return LNG_OK;
    }
    char *stop = newline ? newline : lines->text + lines->end;
    const char *data = lines->text + lines->start;
    size_t length = (size_t)(stop - data);
    LNG_FAIL_IF(length > lines->limit, LNG_ERR_RANGE,
                "line %llu of %s is longer than the %zu bytes accepted",
                (unsigned long long)lines->number + 1, lines->name, lines->limit);
    *stop = '\0';
    *line = (struct lng_line){
        .data = data,
        .length = length,
        .newline = newline != NULL,
        .carriage_return = length > 0 && data[length - 1] == '\r',
    };
    lines->start = lines->scanned = (size_t)(stop - lines->text) + (newline != NULL);
    lines->number++;
    if (lines->hash != NULL) {
        lng_hash_add(lines->hash, data, length);
        lng_hash_add(lines->hash, "\n", 1);
    }
    *got = true;
    return LNG_OK;
}
