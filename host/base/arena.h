/* Carves one large block into aligned pieces. With base NULL it only measures, so that the code that
 * lays out memory is also the code that says how much it needs. Works on device memory too: nothing
 * here reads or writes what base points at. */
#ifndef LNG_HOST_BASE_ARENA_H
#define LNG_HOST_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

enum { LNG_ARENA_ALIGNMENT = 256 };

struct lng_arena {
    unsigned char *base; /* borrowed; NULL = measuring */
    size_t used, capacity;
    int overflowed; /* a take went past capacity; lng_arena_check reports it */
};

/* Measuring arena: every take answers NULL and only counts. */
void lng_arena_init_measuring(struct lng_arena *arena);
void lng_arena_init(struct lng_arena *arena, void *base, size_t capacity);

/* `count * size` bytes aligned to LNG_ARENA_ALIGNMENT. NULL when measuring or past capacity. */
void *lng_arena_take(struct lng_arena *arena, size_t count, size_t size);

/* Rewinds to an earlier `used`: scratch that a later piece may reuse. */
static inline size_t lng_arena_mark(const struct lng_arena *arena)
{
    return arena->used;
}
static inline void lng_arena_rewind(struct lng_arena *arena, size_t mark)
{
    arena->used = mark;
}

/* LNG_ERR_MEMORY when any take did not fit (says how much was needed). */
LNG_MUST_CHECK enum lng_status lng_arena_check(const struct lng_arena *arena);

#endif
