/* Error rates for text-to-text tasks with one right answer: spelling to sound, transliteration. */
#ifndef LNG_HOST_EVAL_ERROR_RATE_H
#define LNG_HOST_EVAL_ERROR_RATE_H

#include "host/base/text.h"

/* Levenshtein distance summed over segments. */
struct lng_error_counts {
    int64_t word_edits, words;           /* white-space separated; words of the reference */
    int64_t character_edits, characters; /* code points, spaces included; of the reference */
    int64_t segments, exact;             /* exact: hypothesis and reference are equal */
};

/* Adds one segment; of several references the one with the fewest word edits (then character edits). */
LNG_MUST_CHECK enum lng_status lng_error_add(struct lng_error_counts *counts,
                                             struct lng_slice hypothesis,
                                             const struct lng_slice *references,
                                             size_t reference_count);

/* Percent; may pass 100. 0 / 0 is 0. */
double lng_word_error_rate(const struct lng_error_counts *counts);
double lng_character_error_rate(const struct lng_error_counts *counts);
/* Percent of segments that are right. 100 minus it is what SIGMORPHON calls word error rate. */
double lng_sentence_accuracy(const struct lng_error_counts *counts);

#endif
