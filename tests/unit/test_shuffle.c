#include "host/data/shuffle.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

static struct lng_shuffle make(uint64_t seed, uint32_t epoch, uint32_t use, uint64_t count)
{
    struct lng_shuffle shuffle;
    check_ok(lng_shuffle_init(&shuffle, (struct lng_shuffle_key){seed, epoch, use}, count));
    return shuffle;
}

/* Both kinds, around the border between them and around powers of two. */
Test(shuffle, every_number_comes_once)
{
    const uint64_t counts[] = {1,     2,     3,      7,      64,     1000,  65535,
                               65536, 65537, 131071, 131072, 131073, 300001};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct lng_shuffle shuffle = make(5, 2, 0, counts[c]);
        unsigned char *seen = lng_alloc(counts[c], 1);
        for (uint64_t i = 0; i < counts[c]; i++) {
            uint64_t number = lng_shuffle_at(&shuffle, i);
            cr_assert(number < counts[c] && !seen[number], "count %zu: %zu", (size_t)counts[c],
                      (size_t)number);
            seen[number] = 1;
        }
        lng_free(seen);
        lng_shuffle_release(&shuffle);
    }
}

Test(shuffle, takes_no_memory_past_the_table)
{
    struct lng_shuffle shuffle = make(1, 0, 0, (uint64_t)1 << 40);
    cr_assert(shuffle.table == NULL);
    cr_assert(lng_shuffle_at(&shuffle, 123456789) < (uint64_t)1 << 40);
    lng_shuffle_release(&shuffle);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* The order is a promise to checkpoints: a change of these numbers breaks the resumption of
 * runs. */
Test(shuffle, known_values)
{
    struct lng_shuffle small = make(42, 3, 1, 10), large = make(42, 3, 1, 1000000);
    uint64_t got[8];
    for (uint64_t i = 0; i < 4; i++) {
        got[i] = lng_shuffle_at(&small, i);
        got[4 + i] = lng_shuffle_at(&large, i);
    }
    const uint64_t want[8] = {1, 8, 5, 4, 338147, 448892, 928724, 352003};
    cr_assert(memcmp(got, want, sizeof want) == 0, "%zu %zu %zu %zu %zu %zu %zu %zu",
              (size_t)got[0], (size_t)got[1], (size_t)got[2], (size_t)got[3], (size_t)got[4],
              (size_t)got[5], (size_t)got[6], (size_t)got[7]);
    lng_shuffle_release(&small);
    lng_shuffle_release(&large);
}

/* How many of the first 1000 places hold the same number under two keys. */
static int agreements(struct lng_shuffle a, struct lng_shuffle b)
{
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += lng_shuffle_at(&a, i) == lng_shuffle_at(&b, i);
    lng_shuffle_release(&a);
    lng_shuffle_release(&b);
    return same;
}

Test(shuffle, every_part_of_the_key_counts)
{
    const uint64_t counts[] = {5000, 100000};
    for (int c = 0; c < 2; c++) {
        uint64_t n = counts[c];
        cr_assert(agreements(make(1, 1, 1, n), make(1, 1, 1, n)) == 1000);
        cr_assert(agreements(make(1, 1, 1, n), make(2, 1, 1, n)) < 10);
        cr_assert(agreements(make(1, 1, 1, n), make(1 + ((uint64_t)1 << 32), 1, 1, n)) < 10);
        cr_assert(agreements(make(1, 1, 1, n), make(1, 2, 1, n)) < 10);
        cr_assert(agreements(make(1, 1, 1, n), make(1, 1, 2, n)) < 10);
    }
}

/* Chi-square against the uniform: within 5 standard deviations of its mean on both sides. */
static void check_uniform(const uint32_t *counts, size_t cells, double total)
{
    double expected = total / (double)cells, sum = 0;
    for (size_t i = 0; i < cells; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    double freedom = (double)cells - 1, deviation = sqrt(2 * freedom);
    cr_assert(fabs(sum - freedom) < 5 * deviation, "chi-square %g for %g degrees of freedom", sum,
              freedom);
}

Test(shuffle, all_orders_of_five_are_equally_likely)
{
    uint32_t counts[120] = {0};
    for (uint32_t epoch = 0; epoch < 60000; epoch++) {
        struct lng_shuffle shuffle = make(9, epoch, 0, 5);
        unsigned rank = 0;
        for (uint64_t i = 0; i < 5; i++) {
            unsigned smaller = 0;
            for (uint64_t j = i + 1; j < 5; j++)
                smaller += lng_shuffle_at(&shuffle, j) < lng_shuffle_at(&shuffle, i);
            rank = rank * (unsigned)(5 - i) + smaller;
        }
        counts[rank]++;
        lng_shuffle_release(&shuffle);
    }
    check_uniform(counts, 120, 60000);
}

/* Where a number goes, and where its neighbour goes from there: 64 cells each, computed orders. */
Test(shuffle, places_are_uniform_past_the_table)
{
    enum { CELLS = 64, COUNT = 100003, EPOCHS = 2000 };
    uint32_t place[CELLS] = {0}, step[CELLS] = {0}, inside[CELLS] = {0};
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        struct lng_shuffle shuffle = make(77, epoch, 0, COUNT);
        for (uint64_t i = 0; i < 16; i++) {
            uint64_t at = i * 6007, here = lng_shuffle_at(&shuffle, at);
            uint64_t next = lng_shuffle_at(&shuffle, at + 1);
            place[here * CELLS / COUNT]++;
            step[(next + COUNT - here) % COUNT * CELLS / COUNT]++;
        }
        lng_shuffle_release(&shuffle);
    }
    struct lng_shuffle one = make(78, 0, 0, COUNT);
    for (uint64_t i = 0; i < COUNT - 1; i++)
        inside[(lng_shuffle_at(&one, i + 1) + COUNT - lng_shuffle_at(&one, i)) % COUNT * CELLS /
               COUNT]++;
    check_uniform(place, CELLS, 16.0 * EPOCHS);
    check_uniform(step, CELLS, 16.0 * EPOCHS);
    check_uniform(inside, CELLS, COUNT - 1);
    lng_shuffle_release(&one);
}

/* A random order keeps one number in its place on average (the number is Poisson distributed). */
Test(shuffle, fixed_points)
{
    double fixed = 0;
    for (uint32_t epoch = 0; epoch < 40; epoch++) {
        struct lng_shuffle shuffle = make(3, epoch, 0, epoch < 20 ? 3000 : 70000);
        for (uint64_t i = 0; i < shuffle.count; i++)
            fixed += lng_shuffle_at(&shuffle, i) == i;
        lng_shuffle_release(&shuffle);
    }
    cr_assert(fabs(fixed - 40) < 5 * sqrt(40), "%g fixed points, expected about 40", fixed);
}

Test(shuffle, bad_counts)
{
    struct lng_shuffle shuffle = {.count = 7};
    check_fails(
        lng_shuffle_init(&shuffle, (struct lng_shuffle_key){1, 1, 1}, ((uint64_t)1 << 62) + 1),
        LNG_ERR_RANGE, "2^62");
    lng_mem_fail_nth(1, 0);
    check_fails(lng_shuffle_init(&shuffle, (struct lng_shuffle_key){1, 1, 1}, 10), LNG_ERR_MEMORY,
                "");
    cr_assert(shuffle.count == 7);
    struct lng_shuffle none = make(1, 1, 1, 0);
    lng_shuffle_release(&none);
}
