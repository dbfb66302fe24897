/* One decoding step: rows of all live hypotheses to the device, candidates back, beams onward. */
#include <string.h>

#include "host/infer/constrain_step.h"
#include "host/infer/decode_state.h"
#include "host/infer/steer.h"
#include "host/infer/step_shape.h"

#define NO_LOGIT (-1e9) /* of probability 0 beside any other */

/* Per-row arrays of a step, in one block that is uploaded at once; word offsets into it. */
struct step_arrays {
    int64_t ids, positions, self_count, cross_start, cross_count, scores, forced, eos_banned;
    int64_t row_offsets, ancestor;
    int64_t rows, step_rows, stride, words; /* step_rows: lng_step_rows of the rows */
    int64_t
        old_rows; /* those before belong to sentences that have begun; sentences that begin come last */
    bool any_forced, any_eos_banned;
};

static int64_t take_words(int64_t *used, int64_t words)
{
    int64_t at = *used;
    *used += (words + 63) / 64 * 64; /* 256 bytes, as devices like it */
    return at;
}

/* rows: of the step, added ones included. */
static struct step_arrays lay_step(int64_t rows, int64_t seats, int64_t stride)
{
    struct step_arrays a = {.rows = rows, .step_rows = rows, .stride = stride};
    int64_t used = 0;
    a.ids = take_words(&used, rows);
    a.positions = take_words(&used, rows);
    a.self_count = take_words(&used, rows);
    a.cross_start = take_words(&used, rows);
    a.cross_count = take_words(&used, rows);
    a.scores = take_words(&used, rows);
    a.forced = take_words(&used, rows);
    a.eos_banned = take_words(&used, (rows + 3) / 4);
    a.row_offsets = take_words(&used, seats + 1);
    a.ancestor = take_words(&used, rows * stride);
    a.words = used;
    return a;
}

int64_t lng_search_step_words(int64_t rows, int64_t seats, int64_t time)
{
    return lay_step(rows, seats, time).words;
}

static int32_t position_of(const struct lng_hparams *h, int32_t time)
{
    int64_t position = (int64_t)time + h->position_offset;
    bool clamped = h->positions == LNG_POSITIONS_LEARNED && position >= h->max_positions;
    return clamped ? h->max_positions - 1 : (int32_t)position;
}

static void stage_seat(struct lng_search *search, const struct lng_seat *seat, int64_t row,
                       struct step_arrays *a)
{
    const struct lng_hparams *h = &search->model->hparams;
    const struct lng_beam *beam = &seat->beam;
    int32_t *step = search->step, t = beam->length;
    int32_t forced = lng_beam_forced(beam);
    bool eos_banned = lng_beam_eos_banned(beam);
    /* a row alone: with its score, candidates would be rounded more, to the same where they are nearly */
    const bool greedy = search->options.beam.beam == 1 && search->steer == NULL;
    a->any_forced = a->any_forced || forced >= 0;
    a->any_eos_banned = a->any_eos_banned || eos_banned;
    for (int32_t i = 0; i < beam->live_count; i++, row++) {
        const struct lng_beam_live *live = &beam->live[i];
        step[a->ids + row] = t == 0 ? h->decoder_start : beam->nodes[live->node].token;
        step[a->positions + row] = position_of(h, t);
        step[a->self_count + row] = t + 1;
        step[a->cross_start + row] = (int32_t)seat->source_first;
        step[a->cross_count + row] = seat->source_length;
        const float score = greedy ? 0 : live->score;
        memcpy(&step[a->scores + row], &score, sizeof score);
        step[a->forced + row] = forced;
        ((uint8_t *)&step[a->eos_banned])[row] = eos_banned;
        memcpy(&step[a->ancestor + row * a->stride],
               lng_kv_lineage(&search->cache, seat->side, seat->base + i),
               (size_t)(t + 1) * sizeof *step);
    }
}

/* Rows that stand for nobody: a token and a position that exist, and no keys. */
static void stage_nobody(struct lng_search *search, const struct step_arrays *a)
{
    int32_t *step = search->step;
    for (int64_t row = a->rows; row < a->step_rows; row++) {
        step[a->ids + row] = search->model->hparams.decoder_start;
        step[a->positions + row] = position_of(&search->model->hparams, 0);
        step[a->self_count + row] = 0;
        step[a->cross_start + row] = 0;
        step[a->cross_count + row] = 0;
    }
}

