/* Several batches at once on device cuda, the plugin being the double's EMU_VARIANT (and EMU_TYPES types of numbers, 3 at
 * most): each on a stream of its own, on one GPU or on two, with the results of one batch. Streams are run at random;
 * LNG_TEST_ROUNDS=20 tries as many orders. */
#include "tests/cudaemu/on_double.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "kernels/ops.h"
#include "tests/support/check.h"
#include "tests/support/steering_bench.h"

enum { COUNT = 24, GPUS = 2, LAUNCHES = 6 };

/* A bench on the first GPU, and its first model on the second. */
struct crowd {
    struct bench b;
    struct lng_device *second;
    struct lng_model copy, *copies[1];
    struct lng_search_input inputs[COUNT];
    int calls, fail_at;
};

static void crowd_open(struct crowd *c, const char *device, enum lng_dtype compute)
{
    memset(c, 0, sizeof *c);
    bench_open(&c->b, device, 1, COUNT);
    if (compute != LNG_DTYPE_F32)
        bench_retype(&c->b, compute);
    for (int i = 0; i < COUNT; i++) {
        const int32_t *offsets = c->b.corpus.offsets;
        c->inputs[i].source = c->b.corpus.ids + offsets[i];
        c->inputs[i].source_length = offsets[i + 1] - offsets[i];
    }
    if (strcmp(device, "cuda") != 0)
        return;
    check_ok(lng_device_open("cuda:1", NULL, &c->second));
    check_ok(lng_model_copy(&c->b.models[0], c->second, &c->copy));
    c->copies[0] = &c->copy;
}

static void crowd_close(struct crowd *c)
{
    if (c->second != NULL) {
        lng_model_release(&c->copy);
        lng_device_close(c->second);
    }
    bench_close(&c->b);
}

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct crowd *c = context;
    if (++c->calls == c->fail_at)
        return lng_fail(LNG_ERR_IO, "call %d failed", c->calls);
    return bench_keep(&c->b, result);
}

static struct lng_search_options options_of(struct crowd *c, int workers, int gpus)
{
    struct lng_search_options o = bench_options(3, 2);
    o.batch_sentences = 4;
    o.beam.max_extra = 1;
    o.beam.max_factor = 1.0;
    o.alignment = true;
    o.workers = workers;
    o.copies = c->copies;
    o.copy_count = gpus - 1;
    return o;
}

/* The first `count` sentences; the statistics of a search that did nothing else. */
static enum lng_status search_some(struct crowd *c, int workers, int gpus, int count,
                                   struct lng_search_stats *stats)
{
    struct lng_search *search;
    struct lng_search_options o = options_of(c, workers, gpus);
    memset(c->b.results, 0, COUNT * sizeof *c->b.results);
    c->calls = 0;
    check_ok(lng_search_open(&c->b.models[0], &o, &search));
    enum lng_status status = lng_search_run(search, c->inputs, count, keep, c);
    *stats = lng_search_get_stats(search);
    lng_search_close(search);
    return status;
}

static void setup(void)
{
    setenv("LNG_CUDAEMU_DEVICES", "2", 1);
    setenv("LNG_CUDAEMU_ASYNC", "1", 1);
}
TestSuite(streams, .init = setup, .timeout = 300);

ParameterizedTestParameters(streams, change_no_bit)
{
    enum { MOST = 1000 };
    static int seeds[MOST];
    const char *text = getenv("LNG_TEST_ROUNDS");
    const int rounds = text != NULL ? atoi(text) : 1;
    for (int i = 0; i < MOST; i++)
        seeds[i] = i + EMU_TYPES;
    return cr_make_param_array(int, seeds,
                               (size_t)(rounds < 1      ? 1
                                        : rounds > MOST ? MOST
                                                        : rounds));
}

