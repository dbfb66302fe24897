/* Memory of weights: pieces of large blocks, so that huge pages hold them. Alone, a matrix of a megabyte would lie on small
 * pages, and calling its panels into the cache ahead of time would wait for as many address translations (in a virtual
 * machine a tenth of the products' time). */
#ifndef LNG_KERNELS_CPU_SLAB_H
#define LNG_KERNELS_CPU_SLAB_H

#include <stddef.h>

struct lng_cpu_slab; /* a list of blocks, the newest first; NULL: none */

/* Zeros, a multiple of 64 bytes from the block's begin; NULL: there is no memory. */
void *lng_cpu_slab_take(struct lng_cpu_slab **slabs, size_t bytes)
    __attribute__((warn_unused_result));
/* A block goes with its last piece. NULL is fine. */
void lng_cpu_slab_give(struct lng_cpu_slab **slabs, void *piece);

#endif
