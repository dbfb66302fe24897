/* Penalties, ensembles and shortlists against a search that recomputes everything. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/penalties.h"
#include "tests/support/check.h"
#include "tests/support/steering_bench.h"

/* ---- a search that recomputes, with the same bookkeeping (beam.h) ---- */

struct naive {
    struct lng_workspace *workspaces[3];
    const struct lng_search_options *options;
};

/* What may follow a prefix, and with what score. */
static void naive_scores(struct bench *b, struct naive *n, int s, const int32_t *prefix, int length,
                         double *out)
{
    const struct lng_steering *o = &n->options->steering;
    uint8_t marks[TINY_V] = {0}, allowed[TINY_V] = {0};
    if (o->shortlist) {
        int32_t list[TINY_V], eos = TINY_EOS;
        int count = lng_shortlist_collect(o->shortlist, b->corpus.ids + b->corpus.offsets[s],
                                          b->corpus.offsets[s + 1] - b->corpus.offsets[s], &eos, 1,
                                          marks, list);
        for (int i = 0; i < count; i++)
            allowed[list[i]] = 1;
    }
    double sum[TINY_V] = {0}, whole = 0;
    for (int m = 0; m <= o->member_count; m++)
        whole += o->weights ? o->weights[m] : 1;
    for (int m = 0; m <= o->member_count; m++) {
        double one[TINY_V], w = o->weights ? o->weights[m] : 1;
        bool mean = o->ensemble == LNG_ENSEMBLE_MEAN;
        w /= mean || !o->weights ? whole : 1;
        bench_logprobs(b, n->workspaces[m], m, s, prefix, length, o->shortlist ? allowed : NULL,
                       one);
        for (int v = 0; v < TINY_V; v++)
            sum[v] += mean ? w * exp(one[v]) : w * one[v];
    }
    int32_t again[BENCH_T],
        repeated = o->no_repeat_ngram > 0
                       ? lng_repeated_ngrams(prefix, length, o->no_repeat_ngram, again)
                       : 0;
    for (int v = 0; v < TINY_V; v++) {
        out[v] = o->ensemble == LNG_ENSEMBLE_MEAN ? log(sum[v]) : sum[v];
        bool seen = false;
        for (int t = 0; t < length; t++)
            seen = seen || prefix[t] == v;
        if (seen)
            out[v] *= o->repetition_penalty;
        if (v == TINY_UNK || v == TINY_PAD)
            out[v] = -INFINITY;
    }
    for (int i = 0; i < repeated; i++)
        out[again[i]] = -INFINITY;
}

static int by_score(const void *left, const void *right)
{
    const struct lng_candidate *a = left, *b = right;
    return a->score > b->score ? -1 : a->score < b->score;
}

static void naive_beam(struct bench *b, struct naive *n, int s, struct lng_beam *beam)
{
    int source = b->corpus.offsets[s + 1] - b->corpus.offsets[s];
    check_ok(lng_beam_start(beam, source, NULL, 0));
    while (!beam->done) {
        struct lng_candidate list[BENCH_N * TINY_V + 1] = {0};
        int count = 0;
        for (int r = 0; r < beam->live_count; r++) {
            int32_t prefix[BENCH_T], node = beam->live[r].node;
            double score[TINY_V];
            for (int t = beam->length; t-- > 0; node = beam->nodes[node].parent)
                prefix[t] = beam->nodes[node].token;
            naive_scores(b, n, s, prefix, beam->length, score);
            int forced = lng_beam_forced(beam);
            for (int v = 0; v < TINY_V; v++)
                if (score[v] > -INFINITY && (forced < 0 || forced == v))
                    list[count++] = (struct lng_candidate){beam->live[r].score + (float)score[v],
                                                           (float)score[v], r, v};
        }
        qsort(list, (size_t)count, sizeof *list, by_score);
        int most = 2 * beam->options->beam;
        check_ok(lng_beam_step(beam, list, count < most ? count : most, 0));
    }
}

