/* Measures for text-to-text tasks with one right answer: spelling to sound, transliteration, tagging. Words are
 * separated by ASCII white space. */
#ifndef LNG_HOST_EVAL_ERROR_RATE_H
#define LNG_HOST_EVAL_ERROR_RATE_H

#include "host/base/text.h"

/* Sums over segments. Levenshtein distances; characters are code points, spaces included. */
struct lng_error_counts {
    int64_t word_edits, words; /* words: of the reference */
    int64_t character_edits, characters;
    int64_t segments, exact;  /* exact: hypothesis and reference are equal */
    int64_t in_place, places; /* words equal to the one at their place; length of the longer side */
    int64_t matches,
        hypothesis_words; /* words of both, whatever their places, each counted as often as in both */
};

/* Adds one segment; of several references the one with the fewest word edits (then character edits). Without
 * `characters` those are counted only where they decide between references: on long lines they take most of the time,
 * which grows with the product of the lengths (a minute for two lines of a megabyte). */
LNG_MUST_CHECK enum lng_status lng_error_add(struct lng_error_counts *counts,
                                             struct lng_slice hypothesis,
                                             const struct lng_slice *references,
                                             size_t reference_count, bool characters);

/* All in percent; 0 / 0 is 0. Error rates may pass 100, and are 100 where the reference is empty and the hypothesis
 * is not. */
double lng_word_error_rate(const struct lng_error_counts *counts);
double lng_character_error_rate(const struct lng_error_counts *counts);
/* Segments that are right. 100 minus it is what SIGMORPHON calls word error rate. */
double lng_sentence_accuracy(const struct lng_error_counts *counts);
/* Words that are right where they stand, out of the longer of hypothesis and reference. */
double lng_token_accuracy(const struct lng_error_counts *counts);
/* Words in common out of those of the hypothesis and of the reference, and the harmonic mean of both. */
double lng_token_precision(const struct lng_error_counts *counts);
double lng_token_recall(const struct lng_error_counts *counts);
double lng_token_f1(const struct lng_error_counts *counts);

#endif
