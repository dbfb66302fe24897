/* Seconds that only go forward. */
#ifndef LNG_HOST_BASE_CLOCK_H
#define LNG_HOST_BASE_CLOCK_H

#include <time.h>

static inline double lng_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Processor time of all threads of this process, in seconds. */
static inline double lng_clock_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
