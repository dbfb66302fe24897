/* lingster translate with several batches and several GPUs, on the double of tests/cudaemu: lines to the byte and in order,
 * whatever was asked for; what --device may not be. Skipped where the double was not built. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/program.h"

enum { LINES = 12 };

static char plugin[4200];

static void setup(void)
{
    const char *binary = getenv("LNG_TEST_BINARY");
    cr_assert(binary != NULL);
    snprintf(plugin, sizeof plugin, "LNG_CUDA_PLUGIN=%.*scudaemu/plain/liblingster-cuda.so",
             (int)(strrchr(binary, '/') + 1 - binary), binary);
}
TestSuite(translate_gpus, .init = setup, .timeout = 300);

/* As many short lines. */
static struct program translate(const char *words, int lines, const char *extra)
{
    static const char *const kinds[] = {"A dog.", "", "Good morning.", "My sister"};
    const char *environment[] = {plugin, "LNG_CUDAEMU_DEVICES=3", "LNG_CUDAEMU_ASYNC=1", extra,
                                 NULL};
    struct program program;
    char input[LINES * 32] = "", all[1024];
    for (int i = 0; i < lines; i++)
        snprintf(input + strlen(input), sizeof input - strlen(input), "%s\n", kinds[i % 4]);
    snprintf(all, sizeof all,
             "translate -m configs/demo --beam-size 4 --batch-sentences 3 --repeat-cache 0 %s",
             words);
    program_run(&program, all, input, strlen(input), environment);
    return program;
}

static void need_plugin(void)
{
    if (access(strchr(plugin, '=') + 1, R_OK) != 0)
        cr_skip_test("%s is not there: built without CUDA's headers", strchr(plugin, '=') + 1);
}

Test(translate_gpus, same_lines)
{
    static const struct {
        const char *words, *batches;
    } cases[] = {{"--device cuda:0 --workers 2", "in 2 batches"},
                 {"--device cuda:2,0 --workers 1", "in 2 batches"}};
    need_plugin();
    struct program want =
        translate("--json --alignment hard --device cuda --workers 1", LINES, NULL);
    cr_assert(want.status == 0 && want.out_length > 0, "%s", want.err);
    cr_assert(strstr(want.err, "in 1 batch\n") && strstr(want.err, "% of the places"), "%s",
              want.err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char words[256];
        snprintf(words, sizeof words, "--json --alignment hard %s", cases[i].words);
        struct program got = translate(words, LINES, NULL);
        cr_assert(got.status == 0, "%s: %s", words, got.err);
        cr_assert_str_eq(got.out, want.out, "%s", words);
        cr_assert(strstr(got.err, cases[i].batches) != NULL, "%s: %s", words, got.err);
        program_release(&got);
    }
    program_release(&want);
}

Test(translate_gpus, refusals)
{
    static const struct {
        const char *words;
        int status;
        const char *message;
    } cases[] = {
        {"--device cuda:0,", 2, "nothing after a comma"},
        {"--device cuda:,1", 2, "something else between the commas"},
        {"--device cuda:0,x", 2, "something else between the commas"},
        {"--device cuda:0,-1", 2, "something else between the commas"},
        {"--device cuda:0,cuda:1", 2, "something else between the commas"},
        {"--device cuda:0,100", 2, "something else between the commas"},
        {"--device cuda:0,1,0", 2, "found one twice"},
        {"--device cuda:1,01", 2, "found one twice"},
        {"--device cpu,cuda:1", 2, "only GPUs"},
        {"--device cuda,1", 2, "only GPUs"},
        {"--device cuda:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", 2, "more than 16"},
        {"--device cuda:0,1 -m configs/demo", 2, "several models"},
        {"--device cuda:0,3", 1, "expected cuda:0 to cuda:2"},
        {"--device cuda --workers -1", 2, "--workers"},
    };
    need_plugin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program refused = translate(cases[i].words, 1, NULL);
        cr_assert(refused.status == cases[i].status && refused.out_length == 0, "%s: %d, %s",
                  cases[i].words, refused.status, refused.err);
        cr_assert(strstr(refused.err, cases[i].message) != NULL, "%s: %s", cases[i].words,
                  refused.err);
        program_release(&refused);
    }
    struct program mixed = translate("--device cuda:0,1", 1, "LNG_CUDAEMU_MIXED=1");
    cr_assert(mixed.status == 1 && strstr(mixed.err, "of another kind, sm_90") != NULL, "%s",
              mixed.err);
    program_release(&mixed);
    mixed = translate("--device cuda:0,2", 1, "LNG_CUDAEMU_MIXED=1");
    cr_assert(mixed.status == 0, "%s", mixed.err);
    program_release(&mixed);
}

/* With its message and status, and without a hang; what was written is whole lines. */
Test(translate_gpus, lost)
{
    need_plugin();
    struct program lost = translate("--device cuda:0,1", LINES, "LNG_CUDAEMU_FATAL_LAUNCH=300");
    cr_assert(lost.status == 1, "%d: %s", lost.status, lost.err);
    cr_assert(strstr(lost.err, "cudaErrorIllegalAddress") != NULL, "%s", lost.err);
    cr_assert(lost.out_length == 0 || lost.out[lost.out_length - 1] == '\n');
    program_release(&lost);
}
