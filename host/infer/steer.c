/* Setting up a steered search: options, further models, memory. */
#include "host/infer/steer.h"

#include <math.h>
#include <string.h>

#include "host/base/arena.h"
#include "host/base/bytes.h"
#include "host/base/mem.h"

struct lng_steering lng_steering_default(void)
{
    return (struct lng_steering){
        .sampling = {.temperature = 1.0, .top_p = 1.0, .seed = 1},
        .repetition_penalty = 1.0,
    };
}

bool lng_steering_is_on(const struct lng_steering *s)
{
    return s->choice != LNG_CHOICE_BEST || s->repetition_penalty != 1.0 || s->no_repeat_ngram > 0 ||
           s->coverage_penalty > 0.0 || s->member_count > 0 || s->shortlist != NULL;
}

static enum lng_status check_numbers(const struct lng_search_options *o)
{
    const struct lng_steering *s = &o->steering;
    LNG_FAIL_IF(!(s->sampling.temperature >= 0.01 && s->sampling.temperature <= 100.0),
                LNG_ERR_RANGE, "sampling temperature: expected 0.01 to 100, found %g",
                s->sampling.temperature);
    LNG_FAIL_IF(!(s->sampling.top_p > 0.0 && s->sampling.top_p <= 1.0), LNG_ERR_RANGE,
                "sampling top-p: expected more than 0 and up to 1, found %g", s->sampling.top_p);
    LNG_FAIL_IF(s->sampling.top_k < 0 || s->sampling.top_k > LNG_SAMPLING_MOST_TOP_K, LNG_ERR_RANGE,
                "sampling top-k: expected 0 (all) to %d, found %d", LNG_SAMPLING_MOST_TOP_K,
                s->sampling.top_k);
    LNG_FAIL_IF(!(s->min_alternative_probability >= 0.0 && s->min_alternative_probability <= 1.0),
                LNG_ERR_RANGE, "least probability of an alternative: expected 0 to 1, found %g",
                s->min_alternative_probability);
    LNG_FAIL_IF(!(s->repetition_penalty >= 0.01 && s->repetition_penalty <= 100.0), LNG_ERR_RANGE,
                "repetition penalty: expected 0.01 to 100, found %g", s->repetition_penalty);
    LNG_FAIL_IF(s->no_repeat_ngram < 0, LNG_ERR_RANGE,
                "n-grams not repeated: expected 0 (off) or more, found %d", s->no_repeat_ngram);
    LNG_FAIL_IF(!(s->coverage_penalty >= 0.0 && s->coverage_penalty <= 100.0), LNG_ERR_RANGE,
                "coverage penalty: expected 0 to 100, found %g", s->coverage_penalty);
    LNG_FAIL_IF(s->choice != LNG_CHOICE_BEST && o->beam.n_best != o->beam.beam, LNG_ERR_RANGE,
                "samples and alternatives: expected a beam of as many as are wanted, %d, found %d",
                o->beam.n_best, o->beam.beam);
    return LNG_OK;
}

