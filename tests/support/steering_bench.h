/* Searches with steering.h over small random models, and what they found. All assert on failure. */
#ifndef LNG_TESTS_SUPPORT_STEERING_BENCH_H
#define LNG_TESTS_SUPPORT_STEERING_BENCH_H

#include "host/infer/decode.h"
#include "tests/support/tiny_model.h"

enum { BENCH_T = 64, BENCH_N = 4 };

struct bench_result {
    int count;
    bool exact_stop;
    struct bench_hypothesis {
        int32_t tokens[BENCH_T], length;
        float logprobs[BENCH_T], cover[16];
        double total, score;
    } best[BENCH_N];
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
    struct bench_result *results;
};

void bench_open(struct bench *b, const char *device, int threads, int sentences);
void bench_close(struct bench *b);
/* The same models with other products. */
void bench_retype(struct bench *b, enum lng_dtype compute);

/* Searches all sentences, in the order of `shuffled`; results [sentences] are in the corpus's own order. */
void bench_run(struct bench *b, const struct lng_search_options *options);
/* The lng_search_done of it; the context is the bench. */
enum lng_status bench_keep(void *bench, const struct lng_search_result *result);
/* Results, to keep; lng_free. */
struct bench_result *bench_copy(const struct bench *b);
/* How many sentences have other hypotheses there. */
int bench_differing(const struct bench *b, const struct bench_result *other);

/* out [TINY_V]: log-probabilities of what follows `prefix` in sentence s, among the allowed tokens (NULL = all), by a
 * pass over the whole of it. */
void bench_logprobs(struct bench *b, struct lng_workspace *workspace, int model, int s,
                    const int32_t *prefix, int length, const uint8_t *allowed, double *out);

struct lng_search_options bench_options(int beam, int n_best);
struct lng_search_options bench_sampling(int samples);
/* Source word i: targets (7 i + 3 j) mod V, j < i mod 4. lng_shortlist_release. */
struct lng_shortlist bench_shortlist(int first);

#endif
