#include "host/data/window_fill.h"

#include "host/base/mem.h"

uint64_t lng_window_plan_count(const struct lng_window_plan *plan)
{
    return (lng_corpus_count(plan->corpus) - 1) / plan->window_pairs + 1;
}

enum lng_status lng_window_fill_begin(struct lng_window_fill *fill,
                                      const struct lng_window_plan *plan, uint64_t epoch,
                                      uint64_t window)
{
    uint64_t count = lng_corpus_count(plan->corpus);
    fill->first = window * plan->window_pairs;
    fill->pairs = count - fill->first;
    if (fill->pairs > plan->window_pairs)
        fill->pairs = plan->window_pairs;
    fill->window = window;
    if (plan->shuffle && (fill->order.count != count || fill->epoch != epoch)) {
        struct lng_shuffle_key key = {plan->seed, (uint32_t)epoch, 0};
        lng_shuffle_release(&fill->order);
        LNG_TRY(lng_shuffle_init(&fill->order, key, count));
    }
    fill->epoch = epoch;
    fill->part_count = (size_t)((fill->pairs - 1) / LNG_FILL_PART_PAIRS + 1);
    LNG_TRY(lng_grow(&fill->parts, &fill->part_capacity, fill->part_count, sizeof *fill->parts));
    for (size_t i = 0; i < fill->part_count; i++)
        lng_encoded_clear(&fill->parts[i]);
    return LNG_OK;
}

static enum lng_status add_pair(struct lng_window_fill *fill, const struct lng_window_plan *plan,
                                struct lng_encoded *part, uint64_t place,
                                struct lng_fill_texts *texts)
{
    uint64_t pair = plan->shuffle ? lng_shuffle_at(&fill->order, place) : place;
    uint32_t sentence_id;
    LNG_TRY(lng_corpus_read(plan->corpus, pair, &texts->source, &texts->target, &sentence_id));
    struct lng_slice source = {texts->source.data, texts->source.length};
    struct lng_slice target = {texts->target.data, texts->target.length};
    enum lng_status status;
    if (plan->batch.aligned) {
        LNG_TRY(lng_corpus_read_alignment(plan->corpus, pair, &texts->alignment));
        struct lng_slice alignment = {texts->alignment.data, texts->alignment.length};
        status = lng_encoded_add_aligned(part, &plan->encoder, &plan->batch, source, target,
                                         alignment, &texts->room, fill->epoch, sentence_id);
    } else {
        status = lng_encoded_add(part, &plan->encoder, &plan->batch, source, target, fill->epoch,
                                 sentence_id);
    }
    if (status == LNG_OK)
        return LNG_OK;
    struct lng_corpus_place at = lng_corpus_locate(plan->corpus, sentence_id);
    return lng_fail_context(status, "line %llu of %s", (unsigned long long)at.line, at.path);
}

enum lng_status lng_window_fill_part(struct lng_window_fill *fill,
                                     const struct lng_window_plan *plan, size_t part,
                                     struct lng_fill_texts *texts, const atomic_bool *stop)
{
    uint64_t from = (uint64_t)part * LNG_FILL_PART_PAIRS;
    uint64_t to =
        from + LNG_FILL_PART_PAIRS < fill->pairs ? from + LNG_FILL_PART_PAIRS : fill->pairs;
    for (uint64_t i = from; i < to; i++) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return lng_fail(LNG_ERR_INTERRUPTED, "reading of training data was stopped");
        LNG_TRY(add_pair(fill, plan, &fill->parts[part], fill->first + i, texts));
    }
    return LNG_OK;
}

enum lng_status lng_window_fill_finish(struct lng_window_fill *fill,
                                       const struct lng_window_plan *plan)
{
    struct lng_shuffle_key key = {plan->seed, (uint32_t)fill->epoch, (uint32_t)fill->window + 1};
    return lng_batch_window_build(&fill->batches, fill->parts, fill->part_count, &plan->batch, key);
}

void lng_window_fill_release(struct lng_window_fill *fill)
{
    for (size_t i = 0; i < fill->part_capacity; i++)
        lng_encoded_release(&fill->parts[i]);
    lng_free(fill->parts);
    lng_shuffle_release(&fill->order);
    lng_batch_window_release(&fill->batches);
    *fill = (struct lng_window_fill){0};
}

void lng_fill_texts_release(struct lng_fill_texts *texts)
{
    lng_buffer_release(&texts->source);
    lng_buffer_release(&texts->target);
    lng_buffer_release(&texts->alignment);
    lng_alignment_room_release(&texts->room);
}
