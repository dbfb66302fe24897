#include "host/store/shortlist.h"

#include <string.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/shortlist_text.h"

/* Header fields, u64 each. */
enum { MAGIC, CHECKSUM, FIRST, BEST, OFFSETS, IDS, HEADER_WORDS };
static const size_t largest_file = (size_t)1 << 31;

void lng_shortlist_release(struct lng_shortlist *shortlist)
{
    lng_free(shortlist->offsets);
    lng_free(shortlist->ids);
    memset(shortlist, 0, sizeof *shortlist);
}

uint64_t lng_shortlist_checksum(const void *data, size_t count)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++)
        hash ^= lng_load_u64((const unsigned char *)data + 8 * i) + 0x9e3779b9u + (hash << 6) +
                (hash >> 2);
    return hash;
}

static enum lng_status check_header(const char *name, const unsigned char *data, size_t size,
                                    int32_t source_rows, int32_t target_rows)
{
    const size_t header_bytes = HEADER_WORDS * sizeof(uint64_t);
    LNG_FAIL_IF(size < header_bytes, LNG_ERR_FORMAT,
                "%s: shortlist: expected a header of %zu bytes, found %zu; the file is cut off",
                name, header_bytes, size);
    uint64_t field[HEADER_WORDS];
    for (size_t i = 0; i < HEADER_WORDS; i++)
        field[i] = lng_load_u64(data + 8 * i);
    LNG_FAIL_IF(field[MAGIC] != LNG_SHORTLIST_MAGIC, LNG_ERR_FORMAT,
                "%s: shortlist: expected the magic number %016llx, found %016llx", name,
                (unsigned long long)LNG_SHORTLIST_MAGIC, (unsigned long long)field[MAGIC]);
    const size_t rest = size - header_bytes;
    bool fits = field[OFFSETS] <= rest / 8 && field[IDS] <= rest / 4 &&
                field[OFFSETS] * 8 + field[IDS] * 4 == rest;
    LNG_FAIL_IF(!fits, LNG_ERR_FORMAT,
                "%s: shortlist: the header speaks of %llu offsets and %llu ids, which is not what "
                "%zu bytes hold; the file is cut off or damaged",
                name, (unsigned long long)field[OFFSETS], (unsigned long long)field[IDS], size);
    uint64_t checksum = lng_shortlist_checksum(data + 16, (size - 16) / 8);
    LNG_FAIL_IF(checksum != field[CHECKSUM], LNG_ERR_FORMAT,
                "%s: shortlist: expected the checksum %016llx, found %016llx; the file is damaged",
                name, (unsigned long long)field[CHECKSUM], (unsigned long long)checksum);
    LNG_FAIL_IF(field[OFFSETS] < 1 || field[OFFSETS] > (uint64_t)source_rows + 1, LNG_ERR_MISMATCH,
                "%s: shortlist: expected offsets for 0 to %d source words, found %llu offsets; it "
                "is made for another vocabulary",
                name, source_rows, (unsigned long long)field[OFFSETS]);
    LNG_FAIL_IF(field[FIRST] > (uint64_t)target_rows, LNG_ERR_MISMATCH,
                "%s: shortlist: expected at most %d first words, found %llu; it is made for "
                "another vocabulary",
                name, target_rows, (unsigned long long)field[FIRST]);
    return LNG_OK;
}

static enum lng_status read_offsets(const char *name, const unsigned char *at, uint64_t id_count,
                                    struct lng_shortlist *list)
{
    for (int64_t i = 0; i <= list->source_words; i++) {
        uint64_t offset = lng_load_u64(at + 8 * i),
                 before = i > 0 ? lng_load_u64(at + 8 * i - 8) : 0;
        LNG_FAIL_IF(offset < before || offset > id_count, LNG_ERR_FORMAT,
                    "%s: shortlist: offset %lld: expected %llu to %llu, found %llu", name,
                    (long long)i, (unsigned long long)before, (unsigned long long)id_count,
                    (unsigned long long)offset);
        list->offsets[i] = (int64_t)offset;
        int64_t length = i > 0 ? (int64_t)(offset - before) : 0;
        list->longest = length > list->longest ? length : list->longest;
    }
    return LNG_OK;
}

