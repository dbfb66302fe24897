/* What a window becomes: plain lines, n-best lists, JSON. */
#include "host/infer/json_text.h"
#include "host/infer/risk_line.h"
#include "host/infer/translate_window.h"

/* How many hypotheses a line has: as many as its richest segment. */
static size_t line_ranks(const struct lng_window *w, const struct lng_window_line *line)
{
    size_t most = 0;
    for (size_t i = 0; i < line->segments.count; i++) {
        size_t count = w->segments[line->segments.begin + i].hypotheses.count;
        most = count > most ? count : most;
    }
    return most;
}

/* Scores of a line are the sums over its segments. */
struct line_score {
    double total, score;
};

static struct line_score score_line(const struct lng_window *w, const struct lng_window_line *line,
                                    size_t rank)
{
    struct line_score sum = {0.0, 0.0};
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_hypothesis *h =
            lng_window_pick(w, &w->segments[line->segments.begin + i], rank);
        sum.total += h ? h->total : 0.0;
        sum.score += h ? h->score : 0.0;
    }
    return sum;
}

static enum lng_status append_line_text(const struct lng_translator *translator,
                                        const struct lng_window_line *line, size_t rank,
                                        struct lng_buffer *out)
{
    const struct lng_window *w = &translator->window;
    for (size_t i = 0; i < line->segments.count; i++) {
        if (i > 0)
            LNG_TRY(lng_buffer_append_byte(out, ' '));
        LNG_TRY(lng_window_append_segment(translator, &w->segments[line->segments.begin + i], rank,
                                          out));
    }
    return LNG_OK;
}

/* The translation that is given: that of the best hypotheses, or what stands for it where it is not trusted. */
static enum lng_status append_translation(const struct lng_translator *translator,
                                          const struct lng_window_line *line,
                                          struct lng_buffer *out, bool *replaced)
{
    const struct lng_window *w = &translator->window;
    const struct lng_risk_verdict *verdict = lng_risk_get(translator, (size_t)(line - w->lines));
    enum lng_risk_action action = verdict ? verdict->action : LNG_RISK_ACTION_NONE;
    *replaced = action == LNG_RISK_ACTION_SOURCE || action == LNG_RISK_ACTION_EMPTY;
    if (action == LNG_RISK_ACTION_SOURCE)
        return lng_buffer_append(out, w->texts.data + line->text.begin, line->text.count);
    return *replaced ? LNG_OK : append_line_text(translator, line, 0, out);
}

/* ---- JSON ---- */

static enum lng_status append_range(struct lng_buffer *out, const char *key,
                                    const struct lng_window *w, struct lng_range text)
{
    LNG_TRY(lng_json_append_key(out, key));
    return lng_json_append_string(out, w->texts.data ? w->texts.data + text.begin : "", text.count);
}

static enum lng_status append_tokens(struct lng_buffer *out, const char *key,
                                     const struct lng_vocab *vocab, const int32_t *ids,
                                     size_t count)
{
    LNG_TRY(lng_json_append_key(out, key));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < count; i++) {
        struct lng_slice entry = lng_vocab_entry(vocab, ids[i]);
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_json_append_string(out, entry.data ? entry.data : "", entry.length));
    }
    return lng_buffer_append_byte(out, ']');
}

/* {"text": ..., and in a line's list the scores; in a segment's list everything. */
static enum lng_status append_scores(struct lng_buffer *out, double total, double score)
{
    LNG_TRY(lng_json_append_key(out, "score"));
    LNG_TRY(lng_json_append_number(out, total));
    LNG_TRY(lng_json_append_key(out, "normalized_score"));
    return lng_json_append_number(out, score);
}

static enum lng_status append_text(struct lng_translator *translator, const char *key)
{
    LNG_TRY(lng_json_append_key(&translator->out, key));
    return lng_json_append_string(&translator->out,
                                  translator->scratch.data ? translator->scratch.data : "",
                                  translator->scratch.length);
}

static enum lng_status append_segment_hypothesis(struct lng_translator *translator,
                                                 const struct lng_window_segment *segment,
                                                 const struct lng_window_hypothesis *h)
{
    const struct lng_window *w = &translator->window;
    struct lng_buffer *out = &translator->out;
    LNG_TRY(lng_json_append_comma(out));
    LNG_TRY(lng_buffer_append_byte(out, '{'));
    lng_buffer_clear(&translator->scratch);
    LNG_TRY(lng_window_decode(translator, h, &translator->scratch));
    LNG_TRY(append_text(translator, "text"));
    LNG_TRY(append_tokens(out, "tokens",
                          lng_tokenizer_vocab(translator->tokenizer, LNG_SIDE_TARGET),
                          w->tokens.data + h->tokens.begin, h->tokens.count));
    LNG_TRY(lng_json_append_key(out, "token_scores"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < h->tokens.count; i++) {
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_json_append_number(out, (double)w->logprobs[h->tokens.begin + i]));
    }
    LNG_TRY(lng_buffer_append_byte(out, ']'));
    LNG_TRY(lng_json_append_key(out, "mean_score"));
    LNG_TRY(lng_json_append_number(out, h->total / (double)h->tokens.count));
    LNG_TRY(append_scores(out, h->total, h->score));
    LNG_TRY(lng_json_append_key(out, "end"));
    LNG_TRY(lng_buffer_append_format(out, "\"%s\"", lng_beam_end_name(h->end)));
    if (h->result != LNG_DEMAND_NONE) {
        LNG_TRY(lng_json_append_key(out, "constraints"));
        LNG_TRY(lng_buffer_append_format(out, "\"%s\"", lng_demand_result_name(h->result)));
    }
    LNG_TRY(lng_annotation_append_json(translator, segment, h, out));
    return lng_buffer_append_byte(out, '}');
}

