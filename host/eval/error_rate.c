#include "host/eval/error_rate.h"

#include <string.h>

#include "host/base/mem.h"

struct units {
    struct lng_slice *list;
    size_t count, capacity;
};

static enum lng_status add_unit(struct units *units, struct lng_slice unit)
{
    LNG_TRY(lng_grow(&units->list, &units->capacity, units->count + 1, sizeof *units->list));
    units->list[units->count++] = unit;
    return LNG_OK;
}

static enum lng_status split(struct units *units, struct lng_slice text, bool characters)
{
    struct lng_slice word;
    if (!characters) {
        while (lng_text_next_word(&text, &word))
            LNG_TRY(add_unit(units, word));
        return LNG_OK;
    }
    for (size_t at = 0; at < text.length;) {
        uint32_t code_point;
        size_t bytes = lng_utf8_decode(text.data + at, text.length - at, &code_point);
        LNG_TRY(add_unit(units, (struct lng_slice){text.data + at, bytes}));
        at += bytes;
    }
    return LNG_OK;
}

static bool same(struct lng_slice a, struct lng_slice b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* Wagner and Fischer 1974, one row of the table at a time; row [b->count + 1]. */
static size_t distance(const struct units *a, const struct units *b, size_t *row)
{
    for (size_t j = 0; j <= b->count; j++)
        row[j] = j;
    for (size_t i = 0; i < a->count; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b->count; j++) {
            size_t best = diagonal + !same(a->list[i], b->list[j]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[b->count];
}

static enum lng_status edits(struct lng_slice hypothesis, struct lng_slice reference,
                             bool characters, int64_t *edit_count, int64_t *unit_count)
{
    struct units a = {0}, b = {0};
    size_t *row = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(split(&a, hypothesis, characters));
    LNG_TRY_OR_FAIL(split(&b, reference, characters));
    row = lng_alloc(b.count + 1, sizeof *row);
    LNG_GOTO_FAIL_IF(row == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    *edit_count = (int64_t)distance(&a, &b, row);
    *unit_count = (int64_t)b.count;
fail:
    lng_free(row);
    lng_free(a.list);
    lng_free(b.list);
    return status;
}

enum lng_status lng_error_add(struct lng_error_counts *counts, struct lng_slice hypothesis,
                              const struct lng_slice *references, size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "error rates need at least one reference");
    struct lng_error_counts best = {0};
    for (size_t r = 0; r < reference_count; r++) {
        struct lng_error_counts one = {.segments = 1};
        LNG_TRY(edits(hypothesis, references[r], false, &one.word_edits, &one.words));
        LNG_TRY(edits(hypothesis, references[r], true, &one.character_edits, &one.characters));
        one.exact = same(hypothesis, references[r]);
        if (r == 0 || one.word_edits < best.word_edits ||
            (one.word_edits == best.word_edits && one.character_edits < best.character_edits))
            best = one;
    }
    counts->word_edits += best.word_edits;
    counts->words += best.words;
    counts->character_edits += best.character_edits;
    counts->characters += best.characters;
    counts->segments += best.segments;
    counts->exact += best.exact;
    return LNG_OK;
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

double lng_word_error_rate(const struct lng_error_counts *counts)
{
    return percent(counts->word_edits, counts->words);
}

double lng_character_error_rate(const struct lng_error_counts *counts)
{
    return percent(counts->character_edits, counts->characters);
}

double lng_sentence_accuracy(const struct lng_error_counts *counts)
{
    return percent(counts->exact, counts->segments);
}