static struct step_arrays stage(struct lng_search *search)
{
    int64_t rows = 0;
    int32_t longest = 0;
    for (int64_t s = 0; s < search->active_count; s++) {
        const struct lng_beam *beam = &search->seats[search->active[s]].beam;
        rows += beam->live_count;
        longest = beam->length > longest ? beam->length : longest;
    }
    const struct lng_device *device = search->model->device;
    struct step_arrays a = lay_step(lng_step_rows(device, rows), search->plan.seats,
                                    lng_step_stride(device, longest + 1));
    a.rows = rows;
    stage_nobody(search, &a);
    int64_t row = 0;
    for (int64_t s = 0; s < search->active_count; s++) {
        const struct lng_seat *seat = &search->seats[search->active[s]];
        search->step[a.row_offsets + s] = (int32_t)row;
        stage_seat(search, seat, row, &a);
        row += seat->beam.live_count;
        if (seat->beam.length > 0)
            a.old_rows = row;
    }
    search->step[a.row_offsets + search->active_count] = (int32_t)row;
    return a;
}

static struct lng_decoder_step_args decoder_args(const struct lng_search *search,
                                                 const struct step_arrays *a)
{
    const struct lng_search_options *o = &search->options;
    const struct lng_hparams *h = &search->model->hparams;
    const int32_t *on_device = search->device_step;
    bool all_heads = o->alignment_head < 0;
    int32_t layer = lng_search_layer(o, h);
    return (struct lng_decoder_step_args){
        .rows = a->step_rows,
        .ids = on_device + a->ids,
        .positions = on_device + a->positions,
        .self_count = on_device + a->self_count,
        .ancestor = on_device + a->ancestor,
        .ancestor_stride = a->stride,
        .slots = 1, /* the lineage has whole rows */
        .cross_start = on_device + a->cross_start,
        .cross_count = on_device + a->cross_count,
        .caches = search->cache.layers,
        .cross_weights = search->device_weights,
        .weights_stride = search->plan.source,
        .alignment_layer = layer == LNG_SEARCH_ALL_LAYERS ? 0 : layer,
        .alignment_layers = lng_search_aligned_layers(search),
        .first_head = all_heads ? 0 : o->alignment_head,
        .head_count = all_heads ? h->decoder_heads : 1,
        .old_rows = search->model->raw_decoder_keys ? a->old_rows : 0,
        .logits = lng_view_rows(search->logits, 0, a->step_rows),
    };
}

/* The models and the choice of a steered search. */
static enum lng_status steer(struct lng_search *search, const struct step_arrays *a)
{
    const int32_t *on_device = search->device_step;
    const struct lng_decoder_step_args args = decoder_args(search, a);
    return lng_steer_step(search, &args,
                          &(struct lng_steer_rows){
                              .rows = a->rows,
                              .step_rows = a->step_rows,
                              .scores = (const float *)(on_device + a->scores),
                              .row_offsets = on_device + a->row_offsets,
                              .forced = a->any_forced ? on_device + a->forced : NULL,
                              .host_forced = search->step + a->forced,
                              .host_row_offsets = search->step + a->row_offsets,
                          });
}

static enum lng_status exclude(struct lng_search *search, int64_t row, int64_t rows, int32_t column)
{
    if (column < 0) /* the shortlist has no such token */
        return LNG_OK;
    struct lng_view logits = lng_view_rows(search->logits, row, rows);
    return lng_fill(
        search->model->device,
        &(struct lng_fill_args){.y = lng_view_cols(logits, column, 1), .value = NO_LOGIT});
}

