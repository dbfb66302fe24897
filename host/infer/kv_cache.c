#include "host/infer/kv_cache.h"

#include <string.h>

#include "host/base/arena.h"
#include "host/base/mem.h"

/* RUN: positions of a slot that lie together. */
enum { SCRATCH_ROWS = 256, RUN = 16 };

size_t lng_kv_position_bytes(const struct lng_model *model)
{
    const struct lng_hparams *h = &model->hparams;
    const int64_t width = lng_cache_width(model->cache, h->dim, h->decoder_heads);
    return 2 * (size_t)width * (size_t)h->decoder_layers * lng_dtype_size(model->cache);
}

static struct lng_view carve_rows(struct lng_arena *arena, enum lng_dtype dtype, int64_t rows,
                                  int64_t cols)
{
    void *data = lng_arena_take(arena, (size_t)rows * (size_t)cols, lng_dtype_size(dtype));
    return lng_view_make(data, dtype, rows, cols);
}

/* layers NULL: only measures. */
static void carve(struct lng_arena *arena, const struct lng_model *model, int64_t positions,
                  int64_t source_rows, struct lng_layer_cache *layers,
                  struct lng_source_scratch *scratch)
{
    const int64_t dim = model->hparams.dim;
    const int64_t width = lng_cache_width(model->cache, dim, model->hparams.decoder_heads);
    const int64_t rows = source_rows < SCRATCH_ROWS ? source_rows : SCRATCH_ROWS;
    *scratch = (struct lng_source_scratch){.rows = rows};
    if (model->cache != model->activation)
        scratch->y = carve_rows(arena, model->activation, rows, 2 * dim);
    if (model->compute == LNG_DTYPE_I8) {
        scratch->rest = carve_rows(arena, model->activation, rows, dim);
        scratch->q = carve_rows(arena, LNG_DTYPE_I8, rows, dim);
        scratch->scales = lng_arena_take(arena, (size_t)rows, sizeof *scratch->scales);
    }
    for (int32_t l = 0; l < model->hparams.decoder_layers; l++) {
        struct lng_layer_cache layer;
        const struct lng_view k = carve_rows(arena, model->cache, positions, width);
        const struct lng_view v = carve_rows(arena, model->cache, positions, width);
        const struct lng_view cross = carve_rows(arena, model->cache, source_rows, 2 * width);
        layer.self_k = lng_view_cols(k, 0, dim);
        layer.self_v = lng_view_cols(v, 0, dim);
        layer.cross_k = lng_view_cols(cross, 0, dim);
        layer.cross_v = lng_view_cols(cross, width, dim);
        if (layers != NULL)
            layers[l] = layer;
    }
}

size_t lng_kv_cache_plan(const struct lng_model *model, int64_t positions, int64_t source_rows)
{
    struct lng_arena arena;
    struct lng_source_scratch scratch;
    lng_arena_init_measuring(&arena);
    carve(&arena, model, positions, source_rows, NULL, &scratch);
    return arena.overflowed ? SIZE_MAX : arena.used;
}

enum lng_status lng_kv_cache_init(struct lng_kv_cache *cache, const struct lng_model *model,
                                  int64_t positions, int64_t source_rows, int64_t sentences)
{
    enum lng_status status = LNG_ERR_MEMORY;
    struct lng_kv_cache made = {
        .model = model,
        .bytes = lng_kv_cache_plan(model, positions, source_rows),
        .positions = positions,
        .source_rows = source_rows,
        .free_capacity = sentences + 1,
    };
    LNG_FAIL_IF(made.bytes == SIZE_MAX || positions > INT32_MAX, LNG_ERR_MEMORY,
                "key-value cache: %lld target positions and %lld source tokens are too many",
                (long long)positions, (long long)source_rows);
    made.layers = lng_alloc((size_t)model->hparams.decoder_layers, sizeof *made.layers);
    made.lineage[0] = lng_alloc((size_t)positions, sizeof **made.lineage);
    made.lineage[1] = lng_alloc((size_t)positions, sizeof **made.lineage);
    made.free_spans = lng_alloc((size_t)made.free_capacity, sizeof *made.free_spans);
    if (!made.layers || !made.lineage[0] || !made.lineage[1] || !made.free_spans)
        goto fail;
    LNG_TRY_OR_FAIL(lng_device_alloc(model->device, made.bytes, &made.memory));
    struct lng_arena arena;
    lng_arena_init(&arena, made.memory, made.bytes);
    carve(&arena, model, positions, source_rows, made.layers, &made.scratch);
    LNG_TRY_OR_FAIL(lng_arena_check(&arena));
    lng_kv_clear_source(&made);
    *cache = made;
    return LNG_OK;
fail:
    lng_kv_cache_release(&made);
    return status;
}

