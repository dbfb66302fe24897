/* Confidence intervals and paired tests (Koehn 2004; Riezler and Maxwell 2005; Clark et al. 2011) as sacreBLEU has
 * them: the same resamples and trials from the same seed. */
#ifndef LNG_HOST_EVAL_SIGNIFICANCE_H
#define LNG_HOST_EVAL_SIGNIFICANCE_H

#include "host/eval/metric.h"

enum {
    LNG_BOOTSTRAP_SAMPLES = 1000, /* sacreBLEU's defaults */
    LNG_RANDOMIZATION_TRIALS = 10000,
    LNG_RESAMPLING_SEED = 12345,
};

/* The statistics of a system's segments, row by row: [segments, lng_metric_width]. Borrowed. */
struct lng_segment_rows {
    const double *rows;
    size_t segments; /* at least 1, below 2^32 */
};

/* scores [samples]: of corpora of as many segments, drawn with replacement. Two systems with the same number of
 * segments and the same seed get the same draws. */
void lng_bootstrap(const struct lng_metric *metric, const struct lng_segment_rows *system,
                   int64_t samples, uint64_t seed, double *scores);

struct lng_interval {
    double mean,
        half_width; /* of 95 %: mean of the scores, half the way from the 1/40 to the 39/40 quantile */
};
/* Sorts scores [samples]. */
struct lng_interval lng_interval_of(double *scores, int64_t samples);

/* p-value of a difference as large as `observed` (without its sign), from the bootstrap scores of both systems
 * [samples]: the share of resamples whose difference exceeds the mean difference by more. */
double lng_bootstrap_p(const double *baseline, const double *system, int64_t samples,
                       double observed);

/* p-value from trials in which each segment's outputs change places with probability 1/2: the share of those with a
 * larger difference than `observed`. */
double lng_randomization_p(const struct lng_metric *metric, const struct lng_segment_rows *baseline,
                           const struct lng_segment_rows *system, int64_t trials, uint64_t seed,
                           double observed);

#endif
