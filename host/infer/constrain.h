/* Search under constraints: bookkeeping of one sentence, without a device.
 *
 * Phrases that must appear: dynamic beam allocation (Post and Vilar 2018) with matching of started phrases as in a
 * trie (Hu et al. 2019). A hypothesis knows which phrases it has met and which it is in the middle of; it may not end
 * before all are met, and where the tokens left are just enough for what is missing, nothing else may follow, so
 * that a finished hypothesis always holds every phrase. Of the K places, the larger half goes to the best scores
 * whatever they hold (so that a model that writes the phrases by itself is not disturbed), the rest to banks, the
 * hypotheses with as many phrases met, from the fullest down, one each in turn. With a beam of 1 a phrase is begun
 * where the model has it as its best token, or would end. A phrase whose first token is not among the K best of its
 * hypothesis, or that was begun because the hypothesis may not end yet, is gone through with; one that began by itself may
 * be left again, as "the" does not have to become "the white house".
 *
 * A phrase of words is met when the text ends in it at a boundary of words, however its tokens were cut. A stand-in is one token
 * that is nowhere else allowed in the sentence; it is there exactly once.
 *
 * Phrases that must not appear are looked for in the text: a token that would complete one is refused, where that
 * may be the beginning of a longer word the next token has to go on with it.
 *
 * Soft prefix: while a hypothesis is on the prefix y, p'(w) = (1 - b) p(w) + b [w = y_t]  (Arivazhagan et al. 2020;
 * CTranslate2's prefix_bias_beta). */
#ifndef LNG_HOST_INFER_CONSTRAIN_H
#define LNG_HOST_INFER_CONSTRAIN_H

#include "host/infer/beam.h"
#include "host/infer/token_texts.h"

enum {
    LNG_CONSTRAIN_MAX_PHRASES = 64, /* a sentence may demand */
    LNG_CONSTRAIN_STARTS = 8,       /* phrases not yet begun that a step looks at */
    LNG_CONSTRAIN_MAX_PHRASE_BYTES = 1024,
};

struct lng_phrase {
    const int32_t *tokens; /* [length] */
    int32_t length;
    bool stand_in;         /* one token; never otherwise used */
    int32_t after;         /* index of a phrase that has to be met before; -1 = none */
    struct lng_slice text; /* of words: as it stands in the text */
};

/* Borrowed throughout the search. */
struct lng_constraints {
    const struct lng_phrase *phrases;
    int32_t phrase_count; /* 0 .. LNG_CONSTRAIN_MAX_PHRASES */
    const struct lng_slice *forbidden;
    int32_t forbidden_count;
    const int32_t *soft_prefix;
    int32_t soft_prefix_length;
    double soft_prefix_bias; /* b, above 0, below 1 */
};

/* Tokens that all phrases take. */
int32_t lng_constraints_tokens(const struct lng_constraints *constraints);
/* Continuations to look at for each hypothesis of a beam of K. */
int32_t lng_constraints_candidates(const struct lng_constraints *constraints, int32_t beam);
/* LNG_ERR_RANGE when there are too many or one is empty. vocabulary: target ids. */
LNG_MUST_CHECK enum lng_status lng_constraints_check(const struct lng_constraints *constraints,
                                                     int32_t vocabulary);

/* Of a live hypothesis. */
struct lng_constrain_state {
    uint64_t met;    /* a bit a phrase */
    int32_t active;  /* the phrase it is in the middle of, or -1 */
    int32_t matched; /* tokens of it */
    bool bound;      /* it was begun against the model's will, and has to be gone through with */
    bool edge;       /* the last token was a stand-in: no word may go on here */
    bool on_prefix;  /* has followed the soft prefix so far */
};

/* What is known of a live hypothesis before the step. */
struct lng_constrain_row {
    uint64_t ends_words; /* phrases that its text ends with, a boundary provided */
    uint64_t ends_any;   /* phrases that it ends with whatever comes */
    bool pending;        /* it ends with a forbidden phrase unless the word goes on */
};

/* A candidate with what it leads to. */
struct lng_constrain_choice {
    struct lng_candidate candidate;
    struct lng_constrain_state state;
    bool fits;    /* the constraints; the others are for when none does */
    bool pending; /* as in lng_constrain_row */
    bool taken;
};

struct lng_constrainer {
    const struct lng_token_texts *texts; /* borrowed */
    int32_t eos, beam;
    struct lng_constrain_row *rows;       /* [beam] */
    struct lng_constrain_choice *choices; /* [choice_capacity] */
    int64_t choice_count, choice_capacity;
    char *tail; /* [tail_capacity] */
    size_t tail_capacity;
};

/* candidates: at most so many for each hypothesis (lng_constraints_candidates, and LNG_CONSTRAIN_STARTS + 2). */
LNG_MUST_CHECK enum lng_status lng_constrainer_init(struct lng_constrainer *constrainer,
                                                    const struct lng_token_texts *texts,
                                                    int32_t eos, int32_t beam, int64_t candidates);
/* Fine on a zeroed struct. */
void lng_constrainer_release(struct lng_constrainer *constrainer);

struct lng_constrain_state lng_constrain_begin(const struct lng_constraints *constraints);

/* Tokens worth asking the model about for live hypothesis i, beside its best: what the phrases, the soft prefix and the
 * end need next. wanted [LNG_CONSTRAIN_STARTS + 2]; returns how many. */
int32_t lng_constrain_wanted(struct lng_constrainer *constrainer,
                             const struct lng_constraints *constraints, const struct lng_beam *beam,
                             const struct lng_constrain_state *states, int32_t i, int32_t *wanted);

/* One step begins: looks at what the live hypotheses say. */
void lng_constrain_open(struct lng_constrainer *constrainer,
                        const struct lng_constraints *constraints, const struct lng_beam *beam);
/* Adds the candidates of live hypothesis i: its best (best first), then those of the wanted tokens. Rows of them are not read. */
void lng_constrain_add(struct lng_constrainer *constrainer,
                       const struct lng_constraints *constraints, const struct lng_beam *beam,
                       const struct lng_constrain_state *states, int32_t i,
                       const struct lng_candidate *candidates, int32_t best, int32_t wanted);
/* Chooses: out [out_count], as lng_beam_step takes it, rows counted from first_row. Where nothing fits (every word that could
 * follow is forbidden) the model's best go on, and the sentence does not hold what was asked: who
 * renders it has to look. */
void lng_constrain_choose(struct lng_constrainer *constrainer,
                          const struct lng_constraints *constraints, const struct lng_beam *beam,
                          int32_t first_row, struct lng_candidate *out, int64_t out_count);
/* After lng_beam_step: the states of the new live hypotheses, from the choices. */
void lng_constrain_close(const struct lng_constrainer *constrainer, const struct lng_beam *beam,
                         struct lng_constrain_state *states);

#endif
