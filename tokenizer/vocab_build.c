#include "tokenizer/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"

struct counted {
    struct lng_slice text;
    uint64_t count;
};

struct counter {
    struct lng_vocab *seen;
    uint64_t *counts;
    size_t capacity;
    struct lng_buffer repaired;
};

static bool is_special(struct lng_slice word)
{
    return lng_slice_equals(word, LNG_EOS_TEXT) || lng_slice_equals(word, LNG_UNK_TEXT) ||
           lng_slice_equals(word, LNG_PAD_TEXT);
}

static enum lng_status count_line(struct counter *counter, const char *text, size_t length)
{
    struct lng_slice rest = {text, length}, word;
    while (lng_text_next_word(&rest, &word)) {
        if (memchr(word.data, 0, word.length) != NULL)
            continue;
        if (!lng_utf8_valid(word.data, word.length)) {
            lng_buffer_clear(&counter->repaired);
            LNG_TRY(lng_buffer_append_repaired(&counter->repaired, word.data, word.length, NULL));
            word = (struct lng_slice){counter->repaired.data, counter->repaired.length};
        }
        if (word.length > LNG_VOCAB_MAX_ENTRY_BYTES || is_special(word))
            continue;
        int32_t id = lng_vocab_find(counter->seen, word.data, word.length);
        if (id < 0) {
            LNG_TRY(lng_vocab_add(counter->seen, word.data, word.length, &id));
            LNG_TRY(lng_grow(&counter->counts, &counter->capacity, (size_t)id + 1,
                             sizeof *counter->counts));
        }
        counter->counts[id]++;
    }
    return LNG_OK;
}

static int by_count_then_bytes(const void *left, const void *right)
{
    const struct counted *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    size_t shorter = a->text.length < b->text.length ? a->text.length : b->text.length;
    int order = memcmp(a->text.data, b->text.data, shorter);
    return order != 0 ? order
                      : (a->text.length > b->text.length) - (a->text.length < b->text.length);
}

static enum lng_status fill(struct lng_vocab *vocab, const struct counted *sorted, size_t count,
                            size_t max_size, uint64_t min_count)
{
    LNG_TRY(lng_vocab_add(vocab, LNG_EOS_TEXT, strlen(LNG_EOS_TEXT), NULL));
    LNG_TRY(lng_vocab_add(vocab, LNG_UNK_TEXT, strlen(LNG_UNK_TEXT), NULL));
    for (size_t i = 0; i < count && sorted[i].count >= min_count; i++) {
        if (max_size > 0 && (size_t)lng_vocab_size(vocab) + 1 >= max_size)
            break;
        LNG_TRY(lng_vocab_add(vocab, sorted[i].text.data, sorted[i].text.length, NULL));
    }
    return lng_vocab_add(vocab, LNG_PAD_TEXT, strlen(LNG_PAD_TEXT), NULL);
}

enum lng_status lng_vocab_build_symbols(lng_next_line next, void *context, size_t max_size,
                                        uint64_t min_count, struct lng_vocab **vocab)
{
    struct counter counter = {0};
    struct counted *sorted = NULL;
    struct lng_vocab *fresh = NULL;
    const char *text;
    size_t length;
    bool got;
    enum lng_status status;
    LNG_FAIL_IF(max_size > 0 && max_size < 4, LNG_ERR_RANGE,
                "a vocabulary of at most %zu entries, expected 4 or more (three are special)",
                max_size);
    LNG_TRY_OR_FAIL(lng_vocab_open(&counter.seen));
    while ((status = next(context, &text, &length, &got)) == LNG_OK && got)
        LNG_TRY_OR_FAIL(count_line(&counter, text, length));
    LNG_TRY_OR_FAIL(status);
    size_t count = (size_t)lng_vocab_size(counter.seen);
    LNG_GOTO_FAIL_IF(count == 0, LNG_ERR_FORMAT,
                     "the corpus holds no symbol to build a vocabulary from");
    sorted = lng_alloc(count, sizeof *sorted);
    LNG_TRY_OR_FAIL(sorted == NULL ? LNG_ERR_MEMORY : LNG_OK);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct counted){lng_vocab_entry(counter.seen, (int32_t)i), counter.counts[i]};
    qsort(sorted, count, sizeof *sorted, by_count_then_bytes);
    LNG_TRY_OR_FAIL(lng_vocab_open(&fresh));
    LNG_TRY_OR_FAIL(fill(fresh, sorted, count, max_size, min_count));
    *vocab = fresh;
    fresh = NULL;
fail:
    lng_vocab_close(fresh);
    lng_free(sorted);
    lng_vocab_close(counter.seen);
    lng_free(counter.counts);
    lng_buffer_release(&counter.repaired);
    return status;
}
