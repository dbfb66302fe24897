#include "host/data/batch.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"

enum lng_status lng_batch_options_check(const struct lng_batch_options *options)
{
    LNG_FAIL_IF(options->max_length < 2 || options->max_length > 1 << 20, LNG_ERR_RANGE,
                "a maximum length of %lld tokens: expected 2 to %d", (long long)options->max_length,
                1 << 20);
    LNG_FAIL_IF(
        options->max_tokens < 0 || options->max_sentences < 0 ||
            (options->max_tokens == 0 && options->max_sentences == 0),
        LNG_ERR_RANGE,
        "batches of %lld tokens and %lld sentences: expected a limit above 0 for one of them",
        (long long)options->max_tokens, (long long)options->max_sentences);
    LNG_FAIL_IF(options->max_tokens > INT32_MAX || options->max_sentences > INT32_MAX,
                LNG_ERR_RANGE, "batches of %lld tokens and %lld sentences: expected at most %d",
                (long long)options->max_tokens, (long long)options->max_sentences, INT32_MAX);
    LNG_FAIL_IF(
        options->max_tokens > 0 && options->max_length > options->max_tokens, LNG_ERR_RANGE,
        "sentences of up to %lld tokens do not fit batches of %lld: lower the maximum length "
        "or raise the batch's tokens",
        (long long)options->max_length, (long long)options->max_tokens);
    LNG_FAIL_IF(options->max_tokens == 0 &&
                    options->max_sentences > INT32_MAX / options->max_length,
                LNG_ERR_RANGE, "batches of %lld sentences of up to %lld tokens are too large",
                (long long)options->max_sentences, (long long)options->max_length);
    LNG_FAIL_IF(options->target_eos < 0, LNG_ERR_RANGE,
                "no end-of-sentence token for targets: the vocabulary must have one");
    return LNG_OK;
}

/* ---- encoded pairs ---- */

/* Encodes one side at the end of `ids`; *length counts all its tokens, of which at most
 * max_length are kept when cropping. */
static enum lng_status add_side(struct lng_ids *ids, const struct lng_encoder *encoder,
                                const struct lng_batch_options *options, enum lng_side side,
                                struct lng_slice text, uint64_t epoch, uint32_t sentence_id,
                                uint64_t *length)
{
    size_t first = ids->count;
    int32_t eos = side == LNG_SIDE_SOURCE ? options->source_eos : options->target_eos;
    LNG_TRY(
        encoder->encode(encoder->context, side, text.data, text.length, epoch, sentence_id, ids));
    size_t room = (size_t)options->max_length - (eos >= 0);
    *length = ids->count - first + (eos >= 0);
    if (options->crop && ids->count - first > room)
        ids->count = first + room;
    return eos >= 0 ? lng_ids_push(ids, eos) : LNG_OK;
}

static uint64_t count_id(const int32_t *ids, size_t count, int32_t wanted)
{
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += ids[i] == wanted;
    return wanted < 0 ? 0 : found;
}

static enum lng_status drop_pair(struct lng_encoded *encoded, size_t first, uint32_t sentence_id,
                                 uint64_t source_length, uint64_t target_length)
{
    LNG_TRY(lng_grow(&encoded->dropped, &encoded->dropped_capacity, encoded->dropped_count + 1,
                     sizeof *encoded->dropped));
    encoded->dropped[encoded->dropped_count++] =
        (struct lng_long_pair){sentence_id, source_length, target_length};
    encoded->ids.count = first;
    return LNG_OK;
}