/* The rows of a step, ids and source are made once for all. */
static enum lng_status check_member(const struct lng_hparams *a, const struct lng_hparams *b,
                                    int32_t number)
{
    bool learned = a->positions == LNG_POSITIONS_LEARNED || b->positions == LNG_POSITIONS_LEARNED;
    const struct {
        const char *what;
        int32_t first, other;
    } same[] = {
        {"target vocabulary", a->target_vocab, b->target_vocab},
        {"source vocabulary", a->source_vocab, b->source_vocab},
        {"end-of-sentence token", a->eos, b->eos},
        {"source end-of-sentence token", a->source_eos, b->source_eos},
        {"decoder start token", a->decoder_start, b->decoder_start},
        {"offset of positions", a->position_offset, b->position_offset},
        {"number of learned positions", learned ? a->max_positions : 0,
         learned ? b->max_positions : 0},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        LNG_FAIL_IF(same[i].first != same[i].other, LNG_ERR_MISMATCH,
                    "model %d of the ensemble: %s: expected %d as in the first model, found %d",
                    number, same[i].what, same[i].first, same[i].other);
    return LNG_OK;
}

static enum lng_status check_models(const struct lng_search *search, const struct lng_steering *s)
{
    const struct lng_model *first = search->model;
    LNG_FAIL_IF(s->member_count < 0 || s->member_count > 1000, LNG_ERR_RANGE,
                "models of an ensemble: expected 1 to 1000, found %d", s->member_count + 1);
    LNG_FAIL_IF(lng_device_real(first->device) != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "a device that computes in double has no samples, penalties or ensembles");
    for (int32_t i = 0; i < s->member_count; i++) {
        const struct lng_model *model = s->members[i];
        LNG_FAIL_IF(model->device != first->device || model->activation != first->activation,
                    LNG_ERR_MISMATCH,
                    "model %d of the ensemble is on another device or of another type", i + 2);
        LNG_TRY(check_member(&first->hparams, &model->hparams, i + 2));
    }
    for (int32_t i = 0; s->weights && i <= s->member_count; i++)
        LNG_FAIL_IF(!(s->weights[i] > 0.0 && s->weights[i] <= 1e6), LNG_ERR_RANGE,
                    "weight %d of the ensemble: expected more than 0 and up to 1e6, found %g",
                    i + 1, s->weights[i]);
    LNG_FAIL_IF(s->shortlist && s->shortlist->target_rows > first->hparams.target_vocab,
                LNG_ERR_MISMATCH, "shortlist for %d target words: the model has %d",
                s->shortlist->target_rows, first->hparams.target_vocab);
    return LNG_OK;
}

static void set_weights(struct lng_steer *steer, const double *weights)
{
    const int32_t count = steer->options.member_count + 1;
    double sum = 0.0;
    for (int32_t i = 0; i < count; i++)
        sum += weights ? weights[i] : 1.0;
    for (int32_t i = 0; i < count; i++) {
        const double w = weights ? weights[i] : 1.0 / count;
        bool mean = steer->options.ensemble == LNG_ENSEMBLE_MEAN && count > 1;
        steer->factors[i] = mean ? 1.0 : w;
        steer->offsets[i] = mean ? log(weights ? w / sum : w) : 0.0;
    }
}

enum lng_status lng_steer_open(const struct lng_search *search,
                               const struct lng_search_options *options, struct lng_steer **steer)
{
    const struct lng_steering *s = &options->steering;
    LNG_TRY(check_numbers(options));
    if (!lng_steering_is_on(s))
        return LNG_OK;
    LNG_TRY(check_models(search, s));
    const size_t members = (size_t)s->member_count,
                 words = (size_t)search->model->hparams.target_vocab;
    struct lng_steer *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    *steer = made; /* closed by the search from here on */
    made->options = *s;
    made->members = lng_alloc(members, sizeof *made->members);
    made->factors = lng_alloc(members + 1, sizeof *made->factors);
    made->offsets = lng_alloc(members + 1, sizeof *made->offsets);
    made->never = lng_alloc(words, 1);
    made->marks = lng_alloc(words, 1);
    if (!made->members || !made->factors || !made->offsets || !made->never || !made->marks)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < members; i++)
        made->members[i].model = s->members[i];
    for (size_t i = 0; s->shortlist != NULL && i <= members; i++)
        LNG_TRY(lng_model_keep_output_rows(i > 0 ? s->members[i - 1] : search->model));
    set_weights(made, s->weights);
    made->options.members = NULL;
    made->options.weights = NULL;
    return LNG_OK;
}

enum lng_status lng_steer_set_banned(struct lng_steer *steer, const int32_t *banned, int64_t count)
{
    const struct lng_shortlist *list = steer->options.shortlist;
    steer->bans = lng_alloc((size_t)count, sizeof *steer->bans);
    if (steer->bans == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        if (list != NULL && banned[i] < list->target_rows && !steer->never[banned[i]])
            steer->bans[steer->ban_count++] = banned[i];
        steer->never[banned[i]] = 1;
    }
    return LNG_OK;
}

