#include "host/infer/repeat_cache.h"

#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/base/text.h"

/* A new field is a part of what is equal, or of what is kept: to be added below. */
_Static_assert(sizeof(struct lng_search_input) == 48, "lng_repeat_hash and lng_repeat_same");
_Static_assert(sizeof(struct lng_search_result) == 24, "lng_repeat_cache_put and _get");
_Static_assert(sizeof(struct lng_hypothesis) == 56, "append_hypothesis and take_hypothesis");

enum { FIRST_SLOTS = 64, SEED = 0x9E37 };

uint64_t lng_repeat_hash(const struct lng_search_input *input)
{
    uint64_t parts[2] = {
        lng_checksum(input->source, (size_t)input->source_length * sizeof *input->source),
        lng_checksum(input->prefix, (size_t)input->prefix_length * sizeof *input->prefix) + SEED};
    return lng_checksum(parts, sizeof parts);
}

static bool same_ids(const int32_t *a, const int32_t *b, int32_t length)
{
    return length == 0 || memcmp(a, b, (size_t)length * sizeof *a) == 0;
}

bool lng_repeat_same(const struct lng_search_input *a, const struct lng_search_input *b)
{
    return a->constraints == NULL && b->constraints == NULL && /* others are not compared */
           a->exact_length == 0 && b->exact_length == 0 && a->source_length == b->source_length &&
           a->prefix_length == b->prefix_length &&
           same_ids(a->source, b->source, a->source_length) &&
           same_ids(a->prefix, b->prefix, a->prefix_length);
}

/* ---- entries ---- */

struct slot {
    uint64_t hash;
    size_t offset; /* of the entry, plus one; 0 = free */
};

/* Entries one after another, each a multiple of 8 bytes: header, then source, prefix, and each hypothesis:
 * its head, then tokens, logprobs and weights. */
struct half {
    struct lng_buffer entries;
    struct slot *slots; /* open addressing; a power of two, at most half taken */
    size_t slot_count, taken;
};

struct lng_repeat_cache {
    struct half young, old;
    size_t half_bytes;
    struct lng_hypothesis *hypotheses; /* of the entry handed out */
    size_t hypothesis_capacity;
};

struct header {
    uint64_t size; /* of the entry */
    int32_t source_length, prefix_length, count;
    int32_t exact_stop;
};

struct head {
    double total, score;
    int32_t length, end;
    int32_t weights; /* whether there are any */
    int32_t unused;
};

static size_t half_bytes(const struct half *half)
{
    return half->entries.capacity + half->slot_count * sizeof *half->slots;
}

size_t lng_repeat_cache_bytes(const struct lng_repeat_cache *cache)
{
    return half_bytes(&cache->young) + half_bytes(&cache->old);
}

static size_t entry_size(const struct lng_search_input *input,
                         const struct lng_search_result *result)
{
    size_t source = (size_t)input->source_length;
    size_t size = sizeof(struct header) + (source + (size_t)input->prefix_length) * sizeof(int32_t);
    for (int32_t i = 0; i < result->count; i++) {
        const struct lng_hypothesis *h = &result->hypotheses[i];
        size_t each = sizeof(int32_t) + sizeof(float) + (h->weights ? source * sizeof(float) : 0);
        size += sizeof(struct head) + (size_t)h->length * each;
    }
    return (size + 7) & ~(size_t)7;
}

static enum lng_status append_ids(struct lng_buffer *out, const int32_t *ids, int32_t length)
{
    return length > 0 ? lng_buffer_append(out, ids, (size_t)length * sizeof *ids) : LNG_OK;
}

static enum lng_status append_hypothesis(struct lng_buffer *out, const struct lng_hypothesis *h,
                                         int32_t source_length)
{
    struct head head = {.total = h->total,
                        .score = h->score,
                        .length = h->length,
                        .end = (int32_t)h->end,
                        .weights = h->weights != NULL};
    size_t length = (size_t)h->length;
    LNG_TRY(lng_buffer_append(out, &head, sizeof head));
    LNG_TRY(lng_buffer_append(out, h->tokens, length * sizeof *h->tokens));
    LNG_TRY(lng_buffer_append(out, h->logprobs, length * sizeof *h->logprobs));
    if (h->weights != NULL)
        LNG_TRY(lng_buffer_append(out, h->weights,
                                  length * (size_t)source_length * sizeof *h->weights));
    return LNG_OK;
}

