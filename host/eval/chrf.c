#include "host/eval/chrf.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/eval/ngram.h"

/* A side of a segment: its code points without white space, and its words as exact numbers. */
struct side {
    uint32_t *characters;
    size_t character_count, character_capacity;
    struct lng_slice *words;
    size_t word_count, word_capacity;
    uint32_t *word_units;
    size_t unit_capacity;
};

static void release_side(struct side *side)
{
    lng_free(side->characters);
    lng_free(side->words);
    lng_free(side->word_units);
}

static bool is_ascii_punctuation(char c)
{
    return c > 0x20 && c < 0x7F && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL;
}

static enum lng_status add_word(struct side *side, const char *text, size_t length)
{
    LNG_TRY(
        lng_grow(&side->words, &side->word_capacity, side->word_count + 1, sizeof *side->words));
    side->words[side->word_count++] = (struct lng_slice){text, length};
    return LNG_OK;
}

/* One punctuation mark is taken off the end, or else off the front, of words of two or more characters. */
static enum lng_status split_word(struct side *side, const char *text, size_t length)
{
    if (lng_utf8_count(text, length) > 1) {
        if (is_ascii_punctuation(text[length - 1])) {
            LNG_TRY(add_word(side, text, length - 1));
            return add_word(side, text + length - 1, 1);
        }
        if (is_ascii_punctuation(text[0])) {
            LNG_TRY(add_word(side, text, 1));
            return add_word(side, text + 1, length - 1);
        }
    }
    return add_word(side, text, length);
}

static enum lng_status read_side(struct side *side, struct lng_slice text, bool words)
{
    size_t word_start = 0;
    for (size_t at = 0; at <= text.length;) {
        uint32_t c = ' ';
        size_t bytes = at < text.length ? lng_utf8_decode(text.data + at, text.length - at, &c) : 1;
        if (lng_is_python_space(c)) {
            if (words && at > word_start)
                LNG_TRY(split_word(side, text.data + word_start, at - word_start));
            word_start = at + bytes;
        } else {
            LNG_TRY(lng_grow(&side->characters, &side->character_capacity,
                             side->character_count + 1, sizeof *side->characters));
            side->characters[side->character_count++] = c;
        }
        at += bytes;
    }
    return LNG_OK;
}

static bool same(struct lng_slice a, struct lng_slice b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* Numbers words: those of the hypothesis by their first place in it, others by their first place in the
 * reference. Segments are short, and most words differ in length or first byte. */
static enum lng_status number_words(struct side *side, const struct side *first)
{
    LNG_TRY(lng_grow(&side->word_units, &side->unit_capacity, side->word_count,
                     sizeof *side->word_units));
    for (size_t i = 0; i < side->word_count; i++) {
        size_t known = first->word_count;
        for (size_t j = 0; j < first->word_count; j++) {
            if (same(first->words[j], side->words[i])) {
                known = j;
                break;
            }
        }
        for (size_t j = 0; known == first->word_count && j <= i; j++)
            if (same(side->words[j], side->words[i]))
                known = first->word_count + 1 + j;
        side->word_units[i] = (uint32_t)known + 1;
    }
    return LNG_OK;
}

static enum lng_status count_order(struct lng_chrf_counts *counts, int slot, const uint32_t *a,
                                   size_t a_count, const uint32_t *b, size_t b_count, int order)
{
    struct lng_ngrams hypothesis = {0}, reference = {0};
    enum lng_status status = lng_ngrams_build(&hypothesis, a, a_count, order);
    if (status == LNG_OK)
        status = lng_ngrams_build(&reference, b, b_count, order);
    if (status == LNG_OK) {
        counts->reference[slot] = (int64_t)reference.count;
        counts->hypothesis[slot] = reference.count > 0 ? (int64_t)hypothesis.count : 0;
        counts->matches[slot] = (int64_t)lng_ngrams_matches(&hypothesis, &reference, 1);
    }
    lng_ngrams_release(&hypothesis);
    lng_ngrams_release(&reference);
    return status;
}

static enum lng_status count_pair(struct lng_chrf_counts *counts, bool words, const struct side *a,
                                  struct side *b)
{
    for (int n = 0; n < LNG_CHRF_CHARACTER_ORDERS; n++)
        LNG_TRY(count_order(counts, n, a->characters, a->character_count, b->characters,
                            b->character_count, n + 1));
    if (!words)
        return LNG_OK;
    LNG_TRY(number_words(b, a));
    for (int n = 0; n < LNG_CHRF_WORD_ORDERS; n++)
        LNG_TRY(count_order(counts, LNG_CHRF_CHARACTER_ORDERS + n, a->word_units, a->word_count,
                            b->word_units, b->word_count, n + 1));
    return LNG_OK;
}

enum lng_status lng_chrf_add(struct lng_chrf_counts *counts, bool words,
                             struct lng_slice hypothesis, const struct lng_slice *references,
                             size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "chrF needs at least one reference");
    struct side own = {0};
    struct lng_chrf_counts best = {0};
    double best_score = -1;
    enum lng_status status = read_side(&own, hypothesis, words);
    if (status == LNG_OK && words)
        status = number_words(&own, &own);
    for (size_t r = 0; r < reference_count && status == LNG_OK; r++) {
        struct side other = {0};
        struct lng_chrf_counts pair = {0};
        status = read_side(&other, references[r], words);
        if (status == LNG_OK)
            status = count_pair(&pair, words, &own, &other);
        release_side(&other);
        double score = lng_chrf_compute(&pair, words);
        if (status == LNG_OK && score > best_score) {
            best_score = score;
            best = pair;
        }
    }
    release_side(&own);
    if (status != LNG_OK)
        return status;
    for (int n = 0; n < LNG_CHRF_ORDERS; n++) {
        counts->hypothesis[n] += best.hypothesis[n];
        counts->reference[n] += best.reference[n];
        counts->matches[n] += best.matches[n];
    }
    return LNG_OK;
}

double lng_chrf_compute(const struct lng_chrf_counts *counts, bool words)
{
    double precision = 0, recall = 0;
    int orders = words ? LNG_CHRF_ORDERS : LNG_CHRF_CHARACTER_ORDERS, effective = 0;
    for (int n = 0; n < orders; n++) {
        if (counts->hypothesis[n] == 0 || counts->reference[n] == 0)
            continue;
        precision += (double)counts->matches[n] / (double)counts->hypothesis[n];
        recall += (double)counts->matches[n] / (double)counts->reference[n];
        effective++;
    }
    if (effective == 0 || precision + recall == 0)
        return 0;
    precision /= effective;
    recall /= effective;
    const double beta_squared = 4;
    return 100 * (1 + beta_squared) * precision * recall / (beta_squared * precision + recall);
}

enum lng_status lng_chrf_signature(struct lng_buffer *text, size_t reference_count, bool words)
{
    return lng_buffer_append_format(
        text,
        "nrefs:%zu|case:mixed|eff:yes|nc:6|nw:%d|space:no|version:2.6.0-compatible:lingster-%s",
        reference_count, words ? LNG_CHRF_WORD_ORDERS : 0, LNG_VERSION);
}
