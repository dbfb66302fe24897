/* chrF and chrF++ (Popovic 2015, 2017) equal to sacreBLEU 2.6: character order 6, beta 2. */
#ifndef LNG_HOST_EVAL_CHRF_H
#define LNG_HOST_EVAL_CHRF_H

#include "host/eval/tokenize.h"

enum {
    LNG_CHRF_CHARACTER_ORDERS = 6,
    LNG_CHRF_WORD_ORDERS = 2, /* chrF++ */
    LNG_CHRF_ORDERS = LNG_CHRF_CHARACTER_ORDERS + LNG_CHRF_WORD_ORDERS,
};

struct lng_chrf_counts {
    int64_t hypothesis[LNG_CHRF_ORDERS], reference[LNG_CHRF_ORDERS], matches[LNG_CHRF_ORDERS];
};

/* Adds one segment: the statistics of the reference that scores best. words: also word n-grams (chrF++). */
LNG_MUST_CHECK enum lng_status lng_chrf_add(struct lng_chrf_counts *counts, bool words,
                                            struct lng_slice hypothesis,
                                            const struct lng_slice *references,
                                            size_t reference_count);

/* 0 .. 100. */
double lng_chrf_compute(const struct lng_chrf_counts *counts, bool words);

/* "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:..."; appends. */
LNG_MUST_CHECK enum lng_status lng_chrf_signature(struct lng_buffer *text, size_t reference_count,
                                                  bool words);

#endif
