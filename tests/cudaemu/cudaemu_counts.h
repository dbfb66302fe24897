/* How much the double was given to do. Exported by the plugins on it, for tests. */
#ifndef LNG_TESTS_CUDAEMU_CUDAEMU_COUNTS_H
#define LNG_TESTS_CUDAEMU_CUDAEMU_COUNTS_H

#include <stdint.h>

/* Since the process began, on all devices. Each node of a graph counts whenever the graph is launched, and not when it
 * is captured. */
struct cudaemu_counts {
    uint64_t kernels; /* a product of cuBLASLt is one, as where it needs no second pass */
    uint64_t copies;
    uint64_t fills; /* cudaMemset */
    /* Calls in which the host waited for work that was not done: there is none unless LNG_CUDAEMU_ASYNC=1. */
    uint64_t waits;
    uint64_t
        idle; /* of them: after which no stream had anything left to do, so that the device stood still */
};
#ifdef __cplusplus
extern "C" {
#endif
__attribute__((visibility("default"))) void cudaemu_get_counts(struct cudaemu_counts *out);
#ifdef __cplusplus
}
#endif

#endif
