/* Pairs of sentences as token ids, cut into batches by a token budget.
 *
 * Batches are packed, never padded: the ids of all sentences end to end, and offsets that say
 * where each starts (the layout of struct lng_sequences). Pairs are batched with others of like
 * length, since a batch's attention costs what its longest sentences cost: a window of pairs is
 * sorted, cut, and its batches are put in a random order. */
#ifndef LNG_HOST_DATA_BATCH_H
#define LNG_HOST_DATA_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/base/text.h"
#include "host/data/alignment.h"
#include "host/data/shuffle.h"
#include "tokenizer/ids.h"

/* Text to ids. encode appends to `ids` and adds no EOS; it is called from several threads at
 * once. epoch and sentence_id are the key of any random choice (subword sampling), so that it
 * can be repeated. */
struct lng_encoder {
    enum lng_status (*encode)(void *context, enum lng_side side, const char *text, size_t length,
                              uint64_t epoch, uint32_t sentence_id, struct lng_ids *ids);
    void *context;
    /* The same ids with where in the text they lie. For pairs with alignments only; NULL elsewhere. */
    enum lng_status (*locate)(void *context, enum lng_side side, const char *text, size_t length,
                              uint64_t epoch, uint32_t sentence_id, struct lng_token_spans *spans);
    uint64_t digest; /* of all that decides its answers; a run is resumed only with an equal one */
};

struct lng_batch_options {
    int64_t max_tokens;    /* of each side, EOS included, in a batch; 0 = no such limit */
    int64_t max_sentences; /* in a batch; 0 = no such limit. One of the two must be there */
    int64_t max_length;    /* tokens of one side of a pair, EOS included */
    bool crop;       /* longer sides are cut to max_length (EOS stays); else the pair is dropped */
    bool keep_empty; /* also pairs with a side of no tokens but EOS; else they are dropped */
    bool aligned;    /* pairs have alignments */
    bool in_order;   /* batches of consecutive pairs, in order: neither sorted nor shuffled */
    int32_t source_eos; /* -1 = the model has none */
    int32_t target_eos;
    int32_t source_unknown, target_unknown; /* counted for the log; -1 = not counted */
};

/* LNG_ERR_RANGE with the option, its value and what is possible. */
LNG_MUST_CHECK enum lng_status lng_batch_options_check(const struct lng_batch_options *options);

/* A batch; what it points at is borrowed from the window. */
struct lng_pair_batch {
    const int32_t *source_ids;     /* [source_tokens] */
    const int32_t *source_offsets; /* [count + 1], first 0, last source_tokens */
    const int32_t *target_ids, *target_offsets;
    const uint32_t *sentence_ids; /* [count] */
    /* Alignments, NULL without: the source tokens that target row t is linked to are link_sources[link_offsets[t]] to
     * link_sources[link_offsets[t + 1] - 1], places in its own source sentence, rising. */
    const int32_t *link_offsets; /* [target_tokens + 1], first 0 */
    const int32_t *link_sources;
    int64_t count, source_tokens, target_tokens;
    uint64_t epoch; /* from 0; 0 for a window that stands alone */
    uint64_t
        batch_index; /* from 0 since the start of training; or in the window that stands alone */
};

/* ---- encoded pairs ---- */

struct lng_encoded_pair {
    size_t first; /* in ids: the source, then the target behind it */
    int32_t source_tokens, target_tokens;
    uint32_t sentence_id;
    size_t first_link,
        link_count; /* in links: a count for each target token but the end, then link_count source tokens */
};

/* A pair that was dropped for its tokens, EOS included. */
struct lng_long_pair {
    uint32_t sentence_id;
    uint64_t source_tokens, target_tokens;
};

/* Growing lists; all zero is empty. */
struct lng_encoded {
    struct lng_ids ids, links;
    struct lng_encoded_pair *pairs;
    size_t pair_count, pair_capacity;
    struct lng_long_pair
        *dropped; /* too long, or with a side of no tokens, in the order they came */
    size_t dropped_count, dropped_capacity;
    uint64_t cropped;                        /* pairs */
    uint64_t source_unknown, target_unknown; /* tokens of kept pairs */
};

/* Encodes one pair and keeps, crops or drops it. Errors are the encoder's or LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_encoded_add(struct lng_encoded *encoded,
                                               const struct lng_encoder *encoder,
                                               const struct lng_batch_options *options,
                                               struct lng_slice source, struct lng_slice target,
                                               uint64_t epoch, uint32_t sentence_id);
/* The same with the line of alignments between the words of the two; options->aligned. `room` is the thread's.
 * Errors are also those of lng_alignment_read. */
LNG_MUST_CHECK enum lng_status
lng_encoded_add_aligned(struct lng_encoded *encoded, const struct lng_encoder *encoder,
                        const struct lng_batch_options *options, struct lng_slice source,
                        struct lng_slice target, struct lng_slice alignment,
                        struct lng_alignment_room *room, uint64_t epoch, uint32_t sentence_id);
/* Empties it and keeps the memory. */
void lng_encoded_clear(struct lng_encoded *encoded);
void lng_encoded_release(struct lng_encoded *encoded);

/* ---- windows ---- */

struct lng_batch_start {
    size_t pair, source, target,
        link; /* of the batch's first pair; one more entry stands for the end */
};

/* All batches of a window, packed in the order they are handed out. All zero is an empty one. */
struct lng_batch_window {
    int32_t *source_ids, *target_ids;
    int32_t *source_offsets, *target_offsets; /* of batch b from entry starts[b].pair + b on */
    uint32_t *sentence_ids;
    /* NULL without alignments; the offsets of batch b from entry starts[b].target + b on */
    int32_t *link_offsets, *link_sources;
    struct lng_batch_start *starts; /* [batch_count + 1] */
    size_t batch_count;
};

/* Sorts the pairs of all parts by target, then source length (equal ones stay in order), cuts
 * them into batches and shuffles those by `key`. Every batch keeps to the limits. The window is
 * released first. */
LNG_MUST_CHECK enum lng_status lng_batch_window_build(struct lng_batch_window *window,
                                                      const struct lng_encoded *parts,
                                                      size_t part_count,
                                                      const struct lng_batch_options *options,
                                                      struct lng_shuffle_key key);
/* Batch i < batch_count; epoch is 0 and batch_index i. */
struct lng_pair_batch lng_batch_window_get(const struct lng_batch_window *window, size_t i);
/* Fine on a zeroed struct. */
void lng_batch_window_release(struct lng_batch_window *window);

#endif
