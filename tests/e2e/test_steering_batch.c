/* All of steering at once: in other batches, orders and numbers of threads, refused, and without memory. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/steering_bench.h"

/* Everything at once, in three ways of choosing. */
static struct lng_search_options all_of_it(struct bench *b, const struct lng_shortlist *list,
                                           int kind)
{
    struct lng_search_options o = bench_options(3, 3);
    o.alignment = kind == 0;
    o.steering.choice = kind == 0   ? LNG_CHOICE_BEST
                        : kind == 3 ? LNG_CHOICE_ALTERNATIVES
                                    : LNG_CHOICE_SAMPLE;
    o.steering.sampling = (struct lng_sampling){.temperature = 0.8, .top_p = 0.97, .seed = 11};
    o.steering.sampling.top_k = kind == 2 ? 6 : 0;
    o.steering.members = b->others;
    o.steering.member_count = 2;
    o.steering.ensemble = kind % 2 ? LNG_ENSEMBLE_MEAN : LNG_ENSEMBLE_LOG_LINEAR;
    o.steering.repetition_penalty = 1.3;
    o.steering.no_repeat_ngram = 2;
    o.steering.coverage_penalty = 0.2;
    o.steering.shortlist = kind == 1 ? NULL : list;
    o.beam.min_length = 3;
    return o;
}

Test(steering_batch, batch_invariance)
{
    enum { COUNT = 60 };
    struct lng_shortlist list = bench_shortlist(5);
    int shuffled[COUNT];
    for (int i = 0; i < COUNT; i++)
        shuffled[i] = (i * 37 + 13) % COUNT;
    static const struct {
        int sentences, tokens, threads;
        bool shuffle;
        size_t cache;
    } cases[] = {{2, 4096, 1, false, 0},
                 {7, 4096, 2, true, 0},
                 {0, 30, 1, true, 0},
                 {0, 100000, 4, true, 0},
                 {32, 4096, 3, true, 100000}};
    for (int kind = 0; kind < 4; kind++) {
        struct bench alone;
        bench_open(&alone, "cpu", 1, COUNT);
        struct lng_search_options o = all_of_it(&alone, &list, kind);
        o.batch_sentences = 1;
        bench_run(&alone, &o);
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            struct bench b;
            bench_open(&b, "cpu", cases[c].threads, COUNT);
            o = all_of_it(&b, &list, kind);
            o.batch_sentences = cases[c].sentences;
            o.batch_tokens = cases[c].tokens;
            o.cache_bytes = cases[c].cache;
            b.shuffled = cases[c].shuffle ? shuffled : NULL;
            bench_run(&b, &o);
            cr_assert(bench_differing(&b, alone.results) == 0, "kind %d, case %zu", kind, c);
            bench_close(&b);
        }
        bench_close(&alone);
    }
    lng_shortlist_release(&list);
}

/* Its logits are computed in the model's type: in each, a sentence is what it is alone, and with all words in the list what
 * it is without one (int8: to the token, the logits being the same). */
static void shortlist_in(enum lng_dtype compute, const struct lng_shortlist *list,
                         const struct lng_shortlist *all, int beam)
{
    enum { COUNT = 40 };
    struct bench alone, b;
    struct lng_search_options o = bench_options(beam, beam);
    bench_open(&alone, "cpu", 1, COUNT);
    bench_retype(&alone, compute);
    o.steering.shortlist = list;
    o.batch_sentences = 1;
    bench_run(&alone, &o);
    for (int threads = 1; threads <= 3; threads += 2) {
        bench_open(&b, "cpu", threads, COUNT);
        bench_retype(&b, compute);
        o.batch_sentences = threads == 1 ? 7 : 0;
        bench_run(&b, &o);
        cr_assert(bench_differing(&b, alone.results) == 0, "%s, beam %d, %d threads",
                  lng_dtype_name(compute), beam, threads);
        bench_close(&b);
    }
    o.steering.shortlist = all;
    bench_run(&alone, &o);
    struct bench_result *listed = bench_copy(&alone);
    o.steering.shortlist = NULL;
    bench_run(&alone, &o);
    for (int s = 0; s < COUNT; s++)
        for (int i = 0; i < beam; i++) {
            const struct bench_hypothesis *x = &listed[s].best[i], *y = &alone.results[s].best[i];
            cr_assert(fabs(x->score - y->score) < 2e-2 &&
                          (compute == LNG_DTYPE_BF16 || x->length == y->length),
                      "%s, sentence %d: %g, not %g", lng_dtype_name(compute), s, x->score,
                      y->score);
            cr_assert(compute == LNG_DTYPE_BF16 ||
                          memcmp(x->tokens, y->tokens, (size_t)x->length * sizeof *x->tokens) == 0,
                      "%s, sentence %d", lng_dtype_name(compute), s);
        }
    lng_free(listed);
    bench_close(&alone);
}

