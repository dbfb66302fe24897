/* Documents of every format: what is not text stays, what is marked up stays marked up. LNG_DOCUMENTS sets how many
 * documents a format are made, 40 unless told. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/document_maker.h"

static uint32_t count_documents(void)
{
    const char *count = getenv("LNG_DOCUMENTS");
    return count != NULL ? (uint32_t)atoi(count) : 40;
}

ParameterizedTestParameters(documents, stays_the_same)
{
    static int indices[DOCUMENT_FORMATS];
    for (int i = 0; i < DOCUMENT_FORMATS; i++)
        indices[i] = i;
    return cr_make_param_array(int, indices, DOCUMENT_FORMATS);
}

static void translate(enum lng_opt_document_format format, const struct lng_buffer *bytes,
                      lng_translate_lines translator, struct lng_buffer *out)
{
    struct lng_read_options options = document_options(format);
    struct lng_document_stats stats;
    uint64_t skipped;
    char *copy =
        malloc(bytes->length + 1); /* of exactly this size, so that reading past its end is seen */
    cr_assert(copy != NULL);
    if (bytes->length > 0)
        memcpy(copy, bytes->data, bytes->length);
    check_ok(lng_translate_document("document", copy, bytes->length, format, &options, translator,
                                    NULL, out, &stats, &skipped));
    free(copy);
}

/* Each text its own translation: the document as it was, with targets filled where it has some. */
ParameterizedTest(int *index, documents, stays_the_same, .timeout = 600)
{
    enum lng_opt_document_format format = document_format(*index);
    for (uint32_t seed = 0; seed < count_documents(); seed++) {
        struct lng_buffer before = {0}, want = {0}, got = {0}, again = {0};
        document_make(format, seed, false, &before);
        document_make(format, seed, true, &want);
        translate(format, &before, document_same, &got);
        cr_assert(got.length == want.length &&
                      (got.length == 0 || memcmp(got.data, want.data, got.length) == 0),
                  "format %d seed %u:\n%s\n---- gave\n%s\n---- want\n%s", format, seed, before.data,
                  got.data, want.data);
        translate(format, &want, document_same, &again); /* nothing is left to do */
        cr_assert(again.length == want.length &&
                  (again.length == 0 || memcmp(again.data, want.data, want.length) == 0));
        lng_buffer_release(&before);
        lng_buffer_release(&want);
        lng_buffer_release(&got);
        lng_buffer_release(&again);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

ParameterizedTestParameters(documents, marks_survive)
{
    static int indices[DOCUMENT_FORMATS];
    for (int i = 0; i < DOCUMENT_FORMATS; i++)
        indices[i] = i;
    return cr_make_param_array(int, indices, DOCUMENT_FORMATS);
}

ParameterizedTest(int *index, documents, marks_survive, .timeout = 600)
{
    enum lng_opt_document_format format = document_format(*index);
    int changed = 0;
    for (uint32_t seed = 0; seed < count_documents(); seed++) {
        struct lng_buffer before = {0}, same = {0}, got = {0};
        document_make(format, seed, false, &before);
        document_make(format, seed, true, &same);
        translate(format, &before, document_change, &got);
        document_check(format, seed, &same, &got);
        changed += got.length != same.length ||
                   (got.length > 0 && memcmp(got.data, same.data, got.length) != 0);
        lng_buffer_release(&before);
        lng_buffer_release(&same);
        lng_buffer_release(&got);
    }
    cr_assert(changed > (int)count_documents() / 4, "only %d were changed", changed);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
