/* A window of pairs on its way from the corpus to batches. The work comes in parts that may be
 * done by different threads in any order; what comes out does not depend on who did what. */
#ifndef LNG_HOST_DATA_WINDOW_FILL_H
#define LNG_HOST_DATA_WINDOW_FILL_H

#include <stdatomic.h>

#include "host/data/batch.h"
#include "host/data/corpus.h"

enum { LNG_FILL_PART_PAIRS = 64 };

/* What all windows of a run have in common. */
struct lng_window_plan {
    const struct lng_corpus *corpus; /* borrowed */
    struct lng_encoder encoder;
    struct lng_batch_options batch;
    uint64_t seed;
    uint64_t window_pairs;
    bool shuffle; /* the pairs of the corpus, anew each epoch */
};

/* Windows of an epoch. */
uint64_t lng_window_plan_count(const struct lng_window_plan *plan);

struct lng_window_fill {
    uint64_t epoch, window;
    uint64_t first, pairs; /* places [first, first + pairs) of the epoch's order */
    struct lng_shuffle order;
    struct lng_encoded *parts; /* memory is kept from window to window */
    size_t part_count, part_capacity;
    struct lng_batch_window batches;
};

/* Buffers of one thread. All zero is fine. */
struct lng_fill_texts {
    struct lng_buffer source, target, alignment;
    struct lng_alignment_room room;
};

LNG_MUST_CHECK enum lng_status lng_window_fill_begin(struct lng_window_fill *fill,
                                                     const struct lng_window_plan *plan,
                                                     uint64_t epoch, uint64_t window);
/* Reads and encodes part `part` < part_count. Gives up with LNG_ERR_INTERRUPTED when *stop is
 * set. */
LNG_MUST_CHECK enum lng_status lng_window_fill_part(struct lng_window_fill *fill,
                                                    const struct lng_window_plan *plan, size_t part,
                                                    struct lng_fill_texts *texts,
                                                    const atomic_bool *stop);
/* When all parts are done: makes the batches. */
LNG_MUST_CHECK enum lng_status lng_window_fill_finish(struct lng_window_fill *fill,
                                                      const struct lng_window_plan *plan);
/* Fine on a zeroed struct. */
void lng_window_fill_release(struct lng_window_fill *fill);

void lng_fill_texts_release(struct lng_fill_texts *texts);

#endif
