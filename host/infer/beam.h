/* Beam search of one sentence: bookkeeping only, no device. Each step takes the best continuations that
 * the device found (struct lng_candidate) and decides which hypotheses live on, which are finished and
 * whether the search may stop.
 *
 * Definition of the search (default): K hypotheses live; a step looks at the 2K best continuations of all
 * of them together. Those that end in EOS are finished and take no live place, so that of 2K always K
 * others survive. Order and ties are the device's: higher score, lower row, lower token. Finished
 * hypotheses of equal score keep the order in which they were found.
 *
 * Lengths count target tokens, EOS included. */
#ifndef LNG_HOST_INFER_BEAM_H
#define LNG_HOST_INFER_BEAM_H

#include "kernels/ops.h"

/* How finished hypotheses are ranked; T is the sum of log-probabilities, n the length. */
enum lng_beam_rule {
    LNG_BEAM_RULE_NONE,        /* T */
    LNG_BEAM_RULE_MARIAN,      /* (T - word_penalty n) / n^alpha */
    LNG_BEAM_RULE_CTRANSLATE2, /* T / n^alpha */
    LNG_BEAM_RULE_WU,          /* T / ((5 + n) / 6)^alpha   (Wu et al. 2016) */
};

enum lng_beam_stop {
    LNG_BEAM_STOP_EXACT,  /* no live hypothesis can still enter the n-best list (the default) */
    LNG_BEAM_STOP_FILLED, /* K are finished, counting EOS only among the first K candidates; without
                              * a length rule instead when the best candidate was EOS once and n are
                              * finished (CTranslate2) */
    LNG_BEAM_STOP_EARLY,  /* K are finished, counted so (Hugging Face, early_stopping true) */
    LNG_BEAM_STOP_HEURISTIC, /* K are finished and the best live one, ranked at its length so far, is not
                              * better than the worst of them (Hugging Face, early_stopping false) */
    LNG_BEAM_STOP_NEVER, /* the same, ranked at the maximum length where alpha > 0 (Hugging Face,
                              * early_stopping "never") */
    LNG_BEAM_STOP_SHRINK, /* a finished hypothesis takes its place with it: K places, then K - 1, ... */
    LNG_BEAM_STOP_EXHAUST, /* when nothing lives: at the maximum length */
};

/* What happens to hypotheses that reach the maximum length. */
enum lng_beam_limit {
    LNG_BEAM_LIMIT_EOS, /* their last token is forced to be EOS, and scored as such */
    LNG_BEAM_LIMIT_CUT, /* they end without EOS */
};

enum lng_beam_end {
    LNG_BEAM_END_EOS,
    LNG_BEAM_END_MAX_LENGTH, /* EOS forced, or cut */
    LNG_BEAM_END_DEAD,       /* no continuation had a probability above zero */
};
const char *lng_beam_end_name(enum lng_beam_end end);

struct lng_beam_options {
    int32_t beam;   /* K >= 1. 1 is greedy search: it ends where EOS is the best token */
    int32_t n_best; /* 1 .. beam */
    enum lng_beam_rule rule;
    enum lng_beam_stop stop;
    enum lng_beam_limit limit;
    double alpha, word_penalty;
    /* Target length limits of a sentence of S source tokens (EOS included):
     *   at most  min(max_factor S + max_extra, max_length), at least 1
     *   at least min(min_factor S + min_length, the above)  */
    double max_factor, min_factor;
    int32_t max_extra, max_length, min_length;
    int32_t eos;
    bool factor_up; /* max_factor S is rounded up, as in Marian; else down */
    bool
        lone_eos; /* right after a prefix only the best candidate may be EOS; where it would be the r-th
                       * best of K, r > 1, no hypothesis takes that place (CTranslate2) */
    bool forced_free; /* forced tokens have probability 1, as in Hugging Face; else their own */
};

/* Beam 4, Marian's rule with alpha 1, exact stop, EOS forced at min(3 S + 10, 512), eos 0. */
struct lng_beam_options lng_beam_options_default(void);
/* LNG_ERR_RANGE naming the option, its limits and the value found. */
LNG_MUST_CHECK enum lng_status lng_beam_options_check(const struct lng_beam_options *options);

/* Rows of candidates to ask the device for: 2K. */
static inline int32_t lng_beam_candidates(const struct lng_beam_options *options)
{
    return 2 * options->beam;
}
/* Limits of a sentence. A forced prefix and the EOS after it always fit. */
int32_t lng_beam_max_length(const struct lng_beam_options *options, int64_t source_length,
                            int64_t prefix_length);

