/* What may be asked of a search beyond the best hypotheses under the model: other ways of choosing, penalties,
 * several models, a shortlist. All off by default; the search is then the exact one of beam.h.
 *
 * Any of it works on log-probabilities kept on the device:
 *   1. each model's log-probabilities, put together (ensemble); over the shortlist's tokens where there is one
 *   2. repetition_penalty, no_repeat_ngram: changes of single tokens' scores, not normalised again
 *   3. the choice: best continuations of the beam, samples, or alternatives
 * What a sentence becomes depends on itself alone, as ever: not on its company, the threads, or the batch. */
#ifndef LNG_HOST_INFER_STEERING_H
#define LNG_HOST_INFER_STEERING_H

#include "host/infer/sampling.h"
#include "host/model/model.h"
#include "host/store/shortlist.h"

enum lng_choice {
    LNG_CHOICE_BEST, /* beam search */
    LNG_CHOICE_SAMPLE, /* n_best samples of the model's distribution, each on its own, best score first */
    /* The n_best best tokens at the first place that no prefix decides, each continued greedily: n different
     * ways to go on from there (as CTranslate2's alternatives). */
    LNG_CHOICE_ALTERNATIVES,
};

enum lng_ensemble {
    LNG_ENSEMBLE_LOG_LINEAR, /* sum of w log p, not normalised again, as Marian */
    LNG_ENSEMBLE_MEAN,       /* log of the sum of w p, w taken to sum 1 */
};

struct lng_steering {
    enum lng_choice choice;
    struct lng_sampling sampling;
    double min_alternative_probability; /* of the token at that place; the best one always stays */

    /* A token that the hypothesis has: its log-probability is multiplied by this (Keskar et al. 2019, on
     * log-probabilities as in the beam search of Hugging Face). 1 = off. */
    double repetition_penalty;
    int32_t no_repeat_ngram; /* no n tokens in a row come twice in a hypothesis; 0 = off */
    /* beta of beta * sum over source tokens of log(min(1, attention it got in all)), added to the ranking score
     * of hypotheses that end (Wu et al. 2016, eq. 14); source EOS counts. Attention as in
     * lng_search_options. 0 = off. */
    double coverage_penalty;

    /* Models beside the first; their target and source vocabularies and ways of starting are its own. */
    struct lng_model *const *members;
    int32_t member_count;
    const double
        *weights; /* [1 + member_count], above 0, the first model's first; NULL = 1 / count each */
    enum lng_ensemble ensemble;

    /* Tokens a sentence may use, with its prefix and EOS; log-probabilities are those among them. NULL = all. */
    const struct lng_shortlist *shortlist;
};

struct lng_steering lng_steering_default(void);
/* Whether anything is asked for. */
bool lng_steering_is_on(const struct lng_steering *steering);

#endif
