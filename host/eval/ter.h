/* Translation edit rate (Snover et al. 2006) equal to sacreBLEU 2.6, which follows Tercom. */
#ifndef LNG_HOST_EVAL_TER_H
#define LNG_HOST_EVAL_TER_H

#include "host/eval/tokenize.h"

/* Sums over segments. */
struct lng_ter_counts {
    double edits;            /* to the reference with the fewest */
    double reference_length; /* in words, the mean of a segment's references */
};

/* Adds one segment. All of options false is Tercom's default. */
LNG_MUST_CHECK enum lng_status lng_ter_add(struct lng_ter_counts *counts,
                                           const struct lng_tercom_options *options,
                                           struct lng_slice hypothesis,
                                           const struct lng_slice *references,
                                           size_t reference_count);

/* Percent, 0 is best; may pass 100. Without reference words 100 if there are edits, else 0. */
double lng_ter_compute(const struct lng_ter_counts *counts);

/* The fields that are TER's own: "case:lc|tok:tercom|norm:no|punct:yes|asian:no"; appends. */
LNG_MUST_CHECK enum lng_status lng_ter_signature(struct lng_buffer *text,
                                                 const struct lng_tercom_options *options);

#endif
