/* Results kept for sentences that come again: what comes back is what was put in, in bounded memory. */
#include <criterion/criterion.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/base/philox.h"
#include "host/infer/repeat_cache.h"
#include "tests/support/check.h"

static void no_blocks_left(void)
{
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

TestSuite(repeat_cache, .fini = no_blocks_left);

enum { MOST_TOKENS = 12, MOST_HYPOTHESES = 3 };

/* Sentence and result number n: everything in them is a function of n. */
struct sample {
    int32_t ids[2 * MOST_TOKENS], tokens[MOST_HYPOTHESES][MOST_TOKENS];
    float logprobs[MOST_HYPOTHESES][MOST_TOKENS];
    float weights[MOST_HYPOTHESES][MOST_TOKENS * MOST_TOKENS];
    struct lng_hypothesis hypotheses[MOST_HYPOTHESES];
    struct lng_search_input input;
    struct lng_search_result result;
};

static void make_sample(struct sample *s, uint32_t n, bool weights)
{
    struct lng_philox r = lng_philox4x32(n, 0, 0, 0, 1, 1);
    *s = (struct sample){0};
    int32_t length = 1 + (int32_t)(r.word[0] % MOST_TOKENS);
    int32_t prefix = (int32_t)(r.word[1] % 3);
    s->ids[0] = (int32_t)n;
    for (int i = 1; i < 2 * MOST_TOKENS; i++)
        s->ids[i] = (int32_t)(r.word[2] >> i % 20);
    s->input =
        (struct lng_search_input){s->ids, length, prefix ? s->ids + length : NULL, prefix, NULL, 0};
    s->result = (struct lng_search_result){
        .hypotheses = s->hypotheses, .count = 1 + (int32_t)(n % 3), .exact_stop = n % 2};
    for (int i = 0; i < MOST_HYPOTHESES; i++) {
        s->hypotheses[i] = (struct lng_hypothesis){
            .tokens = s->tokens[i],
            .logprobs = s->logprobs[i],
            .weights = weights ? s->weights[i] : NULL,
            .length = 1 + (int32_t)(r.word[3] % MOST_TOKENS),
            .total = -0.1 * n - i,
            .score = -0.3 * n - i,
            .end = (enum lng_beam_end)(n % 2),
        };
        for (int t = 0; t < MOST_TOKENS; t++) {
            s->tokens[i][t] = (int32_t)(n * 31 + (unsigned)(i * 7 + t));
            s->logprobs[i][t] = (float)n / (float)(t + 1);
        }
        for (int t = 0; t < MOST_TOKENS * MOST_TOKENS; t++)
            s->weights[i][t] = (float)(n + (unsigned)t);
    }
}

struct expected {
    const struct sample *sample;
    int64_t index;
    int calls;
};

static enum lng_status check_result(void *context, const struct lng_search_result *result)
{
    struct expected *e = context;
    const struct lng_search_result *want = &e->sample->result;
    e->calls++;
    cr_assert(result->index == e->index && result->count == want->count);
    cr_assert(result->exact_stop == want->exact_stop);
    for (int32_t i = 0; i < result->count; i++) {
        const struct lng_hypothesis *a = &result->hypotheses[i], *b = &want->hypotheses[i];
        size_t length = (size_t)b->length;
        cr_assert(a->length == b->length && a->end == b->end);
        cr_assert(a->total == b->total && a->score == b->score);
        cr_assert(memcmp(a->tokens, b->tokens, length * sizeof *a->tokens) == 0);
        cr_assert(memcmp(a->logprobs, b->logprobs, length * sizeof *a->logprobs) == 0);
        cr_assert((a->weights == NULL) == (b->weights == NULL));
        if (a->weights != NULL)
            cr_assert(
                memcmp(a->weights, b->weights,
                       length * (size_t)e->sample->input.source_length * sizeof *a->weights) == 0);
    }
    return LNG_OK;
}

static bool get(struct lng_repeat_cache *cache, uint64_t hash, const struct sample *sample)
{
    struct expected expected = {sample, 77, 0};
    bool found;
    check_ok(
        lng_repeat_cache_get(cache, hash, &sample->input, 77, check_result, &expected, &found));
    cr_assert(expected.calls == found);
    return found;
}

Test(repeat_cache, all_that_fits)
{
    struct lng_repeat_cache *cache;
    struct sample sample;
    check_ok(lng_repeat_cache_open(8 << 20, &cache));
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t n = 0; n < 3000; n++) {
            make_sample(&sample, n, n % 5 == 0);
            uint64_t hash = lng_repeat_hash(&sample.input);
            cr_assert(get(cache, hash, &sample) == (pass == 1), "sentence %u", n);
            check_ok(lng_repeat_cache_put(cache, hash, &sample.input, &sample.result));
        }
    lng_repeat_cache_close(cache);
}

