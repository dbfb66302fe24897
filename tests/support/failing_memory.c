#include "tests/support/failing_memory.h"

#include <criterion/criterion.h>

#include "host/base/mem.h"

enum { MOST_TRIES = 100000 };

bool failing_memory_try(struct failing_memory *memory)
{
    size_t live = lng_mem_get_stats().blocks_live;
    if (memory->done)
        return false;
    cr_assert(memory->tries == 0 || live == memory->live, "allocation %zu: %zu blocks leak",
              memory->tries, live - memory->live);
    cr_assert(memory->tries < MOST_TRIES, "%zu allocations, and no end", memory->tries);
    memory->live = live;
    lng_mem_fail_nth(++memory->tries, memory->forever);
    return true;
}

void failing_memory_check(struct failing_memory *memory, enum lng_status status)
{
    lng_mem_fail_nth(0, false);
    cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY, "allocation %zu: %s: %s", memory->tries,
              lng_status_text(status), lng_error_message());
    memory->done = status == LNG_OK;
}
