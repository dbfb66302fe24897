/* Samples, alternatives, penalties, ensembles and shortlists against a search that recomputes everything, and
 * against themselves in other batches, orders and numbers of threads. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "host/infer/decode.h"
#include "host/infer/penalties.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

enum { MAX_T = 64, MAX_N = 4 };

struct kept {
    int count;
    bool exact_stop;
    struct {
        int32_t tokens[MAX_T], length;
        float logprobs[MAX_T], cover[16];
        double total, score;
    } best[MAX_N];
};

/* A device, up to three models on it, and sentences. */
struct bench {
    struct lng_device *device;
    struct lng_model models[3];
    struct lng_model *others[2];
    struct tiny_corpus corpus;
    const int *shuffled;
    const int32_t *prefix;
    int prefix_length;
    struct kept *results;
};

static void bench_open(struct bench *b, const char *device, int threads, int sentences)
{
    struct lng_device_options options = {.threads = threads};
    struct lng_hparams h = tiny_hparams();
    memset(b, 0, sizeof *b);
    check_ok(lng_device_open(device, &options, &b->device));
    for (int i = 0; i < 3; i++) {
        h.decoder_layers = i == 1 ? 1 : 2; /* members need not be of one shape */
        h.dim = i == 1 ? 24 : 16;
        tiny_model_init(&b->models[i], b->device, &h, (uint64_t)(3 + i), 1.0f);
    }
    b->others[0] = &b->models[1];
    b->others[1] = &b->models[2];
    b->corpus = tiny_corpus_make(sentences, 12, 9);
    b->results = lng_alloc((size_t)sentences, sizeof *b->results);
}

static void bench_close(struct bench *b)
{
    lng_free(b->results);
    tiny_corpus_release(&b->corpus);
    for (int i = 0; i < 3; i++)
        lng_model_release(&b->models[i]);
    lng_device_close(b->device);
}

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct bench *b = context;
    int64_t s = b->shuffled ? b->shuffled[result->index] : result->index;
    struct kept *to = &b->results[s];
    int source = b->corpus.offsets[s + 1] - b->corpus.offsets[s];
    memset(to, 0, sizeof *to);
    to->count = result->count;
    to->exact_stop = result->exact_stop;
    for (int i = 0; i < result->count && i < MAX_N; i++) {
        const struct lng_hypothesis *h = &result->hypotheses[i];
        to->best[i].length = h->length;
        to->best[i].total = h->total;
        to->best[i].score = h->score;
        for (int t = 0; t < h->length && t < MAX_T; t++) {
            to->best[i].tokens[t] = h->tokens[t];
            to->best[i].logprobs[t] = h->logprobs[t];
            for (int j = 0; h->weights != NULL && j < source; j++)
                to->best[i].cover[j] += h->weights[t * source + j];
        }
    }
    return LNG_OK;
}

static void run(struct bench *b, const struct lng_search_options *options)
{
    struct lng_search_input *inputs = lng_alloc((size_t)b->corpus.count, sizeof *inputs);
    for (int i = 0; i < b->corpus.count; i++) {
        int s = b->shuffled ? b->shuffled[i] : i;
        inputs[i].source = b->corpus.ids + b->corpus.offsets[s];
        inputs[i].source_length = b->corpus.offsets[s + 1] - b->corpus.offsets[s];
        inputs[i].prefix = b->prefix;
        inputs[i].prefix_length = b->prefix_length;
    }
    struct lng_search *search;
    check_ok(lng_search_open(&b->models[0], options, &search));
    check_ok(lng_search_run(search, inputs, b->corpus.count, keep, b));
    lng_search_close(search);
    lng_free(inputs);
}

static struct lng_search_options options_for(int beam, int n)
{
    struct lng_search_options o = lng_search_options_default();
    o.beam.beam = beam;
    o.beam.n_best = n;
    o.beam.max_factor = 1.5;
    o.beam.max_extra = 6;
    return o;
}

static struct kept *copy_of(const struct bench *b)
{
    size_t count = (size_t)b->corpus.count;
    struct kept *copy = lng_alloc(count, sizeof *copy);
    memcpy(copy, b->results, count * sizeof *copy);
    return copy;
}

static int differing(const struct bench *b, const struct kept *other)
{
    int count = 0;
    for (int s = 0; s < b->corpus.count; s++)
        count += memcmp(b->results[s].best, other[s].best, sizeof other[s].best) != 0;
    return count;
}

/* ---- a search that recomputes, with the same bookkeeping (beam.h) ---- */

struct naive {
    struct lng_workspace *workspaces[3];
    const struct lng_search_options *options;
};

