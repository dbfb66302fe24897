#include "kernels/cpu/cpu_slab.h"

#include <stdint.h>

#include "host/base/mem.h"
#include "kernels/cpu/cpu_device.h"

struct lng_cpu_slab {
    struct lng_cpu_slab *next;
    char *memory;
    size_t bytes, used, pieces;
};

enum { PAGE = 2 << 20, LARGEST = 16 << 20, ALIGNMENT = 64 };
/* What is at most so small, or as large as a block, has memory of its own. */
#if defined(__SANITIZE_ADDRESS__)
enum { SMALL = LARGEST }; /* all: what is written past a piece is seen */
#else
enum { SMALL = 32 << 10 };
#endif

/* Room for `bytes`, from a huge page on; blocks grow, so that little models take little. */
static struct lng_cpu_slab *open_slab(size_t bytes, const struct lng_cpu_slab *before)
{
    struct lng_cpu_slab *slab = lng_alloc(1, sizeof *slab);
    if (!slab)
        return NULL;
    size_t room = before ? 2 * (before->bytes - PAGE) : PAGE;
    while (room < bytes)
        room *= 2;
    slab->bytes = (room < LARGEST ? room : LARGEST) + PAGE;
    slab->memory = lng_cpu_memory(slab->bytes);
    if (!slab->memory) {
        lng_free(slab);
        return NULL;
    }
    slab->used = (PAGE - (uintptr_t)slab->memory % PAGE) % PAGE;
    return slab;
}

void *lng_cpu_slab_take(struct lng_cpu_slab **slabs, size_t bytes)
{
    const size_t whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct lng_cpu_slab *slab = *slabs;
    if (whole <= SMALL || whole >= LARGEST)
        return lng_cpu_memory(bytes);
    if (!slab || slab->bytes - slab->used < whole) {
        slab = open_slab(whole, *slabs);
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
    if (!slab) {
        lng_free(piece);
        return;
    }
    if (--slab->pieces > 0)
        return;
    *slabs = slab->next;
    lng_free(slab->memory);
    lng_free(slab);
}
