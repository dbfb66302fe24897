/* Batched search with caches against a search that recomputes everything, and against itself in other
 * batches, orders and numbers of threads. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/infer/decode.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"

enum { MAX_T = 80, MAX_N = 8 };

/* What a search gave for one sentence. */
struct kept {
    int count;
    bool exact_stop;
    struct {
        int32_t tokens[MAX_T];
        float logprobs[MAX_T];
        double weight_sum[MAX_T], first_weight[MAX_T];
        int32_t length;
        double total, score;
        enum lng_beam_end end;
    } best[MAX_N];
};

struct keeper {
    struct kept *results;
    const struct tiny_corpus *corpus;
    const int *shuffled; /* input i is sentence shuffled[i]; NULL = i */
    int calls, fail_at;
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct keeper *keeper = context;
    if (++keeper->calls == keeper->fail_at)
        return lng_fail(LNG_ERR_IO, "the callback failed");
    int64_t s = keeper->shuffled ? keeper->shuffled[result->index] : result->index;
    struct kept *to = &keeper->results[s];
    int source = keeper->corpus->offsets[s + 1] - keeper->corpus->offsets[s];
    to->count = result->count;
    to->exact_stop = result->exact_stop;
    for (int i = 0; i < result->count && i < MAX_N; i++) {
        const struct lng_hypothesis *h = &result->hypotheses[i];
        to->best[i].length = h->length;
        to->best[i].total = h->total;
        to->best[i].score = h->score;
        to->best[i].end = h->end;
        for (int t = 0; t < h->length && t < MAX_T; t++) {
            to->best[i].tokens[t] = h->tokens[t];
            to->best[i].logprobs[t] = h->logprobs[t];
            for (int j = 0; h->weights != NULL && j < source; j++)
                to->best[i].weight_sum[t] += (double)h->weights[t * source + j];
            to->best[i].first_weight[t] = h->weights ? (double)h->weights[t * source] : 0.0;
        }
    }
    return LNG_OK;
}

