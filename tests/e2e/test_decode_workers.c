/* Several batches at once: the same results as one, errors that end all of them, and a search that can be used again.
 * LNG_TEST_ROUNDS=50 repeats what threads could race in. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/cpu_variants.h"
#include "tests/support/failing_memory.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/steering_bench.h"

enum { COUNT = 120 };

static int rounds(void)
{
    const char *text = getenv("LNG_TEST_ROUNDS");
    return text != NULL ? atoi(text) : 1;
}

/* One way of searching each; lists go with some. */
enum { PLAIN, ALIGNED, RENORMALISED, SAMPLED, PENALISED, LISTED, FORCED, WAYS };
static const char *const names[] = {"plain",     "aligned", "renormalised", "sampled",
                                    "penalised", "listed",  "forced"};

static struct lng_search_options options_for(struct bench *b, int way,
                                             const struct lng_shortlist *list)
{
    static const int32_t prefix[] = {4, 7};
    struct lng_search_options o = way == SAMPLED ? bench_sampling(3) : bench_options(3, 3);
    o.alignment = way == ALIGNED;
    o.renormalise = way == RENORMALISED;
    o.steering.repetition_penalty = way == PENALISED ? 1.3 : 1.0;
    o.steering.coverage_penalty = way == PENALISED ? 0.2 : 0.0;
    o.steering.shortlist = way == LISTED ? list : NULL;
    b->prefix = way == FORCED ? prefix : NULL;
    b->prefix_length = way == FORCED ? 2 : 0;
    return o;
}

static void check_ways(enum lng_dtype compute)
{
    static const struct {
        int threads, workers, sentences;
    } cases[] = {{1, 0, 0}, {2, 2, 0}, {3, 1, 0}, {3, 2, 0}, {3, 3, 5}, {8, 8, 0}, {8, 3, 1}};
    struct lng_shortlist list = bench_shortlist(5);
    struct bench alone, b;
    bench_open(&alone, "cpu", 1, COUNT);
    bench_retype(&alone, compute);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        bench_open(&b, "cpu", cases[c].threads, COUNT);
        bench_retype(&b, compute);
        for (int way = 0; way < WAYS; way++) {
            struct lng_search_options o = options_for(&alone, way, &list);
            o.workers = 1;
            bench_run(&alone, &o);
            o = options_for(&b, way, &list);
            o.workers = cases[c].workers;
            o.batch_sentences = cases[c].sentences;
            for (int r = 0; r < rounds(); r++) {
                memset(b.results, 0, COUNT * sizeof *b.results);
                bench_run(&b, &o);
                cr_assert(bench_differing(&b, alone.results) == 0, "%s, %s: %d of %d threads",
                          lng_dtype_name(compute), names[way], cases[c].workers, cases[c].threads);
            }
        }
        bench_close(&b);
    }
    bench_close(&alone);
    lng_shortlist_release(&list);
}

Test(decode_workers, same_results)
{
    check_ways(LNG_DTYPE_F32);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(decode_workers, same_results_in_less)
{
    check_ways(LNG_DTYPE_I8);
    if (cpu_has_bf16())
        check_ways(LNG_DTYPE_BF16);
}

/* A search of the bench's sentences with a callback that may fail. */
struct job {
    struct bench b;
    struct lng_search_input inputs[COUNT];
    struct lng_search *search;
    int calls, fail_at, inside, overlaps;
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct job *job = context;
    enum lng_status status = LNG_OK;
    job->overlaps += job->inside++ > 0;
    if (++job->calls >= job->fail_at && job->fail_at > 0)
        status = lng_fail(LNG_ERR_IO, "call %d failed", job->calls);
    else
        status = bench_keep(&job->b, result);
    job->inside--;
    return status;
}

static struct job *job_open(int threads)
{
    struct job *job = lng_alloc(1, sizeof *job);
    bench_open(&job->b, "cpu", threads, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const int32_t *offsets = job->b.corpus.offsets;
        job->inputs[i].source = job->b.corpus.ids + offsets[i];
        job->inputs[i].source_length = offsets[i + 1] - offsets[i];
    }
    return job;
}

static void job_close(struct job *job)
{
    cr_assert(job->overlaps == 0, "called by two at a time");
    lng_search_close(job->search);
    bench_close(&job->b);
    lng_free(job);
}

static enum lng_status run(struct job *job, int count, int fail_at)
{
    job->calls = 0;
    job->fail_at = fail_at;
    return lng_search_run(job->search, job->inputs, count, keep, job);
}

/* The first to fail ends the run: nobody is called after it, whatever the others hold. */
Test(decode_workers, failing_callback)
{
    static const int places[] = {1, 2, 7, 60, COUNT};
    struct job *job = job_open(4);
    struct lng_search_options o = bench_options(3, 1);
    char message[64];
    o.batch_sentences = 6;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_ok(run(job, COUNT, 0));
    cr_assert(job->calls == COUNT);
    struct bench_result *want = bench_copy(&job->b);
    for (int r = 0; r < rounds(); r++)
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            snprintf(message, sizeof message, "call %d failed", places[i]);
            check_fails(run(job, COUNT, places[i]), LNG_ERR_IO, message);
            cr_assert(job->calls == places[i], "%d calls, not %d", job->calls, places[i]);
            memset(job->b.results, 0, COUNT * sizeof *job->b.results);
            check_ok(run(job, COUNT, 0));
            cr_assert(job->calls == COUNT && bench_differing(&job->b, want) == 0, "after call %d",
                      places[i]);
        }
    lng_free(want);
    job_close(job);
}