enum lng_status lng_encoded_add(struct lng_encoded *encoded, const struct lng_encoder *encoder,
                                const struct lng_batch_options *options, struct lng_slice source,
                                struct lng_slice target, uint64_t epoch, uint32_t sentence_id)
{
    struct lng_ids *ids = &encoded->ids;
    size_t first = ids->count;
    uint64_t source_length, target_length;
    LNG_TRY(add_side(ids, encoder, options, LNG_SIDE_SOURCE, source, epoch, sentence_id,
                     &source_length));
    size_t middle = ids->count;
    LNG_TRY(add_side(ids, encoder, options, LNG_SIDE_TARGET, target, epoch, sentence_id,
                     &target_length));
    uint64_t limit = (uint64_t)options->max_length;
    bool too_long = source_length > limit || target_length > limit;
    bool empty = source_length == (options->source_eos >= 0) || target_length == 1;
    if ((too_long && !options->crop) || (empty && !options->keep_empty))
        return drop_pair(encoded, first, sentence_id, source_length, target_length);
    LNG_TRY(lng_grow(&encoded->pairs, &encoded->pair_capacity, encoded->pair_count + 1,
                     sizeof *encoded->pairs));
    encoded->cropped += too_long;
    encoded->source_unknown += count_id(ids->data + first, middle - first, options->source_unknown);
    encoded->target_unknown +=
        count_id(ids->data + middle, ids->count - middle, options->target_unknown);
    encoded->pairs[encoded->pair_count++] = (struct lng_encoded_pair){
        .first = first,
        .source_tokens = (int32_t)(middle - first),
        .target_tokens = (int32_t)(ids->count - middle),
        .sentence_id = sentence_id,
    };
    return LNG_OK;
}

void lng_encoded_clear(struct lng_encoded *encoded)
{
    lng_ids_clear(&encoded->ids);
    encoded->pair_count = encoded->dropped_count = 0;
    encoded->cropped = encoded->source_unknown = encoded->target_unknown = 0;
}

void lng_encoded_release(struct lng_encoded *encoded)
{
    lng_ids_release(&encoded->ids);
    lng_free(encoded->pairs);
    lng_free(encoded->dropped);
    *encoded = (struct lng_encoded){0};
}

/* ---- windows ---- */

/* A pair on its way into a batch. */
struct item {
    const int32_t *ids; /* source, then target */
    int32_t source_tokens, target_tokens;
    uint32_t sentence_id;
    uint32_t place; /* before sorting */
};

/* Batch [first, end) of the sorted items. */
struct cut {
    size_t first, end;
};

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->target_tokens != b->target_tokens)
        return a->target_tokens < b->target_tokens ? -1 : 1;
    if (a->source_tokens != b->source_tokens)
        return a->source_tokens < b->source_tokens ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static void collect(struct item *items, const struct lng_encoded *parts, size_t part_count)
{
    size_t count = 0;
    for (size_t p = 0; p < part_count; p++) {
        for (size_t i = 0; i < parts[p].pair_count; i++) {
            const struct lng_encoded_pair *pair = &parts[p].pairs[i];
            items[count] = (struct item){parts[p].ids.data + pair->first, pair->source_tokens,
                                         pair->target_tokens, pair->sentence_id, (uint32_t)count};
            count++;
        }
    }
}

/* As many items as fit, over and over. Returns the number of batches. */
static size_t cut_batches(struct cut *cuts, const struct item *items, size_t count,
                          const struct lng_batch_options *options)
{
    int64_t token_limit = options->max_tokens ? options->max_tokens : INT32_MAX;
    int64_t sentence_limit = options->max_sentences ? options->max_sentences : INT32_MAX;
    size_t batches = 0, first = 0;
    int64_t source = 0, target = 0;
    for (size_t i = 0; i < count; i++) {
        source += items[i].source_tokens;
        target += items[i].target_tokens;
        if (i > first && (source > token_limit || target > token_limit ||
                          (int64_t)(i - first) >= sentence_limit)) {
            cuts[batches++] = (struct cut){first, i};
            first = i;
            source = items[i].source_tokens;
            target = items[i].target_tokens;
        }
    }
    if (count > first)
        cuts[batches++] = (struct cut){first, count};
    return batches;
}

static void pack_batch(struct lng_batch_window *window, size_t batch, const struct item *items,
                       struct cut cut)
{
    struct lng_batch_start at = window->starts[batch];
    int32_t *source_offsets = window->source_offsets + at.pair + batch;
    int32_t *target_offsets = window->target_offsets + at.pair + batch;
    source_offsets[0] = target_offsets[0] = 0;
    for (size_t i = cut.first; i < cut.end; i++) {
        const struct item *item = &items[i];
        size_t source_tokens = (size_t)item->source_tokens;
        size_t target_tokens = (size_t)item->target_tokens, place = i - cut.first;
        memcpy(window->source_ids + at.source, item->ids, source_tokens * sizeof *item->ids);
        memcpy(window->target_ids + at.target, item->ids + source_tokens,
               target_tokens * sizeof *item->ids);
        at.source += source_tokens;
        at.target += target_tokens;
        window->sentence_ids[at.pair++] = item->sentence_id;
        source_offsets[place + 1] = source_offsets[place] + item->source_tokens;
        target_offsets[place + 1] = target_offsets[place] + item->target_tokens;
    }
    window->starts[batch + 1] = at;
}