static struct kept *search_all(struct lng_model *model, const struct lng_search_options *options,
                               const struct tiny_corpus *corpus, const int *shuffled,
                               struct lng_search_stats *stats)
{
    struct kept *results = lng_alloc((size_t)corpus->count, sizeof *results);
    struct lng_search_input *inputs = lng_alloc((size_t)corpus->count, sizeof *inputs);
    for (int i = 0; i < corpus->count; i++) {
        int s = shuffled ? shuffled[i] : i;
        inputs[i].source = corpus->ids + corpus->offsets[s];
        inputs[i].source_length = corpus->offsets[s + 1] - corpus->offsets[s];
    }
    struct lng_search *search;
    check_ok(lng_search_open(model, options, &search));
    struct keeper keeper = {results, corpus, shuffled, 0, 0};
    check_ok(lng_search_run(search, inputs, corpus->count, keep, &keeper));
    cr_assert(keeper.calls == corpus->count);
    if (stats != NULL)
        *stats = lng_search_get_stats(search);
    lng_search_close(search);
    lng_free(inputs);
    return results;
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

static struct lng_device *open_device(const char *name, int threads)
{
    struct lng_device_options options = {.threads = threads};
    struct lng_device *device;
    check_ok(lng_device_open(name, &options, &device));
    return device;
}

/* ---- a search that recomputes the whole prefix at each step ---- */

struct naive {
    struct lng_model *model;
    struct lng_workspace *workspace;
    const int32_t *source;
    int32_t source_length;
};

/* log p(. | prefix) in double, from the logits of a full pass. */
static void naive_logprobs(const struct naive *n, const int32_t *prefix, int length, double *out)
{
    int32_t target[MAX_T + 1], source_offsets[2] = {0, n->source_length};
    int32_t target_offsets[2] = {0, length + 1};
    float *logits = lng_alloc((size_t)(length + 1) * TINY_V, sizeof *logits);
    memcpy(target, prefix, (size_t)length * sizeof *target);
    target[length] = TINY_EOS;
    struct lng_sequences source = {.ids = n->source, .offsets = source_offsets, .count = 1};
    struct lng_sequences forced = {.ids = target, .offsets = target_offsets, .count = 1};
    check_ok(lng_model_logits(n->model, n->workspace, &source, &forced, logits));
    const float *row = logits + (size_t)length * TINY_V;
    double most = -INFINITY, sum = 0.0;
    for (int v = 0; v < TINY_V; v++)
        most = fmax(most, (double)row[v]);
    for (int v = 0; v < TINY_V; v++)
        sum += exp((double)row[v] - most);
    for (int v = 0; v < TINY_V; v++)
        out[v] = (double)row[v] - most - log(sum);
    lng_free(logits);
}

struct naive_path {
    int32_t tokens[MAX_T];
    int length;
    double total, score;
};

static void naive_insert(struct naive_path *list, int *count, int capacity,
                         const struct naive_path *path, bool by_total)
{
    int at = *count;
    while (at > 0 &&
           (by_total ? list[at - 1].total < path->total : list[at - 1].score < path->score))
        at--;
    if (at >= capacity)
        return;
    if (*count < capacity)
        ++*count;
    memmove(&list[at + 1], &list[at], (size_t)(*count - 1 - at) * sizeof *list);
    list[at] = *path;
}

/* Beam search to the maximum length, by the definition in beam.h. Returns how many are in best. */
static int naive_beam(const struct naive *n, const struct lng_beam_options *o,
                      struct naive_path *best)
{
    enum { WIDTH = 16 };
    static struct naive_path live[WIDTH + 1], next[2 * WIDTH + 1];
    int live_count = 1, found = 0;
    int most = lng_beam_max_length(o, n->source_length, 0);
    live[0] = (struct naive_path){.length = 0};
    for (int t = 0; t < most && live_count > 0; t++) {
        int candidates = 0;
        for (int r = 0; r < live_count; r++) {
            double logprob[TINY_V];
            naive_logprobs(n, live[r].tokens, t, logprob);
            for (int v = 0; v < TINY_V; v++) {
                bool last = t + 1 == most;
                if (v == TINY_UNK || v == TINY_PAD || (last && v != TINY_EOS))
                    continue;
                struct naive_path path = live[r];
                path.tokens[path.length++] = v;
                path.total += logprob[v];
                path.score = lng_beam_score(o, path.total, path.length);
                naive_insert(next, &candidates, 2 * o->beam, &path, true);
            }
        }
        live_count = 0;
        for (int c = 0; c < candidates; c++) {
            if (next[c].tokens[t] == TINY_EOS)
                naive_insert(best, &found, o->n_best, &next[c], false);
            else if (live_count < o->beam)
                live[live_count++] = next[c];
        }
        if (o->beam == 1 && candidates > 0 && next[0].tokens[t] == TINY_EOS)
            break;
        if (o->beam == 1)
            found = 0;
    }
    return found;
}

/* Adds to what shows that the check was not idle. */
struct evidence {
    int by_eos, different;
};

static void check_against_naive(struct lng_model *model, const struct lng_search_options *o,
                                const struct tiny_corpus *corpus, struct evidence *evidence)
{
    struct lng_batch_limits limits = {.source_rows = 64, .target_rows = MAX_T, .sentences = 1};
    struct naive n = {.model = model};
    check_ok(lng_workspace_open(model, &limits, &n.workspace));
    struct kept *results = search_all(model, o, corpus, NULL, NULL);
    for (int s = 0; s < corpus->count; s++) {
        n.source = corpus->ids + corpus->offsets[s];
        n.source_length = corpus->offsets[s + 1] - corpus->offsets[s];
        struct naive_path best[MAX_N + 1];
        int found = naive_beam(&n, &o->beam, best);
        cr_assert(results[s].count == found, "sentence %d: %d, expected %d", s, results[s].count,
                  found);
        for (int i = 0; i < found; i++) {
            cr_assert(results[s].best[i].length == best[i].length, "sentence %d rank %d: %d, %d", s,
                      i, results[s].best[i].length, best[i].length);
            cr_assert(memcmp(results[s].best[i].tokens, best[i].tokens,
                             (size_t)best[i].length * sizeof(int32_t)) == 0);
            cr_assert(fabs(results[s].best[i].total - best[i].total) < 1e-4);
            cr_assert(fabs(results[s].best[i].score - best[i].score) < 1e-4);
            evidence->by_eos += results[s].best[i].end == LNG_BEAM_END_EOS;
        }
        evidence->different +=
            s > 0 && memcmp(results[s].best[0].tokens, results[s - 1].best[0].tokens,
                            sizeof results[s].best[0].tokens) != 0;
        cr_assert(results[s].exact_stop || o->beam.beam == 1);
    }
    lng_free(results);
    lng_workspace_close(n.workspace);
}

static const struct variant {
    const char *device;
    bool pre_norm;
    enum lng_positions positions;
    int position_offset, decoder_start;
    enum lng_attention_score score;
    float eos_bias;
} variants[] = {
    {"ref", false, LNG_POSITIONS_A, 0, -1, LNG_ATTENTION_DOT, 1.0f},
    {"cpu", false, LNG_POSITIONS_B, 0, TINY_PAD, LNG_ATTENTION_DOT, 1.0f},
    {"cpu", true, LNG_POSITIONS_A, 2, TINY_EOS, LNG_ATTENTION_DOT, 1.0f},
    {"cpu", false, LNG_POSITIONS_LEARNED, 0, -1, LNG_ATTENTION_ADDITIVE, 1.0f},
};

ParameterizedTestParameters(decode, equals_recomputing)
{
    static int indices[] = {0, 1, 2, 3};
    return cr_make_param_array(int, indices, 4);
}

ParameterizedTest(int *index, decode, equals_recomputing)
{
    const struct variant *v = &variants[*index];
    struct lng_hparams h = tiny_hparams();
    h.pre_norm = v->pre_norm;
    h.positions = v->positions;
    h.position_offset = v->position_offset;
    h.max_positions = 12; /* learned: longer sentences clamp */
    h.decoder_start = v->decoder_start;
    h.attention_score = v->score;
    struct lng_device *device = open_device(v->device, 1);
    struct lng_model model;
    tiny_model_init(&model, device, &h, 7, v->eos_bias);
    struct evidence evidence = {0, 0};
    struct tiny_corpus corpus = tiny_corpus_make(14, 9, 5);
    struct lng_search_options o = options_for(1, 1);
    check_against_naive(&model, &o, &corpus, &evidence);
    o = options_for(4, 4);
    check_against_naive(&model, &o, &corpus, &evidence);
    o.beam.rule = LNG_BEAM_RULE_WU;
    o.batch_sentences = 3;
    check_against_naive(&model, &o, &corpus, &evidence);
    cr_assert(evidence.by_eos > 20, "only %d hypotheses ended in EOS", evidence.by_eos);
    cr_assert(evidence.different > 10, "only %d translations differ", evidence.different);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
}

/* ---- independence of the batch ---- */

static void check_equal(const struct kept *a, const struct kept *b, int count, const char *what)
{
    for (int s = 0; s < count; s++) {
        cr_assert(a[s].count == b[s].count && a[s].exact_stop == b[s].exact_stop, "%s", what);
        for (int i = 0; i < a[s].count; i++)
            cr_assert(memcmp(&a[s].best[i], &b[s].best[i], sizeof a[s].best[i]) == 0,
                      "%s: sentence %d rank %d differs: %.9g, %.9g", what, s, i, a[s].best[i].score,
                      b[s].best[i].score);
    }
}

Test(decode, batch_invariance)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device = open_device("cpu", 1);
    struct lng_model model;
    tiny_model_init(&model, device, &h, 3, 0.5f);
    struct tiny_corpus corpus = tiny_corpus_make(200, 24, 9);
    int shuffled[200];
    for (int i = 0; i < 200; i++)
        shuffled[i] = (i * 77 + 13) % 200;
    struct lng_search_options o = options_for(3, 3);
    o.alignment = true;
    o.batch_sentences = 1;
    struct lng_search_stats alone, together;
    size_t roomy = 0;
    struct kept *expected = search_all(&model, &o, &corpus, NULL, &alone);
    static const struct {
        int sentences, tokens, threads;
        bool shuffle;
        size_t cache;
    } cases[] = {
        {2, 4096, 1, false, 0},  {7, 4096, 2, true, 0},   {0, 30, 1, true, 0},
        {0, 100000, 8, true, 0}, {64, 4096, 3, false, 0}, {64, 4096, 4, true, 100000},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct lng_device *other = open_device("cpu", cases[c].threads);
        struct lng_model copy;
        tiny_model_init(&copy, other, &h, 3, 0.5f);
        o.batch_sentences = cases[c].sentences;
        o.batch_tokens = cases[c].tokens;
        o.cache_bytes = cases[c].cache;
        struct kept *got =
            search_all(&copy, &o, &corpus, cases[c].shuffle ? shuffled : NULL, &together);
        char what[64];
        snprintf(what, sizeof what, "case %zu", c);
        check_equal(got, expected, corpus.count, what);
        cr_assert(together.rows == alone.rows, "%lld rows, %lld alone", (long long)together.rows,
                  (long long)alone.rows);
        cr_assert(together.steps < alone.steps, "case %zu did not batch", c);
        cr_assert(cases[c].cache == 0 || together.cache_bytes < roomy);
        roomy = together.cache_bytes;
        lng_free(got);
        lng_model_release(&copy);
        lng_device_close(other);
    }
    lng_free(expected);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
}

