/* Alignments at the levels of words and characters, by hand: a tokenizer whose pieces are characters. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/align.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"

/* A translator with one line, one segment and one hypothesis, and no model but its numbers. */
struct rig {
    struct lng_tokenizer *tokenizer;
    struct lng_model model;
    struct lng_translator translator;
    struct lng_window_line line;
    struct lng_window_segment segment;
    struct lng_window_hypothesis h;
    struct lng_align align;
};

static struct lng_tokenizer *open_tokenizer(enum lng_spm_model_type type)
{
    struct lng_spm_train_options options = fixture_options();
    options.model_type = type;
    options.hard_vocab_limit = false;
    struct lng_buffer bytes = fixture_train(&options, false);
    struct lng_tokenizer *tokenizer;
    check_ok(
        lng_tokenizer_open_spm(scratch_write("m.spm", bytes.data, bytes.length), NULL, &tokenizer));
    lng_buffer_release(&bytes);
    return tokenizer;
}

static void rig_open(struct rig *rig, enum lng_spm_model_type type)
{
    scratch_make();
    *rig = (struct rig){.tokenizer = open_tokenizer(type)};
    rig->translator.tokenizer = rig->tokenizer;
    rig->translator.model = &rig->model;
    rig->translator.options.forced_bos = -1;
    rig->model.hparams.eos = lng_tokenizer_eos(rig->tokenizer, LNG_SIDE_TARGET);
    rig->model.hparams.source_eos = lng_tokenizer_eos(rig->tokenizer, LNG_SIDE_SOURCE);
}

static void rig_close(struct rig *rig)
{
    lng_align_release(&rig->align);
    lng_window_release(&rig->translator.window);
    lng_tokenizer_close(rig->tokenizer);
    scratch_remove();
}

/* Weights [target, source] of which row t sums to 1 and is the larger the nearer to the diagonal. */
static void fill_weights(struct rig *rig)
{
    struct lng_window *w = &rig->translator.window;
    size_t rows = rig->h.tokens.count, width = rig->segment.ids.count;
    check_ok(lng_grow(&w->weights, &w->weight_capacity, rows * width, sizeof *w->weights));
    for (size_t t = 0; t < rows; t++) {
        double sum = 0.0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t s = 0; s < width; s++) {
                double value = 1.0 / (1.0 + fabs((double)s - (double)t) + 0.01 * (double)(s * t));
                sum += pass == 0 ? value : 0.0;
                w->weights[t * width + s] = (float)(value / sum);
            }
    }
}

static void rig_set(struct rig *rig, const char *source, const char *target)
{
    struct lng_window *w = &rig->translator.window;
    lng_window_clear(w);
    check_ok(lng_buffer_append_text(&w->texts, source));
    rig->segment = (struct lng_window_segment){.text = {0, strlen(source)}};
    rig->line = (struct lng_window_line){.text = {0, strlen(source)}, .segments = {0, 1}};
    check_ok(
        lng_tokenizer_encode(rig->tokenizer, LNG_SIDE_SOURCE, source, strlen(source), &w->ids));
    check_ok(lng_ids_push(&w->ids, rig->model.hparams.source_eos));
    check_ok(
        lng_tokenizer_encode(rig->tokenizer, LNG_SIDE_TARGET, target, strlen(target), &w->tokens));
    check_ok(lng_ids_push(&w->tokens, rig->model.hparams.eos));
    rig->segment.ids = (struct lng_range){0, w->ids.count};
    rig->h = (struct lng_window_hypothesis){.tokens = {0, w->tokens.count}};
    fill_weights(rig);
}

static void build(struct rig *rig, enum lng_align_level level, struct lng_align_matrix *m)
{
    check_ok(lng_align_build(&rig->align, &rig->translator, &rig->segment, &rig->h, level, m));
    for (size_t t = 0; t < m->rows; t++) {
        double sum = 0.0;
        for (size_t s = 0; s < m->columns; s++)
            sum += (double)m->weights[t * m->columns + s];
        cr_assert(fabs(sum - 1.0) < 1e-4, "level %d, row %zu sums to %g", (int)level, t, sum);
    }
}

static double weight(const struct rig *rig, size_t t, size_t s)
{
    return (double)rig->translator.window.weights[t * rig->segment.ids.count + s];
}

