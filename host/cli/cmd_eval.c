/* lingster eval: translations and references -> BLEU, chrF, TER and error rates. */
#include <inttypes.h>
#include <string.h>

#include "host/base/log.h"
#include "host/cli/cmd.h"
#include "host/cli/eval_input.h"
#include "host/cli/eval_run.h"

enum { TOKENIZED_LINES = 100 }; /* sacreBLEU warns from here on */

/* Scores of the line that was added alone; the next one starts afresh. */
static enum lng_status report_sentence(struct lng_eval *eval)
{
    LNG_TRY(lng_eval_finish(eval));
    LNG_TRY(lng_eval_print_sentence(eval));
    for (size_t m = 0; m < eval->metric_count; m++)
        memset(eval->systems[0].results[m].sums, 0, sizeof eval->systems[0].results[m].sums);
    return LNG_OK;
}

static enum lng_status judge(struct lng_eval *eval, struct lng_eval_input *input)
{
    for (;;) {
        bool got;
        LNG_TRY(lng_eval_input_next(input, &got));
        if (!got)
            return LNG_OK;
        LNG_TRY(lng_eval_add(eval, input->lines));
        if (eval->options->sentence_level)
            LNG_TRY(report_sentence(eval));
    }
}

/* Text that was tokenised before is tokenised twice by the methods that cut at punctuation. */
static void warn_of_tokens(const struct lng_eval *eval)
{
    bool cut = eval->options->tokenize != LNG_OPT_TOKENIZE_NONE &&
               eval->options->tokenize != LNG_OPT_TOKENIZE_CHAR;
    bool bleu = false;
    for (size_t m = 0; m < eval->metric_count; m++)
        bleu = bleu || eval->metrics[m].kind == LNG_METRIC_BLEU;
    for (size_t s = 0; cut && bleu && s < eval->system_count; s++)
        if (eval->systems[s].looks_tokenized >= TOKENIZED_LINES)
            lng_warn("%" PRIu64 " lines of %s end in ' .': it looks tokenised, which makes BLEU "
                     "incomparable; detokenise it, or judge it as it is with --tokenize none",
                     eval->systems[s].looks_tokenized, eval->systems[s].path);
}

static enum lng_status report(struct lng_eval *eval)
{
    if (eval->options->sentence_level)
        return LNG_OK;
    LNG_TRY(lng_eval_finish(eval));
    return eval->options->json ? lng_eval_print_json(eval) : lng_eval_print_text(eval);
}

enum lng_status lng_cmd_eval(const struct lng_options *options)
{
    struct lng_eval eval;
    struct lng_eval_input input = {0};
    enum lng_status status = lng_eval_init(&eval, options);
    if (status == LNG_OK)
        status = lng_eval_input_open(&input, options);
    if (status == LNG_OK)
        status = judge(&eval, &input);
    lng_eval_input_close(&input);
    if (status == LNG_OK)
        warn_of_tokens(&eval);
    if (status == LNG_OK)
        status = report(&eval);
    lng_eval_release(&eval);
    return status;
}