enum lng_status lng_shortlist_parse_binary(const char *name, const void *bytes, size_t size,
                                           int32_t source_rows, int32_t target_rows,
                                           struct lng_shortlist *shortlist)
{
    const unsigned char *data = bytes;
    LNG_TRY(check_header(name, data, size, source_rows, target_rows));
    const uint64_t offset_count = lng_load_u64(data + 8 * OFFSETS);
    const uint64_t id_count = lng_load_u64(data + 8 * IDS);
    struct lng_shortlist made = {
        .first = (int64_t)lng_load_u64(data + 8 * FIRST),
        .source_words = (int64_t)offset_count - 1,
        .target_rows = target_rows,
    };
    made.offsets = lng_alloc((size_t)offset_count, sizeof *made.offsets);
    made.ids = lng_alloc((size_t)id_count, sizeof *made.ids);
    enum lng_status status = made.offsets && made.ids ? LNG_OK : LNG_ERR_MEMORY;
    const unsigned char *at = data + 8 * HEADER_WORDS;
    if (status == LNG_OK)
        status = read_offsets(name, at, id_count, &made);
    at += 8 * offset_count;
    for (uint64_t i = 0; status == LNG_OK && i < id_count; i++) {
        uint32_t id = lng_load_u32(at + 4 * i);
        if (id >= (uint32_t)target_rows)
            status =
                lng_fail(LNG_ERR_MISMATCH,
                         "%s: shortlist: id %llu: expected a target word below %d, found %u; it "
                         "is made for another vocabulary",
                         name, (unsigned long long)i, target_rows, id);
        else
            made.ids[i] = (int32_t)id;
    }
    if (status != LNG_OK) {
        lng_shortlist_release(&made);
        return status;
    }
    *shortlist = made;
    return LNG_OK;
}

static enum lng_status read_binary(const char *path, int32_t source_rows, int32_t target_rows,
                                   struct lng_shortlist *shortlist)
{
    struct lng_buffer content = {0};
    enum lng_status status = lng_file_read(path, largest_file, &content);
    if (status == LNG_OK)
        status = lng_shortlist_parse_binary(path, content.data, content.length, source_rows,
                                            target_rows, shortlist);
    lng_buffer_release(&content);
    return status;
}

/* Whether the file begins with the magic number; what cannot be mapped (a pipe, compressed or not) is text. */
static bool is_binary(const char *path)
{
    struct lng_map map = {0};
    if (lng_map_open(&map, path) != LNG_OK)
        return false;
    bool binary = map.size >= 8 && lng_load_u64(map.data) == LNG_SHORTLIST_MAGIC;
    lng_map_close(&map);
    return binary;
}

enum lng_status lng_shortlist_read(const char *path, const struct lng_vocab *source,
                                   const struct lng_vocab *target, bool shared,
                                   const struct lng_shortlist_options *options,
                                   struct lng_shortlist *shortlist)
{
    enum lng_status status;
    if (is_binary(path)) {
        status = read_binary(path, lng_vocab_size(source), lng_vocab_size(target), shortlist);
    } else {
        struct lng_lines *lines = NULL;
        LNG_TRY(lng_lines_open(path, &lines));
        status = lng_shortlist_read_text(path, lines, source, target, options, shortlist);
        lng_lines_close(lines);
    }
    if (status == LNG_OK)
        shortlist->shared = shared;
    return status;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t lng_shortlist_bound(const struct lng_shortlist *shortlist, int64_t source_length)
{
    const int64_t all = shortlist->target_rows, each = shortlist->longest + shortlist->shared;
    if (each > 0 && source_length > all / each)
        return all;
    return at_most(all, shortlist->first + source_length * each);
}

int32_t lng_shortlist_collect(const struct lng_shortlist *shortlist, const int32_t *source,
                              int32_t source_length, const int32_t *extra, int32_t extra_count,
                              uint8_t *marks, int32_t *tokens)
{
    const int32_t rows = shortlist->target_rows;
    memset(marks, 1, (size_t)at_most(shortlist->first, rows));
    for (int32_t i = 0; i < extra_count; i++)
        if (extra[i] >= 0 && extra[i] < rows)
            marks[extra[i]] = 1;
    for (int32_t i = 0; i < source_length; i++) {
        const int32_t word = source[i];
        if (word < 0)
            continue;
        if (shortlist->shared && word < rows)
            marks[word] = 1;
        if (word < shortlist->source_words)
            for (int64_t j = shortlist->offsets[word]; j < shortlist->offsets[word + 1]; j++)
                marks[shortlist->ids[j]] = 1;
    }
    int32_t count = 0;
    for (int32_t token = 0; token < rows; token++)
        if (marks[token]) {
            tokens[count++] = token;
            marks[token] = 0;
        }
    return count;
}