/* A column stands for the same token in every row, unless each sentence has its own shortlist. */
static enum lng_status exclude_banned(struct lng_search *search, int64_t rows,
                                      const int32_t *row_offsets)
{
    const struct lng_steer *s = search->steer;
    bool listed = s != NULL && s->options.shortlist != NULL;
    for (int64_t i = 0; i < search->banned_count && !listed; i++)
        LNG_TRY(exclude(search, 0, rows, search->excluded[i]));
    for (int64_t i = 0; i < search->active_count; i++) {
        const int32_t number = search->active[i], eos = search->options.beam.eos;
        const struct lng_beam *beam = &search->seats[number].beam;
        for (int64_t k = 0; k < search->banned_count && listed; k++)
            LNG_TRY(exclude(search, row_offsets[i], beam->live_count,
                            lng_steer_column(s, number, search->excluded[k])));
        if (lng_beam_eos_banned(beam))
            LNG_TRY(exclude(search, row_offsets[i], beam->live_count,
                            listed ? lng_steer_column(s, number, eos) : eos));
    }
    return LNG_OK;
}

enum lng_status lng_search_run_step(struct lng_search *search, struct lng_model *model,
                                    struct lng_step_scratch *scratch,
                                    const struct lng_decoder_step_args *args, int64_t rows,
                                    const int32_t *row_offsets)
{
    LNG_TRY(lng_decoder_step(model, scratch, args));
    return search->options.renormalise ? exclude_banned(search, rows, row_offsets) : LNG_OK;
}

static enum lng_status find_candidates(struct lng_search *search, const struct step_arrays *a)
{
    int32_t *on_device = search->device_step;
    int64_t k = lng_beam_candidates(&search->options.beam);
    struct lng_decoder_step_args args = decoder_args(search, a);
    struct lng_candidates_args candidates = {
        .logits = lng_view_rows(search->logits, 0, a->rows),
        .row_scores = (const float *)(on_device + a->scores),
        .row_offsets = on_device + a->row_offsets,
        .forced = a->any_forced ? on_device + a->forced : NULL,
        .banned = search->banned_count > 0 ? search->banned : NULL,
        .banned_count = search->banned_count,
        .eos_banned = a->any_eos_banned ? (const uint8_t *)(on_device + a->eos_banned) : NULL,
        .eos = search->options.beam.eos,
        .sentences = search->active_count,
        .k = k,
        .out = search->device_candidates,
        .normalized = lng_search_lacks_scores(search),
    };
    args.candidates = search->plan.fused ? &candidates : NULL;
    LNG_TRY(lng_search_run_step(search, search->model, search->scratch, &args, a->rows,
                                search->step + a->row_offsets));
    if (!search->plan.fused)
        LNG_TRY(lng_candidates(search->model->device, &candidates));
    return lng_device_read(search->model->device, search->candidates, search->device_candidates,
                           (size_t)(search->active_count * k) * sizeof *search->candidates);
}

static enum lng_status gather_constrained(struct lng_search *search, const struct step_arrays *a)
{
    int32_t *on_device = search->device_step;
    return lng_constrain_gather(
        search,
        &(struct lng_constrain_rows){
            .rows = a->rows,
            .row_offsets = search->step + a->row_offsets,
            .scores = (const float *)(on_device + a->scores),
            .forced = a->any_forced ? on_device + a->forced : NULL,
            .eos_banned = a->any_eos_banned ? (const uint8_t *)(on_device + a->eos_banned) : NULL,
        });
}

enum lng_status lng_search_read_weights(struct lng_search *search, int64_t step_rows, int64_t rows)
{
    int64_t width = search->plan.source, layers = lng_search_aligned_layers(search);
    int64_t all = step_rows * width; /* of a layer */
    LNG_TRY(lng_device_read(search->model->device, search->weights, search->device_weights,
                            (size_t)((layers - 1) * all + rows * width) * sizeof *search->weights));
    for (int64_t i = 0; layers > 1 && i < rows * width; i++) {
        double sum = 0.0;
        for (int64_t layer = 0; layer < layers; layer++)
            sum += (double)search->weights[layer * all + i];
        search->weights[i] = (float)(sum / (double)layers);
    }
    return LNG_OK;
}

/* Remembers what each row of this step attended to, at its (time, slot). */
static enum lng_status keep_weights(struct lng_search *search, const struct step_arrays *a)
{
    int64_t width = search->plan.source;
    LNG_TRY(lng_search_read_weights(search, a->step_rows, a->rows));
    int64_t row = 0;
    for (int64_t s = 0; s < search->active_count; s++) {
        const struct lng_seat *seat = &search->seats[search->active[s]];
        for (int32_t i = 0; i < seat->beam.live_count; i++, row++) {
            int64_t slot = seat->base + i;
            int64_t at = seat->beam.length * search->cache.slots + slot;
            seat->node_slot[seat->beam.live[i].node] = (int32_t)slot;
            memcpy(search->kept_weights + at * width, search->weights + row * width,
                   (size_t)seat->source_length * sizeof *search->weights);
        }
    }
    return LNG_OK;
}

