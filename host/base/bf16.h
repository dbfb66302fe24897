/* bfloat16: the upper half of an IEEE float. */
#ifndef LNG_HOST_BASE_BF16_H
#define LNG_HOST_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float lng_bf16_to_f32(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* Round to nearest even; a NaN stays a (quiet) NaN. */
static inline uint16_t lng_f32_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

#endif
