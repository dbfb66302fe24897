#include "host/infer/risk_line.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/json_text.h"

enum { RETRY_ROWS = 64 /* few lines are searched again: less memory beside the first search's */ };

struct lng_risk_state {
    struct lng_risk_options options;
    struct lng_risk_scratch scratch;
    struct lng_search *retry; /* opened when first needed */
    struct lng_risk_verdict *lines;
    size_t line_capacity;
    bool started; /* the report has its heading */
    struct lng_buffer text, report;
    size_t *segments; /* those that are searched again, */
    size_t segment_count, segment_capacity;
    struct lng_search_input *inputs; /* and what they are searched for */
    size_t input_capacity;
    struct lng_range *found; /* hypotheses of the second search, of each of the window's segments */
    size_t found_capacity;
};

enum lng_status lng_risk_state_open(const struct lng_translate_options *options,
                                    struct lng_risk_state **state)
{
    *state = NULL;
    if (options->risk == NULL)
        return LNG_OK;
    const struct lng_risk_options *risk = options->risk;
    const struct lng_beam_options *beam = &options->search.beam;
    LNG_FAIL_IF(risk->retry && risk->retry_beam > 0 && risk->retry_beam < beam->n_best,
                LNG_ERR_RANGE,
                "beam of the second search: expected %d (the n-best list) or more, found %d",
                beam->n_best, risk->retry_beam);
    struct lng_risk_state *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->options = *risk;
    if (risk->retry_beam == 0)
        made->options.retry_beam = 2 * beam->beam;
    *state = made;
    return LNG_OK;
}

void lng_risk_state_close(struct lng_risk_state *state)
{
    if (state == NULL)
        return;
    lng_search_close(state->retry);
    lng_risk_scratch_release(&state->scratch);
    lng_buffer_release(&state->text);
    lng_buffer_release(&state->report);
    lng_free(state->lines);
    lng_free(state->segments);
    lng_free(state->inputs);
    lng_free(state->found);
    lng_free(state);
}

/* Only the exact stop gives the same best hypothesis for every length of the list. */
int32_t lng_risk_n_best(const struct lng_translate_options *options)
{
    const struct lng_beam_options *beam = &options->search.beam;
    bool second = options->risk != NULL && options->risk->thresholds[LNG_RISK_MARGIN] > 0.0 &&
                  beam->stop == LNG_BEAM_STOP_EXACT && beam->beam > 1 && beam->n_best == 1;
    return second ? 2 : beam->n_best;
}

/* ---- measuring ---- */

static size_t without_eos(const struct lng_ids *ids, struct lng_range range, int32_t eos)
{
    bool ends = range.count > 0 && ids->data[range.begin + range.count - 1] == eos;
    return range.count - ends;
}

static double repetition(const struct lng_translator *translator,
                         const struct lng_window_segment *segment,
                         const struct lng_window_hypothesis *h)
{
    const struct lng_window *w = &translator->window;
    const struct lng_hparams *p = &translator->model->hparams;
    size_t source = lng_risk_repeats(w->ids.data + segment->ids.begin,
                                     without_eos(&w->ids, segment->ids, p->source_eos));
    size_t target = lng_risk_repeats(w->tokens.data + h->tokens.begin,
                                     without_eos(&w->tokens, h->tokens, p->eos));
    return target > source ? (double)(target - source + 1) : (double)(target > 0);
}

/* Values of the line whose segments give their `rank`-th hypothesis. */
static enum lng_status measure(struct lng_translator *translator,
                               const struct lng_window_line *line, size_t rank,
                               struct lng_risk_values *values)
{
    struct lng_risk_state *state = translator->risk_state;
    const struct lng_window *w = &translator->window;
    size_t tokens[2] = {0, 0};
    *values = (struct lng_risk_values){.values[LNG_RISK_MARGIN] = NAN};
    double *v = values->values;
    lng_buffer_clear(&state->text);
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_segment *segment = &w->segments[line->segments.begin + i];
        const struct lng_window_hypothesis *h = lng_window_pick(w, segment, rank);
        if (i > 0)
            LNG_TRY(lng_buffer_append_byte(&state->text, ' '));
        LNG_TRY(lng_window_append_segment(translator, segment, rank, &state->text));
        if (h == NULL)
            continue;
        v[LNG_RISK_REPETITION] = fmax(v[LNG_RISK_REPETITION], repetition(translator, segment, h));
        v[LNG_RISK_UNFINISHED] += h->end != LNG_BEAM_END_EOS;
        if (rank == 0 && segment->hypotheses.count > 1) /* fmin: NAN gives way */
            v[LNG_RISK_MARGIN] =
                fmin(v[LNG_RISK_MARGIN], h->score - lng_window_pick(w, segment, 1)->score);
        tokens[0] += segment->ids.count;
        tokens[1] += h->tokens.count;
    }
    v[LNG_RISK_LENGTH_RATIO] = lng_risk_length_ratio(tokens[0], tokens[1]);
    LNG_TRY(lng_risk_measure_texts(
        &state->scratch,
        (struct lng_slice){w->texts.data ? w->texts.data + line->text.begin : "", line->text.count},
        (struct lng_slice){state->text.data, state->text.length}, values));
    lng_risk_judge(&state->options, values);
    return LNG_OK;
}

