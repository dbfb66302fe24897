/* Both forms of shortlists that shortlist.h reads. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/shortlist.h"

/* Fields are separated by white space, and NULL is the empty word. */
static bool is_word(struct lng_slice entry)
{
    for (size_t i = 0; i < entry.length; i++)
        if (memchr(" \t\n\v\f\r", entry.data[i], 6) != NULL || entry.data[i] == '\0')
            return false;
    return entry.length > 0 && !lng_slice_equals(entry, "NULL");
}

static enum lng_status write_line(struct lng_atomic_file *file, struct lng_slice target,
                                  struct lng_slice source, double probability)
{
    char number[40];
    const int length = snprintf(number, sizeof number, " %.7g\n", probability);
    LNG_TRY(lng_atomic_write(file, target.data, target.length));
    LNG_TRY(lng_atomic_write(file, " ", 1));
    LNG_TRY(lng_atomic_write(file, source.data, source.length));
    return lng_atomic_write(file, number, (size_t)length);
}

static enum lng_status write_text(struct lng_atomic_file *file,
                                  const struct lng_shortlist_table *table,
                                  const struct lng_vocab *source, const struct lng_vocab *target,
                                  int64_t *left_out)
{
    for (int32_t word = 0; word < table->source_words; word++) {
        const struct lng_slice from = lng_vocab_entry(source, word);
        bool named = is_word(from);
        for (int64_t i = table->offsets[word]; i < table->offsets[word + 1]; i++) {
            const struct lng_slice to = lng_vocab_entry(target, table->targets[i]);
            if (named && is_word(to))
                LNG_TRY(write_line(file, to, from, table->probabilities[i]));
            else
                ++*left_out;
        }
    }
    return LNG_OK;
}

enum lng_status lng_shortlist_write_text(const char *path, const struct lng_shortlist_table *table,
                                         const struct lng_vocab *source,
                                         const struct lng_vocab *target, int64_t *left_out)
{
    struct lng_atomic_file file = {.fd = -1};
    int64_t count = 0;
    LNG_TRY(lng_atomic_open(&file, path));
    enum lng_status status = write_text(&file, table, source, target, &count);
    if (status == LNG_OK)
        status = lng_atomic_commit(&file);
    lng_atomic_discard(&file);
    if (status == LNG_OK)
        *left_out = count;
    return status;
}

static int by_id(const void *left, const void *right)
{
    const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

enum lng_status lng_shortlist_write_binary(const char *path,
                                           const struct lng_shortlist_table *table, int32_t first,
                                           int32_t best)
{
    enum { HEADER = 48 };
    const size_t offsets = (size_t)table->source_words + 1;
    const size_t ids = (size_t)table->offsets[table->source_words];
    const size_t bytes = HEADER + 8 * offsets + 4 * ids;
    unsigned char *data = lng_alloc(bytes, 1), *at = data;
    int32_t *sorted = lng_alloc(ids, sizeof *sorted);
    enum lng_status status = data != NULL && sorted != NULL ? LNG_OK : LNG_ERR_MEMORY;
    const uint64_t header[] = {LNG_SHORTLIST_MAGIC, 0,       (uint64_t)first,
                               (uint64_t)best,      offsets, ids};
    for (size_t i = 0; status == LNG_OK && i < 6; i++, at += 8)
        lng_store_u64(at, header[i]);
    for (size_t i = 0; status == LNG_OK && i < offsets; i++, at += 8)
        lng_store_u64(at, (uint64_t)table->offsets[i]);
    if (status == LNG_OK && ids > 0)
        memcpy(sorted, table->targets, ids * sizeof *sorted);
    for (int32_t word = 0; status == LNG_OK && word < table->source_words; word++) {
        const int64_t begin = table->offsets[word];
        qsort(sorted + begin, (size_t)(table->offsets[word + 1] - begin), sizeof *sorted, by_id);
    }
    for (size_t i = 0; status == LNG_OK && i < ids; i++, at += 4)
        lng_store_u32(at, (uint32_t)sorted[i]);
    if (status == LNG_OK) {
        lng_store_u64(data + 8, lng_shortlist_checksum(data + 16, (bytes - 16) / 8));
        status = lng_file_write(path, data, bytes);
    }
    lng_free(data);
    lng_free(sorted);
    return status;
}