static enum lng_status allocate_window(struct lng_batch_window *window, const struct item *items,
                                       size_t count, size_t batches)
{
    size_t source = 0, target = 0;
    for (size_t i = 0; i < count; i++) {
        source += (size_t)items[i].source_tokens;
        target += (size_t)items[i].target_tokens;
    }
    window->source_ids = lng_alloc(source, sizeof *window->source_ids);
    window->target_ids = lng_alloc(target, sizeof *window->target_ids);
    window->source_offsets = lng_alloc(count + batches, sizeof *window->source_offsets);
    window->target_offsets = lng_alloc(count + batches, sizeof *window->target_offsets);
    window->sentence_ids = lng_alloc(count, sizeof *window->sentence_ids);
    window->starts = lng_alloc(batches + 1, sizeof *window->starts);
    bool whole = window->source_ids && window->target_ids && window->source_offsets &&
                 window->target_offsets && window->sentence_ids && window->starts;
    return whole ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status pack_window(struct lng_batch_window *window, const struct item *items,
                                   size_t count, const struct cut *cuts, size_t batches,
                                   bool in_order, struct lng_shuffle_key key)
{
    struct lng_shuffle order = {0};
    enum lng_status status = allocate_window(window, items, count, batches);
    if (status == LNG_OK)
        status = lng_shuffle_init(&order, key, batches);
    if (status == LNG_OK) {
        for (size_t i = 0; i < batches; i++)
            pack_batch(window, i, items, cuts[in_order ? i : lng_shuffle_at(&order, i)]);
        window->batch_count = batches;
    } else {
        lng_batch_window_release(window);
    }
    lng_shuffle_release(&order);
    return status;
}

enum lng_status lng_batch_window_build(struct lng_batch_window *window,
                                       const struct lng_encoded *parts, size_t part_count,
                                       const struct lng_batch_options *options,
                                       struct lng_shuffle_key key)
{
    lng_batch_window_release(window);
    size_t count = 0;
    for (size_t p = 0; p < part_count; p++)
        count += parts[p].pair_count;
    LNG_FAIL_IF(count > INT32_MAX, LNG_ERR_RANGE, "a window of %zu pairs: expected at most %d",
                count, INT32_MAX);
    struct item *items = lng_alloc(count, sizeof *items);
    struct cut *cuts = lng_alloc(count, sizeof *cuts);
    enum lng_status status = LNG_ERR_MEMORY;
    if (items != NULL && cuts != NULL) {
        collect(items, parts, part_count);
        if (!options->in_order)
            qsort(items, count, sizeof *items, compare_items);
        size_t batches = cut_batches(cuts, items, count, options);
        status = pack_window(window, items, count, cuts, batches, options->in_order, key);
    }
    lng_free(items);
    lng_free(cuts);
    return status;
}

struct lng_pair_batch lng_batch_window_get(const struct lng_batch_window *window, size_t i)
{
    struct lng_batch_start at = window->starts[i], end = window->starts[i + 1];
    return (struct lng_pair_batch){
        .source_ids = window->source_ids + at.source,
        .source_offsets = window->source_offsets + at.pair + i,
        .target_ids = window->target_ids + at.target,
        .target_offsets = window->target_offsets + at.pair + i,
        .sentence_ids = window->sentence_ids + at.pair,
        .count = (int64_t)(end.pair - at.pair),
        .source_tokens = (int64_t)(end.source - at.source),
        .target_tokens = (int64_t)(end.target - at.target),
        .batch_index = i,
    };
}

void lng_batch_window_release(struct lng_batch_window *window)
{
    lng_free(window->source_ids);
    lng_free(window->target_ids);
    lng_free(window->source_offsets);
    lng_free(window->target_offsets);
    lng_free(window->sentence_ids);
    lng_free(window->starts);
    *window = (struct lng_batch_window){0};
}
