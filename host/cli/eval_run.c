#include "host/cli/eval_run.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"

static struct lng_metric bleu_of(const struct lng_options *options)
{
    static const enum lng_tokenization tokenizations[] = {
        [LNG_OPT_TOKENIZE_13A] = LNG_TOKENIZATION_13A,
        [LNG_OPT_TOKENIZE_CHAR] = LNG_TOKENIZATION_CHAR,
        [LNG_OPT_TOKENIZE_NONE] = LNG_TOKENIZATION_NONE,
        [LNG_OPT_TOKENIZE_ZH] = LNG_TOKENIZATION_ZH,
        [LNG_OPT_TOKENIZE_INTL] = LNG_TOKENIZATION_INTL,
    };
    static const enum lng_bleu_smoothing smoothings[] = {
        [LNG_OPT_SMOOTH_METHOD_EXP] = LNG_BLEU_SMOOTH_EXP,
        [LNG_OPT_SMOOTH_METHOD_NONE] = LNG_BLEU_SMOOTH_NONE,
        [LNG_OPT_SMOOTH_METHOD_FLOOR] = LNG_BLEU_SMOOTH_FLOOR,
        [LNG_OPT_SMOOTH_METHOD_ADD_K] = LNG_BLEU_SMOOTH_ADD_K,
    };
    struct lng_metric metric = {.kind = LNG_METRIC_BLEU};
    metric.bleu = (struct lng_bleu_options){
        .tokenization = tokenizations[options->tokenize],
        .smoothing = smoothings[options->smooth_method],
        .effective_order = options->effective_order || options->sentence_level,
        .lowercase = options->lowercase,
    };
    metric.bleu.smooth_value = LNG_OPTION_IS_SET(options, smooth_value)
                                   ? options->smooth_value
                                   : lng_bleu_smooth_value(metric.bleu.smoothing);
    return metric;
}

static struct lng_metric chrf_of(const struct lng_options *options, bool words)
{
    struct lng_metric metric = {.kind = LNG_METRIC_CHRF};
    metric.chrf = (struct lng_chrf_options){
        .character_order = options->chrf_char_order,
        .word_order = words ? LNG_CHRF_WORD_ORDERS : options->chrf_word_order,
        .beta = options->chrf_beta,
        .lowercase = options->chrf_lowercase,
        .whitespace = options->chrf_whitespace,
        .eps_smoothing = options->chrf_eps_smoothing,
    };
    return metric;
}

static struct lng_metric ter_of(const struct lng_options *options)
{
    struct lng_metric metric = {.kind = LNG_METRIC_TER};
    metric.ter = (struct lng_tercom_options){
        .normalized = options->ter_normalized,
        .no_punct = options->ter_no_punct,
        .asian_support = options->ter_asian_support,
        .case_sensitive = options->ter_case_sensitive,
    };
    return metric;
}

static struct lng_metric error_of(enum lng_metric_error error)
{
    struct lng_metric metric = {.kind = LNG_METRIC_ERROR};
    metric.error = error;
    return metric;
}

static struct lng_metric metric_of(const struct lng_options *options, enum lng_opt_metric word)
{
    switch (word) {
    case LNG_OPT_METRIC_BLEU:
        return bleu_of(options);
    case LNG_OPT_METRIC_CHRF:
        return chrf_of(options, false);
    case LNG_OPT_METRIC_CHRF_PLUS_PLUS:
        return chrf_of(options, true);
    case LNG_OPT_METRIC_TER:
        return ter_of(options);
    case LNG_OPT_METRIC_WER:
        return error_of(LNG_METRIC_WER);
    case LNG_OPT_METRIC_CER:
        return error_of(LNG_METRIC_CER);
    case LNG_OPT_METRIC_SENTENCE_ACCURACY:
        return error_of(LNG_METRIC_SENTENCE_ACCURACY);
    case LNG_OPT_METRIC_TOKEN_ACCURACY:
        return error_of(LNG_METRIC_TOKEN_ACCURACY);
    case LNG_OPT_METRIC_F1:
        break;
    }
    return error_of(LNG_METRIC_F1);
}

static int64_t resamples_of(const struct lng_options *options)
{
    if (!options->confidence && options->paired == LNG_OPT_PAIRED_NONE)
        return 0;
    if (options->resamples > 0)
        return options->resamples;
    return options->paired == LNG_OPT_PAIRED_AR ? LNG_RANDOMIZATION_TRIALS : LNG_BOOTSTRAP_SAMPLES;
}

