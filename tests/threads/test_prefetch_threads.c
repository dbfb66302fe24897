/* Training data prepared by many threads, under ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/data/prefetch.h"
#include "tests/support/word_encoder.h"

enum { LINES = 2000, FAILING_LINE = 1500 };

static char path[64];

static int write_corpus(void **state)
{
    (void)state;
    lng_log_set_level(LNG_LOG_ERROR);
    snprintf(path, sizeof path, "/tmp/lingster-threads-XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL)
        return -1;
    for (unsigned i = 0; i < LINES; i++) {
        for (unsigned k = 0; k < 1 + i * 7919 % 23; k++)
            fprintf(file, "%u ", i);
        fprintf(file, "\t%u %u\n", i, i);
    }
    return fclose(file);
}

static int remove_corpus(void **state)
{
    (void)state;
    return unlink(path);
}

static enum lng_status encode_or_fail(void *context, enum lng_side side, const char *text,
                                      size_t length, uint64_t epoch, uint32_t sentence_id,
                                      struct lng_ids *ids)
{
    (void)context;
    LNG_FAIL_IF(sentence_id >= FAILING_LINE, LNG_ERR_FORMAT, "sentence %u", sentence_id);
    return word_encode(NULL, side, text, length, epoch, sentence_id, ids);
}

static struct lng_prefetch *open_prefetch(struct lng_corpus **corpus, int threads, bool failing)
{
    struct lng_corpus_files files = {path, NULL};
    struct lng_corpus_options corpus_options = {.files = &files, .file_count = 1};
    assert_int_equal(lng_corpus_open(&corpus_options, corpus), LNG_OK);
    struct lng_prefetch_options options = {
        .corpus = *corpus,
        .encoder = {.encode = failing ? encode_or_fail : word_encode},
        .batch = {.max_tokens = 200, .max_length = 20, .source_eos = 0, .target_eos = 0},
        .window_pairs = 300,
        .epochs = 2,
        .no_shuffle = failing,
        .threads = threads,
    };
    struct lng_prefetch *prefetch;
    assert_int_equal(lng_prefetch_open(&options, &prefetch), LNG_OK);
    return prefetch;
}

/* Reads at most `most` batches; returns a digest of them. */
static uint64_t read_batches(struct lng_prefetch *prefetch, int most, enum lng_status *status)
{
    uint64_t digest = 0;
    bool got = true;
    for (int i = 0; i < most && got; i++) {
        struct lng_pair_batch batch;
        *status = lng_prefetch_next(prefetch, &batch, &got);
        if (*status != LNG_OK)
            break;
        if (!got)
            break;
        uint64_t words[] = {digest, batch.batch_index,
                            lng_checksum(batch.source_ids, (size_t)batch.source_tokens * 4),
                            lng_checksum(batch.target_ids, (size_t)batch.target_tokens * 4)};
        digest = lng_checksum(words, sizeof words);
    }
    return digest;
}

static void all_threads_give_the_same(void **state)
{
    (void)state;
    uint64_t want = 0;
    for (int threads = 0; threads <= 8; threads += threads < 2 ? 1 : 2) {
        struct lng_corpus *corpus;
        struct lng_prefetch *prefetch = open_prefetch(&corpus, threads, false);
        enum lng_status status = LNG_OK;
        uint64_t digest = read_batches(prefetch, INT32_MAX, &status);
        assert_int_equal(status, LNG_OK);
        want = threads == 0 ? digest : want;
        assert_int_equal(digest, want);
        lng_prefetch_close(prefetch);
        lng_corpus_close(corpus);
    }
    assert_int_equal(lng_mem_get_stats().blocks_live, 0);
}

static void stopped_while_they_work(void **state)
{
    (void)state;
    for (int batches = 0; batches < 40; batches++) {
        struct lng_corpus *corpus;
        struct lng_prefetch *prefetch = open_prefetch(&corpus, 1 + batches % 6, false);
        enum lng_status status = LNG_OK;
        (void)read_batches(prefetch, batches, &status);
        assert_int_equal(status, LNG_OK);
        lng_prefetch_close(prefetch);
        lng_corpus_close(corpus);
    }
    assert_int_equal(lng_mem_get_stats().blocks_live, 0);
}

static void the_first_failure_is_the_one_reported(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 6; threads++) {
        struct lng_corpus *corpus;
        struct lng_prefetch *prefetch = open_prefetch(&corpus, threads, true);
        enum lng_status status = LNG_OK;
        (void)read_batches(prefetch, INT32_MAX, &status);
        assert_int_equal(status, LNG_ERR_FORMAT);
        assert_non_null(strstr(lng_error_message(), "sentence 1500"));
        lng_prefetch_close(prefetch);
        lng_corpus_close(corpus);
    }
    assert_int_equal(lng_mem_get_stats().blocks_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_give_the_same),
        cmocka_unit_test(stopped_while_they_work),
        cmocka_unit_test(the_first_failure_is_the_one_reported),
    };
    return cmocka_run_group_tests(tests, write_corpus, remove_corpus);
}
