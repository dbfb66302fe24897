/* The only heap allocator of the project: counted, limitable, and able to fail on request.
 * Thread-safe. Memory from here is released with lng_free only. */
#ifndef LNG_HOST_BASE_MEM_H
#define LNG_HOST_BASE_MEM_H

#include <stddef.h>

#include "host/base/status.h"

/* `count` objects of `size` bytes, zeroed, 64-byte aligned. Zero bytes give a valid pointer.
 * NULL with the message set (LNG_ERR_MEMORY is the code to return) when memory, the limit, or
 * count * size overflows. */
void *lng_alloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));

/* Grows or shrinks; new bytes are zeroed. NULL on failure, `old` then stays valid. old may be NULL. */
void *lng_realloc(void *old, size_t count, size_t size) __attribute__((warn_unused_result));

/* NUL-terminated copies; NULL on failure as above. */
char *lng_strdup(const char *text) __attribute__((warn_unused_result));
char *lng_strndup(const char *text, size_t length) __attribute__((warn_unused_result));
/* printf into a fresh string. */
char *lng_format(const char *format, ...) __attribute__((format(printf, 1, 2), warn_unused_result));

/* NULL is fine. */
void lng_free(void *memory);

/* For what a library took from malloc and leaves to its caller (json_dumps, scandir, realpath). */
void lng_free_foreign(void *memory);

/* Makes room for `needed` elements in a growing array, doubling. Fails with LNG_ERR_MEMORY. */
LNG_MUST_CHECK enum lng_status lng_grow(void *array_pointer, size_t *capacity, size_t needed,
                                        size_t element_size);

struct lng_mem_stats {
    size_t bytes_live, bytes_peak, blocks_live, allocations;
};
struct lng_mem_stats lng_mem_get_stats(void);

/* What the process holds of the machine's memory now, code and libraries included; 0 where the system does not say. */
size_t lng_mem_resident(void);

/* No more than `bytes` alive at once; 0 lifts the limit. */
void lng_mem_set_limit(size_t bytes);

/* The n-th allocation from now (1 = next) fails, and `forever` says whether all later ones do too.
 * 0 switches it off. For tests. */
void lng_mem_fail_nth(size_t n, int forever);

#endif
