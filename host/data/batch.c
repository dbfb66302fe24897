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

/* Encodes a side with places: ids at the end of `ids`, places in the room. */
static enum lng_status locate_side(struct lng_ids *ids, const struct lng_encoder *encoder,
                                   enum lng_side side, struct lng_slice text, uint64_t epoch,
                                   uint32_t sentence_id, struct lng_alignment_room *room)
{
    struct lng_text_spans *tokens = &room->tokens[side];
    room->found.count = tokens->count = 0;
    LNG_TRY(encoder->locate(encoder->context, side, text.data, text.length, epoch, sentence_id,
                            &room->found));
    for (size_t i = 0; i < room->found.count; i++) {
        LNG_TRY(lng_ids_push(ids, room->found.data[i].id));
        LNG_TRY(lng_text_spans_push(tokens, room->found.data[i].begin, room->found.data[i].end));
    }
    return LNG_OK;
}

/* Encodes one side at the end of `ids`, with places where there is room for them; *length counts all its tokens, of which at most
 * max_length are kept when cropping. */
static enum lng_status add_side(struct lng_ids *ids, const struct lng_encoder *encoder,
                                const struct lng_batch_options *options, enum lng_side side,
                                struct lng_slice text, uint64_t epoch, uint32_t sentence_id,
                                struct lng_alignment_room *room, uint64_t *length)
{
    size_t first = ids->count;
    int32_t eos = side == LNG_SIDE_SOURCE ? options->source_eos : options->target_eos;
    if (room != NULL)
        LNG_TRY(locate_side(ids, encoder, side, text, epoch, sentence_id, room));
    else
        LNG_TRY(encoder->encode(encoder->context, side, text.data, text.length, epoch, sentence_id,
                                ids));
    size_t most = (size_t)options->max_length - (eos >= 0);
    *length = ids->count - first + (eos >= 0);
    if (options->crop && ids->count - first > most)
        ids->count = first + most;
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

/* *kept: the pair is the last of encoded->pairs, without links. */
static enum lng_status add_pair(struct lng_encoded *encoded, const struct lng_encoder *encoder,
                                const struct lng_batch_options *options, struct lng_slice source,
                                struct lng_slice target, struct lng_alignment_room *room,
                                uint64_t epoch, uint32_t sentence_id, bool *kept)
{
    struct lng_ids *ids = &encoded->ids;
    size_t first = ids->count;
    uint64_t source_length, target_length;
    LNG_TRY(add_side(ids, encoder, options, LNG_SIDE_SOURCE, source, epoch, sentence_id, room,
                     &source_length));
    size_t middle = ids->count;
    LNG_TRY(add_side(ids, encoder, options, LNG_SIDE_TARGET, target, epoch, sentence_id, room,
                     &target_length));
    uint64_t limit = (uint64_t)options->max_length;
    bool too_long = source_length > limit || target_length > limit;
    bool empty = source_length == (options->source_eos >= 0) || target_length == 1;
    *kept = !(too_long && !options->crop) && !(empty && !options->keep_empty);
    if (!*kept)
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
        .first_link = encoded->links.count,
    };
    return LNG_OK;
}

enum lng_status lng_encoded_add(struct lng_encoded *encoded, const struct lng_encoder *encoder,
                                const struct lng_batch_options *options, struct lng_slice source,
                                struct lng_slice target, uint64_t epoch, uint32_t sentence_id)
{
    bool kept;
    return add_pair(encoded, encoder, options, source, target, NULL, epoch, sentence_id, &kept);
}

enum lng_status lng_encoded_add_aligned(struct lng_encoded *encoded,
                                        const struct lng_encoder *encoder,
                                        const struct lng_batch_options *options,
                                        struct lng_slice source, struct lng_slice target,
                                        struct lng_slice alignment, struct lng_alignment_room *room,
                                        uint64_t epoch, uint32_t sentence_id)
{
    bool kept;
    LNG_TRY(add_pair(encoded, encoder, options, source, target, room, epoch, sentence_id, &kept));
    if (!kept)
        return LNG_OK;
    struct lng_encoded_pair *pair = &encoded->pairs[encoded->pair_count - 1];
    LNG_TRY(lng_alignment_read(room, alignment, source, target));
    /* Ends cut off with max_length have no links; the end of sentence never has. */
    size_t sources = (size_t)pair->source_tokens - (options->source_eos >= 0);
    size_t targets = (size_t)pair->target_tokens - 1;
    return lng_alignment_spread(room, source, target, sources, targets, &encoded->links,
                                &pair->link_count);
}

void lng_encoded_clear(struct lng_encoded *encoded)
{
    lng_ids_clear(&encoded->ids);
    lng_ids_clear(&encoded->links);
    encoded->pair_count = encoded->dropped_count = 0;
    encoded->cropped = encoded->source_unknown = encoded->target_unknown = 0;
}

