#include "host/infer/decode.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/arena.h"
#include "host/base/mem.h"
#include "host/infer/constrain_step.h"
#include "host/infer/decode_state.h"
#include "host/infer/steer.h"
#include "host/infer/step_shape.h"

enum { LNG_SEARCH_ROWS = 256, MOST_HALVINGS = 8 /* of the batch, where memory is short */ };
static const size_t default_cache_bytes = (size_t)1 << 30;
static const size_t alignment_bytes = (size_t)1
                                      << 28; /* host memory for attention of sentences in flight */

struct lng_search_options lng_search_options_default(void)
{
    return (struct lng_search_options){
        .beam = lng_beam_options_default(),
        .batch_tokens = 4096,
        .alignment_layer = LNG_SEARCH_TRAINED_LAYER,
        .steering = lng_steering_default(),
    };
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum lng_status check_options(const struct lng_search_options *o,
                                     const struct lng_hparams *h)
{
    LNG_TRY(lng_beam_options_check(&o->beam));
    LNG_FAIL_IF(h->eos < 0, LNG_ERR_UNSUPPORTED,
                "the model names no end-of-sentence token, so a search could not end");
    LNG_FAIL_IF(o->batch_tokens < 1, LNG_ERR_RANGE, "batch tokens: expected 1 or more, found %lld",
                (long long)o->batch_tokens);
    LNG_FAIL_IF(o->batch_sentences < 0 || o->max_rows < 0, LNG_ERR_RANGE,
                "batch limits: expected 0 (none) or more, found %lld sentences, %lld rows",
                (long long)o->batch_sentences, (long long)o->max_rows);
    LNG_FAIL_IF(
        (o->alignment || o->steering.coverage_penalty > 0.0) &&
            (o->alignment_layer < LNG_SEARCH_TRAINED_LAYER ||
             o->alignment_layer >= h->decoder_layers || o->alignment_head >= h->decoder_heads),
        LNG_ERR_RANGE, "alignment from layer %d, head %d: the decoder has %d layers of %d heads",
        o->alignment_layer, o->alignment_head, h->decoder_layers, h->decoder_heads);
    for (size_t i = 0; i < o->banned_count; i++)
        LNG_FAIL_IF(o->banned[i] < 0 || o->banned[i] >= h->target_vocab, LNG_ERR_RANGE,
                    "banned token %d is outside the vocabulary of %d entries", o->banned[i],
                    h->target_vocab);
    return LNG_OK;
}

static enum lng_status upload_banned(struct lng_search *search,
                                     const struct lng_search_options *options)
{
    const struct lng_hparams *h = &search->model->hparams;
    int32_t *list = lng_alloc(options->banned_count + 2, sizeof *list);
    if (list == NULL)
        return LNG_ERR_MEMORY;
    int64_t n = 0;
    enum lng_status status = LNG_OK;
    if (h->pad >= 0 && h->pad != h->eos && !options->allow_pad)
        list[n++] = h->pad;
    if (h->unk >= 0 && h->unk != h->eos && !options->allow_unk)
        list[n++] = h->unk;
    for (size_t i = 0; i < options->banned_count; i++)
        list[n++] = options->banned[i];
    if (search->steer != NULL)
        status = lng_steer_set_banned(search->steer, list, n);
    void *memory = NULL;
    size_t bytes = (size_t)n * sizeof *list;
    if (n > 0 && status == LNG_OK)
        status = lng_device_alloc(search->model->device, bytes, &memory);
    if (n > 0 && status == LNG_OK)
        status = lng_device_write(search->model->device, memory, list, bytes);
    if (options->renormalise)
        search->excluded = list;
    else
        lng_free(list);
    search->banned = memory;
    search->banned_count = n;
    return status;
}

enum lng_status lng_search_open(struct lng_model *model, const struct lng_search_options *options,
                                struct lng_search **search)
{
    LNG_TRY(check_options(options, &model->hparams));
    struct lng_search *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->model = model;
    made->options = *options;
    made->options.banned = NULL;
    made->options.beam.eos = model->hparams.eos;
    if (made->options.cache_bytes == 0)
        made->options.cache_bytes = default_cache_bytes;
    if (options->steering.choice != LNG_CHOICE_BEST) /* each hypothesis is on its own to its end */
        made->options.beam.stop = LNG_BEAM_STOP_EXHAUST;
    enum lng_status status = lng_steer_open(made, options, &made->steer);
    if (status == LNG_OK)
        status = upload_banned(made, options);
    if (status != LNG_OK) {
        lng_search_close(made);
        return status;
    }
    *search = made;
    return LNG_OK;
}

/* Gives back what was planned for lengths; the search can be prepared again. */
static void release_plan(struct lng_search *search)
{
    for (int64_t i = 0; search->seats != NULL && i < search->plan.seats; i++) {
        lng_beam_release(&search->seats[i].beam);
        lng_free(search->seats[i].node_slot);
    }
    lng_workspace_close(search->workspace);
    lng_step_scratch_close(search->scratch);
    lng_kv_cache_release(&search->cache);
    lng_device_free(search->model->device, search->device_memory);
    lng_steer_release_plan(search);
    search->workspace = NULL;
    search->scratch = NULL;
    search->device_memory = NULL;
    void **owned[] = {
        (void **)&search->seats,      (void **)&search->active,    (void **)&search->vacant,
        (void **)&search->step,       (void **)&search->ids,       (void **)&search->offsets,
        (void **)&search->candidates, (void **)&search->weights,   (void **)&search->kept_weights,
        (void **)&search->hypotheses, (void **)&search->tokens,    (void **)&search->nodes,
        (void **)&search->logprobs,   (void **)&search->alignment,
    };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        lng_free(*owned[i]);
        *owned[i] = NULL;
    }
    search->plan = (struct lng_search_plan){0};
}