static void logprobs_of(struct bench *b, struct lng_workspace *workspace, int model, int s,
                        const int32_t *prefix, int length, const uint8_t *allowed, double *out)
{
    int32_t target[MAX_T + 1],
        source_offsets[2] = {0, b->corpus.offsets[s + 1] - b->corpus.offsets[s]};
    int32_t target_offsets[2] = {0, length + 1};
    float *logits = lng_alloc((size_t)(length + 1) * TINY_V, sizeof *logits);
    if (length > 0)
        memcpy(target, prefix, (size_t)length * sizeof *target);
    target[length] = TINY_EOS;
    struct lng_sequences source = {b->corpus.ids + b->corpus.offsets[s], source_offsets, NULL, 1};
    struct lng_sequences forced = {target, target_offsets, NULL, 1};
    check_ok(lng_model_logits(&b->models[model], workspace, &source, &forced, logits));
    const float *row = logits + (size_t)length * TINY_V;
    double sum = 0.0;
    for (int v = 0; v < TINY_V; v++)
        sum += !allowed || allowed[v] ? exp((double)row[v]) : 0.0;
    for (int v = 0; v < TINY_V; v++)
        out[v] = !allowed || allowed[v] ? (double)row[v] - log(sum) : -INFINITY;
    lng_free(logits);
}

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
        logprobs_of(b, n->workspaces[m], m, s, prefix, length, o->shortlist ? allowed : NULL, one);
        for (int v = 0; v < TINY_V; v++)
            sum[v] += mean ? w * exp(one[v]) : w * one[v];
    }
    int32_t again[MAX_T],
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
        struct lng_candidate list[MAX_N * TINY_V + 1] = {0};
        int count = 0;
        for (int r = 0; r < beam->live_count; r++) {
            int32_t prefix[MAX_T], node = beam->live[r].node;
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
    run(b, &plain);
    struct kept *unsteered = copy_of(b);
    run(b, o);
    struct naive n = {.options = o};
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = MAX_T, .sentences = 1};
    for (int m = 0; m <= o->steering.member_count; m++)
        check_ok(lng_workspace_open(&b->models[m], &limits, &n.workspaces[m]));
    struct lng_beam beam;
    struct lng_beam_options options = o->beam;
    options.eos = TINY_EOS;
    check_ok(lng_beam_init(&beam, &options, MAX_T));
    for (int s = 0; s < b->corpus.count; s++) {
        naive_beam(b, &n, s, &beam);
        int count = beam.finished_count < options.n_best ? beam.finished_count : options.n_best;
        cr_assert(b->results[s].count == count, "sentence %d: %d hypotheses, expected %d", s,
                  b->results[s].count, count);
        for (int i = 0; i < count; i++) {
            int32_t tokens[MAX_T], length = lng_beam_trace(&beam, i, tokens, NULL, NULL);
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
    int changed = differing(b, unsteered);
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
        struct lng_search_options o = options_for(3, 3);
        o.beam.min_length = 4;
        run(&b, &o);
        struct kept *plain = copy_of(&b);
        o.steering.no_repeat_ngram = 1000;
        run(&b, &o);
        cr_assert(differing(&b, plain) == 0, "%s", devices[d]);
        lng_free(plain);
        bench_close(&b);
    }
}

