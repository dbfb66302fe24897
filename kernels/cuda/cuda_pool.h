/* Device memory: the only place that calls cudaMalloc. Blocks that are given back are kept and handed out
 * again; all work is on one stream, so a block may be used again at once. */
#ifndef LNG_KERNELS_CUDA_CUDA_POOL_H
#define LNG_KERNELS_CUDA_CUDA_POOL_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/backend.h"

struct cuda_pool;

LNG_MUST_CHECK enum lng_status cuda_pool_open(struct cuda_pool **pool);
/* Gives everything back to CUDA, blocks still in use too. */
void cuda_pool_close(struct cuda_pool *pool);
/* 256-byte aligned, contents anything. While operations are recorded only what lies idle can be had.
 * LNG_ERR_MEMORY says what is free and what to do. */
LNG_MUST_CHECK enum lng_status cuda_pool_take(struct cuda_pool *pool, struct lng_device *device,
                                              size_t bytes, void **memory);
/* Bytes in blocks that nobody uses. */
size_t cuda_pool_idle(const struct cuda_pool *pool);
void cuda_pool_give(struct cuda_pool *pool, void *memory);
/* Blocks that nobody uses back to CUDA. Nothing that is queued may use them any more. */
void cuda_pool_trim(struct cuda_pool *pool);
/* How many blocks were ever given back: while it stays the same, every address means what it did. */
uint64_t cuda_pool_given(const struct cuda_pool *pool);

#endif
