/* Corpus BLEU (Papineni et al. 2002) equal to sacreBLEU 2.6 (Post 2018). */
#ifndef LNG_HOST_EVAL_BLEU_H
#define LNG_HOST_EVAL_BLEU_H

#include "host/eval/tokenize.h"

enum { LNG_BLEU_ORDERS = 4 };

/* What is done about orders without a match (Chen and Cherry 2014). */
enum lng_bleu_smoothing {
    LNG_BLEU_SMOOTH_EXP,   /* halved at each such order: sacreBLEU's default */
    LNG_BLEU_SMOOTH_NONE,  /* nothing: the score is 0 */
    LNG_BLEU_SMOOTH_FLOOR, /* a small value in place of a zero count */
    LNG_BLEU_SMOOTH_ADD_K, /* k added to counts and totals from order 2 on */
};
/* sacreBLEU's: 0.1 for floor, 1 for add-k; 0 for the others, which take none. */
double lng_bleu_smooth_value(enum lng_bleu_smoothing smoothing);

struct lng_bleu_options {
    enum lng_tokenization tokenization;
    enum lng_bleu_smoothing smoothing;
    double smooth_value;  /* of floor and add-k, at least 0 */
    bool effective_order; /* only the orders that occur count (for single sentences) */
    bool lowercase;
};
/* 13a, exp, orders 1 to 4, case kept. */
struct lng_bleu_options lng_bleu_options_default(void);

/* What a segment adds; sums of these are all that a corpus score needs. */
struct lng_bleu_counts {
    int64_t correct[LNG_BLEU_ORDERS], total[LNG_BLEU_ORDERS];
    int64_t hypothesis_length, reference_length;
};

/* Adds one segment. References that are missing are left out by the caller; at least one. */
LNG_MUST_CHECK enum lng_status lng_bleu_add(struct lng_bleu_counts *counts,
                                            const struct lng_bleu_options *options,
                                            struct lng_slice hypothesis,
                                            const struct lng_slice *references,
                                            size_t reference_count);

struct lng_bleu_score {
    double score; /* 0 .. 100 */
    double precisions[LNG_BLEU_ORDERS];
    double brevity_penalty;
    double ratio; /* hypothesis to reference length; 0 without reference */
};
struct lng_bleu_score lng_bleu_compute(const struct lng_bleu_counts *counts,
                                       const struct lng_bleu_options *options);

/* The fields that are BLEU's own: "case:mixed|eff:no|tok:13a|smooth:exp"; appends. */
LNG_MUST_CHECK enum lng_status lng_bleu_signature(struct lng_buffer *text,
                                                  const struct lng_bleu_options *options);

#endif
