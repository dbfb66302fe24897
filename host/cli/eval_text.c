/* lingster eval's results as text: sacreBLEU's lines for one system, a table for several. */
#include <inttypes.h>
#include <stdio.h>

#include "host/base/mem.h"
#include "host/cli/eval_run.h"

/* "28.15", "28.15 (μ = 28.14 ± 0.55)"; sacreBLEU shows no interval around a mean of 0. Appends. */
static enum lng_status append_score(const struct lng_eval *eval,
                                    const struct lng_eval_result *result, const char *mean,
                                    struct lng_buffer *text)
{
    int width = eval->options->width;
    LNG_TRY(lng_buffer_append_format(text, "%.*f", width, result->score));
    if (!result->has_interval || result->interval.mean <= 0)
        return LNG_OK;
    return lng_buffer_append_format(text, " (%s%.*f ± %.*f)", mean, width, result->interval.mean,
                                    width, result->interval.half_width);
}

/* What an error rate counts and out of how many. */
static enum lng_status append_counts(enum lng_metric_error error,
                                     const struct lng_error_counts *counts, struct lng_buffer *text)
{
    switch (error) {
    case LNG_METRIC_WER:
        return lng_buffer_append_format(text, " (edits = %" PRId64 " words = %" PRId64 ")",
                                        counts->word_edits, counts->words);
    case LNG_METRIC_CER:
        return lng_buffer_append_format(text, " (edits = %" PRId64 " characters = %" PRId64 ")",
                                        counts->character_edits, counts->characters);
    case LNG_METRIC_SENTENCE_ACCURACY:
        return lng_buffer_append_format(text, " (exact = %" PRId64 " segments = %" PRId64 ")",
                                        counts->exact, counts->segments);
    case LNG_METRIC_TOKEN_ACCURACY:
        return lng_buffer_append_format(text, " (in place = %" PRId64 " of %" PRId64 ")",
                                        counts->in_place, counts->places);
    case LNG_METRIC_F1:
        break;
    }
    return lng_buffer_append_format(text, " (precision = %.2f recall = %.2f)",
                                    lng_token_precision(counts), lng_token_recall(counts));
}

static enum lng_status append_details(const struct lng_eval *eval, size_t metric,
                                      struct lng_buffer *text)
{
    union lng_statistics sums = lng_eval_statistics(eval, 0, metric);
    const struct lng_metric *what = &eval->metrics[metric];
    if (what->kind == LNG_METRIC_ERROR)
        return append_counts(what->error, &sums.error, text);
    if (what->kind != LNG_METRIC_BLEU)
        return LNG_OK;
    struct lng_bleu_score bleu = lng_bleu_compute(&sums.bleu, &what->bleu);
    return lng_buffer_append_format(
        text,
        " %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %" PRId64 " ref_len = %" PRId64 ")",
        bleu.precisions[0], bleu.precisions[1], bleu.precisions[2], bleu.precisions[3],
        bleu.brevity_penalty, bleu.ratio, sums.bleu.hypothesis_length, sums.bleu.reference_length);
}

/* "BLEU|nrefs:1|... = 48.89 85.7/66.7/40.0/25.0 (BP = ...)" */
static enum lng_status append_line(const struct lng_eval *eval, size_t metric,
                                   struct lng_buffer *text)
{
    struct lng_buffer name = {0}, signature = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_eval_names(eval, metric, &name, &signature));
    LNG_TRY_OR_FAIL(lng_buffer_append(text, name.data, name.length));
    if (signature.length > 0)
        LNG_TRY_OR_FAIL(lng_buffer_append_format(text, "|%s", signature.data));
    LNG_TRY_OR_FAIL(lng_buffer_append_text(text, " = "));
    LNG_TRY_OR_FAIL(append_score(eval, &eval->systems[0].results[metric], "μ = ", text));
    LNG_TRY_OR_FAIL(append_details(eval, metric, text));
    LNG_TRY_OR_FAIL(lng_buffer_append_byte(text, '\n'));
fail:
    lng_buffer_release(&name);
    lng_buffer_release(&signature);
    return status;
}

/* ---- several systems ---- */

