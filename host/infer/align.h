/* Inside host/infer: alignments of subwords, words and characters, from what tokens attended to.
 *
 * A unit is a token (subword), a run between white space (word; a language written without spaces has one
 * word a line) or a character that is not white space (code point). White space gets no link. A unit is
 * counted from 0; characters are numbered by their place in the text, white space included.
 *
 * From tokens to units: the weight of a source token is shared equally by its characters, and a source
 * unit has the sum of what its characters got. A target unit has the mean of the rows of the tokens that
 * hold any of it. A token without text of its own (a lone space, part of a character in bytes) counts for
 * the next that has some. What is no text at all (end of sentence, a language repeated for a
 * later segment) is the last column, and the end of sentence is the last row. So rows sum to 1. */
#ifndef LNG_HOST_INFER_ALIGN_H
#define LNG_HOST_INFER_ALIGN_H

#include "host/infer/translate_window.h"
#include "tokenizer/text_spans.h"

/* Where in its text, as lng_window_decode writes it, each token of a hypothesis lies. `spans` is cleared first. */
LNG_MUST_CHECK enum lng_status lng_align_target_spans(const struct lng_translator *translator,
                                                      const struct lng_window_hypothesis *h,
                                                      struct lng_slice text,
                                                      struct lng_text_spans *spans);

/* A segment with more pairs (a run of characters that the vocabulary does not know is one token, however long) gets
 * a matrix of no units, so no links. */
enum { LNG_ALIGN_MOST_PAIRS = 1 << 24 };

struct lng_align_matrix {
    size_t source, target;        /* units, the end of sentence not counted */
    size_t rows, columns;         /* target and source, and one more where there is an end */
    const float *weights;         /* [rows, columns] */
    const size_t *numbers[2];     /* [source], [target]: numbers of the units in their texts */
    struct lng_text_spans *units; /* [2]: source, target; empty spans for tokens without text */
};

/* Reused from one hypothesis to the next; all zero is a new one. */
struct lng_align {
    struct lng_text_spans tokens[2], units[2]; /* source, target */
    struct lng_buffer text;                    /* of the hypothesis */
    float *weights, *half;
    size_t weight_capacity, half_capacity;
    size_t *numbers[2];
    size_t number_capacity[2];
};
void lng_align_release(struct lng_align *align);

/* The matrix of one hypothesis, whose weights were kept. Valid until the next. */
LNG_MUST_CHECK enum lng_status
lng_align_build(struct lng_align *align, const struct lng_translator *translator,
                const struct lng_window_segment *segment, const struct lng_window_hypothesis *h,
                enum lng_align_level level, struct lng_align_matrix *matrix);

/* The first of the largest weights [columns] of a row. */
size_t lng_align_strongest(const float *row, size_t columns);

/* How far the numbers of a segment's units are from those in the whole line. */
size_t lng_align_source_shift(const struct lng_translator *translator,
                              const struct lng_window_line *line,
                              const struct lng_window_segment *segment, enum lng_align_level level);

#endif
