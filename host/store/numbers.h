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
