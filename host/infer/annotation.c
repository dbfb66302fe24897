/* What may follow a translation: its alignment and the scores of its words. */
#include "host/base/mem.h"
#include "host/infer/align.h"
#include "host/infer/json_text.h"
#include "host/infer/word_scores.h"

const struct lng_window_hypothesis *lng_window_pick(const struct lng_window *window,
                                                    const struct lng_window_segment *segment,
                                                    size_t rank)
{
    if (segment->hypotheses.count == 0)
        return NULL;
    size_t last = segment->hypotheses.count - 1;
    return &window->hypotheses[segment->hypotheses.begin + (rank < last ? rank : last)];
}

/* ---- alignments ---- */

/* A matrix and what of it is shown. */
struct shown {
    struct lng_align_matrix m;
    size_t rows, columns;
    bool soft;
    double above; /* hard: every weight above it; < 0: the largest alone */
};

static enum lng_status get_shown(struct lng_translator *translator,
                                 const struct lng_window_segment *segment,
                                 const struct lng_window_hypothesis *h, struct shown *shown)
{
    const struct lng_translate_options *o = &translator->options;
    LNG_TRY(
        lng_align_build(translator->align, translator, segment, h, o->alignment_level, &shown->m));
    shown->soft = o->alignment == LNG_TRANSLATE_ALIGNMENT_SOFT;
    bool eos = o->alignment_eos == LNG_ALIGN_EOS_KEEP ||
               (o->alignment_eos == LNG_ALIGN_EOS_USUAL && shown->soft);
    shown->rows = eos ? shown->m.rows : shown->m.target;
    shown->columns = eos ? shown->m.columns : shown->m.source;
    shown->above =
        o->alignment == LNG_TRANSLATE_ALIGNMENT_THRESHOLD ? o->alignment_threshold : -1.0;
    return LNG_OK;
}

static bool is_link(const struct shown *shown, const float *row, size_t s)
{
    if (shown->above >= 0.0)
        return (double)row[s] > shown->above;
    return row[s] > 0.0f; /* the only one that is looked at, the strongest */
}

/* Number of a unit in its text; the end of sentence comes after the last. */
static size_t number_of(const struct shown *shown, int side, size_t unit)
{
    size_t count = side == 0 ? shown->m.source : shown->m.target;
    if (unit < count)
        return shown->m.numbers[side][unit];
    return count > 0 ? shown->m.numbers[side][count - 1] + 1 : 0;
}

static enum lng_status append_links(const struct shown *shown, size_t t, size_t source_shift,
                                    size_t target_shift, bool json, struct lng_buffer *out)
{
    const float *row = shown->m.weights + t * shown->m.columns;
    size_t best = shown->above < 0.0 ? lng_align_strongest(row, shown->columns) : 0;
    size_t end = shown->above < 0.0 ? best + 1 : shown->columns;
    for (size_t s = best; s < end && s < shown->columns; s++) {
        if (!is_link(shown, row, s))
            continue;
        if (json)
            LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_format(out, json ? "[%zu, %zu]" : " %zu-%zu",
                                         source_shift + number_of(shown, 0, s),
                                         target_shift + number_of(shown, 1, t)));
    }
    return LNG_OK;
}

static enum lng_status append_plain_alignment(struct lng_translator *translator,
                                              const struct lng_window_line *line, size_t rank,
                                              struct lng_buffer *out)
{
    const struct lng_window *w = &translator->window;
    enum lng_align_level level = translator->options.alignment_level;
    size_t source = 0, target = 0;
    LNG_TRY(lng_buffer_append_text(out, " |||"));
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_segment *segment = &w->segments[line->segments.begin + i];
        const struct lng_window_hypothesis *h = lng_window_pick(w, segment, rank);
        struct shown shown;
        if (h == NULL)
            continue;
        LNG_TRY(get_shown(translator, segment, h, &shown));
        if (level != LNG_ALIGN_LEVEL_SUBWORD)
            source = lng_align_source_shift(translator, line, segment, level);
        for (size_t t = 0; t < shown.rows; t++) {
            if (!shown.soft)
                LNG_TRY(append_links(&shown, t, source, target, false, out));
            for (size_t s = 0; shown.soft && s < shown.columns; s++)
                LNG_TRY(lng_buffer_append_format(out, "%c%.6g", s == 0 ? ' ' : ',',
                                                 (double)shown.m.weights[t * shown.m.columns + s]));
        }
        source += shown.m.source;
        if (level == LNG_ALIGN_LEVEL_CHARACTER) /* segments are joined by a space */
            target +=
                1 + lng_utf8_count(translator->align->text.data, translator->align->text.length);
        else
            target += shown.m.target;
    }
    return LNG_OK;
}