/* Every sentence as recomputed; answers how many translations the plain search would have given otherwise. */
static int check_against_naive(struct bench *b, const struct lng_search_options *o)
{
    struct lng_search_options plain = *o;
    plain.steering = lng_steering_default();
    bench_run(b, &plain);
    struct bench_result *unsteered = bench_copy(b);
    bench_run(b, o);
    struct naive n = {.options = o};
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = BENCH_T, .sentences = 1};
    for (int m = 0; m <= o->steering.member_count; m++)
        check_ok(lng_workspace_open(&b->models[m], &limits, &n.workspaces[m]));
    struct lng_beam beam;
    struct lng_beam_options options = o->beam;
    options.eos = TINY_EOS;
    check_ok(lng_beam_init(&beam, &options, BENCH_T));
    for (int s = 0; s < b->corpus.count; s++) {
        naive_beam(b, &n, s, &beam);
        int count = beam.finished_count < options.n_best ? beam.finished_count : options.n_best;
        cr_assert(b->results[s].count == count, "sentence %d: %d hypotheses, expected %d", s,
                  b->results[s].count, count);
        for (int i = 0; i < count; i++) {
            int32_t tokens[BENCH_T], length = lng_beam_trace(&beam, i, tokens, NULL, NULL);
            cr_assert(b->results[s].best[i].length == length &&
                          memcmp(tokens, b->results[s].best[i].tokens,
                                 (size_t)length * sizeof *tokens) == 0,
                      "sentence %d rank %d", s, i);
            cr_assert(fabs(b->results[s].best[i].score - beam.finished[i].score) < 1e-4);
        }
        cr_assert(b->results[s].exact_stop == beam.exact_stop);
    }
    lng_beam_release(&beam);
    for (int m = 0; m <= o->steering.member_count; m++)
        lng_workspace_close(n.workspaces[m]);
    int changed = bench_differing(b, unsteered);
    lng_free(unsteered);
    return changed;
}

/* ---- each feature ---- */

/* The steered search with nothing to do finds the bits of the plain one. */
Test(steering, idle_is_the_plain_search)
{
    static const char *const devices[] = {"ref", "cpu"};
    for (int d = 0; d < 2; d++) {
        struct bench b;
        bench_open(&b, devices[d], 1, 20);
        struct lng_search_options o = bench_options(3, 3);
        o.beam.min_length = 4;
        bench_run(&b, &o);
        struct bench_result *plain = bench_copy(&b);
        o.steering.no_repeat_ngram = 1000;
        bench_run(&b, &o);
        cr_assert(bench_differing(&b, plain) == 0, "%s", devices[d]);
        lng_free(plain);
        bench_close(&b);
    }
}

Test(steering, repetition_penalty)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 16);
    struct lng_search_options o = bench_options(3, 2);
    o.steering.repetition_penalty = 1.6;
    cr_assert(check_against_naive(&b, &o) > 3);
    o.steering.repetition_penalty = 0.7; /* a bonus; log-probabilities are still not positive */
    cr_assert(check_against_naive(&b, &o) > 3);
    bench_close(&b);
}

Test(steering, no_repeat_ngram)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 16);
    struct lng_search_options o = bench_options(3, 2);
    for (int n = 1; n <= 2; n++) {
        o.steering.no_repeat_ngram = n;
        cr_assert(check_against_naive(&b, &o) > 3, "n = %d changed nothing", n);
        for (int s = 0; s < b.corpus.count; s++) {
            int32_t again[BENCH_T];
            const int32_t *tokens = b.results[s].best[0].tokens;
            for (int t = n; t < b.results[s].best[0].length; t++) {
                int count = lng_repeated_ngrams(tokens, t, n, again);
                for (int i = 0; i < count; i++)
                    cr_assert(again[i] != tokens[t], "sentence %d repeats at %d", s, t);
            }
        }
    }
    o.steering.repetition_penalty = 1.3;
    check_against_naive(&b, &o);
    bench_close(&b);
}

