#include "kernels/cpu/cpu_slab.h"

#include <stdint.h>

#include "host/base/mem.h"
#include "kernels/cpu/cpu_device.h"

struct lng_cpu_slab {
    struct lng_cpu_slab *next;
    char *memory;
    size_t bytes, used, pieces;
};

#if defined(__SANITIZE_ADDRESS__)
enum { BLOCK = 0 }; /* each piece on its own: what is written past it is seen */
#else
enum { BLOCK = 16 << 20 };
#endif
enum { PAGE = 2 << 20, ALIGNMENT = 64 };

/* A block begins at a huge page. */
static struct lng_cpu_slab *open_slab(size_t least)
{
    struct lng_cpu_slab *slab = lng_alloc(1, sizeof *slab);
    if (!slab)
        return NULL;
    const size_t skip = BLOCK > 0 ? PAGE : 0;
    slab->bytes = (least > BLOCK ? least : BLOCK) + skip;
    slab->memory = lng_cpu_memory(slab->bytes);
    if (!slab->memory) {
        lng_free(slab);
        return NULL;
    }
    if (skip > 0)
        slab->used = (PAGE - (uintptr_t)slab->memory % PAGE) % PAGE;
    return slab;
}

void *lng_cpu_slab_take(struct lng_cpu_slab **slabs, size_t bytes)
{
    const size_t whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct lng_cpu_slab *slab = *slabs;
    if (!slab || slab->bytes - slab->used < whole) {
        slab = open_slab(whole);
        if (!slab)
            return NULL;
        slab->next = *slabs;
        *slabs = slab;
    }
    void *piece = slab->memory + slab->used;
    slab->used += whole;
    slab->pieces++;
    return piece;
}

void lng_cpu_slab_give(struct lng_cpu_slab **slabs, void *piece)
{
    const uintptr_t at = (uintptr_t)piece;
    while (*slabs && !(at >= (uintptr_t)(*slabs)->memory &&
                       at < (uintptr_t)(*slabs)->memory + (*slabs)->used))
        slabs = &(*slabs)->next;
    struct lng_cpu_slab *slab = *slabs;
    if (!piece || !slab || --slab->pieces > 0)
        return;
    *slabs = slab->next;
    lng_free(slab->memory);
    lng_free(slab);
}
