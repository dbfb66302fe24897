#include "host/eval/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/eval/ngram.h"

/* ---- one segment ------------------------------------------------------------------------------ */

struct token {
    struct lng_slice text;
    size_t place; /* in the list of all tokens of the segment */
};

/* Tokens of all sides of a segment as small integers: equal tokens, equal integers. */
struct segment {
    struct lng_buffer *sides; /* tokenised texts: hypothesis, then references */
    size_t side_count;
    struct token *tokens;
    uint32_t *units;
    size_t *starts; /* [side_count + 1] */
    size_t count, capacity;
};

static int compare_tokens(const void *left, const void *right)
{
    const struct lng_slice *a = &((const struct token *)left)->text,
                           *b = &((const struct token *)right)->text;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->data, b->data, shorter);
    if (order != 0)
        return order;
    return a->length < b->length ? -1 : a->length > b->length;
}

static enum lng_status collect_tokens(struct segment *segment)
{
    for (size_t s = 0; s < segment->side_count; s++) {
        segment->starts[s] = segment->count;
        struct lng_slice rest = {segment->sides[s].data, segment->sides[s].length}, word;
        while (rest.length > 0 && lng_text_split(&rest, ' ', &word)) {
            LNG_TRY(lng_grow(&segment->tokens, &segment->capacity, segment->count + 1,
                             sizeof *segment->tokens));
            segment->tokens[segment->count] = (struct token){word, segment->count};
            segment->count++;
        }
    }
    segment->starts[segment->side_count] = segment->count;
    return LNG_OK;
}

static enum lng_status number_tokens(struct segment *segment)
{
    segment->units = lng_alloc(segment->count + 1, sizeof *segment->units);
    if (segment->units == NULL)
        return LNG_ERR_MEMORY;
    if (segment->count > 1)
        qsort(segment->tokens, segment->count, sizeof *segment->tokens, compare_tokens);
    uint32_t number = 1;
    for (size_t i = 0; i < segment->count; i++) {
        if (i > 0 && compare_tokens(&segment->tokens[i - 1], &segment->tokens[i]) != 0)
            number++;
        segment->units[segment->tokens[i].place] = number;
    }
    return LNG_OK;
}

static size_t side_length(const struct segment *segment, size_t side)
{
    return segment->starts[side + 1] - segment->starts[side];
}

/* Length of the reference closest to the hypothesis; of two, the shorter. */
static size_t closest_length(const struct segment *segment)
{
    size_t own = side_length(segment, 0), best = side_length(segment, 1);
    for (size_t r = 2; r < segment->side_count; r++) {
        size_t length = side_length(segment, r);
        size_t gap = length > own ? length - own : own - length;
        size_t best_gap = best > own ? best - own : own - best;
        if (gap < best_gap || (gap == best_gap && length < best))
            best = length;
    }
    return best;
}

