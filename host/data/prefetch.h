/* Training data: shuffled, encoded on threads of its own, cut into batches, in an order that
 * depends on the corpus, the settings and the seed alone: not on the number of threads, and not
 * on interruptions.
 *
 * An epoch's pairs in their shuffled order are cut into windows of window_pairs. A window is
 * encoded, sorted, batched and handed out while the next one is prepared; so two windows are in
 * memory, each about window_pairs * tokens of a pair * 16 bytes. The last, partial batch of a
 * window is handed out too. */
#ifndef LNG_HOST_DATA_PREFETCH_H
#define LNG_HOST_DATA_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/data/batch.h"
#include "host/data/corpus.h"
#include "host/data/position.h"

enum {
    LNG_PREFETCH_MAX_THREADS = 256,
    LNG_PREFETCH_MAX_WINDOW = 1 << 24,
};

struct lng_prefetch_options {
    const struct lng_corpus *corpus; /* borrowed until closed */
    struct lng_encoder encoder;
    struct lng_batch_options batch; /* in_order: pairs in corpus order, too */
    uint64_t seed;
    bool no_shuffle; /* pairs in corpus order; the batches of a window are still shuffled */
    /* Goes on at the start of the position's window when the settings differ. */
    bool accept_new_settings;
    int threads;           /* that encode; 0 = the caller's own, when a batch is asked for */
    uint64_t window_pairs; /* 0 = about 100 batches, at most 65,536 pairs */
    uint64_t epochs;       /* 0 = for ever */
    /* Lists the pairs dropped for their tokens in the first epoch; may be NULL. Borrowed. */
    const char *long_report_path;
    const struct lng_data_position *position; /* where to go on; NULL = at the start */
};

struct lng_prefetch;

/* LNG_ERR_MISMATCH when the position belongs to another corpus, or to other settings that were
 * not accepted. LNG_ERR_RANGE for settings that make no sense. */
LNG_MUST_CHECK enum lng_status lng_prefetch_open(const struct lng_prefetch_options *options,
                                                 struct lng_prefetch **prefetch);
/* Stops the threads within one pair's encoding, whatever they do. NULL is fine. */
void lng_prefetch_close(struct lng_prefetch *prefetch);

/* The next batch, valid until the next call; *got = false after the last epoch. Waits while it
 * is being prepared. A failure of the encoder or of reading comes when its window's turn comes,
 * and again at each later call. One thread only. */
LNG_MUST_CHECK enum lng_status lng_prefetch_next(struct lng_prefetch *prefetch,
                                                 struct lng_pair_batch *batch, bool *got);

/* Of the batch that lng_prefetch_next gives next: what a checkpoint keeps. */
struct lng_data_position lng_prefetch_position(const struct lng_prefetch *prefetch);

/* Epochs done so far, with the fraction of the current one: 1.5 = one and a half. */
double lng_prefetch_epochs(const struct lng_prefetch *prefetch);

/* Pairs of a window, the automatic size worked out. */
uint64_t lng_prefetch_window_pairs(const struct lng_prefetch *prefetch);

/* Since opening. All but the first three count whole windows, when their first batch is handed
 * out. */
struct lng_prefetch_totals {
    uint64_t pairs, source_tokens, target_tokens; /* handed out */
    uint64_t long_pairs;                          /* dropped for their tokens */
    uint64_t cropped;                             /* pairs */
    uint64_t source_unknown, target_unknown;      /* tokens */
    double wait_seconds; /* that lng_prefetch_next waited for data: if it grows, use more threads */
};
struct lng_prefetch_totals lng_prefetch_get_totals(const struct lng_prefetch *prefetch);

#endif
