/* Translations of both sides, and which differences between them are near ties. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/cli/compare.h"
#include "host/infer/translate.h"

static struct lng_search_options search_options(const struct lng_compare *compare)
{
    struct lng_search_options search = lng_search_options_default();
    search.beam.beam = compare->options->beam_size;
    search.batch_tokens = compare->options->batch_tokens;
    search.beam.eos = compare->models[LNG_COMPARE_REFERENCE]->hparams.eos;
    return search;
}

/* ---- translating -------------------------------------------------------------------------------- */

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct lng_compare_texts *to = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    size_t begin = to->ids.count, count = (size_t)best->length;
    LNG_TRY(lng_grow(&to->ids.data, &to->ids.capacity, begin + count, sizeof *to->ids.data));
    if (count > 0)
        memcpy(to->ids.data + begin, best->tokens, count * sizeof *best->tokens);
    to->ids.count += count;
    to->ranges[result->index] = (struct lng_compare_range){begin, count};
    return LNG_OK;
}

static enum lng_status translate_side(struct lng_compare *compare, enum lng_compare_side side)
{
    const struct lng_compare_texts *source = &compare->source;
    struct lng_compare_texts *to = &compare->targets[side];
    struct lng_search_options options = search_options(compare);
    struct lng_search *search = NULL;
    struct lng_search_input *inputs = lng_alloc(source->count, sizeof *inputs);
    enum lng_status status;
    LNG_GOTO_FAIL_IF(inputs == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    lng_ids_clear(&to->ids);
    LNG_TRY_OR_FAIL(lng_grow(&to->ranges, &to->capacity, source->count, sizeof *to->ranges));
    to->count = source->count;
    for (size_t i = 0; i < source->count; i++)
        inputs[i] = (struct lng_search_input){
            .source = source->ids.data + source->ranges[i].begin,
            .source_length = (int32_t)source->ranges[i].count,
            .prefix = compare->forced_bos >= 0 ? &compare->forced_bos : NULL,
            .prefix_length = compare->forced_bos >= 0,
        };
    LNG_TRY_OR_FAIL(
        lng_translate_open_search(compare->models[side], compare->tokenizer, &options, &search));
    status = lng_search_run(search, inputs, (int64_t)source->count, keep, to);
fail:
    lng_search_close(search);
    lng_free(inputs);
    return status;
}

/* ---- differences -------------------------------------------------------------------------------- */

/* First token that differs; -1: none does. */
static int32_t first_difference(const struct lng_compare *compare, size_t text)
{
    const struct lng_compare_texts *a = &compare->targets[0], *b = &compare->targets[1];
    const int32_t *x = a->ids.data + a->ranges[text].begin;
    const int32_t *y = b->ids.data + b->ranges[text].begin;
    size_t shorter = a->ranges[text].count < b->ranges[text].count ? a->ranges[text].count
                                                                   : b->ranges[text].count;
    size_t i = 0;
    while (i < shorter && x[i] == y[i])
        i++;
    return i == a->ranges[text].count && i == b->ranges[text].count ? -1 : (int32_t)i;
}

static enum lng_status list_differences(struct lng_compare *compare)
{
    compare->difference_count = 0;
    for (size_t i = 0; i < compare->source.count; i++) {
        int32_t place = first_difference(compare, i);
        if (place < 0)
            continue;
        LNG_TRY(lng_grow(&compare->differences, &compare->difference_capacity,
                         compare->difference_count + 1, sizeof *compare->differences));
        struct lng_compare_difference *d = &compare->differences[compare->difference_count++];
        *d = (struct lng_compare_difference){.text = i, .place = place};
        for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
            const struct lng_compare_texts *texts = &compare->targets[side];
            const struct lng_compare_range *range = &texts->ranges[i];
            bool there = (size_t)place < range->count;
            d->tokens[side] = there ? texts->ids.data[range->begin + (size_t)place] : -1;
        }
    }
    return LNG_OK;
}

/* Fills in what the reference thinks of both translations of a line. */
static void weigh(const struct lng_compare *compare, struct lng_compare_difference *d, int side,
                  const struct lng_beam_options *beam, const float *logprobs)
{
    const struct lng_compare_range *range = &compare->targets[side].ranges[d->text];
    const float *of_text = logprobs + range->begin;
    double total = 0;
    for (size_t i = 0; i < range->count; i++)
        total += (double)of_text[i];
    d->logprobs[side] =
        (size_t)d->place < range->count ? (double)of_text[d->place] : -(double)INFINITY;
    d->scores[side] =
        range->count > 0 ? lng_beam_score(beam, total, (int32_t)range->count) : -(double)INFINITY;
}

/* A beam also drops hypotheses at near ties on the way, and what was dropped may have been the better one:
 * so a translation that the reference ranks above its own is as good as equal. */
static bool is_near_tie(const struct lng_compare *compare, const struct lng_compare_difference *d)
{
    double tolerance = compare->options->tolerance;
    double token = lng_compare_limit_of(LNG_COMPARE_TIE_TOKEN, compare->class, tolerance).fail;
    double score = lng_compare_limit_of(LNG_COMPARE_TIE_SCORE, compare->class, tolerance).fail;
    if (fabs(d->logprobs[0] - d->logprobs[1]) <= token)
        return true;
    return compare->options->beam_size > 1 &&
           d->scores[LNG_COMPARE_TESTED] >= d->scores[LNG_COMPARE_REFERENCE] - score;
}

