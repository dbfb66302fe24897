/* A uniformly shuffled order of [0, count), different each epoch, with random access.
 *
 * Up to LNG_SHUFFLE_TABLE numbers the order is a Fisher-Yates table. Past that it takes no
 * memory: a Feistel network over the smallest power of two >= count, Philox being its round
 * function, walked until the number lies below count (Black and Rogaway 2002, "Ciphers with
 * arbitrary finite domains"). A function of the key alone: the same on every machine and from
 * any starting point. */
#ifndef LNG_HOST_DATA_SHUFFLE_H
#define LNG_HOST_DATA_SHUFFLE_H

#include <stdint.h>

#include "host/base/status.h"

enum { LNG_SHUFFLE_TABLE = 1 << 16 };

struct lng_shuffle_key {
    uint64_t seed;
    uint32_t epoch;
    uint32_t use; /* what is shuffled: 0 = the pairs of an epoch, 1 + w = the batches of window w */
};

struct lng_shuffle {
    struct lng_shuffle_key key;
    uint64_t count;
    unsigned left_bits, right_bits;
    uint32_t *table; /* owned; NULL when computed */
};

/* count <= 2^62, else LNG_ERR_RANGE. LNG_ERR_MEMORY for the table. */
LNG_MUST_CHECK enum lng_status lng_shuffle_init(struct lng_shuffle *shuffle,
                                                struct lng_shuffle_key key, uint64_t count);

/* The number at place i < count. Any thread. */
uint64_t lng_shuffle_at(const struct lng_shuffle *shuffle, uint64_t i);

/* Fine on a zeroed struct. */
void lng_shuffle_release(struct lng_shuffle *shuffle);

#endif
