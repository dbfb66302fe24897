/* libFuzzer target: a line of a file of constraints. */
#include <stdint.h>
#include <stdlib.h>

#include "host/infer/constraint_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lng_constraint_line line = {0};
    if (lng_constraint_line_parse(&line, (const char *)data, size) == LNG_OK)
        for (size_t i = 0; i < line.count; i++)
            if (lng_constraint_text(&line, i).length == 0 ||
                line.phrases[i].begin + line.phrases[i].length > line.texts.length)
                abort();
    lng_constraint_line_release(&line);
    return 0;
}