void lng_search_close(struct lng_search *search)
{
    if (search == NULL)
        return;
    release_plan(search);
    lng_steer_close(search);
    lng_device_free(search->model->device, search->banned);
    lng_free(search->excluded);
    lng_free(search);
}

int32_t lng_search_time(const struct lng_search *search, const struct lng_search_input *input)
{
    int64_t demanded = input->prefix_length + (int64_t)lng_constraints_tokens(input->constraints);
    return lng_beam_max_length(&search->options.beam, input->source_length, demanded);
}

/* Sizes for sentences of up to `time` target and `source` source tokens. */
static enum lng_status make_plan(const struct lng_search *search, int64_t time, int64_t source,
                                 struct lng_search_plan *plan)
{
    const int halvings = search->halvings;
    const struct lng_search_options *o = &search->options;
    const struct lng_model *model = search->model;
    int64_t beam = o->beam.beam;
    int64_t rows = o->max_rows > 0 ? o->max_rows : LNG_SEARCH_ROWS;
    rows = min64(rows, lng_device_logit_rows(model->device, model->hparams.target_vocab));
    rows >>= halvings;
    struct lng_search_plan p = {.time = time, .source = source};
    p.seats = max64(1, rows / beam);
    if (o->batch_sentences > 0)
        p.seats = min64(p.seats, o->batch_sentences);
    p.rows = p.seats * beam;
    int64_t affordable = (int64_t)(o->cache_bytes / (lng_kv_position_bytes(model) +
                                                     lng_steer_position_bytes(search)));
    LNG_FAIL_IF(beam > affordable / time, LNG_ERR_MEMORY,
                "a beam of %lld hypotheses of %lld tokens needs more than the %zu MiB allowed for "
                "keys and values; use a smaller beam or maximum length",
                (long long)beam, (long long)time, o->cache_bytes >> 20);
    affordable >>= halvings;
    if (o->alignment) /* the smallest batch is always tried */
        affordable = min64(affordable, (int64_t)(alignment_bytes / sizeof(float)) / source);
    p.positions = max64(beam * time, min64(p.rows * time, affordable));
    p.source_rows = max64(source, min64(o->batch_tokens >> halvings, p.seats * source));
    p.encode_rows = lng_encode_rows(model->device, p.source_rows, source);
    p.step_rows = lng_step_rows(model->device, p.rows);
    p.step_words = lng_search_step_words(p.step_rows, p.seats, 0) +
                   lng_step_ancestors(model->device, p.rows, time, p.positions) + 64;
    *plan = p;
    return LNG_OK;
}