Test(steering, repetition_penalty)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 16);
    struct lng_search_options o = options_for(3, 2);
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
    struct lng_search_options o = options_for(3, 2);
    for (int n = 1; n <= 2; n++) {
        o.steering.no_repeat_ngram = n;
        cr_assert(check_against_naive(&b, &o) > 3, "n = %d changed nothing", n);
        for (int s = 0; s < b.corpus.count; s++) {
            int32_t again[MAX_T];
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
    struct lng_search_options o = options_for(3, 2);
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
    struct lng_search_options o = options_for(4, 4);
    run(&b, &o);
    struct kept *plain = copy_of(&b);
    o.steering.coverage_penalty = 0.3;
    run(&b, &o); /* without alignment */
    struct kept *without = copy_of(&b);
    o.alignment = true;
    run(&b, &o);
    int changed = 0;
    for (int s = 0; s < b.corpus.count; s++) {
        int source = b.corpus.offsets[s + 1] - b.corpus.offsets[s];
        const struct kept *r = &b.results[s];
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

/* Source word i: targets (7 i + 3 j) mod V, j < i mod 4. */
static struct lng_shortlist shortlist_make(int first)
{
    struct lng_shortlist list = {
        .first = first, .longest = 3, .source_words = TINY_V, .target_rows = TINY_V};
    list.offsets = lng_alloc(TINY_V + 1, sizeof *list.offsets);
    list.ids = lng_alloc(4 * TINY_V, sizeof *list.ids);
    int64_t count = 0;
    for (int i = 0; i < TINY_V; i++) {
        list.offsets[i] = count;
        for (int j = 0; j < i % 4; j++)
            list.ids[count++] = (7 * i + 3 * j) % TINY_V;
    }
    list.offsets[TINY_V] = count;
    return list;
}

Test(steering, shortlists)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 16);
    struct lng_search_options o = options_for(3, 2);
    struct lng_shortlist few = shortlist_make(2), all = shortlist_make(TINY_V);
    o.steering.shortlist = &all; /* sums in another order, else the same */
    check_against_naive(&b, &o);
    struct lng_search_options plain = options_for(3, 2);
    struct kept *shortened = copy_of(&b);
    run(&b, &plain);
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
    struct lng_shortlist few = shortlist_make(2);
    struct lng_search_options o = options_for(2, 1);
    o.steering.shortlist = &few;
    b.prefix = prefix;
    b.prefix_length = 3;
    run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        cr_assert(memcmp(b.results[s].best[0].tokens, prefix, sizeof prefix) == 0 &&
                  isfinite(b.results[s].best[0].total));
    lng_shortlist_release(&few);
    bench_close(&b);
}

/* ---- samples and alternatives ---- */

static struct lng_search_options sampling_for(int n)
{
    struct lng_search_options o = options_for(n, n);
    o.steering.choice = LNG_CHOICE_SAMPLE;
    return o;
}

/* First tokens of many samples are distributed as the model says; a hypothesis has its samples' probability. */
Test(steering, samples_follow_the_model)
{
    enum { SEEDS = 150 };
    struct bench b;
    bench_open(&b, "cpu", 1, 3);
    struct lng_search_options o = sampling_for(MAX_N);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = MAX_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    int seen[3][TINY_V] = {{0}}, repeated = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        o.steering.sampling.seed = (uint64_t)seed;
        o.steering.sampling.top_k =
            seed % 2 ? TINY_V : 0; /* both ways of choosing, the same choice */
        run(&b, &o);
        for (int s = 0; s < 3; s++) {
            cr_assert(b.results[s].count == MAX_N && !b.results[s].exact_stop);
            for (int i = 0; i < MAX_N; i++)
                seen[s][b.results[s].best[i].tokens[0]]++;
            repeated += b.results[s].best[0].total == b.results[s].best[1].total;
        }
    }
    for (int s = 0; s < 3; s++) {
        double logprob[TINY_V], whole = 0, squares = 0;
        logprobs_of(&b, workspace, 0, s, NULL, 0, NULL, logprob);
        for (int v = 0; v < TINY_V; v++)
            whole += v == TINY_UNK || v == TINY_PAD ? 0 : exp(logprob[v]);
        for (int v = 0; v < TINY_V; v++) {
            bool never = v == TINY_UNK || v == TINY_PAD;
            double wanted = SEEDS * MAX_N * exp(logprob[v]) / whole;
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
        logprobs_of(b, workspace, 0, s, tokens, t, NULL, logprob);
        for (int v = 0; v < TINY_V; v++)
            rounded[v] = (float)logprob[v];
        if (lng_sampling_draw(sampling, rounded, NULL, TINY_V, never, u, room) != tokens[t])
            return false;
    }
    return true;
}

/* Each hypothesis is one sample from its first token to its last, also where others ended before it. */
Test(steering, samples_keep_their_numbers)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 12);
    struct lng_search_options o = sampling_for(MAX_N);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = MAX_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++) {
        bool taken[MAX_N] = {false};
        for (int i = 0; i < MAX_N; i++) {
            int sample = 0;
            while (sample < MAX_N &&
                   (taken[sample] || !is_sample(&b, workspace, s, i, sample, &o.steering.sampling)))
                sample++;
            cr_assert(sample < MAX_N, "sentence %d: hypothesis %d is no sample", s, i);
            taken[sample] = true;
        }
    }
    lng_workspace_close(workspace);
    bench_close(&b);
}

/* What is drawn from one token is the best token; so is what is drawn when cold. */
Test(steering, samples_that_are_greedy)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 20);
    struct lng_search_options o = options_for(1, 1);
    run(&b, &o);
    struct kept *greedy = copy_of(&b);
    o = sampling_for(2);
    o.steering.sampling.top_k = 1;
    run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        for (int i = 0; i < 2; i++)
            cr_assert(memcmp(b.results[s].best[i].tokens, greedy[s].best[0].tokens,
                             sizeof greedy[s].best[0].tokens) == 0 &&
                      b.results[s].best[i].total == greedy[s].best[0].total);
    lng_free(greedy);
    bench_close(&b);
}

