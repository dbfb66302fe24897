/* IBM Model 1: by hand, against the plain algorithm, with any number of threads, in little memory, and refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/data/lexicon.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"

static struct lng_lexicon_options options_of(int32_t source, int32_t target)
{
    return (struct lng_lexicon_options){.source_words = source,
                                        .target_words = target,
                                        .best = target,
                                        .iterations = 3,
                                        .threads = 1,
                                        .memory = 64 << 20};
}

static double probability_of(const struct lng_lexicon *l, int32_t source, int32_t target)
{
    for (int64_t i = l->offsets[source]; i < l->offsets[source + 1]; i++)
        if (l->targets[i] == target)
            return l->probabilities[i];
    return 0.0;
}

/* (a b | x y), (a | x): the numbers are worked out in fractions, with the empty word beside a and b. */
Test(lexicon, by_hand)
{
    enum { a, b, x = 0, y };
    static const struct {
        int iterations;
        double xa, ya, xb, yb;
    } cases[] = {{1, 5.0 / 7, 2.0 / 7, 1.0 / 2, 1.0 / 2},
                 {2, 235.0 / 307, 72.0 / 307, 5.0 / 14, 9.0 / 14}};
    for (size_t i = 0; i < 2; i++) {
        struct lng_lexicon_pairs pairs;
        struct lng_lexicon l;
        struct lng_lexicon_options o = options_of(3, 2);
        o.iterations = cases[i].iterations;
        check_ok(lng_lexicon_pairs_init(&pairs, &o));
        cr_assert(lng_lexicon_pairs_next(&pairs));
        check_ok(
            lng_lexicon_pairs_add(&pairs, (const int32_t[]){a, b}, 2, (const int32_t[]){x, y}, 2));
        cr_assert(lng_lexicon_pairs_next(&pairs));
        check_ok(lng_lexicon_pairs_add(&pairs, (const int32_t[]){a}, 1, (const int32_t[]){x}, 1));
        check_ok(lng_lexicon_learn(&pairs, NULL, &l));
        cr_assert_float_eq(probability_of(&l, a, x), cases[i].xa, 1e-12);
        cr_assert_float_eq(probability_of(&l, a, y), cases[i].ya, 1e-12);
        cr_assert_float_eq(probability_of(&l, b, x), cases[i].xb, 1e-12);
        cr_assert_float_eq(probability_of(&l, b, y), cases[i].yb, 1e-12);
        cr_assert(l.offsets[3] == 4, "a word that never came has no targets");
        cr_assert(l.targets[l.offsets[b]] == (cases[i].iterations == 1 ? x : y),
                  "best first, then by id");
        lng_lexicon_release(&l);
        lng_lexicon_pairs_release(&pairs);
    }
}

/* ---- a corpus by rule: words become themselves, mostly, and some pairs are empty ---- */

enum { SOURCE = 23, TARGET = 31, LONGEST = 7 };

static int32_t make_pair(int number, int32_t *source, int32_t *target, int32_t *target_count)
{
    const struct lng_philox r = lng_philox4x32((uint32_t)number, 0, 0, 0, 5, 1);
    const int32_t count = (int32_t)(r.word[0] % (LONGEST + 1));
    *target_count = (int32_t)(r.word[1] % (LONGEST + 1));
    for (int32_t i = 0; i < count; i++)
        source[i] = (int32_t)(lng_philox4x32((uint32_t)number, (uint32_t)i, 1, 0, 5, 1).word[0] %
                              (SOURCE - 1));
    for (int32_t i = 0; i < *target_count; i++) {
        const uint32_t *w = lng_philox4x32((uint32_t)number, (uint32_t)i, 2, 0, 5, 1).word;
        target[i] = i < count && w[0] % 4 > 0 ? source[i] + 5 : (int32_t)(w[1] % TARGET);
    }
    return count;
}

