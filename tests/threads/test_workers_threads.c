/* A search's workers under ThreadSanitizer: one model, one queue, one callback, on two threads and more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/infer/decode.h"

enum { WORDS = 40, COUNT = 90, LONGEST = 12, BEAM = 3 };

/* Sentences, and what became of each: a hash of its tokens. */
struct job {
    struct lng_device *device;
    struct lng_model model;
    int32_t ids[COUNT][LONGEST];
    struct lng_search_input inputs[COUNT];
    uint64_t found[COUNT];
    int calls, fail_at;
};

static enum lng_status keep(void *context, const struct lng_search_result *result)
{
    struct job *job = context;
    const struct lng_hypothesis *best = &result->hypotheses[0];
    uint64_t hash = 1469598103934665603u;
    for (int32_t t = 0; t < best->length; t++)
        hash = (hash ^ (uint64_t)best->tokens[t]) * 1099511628211u;
    job->found[result->index] = hash;
    return ++job->calls == job->fail_at ? lng_fail(LNG_ERR_IO, "no more") : LNG_OK;
}

static void open_job(struct job *job, int threads, enum lng_dtype compute)
{
    struct lng_hparams h = lng_hparams_default();
    memset(job, 0, sizeof *job);
    h.source_vocab = h.target_vocab = WORDS;
    h.dim = 32;
    h.encoder_layers = h.decoder_layers = 2;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 48;
    h.eos = h.source_eos = 0;
    h.unk = 1;
    h.pad = h.decoder_start = 2;
    assert_int_equal(
        lng_device_open("cpu", &(struct lng_device_options){.threads = threads}, &job->device),
        LNG_OK);
    assert_int_equal(lng_model_init(&job->model, job->device, &h, compute, false), LNG_OK);
    assert_int_equal(lng_model_randomize(&job->model, 7, false), LNG_OK);
    for (int i = 0; i < COUNT; i++) {
        const int length = 2 + i * 7 % (LONGEST - 1);
        for (int t = 0; t < length; t++)
            job->ids[i][t] = t + 1 < length ? 3 + (i * 5 + t * t) % (WORDS - 3) : 0;
        job->inputs[i] = (struct lng_search_input){.source = job->ids[i], .source_length = length};
    }
}

static void close_job(struct job *job)
{
    lng_model_release(&job->model);
    lng_device_close(job->device);
}

/* Several runs of one search: whole, cut short by the callback, of few sentences, whole again. */
static void run_all(struct job *job, int workers, bool alignment)
{
    struct lng_search_options o = lng_search_options_default();
    struct lng_search *search;
    uint64_t first[COUNT];
    o.beam.beam = BEAM;
    o.beam.n_best = 1;
    o.beam.max_factor = 1;
    o.beam.max_extra = 4;
    o.workers = workers;
    o.batch_sentences = 7;
    o.alignment = alignment;
    assert_int_equal(lng_search_open(&job->model, &o, &search), LNG_OK);
    assert_int_equal(lng_search_run(search, job->inputs, COUNT, keep, job), LNG_OK);
    assert_int_equal(job->calls, COUNT);
    memcpy(first, job->found, sizeof first);
    for (int fail_at = 0; fail_at <= 60; fail_at += 20) {
        job->calls = 0;
        job->fail_at = fail_at;
        assert_int_equal(lng_search_run(search, job->inputs, COUNT, keep, job),
                         fail_at > 0 ? LNG_ERR_IO : LNG_OK);
        assert_int_equal(job->calls, fail_at > 0 ? fail_at : COUNT);
        assert_true(fail_at == 0 || strstr(lng_error_message(), "no more") != NULL);
    }
    job->calls = job->fail_at = 0;
    assert_int_equal(lng_search_run(search, job->inputs, 2, keep, job), LNG_OK);
    memset(job->found, 0, sizeof job->found);
    assert_int_equal(lng_search_run(search, job->inputs, COUNT, keep, job), LNG_OK);
    assert_memory_equal(job->found, first, sizeof first);
    job->calls = 0;
    lng_search_close(search);
}

static void workers_share_a_model(void **state)
{
    static struct job job, alone;
    static const enum lng_dtype types[] = {LNG_DTYPE_F32, LNG_DTYPE_I8};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        open_job(&alone, 1, types[i]);
        run_all(&alone, 1, false);
        for (int threads = 2; threads <= 5; threads += 3)
            for (int workers = 0; workers <= 3; workers += 3) {
                open_job(&job, threads, types[i]);
                run_all(&job, workers, false);
                assert_memory_equal(job.found, alone.found, sizeof job.found);
                run_all(&job, workers, true);
                close_job(&job);
            }
        close_job(&alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_share_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