static enum lng_status append_segment(struct lng_translator *translator,
                                      const struct lng_window_segment *segment)
{
    const struct lng_window *w = &translator->window;
    struct lng_buffer *out = &translator->out;
    LNG_TRY(lng_json_append_comma(out));
    LNG_TRY(lng_buffer_append_byte(out, '{'));
    LNG_TRY(append_range(out, "source", w, segment->text));
    LNG_TRY(append_tokens(out, "source_tokens",
                          lng_tokenizer_vocab(translator->tokenizer, LNG_SIDE_SOURCE),
                          w->ids.data + segment->ids.begin, segment->ids.count));
    LNG_TRY(lng_json_append_key(out, "exact_stop"));
    LNG_TRY(lng_buffer_append_text(out, segment->exact_stop ? "true" : "false"));
    LNG_TRY(lng_json_append_key(out, "hypotheses"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < segment->hypotheses.count; i++)
        LNG_TRY(append_segment_hypothesis(translator, segment,
                                          &w->hypotheses[segment->hypotheses.begin + i]));
    return lng_buffer_append_text(out, "]}");
}

static enum lng_status format_json(struct lng_translator *translator, uint64_t number,
                                   const struct lng_window_line *line)
{
    const struct lng_window *w = &translator->window;
    struct lng_buffer *out = &translator->out;
    LNG_TRY(lng_buffer_append_format(out, "{\"line\": %llu", (unsigned long long)number));
    LNG_TRY(append_range(out, "source", w, line->text));
    lng_buffer_clear(&translator->scratch);
    bool replaced;
    LNG_TRY(append_translation(translator, line, &translator->scratch, &replaced));
    LNG_TRY(append_text(translator, "translation"));
    LNG_TRY(lng_risk_append_json(lng_risk_get(translator, (size_t)(line - w->lines)), out));
    LNG_TRY(lng_json_append_key(out, "hypotheses"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t rank = 0; rank < line_ranks(w, line); rank++) {
        struct line_score score = score_line(w, line, rank);
        lng_buffer_clear(&translator->scratch);
        LNG_TRY(append_line_text(translator, line, rank, &translator->scratch));
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_byte(out, '{'));
        LNG_TRY(append_text(translator, "text"));
        LNG_TRY(append_scores(out, score.total, score.score));
        LNG_TRY(lng_buffer_append_byte(out, '}'));
    }
    LNG_TRY(lng_buffer_append_byte(out, ']'));
    LNG_TRY(lng_json_append_key(out, "segments"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t i = 0; i < line->segments.count; i++)
        LNG_TRY(append_segment(translator, &w->segments[line->segments.begin + i]));
    return lng_buffer_append_text(out, "]}\n");
}

/* ---- the others ---- */

static enum lng_status format_plain(struct lng_translator *translator,
                                    const struct lng_window_line *line)
{
    struct lng_buffer *out = &translator->out;
    bool replaced;
    LNG_TRY(append_translation(translator, line, out, &replaced));
    LNG_TRY(lng_annotation_append_plain(translator, line, 0, replaced, out));
    return lng_buffer_append_text(out, line->carriage_return ? "\r\n" : "\n");
}

static enum lng_status format_nbest(struct lng_translator *translator, uint64_t number,
                                    const struct lng_window_line *line)
{
    struct lng_buffer *out = &translator->out;
    size_t ranks = line_ranks(&translator->window, line);
    for (size_t rank = 0; rank == 0 || rank < ranks; rank++) {
        struct line_score score = score_line(&translator->window, line, rank);
        LNG_TRY(lng_buffer_append_format(out, "%llu ||| ", (unsigned long long)number));
        LNG_TRY(append_line_text(translator, line, rank, out));
        LNG_TRY(
            lng_buffer_append_format(out, " ||| Score= %.6f ||| %.6f", score.total, score.score));
        LNG_TRY(lng_annotation_append_plain(translator, line, rank, false, out));
        LNG_TRY(lng_buffer_append_byte(out, '\n'));
    }
    return LNG_OK;
}

enum lng_status lng_window_format(struct lng_translator *translator, uint64_t first_line)
{
    const struct lng_window *w = &translator->window;
    for (size_t l = 0; l < w->line_count; l++) {
        switch (translator->options.format) {
        case LNG_TRANSLATE_PLAIN:
            LNG_TRY(format_plain(translator, &w->lines[l]));
            break;
        case LNG_TRANSLATE_NBEST:
            LNG_TRY(format_nbest(translator, first_line + l, &w->lines[l]));
            break;
        case LNG_TRANSLATE_JSON:
            LNG_TRY(format_json(translator, first_line + l, &w->lines[l]));
            break;
        }
    }
    return LNG_OK;
}
