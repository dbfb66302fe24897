/* Stands between the readers and libFuzzer's record of comparisons (linked with --wrap), which costs more than
 * the readers themselves. Left out is what libFuzzer makes nothing of without -use_value_profile: comparisons of one
 * and two bytes, of equals, and with zero, which is what the checks of UndefinedBehaviorSanitizer
 * compare every pointer with. The rest becomes words that are tried in the input, as always. */
#include <stdint.h>

#define LNG_COMPARED(name, type)                                                               \
    void __real___sanitizer_cov_trace_##name(type, type);                                      \
    void __wrap___sanitizer_cov_trace_##name(type, type);                                      \
    __attribute__((no_sanitize("coverage", "address",                                          \
                               "undefined"))) void __wrap___sanitizer_cov_trace_##name(type a, \
                                                                                       type b) \
    {                                                                                          \
        if (sizeof a > 2 && a != b && a != 0)                                                  \
            __real___sanitizer_cov_trace_##name(a, b);                                         \
    }

LNG_COMPARED(cmp1, uint8_t)
LNG_COMPARED(cmp2, uint16_t)
LNG_COMPARED(cmp4, uint32_t)
LNG_COMPARED(cmp8, uint64_t)
LNG_COMPARED(const_cmp1, uint8_t)
LNG_COMPARED(const_cmp2, uint16_t)
LNG_COMPARED(const_cmp4, uint32_t)
LNG_COMPARED(const_cmp8, uint64_t)