/* The score of a search is the teacher-forced score of what it found. */
static void check_scores(const char *name)
{
    struct lng_hparams h = tiny_hparams();
    struct lng_device *device = open_device(name, 1);
    struct lng_model model;
    tiny_model_init(&model, device, &h, 21, 0.5f);
    struct tiny_corpus corpus = tiny_corpus_make(24, 12, 2);
    struct lng_search_options o = options_for(4, 2);
    o.alignment = true;
    o.alignment_head = -1;
    struct kept *results = search_all(&model, &o, &corpus, NULL, NULL);
    struct lng_batch_limits limits = {.source_rows = 64, .target_rows = MAX_T, .sentences = 1};
    struct lng_workspace *workspace;
    check_ok(lng_workspace_open(&model, &limits, &workspace));
    for (int s = 0; s < corpus.count; s++) {
        for (int i = 0; i < results[s].count; i++) {
            int32_t source_offsets[2] = {0, corpus.offsets[s + 1] - corpus.offsets[s]};
            int32_t target_offsets[2] = {0, results[s].best[i].length};
            struct lng_sequences source = {corpus.ids + corpus.offsets[s], source_offsets, NULL, 1};
            struct lng_sequences target = {results[s].best[i].tokens, target_offsets, NULL, 1};
            float logprob[MAX_T];
            check_ok(lng_model_score(&model, workspace, &source, &target, logprob, NULL));
            check_close(results[s].best[i].logprobs, logprob, (size_t)target_offsets[1], 0, 1e-4);
            double total = 0.0;
            for (int t = 0; t < target_offsets[1]; t++) {
                total += (double)logprob[t];
                cr_assert(fabs(results[s].best[i].weight_sum[t] - 1.0) < 1e-5);
                cr_assert(source_offsets[1] < 3 || results[s].best[i].first_weight[t] < 0.9999);
            }
            cr_assert(fabs(total - results[s].best[i].total) < 1e-4);
        }
    }
    lng_workspace_close(workspace);
    lng_free(results);
    tiny_corpus_release(&corpus);
    lng_model_release(&model);
    lng_device_close(device);
}