enum lng_status lng_eval_init(struct lng_eval *eval, const struct lng_options *options)
{
    bool wanted[LNG_EVAL_METRICS] = {false};
    *eval = (struct lng_eval){.options = options,
                              .reference_count = options->references.count,
                              .resamples = resamples_of(options)};
    for (size_t i = 0; i < options->metrics.count; i++) {
        int word = lng_choice_value(LNG_CHOICES_metric, options->metrics.items[i]);
        if (word < 0 || wanted[word])
            continue;
        wanted[word] = true;
        eval->words[eval->metric_count] = (enum lng_opt_metric)word;
        eval->metrics[eval->metric_count++] = metric_of(options, (enum lng_opt_metric)word);
    }
    eval->systems = lng_alloc(options->hypotheses.count, sizeof *eval->systems);
    if (eval->systems == NULL)
        return LNG_ERR_MEMORY;
    eval->system_count = options->hypotheses.count;
    for (size_t s = 0; s < eval->system_count; s++)
        eval->systems[s].path = options->hypotheses.items[s];
    return LNG_OK;
}

void lng_eval_release(struct lng_eval *eval)
{
    for (size_t s = 0; s < eval->system_count; s++)
        for (size_t m = 0; m < eval->metric_count; m++)
            lng_free(eval->systems[s].results[m].rows);
    lng_free(eval->systems);
    *eval = (struct lng_eval){0};
}

/* ---- segments ---- */

static bool ends_like_tokens(struct lng_slice line)
{
    return line.length >= 2 && memcmp(line.data + line.length - 2, " .", 2) == 0;
}

static enum lng_status add_row(struct lng_eval *eval, struct lng_eval_result *result,
                               const struct lng_metric *metric, const union lng_statistics *one)
{
    double row[LNG_METRIC_MAX_WIDTH];
    size_t width = lng_metric_width(metric);
    lng_metric_to_row(metric, one, row);
    for (size_t i = 0; i < width; i++)
        result->sums[i] += row[i];
    if (eval->resamples == 0)
        return LNG_OK;
    LNG_TRY(lng_grow(&result->rows, &result->row_capacity, (eval->segments + 1) * width,
                     sizeof *result->rows));
    memcpy(result->rows + eval->segments * width, row, width * sizeof *row);
    return LNG_OK;
}

/* sacreBLEU takes white space off the ends of lines when it reads them; the measures of exactness see all. */
static enum lng_status add_system(struct lng_eval *eval, struct lng_eval_system *system,
                                  struct lng_slice whole, const struct lng_slice *references,
                                  const struct lng_slice *stripped)
{
    struct lng_slice hypothesis = lng_strip_end(whole);
    union lng_statistics errors = {0};
    bool has_errors = false;
    struct lng_metric all = error_of(LNG_METRIC_WER);
    for (size_t m = 0; m < eval->metric_count; m++)
        if (eval->words[m] == LNG_OPT_METRIC_CER)
            all.error = LNG_METRIC_CER; /* which counts characters too */
    system->looks_tokenized += ends_like_tokens(hypothesis);
    for (size_t m = 0; m < eval->metric_count; m++) {
        const struct lng_metric *metric = &eval->metrics[m];
        union lng_statistics one = {0};
        if (metric->kind != LNG_METRIC_ERROR) {
            LNG_TRY(lng_metric_add(metric, &one, hypothesis, stripped, eval->reference_count));
        } else {
            if (!has_errors) /* all of that kind come from the same counts */
                LNG_TRY(lng_metric_add(&all, &errors, whole, references, eval->reference_count));
            has_errors = true;
            one = errors;
        }
        LNG_TRY(add_row(eval, &system->results[m], metric, &one));
    }
    return LNG_OK;
}

enum lng_status lng_eval_add(struct lng_eval *eval, const struct lng_slice *lines)
{
    const struct lng_slice *references = lines + eval->system_count;
    struct lng_slice *stripped = lng_alloc(eval->reference_count, sizeof *stripped);
    enum lng_status status = stripped ? LNG_OK : LNG_ERR_MEMORY;
    for (size_t r = 0; status == LNG_OK && r < eval->reference_count; r++)
        stripped[r] = lng_strip_end(references[r]);
    for (size_t s = 0; status == LNG_OK && s < eval->system_count; s++)
        status = add_system(eval, &eval->systems[s], lines[s], references, stripped);
    lng_free(stripped);
    eval->segments += status == LNG_OK;
    return status;
}

