#include "host/infer/translate_window.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/line_text.h"
#include "host/infer/translate_repeat.h"

void lng_window_clear(struct lng_window *window)
{
    lng_buffer_clear(&window->texts);
    lng_ids_clear(&window->ids);
    lng_ids_clear(&window->tokens);
    window->weight_count = 0;
    window->line_count = 0;
    window->segment_count = 0;
    window->hypothesis_count = 0;
}

void lng_window_release(struct lng_window *window)
{
    lng_buffer_release(&window->texts);
    lng_ids_release(&window->ids);
    lng_ids_release(&window->tokens);
    lng_free(window->logprobs);
    lng_free(window->weights);
    lng_free(window->lines);
    lng_free(window->segments);
    lng_free(window->hypotheses);
    lng_free(window->inputs);
    lng_segments_release(&window->cuts);
    *window = (struct lng_window){0};
}

static bool is_language(const struct lng_translator *translator, int32_t id)
{
    size_t low = 0, high = translator->language_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (translator->languages[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < translator->language_count && translator->languages[low] == id;
}

/* What is cut and encoded of the last line: its text, or that with placeholders masked. */
static struct lng_slice work_text(const struct lng_translator *translator)
{
    const struct lng_window *w = &translator->window;
    const struct lng_demander *d = translator->demander;
    struct lng_range text = w->lines[w->line_count - 1].text;
    return d ? (struct lng_slice){d->masked.data, d->masked.length}
             : (struct lng_slice){w->texts.data + text.begin, text.count};
}

/* Ids of a part of the work text. */
static enum lng_status encode_part(struct lng_translator *translator, struct lng_range part,
                                   bool *verbatim)
{
    struct lng_window *w = &translator->window;
    *verbatim = false;
    if (translator->demander != NULL)
        return lng_demand_add_segment(translator->demander, part, &w->ids, verbatim);
    return lng_tokenizer_encode(translator->tokenizer, LNG_SIDE_SOURCE,
                                work_text(translator).data + part.begin, part.count, &w->ids);
}

/* The same part of the line itself. */
static struct lng_range original_part(const struct lng_translator *translator,
                                      struct lng_range part)
{
    const struct lng_window *w = &translator->window;
    size_t line = w->lines[w->line_count - 1].text.begin;
    size_t begin = part.begin, end = part.begin + part.count;
    if (translator->demander != NULL) {
        begin = lng_demand_original(translator->demander, begin);
        end = lng_demand_original(translator->demander, end);
    }
    return (struct lng_range){line + begin, end - begin};
}

/* Adds a segment of the last line: a part of its work text. `languages`: ids to put before those of its text. */
static enum lng_status add_segment(struct lng_translator *translator, struct lng_range part,
                                   struct lng_range languages)
{
    struct lng_window *w = &translator->window;
    int32_t eos = translator->model->hparams.source_eos;
    int32_t language = translator->options.source_language;
    bool last = lng_tokenizer_languages(translator->tokenizer)->last;
    struct lng_window_segment segment = {.text = original_part(translator, part),
                                         .ids.begin = w->ids.count,
                                         .languages = languages.count};
    if (language >= 0 && !last)
        LNG_TRY(lng_ids_push(&w->ids, language));
    for (size_t i = 0; i < languages.count; i++)
        LNG_TRY(lng_ids_push(&w->ids, w->ids.data[languages.begin + i]));
    size_t before = w->ids.count;
    LNG_TRY(encode_part(translator, part, &segment.verbatim));
    bool empty = w->ids.count == before; /* nothing but space */
    if (empty)
        w->ids.count = segment.ids.begin;
    if (empty && !segment.verbatim && translator->demander != NULL)
        lng_demand_drop_segment(translator->demander);
    if (empty && !segment.verbatim)
        return LNG_OK;
    if (eos >= 0 && !segment.verbatim)
        LNG_TRY(lng_ids_push(&w->ids, eos));
    if (language >= 0 && last && !segment.verbatim)
        LNG_TRY(lng_ids_push(&w->ids, language));
    segment.ids.count = w->ids.count - segment.ids.begin;
    LNG_TRY(
        lng_grow(&w->segments, &w->segment_capacity, w->segment_count + 1, sizeof *w->segments));
    w->segments[w->segment_count++] = segment;
    w->lines[w->line_count - 1].segments.count++;
    translator->stats.source_tokens += segment.ids.count;
    return LNG_OK;
}

/* Takes the segment that the line became back, and puts several shorter ones in its place. */
static enum lng_status cut_line(struct lng_translator *translator)
{
    struct lng_window *w = &translator->window;
    struct lng_demander *d = translator->demander;
    struct lng_slice text = work_text(translator);
    struct lng_window_segment *whole = &w->segments[--w->segment_count];
    translator->stats.source_tokens -= whole->ids.count;
    w->lines[w->line_count - 1].segments.count = 0;
    struct lng_range languages = {whole->ids.begin, 0}, none = {whole->ids.begin, 0};
    while (languages.count < whole->ids.count &&
           is_language(translator, w->ids.data[languages.begin + languages.count]))
        languages.count++;
    w->cuts.count = 0;
    if (d != NULL)
        lng_demand_restart_line(d);
    LNG_TRY(lng_segment_split(text.data, text.length, (size_t)translator->options.max_segment,
                              d ? lng_demand_measure : lng_tokenizer_measure_source,
                              d ? (void *)d : (void *)(uintptr_t)translator->tokenizer,
                              translator->options.locale, &w->cuts));
    for (size_t i = 0; i < w->cuts.count; i++) {
        struct lng_range part = {w->cuts.data[i].begin,
                                 w->cuts.data[i].end - w->cuts.data[i].begin};
        LNG_TRY(add_segment(translator, part, i == 0 ? none : languages));
    }
    translator->stats.cut++;
    return LNG_OK;
}

static enum lng_status add_prefix(struct lng_translator *translator, struct lng_slice prefix,
                                  struct lng_range *range)
{
    struct lng_window *w = &translator->window;
    struct lng_demander *d = translator->demander;
    size_t begin = w->ids.count;
    if (translator->options.forced_bos >= 0)
        LNG_TRY(lng_ids_push(&w->ids, translator->options.forced_bos));
    size_t first = w->lines[w->line_count - 1].segments.begin, hard = w->ids.count - begin;
    if (prefix.length > 0 && d != NULL)
        LNG_TRY(lng_demand_encode_prefix(d, first, prefix, &w->ids));
    else if (prefix.length > 0)
        LNG_TRY(lng_tokenizer_encode(translator->tokenizer, LNG_SIDE_TARGET, prefix.data,
                                     prefix.length, &w->ids));
    *range = (struct lng_range){begin, w->ids.count - begin};
    if (d == NULL)
        return LNG_OK;
    bool soft = d->options.prefix_bias > 0.0;
    size_t count = soft ? range->count - hard : 0;
    range->count -= count;
    return lng_demand_end_line(d, first, w->ids.data + begin + hard, count);
}

enum lng_status lng_window_add(struct lng_translator *translator, struct lng_slice line,
                               struct lng_slice prefix)
{
    struct lng_window *w = &translator->window;
    size_t given = line.length;
    line = lng_line_without_return(line);
    LNG_TRY(lng_grow(&w->lines, &w->line_capacity, w->line_count + 1, sizeof *w->lines));
    struct lng_window_line *added = &w->lines[w->line_count++];
    *added = (struct lng_window_line){.segments.begin = w->segment_count,
                                      .carriage_return = line.length < given};
    bool repaired;
    size_t begin = w->texts.length;
    LNG_TRY(lng_line_append_clean(&w->texts, line, &repaired));
    added->text = (struct lng_range){begin, w->texts.length - begin};
    translator->stats.repaired += repaired;
    struct lng_range none = {0, 0};
    struct lng_slice clean = {w->texts.data ? w->texts.data + begin : "", added->text.count};
    if (translator->demander != NULL)
        LNG_TRY(lng_demand_begin_line(translator->demander, clean, prefix));
    struct lng_range whole = {0, work_text(translator).length};
    if (added->text.count > 0 && !lng_line_is_blank(clean.data, clean.length))
        LNG_TRY(add_segment(translator, whole, none));
    size_t limit = (size_t)translator->options.max_segment;
    size_t marks = (size_t)(translator->model->hparams.source_eos >= 0) +
                   (size_t)(translator->options.source_language >= 0);
    bool crowded = translator->demander != NULL && lng_demand_is_crowded(translator->demander);
    if (added->segments.count > 0 && !w->segments[added->segments.begin].verbatim &&
        (crowded || w->segments[added->segments.begin].ids.count > limit + marks))
        LNG_TRY(cut_line(translator));
    translator->stats.lines++;
    translator->stats.blank += added->segments.count == 0;
    return add_prefix(translator, prefix, &added->prefix);
}

static enum lng_status keep_hypothesis(struct lng_translator *translator,
                                       const struct lng_hypothesis *from, size_t source_length)
{
    struct lng_window *w = &translator->window;
    size_t length = (size_t)from->length, begin = w->tokens.count;
    LNG_TRY(lng_grow(&w->tokens.data, &w->tokens.capacity, begin + length, sizeof *w->tokens.data));
    LNG_TRY(lng_grow(&w->logprobs, &w->logprob_capacity, begin + length, sizeof *w->logprobs));
    LNG_TRY(lng_grow(&w->hypotheses, &w->hypothesis_capacity, w->hypothesis_count + 1,
                     sizeof *w->hypotheses));
    int32_t known = lng_tokenizer_size(translator->tokenizer, LNG_SIDE_TARGET);
    int32_t unk = lng_tokenizer_unk(translator->tokenizer, LNG_SIDE_TARGET);
    for (size_t i = 0; i < length; i++) /* rows without a token: only with any_token */
        w->tokens.data[begin + i] = from->tokens[i] < known ? from->tokens[i] : unk;
    memcpy(w->logprobs + begin, from->logprobs, length * sizeof *from->logprobs);
    w->tokens.count += length;
    struct lng_window_hypothesis *kept = &w->hypotheses[w->hypothesis_count++];
    *kept = (struct lng_window_hypothesis){.tokens = {begin, length},
                                           .weights = w->weight_count,
                                           .total = from->total,
                                           .score = from->score,
                                           .end = from->end};
    if (from->weights == NULL)
        return LNG_OK;
    size_t count = length * source_length;
    LNG_TRY(
        lng_grow(&w->weights, &w->weight_capacity, w->weight_count + count, sizeof *w->weights));
    memcpy(w->weights + w->weight_count, from->weights, count * sizeof *from->weights);
    w->weight_count += count;
    return LNG_OK;
}

/* The text of the hypothesis kept last. */
static enum lng_status render(struct lng_translator *translator, size_t number)
{
    struct lng_window *w = &translator->window;
    const struct lng_window_segment *segment = &w->segments[number];
    struct lng_window_hypothesis *h = &w->hypotheses[w->hypothesis_count - 1];
    const int32_t *tokens = w->tokens.data + h->tokens.begin;
    int32_t forced = translator->options.forced_bos;
    size_t skip = forced >= 0 && h->tokens.count > 0 && tokens[0] == forced;
    bool weights = translator->options.demand.replace_unk;
    LNG_TRY(lng_demand_render(
        translator->demander, number,
        &(struct lng_demand_hypothesis){
            .tokens = tokens + skip,
            .count = h->tokens.count - skip,
            .weights = weights ? w->weights + h->weights + skip * segment->ids.count : NULL,
            .width = segment->ids.count,
            .first_source = segment->languages,
        },
        &h->rendered, &h->result));
    translator->stats.inserted += h->result == LNG_DEMAND_INSERTED;
    translator->stats.violated += h->result == LNG_DEMAND_VIOLATED;
    return LNG_OK;
}

enum lng_status lng_window_keep_hypotheses(struct lng_translator *translator,
                                           const struct lng_search_result *result, size_t number,
                                           struct lng_range *hypotheses)
{
    size_t begin = translator->window.hypothesis_count;
    size_t source_length = translator->window.segments[number].ids.count;
    for (int32_t i = 0; i < result->count; i++) {
        LNG_TRY(keep_hypothesis(translator, &result->hypotheses[i], source_length));
        if (translator->demander != NULL)
            LNG_TRY(render(translator, number));
    }
    *hypotheses = (struct lng_range){begin, (size_t)result->count};
    return LNG_OK;
}

enum lng_status lng_window_keep(void *context, const struct lng_search_result *result)
{
    struct lng_translator *translator = context;
    struct lng_window *w = &translator->window;
    size_t number = (size_t)result->index;
    struct lng_window_segment *segment = &w->segments[number];
    segment->exact_stop = result->exact_stop;
    return lng_window_keep_hypotheses(translator, result, number, &segment->hypotheses);
}

/* Of all segments alike, searched or not. */
static void count_results(struct lng_translator *translator)
{
    const struct lng_window *w = &translator->window;
    for (size_t i = 0; i < w->segment_count; i++) {
        const struct lng_window_segment *segment = &w->segments[i];
        translator->stats.inexact += !segment->exact_stop;
        if (segment->hypotheses.count == 0)
            continue;
        const struct lng_window_hypothesis *best = &w->hypotheses[segment->hypotheses.begin];
        translator->stats.target_tokens += best->tokens.count;
        translator->stats.at_limit += best->end == LNG_BEAM_END_MAX_LENGTH;
    }
}

enum lng_status lng_window_search(struct lng_translator *translator)
{
    struct lng_window *w = &translator->window;
    const struct lng_demander *d = translator->demander;
    LNG_TRY(lng_grow(&w->inputs, &w->input_capacity, w->segment_count, sizeof *w->inputs));
    if (d != NULL)
        LNG_TRY(lng_demand_link(translator->demander));
    for (size_t l = 0; l < w->line_count; l++) {
        const struct lng_window_line *line = &w->lines[l];
        for (size_t i = 0; i < line->segments.count; i++) {
            size_t number = line->segments.begin + i;
            const struct lng_window_segment *segment = &w->segments[number];
            w->inputs[number] = (struct lng_search_input){0};
            if (segment->verbatim)
                continue;
            /* later segments begin with the language alone */
            size_t prefix = i == 0                                ? line->prefix.count
                            : translator->options.forced_bos >= 0 ? 1
                                                                  : 0;
            w->inputs[number] = (struct lng_search_input){
                .source = w->ids.data + segment->ids.begin,
                .source_length = (int32_t)segment->ids.count,
                .prefix = prefix > 0 ? w->ids.data + line->prefix.begin : NULL,
                .prefix_length = (int32_t)prefix,
                .constraints = d != NULL ? lng_demand_constraints(d, number) : NULL,
            };
        }
    }
    LNG_TRY(lng_repeats_search(translator));
    count_results(translator);
    return LNG_OK;
}

enum lng_status lng_window_decode(const struct lng_translator *translator,
                                  const struct lng_window_hypothesis *hypothesis,
                                  struct lng_buffer *text)
{
    const struct lng_demander *d = translator->demander;
    if (d != NULL)
        return lng_buffer_append(text, d->rendered.data + hypothesis->rendered.begin,
                                 hypothesis->rendered.count);
    const int32_t *tokens = translator->window.tokens.data + hypothesis->tokens.begin;
    size_t count = hypothesis->tokens.count;
    int32_t forced = translator->options.forced_bos;
    size_t skip = forced >= 0 && count > 0 && tokens[0] == forced;
    return lng_tokenizer_decode(translator->tokenizer, LNG_SIDE_TARGET, tokens + skip, count - skip,
                                text);
}

enum lng_status lng_window_append_segment(const struct lng_translator *translator,
                                          const struct lng_window_segment *segment, size_t rank,
                                          struct lng_buffer *text)
{
    const struct lng_window *w = &translator->window;
    const struct lng_window_hypothesis *h = lng_window_pick(w, segment, rank);
    if (h != NULL)
        return lng_window_decode(translator, h, text);
    if (!segment->verbatim)
        return LNG_OK;
    struct lng_slice taken =
        lng_text_trim((struct lng_slice){w->texts.data + segment->text.begin, segment->text.count});
    return lng_buffer_append(text, taken.data, taken.length);
}