/* Greedy search by logits alone finds the same, and says that it has no scores. */
Test(decode, greedy_without_scores)
{
    static const char *const names[] = {"ref", "cpu"};
    struct tiny_corpus corpus = tiny_corpus_make(120, 24, 11);
    for (int i = 0; i < 2; i++) {
        struct lng_device *device = open_device(names[i], 2);
        struct lng_hparams h = tiny_hparams();
        struct lng_model model;
        tiny_model_init(&model, device, &h, 3, 0.5f);
        struct lng_search_options o = options_for(1, 1);
        o.beam.min_length = 3;
        struct kept *with = search_all(&model, &o, &corpus, NULL, NULL);
        o.scores = false;
        struct kept *without = search_all(&model, &o, &corpus, NULL, NULL);
        for (int s = 0; s < corpus.count; s++) {
            const int32_t length = with[s].best[0].length;
            cr_assert(without[s].best[0].length == length &&
                          memcmp(without[s].best[0].tokens, with[s].best[0].tokens,
                                 (size_t)length * sizeof(int32_t)) == 0,
                      "%s, sentence %d: other tokens without scores", names[i], s);
            cr_assert(with[s].best[0].total < 0 && without[s].best[0].total == 0 &&
                      without[s].best[0].score == 0 && without[s].best[0].logprobs[0] == 0 &&
                      !without[s].exact_stop);
        }
        lng_free(with);
        lng_free(without);
        lng_model_release(&model);
        lng_device_close(device);
    }
    tiny_corpus_release(&corpus);
}