/* Values of four bytes follow at `at`; entries begin at multiples of eight. */
static const char *take_hypothesis(const char *at, int32_t source_length, struct lng_hypothesis *h)
{
    struct head head;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    size_t length = (size_t)head.length;
    *h = (struct lng_hypothesis){.tokens = (const void *)at,
                                 .logprobs = (const void *)(at + length * sizeof(int32_t)),
                                 .length = head.length,
                                 .total = head.total,
                                 .score = head.score,
                                 .end = (enum lng_beam_end)head.end};
    at += length * (sizeof(int32_t) + sizeof(float));
    if (head.weights) {
        h->weights = (const void *)at;
        at += length * (size_t)source_length * sizeof(float);
    }
    return at;
}

/* ---- halves ---- */

static void half_release(struct half *half)
{
    lng_buffer_release(&half->entries);
    lng_free(half->slots);
    *half = (struct half){0};
}

static void put_slot(struct slot *slots, size_t count, struct slot slot)
{
    size_t i = slot.hash & (count - 1);
    while (slots[i].offset != 0)
        i = (i + 1) & (count - 1);
    slots[i] = slot;
}

static enum lng_status grow_slots(struct half *half)
{
    if (2 * (half->taken + 1) <= half->slot_count)
        return LNG_OK;
    size_t count = half->slot_count > 0 ? 2 * half->slot_count : FIRST_SLOTS;
    struct slot *slots = lng_alloc(count, sizeof *slots);
    if (slots == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < half->slot_count; i++)
        if (half->slots[i].offset != 0)
            put_slot(slots, count, half->slots[i]);
    lng_free(half->slots);
    half->slots = slots;
    half->slot_count = count;
    return LNG_OK;
}

/* The entry for an equal input; NULL when there is none. */
static const char *find(const struct half *half, uint64_t hash,
                        const struct lng_search_input *input)
{
    if (half->slot_count == 0)
        return NULL;
    for (size_t i = hash & (half->slot_count - 1); half->slots[i].offset != 0;
         i = (i + 1) & (half->slot_count - 1)) {
        const char *entry = half->entries.data + half->slots[i].offset - 1;
        struct header header;
        if (half->slots[i].hash != hash)
            continue;
        memcpy(&header, entry, sizeof header);
        const int32_t *ids = (const void *)(entry + sizeof header);
        struct lng_search_input kept = {
            .source = ids,
            .source_length = header.source_length,
            .prefix = ids + header.source_length,
            .prefix_length = header.prefix_length,
        };
        if (lng_repeat_same(&kept, input))
            return entry;
    }
    return NULL;
}