static void learn(const struct lng_lexicon_options *options, int count, struct lng_lexicon *lexicon,
                  int64_t *held)
{
    struct lng_lexicon_pairs pairs;
    check_ok(lng_lexicon_pairs_init(&pairs, options));
    for (int n = 0; n < count; n++) {
        int32_t source[LONGEST], target[LONGEST], targets, sources;
        if (!lng_lexicon_pairs_next(&pairs))
            continue;
        sources = make_pair(n, source, target, &targets);
        check_ok(lng_lexicon_pairs_add(&pairs, source, (size_t)sources, target, (size_t)targets));
    }
    check_ok(lng_lexicon_learn(&pairs, NULL, lexicon));
    if (held != NULL)
        *held = pairs.count;
    lng_lexicon_pairs_release(&pairs);
}

/* Model 1 as it is written down: a table of all words, and expectations sentence by sentence. */
static void plain_model(int count, int iterations, double (*t)[TARGET])
{
    for (int e = 0; e <= SOURCE; e++)
        for (int f = 0; f < TARGET; f++)
            t[e][f] = 1.0 / TARGET;
    for (int iteration = 0; iteration < iterations; iteration++) {
        double counts[SOURCE + 1][TARGET] = {{0}};
        for (int n = 0; n < count; n++) {
            int32_t source[LONGEST + 1], target[LONGEST], targets;
            int32_t sources = make_pair(n, source, target, &targets);
            source[sources++] = SOURCE; /* the empty word */
            for (int j = 0; j < targets; j++) {
                double sum = 0.0;
                for (int i = 0; i < sources; i++)
                    sum += t[source[i]][target[j]];
                for (int i = 0; i < sources; i++)
                    counts[source[i]][target[j]] += t[source[i]][target[j]] / sum;
            }
        }
        for (int e = 0; e <= SOURCE; e++) {
            double sum = 0.0;
            for (int f = 0; f < TARGET; f++)
                sum += counts[e][f];
            for (int f = 0; f < TARGET; f++)
                t[e][f] = sum > 0.0 ? counts[e][f] / sum : 0.0;
        }
    }
}

/* Two blocks of pairs and a bit. */
Test(lexicon, as_the_plain_algorithm)
{
    enum { PAIRS = 33000, ITERATIONS = 4 };
    static double t[SOURCE + 1][TARGET];
    struct lng_lexicon_options o = options_of(SOURCE, TARGET);
    struct lng_lexicon l;
    o.iterations = ITERATIONS;
    learn(&o, PAIRS, &l, NULL);
    plain_model(PAIRS, ITERATIONS, t);
    for (int e = 0; e < SOURCE; e++) {
        double sum = 0.0;
        for (int f = 0; f < TARGET; f++) {
            cr_assert_float_eq(probability_of(&l, e, f), t[e][f], 1e-9, "%d becomes %d", e, f);
            sum += probability_of(&l, e, f);
        }
        cr_assert(e == SOURCE - 1 ? sum == 0.0 : fabs(sum - 1.0) < 1e-9);
        cr_assert(e == SOURCE - 1 || l.targets[l.offsets[e]] == e + 5);
    }
    lng_lexicon_release(&l);
}

Test(lexicon, threads_change_no_bit)
{
    struct lng_lexicon_options o = options_of(SOURCE, TARGET);
    struct lng_lexicon one, many;
    o.best = 6;
    o.threshold = 1e-3;
    learn(&o, 20000, &one, NULL);
    for (int32_t e = 0; e < SOURCE; e++) {
        cr_assert(one.offsets[e + 1] - one.offsets[e] <= 6);
        for (int64_t i = one.offsets[e]; i < one.offsets[e + 1]; i++)
            cr_assert(one.probabilities[i] > 1e-3);
    }
    for (o.threads = 2; o.threads < 40; o.threads *= 3) {
        learn(&o, 20000, &many, NULL);
        const size_t count = (size_t)one.offsets[SOURCE];
        cr_assert(memcmp(one.offsets, many.offsets, (SOURCE + 1) * sizeof *one.offsets) == 0);
        cr_assert(memcmp(one.targets, many.targets, count * sizeof *one.targets) == 0);
        cr_assert(
            memcmp(one.probabilities, many.probabilities, count * sizeof *one.probabilities) == 0);
        lng_lexicon_release(&many);
    }
    lng_lexicon_release(&one);
}