/* Workers of one GPU read one set of weights, those of the other their own. */
ParameterizedTest(int *seed, streams, change_no_bit)
{
    static const enum lng_dtype types[] = {LNG_DTYPE_BF16, LNG_DTYPE_F32, LNG_DTYPE_I8};
    static const int cases[][2] = {{2, 1}, {1, 2}, {2, 2}};
    static struct crowd c, fresh, cpu;
    char text[8];
    struct lng_search_stats alone, stats;
    snprintf(text, sizeof text, "%d", *seed);
    setenv("LNG_CUDAEMU_SEED", text, 1);
    size_t before = lng_mem_get_stats().blocks_live;
    for (size_t t = 0; t < EMU_TYPES; t++) {
        crowd_open(&c, "cuda", types[t]);
        check_ok(search_some(&c, 1, 1, COUNT, &alone));
        cr_assert(alone.workers == 1 && alone.places >= alone.rows && alone.rows > 0);
        struct bench_result *want = bench_copy(&c.b);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const int workers = cases[i][0], gpus = cases[i][1];
            crowd_open(&fresh, "cuda", types[t]); /* whose copies of biases are not made yet */
            check_ok(search_some(&fresh, workers, gpus, COUNT, &stats));
            cr_assert_eq(bench_differing(&fresh.b, want), 0, "%s, %d workers on each of %d GPUs",
                         lng_dtype_name(types[t]), workers, gpus);
            const int expected = COUNT * 3 >= 16 * workers * gpus ? workers * gpus : gpus;
            cr_assert_eq(stats.workers, expected, "%d workers", stats.workers);
            cr_assert(stats.rows == alone.rows && stats.encoded == alone.encoded);
            cr_assert(stats.places >= stats.rows && stats.device_bytes > alone.device_bytes);
            cr_assert_eq(stats.repeats.refused, 0);
            crowd_close(&fresh);
        }
        if (types[t] == LNG_DTYPE_F32) { /* by the CPU too */
            crowd_open(&cpu, "cpu", types[t]);
            check_ok(search_some(&cpu, 1, 1, COUNT, &stats));
            for (int s = 0; s < COUNT; s++)
                for (int n = 0; n < 2; n++)
                    cr_assert(memcmp(cpu.b.results[s].best[n].tokens, want[s].best[n].tokens,
                                     sizeof want[s].best[n].tokens) == 0,
                              "sentence %d", s);
            crowd_close(&cpu);
        }
        lng_free(want);
        crowd_close(&c);
    }
    cr_assert_eq(lng_mem_get_stats().blocks_live, before);
}

/* What the first device has queued and not done yet, its copy of the bias say, is nothing that another may read. */
Test(streams, wait_for_nobody)
{
    enum { WIDE = 16, TRIES = 12 };
    static const float zeros[WIDE * WIDE];
    float ones[WIDE];
    uint16_t got[WIDE];
    for (int i = 0; i < WIDE; i++)
        ones[i] = 1;
    for (int try = 0; try < TRIES; try++) {
        struct lng_device *devices[2];
        struct lng_weight *weights[2];
        void *memory[2], *x[2], *y[2]; /* weight, bias; x is 0, so y is the bias */
        const size_t sizes[] = {sizeof zeros, sizeof ones};
        for (int d = 0; d < 2; d++) {
            check_ok(lng_device_open("cuda", NULL, &devices[d]));
            check_ok(lng_device_alloc(devices[d], WIDE * 2, &x[d]));
            check_ok(lng_device_alloc(devices[d], WIDE * 2, &y[d]));
            check_ok(lng_device_alloc(devices[0], sizes[d], &memory[d]));
            check_ok(lng_device_write(devices[0], memory[d], d == 0 ? zeros : ones, sizes[d]));
        }
        struct lng_view master = lng_view_make(memory[0], LNG_DTYPE_F32, WIDE, WIDE);
        check_ok(lng_weight_prepare(devices[0], master, LNG_DTYPE_BF16, 0, &weights[0]));
        check_ok(lng_device_sync(devices[0]));
        check_ok(lng_weight_share(devices[1], weights[0], &weights[1]));
        for (int d = 0; d < 2; d++)
            check_ok(lng_linear_fwd(devices[d],
                                    &(struct lng_linear_fwd_args){
                                        .x = lng_view_make(x[d], LNG_DTYPE_BF16, 1, WIDE),
                                        .weight = weights[d],
                                        .bias = lng_view_make(memory[1], LNG_DTYPE_F32, 1, WIDE),
                                        .y = lng_view_make(y[d], LNG_DTYPE_BF16, 1, WIDE)}));
        for (int d = 1; d >= 0; d--) {
            check_ok(lng_device_read(devices[d], got, y[d], sizeof got));
            for (int i = 0; i < WIDE; i++)
                cr_assert(got[i] == 0x3F80, "try %d: %x", try, (unsigned)got[i]);
        }
        if (weights[1] != weights[0])
            lng_weight_release(devices[1], weights[1]);
        lng_weight_release(devices[0], weights[0]);
        for (int d = 1; d >= 0; d--) {
            lng_device_free(devices[d], x[d]);
            lng_device_free(devices[d], y[d]);
            lng_device_free(devices[0], memory[d]);
        }
        lng_device_close(devices[1]);
        lng_device_close(devices[0]);
    }
}

/* Runs of many and of few by turns: each way has the whole allowance, and graphs of the other's memory are gone. */
Test(streams, come_and_go)
{
    static struct crowd c;
    struct lng_search *search;
    struct lng_search_stats alone;
    crowd_open(&c, "cuda", LNG_DTYPE_BF16);
    check_ok(search_some(&c, 1, 1, COUNT, &alone));
    struct bench_result *want = bench_copy(&c.b);
    struct lng_search_options o = options_of(&c, 2, 2);
    check_ok(lng_search_open(&c.b.models[0], &o, &search));
    static const int counts[] = {COUNT, 2, 12, COUNT};
    size_t held = 0;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        memset(c.b.results, 0, COUNT * sizeof *c.b.results);
        check_ok(lng_search_run(search, c.inputs, counts[i], keep, &c));
        cr_assert(memcmp(c.b.results, want, (size_t)counts[i] * sizeof *want) == 0, "run %zu", i);
        const struct lng_search_stats stats = lng_search_get_stats(search);
        cr_assert(counts[i] != COUNT || held == 0 || stats.device_bytes == held);
        held = counts[i] == COUNT ? stats.device_bytes : held;
    }
    lng_search_close(search);
    lng_free(want);
    crowd_close(&c);
}

