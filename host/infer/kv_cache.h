/* Keys and values of a decoding batch, in device memory, made once and carved anew as lengths change.
 *
 * Self-attention: a sentence owns beam-many slots of `time` rows; its hypothesis i writes position t into slot base + i,
 * and nothing moves afterwards: a table in host memory, the lineage, says for each live hypothesis where each of its
 * positions lies. 16 positions of a slot are neighbours, and are followed by those of the next slot: a reader goes straight
 * ahead, and memory is touched as translations grow.
 * Cross-attention: the rows of a sentence's source, contiguous, shared by its hypotheses. */
#ifndef LNG_HOST_INFER_KV_CACHE_H
#define LNG_HOST_INFER_KV_CACHE_H

#include "host/infer/beam.h"
#include "host/model/model.h"

struct lng_kv_span {
    int64_t first, rows;
};

struct lng_kv_cache {
    const struct lng_model *model;     /* borrowed */
    struct lng_layer_cache *layers;    /* [decoder_layers], owned */
    struct lng_source_scratch scratch; /* for lng_decoder_project_source */
    void *memory;                      /* device, owned */
    size_t bytes;                      /* of it */
    int64_t positions, source_rows;    /* capacities */
    int64_t time, slots;               /* time * slots <= positions */
    int32_t
        *lineage[2]; /* host, [slots, time] each: two sides taking turns, sentence by sentence */
    struct lng_kv_span *free_spans; /* source rows not in use, rising, never adjacent */
    int64_t free_count, free_capacity;
};

/* Device bytes for so many (position, slot) pairs and source rows. SIZE_MAX when that overflows. */
size_t lng_kv_cache_plan(const struct lng_model *model, int64_t positions, int64_t source_rows);
/* Bytes of one (position, slot) pair. */
size_t lng_kv_position_bytes(const struct lng_model *model);

/* sentences: how many may hold source rows at once. positions: 31 bits. The model must outlive the cache. */
LNG_MUST_CHECK enum lng_status lng_kv_cache_init(struct lng_kv_cache *cache,
                                                 const struct lng_model *model, int64_t positions,
                                                 int64_t source_rows, int64_t sentences);
/* Fine on a zeroed struct. */
void lng_kv_cache_release(struct lng_kv_cache *cache);

/* Carves for sentences of up to `time` target positions, `slots` hypotheses in all; what was cached is
 * lost. LNG_ERR_MEMORY when time * slots exceeds the capacity. */
LNG_MUST_CHECK enum lng_status lng_kv_cache_shape(struct lng_kv_cache *cache, int64_t time,
                                                  int64_t slots);

/* The largest number of source rows that could be taken at once. */
int64_t lng_kv_source_room(const struct lng_kv_cache *cache);
/* Takes contiguous source rows; -1 when there is no such room. */
int64_t lng_kv_take_source(struct lng_kv_cache *cache, int64_t rows);
/* Gives back all or a part of what was taken. */
void lng_kv_give_source(struct lng_kv_cache *cache, int64_t first, int64_t rows);
/* All source rows are free again. */
void lng_kv_clear_source(struct lng_kv_cache *cache);

/* Of positions s = 0 .. t of the hypothesis in `slot`: the row, less s; [time]. For lng_decoder_step_args.ancestor with
 * slots = 1. */
static inline int32_t *lng_kv_lineage(const struct lng_kv_cache *cache, int side, int64_t slot)
{
    return cache->lineage[side] + slot * cache->time;
}
/* A sentence begins: its one hypothesis writes position 0 at slot `base`. */
void lng_kv_begin(struct lng_kv_cache *cache, int64_t base, int *side);
/* After position t was written: the live hypotheses [count] continue their parents at position t + 1. */
void lng_kv_advance(struct lng_kv_cache *cache, int64_t base, const struct lng_beam_live *live,
                    int32_t count, int64_t t, int *side);

#endif
