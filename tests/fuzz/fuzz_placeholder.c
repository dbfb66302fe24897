/* libFuzzer target: a text, searched for placeholders. */
#include <stdint.h>
#include <stdlib.h>

#include "tokenizer/placeholder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

/* Compiled once: that is the time of a hundred texts. */
static struct lng_placeholders *placeholders;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    return lng_placeholders_open(true, NULL, 0, &placeholders) != LNG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_placeholder_ranges ranges = {0};
    size_t end = 0;
    if (lng_placeholder_find(placeholders, (const char *)data, size, &ranges) == LNG_OK)
        for (size_t i = 0; i < ranges.count; i++) {
            if (ranges.data[i].begin < end || ranges.data[i].end <= ranges.data[i].begin ||
                ranges.data[i].end > size)
                abort();
            end = ranges.data[i].end;
        }
    lng_placeholder_ranges_release(&ranges);
    return 0;
}
