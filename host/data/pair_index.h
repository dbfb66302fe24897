/* Where the kept pairs of a corpus lie: 20 bytes a pair, growing without copying. */
#ifndef LNG_HOST_DATA_PAIR_INDEX_H
#define LNG_HOST_DATA_PAIR_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

#define LNG_PAIR_INDEX_MAX_OFFSET (((uint64_t)1 << 40) - 1)

struct lng_pair_entry {
    uint64_t source_offset, target_offset; /* <= LNG_PAIR_INDEX_MAX_OFFSET */
    uint32_t source_length, target_length; /* < 2^24 */
    uint32_t sentence_id;
};

struct lng_packed_entry;
struct lng_pair_index {
    struct lng_packed_entry **chunks;
    size_t chunk_count, chunk_capacity;
    uint64_t count;
};

/* LNG_ERR_MEMORY; the index stays as it was. */
LNG_MUST_CHECK enum lng_status lng_pair_index_add(struct lng_pair_index *index,
                                                  const struct lng_pair_entry *entry);
/* i < count */
struct lng_pair_entry lng_pair_index_get(const struct lng_pair_index *index, uint64_t i);
/* Fine on a zeroed struct. */
void lng_pair_index_release(struct lng_pair_index *index);

#endif