/* What stands in row `row` (0: the heading) of column `column` (0: the systems). */
static enum lng_status append_cell(const struct lng_eval *eval, size_t row, size_t column,
                                   struct lng_buffer *text)
{
    if (column == 0) {
        if (row == 0)
            return lng_buffer_append_text(text, "System");
        bool baseline = row == 1 && eval->options->paired != LNG_OPT_PAIRED_NONE;
        return lng_buffer_append_format(text, "%s%s", baseline ? "Baseline: " : "",
                                        eval->systems[row - 1].path);
    }
    if (row == 0) {
        LNG_TRY(lng_metric_name(&eval->metrics[column - 1], text));
        return lng_buffer_append_text(
            text, eval->options->paired == LNG_OPT_PAIRED_BS ? " (μ ± 95% CI)" : "");
    }
    const struct lng_eval_result *result = &eval->systems[row - 1].results[column - 1];
    LNG_TRY(append_score(eval, result, "", text));
    if (!result->has_p)
        return LNG_OK;
    return lng_buffer_append_format(text, " (p = %.4f)%s", result->p, result->p > 0.05 ? "" : "*");
}

static enum lng_status column_width(const struct lng_eval *eval, size_t column, size_t *width)
{
    struct lng_buffer cell = {0};
    enum lng_status status = LNG_OK;
    *width = 0;
    for (size_t row = 0; row <= eval->system_count && status == LNG_OK; row++) {
        lng_buffer_clear(&cell);
        status = append_cell(eval, row, column, &cell);
        size_t own = status == LNG_OK ? lng_utf8_count(cell.data, cell.length) : 0;
        *width = own > *width ? own : *width;
    }
    lng_buffer_release(&cell);
    return status;
}

/* Columns to the left, two spaces between them, none at the end of a row. widths [metric_count + 1]. */
static enum lng_status append_rows(const struct lng_eval *eval, const size_t *widths,
                                   struct lng_buffer *text)
{
    for (size_t row = 0; row <= eval->system_count; row++) {
        for (size_t column = 0; column <= eval->metric_count; column++) {
            size_t before = text->length;
            LNG_TRY(append_cell(eval, row, column, text));
            size_t own = lng_utf8_count(text->data + before, text->length - before);
            for (; column < eval->metric_count && own < widths[column] + 2; own++)
                LNG_TRY(lng_buffer_append_byte(text, ' '));
        }
        LNG_TRY(lng_buffer_append_byte(text, '\n'));
    }
    return LNG_OK;
}

static enum lng_status append_signatures(const struct lng_eval *eval, struct lng_buffer *text)
{
    struct lng_buffer name = {0}, signature = {0};
    enum lng_status status = lng_buffer_append_byte(text, '\n');
    for (size_t m = 0; m < eval->metric_count && status == LNG_OK; m++) {
        lng_buffer_clear(&name);
        lng_buffer_clear(&signature);
        status = lng_eval_names(eval, m, &name, &signature);
        if (status == LNG_OK && signature.length > 0)
            status = lng_buffer_append_format(text, "%s|%s\n", name.data, signature.data);
    }
    lng_buffer_release(&name);
    lng_buffer_release(&signature);
    return status;
}

/* What the p-values mean: the difference, and not which system is better. */
static enum lng_status append_note(const struct lng_eval *eval, struct lng_buffer *text)
{
    if (eval->options->paired == LNG_OPT_PAIRED_NONE)
        return LNG_OK;
    bool bootstrap = eval->options->paired == LNG_OPT_PAIRED_BS;
    return lng_buffer_append_format(
        text,
        "p: paired %s, %" PRId64 " %s, against the baseline; *: the difference is unlikely to be "
        "chance (p <= 0.05)\n",
        bootstrap ? "bootstrap resampling" : "approximate randomization", eval->resamples,
        bootstrap ? "resamples" : "trials");
}

static enum lng_status append_table(const struct lng_eval *eval, struct lng_buffer *text)
{
    size_t widths[LNG_EVAL_METRICS + 1];
    for (size_t column = 0; column <= eval->metric_count; column++)
        LNG_TRY(column_width(eval, column, &widths[column]));
    LNG_TRY(append_rows(eval, widths, text));
    LNG_TRY(append_signatures(eval, text));
    return append_note(eval, text);
}

enum lng_status lng_eval_print_text(const struct lng_eval *eval)
{
    struct lng_buffer text = {0};
    enum lng_status status = LNG_OK;
    if (eval->system_count > 1)
        status = append_table(eval, &text);
    else
        for (size_t m = 0; m < eval->metric_count && status == LNG_OK; m++)
            status = append_line(eval, m, &text);
    if (status == LNG_OK)
        fwrite(text.data, 1, text.length, stdout);
    lng_buffer_release(&text);
    return status;
}