Test(decode, scores_are_teacher_forced_ref)
{
    check_scores("ref");
}

Test(decode, scores_are_teacher_forced_cpu)
{
    check_scores("cpu");
}

/* ---- restrictions, limits, failures ---- */

struct one {
    struct lng_device *device;
    struct lng_model model;
    struct tiny_corpus corpus;
    struct lng_search_input inputs[40];
    struct kept results[40];
    struct keeper keeper;
};

static struct one *one_open(float eos_bias)
{
    struct one *one = lng_alloc(1, sizeof *one);
    struct lng_hparams h = tiny_hparams();
    one->device = open_device("ref", 1);
    tiny_model_init(&one->model, one->device, &h, 5, eos_bias);
    one->corpus = tiny_corpus_make(40, 10, 4);
    for (int i = 0; i < 40; i++)
        one->inputs[i] = (struct lng_search_input){
            .source = one->corpus.ids + one->corpus.offsets[i],
            .source_length = one->corpus.offsets[i + 1] - one->corpus.offsets[i]};
    one->keeper = (struct keeper){.results = one->results, .corpus = &one->corpus};
    return one;
}

static void one_close(struct one *one)
{
    tiny_corpus_release(&one->corpus);
    lng_model_release(&one->model);
    lng_device_close(one->device);
    lng_free(one);
}

Test(decode, prefix_bans_and_length)
{
    struct one *one = one_open(0.5f);
    static const int32_t prefix[] = {9, TINY_UNK, 3}, banned[] = {2, 5, 7, 11};
    struct lng_search_options o = options_for(3, 2);
    o.banned = banned;
    o.banned_count = 4;
    o.beam.min_length = 6;
    struct lng_search *search;
    check_ok(lng_search_open(&one->model, &o, &search));
    one->inputs[3].prefix = prefix;
    one->inputs[3].prefix_length = 3;
    check_ok(lng_search_run(search, one->inputs, 40, keep, &one->keeper));
    for (int s = 0; s < 40; s++) {
        int32_t limit = lng_beam_max_length(&o.beam, one->inputs[s].source_length,
                                            one->inputs[s].prefix_length);
        for (int i = 0; i < one->results[s].count; i++) {
            const int32_t *tokens = one->results[s].best[i].tokens;
            int32_t length = one->results[s].best[i].length;
            cr_assert(length >= 6 && length <= limit && tokens[length - 1] == TINY_EOS);
            cr_assert((one->results[s].best[i].end == LNG_BEAM_END_MAX_LENGTH) ==
                      (length == limit));
            cr_assert(s != 3 || memcmp(tokens, prefix, sizeof prefix) == 0);
            for (int t = s == 3 ? 3 : 0; t < length; t++)
                cr_assert(tokens[t] != TINY_UNK && tokens[t] != TINY_PAD && tokens[t] != 2 &&
                          tokens[t] != 5 && tokens[t] != 7 && tokens[t] != 11);
        }
    }
    lng_search_close(search);
    one_close(one);
}

Test(decode, cut_at_the_maximum)
{
    struct one *one = one_open(-30.0f);
    struct lng_search_options o = options_for(2, 1);
    o.beam.limit = LNG_BEAM_LIMIT_CUT;
    struct lng_search *search;
    check_ok(lng_search_open(&one->model, &o, &search));
    check_ok(lng_search_run(search, one->inputs, 40, keep, &one->keeper));
    for (int s = 0; s < 40; s++) {
        int32_t limit = lng_beam_max_length(&o.beam, one->inputs[s].source_length, 0);
        cr_assert(one->results[s].best[0].length == limit);
        cr_assert(one->results[s].best[0].end == LNG_BEAM_END_MAX_LENGTH);
        cr_assert(one->results[s].best[0].tokens[limit - 1] != TINY_EOS);
    }
    lng_search_close(search);
    one_close(one);
}