static enum lng_status append_json_alignment(struct lng_translator *translator,
                                             const struct lng_window_segment *segment,
                                             const struct lng_window_hypothesis *h,
                                             struct lng_buffer *out)
{
    struct shown shown;
    LNG_TRY(get_shown(translator, segment, h, &shown));
    LNG_TRY(lng_json_append_key(out, "alignment"));
    LNG_TRY(lng_buffer_append_byte(out, '['));
    for (size_t t = 0; t < shown.rows; t++) {
        if (!shown.soft) {
            LNG_TRY(append_links(&shown, t, 0, 0, true, out));
            continue;
        }
        LNG_TRY(lng_json_append_comma(out));
        LNG_TRY(lng_buffer_append_byte(out, '['));
        for (size_t s = 0; s < shown.columns; s++) {
            LNG_TRY(lng_json_append_comma(out));
            LNG_TRY(lng_json_append_number(out, (double)shown.m.weights[t * shown.m.columns + s]));
        }
        LNG_TRY(lng_buffer_append_byte(out, ']'));
    }
    return lng_buffer_append_byte(out, ']');
}

/* ---- scores ---- */

static enum lng_status append_plain_scores(const struct lng_window *w,
                                           const struct lng_window_line *line, size_t rank,
                                           struct lng_buffer *out)
{
    LNG_TRY(lng_word_scores_append_mark(out));
    for (size_t i = 0; i < line->segments.count; i++) {
        const struct lng_window_hypothesis *h =
            lng_window_pick(w, &w->segments[line->segments.begin + i], rank);
        if (h != NULL)
            LNG_TRY(lng_word_scores_append(out, w->logprobs + h->tokens.begin, h->tokens.count));
    }
    return LNG_OK;
}

static enum lng_status append_json_words(struct lng_translator *translator,
                                         const struct lng_window_hypothesis *h,
                                         struct lng_buffer *out)
{
    struct lng_align *align = translator->align;
    lng_buffer_clear(&align->text);
    LNG_TRY(lng_window_decode(translator, h, &align->text));
    struct lng_slice text = {align->text.data ? align->text.data : "", align->text.length};
    LNG_TRY(lng_align_target_spans(translator, h, text, &align->tokens[1]));
    return lng_word_scores_append_json(out, text, &align->tokens[1],
                                       translator->window.logprobs + h->tokens.begin,
                                       &align->units[1]);
}

/* ---- both ---- */

static enum lng_status make_align(struct lng_translator *translator)
{
    if (translator->align == NULL)
        translator->align = lng_alloc(1, sizeof *translator->align);
    return translator->align == NULL ? LNG_ERR_MEMORY : LNG_OK;
}

enum lng_status lng_annotation_append_plain(struct lng_translator *translator,
                                            const struct lng_window_line *line, size_t rank,
                                            bool replaced, struct lng_buffer *out)
{
    struct lng_window_line nothing = *line;
    nothing.segments.count = 0;
    line = replaced ? &nothing : line;
    LNG_TRY(make_align(translator));
    if (translator->options.alignment != LNG_TRANSLATE_ALIGNMENT_NONE)
        LNG_TRY(append_plain_alignment(translator, line, rank, out));
    if (translator->options.word_scores)
        LNG_TRY(append_plain_scores(&translator->window, line, rank, out));
    return LNG_OK;
}

enum lng_status lng_annotation_append_json(struct lng_translator *translator,
                                           const struct lng_window_segment *segment,
                                           const struct lng_window_hypothesis *h,
                                           struct lng_buffer *out)
{
    LNG_TRY(make_align(translator));
    if (translator->options.alignment != LNG_TRANSLATE_ALIGNMENT_NONE)
        LNG_TRY(append_json_alignment(translator, segment, h, out));
    if (translator->options.word_scores)
        LNG_TRY(append_json_words(translator, h, out));
    return LNG_OK;
}