/* What lng_grow makes of a capacity. */
static size_t grown(size_t capacity, size_t needed)
{
    if (needed <= capacity)
        return capacity;
    capacity = capacity < 16 ? 16 : capacity;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

/* Room for an entry in the young half; *fits = false when it is too large for any. */
static enum lng_status make_room(struct lng_repeat_cache *cache, size_t size, bool *fits)
{
    struct half *young = &cache->young;
    *fits = size < cache->half_bytes &&
            grown(0, size + 1) + FIRST_SLOTS * sizeof(struct slot) <= cache->half_bytes;
    if (!*fits)
        return LNG_OK;
    size_t entries = grown(young->entries.capacity, young->entries.length + size + 1);
    size_t slots = young->slot_count << (2 * (young->taken + 1) > young->slot_count);
    if (entries + slots * sizeof(struct slot) > cache->half_bytes) {
        half_release(&cache->old);
        cache->old = *young;
        *young = (struct half){0};
    }
    LNG_TRY(lng_buffer_reserve(&young->entries, size));
    return grow_slots(young);
}

static void note_entry(struct half *half, uint64_t hash, size_t offset)
{
    put_slot(half->slots, half->slot_count, (struct slot){hash, offset + 1});
    half->taken++;
}

/* ---- the cache ---- */

enum lng_status lng_repeat_cache_open(size_t bytes, struct lng_repeat_cache **cache)
{
    struct lng_repeat_cache *made = lng_alloc(1, sizeof *made);
    if (made == NULL)
        return LNG_ERR_MEMORY;
    made->half_bytes = bytes / 2;
    *cache = made;
    return LNG_OK;
}

void lng_repeat_cache_close(struct lng_repeat_cache *cache)
{
    if (cache == NULL)
        return;
    half_release(&cache->young);
    half_release(&cache->old);
    lng_free(cache->hypotheses);
    lng_free(cache);
}

enum lng_status lng_repeat_cache_put(struct lng_repeat_cache *cache, uint64_t hash,
                                     const struct lng_search_input *input,
                                     const struct lng_search_result *result)
{
    static const char zeros[8];
    size_t size = entry_size(input, result);
    bool fits;
    if (find(&cache->young, hash, input) != NULL || find(&cache->old, hash, input) != NULL)
        return LNG_OK;
    LNG_TRY(make_room(cache, size, &fits));
    if (!fits)
        return LNG_OK;
    struct lng_buffer *out = &cache->young.entries;
    size_t offset = out->length;
    struct header header = {.size = size,
                            .source_length = input->source_length,
                            .prefix_length = input->prefix_length,
                            .count = result->count,
                            .exact_stop = result->exact_stop};
    LNG_TRY(lng_buffer_append(out, &header, sizeof header));
    LNG_TRY(append_ids(out, input->source, input->source_length));
    LNG_TRY(append_ids(out, input->prefix, input->prefix_length));
    for (int32_t i = 0; i < result->count; i++)
        LNG_TRY(append_hypothesis(out, &result->hypotheses[i], input->source_length));
    LNG_TRY(lng_buffer_append(out, zeros, offset + size - out->length));
    note_entry(&cache->young, hash, offset);
    return LNG_OK;
}

/* An entry of the old half that is asked for lives on. */
static enum lng_status move_to_young(struct lng_repeat_cache *cache, uint64_t hash,
                                     const char **entry)
{
    struct header header;
    struct lng_buffer copy = {0};
    bool fits;
    memcpy(&header, *entry, sizeof header);
    enum lng_status status = lng_buffer_append(&copy, *entry, header.size);
    if (status == LNG_OK)
        status = make_room(cache, header.size, &fits); /* it may drop the old half */
    size_t offset = cache->young.entries.length;
    if (status == LNG_OK)
        status = lng_buffer_append(&cache->young.entries, copy.data, header.size);
    lng_buffer_release(&copy);
    LNG_TRY(status);
    note_entry(&cache->young, hash, offset);
    *entry = cache->young.entries.data + offset;
    return LNG_OK;
}

enum lng_status lng_repeat_cache_get(struct lng_repeat_cache *cache, uint64_t hash,
                                     const struct lng_search_input *input, int64_t index,
                                     lng_search_done done, void *context, bool *found)
{
    const char *entry = find(&cache->young, hash, input);
    if (entry == NULL) {
        entry = find(&cache->old, hash, input);
        if (entry != NULL)
            LNG_TRY(move_to_young(cache, hash, &entry));
    }
    *found = entry != NULL;
    if (entry == NULL)
        return LNG_OK;
    struct header header;
    memcpy(&header, entry, sizeof header);
    LNG_TRY(lng_grow(&cache->hypotheses, &cache->hypothesis_capacity, (size_t)header.count,
                     sizeof *cache->hypotheses));
    size_t ids = (size_t)header.source_length + (size_t)header.prefix_length;
    const char *at = entry + sizeof header + ids * sizeof(int32_t);
    for (int32_t i = 0; i < header.count; i++)
        at = take_hypothesis(at, header.source_length, &cache->hypotheses[i]);
    struct lng_search_result result = {
        .index = index,
        .hypotheses = cache->hypotheses,
        .count = header.count,
        .exact_stop = header.exact_stop,
    };
    return done(context, &result);
}