/* "_ a n _ t" and so on: spaces are tokens of their own, and belong to the word after them. */
Test(align, words_of_characters)
{
    struct rig rig;
    struct lng_align_matrix m;
    rig_open(&rig, LNG_SPM_CHAR);
    rig_set(&rig, " an  tea", "te an");
    cr_assert(rig.segment.ids.count == 8 && rig.h.tokens.count == 7, "%zu, %zu tokens",
              rig.segment.ids.count, rig.h.tokens.count);
    build(&rig, LNG_ALIGN_LEVEL_WORD, &m);
    cr_assert(m.source == 2 && m.target == 2 && m.rows == 3 && m.columns == 3);
    for (size_t t = 0; t < 3; t++) {
        double expected[3] = {0, 0, 0};
        size_t first = t == 0 ? 0 : t == 1 ? 3 : 6, last = t == 0 ? 3 : t == 1 ? 6 : 7;
        for (size_t row = first; row < last; row++)
            for (size_t s = 0; s < 8; s++)
                expected[s < 3   ? 0
                         : s < 7 ? 1
                                 : 2] += weight(&rig, row, s) / (double)(last - first);
        for (size_t s = 0; s < 3; s++)
            cr_assert(fabs(expected[s] - (double)m.weights[t * 3 + s]) < 1e-6, "%zu, %zu", t, s);
    }
    build(&rig, LNG_ALIGN_LEVEL_CHARACTER, &m);
    static const size_t source[] = {1, 2, 5, 6, 7}, target[] = {0, 1, 3, 4};
    cr_assert(m.source == 5 && m.target == 4 && m.columns == 6 && m.rows == 5);
    cr_assert(memcmp(m.numbers[0], source, sizeof source) == 0);
    cr_assert(memcmp(m.numbers[1], target, sizeof target) == 0);
    /* the character after a space has the space's share, as a source and as a target */
    cr_assert(fabs((double)m.weights[0] - (weight(&rig, 0, 0) + weight(&rig, 0, 1) +
                                           weight(&rig, 1, 0) + weight(&rig, 1, 1)) /
                                              2) < 1e-6);
    cr_assert(fabs((double)m.weights[6 + 1] - weight(&rig, 2, 2)) < 1e-6);
    build(&rig, LNG_ALIGN_LEVEL_SUBWORD, &m);
    cr_assert(m.rows == 7 && m.columns == 8 && m.source == 7 && m.target == 6);
    cr_assert(memcmp(m.weights, rig.translator.window.weights, 56 * sizeof(float)) == 0);
    rig_close(&rig);
}

/* A language repeated for a later segment, and models without ends of sentence. */
Test(align, what_is_no_text)
{
    struct rig rig;
    struct lng_align_matrix m;
    rig_open(&rig, LNG_SPM_CHAR);
    rig_set(&rig, "an", "an");
    struct lng_window *w = &rig.translator.window;
    lng_ids_clear(&w->ids);
    check_ok(lng_ids_push(&w->ids, 3));
    check_ok(lng_tokenizer_encode(rig.tokenizer, LNG_SIDE_SOURCE, "an", 2, &w->ids));
    rig.segment.ids.count = 4; /* no end of sentence */
    rig.segment.languages = 1;
    rig.h.tokens.count--;
    fill_weights(&rig);
    build(&rig, LNG_ALIGN_LEVEL_WORD, &m);
    cr_assert(m.rows == 1 && m.columns == 2);
    double language = (weight(&rig, 0, 0) + weight(&rig, 1, 0) + weight(&rig, 2, 0)) / 3;
    cr_assert(fabs((double)m.weights[1] - language) < 1e-6);
    rig.h.tokens.count = 0; /* nothing was said */
    build(&rig, LNG_ALIGN_LEVEL_CHARACTER, &m);
    cr_assert(m.rows == 0);
    rig_close(&rig);
}