static void carve_device(struct lng_search *search, struct lng_arena *arena)
{
    const struct lng_search_plan *p = &search->plan;
    const struct lng_model *model = search->model;
    int64_t stride = lng_logit_stride(model);
    size_t k = (size_t)lng_beam_candidates(&search->options.beam);
    void *logits =
        lng_arena_take(arena, (size_t)(p->step_rows * stride), lng_dtype_size(model->activation));
    search->logits = lng_view_make(logits, model->activation, p->step_rows, stride);
    search->logits.cols = model->hparams.target_vocab;
    search->device_candidates =
        lng_arena_take(arena, (size_t)p->seats * k, sizeof *search->device_candidates);
    search->device_step = lng_arena_take(arena, (size_t)p->step_words, sizeof *search->device_step);
    int64_t weights = p->step_rows * p->source * lng_search_aligned_layers(search);
    search->device_weights =
        lng_search_wants_weights(search)
            ? lng_arena_take(arena, (size_t)weights, sizeof *search->device_weights)
            : NULL;
}

static enum lng_status open_device_memory(struct lng_search *search)
{
    struct lng_model *model = search->model;
    const struct lng_search_plan *p = &search->plan;
    struct lng_arena arena;
    lng_arena_init_measuring(&arena);
    carve_device(search, &arena);
    search->device_memory_bytes = arena.used;
    LNG_FAIL_IF(arena.overflowed, LNG_ERR_MEMORY, "search: %lld rows are too many to plan for",
                (long long)p->rows);
    LNG_TRY(lng_device_alloc(model->device, arena.used, &search->device_memory));
    lng_arena_init(&arena, search->device_memory, search->device_memory_bytes);
    carve_device(search, &arena);
    LNG_TRY(lng_arena_check(&arena));
    struct lng_batch_limits limits = {.source_rows = p->encode_rows, .sentences = p->seats};
    search->workspace_bytes = lng_workspace_plan(model, &limits);
    LNG_TRY(lng_workspace_open(model, &limits, &search->workspace));
    LNG_TRY(lng_step_scratch_open(model, p->step_rows, &search->scratch));
    LNG_TRY(lng_kv_cache_init(&search->cache, model, p->positions, p->source_rows, p->seats));
    if (search->steer != NULL)
        LNG_TRY(lng_steer_open_plan(search));
    return lng_model_reserve_positions(model, max64(p->time, p->source));
}

static enum lng_status open_host_memory(struct lng_search *search)
{
    const struct lng_search_plan *p = &search->plan;
    size_t k = (size_t)lng_beam_candidates(&search->options.beam), seats = (size_t)p->seats;
    size_t n = (size_t)search->options.beam.n_best, time = (size_t)p->time;
    search->seats = lng_alloc(seats, sizeof *search->seats);
    search->active = lng_alloc(seats, sizeof *search->active);
    search->vacant = lng_alloc(seats, sizeof *search->vacant);
    search->step = lng_alloc((size_t)p->step_words, sizeof *search->step);
    search->ids = lng_alloc((size_t)p->source_rows, sizeof *search->ids);
    search->offsets = lng_alloc(seats + 1, sizeof *search->offsets);
    search->candidates = lng_alloc(seats * k, sizeof *search->candidates);
    search->hypotheses = lng_alloc(n, sizeof *search->hypotheses);
    search->tokens = lng_alloc(n * time, sizeof *search->tokens);
    search->logprobs = lng_alloc(n * time, sizeof *search->logprobs);
    search->nodes = lng_alloc(time, sizeof *search->nodes);
    if (!search->seats || !search->active || !search->vacant || !search->step || !search->ids ||
        !search->offsets || !search->candidates || !search->hypotheses || !search->tokens ||
        !search->logprobs || !search->nodes)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < seats; i++)
        LNG_TRY(lng_beam_init(&search->seats[i].beam, &search->options.beam, (int32_t)p->time));
    if (!lng_search_wants_weights(search))
        return LNG_OK;
    size_t source = (size_t)p->source;
    search->weights = lng_alloc((size_t)(p->step_rows * lng_search_aligned_layers(search)) * source,
                                sizeof *search->weights);
    if (search->weights == NULL)
        return LNG_ERR_MEMORY;
    if (!search->options.alignment)
        return LNG_OK;
    search->kept_weights = lng_alloc((size_t)p->positions * source, sizeof *search->kept_weights);
    search->alignment = lng_alloc(n * time * source, sizeof *search->alignment);
    if (!search->kept_weights || !search->alignment)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < seats; i++) {
        struct lng_seat *seat = &search->seats[i];
        seat->node_slot = lng_alloc((size_t)seat->beam.node_capacity, sizeof *seat->node_slot);
        if (seat->node_slot == NULL)
            return LNG_ERR_MEMORY;
    }
    return LNG_OK;
}

