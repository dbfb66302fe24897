/* The known answers are those published with Random123 (Salmon et al. 2011). */
#include "host/base/philox.h"

#include <criterion/criterion.h>

static void expect(struct lng_philox got, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    cr_assert(got.word[0] == a && got.word[1] == b && got.word[2] == c && got.word[3] == d,
              "got %08x %08x %08x %08x", got.word[0], got.word[1], got.word[2], got.word[3]);
}

Test(philox, known_answers)
{
    expect(lng_philox4x32(0, 0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    expect(lng_philox4x32(~0u, ~0u, ~0u, ~0u, ~0u, ~0u), 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
           0x6d5451fd);
    expect(lng_philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
           0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

Test(philox, halves_cover_the_block)
{
    struct lng_philox block = {{0x11112222, 0x33334444, 0x55556666, 0x77778888}};
    static const uint32_t halves[8] = {0x2222, 0x1111, 0x4444, 0x3333,
                                       0x6666, 0x5555, 0x8888, 0x7777};
    for (uint32_t unit = 0; unit < 24; unit++)
        cr_assert(lng_philox_half(block, unit) == halves[unit % 8]);
}

Test(philox, places_seeds_and_updates_differ)
{
    struct lng_rng_site site = {0x123456789ABCDEFull, 5, 3};
    struct lng_philox base = lng_rng_block(site, 1, 2, 3, 4);
    expect(lng_rng_block(site, 1, 2, 3, 4), base.word[0], base.word[1], base.word[2], base.word[3]);
    struct lng_rng_site others[] = {{0x123456789ABCDEEull, 5, 3},
                                    {0x023456789ABCDEFull, 5, 3},
                                    {0x123456789ABCDEFull, 6, 3},
                                    {0x123456789ABCDEFull, 5, 4}};
    for (int i = 0; i < 4; i++)
        cr_assert(lng_rng_block(others[i], 1, 2, 3, 4).word[0] != base.word[0]);
    cr_assert(lng_rng_block(site, 1, 2, 3, 5).word[0] != base.word[0]);
}

Test(philox, thresholds)
{
    cr_assert(lng_drop_threshold(0) == 0 && lng_drop_threshold(-1) == 0);
    cr_assert(lng_drop_threshold(0.5) == 32768);
    cr_assert(lng_drop_threshold(1) == 65535 && lng_drop_threshold(2) == 65535);
    cr_assert(lng_drop_scale(0.5) == 2.0 && lng_drop_scale(0) == 1.0);
}

Test(philox, dropout_share_is_as_asked)
{
    uint32_t dropped = 0, threshold = lng_drop_threshold(0.1);
    struct lng_rng_site site = {42, 0, 1};
    for (uint32_t block = 0; block < 12500; block++)
        for (uint32_t unit = 0; unit < 8; unit++)
            dropped += lng_philox_half(lng_rng_block(site, 0, 0, block, 0), unit) < threshold;
    /* 100,000 draws: the standard deviation is 95. */
    cr_assert(dropped > 9500 && dropped < 10500, "%u", dropped);
}

Test(philox, uniform_stays_inside)
{
    cr_assert(lng_philox_uniform(0) > 0 && lng_philox_uniform(UINT32_MAX) < 1);
    cr_assert(lng_philox_uniform(1u << 31) > 0.5 && lng_philox_uniform((1u << 31) - 1) < 0.5);
}
