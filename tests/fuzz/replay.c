/* Runs one fuzz target, without a fuzzer, over its seeds in tests/fuzz/corpus/NAME, over every cut of them
 * and over seeded changes: what `make fuzz` found stays found, in every build and under every sanitizer. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* What some targets do once, and libFuzzer calls so too. */
int LLVMFuzzerInitialize(int *count, char ***arguments) __attribute__((weak));

enum { MOST_SEEDS = 64, CUTS = 64, CHANGES = 256 };

/* No pointers in it: it is copied into the process of the test. */
struct seed {
    char path[512];
};

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

ParameterizedTestParameters(fuzz, replay)
{
    const char *root = getenv("LNG_TEST_ROOT");
    const char *name = program_invocation_short_name;
    struct dirent **entries = NULL;
    char folder[256];
    int found = 0;
    struct seed *seeds = cr_malloc(MOST_SEEDS * sizeof *seeds);
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", root ? root : ".",
             strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    int listed = scandir(folder, &entries, visible, alphasort);
    for (int i = 0; i < listed; i++) {
        if (found < MOST_SEEDS)
            snprintf(seeds[found++].path, sizeof seeds->path, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (found == 0) /* a target without seeds fails by this name */
        snprintf(seeds[found++].path, sizeof seeds->path, "%s", folder);
    return cr_make_param_array(struct seed, seeds, (size_t)found);
}

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* A copy of exactly this size, so that a read past its end is seen. */
static void try_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    cr_assert(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void change(uint8_t *data, size_t size, uint32_t *state)
{
    static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '[', '{', ':', '\n', '-', '9'};
    uint32_t edits = 1 + draw(state, 3);
    for (uint32_t i = 0; i < edits; i++) {
        size_t at = draw(state, (uint32_t)size);
        switch (draw(state, 4)) {
        case 0:
            data[at] ^= (uint8_t)(1u << draw(state, 8));
            break;
        case 1:
            data[at] = values[draw(state, sizeof values)];
            break;
        case 2:
            data[at] = (uint8_t)draw(state, 256);
            break;
        default: { /* a run of bytes elsewhere in it */
            size_t from = draw(state, (uint32_t)size), length = 1 + draw(state, 16);
            size_t last = from > at ? from : at;
            length = length < size - last ? length : size - last;
            memmove(data + at, data + from, length);
        }
        }
    }
}

ParameterizedTest(struct seed *seed, fuzz, replay)
{
    struct lng_buffer content = {0};
    uint32_t state = 1;
    size_t blocks = 0;
    check_ok(lng_file_read(seed->path, 1 << 20, &content));
    if (LLVMFuzzerInitialize != NULL) { /* what it keeps may grow with the first input */
        cr_assert(LLVMFuzzerInitialize(NULL, NULL) == 0);
        try_copy(content.data, content.length);
        blocks = lng_mem_get_stats().blocks_live - 1; /* but for the content itself */
    }
    try_copy(content.data, content.length);
    for (size_t i = 0; i < CUTS && i < content.length; i++)
        try_copy(content.data, content.length * i / CUTS);
    uint8_t *changed = malloc(content.length + 1);
    cr_assert(changed != NULL);
    for (int i = 0; i < CHANGES && content.length > 0; i++) {
        memcpy(changed, content.data, content.length);
        change(changed, content.length, &state);
        try_copy(changed, content.length);
    }
    free(changed);
    lng_buffer_release(&content);
    cr_assert(lng_mem_get_stats().blocks_live <= blocks, "%s: %zu blocks are never freed",
              seed->path, lng_mem_get_stats().blocks_live - blocks);
}
