/* Log-probability of given translations. One line out for each pair of lines, in order; lines are read as
 * translate.h says, but nothing is cut: a long pair takes what memory it needs. A blank target is the end
 * of the sentence alone. */
#ifndef LNG_HOST_INFER_SCORE_H
#define LNG_HOST_INFER_SCORE_H

#include "host/infer/translate.h"

enum lng_score_format {
    /* The sum of log-probabilities of the target tokens, EOS included; with word_scores
     * " ||| WordScores=" and each of them. */
    LNG_SCORE_PLAIN,
    /* {line, source, target, score, mean_score, normalized_score, tokens, token_scores}: sum, mean (under
     * two names: nothing is ranked here), and one by one; with word_scores also words, as in translate.h */
    LNG_SCORE_JSON,
};

struct lng_score_options {
    enum lng_score_format format;
    int64_t window; /* pairs read ahead and sorted by length, >= 1 */
    int64_t
        batch_tokens; /* source tokens, and target tokens, of a batch at most; one pair always fits */
    int64_t batch_sentences; /* 0 = no limit */
    int32_t source_language; /* as in lng_translate_options */
    int32_t forced_bos;      /* as in lng_translate_options; its score counts */
    const volatile sig_atomic_t *interrupted;
    void (*progress)(void *context, uint64_t lines);
    void *progress_context;
    bool word_scores; /* write every token's, see lng_score_format */
};
/* Plain, windows of 10000 pairs, 4096 tokens. */
struct lng_score_options lng_score_options_default(void);

struct lng_score_stats {
    uint64_t lines, tokens, repaired; /* tokens of targets, EOS included */
    double total;                     /* sum of all scores */
};

struct lng_scorer;
/* The model and the tokenizer must outlive it, and fit each other: LNG_ERR_MISMATCH. */
LNG_MUST_CHECK enum lng_status lng_scorer_open(struct lng_model *model,
                                               const struct lng_tokenizer *tokenizer,
                                               const struct lng_score_options *options,
                                               struct lng_scorer **scorer);
/* NULL is fine. */
void lng_scorer_close(struct lng_scorer *scorer);

/* LNG_ERR_MISMATCH when the inputs have not the same number of lines; what came before is written. */
LNG_MUST_CHECK enum lng_status lng_scorer_run(struct lng_scorer *scorer, struct lng_lines *source,
                                              struct lng_lines *target, lng_translate_write write,
                                              void *context);

struct lng_score_stats lng_scorer_get_stats(const struct lng_scorer *scorer);

#endif