void lng_steer_close(struct lng_search *search)
{
    struct lng_steer *steer = search->steer;
    if (steer == NULL)
        return;
    lng_steer_release_plan(search);
    lng_free(steer->members);
    lng_free(steer->factors);
    lng_free(steer->offsets);
    lng_free(steer->never);
    lng_free(steer->marks);
    lng_free(steer->bans);
    lng_free(steer);
    search->steer = NULL;
}

size_t lng_steer_position_bytes(const struct lng_search *search)
{
    size_t bytes = 0;
    for (int32_t i = 0; search->steer && i < search->steer->options.member_count; i++)
        bytes += lng_kv_position_bytes(search->steer->members[i].model);
    return bytes;
}

/* ---- memory of a plan ---- */

static void carve(struct lng_search *search, struct lng_arena *arena)
{
    struct lng_steer *s = search->steer;
    const struct lng_search_plan *p = &search->plan;
    const size_t rows = (size_t)p->rows;
    void *scores = lng_arena_take(arena, rows * (size_t)s->width, sizeof(float));
    s->scores = lng_view_make(scores, LNG_DTYPE_F32, p->rows, s->width);
    s->device_edits = lng_arena_take(arena, rows * (size_t)s->edit_room, sizeof *s->device_edits);
    s->device_choices =
        lng_arena_take(arena, rows * (size_t)s->choice_room, sizeof *s->device_choices);
    s->device_words = lng_arena_take(arena, (size_t)lng_steer_lay_words(p->step_rows).words,
                                     sizeof *s->device_words);
    s->device_lists =
        lng_arena_take(arena, (size_t)(p->seats * s->list_room), sizeof *s->device_lists);
}

static void size_plan(struct lng_search *search)
{
    struct lng_steer *s = search->steer;
    const struct lng_steering *o = &s->options;
    const struct lng_search_plan *p = &search->plan;
    const int64_t words = search->model->hparams.target_vocab;
    s->list_room = o->shortlist ? lng_shortlist_bound(o->shortlist, p->source) + p->time + 1 : 0;
    s->list_room = s->list_room > words ? words : s->list_room;
    s->width = o->shortlist ? s->list_room : words;
    bool history = o->repetition_penalty != 1.0 || o->no_repeat_ngram > 0;
    s->edit_room =
        1 + s->ban_count + (history ? p->time : 0); /* the one: EOS before the minimum length */
    s->edit_room = s->edit_room > s->width ? s->width : s->edit_room;
    s->choice_room = o->choice == LNG_CHOICE_ALTERNATIVES ? search->options.beam.beam
                     : o->choice == LNG_CHOICE_SAMPLE     ? o->sampling.top_k
                                                          : 0;
}

static enum lng_status open_member(const struct lng_search *search, struct lng_member *member,
                                   size_t *bytes)
{
    const struct lng_search_plan *p = &search->plan;
    struct lng_batch_limits limits = {.source_rows = p->encode_rows, .sentences = p->seats};
    LNG_TRY(lng_workspace_open(member->model, &limits, &member->workspace));
    LNG_TRY(lng_step_scratch_open(member->model, p->step_rows, &member->scratch));
    LNG_TRY(
        lng_kv_cache_init(&member->cache, member->model, p->positions, p->source_rows, p->seats));
    *bytes += lng_workspace_plan(member->model, &limits) + member->cache.bytes;
    return lng_model_reserve_positions(member->model, p->time > p->source ? p->time : p->source);
}