/* ---- the second search ---- */

static enum lng_status open_retry(struct lng_translator *translator)
{
    struct lng_risk_state *state = translator->risk_state;
    if (state->retry != NULL)
        return LNG_OK;
    struct lng_search_options search = translator->options.search;
    search.alignment = lng_translate_wants_weights(&translator->options);
    search.beam.beam = state->options.retry_beam;
    search.beam.n_best = state->options.retry_beam;
    search.max_rows = RETRY_ROWS;
    return lng_translate_open_search(translator->model, translator->tokenizer, &search,
                                     &state->retry);
}

static enum lng_status keep_second(void *context, const struct lng_search_result *result)
{
    struct lng_translator *translator = context;
    struct lng_risk_state *state = translator->risk_state;
    size_t segment = state->segments[result->index];
    return lng_window_keep_hypotheses(translator, result, segment, &state->found[segment]);
}

/* Two translations that are about as good are no reason to give neither. */
static bool is_serious(const struct lng_risk_values *values)
{
    return (values->raised & ~(1u << LNG_RISK_MARGIN)) != 0;
}

static bool is_tried(const struct lng_risk_state *state, const struct lng_risk_verdict *line)
{
    return state->options.retry && is_serious(&line->first);
}

static enum lng_status add_segment(struct lng_risk_state *state, const struct lng_window *w,
                                   size_t number)
{
    size_t n = state->segment_count;
    LNG_TRY(lng_grow(&state->segments, &state->segment_capacity, n + 1, sizeof *state->segments));
    LNG_TRY(lng_grow(&state->inputs, &state->input_capacity, n + 1, sizeof *state->inputs));
    state->segments[n] = number;
    state->inputs[n] = w->inputs[number];
    state->segment_count = n + 1;
    return LNG_OK;
}

static enum lng_status search_again(struct lng_translator *translator)
{
    struct lng_risk_state *state = translator->risk_state;
    const struct lng_window *w = &translator->window;
    state->segment_count = 0;
    LNG_TRY(
        lng_grow(&state->found, &state->found_capacity, w->segment_count, sizeof *state->found));
    for (size_t i = 0; i < w->segment_count; i++)
        state->found[i] = (struct lng_range){0, 0};
    for (size_t l = 0; l < w->line_count; l++) {
        struct lng_range segments = w->lines[l].segments;
        for (size_t i = 0; i < segments.count && is_tried(state, &state->lines[l]); i++)
            if (!w->segments[segments.begin + i].verbatim)
                LNG_TRY(add_segment(state, w, segments.begin + i));
    }
    if (state->segment_count == 0)
        return LNG_OK;
    LNG_TRY(open_retry(translator));
    return lng_search_run(state->retry, state->inputs, (int64_t)state->segment_count, keep_second,
                          translator);
}

/* Puts the n-th hypothesis, or the last, first; the others keep their order. */
static void bring_forward(struct lng_window *w, struct lng_range range, size_t rank)
{
    struct lng_window_hypothesis *all = w->hypotheses + range.begin;
    if (range.count == 0)
        return;
    size_t at = rank < range.count ? rank : range.count - 1;
    struct lng_window_hypothesis chosen = all[at];
    memmove(all + 1, all, at * sizeof *all);
    all[0] = chosen;
}

/* Takes the best clean hypothesis of the second search, or else goes back to the first. */
static enum lng_status choose(struct lng_translator *translator, struct lng_window_line *line,
                              struct lng_risk_verdict *verdict)
{
    struct lng_risk_state *state = translator->risk_state;
    struct lng_window *w = &translator->window;
    struct lng_window_segment *segments = w->segments + line->segments.begin;
    struct lng_range *found = state->found + line->segments.begin;
    size_t ranks = 0;
    for (size_t i = 0; i < line->segments.count; i++) { /* found now holds the first search's */
        struct lng_range first = segments[i].hypotheses;
        segments[i].hypotheses = found[i];
        found[i] = first;
        ranks = segments[i].hypotheses.count > ranks ? segments[i].hypotheses.count : ranks;
    }
    for (size_t rank = 0; rank < ranks; rank++) {
        struct lng_risk_values values;
        LNG_TRY(measure(translator, line, rank, &values));
        if (is_serious(&values))
            continue;
        for (size_t i = 0; i < line->segments.count; i++)
            bring_forward(w, segments[i].hypotheses, rank);
        verdict->last = values;
        verdict->action = LNG_RISK_ACTION_RETRIED;
        translator->stats.retried++;
        return LNG_OK;
    }
    for (size_t i = 0; i < line->segments.count; i++)
        segments[i].hypotheses = found[i];
    return LNG_OK;
}

