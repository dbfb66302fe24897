/* The random numbers of NumPy's default_rng(seed): PCG64 (O'Neill 2014), seeded by SeedSequence. sacreBLEU resamples
 * with them, and the same draws give the same p-values and intervals. */
#ifndef LNG_HOST_EVAL_NUMPY_RANDOM_H
#define LNG_HOST_EVAL_NUMPY_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct lng_numpy_random {
    uint64_t state[2], increment[2]; /* 128 bits each, the low half first */
    uint32_t half;                   /* of a number of 64 bits whose other half was given out */
    bool has_half;
    uint32_t bits; /* not yet given out as booleans */
    int bit_count;
};

/* default_rng(seed) */
void lng_numpy_random_init(struct lng_numpy_random *random, uint64_t seed);
/* One element of integers(count): 0 .. count - 1; 1 <= count < 2^32. */
uint32_t lng_numpy_random_below(struct lng_numpy_random *random, uint32_t count);
/* One element of integers(2, dtype=bool). Nothing else may be drawn in between. */
bool lng_numpy_random_bit(struct lng_numpy_random *random);

#endif
