/* One token drawn at random from log-probabilities: temperature, then the top k, then the top p of those. */
#ifndef LNG_HOST_INFER_SAMPLING_H
#define LNG_HOST_INFER_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

enum { LNG_SAMPLING_MOST_TOP_K = 1000 };

struct lng_sampling {
    double temperature; /* probabilities ~ exp(log p / temperature); > 0 */
    double top_p;       /* of the most probable tokens, those that make up p; (0, 1] */
    int32_t top_k;      /* of them at most k; 0 = all, else up to LNG_SAMPLING_MOST_TOP_K */
    uint64_t seed;
};

struct lng_sampling_item {
    double weight;
    int32_t index, token;
};

/* A number in (0, 1), a function of these alone (Philox). sentence: a hash of the source tokens; place: of the
 * token in the translation; sample: which of several of one sentence. */
double lng_sampling_uniform(uint64_t seed, uint64_t sentence, uint32_t place, uint32_t sample);

/* The index of the token drawn, or -1 when none has a probability above 0. logprobs [count] need not sum to 1;
 * tokens [count] are their ids, NULL = 0, 1, 2, ...; never (may be NULL): tokens with never[token] != 0 are left
 * out. Among what is kept the number decides in the order of ids, so that where two devices round
 * log-probabilities differently they hardly ever draw differently. room [count] is scratch. */
int64_t lng_sampling_draw(const struct lng_sampling *sampling, const float *logprobs,
                          const int32_t *tokens, int64_t count, const uint8_t *never,
                          double uniform, struct lng_sampling_item *room);

#endif
