/* What the metrics are made of: n-grams and edit distances against slow ways to count them, random numbers and
 * paired tests against what NumPy and sacreBLEU gave. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/eval/edit_distance.h"
#include "host/eval/ngram.h"
#include "host/eval/numpy_random.h"
#include "host/eval/significance.h"

static uint32_t draw(uint32_t *state, uint32_t below)
{
    return lng_philox4x32((*state)++, 0, 0, 0, 5, 1).word[0] % below;
}

static void make_units(struct lng_units *units, uint32_t *state, uint32_t longest, uint32_t numbers)
{
    units->count = 0;
    for (uint32_t i = draw(state, longest + 1); i > 0; i--)
        cr_assert(lng_units_append(units, draw(state, numbers)) == LNG_OK);
}

/* ---- n-grams ---- */

static int64_t count_at(const struct lng_units *units, const uint32_t *gram, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i + n <= units->count; i++)
        count += memcmp(units->list + i, gram, n * sizeof *gram) == 0;
    return count;
}

/* Each n-gram's share at its first place alone. */
static int64_t slow_matches(const struct lng_units *own, const struct lng_units *references,
                            size_t reference_count, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i + n <= own->count; i++) {
        const uint32_t *gram = own->list + i;
        struct lng_units before = {own->list, i + n - 1, 0};
        if (count_at(&before, gram, n) > 0)
            continue;
        int64_t most = 0, here = count_at(own, gram, n);
        for (size_t r = 0; r < reference_count; r++) {
            int64_t there = count_at(&references[r], gram, n);
            most = there > most ? there : most;
        }
        sum += here < most ? here : most;
    }
    return sum;
}

Test(eval_parts, ngrams_equal_slow_counting)
{
    enum { REFERENCES = 3, ORDERS = 9 };
    struct lng_units own = {0}, references[REFERENCES] = {{0}};
    uint32_t state = 0;
    int64_t found = 0;
    for (int round = 0; round < 300; round++) {
        uint32_t numbers = 1 + draw(&state, 6);
        make_units(&own, &state, 40, numbers);
        for (int r = 0; r < REFERENCES; r++)
            make_units(&references[r], &state, 40, numbers);
        int64_t matches[ORDERS];
        cr_assert(lng_ngram_matches(&own, references, REFERENCES, ORDERS, matches) == LNG_OK);
        for (size_t n = 1; n <= ORDERS; n++) {
            cr_assert(matches[n - 1] == slow_matches(&own, references, REFERENCES, n));
            found += matches[n - 1];
        }
    }
    cr_assert(found > 1000);
    lng_units_release(&own);
    for (int r = 0; r < REFERENCES; r++)
        lng_units_release(&references[r]);
}

/* ---- edit distance ---- */

