/* The CPU device in each form this machine can run: instruction set and number of threads. Its memory
 * is host memory, so tests hand the same plain arrays to it and to ref. */
#ifndef TESTS_SUPPORT_CPU_VARIANTS_H
#define TESTS_SUPPORT_CPU_VARIANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"

/* The second half is the first with more threads. */
enum { CPU_ISAS = 4, CPU_VARIANTS = 2 * CPU_ISAS };

/* Opens variant 0 .. CPU_VARIANTS - 1; NULL when the machine lacks its instruction set. Fails the
 * running test on any other error. */
struct lng_device *cpu_variant_open(int variant);
/* "avx2, 1 thread" */
const char *cpu_variant_name(int variant);
/* The fastest form with `threads` threads. */
struct lng_device *cpu_open(int threads);

/* Whether the cpu computes in bf16 here: not every machine's does, nor with every LNG_CPU_ISA. */
bool cpu_has_bf16(void);

/* Reproducible values in (-magnitude, magnitude); each call with its own seed. */
void cpu_fill(float *values, size_t count, double magnitude, uint32_t seed);
/* New memory with such values (magnitude 0: zeros); lng_free it. */
float *cpu_random(size_t count, double magnitude, uint32_t seed);

/* Largest |got - want| / (absolute + |want|). */
double cpu_worst(const float *got, const float *want, size_t count, double absolute);

#endif
