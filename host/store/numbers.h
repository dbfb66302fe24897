/* Number formats of files, turned into f32 and back. Arrays may not overlap; files are little-endian. */
#ifndef LNG_HOST_STORE_NUMBERS_H
#define LNG_HOST_STORE_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "host/base/bf16.h"

/* IEEE half precision, subnormals, infinities and NaN included. */
static inline float lng_f16_value(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 0x1Fu;
    uint32_t mantissa = bits & 0x3FFu, word;
    if (exponent == 0) { /* mantissa * 2^-24, exact in f32 */
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    word = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112u) << 23) | mantissa << 13;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* Largest finite value of half precision. */
#define LNG_F16_MAX 65504.0f

/* Rounded to nearest, ties to even; what is too large becomes infinite, a NaN stays one. */
static inline uint16_t lng_f16_bits(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    uint32_t sign = word >> 16 & 0x8000u, magnitude = word & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) /* 65520: nearer to 2^16 than to the largest value */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude < 0x38800000u) { /* subnormal: the sum is rounded to a multiple of 2^-24 */
        float sum;
        memcpy(&sum, &magnitude, sizeof sum);
        sum += 0.5f;
        memcpy(&word, &sum, sizeof word);
        return (uint16_t)(sign | (word - 0x3F000000u));
    }
    magnitude += 0xFFFu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}

/* Place of the first value that is NaN or infinite, or `count`. */
static inline size_t lng_first_not_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, &values[i], sizeof word);
        if ((word & 0x7F800000u) == 0x7F800000u)
            return i;
    }
    return count;
}

#endif