Test(steering, ensembles)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 14);
    const double weights[] = {0.7, 2, 0.5};
    struct lng_search_options o = bench_options(3, 2);
    o.steering.members = b.others;
    for (int kind = 0; kind < 4; kind++) {
        o.steering.member_count = 1 + kind % 2;
        o.steering.ensemble = kind / 2 ? LNG_ENSEMBLE_MEAN : LNG_ENSEMBLE_LOG_LINEAR;
        o.steering.weights = kind % 2 ? weights : NULL;
        cr_assert(check_against_naive(&b, &o) > 6, "kind %d", kind);
    }
    bench_close(&b);
}

/* The coverage penalty is recomputed from the attention that the search tells of. */
Test(steering, coverage_penalty)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 30);
    struct lng_search_options o = bench_options(4, 4);
    bench_run(&b, &o);
    struct bench_result *plain = bench_copy(&b);
    o.steering.coverage_penalty = 0.3;
    bench_run(&b, &o); /* without alignment */
    struct bench_result *without = bench_copy(&b);
    o.alignment = true;
    bench_run(&b, &o);
    int changed = 0;
    for (int s = 0; s < b.corpus.count; s++) {
        int source = b.corpus.offsets[s + 1] - b.corpus.offsets[s];
        const struct bench_result *r = &b.results[s];
        cr_assert(r->exact_stop);
        for (int i = 0; i < r->count; i++) {
            double base = lng_beam_score(&o.beam, r->best[i].total, r->best[i].length);
            double wanted = base + lng_coverage_penalty(0.3, r->best[i].cover, source);
            cr_assert(fabs(r->best[i].score - wanted) < 1e-5, "sentence %d rank %d: %g, %g", s, i,
                      r->best[i].score, wanted);
            cr_assert(r->best[i].score == without[s].best[i].score);
            cr_assert(i == 0 || r->best[i].score <= r->best[i - 1].score);
        }
        changed += r->best[0].total != plain[s].best[0].total;
    }
    cr_assert(changed > 3, "only %d translations changed", changed);
    lng_free(plain);
    lng_free(without);
    bench_close(&b);
}

Test(steering, shortlists)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 16);
    struct lng_search_options o = bench_options(3, 2);
    struct lng_shortlist few = bench_shortlist(2), all = bench_shortlist(TINY_V);
    o.steering.shortlist = &all; /* sums in another order, else the same */
    check_against_naive(&b, &o);
    struct lng_search_options plain = bench_options(3, 2);
    struct bench_result *shortened = bench_copy(&b);
    bench_run(&b, &plain);
    for (int s = 0; s < b.corpus.count; s++) {
        cr_assert(memcmp(shortened[s].best[0].tokens, b.results[s].best[0].tokens,
                         sizeof shortened[s].best[0].tokens) == 0);
        cr_assert(fabs(shortened[s].best[0].score - b.results[s].best[0].score) < 1e-5);
    }
    lng_free(shortened);
    o.steering.shortlist = &few;
    cr_assert(check_against_naive(&b, &o) > 6);
    o.steering.members = b.others; /* with everything else */
    o.steering.member_count = 2;
    o.steering.ensemble = LNG_ENSEMBLE_MEAN;
    o.steering.repetition_penalty = 1.2;
    o.steering.no_repeat_ngram = 2;
    check_against_naive(&b, &o);
    lng_shortlist_release(&few);
    lng_shortlist_release(&all);
    bench_close(&b);
}

/* A prefix need not be in the list. */
Test(steering, shortlist_with_a_prefix)
{
    static const int32_t prefix[] = {17, 16, 1};
    struct bench b;
    bench_open(&b, "cpu", 1, 10);
    struct lng_shortlist few = bench_shortlist(2);
    struct lng_search_options o = bench_options(2, 1);
    o.steering.shortlist = &few;
    b.prefix = prefix;
    b.prefix_length = 3;
    bench_run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        cr_assert(memcmp(b.results[s].best[0].tokens, prefix, sizeof prefix) == 0 &&
                  isfinite(b.results[s].best[0].total));
    lng_shortlist_release(&few);
    bench_close(&b);
}
