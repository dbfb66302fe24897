/* A parallel text wholly in memory, in order: for validation. Nothing is left out. */
#ifndef LNG_HOST_DATA_EVALUATION_SET_H
#define LNG_HOST_DATA_EVALUATION_SET_H

#include "host/data/batch.h"
#include "host/data/corpus.h"

struct lng_evaluation_set {
    struct lng_buffer sides[2]; /* all lines end to end, by enum lng_side */
    size_t *starts[2];          /* [count + 1] */
    size_t start_capacity[2];
    size_t count;
};

/* Plain, gzip or zstd; a carriage return at the end of a line and a byte order mark at the start
 * are not part of the text. files->target NULL: tab-separated; a line without a tab is
 * LNG_ERR_FORMAT. Unequal counts are LNG_ERR_MISMATCH with both; no line at all is
 * LNG_ERR_FORMAT. */
LNG_MUST_CHECK enum lng_status lng_evaluation_set_open(struct lng_evaluation_set *set,
                                                       const struct lng_corpus_files *files);
/* Fine on a zeroed struct. */
void lng_evaluation_set_close(struct lng_evaluation_set *set);

/* Line i < count; borrowed. May be empty, and may hold anything. */
struct lng_slice lng_evaluation_set_line(const struct lng_evaluation_set *set, enum lng_side side,
                                         size_t i);

/* Encodes all pairs into batches of consecutive pairs, in order: sentence_ids are line numbers
 * from 0. Sides longer than max_length are cropped, empty ones kept, whatever the options say;
 * *cropped (may be NULL) is how many pairs were. Epoch 0 is what the encoder is told. */
LNG_MUST_CHECK enum lng_status lng_evaluation_set_encode(const struct lng_evaluation_set *set,
                                                         const struct lng_encoder *encoder,
                                                         const struct lng_batch_options *options,
                                                         struct lng_batch_window *window,
                                                         uint64_t *cropped);

#endif
