/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy
 * as 1, 2, 3"). A value is a function of what it is for, never of launch shape, thread or batch.
 *
 * Dropout uses 16-bit halves: unit u of a row takes half (u & 7) of the block whose counter is
 *   { sentence, position, u >> 3, site },  key { seed low, seed high ^ update * 0x9E3779B9 }
 * half h being bits 16 * (h & 1) of word h >> 1. A unit is dropped when its half < lng_drop_threshold(p).
 * Attention probabilities use counter { sentence, query i, key j >> 3, site | head << 16 }. */
#ifndef LNG_HOST_BASE_PHILOX_H
#define LNG_HOST_BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define LNG_HOST_DEVICE __host__ __device__
#else
#define LNG_HOST_DEVICE
#endif

struct lng_philox {
    uint32_t word[4];
};

LNG_HOST_DEVICE static inline struct lng_philox
lng_philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * c0;
        uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t next0 = (uint32_t)(product1 >> 32) ^ c1 ^ key0;
        uint32_t next2 = (uint32_t)(product0 >> 32) ^ c3 ^ key1;
        c1 = (uint32_t)product1;
        c3 = (uint32_t)product0;
        c0 = next0;
        c2 = next2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    struct lng_philox out = {{c0, c1, c2, c3}};
    return out;
}

/* Where a stream of random numbers is used: seed of the run, update number, a number per place. */
struct lng_rng_site {
    uint64_t seed;
    uint32_t update;
    uint32_t site; /* < 65536 */
};

LNG_HOST_DEVICE static inline struct lng_philox
lng_rng_block(struct lng_rng_site rng, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t high)
{
    return lng_philox4x32(c0, c1, c2, rng.site | high << 16, (uint32_t)rng.seed,
                          (uint32_t)(rng.seed >> 32) ^ (rng.update * 0x9E3779B9u));
}

LNG_HOST_DEVICE static inline uint32_t lng_philox_half(struct lng_philox block, uint32_t unit)
{
    uint32_t half = unit & 7u;
    return (block.word[half >> 1] >> (16u * (half & 1u))) & 0xFFFFu;
}

/* Probability p as a 16-bit threshold; the effective probability is threshold / 65536. */
LNG_HOST_DEVICE static inline uint32_t lng_drop_threshold(double p)
{
    double scaled = p * 65536.0 + 0.5;
    return scaled <= 0 ? 0u : scaled >= 65535.0 ? 65535u : (uint32_t)scaled;
}

/* What a kept value is multiplied by: 1 / (1 - effective probability). */
LNG_HOST_DEVICE static inline double lng_drop_scale(double p)
{
    return 65536.0 / (65536.0 - (double)lng_drop_threshold(p));
}

/* Uniform in (0, 1), 32 bits. */
LNG_HOST_DEVICE static inline double lng_philox_uniform(uint32_t word)
{
    return ((double)word + 0.5) * (1.0 / 4294967296.0);
}

#endif
