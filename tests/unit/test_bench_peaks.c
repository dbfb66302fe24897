/* The nominal speeds of GPUs: the right row for the names that drivers give. */
#include <criterion/criterion.h>

#include "host/cli/bench.h"

Test(bench_peaks, by_name)
{
    static const struct {
        const char *name;
        double bf16, int8;
    } cases[] = {
        {"NVIDIA H200", 989.5e3, 1979e3},
        {"NVIDIA H100 80GB HBM3", 989.5e3, 1979e3},
        {"NVIDIA H100 PCIe", 756e3, 1513e3},
        {"NVIDIA A100-SXM4-40GB", 312e3, 624e3},
        {"NVIDIA A100 80GB PCIe", 312e3, 624e3},
        {"NVIDIA A10", 125e3, 250e3},
        {"NVIDIA A10G", 70e3, 140e3},
        {"NVIDIA L40S", 362e3, 733e3},
        {"NVIDIA L4", 121e3, 242e3},
        {"emulated CUDA device", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(lng_bench_nominal_peak(cases[i].name, LNG_DTYPE_BF16) == cases[i].bf16, "%s",
                  cases[i].name);
        cr_assert(lng_bench_nominal_peak(cases[i].name, LNG_DTYPE_I8) == cases[i].int8, "%s",
                  cases[i].name);
    }
    cr_assert(lng_bench_nominal_peak("NVIDIA B200", LNG_DTYPE_F32) == 0, "not known");
    cr_assert(lng_bench_nominal_peak("NVIDIA H200", LNG_DTYPE_F64) == 0);
}
