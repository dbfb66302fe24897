/* Corpus BLEU (Papineni et al. 2002) equal to sacreBLEU 2.6 (Post 2018). */
#ifndef LNG_HOST_EVAL_BLEU_H
#define LNG_HOST_EVAL_BLEU_H

#include "host/eval/tokenize.h"

enum { LNG_BLEU_ORDERS = 4 };

enum lng_bleu_smoothing {
    LNG_BLEU_SMOOTH_EXP, /* sacreBLEU's default */
    LNG_BLEU_SMOOTH_NONE,
    LNG_BLEU_SMOOTH_FLOOR, /* 0.1 in place of a zero count */
    LNG_BLEU_SMOOTH_ADD_K, /* 1 added to counts and totals from order 2 on */
};

/* What a segment adds; sums of these are all that a corpus score needs. */
struct lng_bleu_counts {
    int64_t correct[LNG_BLEU_ORDERS], total[LNG_BLEU_ORDERS];
    int64_t hypothesis_length, reference_length;
};

/* Adds one segment. References that are missing are left out by the caller; at least one. */
LNG_MUST_CHECK enum lng_status lng_bleu_add(struct lng_bleu_counts *counts,
                                            enum lng_tokenization tokenization,
                                            struct lng_slice hypothesis,
                                            const struct lng_slice *references,
                                            size_t reference_count);

struct lng_bleu_score {
    double score; /* 0 .. 100 */
    double precisions[LNG_BLEU_ORDERS];
    double brevity_penalty;
    double ratio; /* hypothesis to reference length; 0 without reference */
};
/* effective_order: only the orders that occur count (for single sentences). */
struct lng_bleu_score lng_bleu_compute(const struct lng_bleu_counts *counts,
                                       enum lng_bleu_smoothing smoothing, bool effective_order);

/* "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0-compatible:lingster-0.1.0"; appends. */
LNG_MUST_CHECK enum lng_status lng_bleu_signature(struct lng_buffer *text, size_t reference_count,
                                                  enum lng_tokenization tokenization,
                                                  enum lng_bleu_smoothing smoothing,
                                                  bool effective_order);

#endif