/* Sentences whose hashes are equal are told apart, prefix and source too. */
Test(repeat_cache, collisions)
{
    struct lng_repeat_cache *cache;
    struct sample sample;
    check_ok(lng_repeat_cache_open(1 << 20, &cache));
    for (uint32_t n = 0; n < 200; n++) {
        make_sample(&sample, n, false);
        cr_assert(!get(cache, 5, &sample));
        check_ok(lng_repeat_cache_put(cache, 5, &sample.input, &sample.result));
    }
    for (uint32_t n = 0; n < 200; n++) {
        make_sample(&sample, n, false);
        cr_assert(get(cache, 5, &sample));
    }
    static const int32_t ids[] = {1, 2, 3};
    struct lng_search_input a = {ids, 3, NULL, 0, NULL, 0}, b = {ids, 2, ids + 2, 1, NULL, 0},
                            c = {ids, 3, ids, 1, NULL, 0};
    cr_assert(!lng_repeat_same(&a, &b) && !lng_repeat_same(&a, &c) && lng_repeat_same(&c, &c));
    struct lng_search_input d = {ids, 2, ids + 1, 1, NULL, 0},
                            e = {ids + 1, 2, ids + 2, 1, NULL, 0};
    cr_assert(!lng_repeat_same(&b, &d), "another prefix of the same length");
    cr_assert(!lng_repeat_same(&b, &e), "another source of the same length");
    cr_assert(lng_repeat_hash(&a) != lng_repeat_hash(&b));
    cr_assert(lng_repeat_hash(&a) != lng_repeat_hash(&c));
    lng_repeat_cache_close(cache);
}

/* Memory stays within what was given, whatever comes; what is asked for again and again stays. */
Test(repeat_cache, bounded)
{
    static const size_t limits[] = {1, 1000, 5000, 40000, 300000};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        struct lng_repeat_cache *cache;
        struct sample sample, often;
        int found = 0;
        make_sample(&often, 1u << 20, true);
        uint64_t often_hash = lng_repeat_hash(&often.input);
        check_ok(lng_repeat_cache_open(limits[l], &cache));
        check_ok(lng_repeat_cache_put(cache, often_hash, &often.input, &often.result));
        for (uint32_t n = 0; n < 2000; n++) {
            make_sample(&sample, n, n % 5 == 0);
            uint64_t hash = lng_repeat_hash(&sample.input);
            check_ok(lng_repeat_cache_put(cache, hash, &sample.input, &sample.result));
            found += get(cache, often_hash, &often);
            cr_assert(lng_repeat_cache_bytes(cache) <= limits[l], "%zu of %zu",
                      lng_repeat_cache_bytes(cache), limits[l]);
        }
        cr_assert(found == (limits[l] >= 40000 ? 2000 : found), "%zu: found %d times", limits[l],
                  found);
        cr_assert(limits[l] > 1 || found == 0);
        lng_repeat_cache_close(cache);
    }
}

Test(repeat_cache, out_of_memory)
{
    for (size_t n = 1; n < 40; n++) {
        struct lng_repeat_cache *cache = NULL;
        struct sample sample;
        lng_mem_fail_nth(n, true);
        enum lng_status status = lng_repeat_cache_open(20000, &cache);
        for (uint32_t i = 0; status == LNG_OK && i < 300; i++) {
            make_sample(&sample, i, false);
            status = lng_repeat_cache_put(cache, i, &sample.input, &sample.result);
        }
        lng_mem_fail_nth(0, false);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
        lng_repeat_cache_close(cache);
        no_blocks_left();
    }
}
