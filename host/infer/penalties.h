/* Penalties of a hypothesis, from its own tokens and its own attention. */
#ifndef LNG_HOST_INFER_PENALTIES_H
#define LNG_HOST_INFER_PENALTIES_H

#include <stdint.h>

/* Tokens that would complete n tokens in a row which are in `tokens` already: every token that follows, in them, the
 * last n - 1. out has room for `length`; returns how many (one may come several times). n >= 1. */
int32_t lng_repeated_ngrams(const int32_t *tokens, int32_t length, int32_t n, int32_t *out);

/* beta * sum of log(min(1, cover[j])) over j < length (Wu et al. 2016, eq. 14); cover is attention summed over
 * the target tokens so far. Not above 0. */
double lng_coverage_penalty(double beta, const float *cover, int32_t length);

#endif
