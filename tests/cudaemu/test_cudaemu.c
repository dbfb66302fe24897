/* The double guards the kernels; this guards the double: every planted bug is reported by the variants that
 * are there for it, and no variant, schedule or kind of stream reports anything without one. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/program.h"

enum variant { PLAIN, ASAN, RACE, VARIANTS };
static const char *const variant_names[] = {"plain", "asan", "race"};

/* What must be in the output, "a|b" for either; NULL: the variant is not there for it. */
struct expectation {
    const char *name;
    const char *report[VARIANTS];
    const char *setting; /* environment variable to be 1 */
};
static const struct expectation planted[] = {
    {"global-overrun", {"[address]", "[address]", "[address]"}, NULL},
    {"copy-not-waited", {"wrong", "wrong", "[uninitialised]"}, NULL},
    {"tile-no-barrier", {"wrong", "wrong", "[uninitialised]|[race]"}, NULL},
    {"not-transposed", {"wrong", "wrong", "wrong"}, NULL},
    {"refill-no-barrier", {"wrong", "wrong", "[race]"}, NULL},
    {"shared-overrun", {NULL, "use-after-poison", "[address]"}, NULL},
    {"static-overrun", {"wrong", "runtime error", "[uninitialised]"}, NULL},
    {"no-barrier", {"wrong", "wrong", "[uninitialised]|[race]"}, NULL},
    {"no-second-barrier", {"wrong", "wrong", "[race]"}, NULL},
    {"misaligned", {NULL, "misaligned address", NULL}, NULL},
    {"unwritten-shared", {NULL, NULL, "[uninitialised]"}, NULL},
    {"divergent-barrier", {"[barrier]", "[barrier]", "[barrier]"}, NULL},
    {"divergent-shuffle", {"[divergence]", "[divergence]", "[divergence]"}, NULL},
    {"early-exit", {"[barrier]", "[barrier]", "[barrier]"}, NULL},
    {"absent-lanes", {"[shuffle]", "[shuffle]", "[shuffle]"}, NULL},
    {"no-syncwarp", {"wrong", "wrong", "[uninitialised]|[race]"}, NULL},
    {"plus-equals", {NULL, NULL, "[race]"}, NULL},
    {"no-fence", {NULL, NULL, "[race]"}, NULL},
    {"same-value", {NULL, NULL, "[race]"}, NULL},
    {"shared-byte", {NULL, NULL, "[race]"}, NULL},
    {"row-overrun", {NULL, "heap-buffer-overflow|use-after-poison", "[address]"}, NULL},
    {"no-bounds-test", {NULL, "heap-buffer-overflow|use-after-poison", "[address]"}, NULL},
    {"host-pointer", {NULL, NULL, "[host-memory]"}, NULL},
    {"use-after-free", {NULL, "heap-use-after-free", "[address]"}, NULL},
    {"host-reads-device", {"[host]", NULL, "[host]"}, "LNG_CUDAEMU_PROTECT"},
    {"shift-overflow", {NULL, "runtime error", NULL}, NULL},
    {"local-index", {NULL, "runtime error", NULL}, NULL},
    {"leak", {NULL, "LeakSanitizer", NULL}, NULL},
    {"pinned-early", {"wrong", "wrong", "wrong"}, "LNG_CUDAEMU_ASYNC"},
    {"shared-without-consent", {"cudaErrorInvalidValue", NULL, NULL}, NULL},
    {"block-too-large", {"cudaErrorInvalidConfiguration", NULL, NULL}, NULL},
    {"copy-too-long", {"cudaErrorInvalidValue", NULL, NULL}, NULL},
    {"wait-in-capture", {"cudaErrorStreamCaptureInvalidated", NULL, NULL}, NULL},
    {"allocate-in-capture", {"cudaErrorStreamCaptureInvalidated", NULL, NULL}, NULL},
    {"query-in-capture", {"cudaErrorStreamCaptureInvalidated", NULL, NULL}, NULL},
    {"captured-event", {"cudaErrorCapturedEvent", NULL, NULL}, NULL},
    {"captured-fork", {"cudaErrorStreamCaptureInvalidated", NULL, NULL}, NULL},
    {"replay-after-free", {"[graph]", "[graph]", "[graph]"}, NULL},
    {"replay-on-anothers", {"[graph]", "[graph]", "[graph]"}, NULL},
    {"replay-after-destroy", {"[graph]", "[graph]", "[graph]"}, NULL},
    {"update-of-another-shape", {"cudaErrorGraphExecUpdateFailure", NULL, NULL}, NULL},
    {"captured-slot-reused", {"wrong", "wrong", "wrong"}, NULL},
    {"lost-device", {"lost-device: wrong", NULL, NULL}, "LNG_CUDAEMU_FATAL_LAUNCH"},
    {"product-overrun", {"[address]", "[address]", "[address]"}, NULL},
    {"product-workspace", {"CUBLAS_STATUS_INVALID_VALUE", NULL, NULL}, NULL},
    {"product-row-epilogue", {"CUBLAS_STATUS_NOT_SUPPORTED", NULL, NULL}, NULL},
};
enum { PLANTED = sizeof planted / sizeof planted[0] };