static enum lng_status open_device(struct lng_search *search)
{
    struct lng_steer *s = search->steer;
    struct lng_arena arena;
    lng_arena_init_measuring(&arena);
    carve(search, &arena);
    const size_t bytes = arena.used;
    LNG_FAIL_IF(arena.overflowed, LNG_ERR_MEMORY, "search: %lld rows are too many to plan for",
                (long long)search->plan.rows);
    LNG_TRY(lng_device_alloc(search->model->device, bytes, &s->device_memory));
    s->device_bytes = bytes;
    lng_arena_init(&arena, s->device_memory, bytes);
    carve(search, &arena);
    LNG_TRY(lng_arena_check(&arena));
    for (int32_t i = 0; i < s->options.member_count; i++)
        LNG_TRY(open_member(search, &s->members[i], &s->member_bytes));
    return LNG_OK;
}

enum lng_status lng_steer_open_plan(struct lng_search *search)
{
    struct lng_steer *s = search->steer;
    const struct lng_search_plan *p = &search->plan;
    const size_t rows = (size_t)p->rows, seats = (size_t)p->seats;
    size_plan(search);
    bool whole = s->options.choice == LNG_CHOICE_SAMPLE && s->choice_room == 0;
    const size_t source = s->options.coverage_penalty > 0.0 ? (size_t)p->source : 0;
    const size_t width = (size_t)s->width, choices = (size_t)s->choice_room;
    struct {
        void *field;
        size_t count, size;
    } wanted[] = {
        {&s->edits, rows * (size_t)s->edit_room, sizeof *s->edits},
        {&s->edit_at, width, sizeof *s->edit_at},
        {&s->words, (size_t)lng_steer_lay_words(p->step_rows).words, sizeof *s->words},
        {&s->lists, seats * (size_t)s->list_room, sizeof *s->lists},
        {&s->list_counts, seats, sizeof *s->list_counts},
        {&s->history, (size_t)p->time, sizeof *s->history},
        {&s->ngrams, (size_t)p->time, sizeof *s->ngrams},
        {&s->choices, rows * choices, sizeof *s->choices},
        {&s->all_scores, whole ? rows * width : 0, sizeof *s->all_scores},
        {&s->row_logprobs, choices, sizeof *s->row_logprobs},
        {&s->row_tokens, choices, sizeof *s->row_tokens},
        {&s->room, whole ? width : choices, sizeof *s->room},
        {&s->cover[0], rows * source, sizeof *s->cover[0]},
        {&s->cover[1], rows * source, sizeof *s->cover[1]},
        {&s->bonus, rows, sizeof *s->bonus},
        {&s->sentence, seats, sizeof *s->sentence},
        {&s->sample, rows, sizeof *s->sample},
        {&s->cover_side, seats, sizeof *s->cover_side},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *memory = lng_alloc(wanted[i].count, wanted[i].size);
        if (memory == NULL)
            return LNG_ERR_MEMORY;
        memcpy(wanted[i].field, &memory, sizeof memory);
    }
    return open_device(search);
}

void lng_steer_release_plan(struct lng_search *search)
{
    struct lng_steer *s = search->steer;
    if (s == NULL)
        return;
    void *fields[] = {&s->edits,      &s->edit_at, &s->words,     &s->lists,      &s->list_counts,
                      &s->history,    &s->ngrams,  &s->choices,   &s->all_scores, &s->row_logprobs,
                      &s->row_tokens, &s->room,    &s->cover[0],  &s->cover[1],   &s->bonus,
                      &s->sentence,   &s->sample,  &s->cover_side};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        void *memory, *none = NULL;
        memcpy(&memory, fields[i], sizeof memory);
        lng_free(memory);
        memcpy(fields[i], &none, sizeof none);
    }
    for (int32_t i = 0; s->members && i < s->options.member_count; i++) {
        struct lng_member *member = &s->members[i];
        lng_workspace_close(member->workspace);
        lng_step_scratch_close(member->scratch);
        lng_kv_cache_release(&member->cache);
        member->workspace = NULL;
        member->scratch = NULL;
    }
    lng_device_free(search->model->device, s->device_memory);
    s->device_memory = NULL;
    s->device_bytes = s->member_bytes = 0;
}