Test(steering_batch, shortlist_in_every_type)
{
    struct lng_shortlist list = bench_shortlist(5), all = bench_shortlist(TINY_V);
    const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_BF16, LNG_DTYPE_I8};
    struct lng_device *device;
    for (size_t i = 0; i < 3; i++) {
        check_ok(lng_device_open("cpu", NULL, &device));
        bool there = lng_device_supports(device, types[i]) == LNG_OK;
        lng_device_close(device);
        for (int beam = 1; there && beam <= BENCH_N; beam *= 2)
            shortlist_in(types[i], &list, &all, beam);
    }
    lng_shortlist_release(&list);
    lng_shortlist_release(&all);
}

#define REFUSE(change, status, part)                                           \
    do {                                                                       \
        struct lng_search_options o = good;                                    \
        struct lng_search *search = NULL;                                      \
        change;                                                                \
        check_fails(lng_search_open(&b.models[0], &o, &search), status, part); \
        cr_assert(search == NULL);                                             \
    } while (0)

Test(steering_batch, refused)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 2);
    struct lng_search_options good = bench_sampling(2);
    const double weights[] = {1, 0};
    REFUSE(o.steering.sampling.temperature = 0, LNG_ERR_RANGE, "temperature");
    REFUSE(o.steering.sampling.temperature = NAN, LNG_ERR_RANGE, "temperature");
    REFUSE(o.steering.sampling.top_p = 0, LNG_ERR_RANGE, "top-p");
    REFUSE(o.steering.sampling.top_p = 1.01, LNG_ERR_RANGE, "top-p");
    REFUSE(o.steering.sampling.top_k = -1, LNG_ERR_RANGE, "top-k");
    REFUSE(o.steering.sampling.top_k = 1001, LNG_ERR_RANGE, "top-k");
    REFUSE(o.steering.repetition_penalty = 0, LNG_ERR_RANGE, "repetition penalty");
    REFUSE(o.steering.repetition_penalty = INFINITY, LNG_ERR_RANGE, "repetition penalty");
    REFUSE(o.steering.no_repeat_ngram = -1, LNG_ERR_RANGE, "n-grams");
    REFUSE(o.steering.coverage_penalty = -1, LNG_ERR_RANGE, "coverage");
    REFUSE(o.steering.coverage_penalty = NAN, LNG_ERR_RANGE, "coverage");
    REFUSE(o.steering.min_alternative_probability = 2, LNG_ERR_RANGE, "alternative");
    REFUSE(o.beam.n_best = 1, LNG_ERR_RANGE, "samples and alternatives");
    good.steering.members = b.others;
    good.steering.member_count = 1;
    REFUSE(o.steering.member_count = -1, LNG_ERR_RANGE, "models of an ensemble");
    REFUSE(o.steering.weights = weights, LNG_ERR_RANGE, "weight 2 of the ensemble");
    b.models[1].hparams.target_vocab++;
    REFUSE((void)o, LNG_ERR_MISMATCH, "model 2 of the ensemble: target vocabulary: expected 19");
    b.models[1].hparams.target_vocab--;
    b.models[1].hparams.decoder_start = -1;
    REFUSE((void)o, LNG_ERR_MISMATCH, "decoder start");
    b.models[1].hparams.decoder_start = TINY_PAD;
    struct lng_shortlist wide = {.target_rows = TINY_V + 1};
    REFUSE(o.steering.shortlist = &wide, LNG_ERR_MISMATCH, "shortlist for 20 target words");
    bench_close(&b);
}

/* Memory that fails anywhere is an error, and nothing is lost of it. */
Test(steering_batch, memory_fails)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 3);
    struct lng_shortlist list = bench_shortlist(5);
    struct lng_search_options o = all_of_it(&b, &list, 0);
    struct lng_search_input input = {.source = b.corpus.ids, .source_length = b.corpus.offsets[1]};
    bench_run(&b, &o); /* the models' tables of positions grow, and stay */
    struct failing_memory memory = {.forever = true};
    while (failing_memory_try(&memory)) {
        struct lng_search *search = NULL;
        enum lng_status status = lng_search_open(&b.models[0], &o, &search);
        if (status == LNG_OK)
            status = lng_search_run(search, &input, 1, bench_keep, &b);
        failing_memory_check(&memory, status);
        lng_search_close(search);
    }
    cr_assert(memory.tries > 31, "only %zu", memory.tries);
    lng_shortlist_release(&list);
    bench_close(&b);
}
