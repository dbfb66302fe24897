#include "host/eval/chrf.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/eval/ngram.h"

struct lng_chrf_options lng_chrf_options_default(bool words)
{
    return (struct lng_chrf_options){.character_order = LNG_CHRF_CHARACTER_ORDERS,
                                     .word_order = words ? LNG_CHRF_WORD_ORDERS : 0,
                                     .beta = LNG_CHRF_BETA};
}

/* A side of a segment: its code points, and its words as numbers. */
struct side {
    struct lng_buffer lower;
    struct lng_units characters, words;
};

static void release_side(struct side *side)
{
    lng_buffer_release(&side->lower);
    lng_units_release(&side->characters);
    lng_units_release(&side->words);
}

static bool is_ascii_punctuation(char c)
{
    return c > 0x20 && c < 0x7F && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL;
}

static enum lng_status add_word(struct side *side, struct lng_words *words, const char *text,
                                size_t length)
{
    uint32_t number;
    LNG_TRY(lng_words_number(words, (struct lng_slice){text, length}, &number));
    return lng_units_append(&side->words, number);
}

/* One punctuation mark is taken off the end, or else off the front, of words of two or more characters. */
static enum lng_status split_word(struct side *side, struct lng_words *words, const char *text,
                                  size_t length)
{
    if (lng_utf8_count(text, length) > 1) {
        if (is_ascii_punctuation(text[length - 1])) {
            LNG_TRY(add_word(side, words, text, length - 1));
            return add_word(side, words, text + length - 1, 1);
        }
        if (is_ascii_punctuation(text[0])) {
            LNG_TRY(add_word(side, words, text, 1));
            return add_word(side, words, text + 1, length - 1);
        }
    }
    return add_word(side, words, text, length);
}

/* Bytes that are no UTF-8 stand for themselves, above all code points. */
static enum lng_status add_character(struct side *side, const char *text, size_t bytes, uint32_t c)
{
    if (c != LNG_UTF8_INVALID)
        return lng_units_append(&side->characters, c);
    for (size_t i = 0; i < bytes; i++)
        LNG_TRY(lng_units_append(&side->characters, 0x110000u | (unsigned char)text[i]));
    return LNG_OK;
}

static enum lng_status read_side(struct side *side, struct lng_words *words, struct lng_slice text,
                                 const struct lng_chrf_options *options)
{
    size_t word_start = 0;
    if (options->lowercase) {
        LNG_TRY(lng_lowercase(text, &side->lower));
        text = (struct lng_slice){side->lower.data, side->lower.length};
    }
    for (size_t at = 0, bytes; at <= text.length; at += bytes) {
        uint32_t c = ' ';
        bytes = at < text.length ? lng_utf8_decode(text.data + at, text.length - at, &c) : 1;
        bool space = lng_is_python_space(c);
        if (at < text.length && (!space || options->whitespace))
            LNG_TRY(add_character(side, text.data + at, bytes, c));
        if (!space)
            continue;
        if (options->word_order > 0 && at > word_start)
            LNG_TRY(split_word(side, words, text.data + word_start, at - word_start));
        word_start = at + bytes;
    }
    return LNG_OK;
}

/* Orders of one kind of unit, from `slot` of the counts on. */
static enum lng_status count_orders(struct lng_chrf_counts *counts, int slot, int orders,
                                    const struct lng_units *own, const struct lng_units *reference)
{
    LNG_TRY(lng_ngram_matches(own, reference, 1, orders, counts->matches + slot));
    for (int n = 0; n < orders; n++) {
        int64_t there = lng_ngram_total(reference->count, n + 1);
        counts->reference[slot + n] = there;
        counts->hypothesis[slot + n] = there > 0 ? lng_ngram_total(own->count, n + 1) : 0;
    }
    return LNG_OK;
}

static enum lng_status count_reference(struct lng_chrf_counts *counts, const struct side *own,
                                       struct lng_words *words, struct lng_slice reference,
                                       const struct lng_chrf_options *options)
{
    struct side other = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_side(&other, words, reference, options));
    LNG_TRY_OR_FAIL(
        count_orders(counts, 0, options->character_order, &own->characters, &other.characters));
    if (options->word_order > 0)
        LNG_TRY_OR_FAIL(count_orders(counts, options->character_order, options->word_order,
                                     &own->words, &other.words));
fail:
    release_side(&other);
    return status;
}

enum lng_status lng_chrf_add(struct lng_chrf_counts *counts, const struct lng_chrf_options *options,
                             struct lng_slice hypothesis, const struct lng_slice *references,
                             size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "chrF needs at least one reference");
    struct side own = {0};
    struct lng_chrf_counts best = {0};
    double best_score = -1;
    enum lng_status status = LNG_OK;
    for (size_t r = 0; r < reference_count && status == LNG_OK; r++) {
        struct lng_chrf_counts pair = {0};
        struct lng_words words = {0};
        release_side(&own);
        own = (struct side){0};
        status = read_side(&own, &words, hypothesis, options);
        if (status == LNG_OK)
            status = count_reference(&pair, &own, &words, references[r], options);
        lng_words_release(&words);
        double score = lng_chrf_compute(&pair, options);
        if (status == LNG_OK && score > best_score) {
            best_score = score;
            best = pair;
        }
    }
    release_side(&own);
    if (status != LNG_OK)
        return status;
    for (int n = 0; n < options->character_order + options->word_order; n++) {
        counts->hypothesis[n] += best.hypothesis[n];
        counts->reference[n] += best.reference[n];
        counts->matches[n] += best.matches[n];
    }
    return LNG_OK;
}

double lng_chrf_compute(const struct lng_chrf_counts *counts,
                        const struct lng_chrf_options *options)
{
    const double nothing = 1e-16, factor = (double)options->beta * options->beta;
    double precision = 0, recall = 0, smoothed = 0;
    int orders = options->character_order + options->word_order, effective = 0;
    for (int n = 0; n < orders; n++) {
        double hypothesis = (double)counts->hypothesis[n], reference = (double)counts->reference[n];
        double matches = (double)counts->matches[n];
        double p = hypothesis > 0 ? matches / hypothesis : nothing;
        double r = reference > 0 ? matches / reference : nothing;
        double denominator = factor * p + r;
        smoothed += denominator > 0 ? (1 + factor) * p * r / denominator : nothing;
        if (hypothesis > 0 && reference > 0) {
            precision += p;
            recall += r;
            effective++;
        }
    }
    if (options->eps_smoothing)
        return 100 * smoothed / orders;
    if (effective == 0 || precision + recall == 0)
        return 0;
    precision /= effective;
    recall /= effective;
    return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

enum lng_status lng_chrf_name(struct lng_buffer *text, const struct lng_chrf_options *options)
{
    LNG_TRY(lng_buffer_append_format(text, "chrF%d", options->beta));
    for (int i = 0; i < options->word_order; i++)
        LNG_TRY(lng_buffer_append_byte(text, '+'));
    return LNG_OK;
}

enum lng_status lng_chrf_signature(struct lng_buffer *text, const struct lng_chrf_options *options)
{
    return lng_buffer_append_format(text, "case:%s|eff:%s|nc:%d|nw:%d|space:%s",
                                    options->lowercase ? "lc" : "mixed",
                                    options->eps_smoothing ? "no" : "yes", options->character_order,
                                    options->word_order, options->whitespace ? "yes" : "no");
}
