/* The same text through the model before and after, and what references say of both. */
#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/infer_setup.h"
#include "host/cli/quantize_report.h"
#include "host/cli/translate_search.h"

/* A file in memory, or a translation of it: a newline after each line. */
struct text {
    struct lng_buffer bytes;
    struct lng_slice *lines; /* owned, point into bytes */
    size_t count, capacity;
};

static void text_release(struct text *text)
{
    lng_buffer_release(&text->bytes);
    lng_free(text->lines);
    *text = (struct text){0};
}

static enum lng_status cut_lines(struct text *text)
{
    struct lng_slice rest = {text->bytes.data, text->bytes.length}, line;
    while (rest.data != NULL && rest.length > 0 && lng_text_split(&rest, '\n', &line)) {
        LNG_TRY(lng_grow(&text->lines, &text->capacity, text->count + 1, sizeof *text->lines));
        text->lines[text->count++] = line;
    }
    return LNG_OK;
}

static enum lng_status read_text(const char *path, struct text *text)
{
    struct lng_lines *lines;
    struct lng_line line;
    bool got = true;
    LNG_TRY(lng_lines_open(path, &lines));
    enum lng_status status = LNG_OK;
    while (status == LNG_OK && got) {
        status = lng_lines_next(lines, &line, &got);
        if (status == LNG_OK && got)
            status = lng_buffer_append(&text->bytes, line.data, line.length);
        if (status == LNG_OK && got)
            status = lng_buffer_append(&text->bytes, "\n", 1);
    }
    lng_lines_close(lines);
    return status == LNG_OK ? cut_lines(text) : status;
}

/* Opens the model at `path`, in f32 or, where `own` is set, in the type it is stored in where the device can. */
static enum lng_status open_setup(const struct lng_options *options, const char *path, bool own,
                                  struct lng_infer_setup *setup)
{
    enum lng_dtype compute = LNG_DTYPE_F32;
    struct lng_device_options device = {.threads = options->threads};
    LNG_TRY(lng_device_open(options->device, &device, &setup->device));
    LNG_TRY(lng_model_data_open_lazily(path, &setup->data));
    if (own)
        compute =
            options->quantize_dtype == LNG_OPT_QUANTIZE_DTYPE_INT8 ? LNG_DTYPE_I8 : LNG_DTYPE_BF16;
    if (compute != LNG_DTYPE_F32 && lng_device_supports(setup->device, compute) != LNG_OK) {
        lng_warn("the translations are computed in f32: %s", lng_error_message());
        compute = LNG_DTYPE_F32;
    }
    LNG_TRY(lng_model_place(&setup->data, setup->device, compute, false, &setup->model));
    LNG_FAIL_IF(setup->data.directory == NULL, LNG_ERR_IO,
                "%s: found a model but no vocabulary beside it, which --input needs", path);
    return lng_tokenizer_open_directory(setup->data.directory, &setup->tokenizer);
}

/* symbols: the model's texts are tokens already, which BLEU takes as they are. */
static enum lng_status translate(const struct lng_options *options, const char *path, bool own,
                                 const struct text *input, struct text *output, bool *symbols)
{
    enum lng_status status;
    struct lng_infer_setup setup = {0};
    struct lng_translator *translator = NULL;
    struct lng_translate_options t = lng_translate_search_options(options);
    t.format = LNG_TRANSLATE_PLAIN;
    LNG_TRY_OR_FAIL(open_setup(options, path, own, &setup));
    t.forced_bos = setup.data.generation.forced_bos;
    LNG_TRY_OR_FAIL(lng_infer_languages(options, &setup, &t.source_language, &t.forced_bos));
    LNG_TRY_OR_FAIL(lng_translator_open(&setup.model, setup.tokenizer, &t, &translator));
    LNG_TRY_OR_FAIL(lng_translator_texts(translator, input->lines, input->count, &output->bytes));
    status = cut_lines(output);
    *symbols = lng_tokenizer_get_kind(setup.tokenizer) == LNG_TOKENIZER_SYMBOLS;
fail:
    lng_translator_close(translator);
    lng_infer_setup_close(&setup);
    return status;
}

/* The rows of statistics of one system; *score is of all of them. */
static enum lng_status judge(const struct lng_metric *metric, const struct text *system,
                             const struct text *reference, double *rows, double *score)
{
    const size_t width = lng_metric_width(metric);
    double sums[LNG_METRIC_MAX_WIDTH] = {0};
    union lng_statistics all;
    for (size_t i = 0; i < system->count; i++) {
        union lng_statistics one = {0};
        LNG_TRY(lng_metric_add(metric, &one, system->lines[i], &reference->lines[i], 1));
        lng_metric_to_row(metric, &one, rows + i * width);
        for (size_t k = 0; k < width; k++)
            sums[k] += rows[i * width + k];
    }
    lng_metric_from_row(metric, sums, &all);
    *score = lng_metric_score(metric, &all);
    return LNG_OK;
}

