#include "host/base/arena.h"

void lng_arena_init_measuring(struct lng_arena *arena)
{
    *arena = (struct lng_arena){.capacity = SIZE_MAX};
}

void lng_arena_init(struct lng_arena *arena, void *base, size_t capacity)
{
    *arena = (struct lng_arena){.base = base, .capacity = capacity};
}

void *lng_arena_take(struct lng_arena *arena, size_t count, size_t size)
{
    size_t start =
        (arena->used + LNG_ARENA_ALIGNMENT - 1) / LNG_ARENA_ALIGNMENT * LNG_ARENA_ALIGNMENT;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || start < arena->used ||
        bytes > SIZE_MAX / 2 || start > SIZE_MAX / 2 - bytes) {
        arena->overflowed = 1;
        return NULL;
    }
    arena->used = start + bytes;
    if (arena->used > arena->capacity) {
        arena->overflowed = 1;
        return NULL;
    }
    return arena->base ? arena->base + start : NULL;
}

enum lng_status lng_arena_check(const struct lng_arena *arena)
{
    LNG_FAIL_IF(arena->overflowed, LNG_ERR_MEMORY,
                "the plan needs %zu bytes but %zu were set aside: use a smaller batch", arena->used,
                arena->capacity);
    return LNG_OK;
}
