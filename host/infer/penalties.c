#include "host/infer/penalties.h"

#include <float.h>
#include <math.h>
#include <string.h>

int32_t lng_repeated_ngrams(const int32_t *tokens, int32_t length, int32_t n, int32_t *out)
{
    int32_t count = 0;
    if (length < n)
        return 0;
    const int32_t *last = tokens + length - (n - 1);
    for (int32_t i = 0; i + n <= length; i++)
        if (memcmp(tokens + i, last, (size_t)(n - 1) * sizeof *tokens) == 0)
            out[count++] = tokens[i + n - 1];
    return count;
}

double lng_coverage_penalty(double beta, const float *cover, int32_t length)
{
    double sum = 0.0;
    for (int32_t j = 0; j < length; j++)
        if (cover[j] < 1.0f) /* nothing at all is as bad as the least there is: no infinities */
            sum += log(fmax((double)cover[j], (double)FLT_MIN));
    return beta * sum;
}
