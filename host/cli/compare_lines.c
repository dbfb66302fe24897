/* What is compared: lines of text as tokens, packed batches of them, and teacher-forced scoring. */
#include <string.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/compare.h"
#include "host/infer/line_text.h"

enum {
    LONGEST_LINE = 48 << 20,
    LONGEST_TEXT = 256, /* tokens of a line that are looked at, EOS not counted */
    CLOSE_TOKENS = 512,
    FEWEST_TOKENS = 32,
    CLOSE_BYTES = 512 << 20, /* of activations */
};

void lng_compare_init(struct lng_compare *compare, const struct lng_options *options,
                      const struct lng_tokenizer *tokenizer, int32_t forced_bos)
{
    *compare =
        (struct lng_compare){.options = options, .tokenizer = tokenizer, .forced_bos = forced_bos};
}

static void release_texts(struct lng_compare_texts *texts)
{
    lng_ids_release(&texts->ids);
    lng_free(texts->ranges);
}

void lng_compare_release(struct lng_compare *compare)
{
    release_texts(&compare->source);
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        release_texts(&compare->targets[side]);
    lng_free(compare->numbers);
    lng_free(compare->differences);
    lng_free(compare->gradients);
    lng_compare_cases_release(&compare->cases);
    *compare = (struct lng_compare){0};
}

/* ---- lines -------------------------------------------------------------------------------------- */

static enum lng_status add_text(struct lng_compare *compare, const char *text, size_t length)
{
    struct lng_compare_texts *source = &compare->source;
    size_t begin = source->ids.count;
    int32_t eos = compare->models[LNG_COMPARE_REFERENCE]->hparams.source_eos;
    LNG_TRY(lng_tokenizer_encode(compare->tokenizer, LNG_SIDE_SOURCE, text, length, &source->ids));
    if (source->ids.count == begin) { /* nothing but what normalisation drops */
        compare->blank++;
        return LNG_OK;
    }
    if (source->ids.count - begin > LONGEST_TEXT) {
        source->ids.count = begin + LONGEST_TEXT;
        compare->cut++;
    }
    if (eos >= 0)
        LNG_TRY(lng_ids_push(&source->ids, eos));
    LNG_TRY(
        lng_grow(&source->ranges, &source->capacity, source->count + 1, sizeof *source->ranges));
    LNG_TRY(lng_grow(&compare->numbers, &compare->number_capacity, source->count + 1,
                     sizeof *compare->numbers));
    compare->numbers[source->count] = compare->lines;
    source->ranges[source->count++] = (struct lng_compare_range){begin, source->ids.count - begin};
    return LNG_OK;
}

static enum lng_status add_line(struct lng_compare *compare, const struct lng_line *line,
                                struct lng_buffer *text)
{
    struct lng_slice slice = {line->data, line->length};
    bool repaired;
    if (compare->lines++ == 0)
        slice = lng_line_without_mark(slice);
    lng_buffer_clear(text);
    LNG_TRY(lng_line_append_clean(text, lng_line_without_return(slice), &repaired));
    compare->repaired += repaired;
    if (text->length == 0 || lng_line_is_blank(text->data, text->length)) {
        compare->blank++;
        return LNG_OK;
    }
    return add_text(compare, text->data, text->length);
}

enum lng_status lng_compare_read(struct lng_compare *compare, struct lng_lines *input)
{
    uint64_t limit = (uint64_t)compare->options->limit_lines;
    struct lng_buffer text = {0};
    struct lng_line line;
    enum lng_status status = LNG_OK;
    bool got = true;
    lng_lines_set_limit(input, LONGEST_LINE);
    while (got && (limit == 0 || compare->lines < limit)) {
        LNG_TRY_OR_FAIL(lng_lines_next(input, &line, &got));
        if (got)
            status = add_line(compare, &line, &text);
        if (status != LNG_OK) {
            status = lng_fail_context(status, "line %llu", (unsigned long long)compare->lines);
            goto fail;
        }
    }
    LNG_GOTO_FAIL_IF(compare->source.count == 0, LNG_ERR_FORMAT,
                     "nothing to compare: expected sentences to translate, found %llu blank lines",
                     (unsigned long long)compare->lines);
    if (compare->repaired > 0)
        lng_warn("%llu lines were not UTF-8: bad bytes were read as U+FFFD",
                 (unsigned long long)compare->repaired);
    if (compare->cut > 0)
        lng_info("%llu lines of more than %d tokens: only so many of each are compared",
                 (unsigned long long)compare->cut, LONGEST_TEXT);
fail:
    lng_buffer_release(&text);
    return status;
}

/* ---- batches ------------------------------------------------------------------------------------ */

void lng_compare_batch_release(struct lng_compare_batch *batch)
{
    for (int side = 0; side < 2; side++) {
        lng_ids_release(&batch->ids[side]);
        lng_free(batch->offsets[side]);
    }
    *batch = (struct lng_compare_batch){0};
}

static enum lng_status append(struct lng_compare_batch *batch, int side, size_t pair,
                              const struct lng_compare_texts *from, size_t text, size_t most)
{
    struct lng_ids *ids = &batch->ids[side];
    const struct lng_compare_range *range = &from->ranges[text];
    size_t count = range->count < most ? range->count : most;
    LNG_TRY(lng_grow(&ids->data, &ids->capacity, ids->count + count, sizeof *ids->data));
    LNG_TRY(lng_grow(&batch->offsets[side], &batch->offset_capacity[side], pair + 2,
                     sizeof **batch->offsets));
    if (count > 0)
        memcpy(ids->data + ids->count, from->ids.data + range->begin, count * sizeof *ids->data);
    batch->offsets[side][0] = 0;
    ids->count += count;
    batch->offsets[side][pair + 1] = (int32_t)ids->count;
    return LNG_OK;
}