static enum lng_status count_orders(const struct segment *segment, struct lng_bleu_counts *counts)
{
    struct lng_ngrams *lists = lng_alloc(segment->side_count, sizeof *lists);
    if (lists == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    for (int order = 1; order <= LNG_BLEU_ORDERS && status == LNG_OK; order++) {
        for (size_t s = 0; s < segment->side_count && status == LNG_OK; s++)
            status = lng_ngrams_build(&lists[s], segment->units + segment->starts[s],
                                      side_length(segment, s), order);
        if (status != LNG_OK)
            break;
        counts->total[order - 1] += (int64_t)lists[0].count;
        counts->correct[order - 1] +=
            (int64_t)lng_ngrams_matches(&lists[0], lists + 1, segment->side_count - 1);
    }
    for (size_t s = 0; s < segment->side_count; s++)
        lng_ngrams_release(&lists[s]);
    lng_free(lists);
    return status;
}

enum lng_status lng_bleu_add(struct lng_bleu_counts *counts, enum lng_tokenization tokenization,
                             struct lng_slice hypothesis, const struct lng_slice *references,
                             size_t reference_count)
{
    LNG_FAIL_IF(reference_count == 0, LNG_ERR_USAGE, "BLEU needs at least one reference");
    enum lng_status status;
    struct segment segment = {.side_count = reference_count + 1};
    struct lng_bleu_counts added = *counts;
    segment.sides = lng_alloc(segment.side_count, sizeof *segment.sides);
    segment.starts = lng_alloc(segment.side_count + 1, sizeof *segment.starts);
    LNG_GOTO_FAIL_IF(!segment.sides || !segment.starts, LNG_ERR_MEMORY, "%s", lng_error_message());
    for (size_t s = 0; s < segment.side_count; s++) {
        struct lng_slice text = s == 0 ? hypothesis : references[s - 1];
        LNG_TRY_OR_FAIL(lng_tokenize(tokenization, text.data, text.length, &segment.sides[s]));
    }
    LNG_TRY_OR_FAIL(collect_tokens(&segment));
    LNG_TRY_OR_FAIL(number_tokens(&segment));
    LNG_TRY_OR_FAIL(count_orders(&segment, &added));
    added.hypothesis_length += (int64_t)side_length(&segment, 0);
    added.reference_length += (int64_t)closest_length(&segment);
    *counts = added;
fail:
    for (size_t s = 0; segment.sides != NULL && s < segment.side_count; s++)
        lng_buffer_release(&segment.sides[s]);
    lng_free(segment.sides);
    lng_free(segment.starts);
    lng_free(segment.tokens);
    lng_free(segment.units);
    return status;
}

/* ---- the score -------------------------------------------------------------------------------- */

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
                             enum lng_bleu_smoothing smoothing, double precisions[LNG_BLEU_ORDERS])
{
    double power = 1;
    for (int n = 0; n < LNG_BLEU_ORDERS; n++) {
        double correct = (double)counts->correct[n], total = (double)counts->total[n];
        if (smoothing == LNG_BLEU_SMOOTH_ADD_K && n > 0) {
            correct += 1;
            total += 1;
        }
        if (total == 0)
            return n;
        if (correct > 0) {
            precisions[n] = 100 * correct / total;
        } else if (smoothing == LNG_BLEU_SMOOTH_EXP) {
            power *= 2;
            precisions[n] = 100 / (power * total);
        } else if (smoothing == LNG_BLEU_SMOOTH_FLOOR) {
            precisions[n] = 100 * 0.1 / total;
        }
    }
    return LNG_BLEU_ORDERS;
}

struct lng_bleu_score lng_bleu_compute(const struct lng_bleu_counts *counts,
                                       enum lng_bleu_smoothing smoothing, bool effective_order)
{
    struct lng_bleu_score result = {.brevity_penalty = brevity_penalty(counts)};
    if (counts->reference_length > 0)
        result.ratio = (double)counts->hypothesis_length / (double)counts->reference_length;
    int64_t correct = 0;
    for (int n = 0; n < LNG_BLEU_ORDERS; n++)
        correct += counts->correct[n];
    if (correct == 0)
        return result;
    int found = smooth_precisions(counts, smoothing, result.precisions);
    int orders = effective_order ? found : LNG_BLEU_ORDERS;
    double sum = 0;
    for (int n = 0; n < orders; n++)
        sum += result.precisions[n] > 0 ? log(result.precisions[n]) : -9999999999.0;
    result.score = result.brevity_penalty * exp(sum / orders);
    return result;
}

enum lng_status lng_bleu_signature(struct lng_buffer *text, size_t reference_count,
                                   enum lng_tokenization tokenization,
                                   enum lng_bleu_smoothing smoothing, bool effective_order)
{
    static const char *const smoothings[] = {"exp", "none", "floor[0.10]", "add-k[1.00]"};
    return lng_buffer_append_format(
        text, "nrefs:%zu|case:mixed|eff:%s|tok:%s|smooth:%s|version:2.6.0-compatible:lingster-%s",
        reference_count, effective_order ? "yes" : "no", lng_tokenization_name(tokenization),
        smoothings[smoothing], LNG_VERSION);
}