/* A search survives failures and is used again, for longer sentences than before. */
Test(decode, failures_and_reuse)
{
    struct one *one = one_open(0.5f);
    size_t blocks = lng_mem_get_stats().blocks_live;
    struct lng_search_options o = options_for(3, 1);
    o.batch_sentences = 5;
    struct lng_search *search;
    check_ok(lng_search_open(&one->model, &o, &search));
    check_ok(lng_search_run(search, one->inputs, 0, keep, &one->keeper));
    check_ok(lng_search_run(search, one->inputs, 3, keep, &one->keeper));
    struct kept early = one->results[2];

    one->keeper.calls = 0;
    one->keeper.fail_at = 2;
    check_fails(lng_search_run(search, one->inputs, 40, keep, &one->keeper), LNG_ERR_IO,
                "the callback failed");
    one->keeper.fail_at = 0;
    check_ok(lng_search_run(search, one->inputs, 40, keep, &one->keeper));
    check_equal(&early, &one->results[2], 1, "after a failure");

    struct lng_search_input bad = {.source = one->corpus.ids, .source_length = 0};
    check_fails(lng_search_run(search, &bad, 1, keep, &one->keeper), LNG_ERR_RANGE, "source token");
    static const int32_t stray[] = {TINY_V}, eos[] = {4, TINY_EOS};
    bad = (struct lng_search_input){.source = stray, .source_length = 1};
    check_fails(lng_search_run(search, &bad, 1, keep, &one->keeper), LNG_ERR_RANGE, "vocabulary");
    bad = (struct lng_search_input){one->corpus.ids, 2, stray, 1, NULL, 0};
    check_fails(lng_search_run(search, &bad, 1, keep, &one->keeper), LNG_ERR_RANGE, "prefix");
    bad = (struct lng_search_input){one->corpus.ids, 2, eos, 2, NULL, 0};
    check_fails(lng_search_run(search, &bad, 1, keep, &one->keeper), LNG_ERR_RANGE, "prefix");
    bad = (struct lng_search_input){one->corpus.ids, 2, NULL, 0, NULL, -1};
    check_fails(lng_search_run(search, &bad, 1, keep, &one->keeper), LNG_ERR_RANGE, "exact length");
    check_ok(lng_search_run(search, one->inputs, 3, keep, &one->keeper));
    check_equal(&early, &one->results[2], 1, "after bad input");
    lng_search_close(search);

    for (size_t n = 1; n < 60; n++) { /* every allocation fails once */
        enum lng_status status;
        lng_mem_fail_nth(n, 0);
        status = lng_search_open(&one->model, &o, &search);
        if (status == LNG_OK) {
            status = lng_search_run(search, one->inputs, 4, keep, &one->keeper);
            lng_search_close(search);
        }
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
        cr_assert(n > 1 || status == LNG_ERR_MEMORY);
        cr_assert(lng_mem_get_stats().blocks_live == blocks, "a leak when allocation %zu fails", n);
    }
    one_close(one);
}

Test(decode, refuses)
{
    struct one *one = one_open(0.5f);
    struct lng_search *search = NULL;
    struct lng_search_options o = options_for(4, 5);
    check_fails(lng_search_open(&one->model, &o, &search), LNG_ERR_RANGE, "n-best");
    o = options_for(4, 1);
    o.batch_tokens = 0;
    check_fails(lng_search_open(&one->model, &o, &search), LNG_ERR_RANGE, "batch tokens");
    o = options_for(4, 1);
    o.alignment = true;
    o.alignment_layer = 2;
    check_fails(lng_search_open(&one->model, &o, &search), LNG_ERR_RANGE, "alignment");
    static const int32_t stray[] = {-1};
    o = options_for(4, 1);
    o.banned = stray;
    o.banned_count = 1;
    check_fails(lng_search_open(&one->model, &o, &search), LNG_ERR_RANGE, "banned");
    cr_assert(search == NULL);
    o = options_for(4, 1);
    o.cache_bytes = 1000;
    check_ok(lng_search_open(&one->model, &o, &search));
    check_fails(lng_search_run(search, one->inputs, 4, keep, &one->keeper), LNG_ERR_MEMORY,
                "smaller beam");
    lng_search_close(search);

    /* a damaged model is an error, not a translation */
    float *values = lng_alloc((size_t)one->model.params.total, sizeof *values);
    for (int64_t i = 0; i < one->model.params.total; i++)
        values[i] = NAN;
    check_ok(lng_model_set_values(&one->model, values));
    lng_free(values);
    o = options_for(4, 1);
    check_ok(lng_search_open(&one->model, &o, &search));
    cr_assert(lng_search_run(search, one->inputs, 4, keep, &one->keeper) == LNG_ERR_RANGE);
    lng_search_close(search);
    one_close(one);
}
