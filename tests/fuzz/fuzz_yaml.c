/* libFuzzer target: configuration files, from bytes to checked options, and dumped again. */
#include <stdlib.h>

#include "host/config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lng_command train = {"train", LNG_FOR_TRAIN, "", 0, -1, true, ""};
    struct lng_options options, again;
    struct lng_buffer text = {0};
    if (lng_options_init(&options, &train) != LNG_OK)
        return 0;
    /* What was accepted can be written, and what was written is accepted. */
    if (lng_options_read_text(&options, "fuzz", (const char *)data, size) == LNG_OK &&
        lng_options_finish(&options, false) == LNG_OK) {
        if (lng_options_dump(&options, &text) != LNG_OK ||
            lng_options_init(&again, &train) != LNG_OK ||
            lng_options_read_text(&again, "dump", text.data, text.length) != LNG_OK ||
            lng_options_finish(&again, false) != LNG_OK)
            abort();
        lng_options_release(&again);
    }
    lng_buffer_release(&text);
    lng_options_release(&options);
    return 0;
}
