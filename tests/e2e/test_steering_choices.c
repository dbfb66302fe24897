/* Samples and alternatives against the probabilities they are made of. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/steering_bench.h"

/* First tokens of many samples are distributed as the model says; a hypothesis has its samples' probability. */
Test(steering_choices, samples_follow_the_model)
{
    enum { SEEDS = 150 };
    struct bench b;
    bench_open(&b, "cpu", 1, 3);
    struct lng_search_options o = bench_sampling(BENCH_N);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = BENCH_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    int seen[3][TINY_V] = {{0}}, repeated = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        o.steering.sampling.seed = (uint64_t)seed;
        o.steering.sampling.top_k =
            seed % 2 ? TINY_V : 0; /* both ways of choosing, the same choice */
        bench_run(&b, &o);
        for (int s = 0; s < 3; s++) {
            cr_assert(b.results[s].count == BENCH_N && !b.results[s].exact_stop);
            for (int i = 0; i < BENCH_N; i++)
                seen[s][b.results[s].best[i].tokens[0]]++;
            repeated += b.results[s].best[0].total == b.results[s].best[1].total;
        }
    }
    for (int s = 0; s < 3; s++) {
        double logprob[TINY_V], whole = 0, squares = 0;
        bench_logprobs(&b, workspace, 0, s, NULL, 0, NULL, logprob);
        for (int v = 0; v < TINY_V; v++)
            whole += v == TINY_UNK || v == TINY_PAD ? 0 : exp(logprob[v]);
        for (int v = 0; v < TINY_V; v++) {
            bool never = v == TINY_UNK || v == TINY_PAD;
            double wanted = SEEDS * BENCH_N * exp(logprob[v]) / whole;
            cr_assert(!never || seen[s][v] == 0);
            squares += never ? 0 : (seen[s][v] - wanted) * (seen[s][v] - wanted) / wanted;
        }
        cr_assert(squares < 46, "chi-squared %g with 16 degrees of freedom",
                  squares); /* p = 1e-4 */
    }
    cr_assert(repeated < SEEDS, "samples of one sentence are not one another's copies");
    lng_workspace_close(workspace);
    bench_close(&b);
}

/* Whether every token of a hypothesis is what sample number `sample` draws after those before it. */
static bool is_sample(struct bench *b, struct lng_workspace *workspace, int s, int rank, int sample,
                      const struct lng_sampling *sampling)
{
    uint8_t never[TINY_V] = {[TINY_UNK] = 1, [TINY_PAD] = 1};
    int source = b->corpus.offsets[s + 1] - b->corpus.offsets[s];
    uint64_t hash = lng_checksum(b->corpus.ids + b->corpus.offsets[s], (size_t)source * 4);
    int most = (int)(1.5 * source) + 6;
    for (int t = 0; t < b->results[s].best[rank].length && t + 1 < most; t++) {
        const int32_t *tokens = b->results[s].best[rank].tokens;
        double logprob[TINY_V],
            u = lng_sampling_uniform(sampling->seed, hash, (uint32_t)t, (uint32_t)sample);
        float rounded[TINY_V];
        struct lng_sampling_item room[TINY_V];
        bench_logprobs(b, workspace, 0, s, tokens, t, NULL, logprob);
        for (int v = 0; v < TINY_V; v++)
            rounded[v] = (float)logprob[v];
        if (lng_sampling_draw(sampling, rounded, NULL, TINY_V, never, u, room) != tokens[t])
            return false;
    }
    return true;
}

/* Each hypothesis is one sample from its first token to its last, also where others ended before it. */
Test(steering_choices, samples_keep_their_numbers)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 12);
    struct lng_search_options o = bench_sampling(BENCH_N);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = BENCH_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    bench_run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++) {
        bool taken[BENCH_N] = {false};
        for (int i = 0; i < BENCH_N; i++) {
            int sample = 0;
            while (sample < BENCH_N &&
                   (taken[sample] || !is_sample(&b, workspace, s, i, sample, &o.steering.sampling)))
                sample++;
            cr_assert(sample < BENCH_N, "sentence %d: hypothesis %d is no sample", s, i);
            taken[sample] = true;
        }
    }
    lng_workspace_close(workspace);
    bench_close(&b);
}

