/* What the fuzz targets of documents share: translated by itself a document stays, and whatever the translator says
 * nothing crashes and nothing is left allocated. */
#ifndef LNG_TESTS_FUZZ_FUZZ_DOCUMENT_H
#define LNG_TESTS_FUZZ_FUZZ_DOCUMENT_H

#include <stdlib.h>
#include <string.h>

#include "host/documents/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum lng_status fuzz_same(void *context, const struct lng_slice *lines, size_t count,
                                 struct lng_translations *translations)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(lng_translations_add(translations, lines[i].data, lines[i].length));
    return LNG_OK;
}

/* Words in another order, some of them changed or left out. */
static enum lng_status fuzz_change(void *context, const struct lng_slice *lines, size_t count,
                                   struct lng_translations *translations)
{
    (void)context;
    for (size_t i = 0; i < count; i++) {
        struct lng_slice line = lines[i];
        size_t half = line.length / 2 + (line.length > 8 ? line.data[3] % 4 : 0);
        struct lng_buffer text = {0};
        while (half < line.length && ((unsigned char)line.data[half] & 0xC0) == 0x80)
            half++;
        enum lng_status status = lng_buffer_append(&text, line.data + half, line.length - half);
        if (status == LNG_OK && line.length % 3 != 0)
            status = lng_buffer_append(&text, " x. ", line.length % 5 % 5);
        if (status == LNG_OK && line.length % 7 != 0)
            status = lng_buffer_append(&text, line.data, half);
        if (status == LNG_OK)
            status =
                lng_translations_add(translations, text.data != NULL ? text.data : "", text.length);
        if (status == LNG_OK && line.length > 4)
            status = lng_translations_link(translations,
                                           (struct lng_link){1, 3, line.length / 2, line.length});
        lng_buffer_release(&text);
        LNG_TRY(status);
    }
    return LNG_OK;
}

/* By the sum of the bytes one of two translators: half of the work an input, and both over many inputs. */
static inline void fuzz_document(enum lng_opt_document_format format, const uint8_t *data,
                                 size_t size)
{
    struct lng_read_options options = lng_read_options_default();
    struct lng_buffer out = {0}, again = {0};
    const char *bytes = (const char *)data;
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += data[i];
    const bool change = sum % 2 == 1;
    options.target_language = "de";
    options.review = size % 2 == 0;
    enum lng_status status =
        lng_translate_document("fuzz", bytes, size, format, &options,
                               change ? fuzz_change : fuzz_same, NULL, &out, NULL, NULL);
    bool filled = format == LNG_OPT_DOCUMENT_FORMAT_PO || format == LNG_OPT_DOCUMENT_FORMAT_XLIFF ||
                  format == LNG_OPT_DOCUMENT_FORMAT_TMX;
    if (change && status != LNG_OK) {
        /* A translation is no reason to fail. */
        if (lng_translate_document("fuzz", bytes, size, format, &options, fuzz_same, NULL, &again,
                                   NULL, NULL) == LNG_OK)
            abort();
    } else if (!change && status == LNG_OK && !filled) {
        if (out.length != size || (size > 0 && memcmp(out.data, data, size) != 0))
            abort();
    } else if (!change && status == LNG_OK) {
        /* What was filled in can be read. */
        if (lng_translate_document("again", out.data != NULL ? out.data : "", out.length, format,
                                   &options, fuzz_same, NULL, &again, NULL, NULL) != LNG_OK)
            abort();
    }
    lng_buffer_release(&out);
    lng_buffer_release(&again);
}

#endif
