#include "host/eval/numpy_random.h"

__extension__ typedef unsigned __int128 wide;

/* ---- SeedSequence: a pool of four words, mixed so that each seed bit reaches each state bit ---- */

enum { POOL = 4, SHIFT = 16 };

static uint32_t scramble(uint32_t value, uint32_t *constant, uint32_t factor)
{
    value ^= *constant;
    *constant *= factor;
    value *= *constant;
    return value ^ value >> SHIFT;
}

static uint32_t mix(uint32_t a, uint32_t b)
{
    uint32_t mixed = a * 0xCA01F9DDu - b * 0x4973F715u;
    return mixed ^ mixed >> SHIFT;
}

static void fill_pool(uint64_t seed, uint32_t pool[POOL])
{
    uint32_t constant = 0x43B0D7E5u;
    for (int i = 0; i < POOL; i++)
        pool[i] = scramble(i < 2 ? (uint32_t)(seed >> (32 * i)) : 0, &constant, 0x931E8875u);
    for (int from = 0; from < POOL; from++)
        for (int to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = mix(pool[to], scramble(pool[from], &constant, 0x931E8875u));
}

/* ---- PCG64: a linear congruential step, then the halves folded and rotated ---- */

static wide join(const uint64_t halves[2])
{
    return (wide)halves[1] << 64 | halves[0];
}

static void part(wide value, uint64_t halves[2])
{
    halves[0] = (uint64_t)value;
    halves[1] = (uint64_t)(value >> 64);
}

static void step(struct lng_numpy_random *random)
{
    const wide multiplier = (wide)0x2360ED051FC65DA4u << 64 | 0x4385DF649FCCF645u;
    part(join(random->state) * multiplier + join(random->increment), random->state);
}

void lng_numpy_random_init(struct lng_numpy_random *random, uint64_t seed)
{
    uint32_t pool[POOL], words[2 * POOL], constant = 0x8B51F9DDu;
    uint64_t numbers[POOL]; /* state high, low, stream high, low */
    fill_pool(seed, pool);
    for (int i = 0; i < 2 * POOL; i++)
        words[i] = scramble(pool[i % POOL], &constant, 0x58F38DEDu);
    for (int i = 0; i < POOL; i++)
        numbers[i] = (uint64_t)words[2 * i + 1] << 32 | words[2 * i];
    *random = (struct lng_numpy_random){0};
    wide stream = (wide)numbers[2] << 64 | numbers[3], state = (wide)numbers[0] << 64 | numbers[1];
    part(stream << 1 | 1, random->increment);
    step(random);
    part(join(random->state) + state, random->state);
    step(random);
}

static uint64_t next(struct lng_numpy_random *random)
{
    step(random);
    uint64_t folded = random->state[1] ^ random->state[0];
    unsigned turn = (unsigned)(random->state[1] >> 58);
    return folded >> turn | folded << (-turn & 63);
}

/* Numbers of 32 bits are the halves of larger ones, the low one first. */
static uint32_t next_half(struct lng_numpy_random *random)
{
    if (random->has_half) {
        random->has_half = false;
        return random->half;
    }
    uint64_t number = next(random);
    random->half = (uint32_t)(number >> 32);
    random->has_half = true;
    return (uint32_t)number;
}

/* Lemire 2019: the high half of a product, drawn again in the rare case that would favour some results. */
uint32_t lng_numpy_random_below(struct lng_numpy_random *random, uint32_t count)
{
    if (count == 1)
        return 0; /* nothing is drawn for it */
    uint64_t product = (uint64_t)next_half(random) * count;
    if ((uint32_t)product < count) {
        uint32_t threshold = (UINT32_MAX - (count - 1)) % count;
        while ((uint32_t)product < threshold)
            product = (uint64_t)next_half(random) * count;
    }
    return (uint32_t)(product >> 32);
}

bool lng_numpy_random_bit(struct lng_numpy_random *random)
{
    if (random->bit_count == 0) {
        random->bits = next_half(random);
        random->bit_count = 32;
    } else {
        random->bits >>= 1;
    }
    random->bit_count--;
    return random->bits & 1;
}
