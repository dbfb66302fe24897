/* The memory of a search: how much for sentences of given lengths, and taking it. */
#include <string.h>

#include "host/base/arena.h"
#include "host/base/mem.h"
#include "host/infer/constrain_step.h"
#include "host/infer/decode_measure.h"
#include "host/infer/decode_state.h"
#include "host/infer/steer.h"
#include "host/infer/step_shape.h"

enum { LNG_SEARCH_ROWS = 256, MOST_HALVINGS = 8 /* of the batch, where memory is short */ };
/* Of the host, for attention of sentences in flight. */
static const size_t alignment_bytes = (size_t)1 << 28;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int32_t lng_search_time(const struct lng_search *search, const struct lng_search_input *input)
{
    if (input->exact_length > 0)
        return input->exact_length;
    int64_t demanded = input->prefix_length + (int64_t)lng_constraints_tokens(input->constraints);
    return lng_beam_max_length(&search->options.beam, input->source_length, demanded);
}

void lng_search_release_plan(struct lng_search *search)
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
    search->device_memory_bytes = search->workspace_bytes = 0;
    void **owned[] = {
        (void **)&search->seats,      (void **)&search->active,    (void **)&search->vacant,
        (void **)&search->step,       (void **)&search->ids,       (void **)&search->offsets,
        (void **)&search->candidates, (void **)&search->weights,   (void **)&search->kept_weights,
        (void **)&search->hypotheses, (void **)&search->tokens,    (void **)&search->nodes,
        (void **)&search->logprobs,   (void **)&search->alignment, (void **)&search->group,
    };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        lng_free(*owned[i]);
        *owned[i] = NULL;
    }
    search->plan = (struct lng_search_plan){0};
}

int64_t lng_search_full_seats(const struct lng_search *search)
{
    const struct lng_search_options *o = &search->options;
    const struct lng_model *model = search->model;
    int64_t rows = o->max_rows > 0 ? o->max_rows : LNG_SEARCH_ROWS;
    rows = min64(rows, lng_device_logit_rows(model->device, model->hparams.target_vocab));
    int64_t seats = (rows >> search->halvings) / o->beam.beam;
    if (o->batch_sentences > 0)
        seats = min64(seats, o->batch_sentences);
    return max64(1, seats);
}

/* Sizes for sentences of up to `time` target and `source` source tokens. */
static enum lng_status make_plan(const struct lng_search *search, int64_t time, int64_t source,
                                 bool fused, int64_t most, struct lng_search_plan *plan)
{
    const int halvings = search->halvings;
    const struct lng_search_options *o = &search->options;
    const struct lng_model *model = search->model;
    int64_t beam = o->beam.beam;
    struct lng_search_plan p = {.time = time, .source = source, .fused = fused, .most = most};
    p.seats = max64(1, min64(lng_search_full_seats(search), most));
    p.rows = p.seats * beam;
    int64_t affordable = (int64_t)(o->cache_bytes / (lng_kv_position_bytes(model) +
                                                     lng_steer_position_bytes(search)));
    LNG_FAIL_IF(beam > affordable / time, LNG_ERR_MEMORY,
                "a beam of %lld hypotheses of %lld tokens needs more than the %zu MiB allowed for "
                "keys and values; use a smaller beam or maximum length",
                (long long)beam, (long long)time, o->cache_bytes >> 20);
    affordable = min64(affordable, INT32_MAX); /* rows of caches are int32 */
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
    void *logits = NULL;
    if (!p->fused)
        logits = lng_arena_take(arena, (size_t)(p->step_rows * stride),
                                lng_dtype_size(model->activation));
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
    search->group = lng_alloc(seats, sizeof *search->group);
    search->candidates = lng_alloc(seats * k, sizeof *search->candidates);
    search->hypotheses = lng_alloc(n, sizeof *search->hypotheses);
    search->tokens = lng_alloc(n * time, sizeof *search->tokens);
    search->logprobs = lng_alloc(n * time, sizeof *search->logprobs);
    search->nodes = lng_alloc(time, sizeof *search->nodes);
    if (!search->seats || !search->group || !search->active || !search->vacant || !search->step ||
        !search->ids || !search->offsets || !search->candidates || !search->hypotheses ||
        !search->tokens || !search->logprobs || !search->nodes)
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
    LNG_FAIL_IF(input->exact_length < 0 || (input->exact_length > 0 && input->constraints != NULL),
                LNG_ERR_RANGE, "sentence %lld: expected an exact length or constraints",
                (long long)index);
    if (input->constraints != NULL)
        LNG_TRY(lng_constraints_check(input->constraints, search->model->hparams.target_vocab));
    return LNG_OK;
}

static enum lng_status open_plan(struct lng_search *search, int64_t time, int64_t source,
                                 bool fused, int64_t most)
{
    struct lng_search_plan plan;
    LNG_TRY(make_plan(search, time, source, fused, most, &plan));
    lng_search_release_plan(search);
    search->plan = plan;
    enum lng_status status = open_host_memory(search);
    if (status == LNG_OK)
        status = open_device_memory(search);
    if (status != LNG_OK)
        lng_search_release_plan(search);
    return status;
}

/* Whether nobody but the choice of candidates looks at logits. */
static bool can_fuse(const struct lng_search *search)
{
    return lng_device_fuses_logits(search->model->device) && search->steer == NULL &&
           !search->options.renormalise;
}

enum lng_status lng_search_prepare(struct lng_search *search, const struct lng_search_input *inputs,
                                   int64_t count, int64_t most)
{
    int64_t time = search->plan.time, source = search->plan.source;
    bool fused = can_fuse(search) && (search->plan.fused || search->plan.seats == 0);
    for (int64_t i = 0; i < count; i++) {
        LNG_TRY(check_input(search, &inputs[i], i));
        time = max64(time, lng_search_time(search, &inputs[i]));
        source = max64(source, inputs[i].source_length);
        fused = fused && inputs[i].constraints == NULL;
    }
    const struct lng_search_plan *plan = &search->plan;
    const bool roomy = most <= plan->most || plan->seats < plan->most;
    if (time == plan->time && source == plan->source && fused == plan->fused && roomy)
        return LNG_OK;
    most = max64(most, plan->most);
    enum lng_status status = open_plan(search, time, source, fused, most);
    while (status == LNG_ERR_MEMORY && search->halvings < MOST_HALVINGS) {
        search->halvings++;
        status = open_plan(search, time, source, fused, most);
    }
    if (status != LNG_OK)
        search->halvings = 0;
    return status;
}

enum lng_status lng_search_measure(struct lng_model *model,
                                   const struct lng_search_options *options, int64_t source,
                                   int64_t exact, int64_t sentences, struct lng_search_stats *stats)
{
    struct lng_search search = {.model = model, .options = *options};
    struct lng_search_plan *p = &search.plan;
    const struct lng_search_input longest = {.source_length = (int32_t)source,
                                             .exact_length = (int32_t)exact};
    struct lng_arena arena;
    LNG_TRY(make_plan(&search, lng_search_time(&search, &longest), source, can_fuse(&search),
                      sentences, p));
    lng_arena_init_measuring(&arena);
    carve_device(&search, &arena);
    const struct lng_batch_limits limits = {.source_rows = p->encode_rows, .sentences = p->seats};
    *stats = (struct lng_search_stats){.cache_bytes =
                                           lng_kv_cache_plan(model, p->positions, p->source_rows),
                                       .sentences_at_once = p->seats};
    stats->device_bytes = stats->cache_bytes + arena.used + lng_workspace_plan(model, &limits);
    return LNG_OK;
}