ParameterizedTestParameters(streams, end_with_a_lost_device)
{
    static int launches[LAUNCHES] = {400, 450, 700, 1000, 1500, 2000};
    return cr_make_param_array(int, launches, EMU_TYPES < 3 ? 2 : LAUNCHES);
}

/* Wherever that happens: with its message, without a hang, and everything is given back. */
ParameterizedTest(int *launches, streams, end_with_a_lost_device)
{
    static struct crowd c;
    char text[8];
    struct lng_search *search;
    size_t before = lng_mem_get_stats().blocks_live;
    snprintf(text, sizeof text, "%d", *launches);
    setenv("LNG_CUDAEMU_FATAL_LAUNCH", text, 1);
    crowd_open(&c, "cuda", LNG_DTYPE_BF16);
    struct lng_search_options o = options_of(&c, 2, 2);
    check_ok(lng_search_open(&c.b.models[0], &o, &search));
    enum lng_status status = LNG_OK;
    for (int i = 0; i < 4 && status == LNG_OK; i++)
        status = lng_search_run(search, c.inputs, COUNT, keep, &c);
    cr_assert_eq(status, LNG_ERR_DEVICE, "%d", (int)status);
    cr_assert(strstr(lng_error_message(), "cudaErrorIllegalAddress"), "%s", lng_error_message());
    lng_search_close(search);
    crowd_close(&c);
    cr_assert_eq(lng_mem_get_stats().blocks_live, before);
}

#if EMU_TYPES == 3 /* the rest is the same in every variant */

/* By default two on a GPU, each with a full batch, or else one on each; never while the model is trained. */
Test(streams, are_as_many_as_pay)
{
    static const struct {
        int workers, gpus, count, expected;
    } cases[] = {{0, 1, 1, 1}, {0, 1, 7, 1}, {0, 1, 11, 2}, {0, 2, COUNT, 4}, {0, 2, 15, 2},
                 {0, 2, 2, 1}, {2, 1, 4, 1}, {2, 1, 11, 2}, {1, 1, COUNT, 1}, {1, 2, 11, 2}};
    static struct crowd c;
    struct lng_search_stats stats;
    crowd_open(&c, "cuda", LNG_DTYPE_F32);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_ok(search_some(&c, cases[i].workers, cases[i].gpus, cases[i].count, &stats));
        cr_assert_eq(stats.workers, cases[i].expected, "case %zu: %d", i, stats.workers);
        cr_assert_eq(c.calls, cases[i].count);
    }
    c.b.models[0].training = true;
    check_ok(search_some(&c, 0, 1, COUNT, &stats));
    cr_assert_eq(stats.workers, 1);
    crowd_close(&c);
}

/* The first to fail ends the run; nobody is called after it, and the search can be used again. */
Test(streams, end_with_a_failing_callback)
{
    static const int places[] = {1, 5, COUNT};
    static struct crowd c;
    struct lng_search *search;
    crowd_open(&c, "cuda", LNG_DTYPE_F32);
    struct lng_search_options o = options_of(&c, 2, 2);
    check_ok(lng_search_open(&c.b.models[0], &o, &search));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        c.calls = 0;
        c.fail_at = places[i];
        check_fails(lng_search_run(search, c.inputs, COUNT, keep, &c), LNG_ERR_IO, "failed");
        cr_assert_eq(c.calls, places[i]);
        c.calls = c.fail_at = 0;
        check_ok(lng_search_run(search, c.inputs, COUNT, keep, &c));
        cr_assert_eq(c.calls, COUNT);
    }
    lng_search_close(search);
    crowd_close(&c);
}

/* Where there is no memory for another the batches go one after the other. */
Test(streams, do_without_memory)
{
    static struct crowd c;
    struct lng_search_stats stats;
    setenv("LNG_CUDAEMU_MEMORY", "120", 1); /* of which products take 32 a worker */
    crowd_open(&c, "cuda", LNG_DTYPE_F32);
    check_ok(search_some(&c, 1, 1, COUNT, &stats));
    struct bench_result *want = bench_copy(&c.b);
    for (int workers = 2; workers <= 4; workers += 2) {
        check_ok(search_some(&c, workers, 1, COUNT, &stats));
        cr_assert_eq(bench_differing(&c.b, want), 0);
        cr_assert_eq(stats.workers, workers == 2 ? 2 : 1);
    }
    lng_free(want);
    crowd_close(&c);
}

#endif