enum lng_status lng_compare_batch_fill(struct lng_compare_batch *batch,
                                       const struct lng_compare_texts *source,
                                       const struct lng_compare_texts *target, const size_t *order,
                                       size_t count, size_t *next, int64_t tokens, bool clip)
{
    size_t budget = (size_t)tokens, most = clip ? budget : SIZE_MAX, pairs = 0;
    lng_ids_clear(&batch->ids[0]);
    lng_ids_clear(&batch->ids[1]);
    for (; *next < count; (*next)++, pairs++) {
        size_t text = order[*next];
        if (pairs > 0 && (batch->ids[0].count + source->ranges[text].count > budget ||
                          batch->ids[1].count + target->ranges[text].count > budget))
            break;
        LNG_TRY(append(batch, 0, pairs, source, text, most));
        LNG_TRY(append(batch, 1, pairs, target, text, most));
    }
    batch->source = (struct lng_sequences){
        .ids = batch->ids[0].data, .offsets = batch->offsets[0], .count = (int64_t)pairs};
    batch->target = (struct lng_sequences){
        .ids = batch->ids[1].data, .offsets = batch->offsets[1], .count = (int64_t)pairs};
    return LNG_OK;
}

enum lng_status lng_compare_order(size_t count, size_t **order)
{
    size_t *made = lng_alloc(count, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        made[i] = i;
    *order = made;
    return LNG_OK;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct lng_batch_limits close_limits(int64_t tokens, bool training)
{
    return (struct lng_batch_limits){
        .source_rows = tokens, .target_rows = tokens, .sentences = tokens, .backward = training};
}

int64_t lng_compare_close_tokens(const struct lng_compare *compare, bool training)
{
    int64_t tokens = CLOSE_TOKENS;
    for (int side = 0; side < LNG_COMPARE_SIDES; side++) {
        const struct lng_model *model = compare->models[side];
        tokens = min64(tokens, lng_device_logit_rows(model->device, model->hparams.target_vocab));
    }
    for (int side = 0; side < LNG_COMPARE_SIDES; side++)
        for (; tokens > FEWEST_TOKENS; tokens /= 2) {
            struct lng_batch_limits limits = close_limits(tokens, training);
            if (lng_workspace_plan(compare->models[side], &limits) <= CLOSE_BYTES)
                break;
        }
    return tokens;
}

enum lng_status lng_compare_workspace(const struct lng_model *model, int64_t tokens, bool training,
                                      struct lng_workspace **workspace)
{
    struct lng_batch_limits limits = close_limits(tokens, training);
    return lng_workspace_open(model, &limits, workspace);
}

/* ---- teacher-forced scores ---------------------------------------------------------------------- */

/* Of the batches that lng_compare_batch_fill will make: one long pair may exceed the budget. */
static struct lng_batch_limits limits_of(const struct lng_compare_texts *source,
                                         const struct lng_compare_texts *target,
                                         const size_t *order, size_t count, int64_t tokens)
{
    struct lng_batch_limits limits = close_limits(tokens, false);
    for (size_t i = 0; i < count; i++) {
        int64_t s = (int64_t)source->ranges[order[i]].count;
        int64_t t = (int64_t)target->ranges[order[i]].count;
        limits.source_rows = s > limits.source_rows ? s : limits.source_rows;
        limits.target_rows = t > limits.target_rows ? t : limits.target_rows;
    }
    /* No more room than all pairs together need. */
    limits.source_rows = min64(limits.source_rows, (int64_t)source->ids.count);
    limits.target_rows = min64(limits.target_rows, (int64_t)target->ids.count);
    limits.sentences = min64(limits.sentences, (int64_t)count);
    return limits;
}

enum lng_status lng_compare_force(struct lng_model *model, const struct lng_compare_texts *source,
                                  const struct lng_compare_texts *target, const size_t *order,
                                  size_t count, int64_t tokens, float *logprobs)
{
    struct lng_workspace *workspace = NULL;
    struct lng_compare_batch batch = {0};
    struct lng_batch_limits limits = limits_of(source, target, order, count, tokens);
    enum lng_status status;
    float *found = lng_alloc((size_t)limits.target_rows, sizeof *found);
    LNG_GOTO_FAIL_IF(found == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    LNG_TRY_OR_FAIL(lng_workspace_open(model, &limits, &workspace));
    for (size_t next = 0; next < count;) {
        size_t first = next;
        LNG_TRY_OR_FAIL(
            lng_compare_batch_fill(&batch, source, target, order, count, &next, tokens, false));
        LNG_TRY_OR_FAIL(
            lng_model_score(model, workspace, &batch.source, &batch.target, found, NULL));
        for (size_t i = first; i < next; i++) {
            const struct lng_compare_range *range = &target->ranges[order[i]];
            memcpy(logprobs + range->begin, found + batch.offsets[1][i - first],
                   range->count * sizeof *logprobs);
        }
    }
fail:
    lng_workspace_close(workspace);
    lng_compare_batch_release(&batch);
    lng_free(found);
    return status;
}