Test(decode_workers, bad_input_and_reuse)
{
    struct job *job = job_open(3);
    struct lng_search_options o = bench_options(3, 1);
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    job->inputs[100].source_length = 0;
    check_fails(run(job, COUNT, 0), LNG_ERR_RANGE, "sentence 100: expected 1 source token");
    check_ok(run(job, 100, 0));
    static const int32_t stray[] = {TINY_V};
    job->inputs[40].source = stray;
    job->inputs[40].source_length = 1;
    check_fails(run(job, 100, 0), LNG_ERR_RANGE, "vocabulary");
    check_ok(run(job, 40, 0));
    check_ok(run(job, 1, 0));
    check_ok(run(job, 0, 0));
    job_close(job);
}

/* Each kind of run has the whole allowance: what the other kind held is given back. */
Test(decode_workers, statistics_and_memory)
{
    struct job *job = job_open(2);
    struct lng_search_options o = bench_options(3, 1);
    o.workers = 1;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_ok(run(job, COUNT, 0));
    const struct lng_search_stats alone = lng_search_get_stats(job->search);
    lng_search_close(job->search);
    o.workers = 2;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_ok(run(job, COUNT, 0));
    const struct lng_search_stats both = lng_search_get_stats(job->search);
    cr_assert(both.rows == alone.rows && both.encoded == alone.encoded);
    cr_assert(both.sentences_at_once == COUNT && both.sentences_at_once > alone.sentences_at_once);
    cr_assert(both.cache_bytes > alone.cache_bytes);
    check_ok(run(job, 2, 0)); /* too few for two */
    const struct lng_search_stats few = lng_search_get_stats(job->search);
    cr_assert(few.cache_bytes < alone.cache_bytes && few.sentences_at_once == 2);
    check_ok(run(job, COUNT, 0));
    cr_assert(lng_search_get_stats(job->search).cache_bytes == both.cache_bytes);
    job_close(job);
}

/* A sentence that needs more than a share of the memory, though not more than all of it, is no reason to fail. */
Test(decode_workers, share_too_small)
{
    struct job *job = job_open(4);
    struct lng_search_options o = bench_options(3, 1);
    o.workers = 1;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_ok(run(job, COUNT, 0));
    struct bench_result *want = bench_copy(&job->b);
    size_t enough = 1;
    enum lng_status status = LNG_ERR_MEMORY;
    while (status == LNG_ERR_MEMORY) { /* within a quarter of what one batch needs */
        lng_search_close(job->search);
        job->search = NULL;
        o.cache_bytes = enough += enough / 4 + 1;
        check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
        status = run(job, COUNT, 0);
    }
    check_ok(status);
    const struct lng_search_stats one = lng_search_get_stats(job->search);
    lng_search_close(job->search);
    o.workers = 4;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    memset(job->b.results, 0, COUNT * sizeof *job->b.results);
    check_ok(run(job, COUNT, 0));
    cr_assert(bench_differing(&job->b, want) == 0);
    const struct lng_search_stats alone = lng_search_get_stats(job->search);
    cr_assert(alone.sentences_at_once == one.sentences_at_once &&
              alone.cache_bytes == one.cache_bytes);
    lng_search_close(job->search);
    o.cache_bytes = enough / 2;
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_fails(run(job, COUNT, 0), LNG_ERR_MEMORY, "keys and values");
    lng_free(want);
    job_close(job);
}

