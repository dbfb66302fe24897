#include "host/eval/significance.h"

#include <math.h>
#include <stdlib.h>

#include "host/eval/numpy_random.h"

static double score_of(const struct lng_metric *metric, const double *row)
{
    union lng_statistics sums = {0};
    lng_metric_from_row(metric, row, &sums);
    return lng_metric_score(metric, &sums);
}

void lng_bootstrap(const struct lng_metric *metric, const struct lng_segment_rows *system,
                   int64_t samples, uint64_t seed, double *scores)
{
    struct lng_numpy_random random;
    size_t width = lng_metric_width(metric);
    lng_numpy_random_init(&random, seed);
    for (int64_t sample = 0; sample < samples; sample++) {
        double sums[LNG_METRIC_MAX_WIDTH] = {0};
        for (size_t s = 0; s < system->segments; s++) {
            size_t drawn = lng_numpy_random_below(&random, (uint32_t)system->segments);
            const double *row = system->rows + drawn * width;
            for (size_t i = 0; i < width; i++)
                sums[i] += row[i];
        }
        scores[sample] = score_of(metric, sums);
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

struct lng_interval lng_interval_of(double *scores, int64_t samples)
{
    struct lng_interval interval = {0};
    qsort(scores, (size_t)samples, sizeof *scores, compare);
    for (int64_t i = 0; i < samples; i++)
        interval.mean += scores[i];
    interval.mean /= (double)samples;
    int64_t low = samples / 40;
    interval.half_width = 0.5 * (scores[samples - 1 - low] - scores[low]);
    return interval;
}

double lng_bootstrap_p(const double *baseline, const double *system, int64_t samples,
                       double observed)
{
    double mean = 0;
    for (int64_t i = 0; i < samples; i++)
        mean += fabs(system[i] - baseline[i]);
    mean /= (double)samples;
    int64_t larger = 0;
    for (int64_t i = 0; i < samples; i++)
        larger += fabs(system[i] - baseline[i]) - mean > observed;
    return (double)(larger + 1) / (double)(samples + 1);
}

double lng_randomization_p(const struct lng_metric *metric, const struct lng_segment_rows *baseline,
                           const struct lng_segment_rows *system, int64_t trials, uint64_t seed,
                           double observed)
{
    struct lng_numpy_random random;
    size_t width = lng_metric_width(metric), segments = baseline->segments;
    double both[LNG_METRIC_MAX_WIDTH] = {0};
    int64_t larger = 0;
    for (size_t i = 0; i < segments * width; i++)
        both[i % width] += baseline->rows[i] + system->rows[i];
    lng_numpy_random_init(&random, seed);
    for (int64_t trial = 0; trial < trials; trial++) {
        double first[LNG_METRIC_MAX_WIDTH] = {0}, second[LNG_METRIC_MAX_WIDTH];
        for (size_t s = 0; s < segments; s++) {
            bool keep = lng_numpy_random_bit(&random);
            const double *row = (keep ? baseline : system)->rows + s * width;
            for (size_t i = 0; i < width; i++)
                first[i] += row[i];
        }
        for (size_t i = 0; i < width; i++)
            second[i] = both[i] - first[i]; /* what the other one got */
        larger += fabs(score_of(metric, first) - score_of(metric, second)) > observed;
    }
    return (double)(larger + 1) / (double)(trials + 1);
}
