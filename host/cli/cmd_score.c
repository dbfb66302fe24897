/* lingster score: log-probabilities of given translations. */
#include <math.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/cli/cmd.h"
#include "host/cli/infer_setup.h"
#include "host/infer/score.h"

static void report(const struct lng_score_stats *stats)
{
    if (stats->repaired > 0)
        lng_warn("%llu lines were not UTF-8: bad bytes were read as U+FFFD",
                 (unsigned long long)stats->repaired);
    double tokens = (double)stats->tokens;
    lng_info("scored %llu pairs, %llu target tokens: log-probability %.4f, %.4f a token, "
             "perplexity %.3f",
             (unsigned long long)stats->lines, (unsigned long long)stats->tokens, stats->total,
             tokens > 0 ? stats->total / tokens : 0.0,
             tokens > 0 ? exp(-stats->total / tokens) : 1.0);
}

static enum lng_status score(const struct lng_options *options, struct lng_lines *source,
                             struct lng_lines *target, struct lng_infer_output *output)
{
    struct lng_infer_setup setup;
    struct lng_scorer *scorer = NULL;
    struct lng_progress progress;
    struct lng_score_options s = lng_score_options_default();
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_infer_setup_open(options, &setup));
    s.format = options->json ? LNG_SCORE_JSON : LNG_SCORE_PLAIN;
    s.word_scores = options->word_scores;
    s.window = options->window;
    s.batch_tokens = options->batch_tokens;
    s.batch_sentences = options->batch_sentences;
    s.forced_bos = setup.data.generation.forced_bos;
    LNG_TRY_OR_FAIL(lng_infer_languages(options, &setup, &s.source_language, &s.forced_bos));
    s.interrupted = lng_infer_watch_signals();
    s.progress = lng_infer_progress;
    s.progress_context = &progress;
    LNG_TRY_OR_FAIL(lng_scorer_open(&setup.model, setup.tokenizer, &s, &scorer));
    lng_progress_start(&progress, "score", "lines", 0, 0);
    status = lng_scorer_run(scorer, source, target, lng_infer_output_write, output);
    if (status == LNG_ERR_MISMATCH)
        status = lng_fail_context(status, "%s, %s", options->source, options->target);
    lng_log_set_status_line("");
    struct lng_score_stats stats = lng_scorer_get_stats(scorer);
    report(&stats);
fail:
    lng_scorer_close(scorer);
    lng_infer_setup_close(&setup);
    return status;
}

enum lng_status lng_cmd_score(const struct lng_options *options)
{
    struct lng_lines *source = NULL, *target = NULL;
    struct lng_infer_output output = {0};
    const char *inputs[] = {options->source, options->target};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_lines_open(options->source, &source));
    LNG_TRY_OR_FAIL(lng_lines_open(options->target, &target));
    LNG_TRY_OR_FAIL(lng_infer_output_open(&output, options->output, inputs, 2));
    LNG_TRY_OR_FAIL(score(options, source, target, &output));
    status = lng_infer_output_close(&output);
fail:
    if (status != LNG_OK && output.path != NULL)
        (void)fclose(output.stream);
    lng_lines_close(source);
    lng_lines_close(target);
    return status;
}