/* What tokens cover, against what the tokenizer says of the same text; also where decoding begins anew. */
Test(align, places_of_tokens)
{
    static const enum lng_spm_model_type types[] = {LNG_SPM_CHAR, LNG_SPM_UNIGRAM};
    for (size_t type = 0; type < 2; type++) {
        struct rig rig;
        rig_open(&rig, types[type]);
        struct fixture_text text = {.seed = 5, .left = 60};
        struct lng_buffer line = {0};
        struct lng_text_spans spans = {0}, expected = {0};
        const char *sentence;
        size_t length;
        bool got = true;
        for (int n = 0; n < 30; n++) {
            check_ok(fixture_next_line(&text, &sentence, &length, &got));
            cr_assert(got);
            check_ok(lng_buffer_append(&line, sentence, length)); /* longer and longer */
            check_ok(lng_buffer_append_byte(&line, ' '));
            rig_set(&rig, "an", line.data);
            struct lng_buffer *out = &rig.align.text;
            lng_buffer_clear(out);
            check_ok(lng_window_decode(&rig.translator, &rig.h, out));
            struct lng_slice whole = {out->data, out->length};
            check_ok(lng_align_target_spans(&rig.translator, &rig.h, whole, &spans));
            const struct lng_window *w = &rig.translator.window;
            check_ok(lng_text_spans_encoded(rig.tokenizer, LNG_SIDE_TARGET, whole, w->tokens.data,
                                            w->tokens.count, 0, &expected));
            cr_assert(spans.count == expected.count && spans.count == rig.h.tokens.count);
            size_t at = 0;
            for (size_t i = 0; i < spans.count; i++) {
                struct lng_text_span a = spans.data[i], b = expected.data[i];
                if (a.end == a.begin)
                    continue; /* a space that nothing follows yet */
                cr_assert(a.begin >= at && a.begin - at <= 1, "gap before token %zu", i);
                cr_assert(a.end == b.end, "token %zu ends at %zu, not %zu", i, a.end, b.end);
                at = a.end;
            }
            cr_assert(at == whole.length, "%zu of %zu bytes", at, whole.length);
        }
        lng_buffer_release(&line);
        lng_text_spans_release(&spans);
        lng_text_spans_release(&expected);
        rig_close(&rig);
    }
}

/* More pairs than anyone could want: no matrix, and no memory for it. */
Test(align, too_many_pairs)
{
    struct rig rig;
    struct lng_align_matrix m;
    static char text[4200 + 1];
    rig_open(&rig, LNG_SPM_CHAR);
    memset(text, 'a', sizeof text - 1);
    rig_set(&rig, text, text);
    build(&rig, LNG_ALIGN_LEVEL_CHARACTER, &m);
    cr_assert(m.rows == 0 && m.columns == 0 && m.source == 0 && m.target == 0);
    build(&rig, LNG_ALIGN_LEVEL_WORD, &m);
    cr_assert(m.rows == 2 && m.columns == 2);
    rig_close(&rig);
}

Test(align, units)
{
    static const char text[] = "\xE4\xBB\x8A\xE6\x97\xA5 \xC2\xA0x\xE3\x80\x80yz\xFF ";
    struct lng_text_spans spans = {0};
    struct lng_slice slice = {text, sizeof text - 1};
    check_ok(lng_text_spans_find(slice, LNG_ALIGN_LEVEL_WORD, &spans));
    cr_assert(spans.count == 3);
    cr_assert(spans.data[0].begin == 0 && spans.data[0].end == 6);
    cr_assert(spans.data[1].begin == 9 && spans.data[1].end == 10);
    cr_assert(spans.data[2].begin == 13 && spans.data[2].end == 16);
    spans.count = 0;
    check_ok(lng_text_spans_find(slice, LNG_ALIGN_LEVEL_CHARACTER, &spans));
    cr_assert(spans.count == 6);
    lng_text_spans_release(&spans);
}

/* Words of a line that is translated in segments; the second cut is inside a word. */
Test(align, segments_of_a_line)
{
    struct rig rig = {0};
    static const char text[] = "ab cd efgh ij";
    struct lng_window *w = &rig.translator.window;
    check_ok(lng_buffer_append_text(&w->texts, text));
    struct lng_window_line line = {.text = {0, sizeof text - 1}};
    static const struct {
        size_t begin, count, words;
    } segments[] = {{0, 6, 0}, {6, 2, 2}, {8, 2, 2}, {11, 2, 3}};
    for (size_t i = 0; i < 4; i++) {
        struct lng_window_segment segment = {.text = {segments[i].begin, segments[i].count}};
        cr_assert(lng_align_source_shift(&rig.translator, &line, &segment, LNG_ALIGN_LEVEL_WORD) ==
                      segments[i].words,
                  "segment %zu", i);
        cr_assert(lng_align_source_shift(&rig.translator, &line, &segment,
                                         LNG_ALIGN_LEVEL_CHARACTER) == segments[i].begin);
    }
    lng_window_release(w);
}
