#include "host/infer/translate_repeat.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/repeat_cache.h"

/* Of one window; arrays only ever grow. */
struct lng_repeats {
    struct lng_repeat_cache *cache; /* NULL: every segment is searched */
    uint64_t *hashes;               /* of each segment's input */
    size_t *first;                  /* the segment that has the same input, perhaps itself */
    size_t *table; /* by hash: a segment, plus one; 0 = free. A power of two, at most half taken */
    size_t hash_capacity, first_capacity, table_capacity;
    struct lng_search_input *inputs; /* those to search */
    size_t *segments;                /* and whose they are */
    size_t input_capacity, segment_capacity, count;
    uint64_t ids, ids_done; /* source ids in these inputs, and in those that are done */
};

enum lng_status lng_repeats_open(size_t cache_bytes, struct lng_repeats **repeats)
{
    struct lng_repeats *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        cache_bytes > 0 ? lng_repeat_cache_open(cache_bytes, &made->cache) : LNG_OK;
    if (status == LNG_OK)
        *repeats = made;
    else
        lng_repeats_close(made);
    return status;
}

void lng_repeats_close(struct lng_repeats *repeats)
{
    if (repeats == NULL)
        return;
    lng_repeat_cache_close(repeats->cache);
    lng_free(repeats->hashes);
    lng_free(repeats->first);
    lng_free(repeats->table);
    lng_free(repeats->inputs);
    lng_free(repeats->segments);
    lng_free(repeats);
}

static enum lng_status make_room(struct lng_repeats *r, size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    LNG_TRY(lng_grow(&r->hashes, &r->hash_capacity, count, sizeof *r->hashes));
    LNG_TRY(lng_grow(&r->first, &r->first_capacity, count, sizeof *r->first));
    LNG_TRY(lng_grow(&r->inputs, &r->input_capacity, count, sizeof *r->inputs));
    LNG_TRY(lng_grow(&r->segments, &r->segment_capacity, count, sizeof *r->segments));
    LNG_TRY(lng_grow(&r->table, &r->table_capacity, slots, sizeof *r->table));
    memset(r->table, 0, r->table_capacity * sizeof *r->table);
    r->count = 0;
    r->ids = r->ids_done = 0;
    return LNG_OK;
}

/* The first segment of the window with the same input. */
static size_t find_first(struct lng_repeats *r, const struct lng_search_input *inputs, size_t s)
{
    size_t mask = r->table_capacity - 1; /* lng_grow keeps powers of two */
    size_t i = r->hashes[s] & mask;
    for (; r->table[i] != 0; i = (i + 1) & mask) {
        size_t other = r->table[i] - 1;
        if (r->hashes[other] == r->hashes[s] && lng_repeat_same(&inputs[other], &inputs[s]))
            return other;
    }
    r->table[i] = s + 1;
    return s;
}

static void add_input(struct lng_repeats *r, const struct lng_search_input *input, size_t segment)
{
    r->inputs[r->count] = *input;
    r->segments[r->count++] = segment;
    r->ids += (uint64_t)input->source_length;
}

/* Decides which segments are searched; those found in the cache get their hypotheses at once. */
static enum lng_status plan(struct lng_translator *translator)
{
    struct lng_window *w = &translator->window;
    struct lng_repeats *r = translator->repeats;
    size_t skipped = 0;
    for (size_t s = 0; s < w->segment_count; s++) {
        const struct lng_search_input *input = &w->inputs[s];
        bool found = false;
        r->first[s] = s;
        skipped += w->segments[s].verbatim;
        if (w->segments[s].verbatim)
            continue;
        if (translator->demander != NULL && lng_demand_is_own(translator->demander, s)) {
            add_input(r, input, s);
            continue;
        }
        if (r->cache != NULL) {
            r->hashes[s] = lng_repeat_hash(input);
            r->first[s] = find_first(r, w->inputs, s);
        }
        if (r->first[s] == s && r->cache != NULL)
            LNG_TRY(lng_repeat_cache_get(r->cache, r->hashes[s], input, (int64_t)s, lng_window_keep,
                                         translator, &found));
        if (r->first[s] == s && !found)
            add_input(r, input, s);
    }
    translator->stats.repeated += w->segment_count - skipped - r->count;
    return LNG_OK;
}

/* Lines of the window, as far as its segments are done, counted by their ids: long ones come first. */
static void report_progress(const struct lng_translator *translator)
{
    const struct lng_repeats *r = translator->repeats;
    const struct lng_translate_options *o = &translator->options;
    if (o->progress == NULL || !translator->running)
        return;
    double share = (double)r->ids_done / (double)r->ids;
    o->progress(o->progress_context,
                translator->lines_done + (uint64_t)(share * (double)translator->window.line_count));
}

static enum lng_status keep_searched(void *context, const struct lng_search_result *result)
{
    struct lng_translator *translator = context;
    struct lng_repeats *r = translator->repeats;
    struct lng_search_result of_segment = *result;
    size_t segment = r->segments[result->index];
    of_segment.index = (int64_t)segment;
    LNG_TRY(lng_window_keep(translator, &of_segment));
    r->ids_done += (uint64_t)r->inputs[result->index].source_length;
    report_progress(translator);
    bool own = translator->demander != NULL && lng_demand_is_own(translator->demander, segment);
    if (r->cache == NULL || own)
        return LNG_OK;
    return lng_repeat_cache_put(r->cache, r->hashes[segment], &r->inputs[result->index], result);
}

enum lng_status lng_repeats_search(struct lng_translator *translator)
{
    struct lng_window *w = &translator->window;
    struct lng_repeats *r = translator->repeats;
    LNG_TRY(make_room(r, w->segment_count));
    LNG_TRY(plan(translator));
    LNG_TRY(lng_search_run(translator->search, r->inputs, (int64_t)r->count, keep_searched,
                           translator));
    for (size_t s = 0; s < w->segment_count; s++) {
        const struct lng_window_segment *same = &w->segments[r->first[s]];
        w->segments[s].hypotheses = same->hypotheses;
        w->segments[s].exact_stop = same->exact_stop;
    }
    return LNG_OK;
}