void lng_encoded_release(struct lng_encoded *encoded)
{
    lng_ids_release(&encoded->ids);
    lng_ids_release(&encoded->links);
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
    uint32_t place;       /* before sorting */
    const int32_t *links; /* as in struct lng_encoded_pair; NULL without alignments */
    size_t link_count;
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
            const int32_t *links = parts[p].links.data;
            items[count] = (struct item){
                .ids = parts[p].ids.data + pair->first,
                .source_tokens = pair->source_tokens,
                .target_tokens = pair->target_tokens,
                .sentence_id = pair->sentence_id,
                .place = (uint32_t)count,
                .links = links != NULL ? links + pair->first_link : NULL,
                .link_count = pair->link_count,
            };
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

/* The links of one pair, whose rows begin at `offsets`; offsets[0] is set. */
static void pack_links(const struct item *item, int32_t *offsets, int32_t *sources)
{
    int32_t rows = item->target_tokens - 1;
    for (int32_t t = 0; t < rows; t++)
        offsets[t + 1] = offsets[t] + (item->links != NULL ? item->links[t] : 0);
    offsets[rows + 1] = offsets[rows];
    if (item->link_count > 0)
        memcpy(sources, item->links + rows, item->link_count * sizeof *sources);
}

static void pack_batch(struct lng_batch_window *window, size_t batch, const struct item *items,
                       struct cut cut)
{
    struct lng_batch_start at = window->starts[batch];
    int32_t *source_offsets = window->source_offsets + at.pair + batch;
    int32_t *target_offsets = window->target_offsets + at.pair + batch;
    int32_t *link_offsets = NULL;
    if (window->link_offsets != NULL) {
        link_offsets = window->link_offsets + at.target + batch;
        link_offsets[0] = 0;
    }
    source_offsets[0] = target_offsets[0] = 0;
    for (size_t i = cut.first; i < cut.end; i++) {
        const struct item *item = &items[i];
        size_t source_tokens = (size_t)item->source_tokens;
        size_t target_tokens = (size_t)item->target_tokens, place = i - cut.first;
        memcpy(window->source_ids + at.source, item->ids, source_tokens * sizeof *item->ids);
        memcpy(window->target_ids + at.target, item->ids + source_tokens,
               target_tokens * sizeof *item->ids);
        if (link_offsets != NULL)
            pack_links(item, link_offsets + target_offsets[place], window->link_sources + at.link);
        at.source += source_tokens;
        at.target += target_tokens;
        at.link += item->link_count;
        window->sentence_ids[at.pair++] = item->sentence_id;
        source_offsets[place + 1] = source_offsets[place] + item->source_tokens;
        target_offsets[place + 1] = target_offsets[place] + item->target_tokens;
    }
    window->starts[batch + 1] = at;
}

static enum lng_status allocate_window(struct lng_batch_window *window, const struct item *items,
                                       size_t count, size_t batches, bool aligned)
{
    size_t source = 0, target = 0, links = 0;
    for (size_t i = 0; i < count; i++) {
        source += (size_t)items[i].source_tokens;
        target += (size_t)items[i].target_tokens;
        links += items[i].link_count;
    }
    window->source_ids = lng_alloc(source, sizeof *window->source_ids);
    window->target_ids = lng_alloc(target, sizeof *window->target_ids);
    window->source_offsets = lng_alloc(count + batches, sizeof *window->source_offsets);
    window->target_offsets = lng_alloc(count + batches, sizeof *window->target_offsets);
    window->sentence_ids = lng_alloc(count, sizeof *window->sentence_ids);
    window->starts = lng_alloc(batches + 1, sizeof *window->starts);
    if (aligned) {
        window->link_offsets = lng_alloc(target + batches, sizeof *window->link_offsets);
        window->link_sources = lng_alloc(links, sizeof *window->link_sources);
        if (window->link_offsets == NULL || window->link_sources == NULL)
            return LNG_ERR_MEMORY;
    }
    bool whole = window->source_ids && window->target_ids && window->source_offsets &&
                 window->target_offsets && window->sentence_ids && window->starts;
    return whole ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status pack_window(struct lng_batch_window *window, const struct item *items,
                                   size_t count, const struct cut *cuts, size_t batches,
                                   const struct lng_batch_options *options,
                                   struct lng_shuffle_key key)
{
    struct lng_shuffle order = {0};
    enum lng_status status = allocate_window(window, items, count, batches, options->aligned);
    if (status == LNG_OK)
        status = lng_shuffle_init(&order, key, batches);
    if (status == LNG_OK) {
        for (size_t i = 0; i < batches; i++)
            pack_batch(window, i, items, cuts[options->in_order ? i : lng_shuffle_at(&order, i)]);
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
        status = pack_window(window, items, count, cuts, batches, options, key);
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
        .link_offsets = window->link_offsets ? window->link_offsets + at.target + i : NULL,
        .link_sources = window->link_sources ? window->link_sources + at.link : NULL,
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
    lng_free(window->link_offsets);
    lng_free(window->link_sources);
    lng_free(window->starts);
    *window = (struct lng_batch_window){0};
}
