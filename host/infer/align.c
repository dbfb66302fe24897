#include "host/infer/align.h"

#include <string.h>

#include "host/base/mem.h"
#include "host/infer/line_text.h"

enum { BLOCK = 16 /* tokens decoded over again for each new one at most, or so */ };

void lng_align_release(struct lng_align *align)
{
    for (int side = 0; side < 2; side++) {
        lng_text_spans_release(&align->tokens[side]);
        lng_text_spans_release(&align->units[side]);
        lng_free(align->numbers[side]);
    }
    lng_buffer_release(&align->text);
    lng_free(align->weights);
    lng_free(align->half);
    *align = (struct lng_align){0};
}

/* ---- where tokens lie ---- */

/* How far two texts agree, in whole characters. */
static size_t common(struct lng_slice a, const char *b, size_t length)
{
    size_t most = a.length < length ? a.length : length, n = 0;
    while (n < most && a.data[n] == b[n])
        n++;
    bool inside = n < a.length && ((unsigned char)a.data[n] & 0xC0) == 0x80;
    while (inside && n > 0 && ((unsigned char)a.data[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* A piece that stands for one byte makes text only together with its neighbours. */
static bool is_byte(const struct lng_translator *translator, int32_t id)
{
    struct lng_slice entry =
        lng_vocab_entry(lng_tokenizer_vocab(translator->tokenizer, LNG_SIDE_TARGET), id);
    return entry.length == 6 && memcmp(entry.data, "<0x", 3) == 0;
}

/* A token's text is what it adds to that of the tokens before it. Decoding begins anew now and then, so that
 * the work grows with the length; spaces at such a start are dropped there and skipped here. */
enum lng_status lng_align_target_spans(const struct lng_translator *translator,
                                       const struct lng_window_hypothesis *h, struct lng_slice text,
                                       struct lng_text_spans *spans)
{
    const int32_t *ids = translator->window.tokens.data + h->tokens.begin;
    int32_t forced = translator->options.forced_bos;
    size_t first = forced >= 0 && h->tokens.count > 0 && ids[0] == forced, base = 0, end = 0;
    struct lng_buffer part = {0};
    enum lng_status status = LNG_OK;
    spans->count = 0;
    if (first > 0)
        status = lng_text_spans_push(spans, 0, 0);
    for (size_t i = first; i < h->tokens.count && status == LNG_OK; i++) {
        if (i - first >= BLOCK && !is_byte(translator, ids[i])) {
            while (end < text.length && text.data[end] == ' ')
                end++;
            base = end;
            first = i;
        }
        lng_buffer_clear(&part);
        status = lng_tokenizer_decode(translator->tokenizer, LNG_SIDE_TARGET, ids + first,
                                      i + 1 - first, &part);
        struct lng_slice rest = {text.data ? text.data + base : "", text.length - base};
        size_t now = base + common(rest, part.data ? part.data : "", part.length);
        if (status == LNG_OK)
            status =
                now > end ? lng_text_spans_push(spans, end, now) : lng_text_spans_push(spans, 0, 0);
        end = now > end ? now : end;
    }
    lng_buffer_release(&part);
    return status;
}

/* ---- from tokens to units ---- */

/* half [tokens, columns] from weights [tokens, width]: source tokens become units. */
static void fold_source(const struct lng_align *align, struct lng_slice text, const float *weights,
                        size_t rows, size_t width, size_t languages, bool has_eos)
{
    const struct lng_text_spans *tokens = &align->tokens[0], *units = &align->units[0];
    size_t columns = units->count + 1, words = width - has_eos;
    memset(align->half, 0, rows * columns * sizeof *align->half);
    for (size_t s = 0; s < width; s++) {
        size_t k = s < languages || s >= words
                       ? words
                       : lng_text_spans_stand_in(tokens, text.data, s, words);
        size_t first = 0, last = 0, all = 0;
        if (k < words) {
            lng_text_spans_touched(units, tokens->data[k], &first, &last);
            all = lng_text_characters(text.data, tokens->data[k].begin, tokens->data[k].end);
        }
        for (size_t u = first; u < last; u++) {
            size_t begin = tokens->data[k].begin > units->data[u].begin ? tokens->data[k].begin
                                                                        : units->data[u].begin;
            size_t end =
                tokens->data[k].end < units->data[u].end ? tokens->data[k].end : units->data[u].end;
            float share = (float)((double)lng_text_characters(text.data, begin, end) / (double)all);
            for (size_t t = 0; t < rows; t++)
                align->half[t * columns + u] += share * weights[t * width + s];
        }
        for (size_t t = 0; t < rows && first == last; t++)
            align->half[t * columns + columns - 1] += weights[t * width + s];
    }
}

/* weights [units (+ 1), columns] from half: the mean over the tokens of each target unit. */
static void fold_target(struct lng_align *align, struct lng_slice text, size_t tokens_count,
                        bool has_eos, size_t columns)
{
    const struct lng_text_spans *tokens = &align->tokens[1], *units = &align->units[1];
    size_t words = tokens_count - has_eos;
    size_t *counts = align->numbers[1]; /* filled with the numbers afterwards */
    memset(align->weights, 0, (units->count + has_eos) * columns * sizeof *align->weights);
    memset(counts, 0, units->count * sizeof *counts);
    for (size_t t = 0; t < words; t++) {
        size_t k = lng_text_spans_stand_in(tokens, text.data ? text.data : "", t, words), first,
               last;
        if (k == words)
            continue;
        lng_text_spans_touched(units, tokens->data[k], &first, &last);
        for (size_t u = first; u < last; u++) {
            counts[u]++;
            for (size_t s = 0; s < columns; s++)
                align->weights[u * columns + s] += align->half[t * columns + s];
        }
    }
    for (size_t u = 0; u < units->count; u++)
        for (size_t s = 0; s < columns && counts[u] > 1; s++)
            align->weights[u * columns + s] /= (float)counts[u];
    if (has_eos)
        memcpy(align->weights + units->count * columns, align->half + words * columns,
               columns * sizeof *align->weights);
}

/* Words count up; characters are known by their place among all characters of the text. */
static void number_units(const struct lng_text_spans *units, struct lng_slice text,
                         enum lng_align_level level, size_t *numbers)
{
    size_t at = 0, number = 0;
    for (size_t u = 0; u < units->count; u++) {
        if (level == LNG_ALIGN_LEVEL_CHARACTER) {
            number += lng_utf8_count(text.data + at, units->data[u].begin - at);
            at = units->data[u].begin;
            numbers[u] = number;
        } else {
            numbers[u] = u;
        }
    }
}

static enum lng_status build_tokens(struct lng_align *align, const float *weights, size_t rows,
                                    size_t width)
{
    LNG_TRY(
        lng_grow(&align->weights, &align->weight_capacity, rows * width, sizeof *align->weights));
    memcpy(align->weights, weights, rows * width * sizeof *weights);
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < align->units[side].count; i++)
            align->numbers[side][i] = i;
    return LNG_OK;
}

static enum lng_status make_units(struct lng_align *align, struct lng_slice text, int side,
                                  enum lng_align_level level, size_t tokens)
{
    struct lng_text_spans *units = &align->units[side];
    units->count = 0;
    for (size_t i = 0; level == LNG_ALIGN_LEVEL_SUBWORD && i < tokens; i++)
        LNG_TRY(lng_text_spans_push(units, align->tokens[side].data[i].begin,
                                    align->tokens[side].data[i].end));
    if (level != LNG_ALIGN_LEVEL_SUBWORD)
        LNG_TRY(lng_text_spans_find(text, level, units));
    return lng_grow(&align->numbers[side], &align->number_capacity[side], units->count + 1,
                    sizeof **align->numbers);
}

static bool ends_in(const struct lng_ids *ids, struct lng_range range, int32_t eos)
{
    return range.count > 0 && ids->data[range.begin + range.count - 1] == eos;
}

enum lng_status lng_align_build(struct lng_align *align, const struct lng_translator *translator,
                                const struct lng_window_segment *segment,
                                const struct lng_window_hypothesis *h, enum lng_align_level level,
                                struct lng_align_matrix *matrix)
{
    const struct lng_window *w = &translator->window;
    const struct lng_hparams *p = &translator->model->hparams;
    struct lng_slice source = {w->texts.data + segment->text.begin, segment->text.count};
    size_t rows = h->tokens.count, width = segment->ids.count;
    bool eos[2] = {ends_in(&w->ids, segment->ids, p->source_eos),
                   ends_in(&w->tokens, h->tokens, p->eos)};
    bool tokens = level == LNG_ALIGN_LEVEL_SUBWORD;
    const float *weights = w->weights + h->weights;
    lng_buffer_clear(&align->text);
    LNG_TRY(lng_window_decode(translator, h, &align->text));
    struct lng_slice target = {align->text.data, align->text.length};
    LNG_TRY(lng_text_spans_encoded(translator->tokenizer, LNG_SIDE_SOURCE, source,
                                   w->ids.data + segment->ids.begin, width, segment->languages,
                                   &align->tokens[0]));
    LNG_TRY(lng_align_target_spans(translator, h, target, &align->tokens[1]));
    LNG_TRY(make_units(align, source, 0, level, width - eos[0]));
    LNG_TRY(make_units(align, target, 1, level, rows - eos[1]));
    size_t columns = tokens ? width : align->units[0].count + 1;
    size_t out = align->units[1].count + eos[1];
    *matrix = (struct lng_align_matrix){.weights = align->weights, .units = align->units};
    size_t most = rows > out ? rows : out;
    if (most > 0 && columns > LNG_ALIGN_MOST_PAIRS / most)
        return LNG_OK;
    if (tokens) {
        LNG_TRY(build_tokens(align, weights, rows, width));
    } else {
        LNG_TRY(lng_grow(&align->half, &align->half_capacity, rows * columns, sizeof(float)));
        LNG_TRY(lng_grow(&align->weights, &align->weight_capacity, out * columns, sizeof(float)));
        fold_source(align, source, weights, rows, width, segment->languages, eos[0]);
        fold_target(align, target, rows, eos[1], columns);
        number_units(&align->units[0], source, level, align->numbers[0]);
        number_units(&align->units[1], target, level, align->numbers[1]);
    }
    *matrix = (struct lng_align_matrix){
        .source = align->units[0].count,
        .target = align->units[1].count,
        .rows = out,
        .columns = columns,
        .weights = align->weights,
        .numbers = {align->numbers[0], align->numbers[1]},
        .units = align->units,
    };
    return LNG_OK;
}

size_t lng_align_strongest(const float *row, size_t columns)
{
    size_t best = 0;
    for (size_t s = 1; s < columns; s++)
        best = row[s] > row[best] ? s : best;
    return best;
}

size_t lng_align_source_shift(const struct lng_translator *translator,
                              const struct lng_window_line *line,
                              const struct lng_window_segment *segment, enum lng_align_level level)
{
    const char *text = translator->window.texts.data + line->text.begin;
    size_t length = segment->text.begin - line->text.begin, words = 0;
    if (level == LNG_ALIGN_LEVEL_CHARACTER)
        return lng_utf8_count(text, length);
    bool inside = false;
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t c;
        step = lng_utf8_decode(text + at, length - at, &c);
        bool space = lng_line_is_blank(text + at, step);
        words += !space && !inside;
        inside = !space;
    }
    uint32_t c; /* of a segment that begins inside a word, the first unit is that word's rest */
    size_t step = lng_utf8_decode(text + length, segment->text.count, &c);
    return words - (inside && !lng_line_is_blank(text + length, step));
}
