#include "host/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"

static void carve(struct lng_arena *arena, float **a, char **b, double **c)
{
    *a = lng_arena_take(arena, 100, sizeof **a);
    *b = lng_arena_take(arena, 1, 1);
    *c = lng_arena_take(arena, 7, sizeof **c);
}

Test(arena, measuring_equals_carving)
{
    struct lng_arena arena;
    float *a;
    char *b;
    double *c;
    lng_arena_init_measuring(&arena);
    carve(&arena, &a, &b, &c);
    cr_assert(a == NULL && b == NULL && c == NULL);
    check_ok(lng_arena_check(&arena));
    size_t needed = arena.used;
    cr_assert(needed == 512 + 256 + 56);
    char *memory = lng_alloc(needed + 256, 1);
    char *base = memory + (-(uintptr_t)memory & 255);
    lng_arena_init(&arena, base, needed);
    carve(&arena, &a, &b, &c);
    check_ok(lng_arena_check(&arena));
    cr_assert(arena.used == needed);
    cr_assert((char *)a == base && b == base + 512 && (char *)c == base + 768);
    lng_free(memory);
}

Test(arena, too_small_is_reported_not_overrun)
{
    char memory[300];
    struct lng_arena arena;
    lng_arena_init(&arena, memory, sizeof memory);
    cr_assert(lng_arena_take(&arena, 1, 300) == memory);
    cr_assert(lng_arena_take(&arena, 1, 1) == NULL);
    cr_assert(lng_arena_take(&arena, 1, 1) == NULL);
    check_fails(lng_arena_check(&arena), LNG_ERR_MEMORY, "smaller batch");
}

Test(arena, overflow_is_reported)
{
    struct lng_arena arena;
    lng_arena_init_measuring(&arena);
    cr_assert(lng_arena_take(&arena, SIZE_MAX / 2, 4) == NULL);
    cr_assert(lng_arena_check(&arena) == LNG_ERR_MEMORY);
    lng_arena_init_measuring(&arena);
    for (int i = 0; i < 4; i++)
        cr_assert(lng_arena_take(&arena, SIZE_MAX / 3, 1) == NULL);
    cr_assert(lng_arena_check(&arena) == LNG_ERR_MEMORY);
}

Test(arena, rewind_reuses)
{
    char memory[1024];
    struct lng_arena arena;
    lng_arena_init(&arena, memory, sizeof memory);
    (void)lng_arena_take(&arena, 256, 1);
    size_t mark = lng_arena_mark(&arena);
    void *first = lng_arena_take(&arena, 256, 1);
    lng_arena_rewind(&arena, mark);
    cr_assert(lng_arena_take(&arena, 256, 1) == first);
}
