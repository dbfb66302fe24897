#include "tests/support/steering_bench.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

void bench_open(struct bench *b, const char *device, int threads, int sentences)
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

void bench_close(struct bench *b)
{
    lng_free(b->results);
    tiny_corpus_release(&b->corpus);
    for (int i = 0; i < 3; i++)
        lng_model_release(&b->models[i]);
    lng_device_close(b->device);
}

void bench_retype(struct bench *b, enum lng_dtype compute)
{
    for (int i = 0; i < 3; i++) {
        struct lng_model typed, *old = &b->models[i];
        float *values = lng_alloc((size_t)old->params.total, sizeof *values);
        check_ok(lng_model_get_values(old, values));
        check_ok(lng_model_init(&typed, b->device, &old->hparams, compute, false));
        check_ok(lng_model_set_values(&typed, values));
        lng_model_release(old);
        *old = typed;
        lng_free(values);
    }
}

enum lng_status bench_keep(void *context, const struct lng_search_result *result)
{
    struct bench *b = context;
    int64_t s = b->shuffled ? b->shuffled[result->index] : result->index;
    struct bench_result *to = &b->results[s];
    int source = b->corpus.offsets[s + 1] - b->corpus.offsets[s];
    memset(to, 0, sizeof *to);
    to->count = result->count;
    to->exact_stop = result->exact_stop;
    for (int i = 0; i < result->count && i < BENCH_N; i++) {
        const struct lng_hypothesis *h = &result->hypotheses[i];
        to->best[i].length = h->length;
        to->best[i].total = h->total;
        to->best[i].score = h->score;
        for (int t = 0; t < h->length && t < BENCH_T; t++) {
            to->best[i].tokens[t] = h->tokens[t];
            to->best[i].logprobs[t] = h->logprobs[t];
            for (int j = 0; h->weights != NULL && j < source; j++)
                to->best[i].cover[j] += h->weights[t * source + j];
        }
    }
    return LNG_OK;
}

void bench_run(struct bench *b, const struct lng_search_options *options)
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
    check_ok(lng_search_run(search, inputs, b->corpus.count, bench_keep, b));
    lng_search_close(search);
    lng_free(inputs);
}

struct lng_search_options bench_options(int beam, int n)
{
    struct lng_search_options o = lng_search_options_default();
    o.beam.beam = beam;
    o.beam.n_best = n;
    o.beam.max_factor = 1.5;
    o.beam.max_extra = 6;
    return o;
}

struct bench_result *bench_copy(const struct bench *b)
{
    size_t count = (size_t)b->corpus.count;
    struct bench_result *copy = lng_alloc(count, sizeof *copy);
    memcpy(copy, b->results, count * sizeof *copy);
    return copy;
}

int bench_differing(const struct bench *b, const struct bench_result *other)
{
    int count = 0;
    for (int s = 0; s < b->corpus.count; s++)
        count += memcmp(b->results[s].best, other[s].best, sizeof other[s].best) != 0;
    return count;
}

void bench_logprobs(struct bench *b, struct lng_workspace *workspace, int model, int s,
                    const int32_t *prefix, int length, const uint8_t *allowed, double *out)
{
    int32_t target[BENCH_T + 1],
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

struct lng_search_options bench_sampling(int n)
{
    struct lng_search_options o = bench_options(n, n);
    o.steering.choice = LNG_CHOICE_SAMPLE;
    return o;
}

struct lng_shortlist bench_shortlist(int first)
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