/* The programs lie beside lingster's, and are run as it is. */
static void choose(enum variant variant)
{
    char path[PATH_MAX + 64];
    const char *own = getenv("LNG_TEST_BINARY");
    cr_assert(own != NULL, "LNG_TEST_BINARY is not set: run through tests/run");
    static char folder[PATH_MAX];
    if (folder[0] == '\0')
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(own, '/') - own), own);
    snprintf(path, sizeof path, "%s/cudaemu/%s/planted", folder, variant_names[variant]);
    setenv("LNG_TEST_BINARY", path, 1);
    /* Reports are wanted here, not in the file of a sanitized run of the tests. */
    setenv("ASAN_OPTIONS", "detect_leaks=1", 1);
    unsetenv("UBSAN_OPTIONS");
    unsetenv("LSAN_OPTIONS");
}
static bool says(const struct program *program, const char *one)
{
    char *copy = strdup(one), *rest = NULL;
    bool found = false;
    for (char *word = strtok_r(copy, "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest))
        found = found || strstr(program->err, word) != NULL || strstr(program->out, word) != NULL;
    free(copy);
    return found;
}

static void expect_reports(enum variant variant)
{
    choose(variant);
    for (int i = 0; i < PLANTED; i++) {
        const struct expectation *bug = &planted[i];
        struct program program;
        if (bug->report[variant] == NULL)
            continue;
        if (bug->setting != NULL)
            setenv(bug->setting, "1", 1);
        program_run(&program, bug->name, NULL, 0, NULL);
        if (bug->setting != NULL)
            unsetenv(bug->setting);
        cr_expect(program.status != 0 && says(&program, bug->report[variant]),
                  "%s, %s: expected %s, found status %d and:\n%s%s", bug->name,
                  variant_names[variant], bug->report[variant], program.status, program.out,
                  program.err);
        program_release(&program);
    }
}
Test(cudaemu, plain_reports)
{
    expect_reports(PLAIN);
}
Test(cudaemu, asan_reports)
{
    expect_reports(ASAN);
}
Test(cudaemu, race_reports)
{
    expect_reports(RACE);
}

/* Without bugs: right results and not a word. */
static void expect_silence(const char *schedule, const char *seed, const char *async,
                           const char *protect)
{
    setenv("LNG_CUDAEMU_SCHEDULE", schedule, 1);
    setenv("LNG_CUDAEMU_SEED", seed, 1);
    setenv("LNG_CUDAEMU_ASYNC", async, 1);
    setenv("LNG_CUDAEMU_PROTECT", protect, 1);
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct program program;
        choose((enum variant)variant);
        program_run(&program, "clean", NULL, 0, NULL);
        cr_expect(program.status == 0 && program.err_length == 0,
                  "%s, %s, seed %s, async %s: status %d\n%s%s", variant_names[variant], schedule,
                  seed, async, program.status, program.out, program.err);
        program_release(&program);
    }
}
Test(cudaemu, silent_in_order)
{
    expect_silence("forward", "1", "0", "0");
    expect_silence("reverse", "1", "1", "1");
}
Test(cudaemu, silent_at_random)
{
    char seed[16];
    for (int i = 1; i <= 4; i++) {
        snprintf(seed, sizeof seed, "%d", i);
        expect_silence("random", seed, i % 2 ? "1" : "0", "0");
    }
}

/* Two streams without an event between them go wrong in some order. */
Test(cudaemu, queued_streams)
{
    int wrong = 0;
    choose(PLAIN);
    setenv("LNG_CUDAEMU_ASYNC", "1", 1);
    for (int i = 1; i <= 12; i++) {
        char seed[16];
        struct program program;
        snprintf(seed, sizeof seed, "%d", i);
        setenv("LNG_CUDAEMU_SEED", seed, 1);
        program_run(&program, "streams-no-event", NULL, 0, NULL);
        wrong += program.status == 1;
        program_release(&program);
    }
    cr_expect(wrong > 0 && wrong < 12, "wrong in %d of 12 orders", wrong);
}

/* A missing barrier is found forward and backward, and by many a random order. */
Test(cudaemu, missing_barrier_in_any_order)
{
    static const char *const orders[] = {"forward", "reverse", "random", "random", "random",
                                         "random",  "random",  "random", "random", "random"};
    int found = 0;
    choose(PLAIN);
    for (int i = 0; i < 10; i++) {
        char seed[16];
        struct program program;
        snprintf(seed, sizeof seed, "%d", i);
        setenv("LNG_CUDAEMU_SCHEDULE", orders[i], 1);
        setenv("LNG_CUDAEMU_SEED", seed, 1);
        program_run(&program, "refill-no-barrier", NULL, 0, NULL);
        cr_expect(program.status == 1 || i >= 2, "%s: status %d", orders[i], program.status);
        found += program.status == 1;
        program_release(&program);
    }
    cr_expect(found >= 2 + 3, "found in %d of 10 orders", found);
}

Test(cudaemu, a_report_says_where)
{
    struct program program;
    choose(RACE);
    program_run(&program, "no-second-barrier", NULL, 0, NULL);
    cr_expect(says(&program, "in kernel sums<BUG>, block (0,0,0), thread ("), "%s", program.err);
    cr_expect(says(&program, "planted_reductions.cu:"), "%s", program.err);
    program_release(&program);
    choose(ASAN);
    program_run(&program, "no-bounds-test", NULL, 0, NULL);
    cr_expect(says(&program, "in kernel add_one, block (0,0,0), thread (100,0,0)"), "%s",
              program.err);
    cr_expect(says(&program, "planted_memory.cu:"), "%s", program.err);
    program_release(&program);
}

Test(cudaemu, wrong_settings)
{
    static const char *const names[] = {"LNG_CUDAEMU_SCHEDULE", "LNG_CUDAEMU_SEED"};
    choose(PLAIN);
    for (int i = 0; i < 2; i++) {
        struct program program;
        setenv(names[i], "sideways", 1);
        program_run(&program, "plus-equals", NULL, 0, NULL);
        unsetenv(names[i]);
        cr_expect(program.status == 86 && says(&program, "[settings]"), "%s: status %d, %s",
                  names[i], program.status, program.err);
        program_release(&program);
    }
}
