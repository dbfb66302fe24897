/* A step of a steered search, and the sentences that come and go. */
#include <string.h>

#include "host/base/bytes.h"
#include "host/infer/steer.h"

/* Widths of shortlists are rounded up, so that steps recur (step_shape.h); no bit depends on it. */
enum { COLUMNS = 128 };

enum lng_status lng_steer_reshape(struct lng_search *search, int64_t time, int64_t slots)
{
    struct lng_steer *s = search->steer;
    for (int32_t i = 0; i < s->options.member_count; i++)
        LNG_TRY(lng_kv_cache_shape(&s->members[i].cache, time, slots));
    return LNG_OK;
}

enum lng_status lng_steer_encode(struct lng_search *search, const struct lng_sequences *sequences,
                                 int64_t first_row)
{
    struct lng_steer *s = search->steer;
    for (int32_t i = 0; i < s->options.member_count; i++) {
        struct lng_member *member = &s->members[i];
        struct lng_view encoded;
        LNG_TRY(lng_model_encode(member->model, member->workspace, sequences, &encoded));
        LNG_TRY(lng_decoder_project_source(member->model, encoded, member->cache.layers, first_row,
                                           &member->cache.scratch));
    }
    return LNG_OK;
}

/* The tokens that the sentence may use: the shortlist's, EOS, and those its prefix demands. */
static enum lng_status make_list(struct lng_search *search, int32_t number,
                                 const struct lng_search_input *input)
{
    struct lng_steer *s = search->steer;
    int32_t *extra = s->history;
    const int32_t extra_count = input->prefix_length + 1;
    LNG_FAIL_IF(extra_count > search->plan.time, LNG_ERR_INTERNAL,
                "steered search: a prefix of %d tokens", input->prefix_length);
    if (input->prefix_length > 0)
        memcpy(extra, input->prefix, (size_t)input->prefix_length * sizeof *extra);
    extra[input->prefix_length] = search->options.beam.eos;
    int32_t *list = s->lists + number * s->list_room;
    s->list_counts[number] =
        lng_shortlist_collect(s->options.shortlist, input->source, input->source_length, extra,
                              extra_count, s->marks, list);
    return lng_device_write(search->model->device, s->device_lists + number * s->list_room, list,
                            (size_t)s->list_counts[number] * sizeof *list);
}

enum lng_status lng_steer_seat(struct lng_search *search, int32_t number,
                               const struct lng_search_input *input)
{
    struct lng_steer *s = search->steer;
    const struct lng_seat *seat = &search->seats[number];
    s->sentence[number] =
        lng_checksum(input->source, (size_t)input->source_length * sizeof(int32_t));
    s->sample[seat->base] = 0;
    if (s->options.coverage_penalty > 0.0) {
        s->cover_side[number] = 0;
        memset(s->cover[0] + seat->base * search->plan.source, 0,
               (size_t)input->source_length * sizeof(float));
    }
    return s->options.shortlist ? make_list(search, number, input) : LNG_OK;
}

/* Says for each row where its tokens are. Returns the columns needed. */
static int64_t stage_words(struct lng_search *search, const struct lng_steer_rows *at)
{
    struct lng_steer *s = search->steer;
    const struct lng_steer_words w = lng_steer_lay_words(at->step_rows);
    for (int64_t row = 0; row <= at->rows; row++)
        s->words[w.single + row] = (int32_t)row;
    if (s->options.shortlist == NULL)
        return s->width;
    int64_t widest = 1, row = 0;
    for (int64_t i = 0; i < search->active_count; i++) {
        const int32_t number = search->active[i], count = s->list_counts[number];
        widest = count > widest ? count : widest;
        for (int32_t live = 0; live < search->seats[number].beam.live_count; live++, row++) {
            int32_t forced = at->host_forced[row];
            s->words[w.first + row] = (int32_t)(number * s->list_room);
            s->words[w.count + row] = count;
            s->words[w.forced + row] = forced >= 0 ? lng_steer_column(s, number, forced) : -1;
        }
    }
    for (; row < at->step_rows; row++) /* these stand for nobody */
        s->words[w.first + row] = s->words[w.count + row] = 0;
    widest = (widest + COLUMNS - 1) / COLUMNS * COLUMNS;
    return widest < s->width ? widest : s->width;
}

/* Log-probabilities of all models, put together. */
static enum lng_status run_models(struct lng_search *search,
                                  const struct lng_decoder_step_args *first,
                                  const struct lng_steer_rows *at, struct lng_view scores)
{
    struct lng_steer *s = search->steer;
    const struct lng_steer_words w = lng_steer_lay_words(first->rows);
    const struct lng_token_selection selection = {
        .tokens = s->device_lists,
        .first = s->device_words + w.first,
        .count = s->device_words + w.count,
        .token_count = search->plan.seats * s->list_room,
    };
    for (int32_t i = 0; i <= s->options.member_count; i++) {
        struct lng_member *member = i > 0 ? &s->members[i - 1] : NULL;
        struct lng_decoder_step_args args = *first;
        args.logits = lng_view_cols(first->logits, 0, scores.cols);
        if (s->options.shortlist != NULL)
            args.selection = selection;
        if (member != NULL) {
            args.caches = member->cache.layers;
            args.cross_weights = NULL;
        }
        LNG_TRY(lng_search_run_step(search, member ? member->model : search->model,
                                    member ? member->scratch : search->scratch, &args, at->rows,
                                    at->host_row_offsets));
        bool mean = s->options.ensemble == LNG_ENSEMBLE_MEAN;
        LNG_TRY(lng_log_probs(search->model->device,
                              &(struct lng_log_probs_args){
                                  .logits = lng_view_rows(args.logits, 0, scores.rows),
                                  .y = scores,
                                  .count = s->options.shortlist ? selection.count : NULL,
                                  .factor = s->factors[i],
                                  .offset = s->offsets[i],
                                  .combine = i == 0 ? LNG_COMBINE_WRITE
                                             : mean ? LNG_COMBINE_LOG_ADD
                                                    : LNG_COMBINE_ADD,
                              }));
    }
    return LNG_OK;
}

enum lng_status lng_steer_step(struct lng_search *search, const struct lng_decoder_step_args *args,
                               const struct lng_steer_rows *at)
{
    struct lng_steer *s = search->steer;
    const int64_t cols = stage_words(search, at);
    LNG_TRY(lng_device_write(search->model->device, s->device_words, s->words,
                             (size_t)lng_steer_lay_words(at->step_rows).words * sizeof *s->words));
    struct lng_view scores = lng_view_cols(lng_view_rows(s->scores, 0, at->rows), 0, cols);
    LNG_TRY(run_models(search, args, at, scores));
    LNG_TRY(lng_steer_edit(search, scores, at->host_forced));
    if (s->options.coverage_penalty > 0.0)
        LNG_TRY(lng_steer_cover(search, at->step_rows, at->rows));
    return lng_steer_choose(search, scores, at);
}

void lng_steer_advance(struct lng_search *search, int32_t number)
{
    struct lng_steer *s = search->steer;
    const struct lng_seat *seat = &search->seats[number];
    if (!(s->options.coverage_penalty > 0.0))
        return;
    const int64_t width = search->plan.source;
    const int side = s->cover_side[number];
    for (int32_t i = 0; i < seat->beam.live_count; i++)
        memcpy(s->cover[!side] + (seat->base + i) * width,
               s->cover[side] + (seat->base + seat->beam.live[i].parent) * width,
               (size_t)seat->source_length * sizeof(float));
    s->cover_side[number] = !side;
}
