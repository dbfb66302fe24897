#include "tests/support/check.h"

#include <math.h>
#include <stdio.h>

static double element(const void *values, bool wide, size_t i)
{
    return wide ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static bool close_to(const void *got, const void *want, bool wide, size_t count, double relative,
                     double absolute, char *report, size_t capacity)
{
    size_t bad = 0, first = 0, worst = 0;
    double worst_excess = -INFINITY, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double g = element(got, wide, i), w = element(want, wide, i);
        double difference = g == w ? 0 : fabs(g - w);
        double excess = difference - (absolute + relative * fabs(w));
        bool fine = g == w || (isfinite(w) && excess <= 0);
        if (!fine && !isfinite(excess))
            excess = INFINITY;
        if (difference > largest)
            largest = difference;
        if (!fine && bad++ == 0)
            first = i;
        if (!fine && excess > worst_excess) {
            worst_excess = excess;
            worst = i;
        }
    }
    if (bad > 0)
        snprintf(report, capacity,
                 "%zu of %zu differ (relative %g, absolute %g); first [%zu] got %.9g want %.9g, "
                 "worst [%zu] got %.9g want %.9g; largest difference %.3g",
                 bad, count, relative, absolute, first, element(got, wide, first),
                 element(want, wide, first), worst, element(got, wide, worst),
                 element(want, wide, worst), largest);
    return bad == 0;
}

bool lng_test_close_f32(const float *got, const float *want, size_t count, double relative,
                        double absolute, char *report, size_t capacity)
{
    return close_to(got, want, false, count, relative, absolute, report, capacity);
}

bool lng_test_close_f64(const double *got, const double *want, size_t count, double relative,
                        double absolute, char *report, size_t capacity)
{
    return close_to(got, want, true, count, relative, absolute, report, capacity);
}

static bool mostly_zero(const void *values, bool wide, size_t count)
{
    size_t zeros = 0;
    for (size_t i = 0; i < count; i++)
        zeros += element(values, wide, i) == 0;
    return count > 0 && zeros * 2 > count;
}

bool lng_test_mostly_zero_f32(const float *values, size_t count)
{
    return mostly_zero(values, false, count);
}

bool lng_test_mostly_zero_f64(const double *values, size_t count)
{
    return mostly_zero(values, true, count);
}