static int64_t slow_distance(const struct lng_units *a, const struct lng_units *b)
{
    static int64_t row[512];
    for (size_t j = 0; j <= b->count; j++)
        row[j] = (int64_t)j;
    for (size_t i = 0; i < a->count; i++) {
        int64_t diagonal = row[0];
        row[0] = (int64_t)i + 1;
        for (size_t j = 0; j < b->count; j++) {
            int64_t best = diagonal + (a->list[i] != b->list[j]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[b->count];
}

Test(eval_parts, edit_distance_equals_slow_table)
{
    struct lng_units a = {0}, b = {0};
    uint32_t state = 1u << 20;
    for (int round = 0; round < 600; round++) {
        uint32_t numbers = 1 + draw(&state, 5), longest = round % 2 ? 300 : 70;
        make_units(&a, &state, longest, numbers);
        make_units(&b, &state, longest, numbers);
        int64_t distance;
        cr_assert(lng_edit_distance(&a, &b, numbers, &distance) == LNG_OK);
        cr_assert(distance == slow_distance(&a, &b), "%zu and %zu units: %lld, not %lld", a.count,
                  b.count, (long long)distance, (long long)slow_distance(&a, &b));
    }
    lng_units_release(&a);
    lng_units_release(&b);
}

/* ---- resampling ---- */

static json_t *load_golden(void)
{
    const char *root = getenv("LNG_TEST_ROOT");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/metrics_golden.json", root ? root : ".");
    json_t *golden = json_load_file(path, 0, NULL);
    cr_assert(golden != NULL, "%s", path);
    return golden;
}

Test(eval_parts, random_numbers_are_numpys)
{
    json_t *golden = load_golden(), *value;
    size_t index;
    struct lng_numpy_random random;
    lng_numpy_random_init(&random, 12345);
    json_array_foreach(json_object_get(golden, "numpy_below"), index, value)
        cr_assert(lng_numpy_random_below(&random, 3000) == json_integer_value(value));
    cr_assert(index == 8);
    lng_numpy_random_init(&random, 12345);
    json_array_foreach(json_object_get(golden, "numpy_bits"), index, value)
        cr_assert(lng_numpy_random_bit(&random) == json_integer_value(value), "bit %zu", index);
    cr_assert(index == 70);
    /* default_rng(2**33 + 5).integers(2**32 - 1, size=3) */
    lng_numpy_random_init(&random, ((uint64_t)1 << 33) + 5);
    static const uint32_t wide[] = {3405196493u, 1021003766u, 3053857081u};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        cr_assert(lng_numpy_random_below(&random, UINT32_MAX) == wide[i]);
    cr_assert(lng_numpy_random_below(&random, 1) == 0);
    json_decref(golden);
}

enum { SEGMENTS = 30, TRIALS = 500 };

/* Rows of statistics of system `which`, and its score. */
static double judge(const json_t *paired, size_t which, const struct lng_metric *metric,
                    double *rows)
{
    union lng_statistics sums = {0};
    for (size_t i = 0; i < SEGMENTS; i++) {
        union lng_statistics one = {0};
        const json_t *system = json_array_get(json_object_get(paired, "systems"), which);
        struct lng_slice line = lng_slice_of(json_string_value(json_array_get(system, i)));
        struct lng_slice reference = lng_slice_of(
            json_string_value(json_array_get(json_object_get(paired, "reference"), i)));
        cr_assert(lng_metric_add(metric, &one, line, &reference, 1) == LNG_OK);
        cr_assert(lng_metric_add(metric, &sums, line, &reference, 1) == LNG_OK);
        lng_metric_to_row(metric, &one, rows + i * lng_metric_width(metric));
    }
    return lng_metric_score(metric, &sums);
}

/* sacreBLEU sums bootstrap samples in float32: a sample at the edge may fall on the other side. */
Test(eval_parts, paired_tests_equal_sacrebleu)
{
    static const struct lng_metric metrics[] = {
        {.kind = LNG_METRIC_BLEU},
        {.kind = LNG_METRIC_CHRF, .chrf = {.character_order = 6, .beta = 2}},
        {.kind = LNG_METRIC_TER},
    };
    json_t *golden = load_golden(), *paired = json_object_get(golden, "paired");
    static double rows[2][SEGMENTS * LNG_METRIC_MAX_WIDTH], scores[2][TRIALS];
    for (size_t m = 0; m < 3; m++) {
        const struct lng_metric *metric = &metrics[m];
        double difference =
            fabs(judge(paired, 0, metric, rows[0]) - judge(paired, 1, metric, rows[1]));
        struct lng_segment_rows systems[] = {{rows[0], SEGMENTS}, {rows[1], SEGMENTS}};
        for (int s = 0; s < 2; s++)
            lng_bootstrap(metric, &systems[s], TRIALS, 12345, scores[s]);
        double p = lng_bootstrap_p(scores[0], scores[1], TRIALS, difference);
        struct lng_interval interval = lng_interval_of(scores[1], TRIALS);
        const json_t *bootstrap = json_array_get(json_object_get(paired, "bs"), m);
        double wanted = json_number_value(json_array_get(bootstrap, 0));
        cr_assert(fabs(p - wanted) < 1.1 / (TRIALS + 1), "p %.6f, sacreBLEU %.6f", p, wanted);
        cr_assert(fabs(interval.mean - json_number_value(json_array_get(bootstrap, 1))) < 1e-4);
        cr_assert(fabs(interval.half_width - json_number_value(json_array_get(bootstrap, 2))) <
                  1e-4);
        p = lng_randomization_p(metric, &systems[0], &systems[1], TRIALS, 12345, difference);
        wanted =
            json_number_value(json_array_get(json_array_get(json_object_get(paired, "ar"), m), 0));
        cr_assert(fabs(p - wanted) < 1e-12, "p %.6f, sacreBLEU %.6f", p, wanted);
        /* Against itself no difference is due to chance. */
        cr_assert(lng_randomization_p(metric, &systems[0], &systems[0], 50, 1, 0) == 1.0 / 51);
    }
    json_decref(golden);
}