/* An even sample that fits; and where few targets are followed, those are the likely ones. */
Test(lexicon, little_memory)
{
    enum { PAIRS = 20000 };
    struct lng_lexicon_options o = options_of(SOURCE, TARGET);
    struct lng_lexicon l;
    int64_t held;
    o.best = 2;
    o.memory = 100000;
    const size_t before = lng_mem_get_stats().bytes_live;
    learn(&o, PAIRS, &l, &held);
    cr_assert(held > 400 && held < PAIRS / 4, "%lld pairs", (long long)held);
    for (int32_t e = 0; e < SOURCE - 1; e++)
        cr_assert(l.targets[l.offsets[e]] == e + 5, "%d", e);
    lng_lexicon_release(&l);
    cr_assert(lng_mem_get_stats().bytes_live == before);
    cr_assert(lng_mem_get_stats().bytes_peak < before + 2 * 100000, "%zu bytes",
              lng_mem_get_stats().bytes_peak - before);
}

Test(lexicon, refused)
{
    struct lng_lexicon_pairs pairs;
    struct lng_lexicon l;
    struct lng_lexicon_options good = options_of(3, 4), o;
    const int32_t word = 0, strange = 4, below = -1;
    o = good;
    o.memory = 99;
    check_fails(lng_lexicon_pairs_init(&pairs, &o), LNG_ERR_RANGE, "bytes or more, found 99");
    o = good;
    o.iterations = 0;
    check_fails(lng_lexicon_pairs_init(&pairs, &o), LNG_ERR_RANGE, "iterations");
    o = good;
    o.threshold = NAN;
    check_fails(lng_lexicon_pairs_init(&pairs, &o), LNG_ERR_RANGE, "threshold");
    check_ok(lng_lexicon_pairs_init(&pairs, &good));
    check_fails(lng_lexicon_learn(&pairs, NULL, &l), LNG_ERR_FORMAT, "found 0");
    check_fails(lng_lexicon_pairs_add(&pairs, &word, 1, &strange, 1), LNG_ERR_RANGE,
                "token 4 is outside the vocabulary of 4 entries");
    check_fails(lng_lexicon_pairs_add(&pairs, &below, 1, &word, 1), LNG_ERR_RANGE, "token -1");
    cr_assert(pairs.count == 0);
    check_ok(lng_lexicon_pairs_add(&pairs, NULL, 0, NULL, 0));
    check_ok(lng_lexicon_learn(&pairs, NULL, &l));
    cr_assert(l.offsets[3] == 0, "an empty pair says nothing");
    lng_lexicon_release(&l);
    lng_lexicon_pairs_release(&pairs);
}

static enum lng_status learn_something(void)
{
    const int32_t words[] = {0, 1, 2, 1};
    struct lng_lexicon_pairs pairs = {0};
    struct lng_lexicon l = {0};
    const struct lng_lexicon_options o = options_of(3, 3);
    enum lng_status status = lng_lexicon_pairs_init(&pairs, &o);
    for (size_t i = 0; i < 4 && status == LNG_OK; i++)
        status = lng_lexicon_pairs_add(&pairs, words, i, words, 4 - i);
    if (status == LNG_OK)
        status = lng_lexicon_learn(&pairs, NULL, &l);
    lng_lexicon_release(&l);
    lng_lexicon_pairs_release(&pairs);
    return status;
}

Test(lexicon, without_memory)
{
    struct failing_memory memory = {0};
    while (failing_memory_try(&memory))
        failing_memory_check(&memory, learn_something());
}
