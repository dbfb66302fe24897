#include "host/model/positions.h"

#include <math.h>

static float frequency(int64_t k, int64_t dim, enum lng_positions family)
{
    float half = (float)(dim / 2);
    if (family == LNG_POSITIONS_A) {
        /* Marian's f32 formula: exp(-k * ln(1e4) / (half - 1)). One pair only: frequency 1. */
        float step = half > 1.0f ? logf(10000.0f) / (half - 1.0f) : 0.0f;
        return expf(-(float)k * step);
    }
    return (float)pow(10000.0, -2.0 * (double)k / (double)dim);
}

void lng_positions_fill(float *table, int64_t rows, int64_t dim, enum lng_positions family)
{
    int64_t half = dim / 2;
    for (int64_t k = 0; k < half; k++) {
        float f = frequency(k, dim, family);
        for (int64_t p = 0; p < rows; p++) {
            float angle = (float)p * f;
            float *row = table + p * dim;
            row[family == LNG_POSITIONS_C ? 2 * k : k] = sinf(angle);
            row[family == LNG_POSITIONS_C ? 2 * k + 1 : half + k] = cosf(angle);
        }
    }
}