void lng_kv_cache_release(struct lng_kv_cache *cache)
{
    if (cache->model != NULL)
        lng_device_free(cache->model->device, cache->memory);
    lng_free(cache->layers);
    lng_free(cache->lineage[0]);
    lng_free(cache->lineage[1]);
    lng_free(cache->free_spans);
    memset(cache, 0, sizeof *cache);
}

enum lng_status lng_kv_cache_shape(struct lng_kv_cache *cache, int64_t time, int64_t slots)
{
    LNG_FAIL_IF(time < 1 || slots < 1 || slots > cache->positions / time, LNG_ERR_MEMORY,
                "key-value cache: %lld hypotheses of %lld positions, memory was planned for %lld "
                "in all",
                (long long)slots, (long long)time, (long long)cache->positions);
    cache->time = time;
    cache->slots = slots;
    for (int32_t l = 0; l < cache->model->hparams.decoder_layers; l++) {
        cache->layers[l].self_k.rows = time * slots;
        cache->layers[l].self_v.rows = time * slots;
    }
    return LNG_OK;
}

void lng_kv_clear_source(struct lng_kv_cache *cache)
{
    cache->free_spans[0] = (struct lng_kv_span){0, cache->source_rows};
    cache->free_count = 1;
}

int64_t lng_kv_source_room(const struct lng_kv_cache *cache)
{
    int64_t most = 0;
    for (int64_t i = 0; i < cache->free_count; i++)
        most = cache->free_spans[i].rows > most ? cache->free_spans[i].rows : most;
    return most;
}

static void remove_span(struct lng_kv_cache *cache, int64_t at)
{
    cache->free_count--;
    memmove(&cache->free_spans[at], &cache->free_spans[at + 1],
            (size_t)(cache->free_count - at) * sizeof *cache->free_spans);
}

int64_t lng_kv_take_source(struct lng_kv_cache *cache, int64_t rows)
{
    for (int64_t i = 0; i < cache->free_count; i++) {
        struct lng_kv_span *span = &cache->free_spans[i];
        if (span->rows < rows)
            continue;
        int64_t first = span->first;
        span->first += rows;
        span->rows -= rows;
        if (span->rows == 0)
            remove_span(cache, i);
        return first;
    }
    return -1;
}

void lng_kv_give_source(struct lng_kv_cache *cache, int64_t first, int64_t rows)
{
    int64_t at = 0;
    while (at < cache->free_count && cache->free_spans[at].first < first)
        at++;
    struct lng_kv_span *spans = cache->free_spans;
    bool joins_left = at > 0 && spans[at - 1].first + spans[at - 1].rows == first;
    bool joins_right = at < cache->free_count && first + rows == spans[at].first;
    if (joins_left && joins_right) {
        spans[at - 1].rows += rows + spans[at].rows;
        remove_span(cache, at);
    } else if (joins_left) {
        spans[at - 1].rows += rows;
    } else if (joins_right) {
        spans[at].first = first;
        spans[at].rows += rows;
    } else { /* between two sentences in use: never more gaps than sentences + 1 */
        memmove(&spans[at + 1], &spans[at], (size_t)(cache->free_count - at) * sizeof *spans);
        spans[at] = (struct lng_kv_span){first, rows};
        cache->free_count++;
    }
}

/* Where position s of a slot lies, less s. */
static int32_t place(const struct lng_kv_cache *cache, int64_t s, int64_t slot)
{
    const int64_t first = s / RUN * RUN, left = cache->time - first;
    return (int32_t)(first * cache->slots + slot * (left < RUN ? left : RUN) - first);
}

void lng_kv_begin(struct lng_kv_cache *cache, int64_t base, int *side)
{
    *side = 0;
    lng_kv_lineage(cache, 0, base)[0] = place(cache, 0, base);
}

void lng_kv_advance(struct lng_kv_cache *cache, int64_t base, const struct lng_beam_live *live,
                    int32_t count, int64_t t, int *side)
{
    bool straight = true; /* everyone continues in its own slot: nothing to copy */
    for (int32_t i = 0; i < count; i++)
        straight = straight && live[i].parent == i;
    int to = straight ? *side : !*side;
    for (int32_t i = 0; i < count; i++) {
        int32_t *row = lng_kv_lineage(cache, to, base + i);
        if (!straight)
            memcpy(row, lng_kv_lineage(cache, *side, base + live[i].parent),
                   (size_t)(t + 1) * sizeof *row);
        row[t + 1] = place(cache, t + 1, base + i);
    }
    *side = to;
}
