#include "host/eval/metric.h"

#include <string.h>

enum lng_status lng_metric_add(const struct lng_metric *metric, union lng_statistics *sums,
                               struct lng_slice hypothesis, const struct lng_slice *references,
                               size_t reference_count)
{
    switch (metric->kind) {
    case LNG_METRIC_BLEU:
        return lng_bleu_add(&sums->bleu, &metric->bleu, hypothesis, references, reference_count);
    case LNG_METRIC_CHRF:
        return lng_chrf_add(&sums->chrf, &metric->chrf, hypothesis, references, reference_count);
    case LNG_METRIC_TER:
        return lng_ter_add(&sums->ter, &metric->ter, hypothesis, references, reference_count);
    case LNG_METRIC_ERROR:
        break;
    }
    return lng_error_add(&sums->error, hypothesis, references, reference_count,
                         metric->error == LNG_METRIC_CER);
}

static double error_score(enum lng_metric_error which, const struct lng_error_counts *counts)
{
    switch (which) {
    case LNG_METRIC_WER:
        return lng_word_error_rate(counts);
    case LNG_METRIC_CER:
        return lng_character_error_rate(counts);
    case LNG_METRIC_SENTENCE_ACCURACY:
        return lng_sentence_accuracy(counts);
    case LNG_METRIC_TOKEN_ACCURACY:
        return lng_token_accuracy(counts);
    case LNG_METRIC_F1:
        break;
    }
    return lng_token_f1(counts);
}

double lng_metric_score(const struct lng_metric *metric, const union lng_statistics *sums)
{
    switch (metric->kind) {
    case LNG_METRIC_BLEU:
        return lng_bleu_compute(&sums->bleu, &metric->bleu).score;
    case LNG_METRIC_CHRF:
        return lng_chrf_compute(&sums->chrf, &metric->chrf);
    case LNG_METRIC_TER:
        return lng_ter_compute(&sums->ter);
    case LNG_METRIC_ERROR:
        break;
    }
    return error_score(metric->error, &sums->error);
}

/* ---- rows ---- */

/* BLEU's and the errors' structs hold nothing but int64_t. */
static int64_t *members(const struct lng_metric *metric, union lng_statistics *sums, size_t i)
{
    if (metric->kind != LNG_METRIC_CHRF)
        return (int64_t *)(metric->kind == LNG_METRIC_BLEU ? (void *)&sums->bleu
                                                           : (void *)&sums->error) +
               i;
    size_t orders = (size_t)(metric->chrf.character_order + metric->chrf.word_order);
    int64_t *lists[] = {sums->chrf.hypothesis, sums->chrf.reference, sums->chrf.matches};
    return lists[i / orders] + i % orders;
}

size_t lng_metric_width(const struct lng_metric *metric)
{
    switch (metric->kind) {
    case LNG_METRIC_BLEU:
        return sizeof(struct lng_bleu_counts) / sizeof(int64_t);
    case LNG_METRIC_CHRF:
        return 3 * (size_t)(metric->chrf.character_order + metric->chrf.word_order);
    case LNG_METRIC_TER:
        return 2;
    case LNG_METRIC_ERROR:
        break;
    }
    return sizeof(struct lng_error_counts) / sizeof(int64_t);
}

void lng_metric_to_row(const struct lng_metric *metric, const union lng_statistics *sums,
                       double *row)
{
    union lng_statistics copy = *sums;
    if (metric->kind == LNG_METRIC_TER) {
        row[0] = sums->ter.edits;
        row[1] = sums->ter.reference_length;
        return;
    }
    for (size_t i = 0; i < lng_metric_width(metric); i++)
        row[i] = (double)*members(metric, &copy, i);
}

void lng_metric_from_row(const struct lng_metric *metric, const double *row,
                         union lng_statistics *sums)
{
    if (metric->kind == LNG_METRIC_TER) {
        sums->ter = (struct lng_ter_counts){row[0], row[1]};
        return;
    }
    for (size_t i = 0; i < lng_metric_width(metric); i++)
        *members(metric, sums, i) = (int64_t)row[i];
}

/* ---- names ---- */

enum lng_status lng_metric_name(const struct lng_metric *metric, struct lng_buffer *text)
{
    static const char *const errors[] = {"WER", "CER", "sentence-accuracy", "token-accuracy", "F1"};
    if (metric->kind == LNG_METRIC_CHRF)
        return lng_chrf_name(text, &metric->chrf);
    return lng_buffer_append_text(text, metric->kind == LNG_METRIC_BLEU  ? "BLEU"
                                        : metric->kind == LNG_METRIC_TER ? "TER"
                                                                         : errors[metric->error]);
}

static enum lng_status own_fields(const struct lng_metric *metric, struct lng_buffer *text)
{
    if (metric->kind == LNG_METRIC_BLEU)
        return lng_bleu_signature(text, &metric->bleu);
    if (metric->kind == LNG_METRIC_CHRF)
        return lng_chrf_signature(text, &metric->chrf);
    return lng_ter_signature(text, &metric->ter);
}

enum lng_status lng_metric_signature(const struct lng_metric *metric,
                                     const struct lng_signature *with, struct lng_buffer *text)
{
    if (metric->kind == LNG_METRIC_ERROR)
        return LNG_OK;
    LNG_TRY(lng_buffer_append_format(text, "nrefs:%zu|", with->references));
    if (with->bootstrap > 0)
        LNG_TRY(lng_buffer_append_format(text, "bs:%lld|", (long long)with->bootstrap));
    if (with->randomization > 0)
        LNG_TRY(lng_buffer_append_format(text, "ar:%lld|", (long long)with->randomization));
    if (with->bootstrap > 0 || with->randomization > 0)
        LNG_TRY(lng_buffer_append_format(text, "seed:%lld|", (long long)with->seed));
    LNG_TRY(own_fields(metric, text));
    return lng_buffer_append_format(text, "|version:2.6.0-compatible:lingster-%s", LNG_VERSION);
}