/* Ranking score of a finished hypothesis; length >= 1. */
double lng_beam_score(const struct lng_beam_options *options, double total, int32_t length);
/* The best score that any continuation of a hypothesis with sum `total` can end with, at a length in
 * [from, to]: log-probabilities are not positive, so its sum stays <= total. */
double lng_beam_bound(const struct lng_beam_options *options, double total, int32_t from,
                      int32_t to);

/* A live hypothesis. */
struct lng_beam_live {
    float score;    /* running sum as the device adds it up: what orders candidates */
    double total;   /* the same sum in double: what finished hypotheses are ranked by */
    int32_t node;   /* its last token, in nodes */
    int32_t parent; /* index among the live ones before the last step */
    double bonus;   /* of its last step, see row_bonus */
};
struct lng_beam_node {
    int32_t parent; /* index in nodes; the root is 0 and has token -1 */
    int32_t token;
    float logprob;
};
struct lng_beam_finished {
    double total, score;
    int32_t parent; /* node before the last token */
    int32_t token;
    float logprob;
    int32_t length;
    enum lng_beam_end end;
    double bonus; /* part of score */
};

struct lng_beam {
    const struct lng_beam_options *options; /* borrowed */
    struct lng_beam_node *nodes;            /* owned, like all below */
    struct lng_beam_live *live, *spare;
    struct lng_beam_finished *finished; /* best first */
    int64_t node_count, node_capacity;
    int32_t live_count, finished_count, finished_capacity;
    int64_t ended;  /* hypotheses finished so far, kept or not */
    int32_t length; /* tokens of every live hypothesis */
    int32_t max_length, min_length, capacity;
    const int32_t *prefix; /* borrowed */
    int32_t prefix_length;
    /* Borrowed for the next step: for each live row what is added to the ranking score of a hypothesis whose
     * last token it predicts, 0 or less so that bounds hold; NULL = 0. lng_beam_start clears it. */
    const double *row_bonus;
    double dropped; /* best score that hypotheses dropped by the stop rule could have reached */
    bool top_ended; /* the best candidate of a step was EOS */
    bool done;
    bool exact_stop; /* once done: no continuation of the beam could have entered the n-best list */
};

/* Memory for sentences of up to max_length target tokens. options are checked and must outlive the beam. */
LNG_MUST_CHECK enum lng_status
lng_beam_init(struct lng_beam *beam, const struct lng_beam_options *options, int32_t max_length);
void lng_beam_release(struct lng_beam *beam);

/* Begins a sentence with one live hypothesis, the empty one. prefix: tokens (no EOS) that every
 * hypothesis starts with; borrowed until done. LNG_ERR_RANGE when its limit exceeds what init made room
 * for. Allocates nothing, like all below. */
LNG_MUST_CHECK enum lng_status lng_beam_start(struct lng_beam *beam, int64_t source_length,
                                              const int32_t *prefix, int32_t prefix_length);

/* The same for hypotheses of exactly `length` tokens, of which none is EOS: for measuring. */
LNG_MUST_CHECK enum lng_status lng_beam_start_exact(struct lng_beam *beam, int32_t length,
                                                    const int32_t *prefix, int32_t prefix_length);

/* The only token that may follow now (prefix, or EOS at the limit), or -1. */
int32_t lng_beam_forced(const struct lng_beam *beam);
/* EOS may not follow now: the minimum length is not reached. */
bool lng_beam_eos_banned(const struct lng_beam *beam);

/* One step. candidates [count]: best first; row counts from first_row in the order of `live`; row -1
 * ends the list. LNG_ERR_RANGE when the model gave NaN, or nothing at all at the first step. */
LNG_MUST_CHECK enum lng_status lng_beam_step(struct lng_beam *beam,
                                             const struct lng_candidate *candidates, int64_t count,
                                             int32_t first_row);

/* Stops now, as when time is up: live hypotheses are cut if none is finished; exact_stop tells. */
void lng_beam_finish(struct lng_beam *beam);

/* Tokens and their log-probabilities of finished hypothesis `rank`, EOS included where it ended so;
 * each [finished[rank].length], either may be NULL. nodes (may be NULL): for every token, the node that
 * predicted it. Returns the length. */
int32_t lng_beam_trace(const struct lng_beam *beam, int32_t rank, int32_t *tokens, float *logprobs,
                       int32_t *nodes);

#endif
