/* The inputs of golden.cu, made again by test_golden.c: numbers from a counter. C, C++ and CUDA. */
#ifndef LNG_TESTS_CUDAEMU_GOLDEN_INPUTS_H
#define LNG_TESTS_CUDAEMU_GOLDEN_INPUTS_H

#include <stdint.h>
#include <string.h>

enum {
    GOLDEN_CASES = 4, /* of each product: two of whole numbers, two of reals */
    GOLDEN_WHOLE = 2, /* cases below this one are exact in any order */
    GOLDEN_S8 =
        3, /* of int8, added to small numbers, to any, and to the ends of int32, where sums wrap */
    GOLDEN_COPIES = 64 /* pieces of 16 bytes: two groups of one a lane */
};
/* What a number is for. */
enum golden_use {
    GOLDEN_A,
    GOLDEN_B,
    GOLDEN_C,
    GOLDEN_TILE,
    GOLDEN_COPY,
    GOLDEN_A8,
    GOLDEN_B8,
    GOLDEN_C8
};

static inline uint32_t golden_bits(enum golden_use use, int number, int i)
{
    uint32_t x = (uint32_t)use * 0x9E3779B9u + (uint32_t)number * 0x85EBCA6Bu + (uint32_t)i;
    for (int round = 0; round < 3; round++) {
        x ^= x >> 16;
        x *= 0x7FEB352Du;
        x ^= x >> 15;
        x *= 0x846CA68Bu;
    }
    return x ^ x >> 16;
}
/* Four int8, -128 to 127, but -128 or 127 alone in the last case; and what they are added to. */
static inline uint32_t golden_bytes(enum golden_use use, int number, int i)
{
    const uint32_t bits = golden_bits(use, number, i);
    return number == GOLDEN_S8 - 1 ? (bits & 0x01010101u) * 0xFFu ^ 0x80808080u : bits;
}
static inline int32_t golden_s32(int number, int i)
{
    const uint32_t bits = golden_bits(GOLDEN_C8, number, i);
    if (number == 0)
        return (int32_t)(bits & 255) - 128;
    return (int32_t)(number == 1 ? bits : 0x7FFFFFFFu + (bits & 1));
}
/* -8 to 7 as a float, or a real in (-4, 4) that bf16 holds. */
static inline float golden_value(enum golden_use use, int number, int i)
{
    const uint32_t bits = golden_bits(use, number, i);
    if (number < GOLDEN_WHOLE)
        return (float)((int)(bits & 15) - 8);
    return (float)((int)(bits & 127) + 128) / 256.0f * (float)(1 << (bits >> 8 & 3)) *
           (bits >> 16 & 1 ? -0.5f : 0.5f);
}
static inline uint16_t golden_bf16(enum golden_use use, int number, int i)
{
    const float value = golden_value(use, number, i);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

#endif