/* ---- results ---- */

union lng_statistics lng_eval_statistics(const struct lng_eval *eval, size_t system, size_t metric)
{
    union lng_statistics statistics = {0};
    lng_metric_from_row(&eval->metrics[metric], eval->systems[system].results[metric].sums,
                        &statistics);
    return statistics;
}

/* Bootstrap scores of one metric of all systems: intervals, and p-values against the first. baseline and scores
 * [resamples]. */
static void bootstrap(struct lng_eval *eval, size_t m, double *baseline, double *scores)
{
    const struct lng_eval_result *first = &eval->systems[0].results[m];
    for (size_t s = 0; s < eval->system_count; s++) {
        struct lng_eval_result *result = &eval->systems[s].results[m];
        struct lng_segment_rows rows = {result->rows, eval->segments};
        double *own = s == 0 ? baseline : scores;
        lng_bootstrap(&eval->metrics[m], &rows, eval->resamples,
                      (uint64_t)eval->options->resampling_seed, own);
        if (s > 0) {
            result->p =
                lng_bootstrap_p(baseline, own, eval->resamples, fabs(first->score - result->score));
            result->has_p = true;
            result->interval = lng_interval_of(own, eval->resamples);
            result->has_interval = true;
        }
    }
    struct lng_eval_result *result = &eval->systems[0].results[m];
    result->interval = lng_interval_of(baseline, eval->resamples); /* last: it sorts them */
    result->has_interval = true;
}

static void randomize(struct lng_eval *eval, size_t m)
{
    const struct lng_eval_result *first = &eval->systems[0].results[m];
    struct lng_segment_rows baseline = {first->rows, eval->segments};
    for (size_t s = 1; s < eval->system_count; s++) {
        struct lng_eval_result *result = &eval->systems[s].results[m];
        struct lng_segment_rows rows = {result->rows, eval->segments};
        result->p = lng_randomization_p(&eval->metrics[m], &baseline, &rows, eval->resamples,
                                        (uint64_t)eval->options->resampling_seed,
                                        fabs(first->score - result->score));
        result->has_p = true;
    }
}

enum lng_status lng_eval_finish(struct lng_eval *eval)
{
    for (size_t s = 0; s < eval->system_count; s++)
        for (size_t m = 0; m < eval->metric_count; m++) {
            union lng_statistics statistics = lng_eval_statistics(eval, s, m);
            eval->systems[s].results[m].score = lng_metric_score(&eval->metrics[m], &statistics);
        }
    if (eval->resamples == 0)
        return LNG_OK;
    LNG_FAIL_IF(eval->segments > UINT32_MAX, LNG_ERR_RANGE,
                "%zu segments: too many to draw from, 2^32 at most", eval->segments);
    double *baseline = lng_alloc((size_t)eval->resamples, sizeof *baseline);
    double *scores = lng_alloc((size_t)eval->resamples, sizeof *scores);
    enum lng_status status = baseline && scores ? LNG_OK : LNG_ERR_MEMORY;
    for (size_t m = 0; m < eval->metric_count && status == LNG_OK; m++) {
        if (eval->options->paired == LNG_OPT_PAIRED_AR)
            randomize(eval, m);
        else
            bootstrap(eval, m, baseline, scores);
    }
    lng_free(baseline);
    lng_free(scores);
    return status;
}

enum lng_status lng_eval_names(const struct lng_eval *eval, size_t metric, struct lng_buffer *name,
                               struct lng_buffer *signature)
{
    bool randomized = eval->options->paired == LNG_OPT_PAIRED_AR;
    struct lng_signature with = {.references = eval->reference_count,
                                 .bootstrap = randomized ? 0 : eval->resamples,
                                 .randomization = randomized ? eval->resamples : 0,
                                 .seed = eval->options->resampling_seed};
    LNG_TRY(lng_metric_name(&eval->metrics[metric], name));
    return lng_metric_signature(&eval->metrics[metric], &with, signature);
}