static enum lng_status check_input(const struct lng_search *search,
                                   const struct lng_search_input *input, int64_t index)
{
    LNG_FAIL_IF(input->source_length < 1 || input->prefix_length < 0, LNG_ERR_RANGE,
                "sentence %lld: expected 1 source token or more, found %d", (long long)index,
                input->source_length);
    for (int32_t i = 0; i < input->prefix_length; i++)
        LNG_FAIL_IF(input->prefix[i] < 0 || input->prefix[i] >= search->model->hparams.target_vocab,
                    LNG_ERR_RANGE, "sentence %lld: prefix token %d is outside the vocabulary",
                    (long long)index, input->prefix[i]);
    LNG_FAIL_IF(input->constraints != NULL && search->steer != NULL, LNG_ERR_UNSUPPORTED,
                "phrases and placeholders cannot be asked of a search with samples, alternatives, "
                "penalties, several models or a shortlist");
    if (input->constraints != NULL)
        LNG_TRY(lng_constraints_check(input->constraints, search->model->hparams.target_vocab));
    return LNG_OK;
}

static enum lng_status open_plan(struct lng_search *search, int64_t time, int64_t source)
{
    struct lng_search_plan plan;
    LNG_TRY(make_plan(search, time, source, &plan));
    release_plan(search);
    search->plan = plan;
    enum lng_status status = open_host_memory(search);
    if (status == LNG_OK)
        status = open_device_memory(search);
    if (status != LNG_OK)
        release_plan(search);
    return status;
}

/* Makes room for the longest of the inputs, for fewer at once where memory is short; keeps what is there when it suffices. */
static enum lng_status prepare(struct lng_search *search, const struct lng_search_input *inputs,
                               int64_t count)
{
    int64_t time = search->plan.time, source = search->plan.source;
    for (int64_t i = 0; i < count; i++) {
        LNG_TRY(check_input(search, &inputs[i], i));
        time = max64(time, lng_search_time(search, &inputs[i]));
        source = max64(source, inputs[i].source_length);
    }
    if (time == search->plan.time && source == search->plan.source)
        return LNG_OK;
    enum lng_status status = open_plan(search, time, source);
    while (status == LNG_ERR_MEMORY && search->halvings < MOST_HALVINGS) {
        search->halvings++;
        status = open_plan(search, time, source);
    }
    if (status != LNG_OK)
        search->halvings = 0;
    return status;
}

static int compare_inputs(const void *left, const void *right, void *context)
{
    const struct lng_search *search = context;
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    const struct lng_search_input *x = &search->inputs[a], *y = &search->inputs[b];
    int32_t time_x = lng_search_time(search, x), time_y = lng_search_time(search, y);
    if (time_x != time_y)
        return time_x > time_y ? -1 : 1;
    if (x->source_length != y->source_length)
        return x->source_length > y->source_length ? -1 : 1;
    return (a > b) - (a < b);
}

/* How many sentences of `time` positions the cache can hold. */
static int64_t seats_for(const struct lng_search *search, int64_t time)
{
    return min64(search->plan.seats, search->plan.positions / time / search->options.beam.beam);
}

static enum lng_status reshape(struct lng_search *search, int64_t time)
{
    search->open_seats = seats_for(search, time);
    search->vacant_count = 0;
    for (int64_t i = search->open_seats; i-- > 0;)
        search->vacant[search->vacant_count++] = (int32_t)i;
    int64_t slots = search->open_seats * search->options.beam.beam;
    if (search->steer != NULL)
        LNG_TRY(lng_steer_reshape(search, time, slots));
    return lng_kv_cache_shape(&search->cache, time, slots);
}

static enum lng_status seat_group(struct lng_search *search, int64_t group, int64_t source_first)
{
    for (int64_t i = 0; i < group; i++) {
        int64_t index = search->order[search->next + i];
        const struct lng_search_input *input = &search->inputs[index];
        int32_t number = search->vacant[search->vacant_count - 1];
        struct lng_seat *seat = &search->seats[number];
        LNG_TRY(
            lng_beam_start(&seat->beam, input->source_length, input->prefix, input->prefix_length));
        search->vacant_count--;
        search->active[search->active_count++] = number;
        seat->input = index;
        if (input->constraints != NULL)
            seat->beam.max_length = lng_search_time(search, input);
        if (search->constrain != NULL)
            lng_constrain_seat_begin(search, number);
        seat->base = (int64_t)number * search->options.beam.beam;
        seat->source_first = source_first + search->offsets[i];
        seat->source_length = input->source_length;
        lng_kv_begin(&search->cache, seat->base, &seat->side);
        if (search->steer != NULL)
            LNG_TRY(lng_steer_seat(search, number, input));
    }
    search->next += group;
    return LNG_OK;
}