Test(steering, samples_keep_prefixes_and_limits)
{
    static const int32_t prefix[] = {5, 9};
    struct bench b;
    bench_open(&b, "cpu", 1, 12);
    b.prefix = prefix;
    b.prefix_length = 2;
    for (int top_k = 0; top_k < 8; top_k += 7) {
        struct lng_search_options o = sampling_for(3);
        o.steering.sampling.top_k = top_k;
        o.steering.sampling.top_p = 0.95;
        o.beam.min_length = 7;
        o.beam.max_length = 9;
        run(&b, &o);
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
Test(steering, alternatives)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 8);
    struct lng_search_options o = options_for(3, 3);
    o.steering.choice = LNG_CHOICE_ALTERNATIVES;
    run(&b, &o);
    struct kept *found = copy_of(&b);
    struct lng_batch_limits limits = {.source_rows = 32, .target_rows = MAX_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&b.models[0], &limits, &workspace));
    struct lng_search_options greedy = options_for(1, 1);
    for (int s = 0; s < b.corpus.count; s++) {
        double logprob[TINY_V];
        logprobs_of(&b, workspace, 0, s, NULL, 0, NULL, logprob);
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
            run(&b, &greedy);
            cr_assert(memcmp(b.results[s].best[0].tokens, found[s].best[i].tokens,
                             sizeof found[s].best[i].tokens) == 0);
        }
    }
    o.steering.min_alternative_probability = 0.999;
    b.prefix_length = 0;
    run(&b, &o);
    for (int s = 0; s < b.corpus.count; s++)
        cr_assert(b.results[s].count >= 1 && b.results[s].count < 3);
    lng_workspace_close(workspace);
    lng_free(found);
    bench_close(&b);
}

/* ---- independence of the batch ---- */

/* Everything at once, in three ways of choosing. */
static struct lng_search_options all_of_it(struct bench *b, const struct lng_shortlist *list,
                                           int kind)
{
    struct lng_search_options o = options_for(3, 3);
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

Test(steering, batch_invariance)
{
    enum { COUNT = 60 };
    struct lng_shortlist list = shortlist_make(5);
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
        run(&alone, &o);
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            struct bench b;
            bench_open(&b, "cpu", cases[c].threads, COUNT);
            o = all_of_it(&b, &list, kind);
            o.batch_sentences = cases[c].sentences;
            o.batch_tokens = cases[c].tokens;
            o.cache_bytes = cases[c].cache;
            b.shuffled = cases[c].shuffle ? shuffled : NULL;
            run(&b, &o);
            cr_assert(differing(&b, alone.results) == 0, "kind %d, case %zu", kind, c);
            bench_close(&b);
        }
        bench_close(&alone);
    }
    lng_shortlist_release(&list);
}

/* The two devices draw the same samples, and another seed draws others. */
Test(steering, samples_of_devices_and_seeds)
{
    struct bench a, b;
    bench_open(&a, "ref", 1, 30);
    bench_open(&b, "cpu", 2, 30);
    struct lng_search_options o = sampling_for(2);
    run(&a, &o);
    run(&b, &o);
    int same = 0;
    for (int s = 0; s < 30; s++)
        same += memcmp(a.results[s].best[0].tokens, b.results[s].best[0].tokens,
                       sizeof a.results[s].best[0].tokens) == 0;
    cr_assert(same == 30, "%d of 30 are the same", same);
    struct kept *first = copy_of(&b);
    o.steering.sampling.seed++;
    run(&b, &o);
    cr_assert(differing(&b, first) > 25);
    lng_free(first);
    bench_close(&a);
    bench_close(&b);
}

/* ---- what is refused ---- */

#define REFUSE(change, status, part)                                           \
    do {                                                                       \
        struct lng_search_options o = good;                                    \
        struct lng_search *search = NULL;                                      \
        change;                                                                \
        check_fails(lng_search_open(&b.models[0], &o, &search), status, part); \
        cr_assert(search == NULL);                                             \
    } while (0)

Test(steering, refused)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 2);
    struct lng_search_options good = sampling_for(2);
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
Test(steering, memory_fails)
{
    struct bench b;
    bench_open(&b, "cpu", 1, 3);
    struct lng_shortlist list = shortlist_make(5);
    struct lng_search_options o = all_of_it(&b, &list, 0);
    struct lng_search_input input = {.source = b.corpus.ids, .source_length = b.corpus.offsets[1]};
    int failures = 0;
    for (size_t n = 1;; n++) {
        struct lng_search *search = NULL;
        lng_mem_fail_nth(n, 1);
        enum lng_status status = lng_search_open(&b.models[0], &o, &search);
        if (status == LNG_OK)
            status = lng_search_run(search, &input, 1, keep, &b);
        lng_mem_fail_nth(0, 0);
        lng_search_close(search);
        if (status == LNG_OK)
            break;
        cr_assert(status == LNG_ERR_MEMORY, "allocation %zu: %s", n, lng_error_message());
        failures++;
    }
    cr_assert(failures > 30, "only %d", failures);
    lng_shortlist_release(&list);
    bench_close(&b);
}
