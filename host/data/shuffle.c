#include "host/data/shuffle.h"

#include "host/base/mem.h"
#include "host/base/philox.h"

/* Twice what Luby and Rackoff ask for, since the halves may be as narrow as 8 bits. */
enum { ROUNDS = 8 };

/* Keeps these streams apart from the model's dropout under the same seed. */
static const uint32_t KEY_TAG = 0x73687566u;

static struct lng_philox draw(struct lng_shuffle_key key, uint32_t counter, uint32_t place)
{
    return lng_philox4x32(counter, place, key.epoch, key.use, (uint32_t)key.seed,
                          (uint32_t)(key.seed >> 32) ^ KEY_TAG);
}

/* Uniform in [0, bound), bound <= 2^32, without bias: draws past the last whole multiple are
 * repeated. */
static uint64_t draw_below(struct lng_shuffle_key key, uint32_t counter, uint64_t bound)
{
    uint64_t value, rest;
    uint32_t attempt = 0;
    do {
        struct lng_philox block = draw(key, counter, 0x80000000u | attempt++);
        value = (uint64_t)block.word[0] << 32 | block.word[1];
        rest = value % bound;
    } while (value - rest > UINT64_MAX - (bound - 1));
    return rest;
}

static enum lng_status fill_table(struct lng_shuffle *shuffle)
{
    shuffle->table = lng_alloc((size_t)shuffle->count, sizeof *shuffle->table);
    if (shuffle->table == NULL)
        return LNG_ERR_MEMORY;
    for (uint32_t i = 0; i < shuffle->count; i++) {
        uint32_t other = (uint32_t)draw_below(shuffle->key, i, (uint64_t)i + 1);
        shuffle->table[i] = shuffle->table[other];
        shuffle->table[other] = i;
    }
    return LNG_OK;
}

enum lng_status lng_shuffle_init(struct lng_shuffle *shuffle, struct lng_shuffle_key key,
                                 uint64_t count)
{
    LNG_FAIL_IF(count > (uint64_t)1 << 62, LNG_ERR_RANGE,
                "cannot shuffle %llu things: at most 2^62", (unsigned long long)count);
    struct lng_shuffle fresh = {.key = key, .count = count};
    if (count <= LNG_SHUFFLE_TABLE) {
        LNG_TRY(fill_table(&fresh));
    } else {
        unsigned bits = 64 - (unsigned)__builtin_clzll(count - 1);
        fresh.left_bits = bits / 2;
        fresh.right_bits = bits - fresh.left_bits;
    }
    *shuffle = fresh;
    return LNG_OK;
}

/* One permutation of [0, 2^(left_bits + right_bits)): each round changes one half by what is not
 * undone by knowing the other, so that it can be turned back. */
static uint64_t permute(const struct lng_shuffle *shuffle, uint64_t number)
{
    uint32_t left_mask = (uint32_t)(((uint64_t)1 << shuffle->left_bits) - 1);
    uint32_t right_mask = (uint32_t)(((uint64_t)1 << shuffle->right_bits) - 1);
    uint32_t left = (uint32_t)(number >> shuffle->right_bits);
    uint32_t right = (uint32_t)number & right_mask;
    for (uint32_t round = 0; round < ROUNDS; round += 2) {
        left ^= draw(shuffle->key, right, round).word[0] & left_mask;
        right ^= draw(shuffle->key, left, round + 1).word[0] & right_mask;
    }
    return (uint64_t)left << shuffle->right_bits | right;
}

uint64_t lng_shuffle_at(const struct lng_shuffle *shuffle, uint64_t i)
{
    if (shuffle->table != NULL)
        return shuffle->table[i];
    do {
        i = permute(shuffle, i);
    } while (i >= shuffle->count);
    return i;
}

void lng_shuffle_release(struct lng_shuffle *shuffle)
{
    lng_free(shuffle->table);
    *shuffle = (struct lng_shuffle){0};
}