/* The reference scores both translations of every line in `differences`. */
static enum lng_status explain(struct lng_compare *compare)
{
    struct lng_search_options options = search_options(compare);
    size_t count = compare->difference_count;
    size_t *order = lng_alloc(count, sizeof *order);
    float *logprobs = NULL;
    enum lng_status status = LNG_OK;
    LNG_GOTO_FAIL_IF(order == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    for (size_t i = 0; i < count; i++)
        order[i] = compare->differences[i].text;
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        const struct lng_compare_texts *target = &compare->targets[side];
        lng_free(logprobs);
        logprobs = lng_alloc(target->ids.count, sizeof *logprobs);
        LNG_GOTO_FAIL_IF(logprobs == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
        LNG_TRY_OR_FAIL(lng_compare_force(compare->models[LNG_COMPARE_REFERENCE], &compare->source,
                                          target, order, count, compare->options->batch_tokens,
                                          logprobs));
        for (size_t i = 0; i < count; i++)
            weigh(compare, &compare->differences[i], side, &options.beam, logprobs);
    }
    for (size_t i = 0; i < count; i++)
        compare->differences[i].near_tie = is_near_tie(compare, &compare->differences[i]);
fail:
    lng_free(logprobs);
    lng_free(order);
    return status;
}

static enum lng_status add_case(struct lng_compare *compare)
{
    struct lng_compare_case c = {.section = LNG_COMPARE_TRANSLATIONS,
                                 .name = "tokens",
                                 .count = (int64_t)compare->source.count,
                                 .counted = compare->source.count == 1 ? "line" : "lines"};
    struct lng_compare_limit none = {0, 0};
    struct lng_compare_limit share =
        lng_compare_limit_of(LNG_COMPARE_TIE_SHARE, compare->class, compare->options->tolerance);
    double lines = (double)compare->source.count, ties = 0, others = 0;
    for (size_t i = 0; i < compare->difference_count; i++) {
        const struct lng_compare_difference *d = &compare->differences[i];
        if (!d->near_tie && others == 0)
            snprintf(c.where, sizeof c.where, "line %llu, token %d: no near tie",
                     (unsigned long long)compare->numbers[d->text], d->place + 1);
        ties += d->near_tie;
        others += !d->near_tie;
    }
    struct lng_compare_limit most = {fmax(1, floor(share.warn * lines)),
                                     fmax(1, floor(share.fail * lines))};
    lng_compare_case_add(&c, "differ", others, none);
    lng_compare_case_add(&c, "near ties", ties, most);
    return lng_compare_cases_add(&compare->cases, &c);
}

enum lng_status lng_compare_translate(struct lng_compare *compare)
{
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        LNG_TRY(translate_side(compare, side));
    LNG_TRY(list_differences(compare));
    if (compare->difference_count > 0)
        LNG_TRY(explain(compare));
    return add_case(compare);
}

/* ---- log-probabilities -------------------------------------------------------------------------- */

static enum lng_status add_logprob_case(struct lng_compare *compare,
                                        float *const logprobs[LNG_COMPARE_SIDES])
{
    const struct lng_compare_texts *target = &compare->targets[LNG_COMPARE_REFERENCE];
    double tolerance = compare->options->tolerance, largest = -1, sum = 0;
    struct lng_compare_case c = {.section = LNG_COMPARE_LOGPROBS,
                                 .name = "teacher-forced",
                                 .count = (int64_t)target->ids.count,
                                 .counted = "tokens"};
    for (size_t text = 0; text < target->count; text++)
        for (size_t i = 0; i < target->ranges[text].count; i++) {
            size_t at = target->ranges[text].begin + i;
            double a = (double)logprobs[0][at], b = (double)logprobs[1][at];
            double difference = a == b ? 0 : fabs(a - b);
            if (isnan(difference))
                difference = INFINITY;
            sum += difference;
            if (difference <= largest)
                continue;
            largest = difference;
            snprintf(c.where, sizeof c.where, "line %llu, token %zu: %.6f, reference %.6f",
                     (unsigned long long)compare->numbers[text], i + 1, b, a);
        }
    double mean = target->ids.count > 0 ? sum / (double)target->ids.count : 0;
    lng_compare_case_add(&c, "max", fmax(largest, 0),
                         lng_compare_limit_of(LNG_COMPARE_LOGPROB_MAX, compare->class, tolerance));
    lng_compare_case_add(&c, "mean", mean,
                         lng_compare_limit_of(LNG_COMPARE_LOGPROB_MEAN, compare->class, tolerance));
    return lng_compare_cases_add(&compare->cases, &c);
}

enum lng_status lng_compare_score(struct lng_compare *compare)
{
    const struct lng_compare_texts *target = &compare->targets[LNG_COMPARE_REFERENCE];
    float *logprobs[LNG_COMPARE_SIDES] = {NULL, NULL};
    size_t *order = NULL;
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_compare_order(target->count, &order));
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        logprobs[side] = lng_alloc(target->ids.count, sizeof **logprobs);
        LNG_GOTO_FAIL_IF(logprobs[side] == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
        LNG_TRY_OR_FAIL(lng_compare_force(compare->models[side], &compare->source, target, order,
                                          target->count, compare->options->batch_tokens,
                                          logprobs[side]));
    }
    status = add_logprob_case(compare, logprobs);
fail:
    lng_free(logprobs[0]);
    lng_free(logprobs[1]);
    lng_free(order);
    return status;
}