static enum lng_status compare(const struct text systems[2], const struct text *reference,
                               struct lng_quantize_score *score)
{
    enum { SAMPLES = LNG_BOOTSTRAP_SAMPLES };
    const size_t segments = reference->count, width = lng_metric_width(&score->metric);
    double *rows[2] = {lng_alloc(segments * width, sizeof(double)),
                       lng_alloc(segments * width, sizeof(double))};
    double *draws = lng_alloc((size_t)2 * SAMPLES, sizeof *draws), values[2];
    enum lng_status status = rows[0] && rows[1] && draws ? LNG_OK : LNG_ERR_MEMORY;
    for (int s = 0; s < 2 && status == LNG_OK; s++) {
        status = judge(&score->metric, &systems[s], reference, rows[s], &values[s]);
        if (status == LNG_OK)
            lng_bootstrap(&score->metric, &(struct lng_segment_rows){rows[s], segments}, SAMPLES,
                          LNG_RESAMPLING_SEED, draws + s * SAMPLES);
    }
    if (status == LNG_OK) {
        score->before = values[0];
        score->after = values[1];
        /* The test takes equal scores for a sure thing. */
        score->p = values[0] == values[1] ? 1
                                          : lng_bootstrap_p(draws, draws + SAMPLES, SAMPLES,
                                                            fabs(values[1] - values[0]));
    }
    lng_free(rows[0]);
    lng_free(rows[1]);
    lng_free(draws);
    return status;
}

static enum lng_status compare_scores(const struct lng_options *options,
                                      const struct text systems[2], bool symbols,
                                      struct lng_quantize_texts *texts)
{
    struct text reference = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(read_text(options->quantize_reference, &reference));
    LNG_GOTO_FAIL_IF(reference.count != texts->lines, LNG_ERR_MISMATCH,
                     "%s: expected %llu lines, as many as %s has, found %zu",
                     options->quantize_reference, (unsigned long long)texts->lines,
                     options->quantize_input, reference.count);
    texts->scores[0].metric = (struct lng_metric){.kind = LNG_METRIC_BLEU};
    texts->scores[0].metric.bleu = lng_bleu_options_default();
    if (symbols)
        texts->scores[0].metric.bleu.tokenization = LNG_TOKENIZATION_NONE;
    texts->scores[1].metric = (struct lng_metric){.kind = LNG_METRIC_CHRF};
    texts->scores[1].metric.chrf = lng_chrf_options_default(false);
    for (size_t i = 0; i < LNG_QUANTIZE_SCORES; i++)
        LNG_TRY_OR_FAIL(compare(systems, &reference, &texts->scores[i]));
    texts->judged = true;
fail:
    text_release(&reference);
    return status;
}

enum lng_status lng_quantize_compare_texts(const struct lng_options *options, const char *directory,
                                           struct lng_quantize_texts *texts)
{
    struct text input = {0}, systems[2] = {{{0}, NULL, 0, 0}, {{0}, NULL, 0, 0}};
    enum lng_status status;
    bool symbols = false;
    LNG_TRY_OR_FAIL(read_text(options->quantize_input, &input));
    LNG_GOTO_FAIL_IF(input.count == 0, LNG_ERR_FORMAT, "%s: expected text, found no line",
                     options->quantize_input);
    LNG_TRY_OR_FAIL(translate(options, options->model, false, &input, &systems[0], &symbols));
    LNG_TRY_OR_FAIL(translate(options, directory, true, &input, &systems[1], &symbols));
    LNG_GOTO_FAIL_IF(systems[0].count != input.count || systems[1].count != input.count,
                     LNG_ERR_INTERNAL, "%zu lines became %zu and %zu", input.count,
                     systems[0].count, systems[1].count);
    texts->translated = true;
    texts->lines = input.count;
    for (size_t i = 0; i < input.count; i++) {
        const struct lng_slice a = systems[0].lines[i], b = systems[1].lines[i];
        texts->changed += a.length != b.length || memcmp(a.data, b.data, a.length) != 0;
    }
    if (options->quantize_reference != NULL)
        LNG_TRY_OR_FAIL(compare_scores(options, systems, symbols, texts));
fail:
    text_release(&input);
    text_release(&systems[0]);
    text_release(&systems[1]);
    return status;
}