/* Lets the next sentences in, as many of `group` as the workspace holds, and takes them off it. */
static enum lng_status encode_some(struct lng_search *search, int64_t *group)
{
    int64_t part = 0, rows = 0;
    search->offsets[0] = 0;
    for (; part < *group; part++) {
        const struct lng_search_input *input = &search->inputs[search->order[search->next + part]];
        if (part > 0 && rows + input->source_length > search->plan.encode_rows)
            break;
        memcpy(search->ids + rows, input->source,
               (size_t)input->source_length * sizeof *search->ids);
        rows += input->source_length;
        search->offsets[part + 1] = (int32_t)rows;
    }
    int64_t first = lng_kv_take_source(&search->cache, rows);
    LNG_FAIL_IF(first < 0, LNG_ERR_INTERNAL, "search: no room for %lld source rows",
                (long long)rows);
    struct lng_sequences sequences = {search->ids, search->offsets, NULL, part};
    struct lng_view encoded;
    LNG_TRY(lng_model_encode(search->model, search->workspace, &sequences, &encoded));
    LNG_TRY(lng_decoder_project_source(search->model, encoded, search->cache.layers, first,
                                       search->cache.staging));
    if (search->steer != NULL)
        LNG_TRY(lng_steer_encode(search, &sequences, first));
    search->stats.groups++;
    search->stats.encoded += rows;
    *group -= part;
    return seat_group(search, part, first);
}

/* Lets waiting sentences in, unless it pays to wait for a larger group or for a better shape. */
static enum lng_status admit(struct lng_search *search)
{
    if (search->next == search->count)
        return LNG_OK;
    int64_t time = lng_search_time(search, &search->inputs[search->order[search->next]]);
    if (search->active_count == 0)
        LNG_TRY(reshape(search, time));
    else if (seats_for(search, time) >= 2 * search->open_seats)
        return LNG_OK; /* shorter ones are next: drain, then carve for twice as many */
    int64_t room = lng_kv_source_room(&search->cache), group = 0, rows = 0;
    while (group < search->vacant_count && search->next + group < search->count) {
        int64_t length = search->inputs[search->order[search->next + group]].source_length;
        if (rows + length > room)
            break;
        rows += length;
        group++;
    }
    bool worth_it = search->active_count == 0 || search->next + group == search->count ||
                    4 * group >= search->open_seats || 4 * rows >= search->plan.source_rows;
    while (group > 0 && worth_it)
        LNG_TRY(encode_some(search, &group));
    return LNG_OK;
}

enum lng_status lng_search_run(struct lng_search *search, const struct lng_search_input *inputs,
                               int64_t count, lng_search_done done, void *context)
{
    if (count == 0)
        return LNG_OK;
    LNG_TRY(prepare(search, inputs, count));
    int64_t *order = lng_alloc((size_t)count, sizeof *order);
    if (order == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    search->inputs = inputs;
    search->order = order;
    search->count = count;
    search->next = 0;
    qsort_r(order, (size_t)count, sizeof *order, compare_inputs, search);
    enum lng_status status = lng_constrain_run_open(search);
    while (status == LNG_OK && (search->next < count || search->active_count > 0)) {
        status = admit(search);
        if (status == LNG_OK)
            status = lng_search_step(search, done, context);
    }
    if (status != LNG_OK) { /* forget sentences in flight */
        search->active_count = 0;
        lng_kv_clear_source(&search->cache);
    }
    lng_constrain_run_close(search);
    search->inputs = NULL;
    search->order = NULL;
    lng_free(order);
    return status;
}

struct lng_search_stats lng_search_get_stats(const struct lng_search *search)
{
    struct lng_search_stats stats = search->stats;
    stats.cache_bytes = search->cache.bytes;
    stats.device_bytes =
        search->cache.bytes + search->device_memory_bytes + search->workspace_bytes;
    if (search->steer != NULL)
        stats.device_bytes += search->steer->device_bytes + search->steer->member_bytes;
    stats.sentences_at_once = search->plan.seats;
    stats.repeats = lng_device_repeat_stats(search->model->device);
    return stats;
}
