/* libFuzzer target: any bytes as an OPUS-MT package, and as text to clean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/store/opus_package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What arrives is counted, and refused by a name that was there. */
struct names {
    char list[8][64];
    size_t count, bytes;
};

static enum lng_status begin(void *context, const char *name)
{
    struct names *names = context;
    for (size_t i = 0; i < names->count && i < 8; i++)
        if (strncmp(names->list[i], name, sizeof names->list[i] - 1) == 0)
            return lng_fail(LNG_ERR_FORMAT, "holds two files called %s", name);
    if (*name == '\0' || strchr(name, '/') != NULL)
        abort();
    snprintf(names->list[names->count++ % 8], sizeof names->list[0], "%s", name);
    return LNG_OK;
}

static enum lng_status count(void *context, const void *data, size_t size)
{
    (void)data;
    ((struct names *)context)->bytes += size;
    return LNG_OK;
}

static enum lng_status end(void *context, bool keep)
{
    (void)context;
    (void)keep;
    return LNG_OK;
}

static void unpack(const uint8_t *data, size_t size)
{
    struct names names = {.count = 0};
    const struct lng_opus_sink sink = {&names, begin, count, end};
    enum lng_status status = lng_opus_unpack_memory("fuzz", data, size, &sink);
    if (status != LNG_OK && status != LNG_ERR_FORMAT && status != LNG_ERR_UNSUPPORTED &&
        status != LNG_ERR_RANGE)
        abort();
    if (names.bytes > size * LNG_OPUS_MOST_RATIO + LNG_OPUS_SPARE_BYTES)
        abort();
}

static void clean(const uint8_t *data, size_t size)
{
    struct lng_clean_text text = {0};
    if (lng_clean_opus_mt((const char *)data, size, &text) != LNG_OK)
        abort();
    for (size_t i = 0, last = 0; i <= text.text.length; i++) {
        if (text.origins[i] < last || text.origins[i] > size)
            abort();
        last = text.origins[i];
    }
    lng_clean_text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unpack(data, size);
    clean(data, size);
    return 0;
}
