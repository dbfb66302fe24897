#include "host/eval/bleu.h"

#include <math.h>

#include "host/base/mem.h"
#include "host/eval/ngram.h"

double lng_bleu_smooth_value(enum lng_bleu_smoothing smoothing)
{
    return smoothing == LNG_BLEU_SMOOTH_FLOOR ? 0.1 : smoothing == LNG_BLEU_SMOOTH_ADD_K ? 1 : 0;
}

struct lng_bleu_options lng_bleu_options_default(void)
{
    return (struct lng_bleu_options){.tokenization = LNG_TOKENIZATION_13A,
                                     .smoothing = LNG_BLEU_SMOOTH_EXP};
}

/* ---- one segment ---- */

/* All sides of a segment, tokenised: the hypothesis, then the references. */
struct segment {
    struct lng_buffer *texts;
    struct lng_units *sides;
    size_t count;
    struct lng_words words;
};

static void release_segment(struct segment *segment)
{
    for (size_t s = 0; s < segment->count; s++) {
        lng_buffer_release(&segment->texts[s]);
        lng_units_release(&segment->sides[s]);
    }
    lng_free(segment->texts);
    lng_free(segment->sides);
    lng_words_release(&segment->words);
}

static enum lng_status read_side(struct segment *segment, size_t side,
                                 const struct lng_bleu_options *options, struct lng_slice text)
{
    struct lng_buffer lower = {0}, *tokens = &segment->texts[side];
    enum lng_status status;
    if (options->lowercase) {
        LNG_TRY_OR_FAIL(lng_lowercase(text, &lower));
        text = (struct lng_slice){lower.data, lower.length};
    }
    LNG_TRY_OR_FAIL(lng_tokenize(options->tokenization, text.data, text.length, tokens));
    LNG_TRY_OR_FAIL(lng_words_split(
        &segment->words, (struct lng_slice){tokens->data, tokens->length}, &segment->sides[side]));
fail:
    lng_buffer_release(&lower);
    return status;
}

/* Length of the reference closest to the hypothesis; of two, the shorter. */
static size_t closest_length(const struct segment *segment)
{
    size_t own = segment->sides[0].count, best = segment->sides[1].count;
    for (size_t r = 2; r < segment->count; r++) {
        size_t length = segment->sides[r].count;
        size_t gap = length > own ? length - own : own - length;
        size_t best_gap = best > own ? best - own : own - best;
        if (gap < best_gap || (gap == best_gap && length < best))
            best = length;
    }
    return best;
}

enum lng_status lng_bleu_add(struct lng_bleu_counts *counts, const struct lng_bleu_options *options,
                             struct lng_slice hypothesis, const struct lng_slice *references,
                             size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "BLEU needs at least one reference");
    enum lng_status status;
    struct segment segment = {0};
    int64_t matches[LNG_BLEU_ORDERS];
    segment.texts = lng_alloc(reference_count + 1, sizeof *segment.texts);
    segment.sides = lng_alloc(reference_count + 1, sizeof *segment.sides);
    LNG_GOTO_FAIL_IF(!segment.texts || !segment.sides, LNG_ERR_MEMORY, "%s", lng_error_message());
    segment.count = reference_count + 1;
    for (size_t s = 0; s < segment.count; s++)
        LNG_TRY_OR_FAIL(read_side(&segment, s, options, s == 0 ? hypothesis : references[s - 1]));
    LNG_TRY_OR_FAIL(lng_ngram_matches(&segment.sides[0], &segment.sides[1], reference_count,
                                      LNG_BLEU_ORDERS, matches));
    for (int n = 0; n < LNG_BLEU_ORDERS; n++) {
        counts->correct[n] += matches[n];
        counts->total[n] += lng_ngram_total(segment.sides[0].count, n + 1);
    }
    counts->hypothesis_length += (int64_t)segment.sides[0].count;
    counts->reference_length += (int64_t)closest_length(&segment);
fail:
    release_segment(&segment);
    return status;
}

/* ---- the score ---- */

static double brevity_penalty(const struct lng_bleu_counts *counts)
{
    if (counts->hypothesis_length >= counts->reference_length)
        return 1;
    if (counts->hypothesis_length == 0)
        return 0;
    return exp(1 - (double)counts->reference_length / (double)counts->hypothesis_length);
}

/* Fills in the precisions; returns the number of orders that have n-grams at all. */
static int smooth_precisions(const struct lng_bleu_counts *counts,
                             const struct lng_bleu_options *options,
                             double precisions[LNG_BLEU_ORDERS])
{
    double power = 1;
    for (int n = 0; n < LNG_BLEU_ORDERS; n++) {
        double correct = (double)counts->correct[n], total = (double)counts->total[n];
        if (options->smoothing == LNG_BLEU_SMOOTH_ADD_K && n > 0) {
            correct += options->smooth_value;
            total += options->smooth_value;
        }
        if (total == 0)
            return n;
        if (correct > 0) {
            precisions[n] = 100 * correct / total;
        } else if (options->smoothing == LNG_BLEU_SMOOTH_EXP) {
            power *= 2;
            precisions[n] = 100 / (power * total);
        } else if (options->smoothing == LNG_BLEU_SMOOTH_FLOOR) {
            precisions[n] = 100 * options->smooth_value / total;
        }
    }
    return LNG_BLEU_ORDERS;
}

struct lng_bleu_score lng_bleu_compute(const struct lng_bleu_counts *counts,
                                       const struct lng_bleu_options *options)
{
    struct lng_bleu_score result = {.brevity_penalty = brevity_penalty(counts)};
    if (counts->reference_length > 0)
        result.ratio = (double)counts->hypothesis_length / (double)counts->reference_length;
    int64_t correct = 0;
    for (int n = 0; n < LNG_BLEU_ORDERS; n++)
        correct += counts->correct[n];
    if (correct == 0)
        return result;
    int found = smooth_precisions(counts, options, result.precisions);
    int orders = options->effective_order ? found : LNG_BLEU_ORDERS;
    double sum = 0;
    for (int n = 0; n < orders; n++)
        sum += result.precisions[n] > 0 ? log(result.precisions[n]) : -9999999999.0;
    result.score = result.brevity_penalty * exp(sum / orders);
    return result;
}

enum lng_status lng_bleu_signature(struct lng_buffer *text, const struct lng_bleu_options *options)
{
    static const char *const smoothings[] = {"exp", "none", "floor", "add-k"};
    LNG_TRY(lng_buffer_append_format(
        text, "case:%s|eff:%s|tok:%s|smooth:%s", options->lowercase ? "lc" : "mixed",
        options->effective_order ? "yes" : "no", lng_tokenization_name(options->tokenization),
        smoothings[options->smoothing]));
    if (options->smoothing != LNG_BLEU_SMOOTH_FLOOR && options->smoothing != LNG_BLEU_SMOOTH_ADD_K)
        return LNG_OK;
    return lng_buffer_append_format(text, "[%.2f]", options->smooth_value);
}
