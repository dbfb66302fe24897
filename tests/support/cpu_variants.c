#include "tests/support/cpu_variants.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "host/base/mem.h"
#include "host/base/philox.h"

static const struct {
    const char *isa;
    int threads;
} variants[CPU_VARIANTS] = {{"base", 1}, {"avx2", 1}, {"avx512", 1}, {"amx", 1},
                            {"base", 3}, {"avx2", 2}, {"avx512", 4}, {"amx", 2}};

struct lng_device *cpu_variant_open(int variant)
{
    struct lng_device *device = NULL;
    setenv("LNG_CPU_ISA", variants[variant].isa, 1);
    enum lng_status status = lng_device_open(
        "cpu", &(struct lng_device_options){.threads = variants[variant].threads}, &device);
    unsetenv("LNG_CPU_ISA");
    if (status == LNG_ERR_UNSUPPORTED && variant % CPU_ISAS > 0)
        return NULL;
    cr_assert(status == LNG_OK, "%s", lng_error_message());
    return device;
}

const char *cpu_variant_name(int variant)
{
    static char name[64];
    snprintf(name, sizeof name, "%s, %d thread(s)", variants[variant].isa,
             variants[variant].threads);
    return name;
}

struct lng_device *cpu_open(int threads)
{
    struct lng_device *device = NULL;
    enum lng_status status =
        lng_device_open("cpu", &(struct lng_device_options){.threads = threads}, &device);
    cr_assert(status == LNG_OK, "%s", lng_error_message());
    return device;
}

bool cpu_has_bf16(void)
{
    struct lng_device *device = cpu_open(1);
    bool has = lng_device_supports(device, LNG_DTYPE_BF16) == LNG_OK;
    lng_device_close(device);
    return has;
}

void cpu_fill(float *values, size_t count, double magnitude, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word = lng_philox4x32((uint32_t)i, 0, 0, 0, seed, 77).word[0];
        values[i] = (float)((2 * lng_philox_uniform(word) - 1) * magnitude);
    }
}

float *cpu_random(size_t count, double magnitude, uint32_t seed)
{
    float *values = lng_alloc(count, sizeof *values);
    cr_assert(values != NULL, "%s", lng_error_message());
    if (magnitude > 0)
        cpu_fill(values, count, magnitude, seed);
    return values;
}

double cpu_worst(const float *got, const float *want, size_t count, double absolute)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        if (got[i] == want[i])
            continue;
        double error = fabs((double)got[i] - want[i]) / (absolute + fabs((double)want[i]));
        if (!(error <= worst))
            worst = isnan(error) ? INFINITY : error;
    }
    return worst;
}
