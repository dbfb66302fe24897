#include "host/eval/error_rate.h"

#include <string.h>

#include "host/eval/edit_distance.h"
#include "host/eval/ngram.h"

/* Both sides of a comparison as numbers: 0 the hypothesis, 1 the reference. */
struct pair {
    struct lng_words words;
    struct lng_units sides[2];
};

static void release(struct pair *pair)
{
    lng_words_release(&pair->words);
    lng_units_release(&pair->sides[0]);
    lng_units_release(&pair->sides[1]);
}

typedef enum lng_status (*lng_split)(struct lng_words *words, struct lng_slice text,
                                     struct lng_units *units);

static enum lng_status read_pair(struct pair *pair, lng_split split, struct lng_slice hypothesis,
                                 struct lng_slice reference)
{
    LNG_TRY(split(&pair->words, hypothesis, &pair->sides[0]));
    return split(&pair->words, reference, &pair->sides[1]);
}

static enum lng_status compare_words(struct lng_error_counts *counts, struct lng_slice hypothesis,
                                     struct lng_slice reference)
{
    struct pair pair = {0};
    const struct lng_units *a = &pair.sides[0], *b = &pair.sides[1];
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_pair(&pair, lng_words_split, hypothesis, reference));
    LNG_TRY_OR_FAIL(lng_edit_distance(a, b, pair.words.count, &counts->word_edits));
    LNG_TRY_OR_FAIL(lng_ngram_matches(a, b, 1, 1, &counts->matches));
    counts->hypothesis_words = (int64_t)a->count;
    counts->words = (int64_t)b->count;
    counts->places = (int64_t)(a->count > b->count ? a->count : b->count);
    for (size_t i = 0; i < a->count && i < b->count; i++)
        counts->in_place += a->list[i] == b->list[i];
fail:
    release(&pair);
    return status;
}

static enum lng_status compare_characters(struct lng_error_counts *counts,
                                          struct lng_slice hypothesis, struct lng_slice reference)
{
    struct pair pair = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_pair(&pair, lng_words_characters, hypothesis, reference));
    LNG_TRY_OR_FAIL(lng_edit_distance(&pair.sides[0], &pair.sides[1], pair.words.count,
                                      &counts->character_edits));
    counts->characters = (int64_t)pair.sides[1].count;
fail:
    release(&pair);
    return status;
}

static void add(struct lng_error_counts *counts, const struct lng_error_counts *more)
{
    counts->word_edits += more->word_edits;
    counts->words += more->words;
    counts->character_edits += more->character_edits;
    counts->characters += more->characters;
    counts->segments += more->segments;
    counts->exact += more->exact;
    counts->in_place += more->in_place;
    counts->places += more->places;
    counts->matches += more->matches;
    counts->hypothesis_words += more->hypothesis_words;
}

enum lng_status lng_error_add(struct lng_error_counts *counts, struct lng_slice hypothesis,
                              const struct lng_slice *references, size_t reference_count,
                              bool characters)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "error rates need at least one reference");
    struct lng_error_counts best = {0};
    for (size_t r = 0; r < reference_count; r++) {
        struct lng_slice reference = references[r];
        struct lng_error_counts one = {.segments = 1};
        LNG_TRY(compare_words(&one, hypothesis, reference));
        if (characters || reference_count > 1)
            LNG_TRY(compare_characters(&one, hypothesis, reference));
        one.exact = hypothesis.length == reference.length &&
                    memcmp(hypothesis.data, reference.data, reference.length) == 0;
        if (r == 0 || one.word_edits < best.word_edits ||
            (one.word_edits == best.word_edits && one.character_edits < best.character_edits))
            best = one;
    }
    add(counts, &best);
    return LNG_OK;
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* Without reference words 100 if there are edits, as in TER: a wrong line is not to pass for a perfect one. */
static double error_percent(int64_t edits, int64_t whole)
{
    return whole == 0 && edits > 0 ? 100 : percent(edits, whole);
}

double lng_word_error_rate(const struct lng_error_counts *counts)
{
    return error_percent(counts->word_edits, counts->words);
}

double lng_character_error_rate(const struct lng_error_counts *counts)
{
    return error_percent(counts->character_edits, counts->characters);
}

double lng_sentence_accuracy(const struct lng_error_counts *counts)
{
    return percent(counts->exact, counts->segments);
}

double lng_token_accuracy(const struct lng_error_counts *counts)
{
    return percent(counts->in_place, counts->places);
}

double lng_token_precision(const struct lng_error_counts *counts)
{
    return percent(counts->matches, counts->hypothesis_words);
}

double lng_token_recall(const struct lng_error_counts *counts)
{
    return percent(counts->matches, counts->words);
}

double lng_token_f1(const struct lng_error_counts *counts)
{
    return percent(2 * counts->matches, counts->hypothesis_words + counts->words);
}
