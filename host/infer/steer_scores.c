/* What a steered search does with the scores of a step: changes some, and chooses. */
#include <math.h>
#include <string.h>

#include "host/infer/penalties.h"
#include "host/infer/steer.h"

int32_t lng_steer_column(const struct lng_steer *steer, int32_t seat, int32_t token)
{
    if (steer->options.shortlist == NULL)
        return token;
    const int32_t *list = steer->lists + seat * steer->list_room;
    int32_t low = 0, high = steer->list_counts[seat];
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (list[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low < steer->list_counts[seat] && list[low] == token ? low : -1;
}

/* ---- penalties ---- */

/* Edits of a row are unique by column: edit_at[column] is the number of the column's edit when that edit is of this
 * row and says so itself. */
static void add_edit(struct lng_steer *s, int64_t row, int32_t column, float multiply, float add)
{
    if (column < 0)
        return;
    int64_t at = s->edit_at[column];
    bool known = at >= s->row_begin && at < s->edit_count && s->edits[at].column == column;
    if (!known) {
        at = s->edit_at[column] = s->edit_count++;
        s->edits[at] = (struct lng_score_edit){(int32_t)row, column, multiply, add};
    } else if (add == -INFINITY) {
        s->edits[at].add = add;
    }
}

/* Tokens of a live hypothesis, in order. */
static int32_t read_history(const struct lng_beam *beam, int32_t live, int32_t *tokens)
{
    int32_t node = beam->live[live].node;
    for (int32_t t = beam->length; t-- > 0; node = beam->nodes[node].parent)
        tokens[t] = beam->nodes[node].token;
    return beam->length;
}

static void edit_row(struct lng_search *search, int32_t number, int32_t live, int64_t row)
{
    struct lng_steer *s = search->steer;
    const struct lng_steering *o = &s->options;
    const struct lng_beam *beam = &search->seats[number].beam;
    s->row_begin = s->edit_count;
    if (lng_beam_eos_banned(beam))
        add_edit(s, row, lng_steer_column(s, number, search->options.beam.eos), 1, -INFINITY);
    for (int32_t i = 0; i < s->ban_count; i++)
        add_edit(s, row, lng_steer_column(s, number, s->bans[i]), 1, -INFINITY);
    if (o->repetition_penalty == 1.0 && o->no_repeat_ngram == 0)
        return;
    int32_t length = read_history(beam, live, s->history);
    for (int32_t t = 0; o->repetition_penalty != 1.0 && t < length; t++)
        add_edit(s, row, lng_steer_column(s, number, s->history[t]), (float)o->repetition_penalty,
                 0);
    int32_t count = o->no_repeat_ngram > 0
                        ? lng_repeated_ngrams(s->history, length, o->no_repeat_ngram, s->ngrams)
                        : 0;
    for (int32_t i = 0; i < count; i++)
        add_edit(s, row, lng_steer_column(s, number, s->ngrams[i]), 1, -INFINITY);
}

enum lng_status lng_steer_edit(struct lng_search *search, struct lng_view scores,
                               const int32_t *forced)
{
    struct lng_steer *s = search->steer;
    int64_t row = 0;
    s->edit_count = 0;
    for (int64_t i = 0; i < search->active_count; i++) {
        const int32_t number = search->active[i];
        for (int32_t live = 0; live < search->seats[number].beam.live_count; live++, row++)
            if (forced[row] < 0)
                edit_row(search, number, live, row);
    }
    if (s->edit_count == 0)
        return LNG_OK;
    LNG_TRY(lng_device_write(search->model->device, s->device_edits, s->edits,
                             (size_t)s->edit_count * sizeof *s->edits));
    return lng_edit_scores(search->model->device,
                           &(struct lng_edit_scores_args){
                               .y = scores, .edits = s->device_edits, .edit_count = s->edit_count});
}

enum lng_status lng_steer_cover(struct lng_search *search, int64_t step_rows, int64_t rows)
{
    struct lng_steer *s = search->steer;
    const int64_t width = search->plan.source;
    LNG_TRY(lng_search_read_weights(search, step_rows, rows));
    int64_t row = 0;
    for (int64_t i = 0; i < search->active_count; i++) {
        const int32_t number = search->active[i];
        struct lng_seat *seat = &search->seats[number];
        seat->beam.row_bonus = s->bonus + row;
        for (int32_t live = 0; live < seat->beam.live_count; live++, row++) {
            float *cover = s->cover[s->cover_side[number]] + (seat->base + live) * width;
            for (int32_t j = 0; j < seat->source_length; j++)
                cover[j] += search->weights[row * width + j];
            s->bonus[row] =
                lng_coverage_penalty(s->options.coverage_penalty, cover, seat->source_length);
        }
    }
    return LNG_OK;
}

/* ---- choosing ---- */

static enum lng_status best_of(struct lng_search *search, struct lng_view scores,
                               const struct lng_steer_rows *at, bool single, int64_t k,
                               struct lng_candidate *device, struct lng_candidate *out)
{
    struct lng_steer *s = search->steer;
    const struct lng_steer_words w = lng_steer_lay_words(at->step_rows);
    const int64_t lists = single ? at->rows : search->active_count;
    bool listed = s->options.shortlist != NULL;
    LNG_TRY(
        lng_candidates(search->model->device,
                       &(struct lng_candidates_args){
                           .logits = scores,
                           .row_scores = at->scores,
                           .row_offsets = single ? s->device_words + w.single : at->row_offsets,
                           .forced = listed ? s->device_words + w.forced : at->forced,
                           .banned = !listed && search->banned_count > 0 ? search->banned : NULL,
                           .banned_count = listed ? 0 : search->banned_count,
                           .eos = search->options.beam.eos,
                           .sentences = lists,
                           .k = k,
                           .out = device,
                           .normalized = true,
                       }));
    return lng_device_read(search->model->device, out, device, (size_t)(lists * k) * sizeof *out);
}

static int32_t token_of(const struct lng_steer *s, int32_t number, int32_t column)
{
    return s->options.shortlist ? s->lists[number * s->list_room + column] : column;
}

/* Columns become tokens again. */
static void name_tokens(const struct lng_search *search, struct lng_candidate *candidates,
                        int64_t k)
{
    for (int64_t i = 0; i < search->active_count; i++)
        for (int64_t j = i * k; j < (i + 1) * k && candidates[j].row >= 0; j++)
            candidates[j].token = token_of(search->steer, search->active[i], candidates[j].token);
}

/* Sample number `sample` of a row: a candidate, or one with row -1 when nothing can follow. */
static struct lng_candidate draw(struct lng_search *search, int32_t number, int64_t row,
                                 int32_t forced, int32_t sample, float row_score)
{
    struct lng_steer *s = search->steer;
    const struct lng_sampling *o = &s->options.sampling;
    const struct lng_candidate none = {-INFINITY, -INFINITY, -1, -1};
    const int32_t *list = s->options.shortlist ? s->lists + number * s->list_room : NULL;
    const float *logprobs = s->row_logprobs;
    const int32_t *tokens = s->row_tokens;
    int64_t count = 0;
    if (s->choice_room > 0) { /* the best of the row, forced and banned ones seen to */
        const struct lng_candidate *best = s->choices + row * s->choice_room;
        for (; count < s->choice_room && best[count].row >= 0; count++) {
            s->row_logprobs[count] = best[count].logprob;
            s->row_tokens[count] = token_of(s, number, best[count].token);
        }
    } else {
        logprobs = s->all_scores + row * s->width;
        tokens = list;
        count = list ? s->list_counts[number] : s->width;
        if (forced >= 0) {
            int32_t column = lng_steer_column(s, number, forced);
            float logprob = logprobs[column];
            return logprob > -INFINITY
                       ? (struct lng_candidate){row_score + logprob, logprob, (int32_t)row, forced}
                       : none;
        }
    }
    double uniform =
        lng_sampling_uniform(o->seed, s->sentence[number],
                             (uint32_t)search->seats[number].beam.length, (uint32_t)sample);
    int64_t at = lng_sampling_draw(o, logprobs, tokens, count, forced < 0 ? s->never : NULL,
                                   uniform, s->room);
    if (at < 0)
        return none;
    return (struct lng_candidate){row_score + logprobs[at], logprobs[at], (int32_t)row,
                                  tokens ? tokens[at] : (int32_t)at};
}

/* Candidates of a seat: for each live hypothesis one, for the first of samples as many as are wanted. The live
 * ones of the next step are those that are not EOS, in order: sample[] follows them. */
static void draw_seat(struct lng_search *search, int32_t number, int64_t row, const int32_t *forced,
                      struct lng_candidate *out)
{
    struct lng_steer *s = search->steer;
    const struct lng_seat *seat = &search->seats[number];
    const struct lng_beam *beam = &seat->beam;
    bool begins = beam->length == 0;
    const int32_t draws = begins ? search->options.beam.beam : beam->live_count;
    int32_t count = 0, next = 0;
    for (int32_t i = 0; i < draws; i++) {
        const int32_t live = begins ? 0 : i, sample = begins ? i : s->sample[seat->base + i];
        struct lng_candidate c =
            draw(search, number, row + live, forced[row + live], sample, beam->live[live].score);
        if (c.row < 0)
            continue;
        out[count++] = c;
        if (c.token != search->options.beam.eos)
            s->sample[seat->base + next++] = sample;
    }
}

/* At the first free place the best few, at every other the best one. */
static void branch_seat(struct lng_search *search, int32_t number, int64_t row,
                        struct lng_candidate *out)
{
    struct lng_steer *s = search->steer;
    const struct lng_beam *beam = &search->seats[number].beam;
    const bool branches = beam->length == beam->prefix_length && lng_beam_forced(beam) < 0;
    const int64_t most = branches ? s->choice_room : 1;
    int32_t count = 0;
    for (int32_t live = 0; live < beam->live_count; live++, row++) {
        const struct lng_candidate *best = s->choices + row * s->choice_room;
        for (int64_t i = 0; i < most && best[i].row >= 0; i++) {
            if (i > 0 && exp((double)best[i].logprob) < s->options.min_alternative_probability)
                break;
            out[count] = best[i];
            out[count++].token = token_of(s, number, best[i].token);
        }
    }
}

enum lng_status lng_steer_choose(struct lng_search *search, struct lng_view scores,
                                 const struct lng_steer_rows *at)
{
    struct lng_steer *s = search->steer;
    const int64_t k = lng_beam_candidates(&search->options.beam);
    if (s->options.choice == LNG_CHOICE_BEST) {
        LNG_TRY(
            best_of(search, scores, at, false, k, search->device_candidates, search->candidates));
        name_tokens(search, search->candidates, k);
        return LNG_OK;
    }
    if (s->choice_room > 0)
        LNG_TRY(best_of(search, scores, at, true, s->choice_room, s->device_choices, s->choices));
    else
        LNG_TRY(lng_device_read(search->model->device, s->all_scores, scores.data,
                                (size_t)(at->rows * s->width) * sizeof *s->all_scores));
    for (int64_t i = 0; i < search->active_count; i++) {
        struct lng_candidate *out = search->candidates + i * k;
        const int32_t number = search->active[i], row = at->host_row_offsets[i];
        for (int64_t j = 0; j < k; j++)
            out[j] = (struct lng_candidate){-INFINITY, -INFINITY, -1, -1};
        if (s->options.choice == LNG_CHOICE_SAMPLE)
            draw_seat(search, number, row, at->host_forced, out);
        else
            branch_seat(search, number, row, out);
    }
    return LNG_OK;
}
