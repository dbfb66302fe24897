/* What a window becomes: plain lines, n-best lists, JSON. */
#include "host/infer/json_text.h"
#include "host/infer/translate_window.h"

/* The hypothesis of a segment that takes part in the line's n-th best: its own n-th, or its last. */
static const struct lng_window_hypothesis *
pick(const struct lng_window *w, const struct lng_window_segment *segment, size_t rank)
{
    if (segment->hypotheses.count == 0)
        return NULL;
    size_t last = segment->hypotheses.count - 1;
    return &w->hypotheses[segment->hypotheses.begin + (rank < last ? rank : last)];
}

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
            pick(w, &w->segments[line->segments.begin + i], rank);
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
        const struct lng_window_hypothesis *h =
            pick(w, &w->segments[line->segments.begin + i], rank);
        if (i > 0)
            LNG_TRY(lng_buffer_append_byte(out, ' '));
        if (h != NULL)
            LNG_TRY(lng_window_decode(translator, h, out));
        const struct lng_window_segment *segment = &w->segments[line->segments.begin + i];
        struct lng_slice taken = lng_text_trim(
            (struct lng_slice){w->texts.data + segment->text.begin, segment->text.count});
        if (segment->verbatim)
            LNG_TRY(lng_buffer_append(out, taken.data, taken.length));
    }
    return LNG_OK;
}

/* ---- alignments ---- */

/* Tokens of a hypothesis or of a source, EOS left out. */
static size_t without_eos(const int32_t *ids, size_t count, int32_t eos)
{
    return count > 0 && ids[count - 1] == eos ? count - 1 : count;
}

struct alignment {
    const float *weights;         /* [target, width] */
    size_t target, source, width; /* tokens without EOS; and with it */
    size_t rows;                  /* target tokens with EOS */
};

static struct alignment get_alignment(const struct lng_translator *translator,
                                      const struct lng_window_segment *segment,
                                      const struct lng_window_hypothesis *h)
{
    const struct lng_window *w = &translator->window;
    const struct lng_hparams *p = &translator->model->hparams;
    return (struct alignment){
        .weights = w->weights + h->weights,
        .target = without_eos(w->tokens.data + h->tokens.begin, h->tokens.count, p->eos),
        .source = without_eos(w->ids.data + segment->ids.begin, segment->ids.count, p->source_eos),
        .width = segment->ids.count,
        .rows = h->tokens.count,
    };
}

static size_t strongest(const struct alignment *a, size_t t)
{
    const float *row = a->weights + t * a->width;
    size_t best = 0;
    for (size_t s = 1; s < a->source; s++)
        best = row[s] > row[best] ? s : best;
    return best;
}

static enum lng_status append_plain_alignment(const struct lng_translator *translator,
                                              const struct lng_window_line *line, size_t rank,
                                              struct lng_buffer *out)
{
    const struct lng_window *w = &translator->window;
    bool soft = translator->options.alignment == LNG_TRANSLATE_ALIGNMENT_SOFT;
    size_t source = 0, target = 0;
    LNG_TRY(lng_buffer_append_text(out, " |||"));
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_segment *segment = &w->segments[line->segments.begin + i];
        const struct lng_window_hypothesis *h = pick(w, segment, rank);
        if (h == NULL)
            continue;
        struct alignment a = get_alignment(translator, segment, h);
        for (size_t t = 0; t < (soft ? a.rows : a.target); t++) {
            if (!soft)
                LNG_TRY(lng_buffer_append_format(out, " %zu-%zu", source + strongest(&a, t),
                                                 target + t));
            for (size_t s = 0; soft && s < a.width; s++)
                LNG_TRY(lng_buffer_append_format(out, "%c%.6g", s == 0 ? ' ' : ',',
                                                 (double)a.weights[t * a.width + s]));
        }
        source += a.source;
        target += a.target;
    }
    return LNG_OK;
}

static enum lng_status append_json_alignment(const struct lng_translator *translator,
                                             const struct lng_window_segment *segment,
                                             const struct lng_window_hypothesis *h,
                                             struct lng_buffer *out)
{
    bool soft = translator->options.alignment == LNG_TRANSLATE_ALIGNMENT_SOFT;
    struct alignment a = get_alignment(translator, segment, h);
    LNG_TRY(lng_json_append_key(out, "alignment"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t t = 0; t < (soft ? a.rows : a.target); t++) {
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_byte(out, '['));
        if (!soft)
            LNG_TRY(lng_buffer_append_format(out, "%zu, %zu", strongest(&a, t), t));
        for (size_t s = 0; soft && s < a.width; s++) {
            LNG_TRY(lng_json_append_comma(out));
            LNG_TRY(lng_json_append_number(out, (double)a.weights[t * a.width + s]));
        }
        LNG_TRY(lng_buffer_append_byte(out, ']'));
    }
    return lng_buffer_append_byte(out, ']');
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
    LNG_TRY(append_scores(out, h->total, h->score));
    LNG_TRY(lng_json_append_key(out, "end"));
    LNG_TRY(lng_buffer_append_format(out, "\"%s\"", lng_beam_end_name(h->end)));
    if (h->result != LNG_DEMAND_NONE) {
        LNG_TRY(lng_json_append_key(out, "constraints"));
        LNG_TRY(lng_buffer_append_format(out, "\"%s\"", lng_demand_result_name(h->result)));
    }
    if (translator->options.alignment != LNG_TRANSLATE_ALIGNMENT_NONE)
        LNG_TRY(append_json_alignment(translator, segment, h, out));
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
    LNG_TRY(append_line_text(translator, line, 0, &translator->scratch));
    LNG_TRY(append_text(translator, "translation"));
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
    LNG_TRY(append_line_text(translator, line, 0, out));
    if (translator->options.alignment != LNG_TRANSLATE_ALIGNMENT_NONE)
        LNG_TRY(append_plain_alignment(translator, line, 0, out));
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
        if (translator->options.alignment != LNG_TRANSLATE_ALIGNMENT_NONE)
            LNG_TRY(append_plain_alignment(translator, line, rank, out));
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
