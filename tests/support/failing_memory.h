/* Work in which each allocation fails in its turn, until one try has none that fails:
 *
 *     struct failing_memory memory = {0};
 *     while (failing_memory_try(&memory))
 *         failing_memory_check(&memory, work());
 *
 * Asserts that a try that does not succeed says LNG_ERR_MEMORY and, by the next one, has given all memory back. */
#ifndef LNG_TESTS_SUPPORT_FAILING_MEMORY_H
#define LNG_TESTS_SUPPORT_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

/* All zero, but for `forever`, before the first try. */
struct failing_memory {
    bool forever; /* all later allocations fail too */
    bool done;    /* the last try succeeded */
    size_t tries, live;
};

/* From here on an allocation fails; false when the last try succeeded. */
bool failing_memory_try(struct failing_memory *memory);
/* What the try came to; memory is there again. */
void failing_memory_check(struct failing_memory *memory, enum lng_status status);

#endif