/* ---- verdicts ---- */

static void fall_back(struct lng_translator *translator, struct lng_risk_verdict *verdict)
{
    static const enum lng_risk_action actions[] = {
        [LNG_RISK_FALLBACK_KEEP] = LNG_RISK_ACTION_KEPT,
        [LNG_RISK_FALLBACK_SOURCE] = LNG_RISK_ACTION_SOURCE,
        [LNG_RISK_FALLBACK_EMPTY] = LNG_RISK_ACTION_EMPTY,
    };
    translator->stats.flagged += verdict->first.raised != 0;
    if (verdict->last.raised != 0 && verdict->action == LNG_RISK_ACTION_NONE)
        verdict->action = is_serious(&verdict->last)
                              ? actions[translator->risk_state->options.fallback]
                              : LNG_RISK_ACTION_KEPT;
    translator->stats.replaced += verdict->action >= LNG_RISK_ACTION_SOURCE;
}

static const char *const action_names[] = {"none", "kept", "retried", "source", "empty"};

static enum lng_status report(struct lng_risk_state *state, uint64_t first_line, size_t lines)
{
    struct lng_buffer *out = &state->report;
    if (state->options.report == NULL)
        return LNG_OK;
    lng_buffer_clear(out);
    if (!state->started)
        LNG_TRY(lng_buffer_append_text(out, "line\tflag\tvalue\tthreshold\taction\n"));
    state->started = true;
    for (size_t l = 0; l < lines; l++) {
        const struct lng_risk_verdict *verdict = &state->lines[l];
        for (int i = 0; i < LNG_RISK_COUNT; i++)
            if (verdict->first.raised & 1u << i)
                LNG_TRY(lng_buffer_append_format(
                    out, "%llu\t%s\t%.6g\t%.6g\t%s\n", (unsigned long long)(first_line + l),
                    lng_risk_name((enum lng_risk)i), verdict->first.values[i],
                    state->options.thresholds[i], action_names[verdict->action]));
    }
    return out->length > 0
               ? state->options.report(state->options.report_context, out->data, out->length)
               : LNG_OK;
}

enum lng_status lng_risk_apply(struct lng_translator *translator, uint64_t first_line)
{
    struct lng_risk_state *state = translator->risk_state;
    struct lng_window *w = &translator->window;
    if (state == NULL)
        return LNG_OK;
    LNG_TRY(lng_grow(&state->lines, &state->line_capacity, w->line_count, sizeof *state->lines));
    for (size_t l = 0; l < w->line_count; l++) {
        struct lng_risk_verdict *verdict = &state->lines[l];
        *verdict = (struct lng_risk_verdict){.action = LNG_RISK_ACTION_NONE};
        LNG_TRY(measure(translator, &w->lines[l], 0, &verdict->first));
        verdict->last = verdict->first;
    }
    LNG_TRY(search_again(translator));
    for (size_t l = 0; l < w->line_count; l++) {
        struct lng_risk_verdict *verdict = &state->lines[l];
        if (is_tried(state, verdict))
            LNG_TRY(choose(translator, &w->lines[l], verdict));
        fall_back(translator, verdict);
    }
    size_t most = (size_t)translator->options.search.beam.n_best;
    for (size_t i = 0; i < w->segment_count; i++) /* the list may be longer than asked for */
        if (w->segments[i].hypotheses.count > most)
            w->segments[i].hypotheses.count = most;
    return report(state, first_line, w->line_count);
}

const struct lng_risk_verdict *lng_risk_get(const struct lng_translator *translator, size_t l)
{
    return translator->risk_state ? &translator->risk_state->lines[l] : NULL;
}

enum lng_status lng_risk_append_json(const struct lng_risk_verdict *verdict, struct lng_buffer *out)
{
    if (verdict == NULL)
        return LNG_OK;
    LNG_TRY(lng_json_append_key(out, "flags"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (int i = 0; i < LNG_RISK_COUNT; i++)
        if (verdict->last.raised & 1u << i) {
            LNG_TRY(lng_json_append_comma(out));
            LNG_TRY(lng_buffer_append_format(out, "\"%s\"", lng_risk_name((enum lng_risk)i)));
        }
    LNG_TRY(lng_buffer_append_byte(out, ']'));
    LNG_TRY(lng_json_append_key(out, "risks"));
    LNG_TRY(lng_buffer_append_byte(out, '{'));
    for (int i = 0; i < LNG_RISK_COUNT; i++) {
        LNG_TRY(lng_json_append_key(out, lng_risk_name((enum lng_risk)i)));
        LNG_TRY(lng_json_append_number(out, verdict->last.values[i]));
    }
    LNG_TRY(lng_buffer_append_byte(out, '}'));
    LNG_TRY(lng_json_append_key(out, "action"));
    return lng_buffer_append_format(out, "\"%s\"", action_names[verdict->action]);
}