/* What is drawn from one token is the best token; so is what is drawn when cold. */
Test(steering_choices, samples_that_are_greedy)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 20);
    struct lng_search_options o = bench_options(1, 1);
    bench_run(&b, &o);
    struct bench_result *greedy = bench_copy(&b);
    o = bench_sampling(2);
    o.steering.sampling.top_k = 1;
    bench_run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        for (int i = 0; i < 2; i++)
            cr_assert(memcmp(b.results[s].best[i].tokens, greedy[s].best[0].tokens,
                             sizeof greedy[s].best[0].tokens) == 0 &&
                      b.results[s].best[i].total == greedy[s].best[0].total);
    lng_free(greedy);
    bench_close(&b);
}

Test(steering_choices, samples_keep_prefixes_and_limits)
{
    static const int32_t prefix[] = {5, 9};
    struct bench b;
    bench_open(&b, "cpu", 1, 12);
    b.prefix = prefix;
    b.prefix_length = 2;
    for (int top_k = 0; top_k < 8; top_k += 7) {
        struct lng_search_options o = bench_sampling(3);
        o.steering.sampling.top_k = top_k;
        o.steering.sampling.top_p = 0.95;
        o.beam.min_length = 7;
        o.beam.max_length = 9;
        bench_run(&b, &o);
        for (int s = 0; s < b.corpus.count; s++)
            for (int i = 0; i < 3; i++) {
                int length = b.results[s].best[i].length;
                cr_assert(length >= 7 && length <= 9 &&
                          b.results[s].best[i].tokens[length - 1] == TINY_EOS);
                cr_assert(memcmp(b.results[s].best[i].tokens, prefix, sizeof prefix) == 0);
            }
    }
    bench_close(&b);
}

/* Alternatives are the best first tokens, each followed by what greedy search makes of that prefix. */
Test(steering_choices, alternatives)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 8);
    struct lng_search_options o = bench_options(3, 3);
    o.steering.choice = LNG_CHOICE_ALTERNATIVES;
    bench_run(&b, &o);
    struct bench_result *found = bench_copy(&b);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = BENCH_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    struct lng_search_options greedy = bench_options(1, 1);
    for (int s = 0; s < b.corpus.count; s++) {
        double logprob[TINY_V];
        bench_logprobs(&b, workspace, 0, s, NULL, 0, NULL, logprob);
        logprob[TINY_UNK] = logprob[TINY_PAD] = -INFINITY;
        cr_assert(found[s].count == 3);
        for (int i = 0; i < 3; i++) {
            int32_t token = found[s].best[i].tokens[0];
            int better = 0;
            for (int v = 0; v < TINY_V; v++)
                better += logprob[v] > logprob[token] + 1e-5;
            cr_assert(better < 3, "sentence %d: token %d is not among the best 3", s, token);
            for (int j = 0; j < i; j++)
                cr_assert(found[s].best[j].tokens[0] != token);
            if (token == TINY_EOS)
                continue;
            b.prefix = &token;
            b.prefix_length = 1;
            bench_run(&b, &greedy);
            cr_assert(memcmp(b.results[s].best[0].tokens, found[s].best[i].tokens,
                             sizeof found[s].best[i].tokens) == 0);
        }
    }
    o.steering.min_alternative_probability = 0.999;
    b.prefix_length = 0;
    bench_run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        cr_assert(b.results[s].count >= 1 && b.results[s].count < 3);
    lng_workspace_close(workspace);
    lng_free(found);
    bench_close(&b);
}

/* The two devices draw the same samples, and another seed draws others. */
Test(steering_choices, samples_of_devices_and_seeds)
{
    struct bench a, b;
    bench_open(&a, "ref", 1, 30);
    bench_open(&b, "cpu", 2, 30);
    struct lng_search_options o = bench_sampling(2);
    bench_run(&a, &o);
    bench_run(&b, &o);
    int same = 0;
    for (int s = 0; s < 30; s++)
        same += memcmp(a.results[s].best[0].tokens, b.results[s].best[0].tokens,
                       sizeof a.results[s].best[0].tokens) == 0;
    cr_assert(same == 30, "%d of 30 are the same", same);
    struct bench_result *first = bench_copy(&b);
    o.steering.sampling.seed++;
    bench_run(&b, &o);
    cr_assert(bench_differing(&b, first) > 25);
    lng_free(first);
    bench_close(&a);
    bench_close(&b);
}
