/* Worker threads of one device. The caller takes part; a worker that wakes late is not waited for, so
 * that a busy machine (or a fork, after which there are no workers) costs speed and nothing else. */
#ifndef LNG_KERNELS_CPU_POOL_H
#define LNG_KERNELS_CPU_POOL_H

#include <stdint.h>

#include "host/base/status.h"

struct lng_cpu_pool;

/* `thread` is 0 .. threads - 1: the index of the worker's own scratch. */
typedef void lng_cpu_task(void *context, int64_t task, int thread);

LNG_MUST_CHECK enum lng_status lng_cpu_pool_open(int threads, struct lng_cpu_pool **pool);
void lng_cpu_pool_close(struct lng_cpu_pool *pool);

/* Runs task 0 .. tasks - 1 in any order on any thread; returns when all are done. Which thread runs a
 * task must not change its result. One task, or one thread, runs on the caller. */
void lng_cpu_pool_run(struct lng_cpu_pool *pool, int64_t tasks, lng_cpu_task *function,
                      void *context);

#endif