static void collect_alignment(const struct lng_search *search, const struct lng_seat *seat,
                              int32_t length, float *out)
{
    int64_t width = search->plan.source;
    for (int32_t t = 0; t < length; t++) {
        int64_t at = t * search->cache.slots + seat->node_slot[search->nodes[t]];
        memcpy(out + (int64_t)t * seat->source_length, search->kept_weights + at * width,
               (size_t)seat->source_length * sizeof *out);
    }
}

static enum lng_status hand_over(struct lng_search *search, const struct lng_seat *seat,
                                 lng_search_done done, void *context)
{
    const struct lng_beam *beam = &seat->beam;
    const bool scored = !lng_search_lacks_scores(search);
    int32_t n = search->options.beam.n_best;
    struct lng_search_result result = {
        .index = seat->input,
        .hypotheses = search->hypotheses,
        .count = beam->finished_count < n ? beam->finished_count : n,
        .exact_stop =
            scored && beam->exact_stop && search->options.steering.choice == LNG_CHOICE_BEST,
    };
    for (int32_t rank = 0; rank < result.count; rank++) {
        const struct lng_beam_finished *from = &beam->finished[rank];
        int32_t *tokens = search->tokens + rank * search->plan.time;
        float *logprobs = search->logprobs + rank * search->plan.time;
        float *weights = NULL;
        int32_t length = lng_beam_trace(beam, rank, tokens, logprobs, search->nodes);
        if (search->options.alignment) {
            weights = search->alignment + rank * search->plan.time * search->plan.source;
            collect_alignment(search, seat, length, weights);
        }
        if (!scored)
            memset(logprobs, 0, (size_t)length * sizeof *logprobs);
        search->hypotheses[rank] = (struct lng_hypothesis){.tokens = tokens,
                                                           .logprobs = logprobs,
                                                           .weights = weights,
                                                           .length = length,
                                                           .total = scored ? from->total : 0,
                                                           .score = scored ? from->score : 0,
                                                           .end = from->end};
    }
    return done(context, &result);
}

enum lng_status lng_search_step(struct lng_search *search, lng_search_done done, void *context)
{
    struct step_arrays a = stage(search);
    LNG_TRY(lng_device_write(search->model->device, search->device_step, search->step,
                             (size_t)a.words * sizeof *search->step));
    LNG_TRY(search->steer ? steer(search, &a) : find_candidates(search, &a));
    if (search->constrain != NULL)
        LNG_TRY(gather_constrained(search, &a));
    if (search->options.alignment)
        LNG_TRY(keep_weights(search, &a));
    search->stats.steps++;
    search->stats.rows += a.rows;
    search->stats.places += search->open_seats * search->options.beam.beam;
    int64_t k = lng_beam_candidates(&search->options.beam), kept = 0;
    for (int64_t s = 0; s < search->active_count; s++) {
        struct lng_seat *seat = &search->seats[search->active[s]];
        int32_t t = seat->beam.length;
        if (search->constrain != NULL)
            lng_constrain_seat_choose(search, search->active[s], search->step[a.row_offsets + s],
                                      search->candidates + s * k, k);
        LNG_TRY(lng_beam_step(&seat->beam, search->candidates + s * k, k,
                              search->step[a.row_offsets + s]));
        if (!seat->beam.done) {
            if (search->constrain != NULL)
                lng_constrain_seat_step(search, search->active[s]);
            lng_kv_advance(&search->cache, seat->base, seat->beam.live, seat->beam.live_count, t,
                           &seat->side);
            if (search->steer != NULL)
                lng_steer_advance(search, search->active[s]);
            search->active[kept++] = search->active[s];
            continue;
        }
        lng_kv_give_source(&search->cache, seat->source_first, seat->source_length);
        search->vacant[search->vacant_count++] = search->active[s];
        LNG_TRY(hand_over(search, seat, done, context));
    }
    search->active_count = kept;
    return LNG_OK;
}
