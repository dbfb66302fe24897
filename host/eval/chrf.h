/* chrF and chrF++ (Popovic 2015, 2017) equal to sacreBLEU 2.6. */
#ifndef LNG_HOST_EVAL_CHRF_H
#define LNG_HOST_EVAL_CHRF_H

#include "host/eval/tokenize.h"

enum {
    LNG_CHRF_CHARACTER_ORDERS = 6,
    LNG_CHRF_WORD_ORDERS = 2, /* chrF++ */
    LNG_CHRF_BETA = 2,
    LNG_CHRF_MAX_ORDER = 16, /* of either kind */
    LNG_CHRF_MAX_ORDERS = 2 * LNG_CHRF_MAX_ORDER,
};

struct lng_chrf_options {
    int character_order; /* 1 .. LNG_CHRF_MAX_ORDER */
    int word_order;      /* 0 .. LNG_CHRF_MAX_ORDER */
    int beta;            /* weight of recall, at least 0 */
    bool lowercase;
    bool whitespace; /* white space counts as characters */
    bool
        eps_smoothing; /* mean of all orders' F, 1e-16 for what is undefined, as chrF++.py; else the orders that occur */
};
/* chrF2; with `words` chrF2++. */
struct lng_chrf_options lng_chrf_options_default(bool words);

/* Characters' orders, then words'. */
struct lng_chrf_counts {
    int64_t hypothesis[LNG_CHRF_MAX_ORDERS], reference[LNG_CHRF_MAX_ORDERS],
        matches[LNG_CHRF_MAX_ORDERS];
};

/* Adds one segment: the statistics of the reference that scores best. */
LNG_MUST_CHECK enum lng_status lng_chrf_add(struct lng_chrf_counts *counts,
                                            const struct lng_chrf_options *options,
                                            struct lng_slice hypothesis,
                                            const struct lng_slice *references,
                                            size_t reference_count);

/* 0 .. 100. */
double lng_chrf_compute(const struct lng_chrf_counts *counts,
                        const struct lng_chrf_options *options);

/* "chrF2", "chrF2++": F's beta, and a + for each order of words; appends. */
LNG_MUST_CHECK enum lng_status lng_chrf_name(struct lng_buffer *text,
                                             const struct lng_chrf_options *options);
/* The fields that are chrF's own: "case:mixed|eff:yes|nc:6|nw:0|space:no"; appends. */
LNG_MUST_CHECK enum lng_status lng_chrf_signature(struct lng_buffer *text,
                                                  const struct lng_chrf_options *options);

#endif
