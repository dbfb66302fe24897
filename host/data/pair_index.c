#include "host/data/pair_index.h"

#include "host/base/mem.h"

enum { CHUNK_BITS = 16, CHUNK_ENTRIES = 1 << CHUNK_BITS, LENGTH_BITS = 24 };

/* Offsets of 40 bits: the low 32, and 8 more above the 24 bits of the length. */
struct lng_packed_entry {
    uint32_t source_low, target_low;
    uint32_t source_rest, target_rest;
    uint32_t sentence_id;
};

static uint32_t pack_rest(uint64_t offset, uint32_t length)
{
    return (uint32_t)(offset >> 32) << LENGTH_BITS | length;
}

static uint64_t unpack_offset(uint32_t low, uint32_t rest)
{
    return (uint64_t)(rest >> LENGTH_BITS) << 32 | low;
}

enum lng_status lng_pair_index_add(struct lng_pair_index *index, const struct lng_pair_entry *entry)
{
    size_t chunk = (size_t)(index->count >> CHUNK_BITS);
    if (chunk == index->chunk_count) {
        LNG_TRY(lng_grow(&index->chunks, &index->chunk_capacity, chunk + 1, sizeof *index->chunks));
        index->chunks[chunk] = lng_alloc(CHUNK_ENTRIES, sizeof **index->chunks);
        if (index->chunks[chunk] == NULL)
            return LNG_ERR_MEMORY;
        index->chunk_count++;
    }
    index->chunks[chunk][index->count & (CHUNK_ENTRIES - 1)] = (struct lng_packed_entry){
        .source_low = (uint32_t)entry->source_offset,
        .target_low = (uint32_t)entry->target_offset,
        .source_rest = pack_rest(entry->source_offset, entry->source_length),
        .target_rest = pack_rest(entry->target_offset, entry->target_length),
        .sentence_id = entry->sentence_id,
    };
    index->count++;
    return LNG_OK;
}

struct lng_pair_entry lng_pair_index_get(const struct lng_pair_index *index, uint64_t i)
{
    const struct lng_packed_entry *packed =
        &index->chunks[i >> CHUNK_BITS][i & (CHUNK_ENTRIES - 1)];
    uint32_t length_mask = ((uint32_t)1 << LENGTH_BITS) - 1;
    return (struct lng_pair_entry){
        .source_offset = unpack_offset(packed->source_low, packed->source_rest),
        .target_offset = unpack_offset(packed->target_low, packed->target_rest),
        .source_length = packed->source_rest & length_mask,
        .target_length = packed->target_rest & length_mask,
        .sentence_id = packed->sentence_id,
    };
}

void lng_pair_index_release(struct lng_pair_index *index)
{
    for (size_t i = 0; i < index->chunk_count; i++)
        lng_free(index->chunks[i]);
    lng_free(index->chunks);
    *index = (struct lng_pair_index){0};
}