/* Whatever allocation fails, on whatever thread: memory is short or it is not, and the search goes on afterwards. */
Test(decode_workers, without_memory)
{
    struct job *job = job_open(2);
    struct lng_search_options o = bench_options(2, 1);
    for (int forever = 0; forever < 2; forever++) {
        struct failing_memory memory = {.forever = forever};
        while (failing_memory_try(&memory)) {
            enum lng_status status = lng_search_open(&job->b.models[0], &o, &job->search);
            if (status == LNG_OK)
                status = run(job, COUNT, 0);
            lng_search_close(job->search);
            job->search = NULL;
            failing_memory_check(&memory, status);
        }
        cr_assert(memory.tries > 20, "%zu tries", memory.tries);
    }
    check_ok(lng_search_open(&job->b.models[0], &o, &job->search));
    check_ok(run(job, COUNT, 0));
    for (size_t n = 1; n < 40;
         n++) { /* the same search each time, longer sentences from the sixtieth on */
        lng_mem_fail_nth(n, n % 2);
        enum lng_status status = run(job, COUNT, 0);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY);
        check_ok(run(job, COUNT, 0));
        cr_assert(job->calls == COUNT);
    }
    job_close(job);
}

/* Runs translate -m configs/demo with further words; @x is the scratch file x. */
static struct program translate(const char *words, const char *input)
{
    struct program program;
    char all[1024] = "translate -m configs/demo --device cpu ";
    size_t length = strlen(all);
    for (const char *at = words; *at != '\0'; at++)
        length += (size_t)snprintf(all + length, sizeof all - length, *at == '@' ? "%s" : "%.1s",
                                   *at == '@' ? scratch_path("") : at);
    program_run(&program, all, input, strlen(input), NULL);
    return program;
}

/* Lines in the order of the input and to the byte, with all that can be asked for. */
Test(decode_workers, program)
{
    static const char *const ways[] = {
        "",
        "--json --n-best 3 --alignment hard --word-scores",
        "--n-best 4 --alignment soft",
        "--constraints @demands --prefix @prefixes --prefix-bias 0.5 --json --n-best 2",
        "--prefix @prefixes --dtype int8",
        "--sample --n-best 2 --seed 3",
        "--no-repeat-ngram 2 --repetition-penalty 1.2"};
    static const char *const workers[] = {"--workers 2 --threads 2", "--workers 3 --threads 3",
                                          "--workers 8 --threads 8", "--threads 3",
                                          "--workers 8 --threads 1"};
    static const char *const kinds[] = {"I see a dog.", "", "Where is my sister?", "Good morning.",
                                        "We drink milk and the train leaves at eight."};
    struct lng_buffer input = {0}, demands = {0}, prefixes = {0};
    scratch_make();
    for (int i = 0; i < 40; i++) {
        check_ok(lng_buffer_append_format(&input, "%s %d\n", kinds[i * i % 5], i));
        check_ok(lng_buffer_append_format(&demands, i % 4 == 1 ? "[\"Hund\"]\n" : "\n"));
        check_ok(lng_buffer_append_format(&prefixes, i % 5 == 2 ? "Guten\n" : "\n"));
    }
    (void)scratch_write("demands", demands.data, demands.length);
    (void)scratch_write("prefixes", prefixes.data, prefixes.length);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char words[512];
        snprintf(words, sizeof words, "%s --workers 1 --threads 1", ways[i]);
        struct program want = translate(words, input.data);
        cr_assert(want.status == 0 && want.out_length > 0, "%s", want.err);
        for (size_t w = i % 2; w < sizeof workers / sizeof workers[0]; w += 2) {
            snprintf(words, sizeof words, "%s %s", ways[i], workers[w]);
            struct program got = translate(words, input.data);
            cr_assert(got.status == 0, "%s: %s", words, got.err);
            cr_assert_str_eq(got.out, want.out, "%s", words);
            program_release(&got);
        }
        program_release(&want);
    }
    struct program refused = translate("--workers -1", "a\n");
    cr_assert(refused.status == 2 && strstr(refused.err, "--workers") != NULL, "%s", refused.err);
    program_release(&refused);
    refused = translate("--workers two", "a\n");
    cr_assert(refused.status == 2 && strstr(refused.err, "--workers") != NULL, "%s", refused.err);
    program_release(&refused);
    lng_buffer_release(&input);
    lng_buffer_release(&demands);
    lng_buffer_release(&prefixes);
    scratch_remove();
}
