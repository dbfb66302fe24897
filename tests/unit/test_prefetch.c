#include "host/data/prefetch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/word_encoder.h"

enum { LINES = 700, MOST_BATCHES = 4000 };

static void setup(void)
{
    scratch_make();
    lng_log_set_level(LNG_LOG_ERROR);
}

TestSuite(prefetch, .init = setup, .fini = scratch_remove);

/* LINES pairs of varying length; line i holds the words i. Some have more than 20 words. */
static struct lng_corpus *make_corpus(void)
{
    FILE *source = fopen(scratch_path("s"), "w"), *target = fopen(scratch_path("t"), "w");
    for (unsigned i = 0; i < LINES; i++) {
        for (unsigned k = 0; k < 1 + i * 7919 % 23; k++)
            fprintf(source, "%u ", i);
        for (unsigned k = 0; k < 1 + i * 104729 % 22; k++)
            fprintf(target, "%u ", i);
        fprintf(source, "\n");
        fprintf(target, "\n");
    }
    fclose(source);
    fclose(target);
    struct lng_corpus_files files = {scratch_path("s"), scratch_path("t")};
    struct lng_corpus_options options = {.files = &files, .file_count = 1};
    struct lng_corpus *corpus;
    check_ok(lng_corpus_open(&options, &corpus));
    return corpus;
}

static struct lng_prefetch_options make_options(const struct lng_corpus *corpus)
{
    return (struct lng_prefetch_options){
        .corpus = corpus,
        .encoder = {.encode = word_encode, .digest = 1},
        .batch = {.max_tokens = 90,
                  .max_length = 20,
                  .source_eos = WORD_EOS,
                  .target_eos = WORD_EOS,
                  .source_unknown = -1,
                  .target_unknown = -1},
        .seed = 11,
        .window_pairs = 150,
        .epochs = 3,
    };
}

/* One number for all that a batch is. */
static uint64_t digest_batch(const struct lng_pair_batch *batch)
{
    uint64_t words[] = {
        batch->epoch,
        batch->batch_index,
        (uint64_t)batch->count,
        lng_checksum(batch->source_ids, (size_t)batch->source_tokens * 4),
        lng_checksum(batch->target_ids, (size_t)batch->target_tokens * 4),
        lng_checksum(batch->source_offsets, (size_t)(batch->count + 1) * 4),
        lng_checksum(batch->target_offsets, (size_t)(batch->count + 1) * 4),
        lng_checksum(batch->sentence_ids, (size_t)batch->count * 4),
    };
    return lng_checksum(words, sizeof words);
}

/* Reads to the end; returns how many batches. positions may be NULL. */
static size_t run(const struct lng_prefetch_options *options, uint64_t *digests,
                  struct lng_data_position *positions)
{
    struct lng_prefetch *prefetch;
    check_ok(lng_prefetch_open(options, &prefetch));
    size_t count = 0;
    for (;;) {
        struct lng_pair_batch batch;
        bool got;
        if (positions != NULL)
            positions[count] = lng_prefetch_position(prefetch);
        check_ok(lng_prefetch_next(prefetch, &batch, &got));
        if (!got)
            break;
        cr_assert(count < MOST_BATCHES);
        digests[count++] = digest_batch(&batch);
    }
    lng_prefetch_close(prefetch);
    return count;
}

Test(prefetch, each_epoch_holds_every_short_pair_once)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    options.threads = 2;
    struct lng_prefetch *prefetch;
    check_ok(lng_prefetch_open(&options, &prefetch));
    unsigned seen[3][LINES] = {{0}};
    uint64_t next_index = 0, pairs = 0, source_tokens = 0;
    double done = 0;
    for (;;) {
        struct lng_pair_batch batch;
        bool got;
        check_ok(lng_prefetch_next(prefetch, &batch, &got));
        if (!got)
            break;
        cr_assert(batch.batch_index == next_index++ && batch.epoch < 3);
        cr_assert(batch.source_tokens <= 90 && batch.target_tokens <= 90 && batch.count > 0);
        for (int64_t i = 0; i < batch.count; i++) {
            uint32_t id = batch.sentence_ids[i];
            seen[batch.epoch][id]++;
            cr_assert(batch.source_ids[batch.source_offsets[i]] == (int32_t)id + WORD_FIRST);
            cr_assert(batch.target_ids[batch.target_offsets[i]] == (int32_t)id + WORD_FIRST);
            cr_assert(batch.source_offsets[i + 1] - batch.source_offsets[i] ==
                      (int32_t)(id * 7919 % 23) + 2);
        }
        pairs += (uint64_t)batch.count;
        source_tokens += (uint64_t)batch.source_tokens;
        double now = lng_prefetch_epochs(prefetch);
        cr_assert(now > done && now <= 3);
        done = now;
    }
    cr_assert(fabs(done - 3) < 1e-9);
    uint64_t dropped = 0;
    for (unsigned i = 0; i < LINES; i++) {
        unsigned want = i * 7919 % 23 + 2 <= 20 && i * 104729 % 22 + 2 <= 20;
        dropped += !want;
        for (int epoch = 0; epoch < 3; epoch++)
            cr_assert(seen[epoch][i] == want, "line %u, epoch %d: %u times", i, epoch,
                      seen[epoch][i]);
    }
    struct lng_prefetch_totals totals = lng_prefetch_get_totals(prefetch);
    cr_assert(totals.pairs == pairs && totals.source_tokens == source_tokens);
    cr_assert(dropped > 50 && totals.long_pairs == 3 * dropped && totals.cropped == 0);
    cr_assert(totals.wait_seconds >= 0);
    lng_prefetch_close(prefetch);
    lng_corpus_close(corpus);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(prefetch, threads_change_nothing)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    static uint64_t want[MOST_BATCHES], got[MOST_BATCHES];
    int sampling;
    for (int sample = 0; sample < 2; sample++) {
        options.encoder.context = sample ? &sampling : NULL;
        options.threads = 0;
        size_t count = run(&options, want, NULL);
        cr_assert(count > 100);
        for (int threads = 1; threads <= 8; threads *= 2) {
            options.threads = threads;
            cr_assert(run(&options, got, NULL) == count);
            cr_assert(memcmp(got, want, count * sizeof *want) == 0, "%d threads", threads);
        }
    }
    options.seed++;
    run(&options, got, NULL);
    cr_assert(got[0] != want[0]);
    lng_corpus_close(corpus);
}

/* From every batch of three epochs on: what follows is what an unbroken run gives. */
Test(prefetch, resumed_at_any_batch)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    static uint64_t want[MOST_BATCHES];
    static struct lng_data_position positions[MOST_BATCHES + 1];
    size_t count = run(&options, want, positions);
    for (size_t start = 0; start <= count; start++) {
        unsigned char bytes[LNG_DATA_POSITION_BYTES];
        struct lng_writer writer;
        struct lng_reader reader;
        struct lng_data_position position;
        lng_writer_init(&writer, bytes, sizeof bytes);
        check_ok(lng_data_position_write(&positions[start], &writer));
        lng_reader_init(&reader, "checkpoint", bytes, sizeof bytes);
        check_ok(lng_data_position_read(&reader, &position));
        cr_assert(memcmp(&position, &positions[start], sizeof position) == 0);
        options.position = &position;
        options.threads = (int)(start % 3);
        struct lng_prefetch *prefetch;
        check_ok(lng_prefetch_open(&options, &prefetch));
        struct lng_pair_batch batch;
        bool got;
        for (size_t i = start; i <= count && i < start + 12; i++) {
            struct lng_data_position here = lng_prefetch_position(prefetch);
            cr_assert(memcmp(&here, &positions[i], sizeof here) == 0, "from %zu, at %zu", start, i);
            check_ok(lng_prefetch_next(prefetch, &batch, &got));
            cr_assert(got == (i < count));
            if (got)
                cr_assert(digest_batch(&batch) == want[i], "from %zu, batch %zu", start, i);
        }
        lng_prefetch_close(prefetch);
    }
    lng_corpus_close(corpus);
}

Test(prefetch, corpus_order_and_sentence_batches)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    options.batch.in_order = options.batch.crop = true;
    options.batch.max_tokens = 0;
    options.batch.max_sentences = 40;
    options.epochs = 1;
    options.threads = 2;
    struct lng_prefetch *prefetch;
    check_ok(lng_prefetch_open(&options, &prefetch));
    uint32_t next = 0;
    for (int i = 0;; i++) {
        struct lng_pair_batch batch;
        bool got;
        check_ok(lng_prefetch_next(prefetch, &batch, &got));
        if (!got)
            break;
        /* 150 pairs a window: 40, 40, 40, 30; the last holds 100. */
        cr_assert(batch.count == (i == 18      ? 20
                                  : i % 4 == 3 ? 30
                                               : 40),
                  "batch %d: %d", i, (int)batch.count);
        for (int64_t k = 0; k < batch.count; k++)
            cr_assert(batch.sentence_ids[k] == next++);
    }
    cr_assert(next == LINES);
    cr_assert(lng_prefetch_get_totals(prefetch).cropped > 50);
    lng_prefetch_close(prefetch);

    options.batch.in_order = false;
    options.no_shuffle = true;
    check_ok(lng_prefetch_open(&options, &prefetch));
    struct lng_pair_batch batch;
    bool got;
    check_ok(lng_prefetch_next(prefetch, &batch, &got));
    for (int64_t k = 0; k < batch.count; k++)
        cr_assert(batch.sentence_ids[k] < 150);
    lng_prefetch_close(prefetch);
    lng_corpus_close(corpus);
}

static struct lng_buffer read_report(void)
{
    struct lng_buffer content = {0};
    check_ok(lng_file_read(scratch_path("long.tsv"), 1 << 20, &content));
    return content;
}

/* Every dropped pair is there once, and the file is the same after an interruption at any point. */
Test(prefetch, report_of_long_pairs)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_path("long.tsv"));
    options.long_report_path = path;
    options.epochs = 2;
    static uint64_t digests[MOST_BATCHES];
    static struct lng_data_position positions[MOST_BATCHES + 1];
    size_t count = run(&options, digests, positions);
    struct lng_buffer want = read_report();
    struct lng_slice rest = {want.data, want.length}, row;
    cr_assert(lng_text_split(&rest, '\n', &row));
    cr_assert(lng_slice_equals(row, "corpus\tline\treason\tsource tokens\ttarget tokens"));
    unsigned rows = 0, seen[LINES] = {0}, dropped = 0;
    while (lng_text_split(&rest, '\n', &row) && row.length > 0) {
        unsigned line, source, target;
        const char *tab = memchr(row.data, '\t', row.length);
        cr_assert(tab != NULL &&
                  strncmp(row.data, scratch_path("s"), (size_t)(tab - row.data)) == 0);
        char side[16];
        cr_assert(sscanf(tab, "\t%u\t%15s too long\t%u\t%u", &line, side, &source, &target) == 4,
                  "%s", tab);
        cr_assert(source == (line - 1) * 7919 % 23 + 2 && target == (line - 1) * 104729 % 22 + 2);
        cr_assert(strcmp(side, source > 20 ? "source" : "target") == 0);
        seen[line - 1]++;
        rows++;
    }
    for (unsigned i = 0; i < LINES; i++) {
        unsigned is_long = i * 7919 % 23 + 2 > 20 || i * 104729 % 22 + 2 > 20;
        cr_assert(seen[i] == is_long);
        dropped += is_long;
    }
    cr_assert(rows == dropped && rows > 50);
    for (size_t start = 0; start < count; start += 5) {
        options.position = &positions[start];
        run(&options, digests, NULL);
        struct lng_buffer got = read_report();
        cr_assert_str_eq(got.data, want.data, "from %zu", start);
        lng_buffer_release(&got);
    }
    /* A run that begins anew begins the report anew. */
    options.position = NULL;
    options.epochs = 1;
    run(&options, digests, NULL);
    struct lng_buffer got = read_report();
    cr_assert_str_eq(got.data, want.data);
    lng_buffer_release(&got);
    lng_buffer_release(&want);
    lng_corpus_close(corpus);
}

Test(prefetch, positions_of_other_runs)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    struct lng_prefetch *prefetch = NULL, *resumed = NULL;
    check_ok(lng_prefetch_open(&options, &prefetch));
    struct lng_pair_batch batch;
    bool got;
    for (int i = 0; i < 30; i++)
        check_ok(lng_prefetch_next(prefetch, &batch, &got));
    struct lng_data_position position = lng_prefetch_position(prefetch), wrong = position;
    cr_assert(position.window > 0 && position.batch > 0 && position.batch_index == 30);
    lng_prefetch_close(prefetch);

    options.position = &wrong;
    wrong.corpus_digest++;
    check_fails(lng_prefetch_open(&options, &resumed), LNG_ERR_MISMATCH, "training corpus is not");
    wrong = position;
    options.batch.max_tokens = 91;
    check_fails(lng_prefetch_open(&options, &resumed), LNG_ERR_MISMATCH, "batch settings");
    options.accept_new_settings = true;
    check_ok(lng_prefetch_open(&options, &resumed));
    struct lng_data_position here = lng_prefetch_position(resumed);
    cr_assert(here.window == position.window && here.batch == 0 && here.batch_index == 30);
    check_ok(lng_prefetch_next(resumed, &batch, &got));
    cr_assert(got && batch.batch_index == 30);
    lng_prefetch_close(resumed);

    options.batch.max_tokens = 90;
    options.accept_new_settings = false;
    wrong.window = 5;
    check_fails(lng_prefetch_open(&options, &resumed), LNG_ERR_MISMATCH, "window 5 of 5");
    wrong = position;
    wrong.batch = 1000;
    check_ok(lng_prefetch_open(&options, &resumed));
    check_fails(lng_prefetch_next(resumed, &batch, &got), LNG_ERR_MISMATCH, "batch 1000");
    lng_prefetch_close(resumed);
    lng_corpus_close(corpus);

    /* The files have changed since the checkpoint. */
    FILE *target = fopen(scratch_path("t"), "r+");
    fputs("9", target);
    fclose(target);
    struct lng_corpus_files files = {scratch_path("s"), scratch_path("t")};
    struct lng_corpus_options reopen = {.files = &files, .file_count = 1};
    check_ok(lng_corpus_open(&reopen, &corpus));
    options.corpus = corpus;
    options.position = &position;
    check_fails(lng_prefetch_open(&options, &resumed), LNG_ERR_MISMATCH, "training corpus is not");
    lng_corpus_close(corpus);
}

Test(prefetch, damaged_positions)
{
    unsigned char bytes[LNG_DATA_POSITION_BYTES];
    struct lng_data_position position = {.epoch = 3}, read = {.epoch = 9};
    struct lng_writer writer;
    struct lng_reader reader;
    lng_writer_init(&writer, bytes, sizeof bytes);
    check_ok(lng_data_position_write(&position, &writer));
    lng_reader_init(&reader, "checkpoint", bytes, sizeof bytes - 1);
    check_fails(lng_data_position_read(&reader, &read), LNG_ERR_FORMAT, "checkpoint");
    bytes[0] ^= 1;
    lng_reader_init(&reader, "checkpoint", bytes, sizeof bytes);
    check_fails(lng_data_position_read(&reader, &read), LNG_ERR_FORMAT, "LNGDATA1");
    cr_assert(read.epoch == 9);
}

Test(prefetch, bad_options)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    struct lng_prefetch *prefetch = NULL;
    options.threads = -1;
    check_fails(lng_prefetch_open(&options, &prefetch), LNG_ERR_RANGE, "-1 threads");
    options.threads = LNG_PREFETCH_MAX_THREADS + 1;
    check_fails(lng_prefetch_open(&options, &prefetch), LNG_ERR_RANGE, "257 threads");
    options.threads = 1;
    options.window_pairs = LNG_PREFETCH_MAX_WINDOW + 1;
    check_fails(lng_prefetch_open(&options, &prefetch), LNG_ERR_RANGE, "window");
    options.window_pairs = 0;
    options.batch.max_tokens = 3;
    check_fails(lng_prefetch_open(&options, &prefetch), LNG_ERR_RANGE, "do not fit");
    options.batch.max_tokens = 90;
    options.long_report_path = scratch_path("no/such/report");
    check_fails(lng_prefetch_open(&options, &prefetch), LNG_ERR_IO, "no/such");
    cr_assert(prefetch == NULL);
    options.long_report_path = NULL;
    check_ok(lng_prefetch_open(&options, &prefetch));
    cr_assert(lng_prefetch_window_pairs(prefetch) == 1024);
    lng_prefetch_close(prefetch);
    options.batch.max_tokens = 4000;
    check_ok(lng_prefetch_open(&options, &prefetch));
    uint64_t window = lng_prefetch_window_pairs(prefetch);
    cr_assert(window > 10000 && window < 50000, "%zu", (size_t)window);
    lng_prefetch_close(prefetch);
    lng_corpus_close(corpus);
}

static void open_text(const char *source, const char *target, struct lng_corpus **corpus)
{
    struct lng_corpus_files files = {scratch_write("fs", source, strlen(source)),
                                     scratch_write("ft", target, strlen(target))};
    struct lng_corpus_options options = {.files = &files, .file_count = 1};
    check_ok(lng_corpus_open(&options, corpus));
}

/* The batches before the failing window come first, then always the same failure. */
Test(prefetch, encoder_failures_come_in_order)
{
    struct lng_buffer text = {0};
    struct lng_corpus *corpus;
    for (int i = 0; i < 600; i++)
        check_ok(
            lng_buffer_append_text(&text, i == 470 || i == 333 || i == 599 ? "FAIL\n" : "1 2 3\n"));
    open_text(text.data, text.data, &corpus);
    lng_buffer_release(&text);
    for (int threads = 0; threads <= 4; threads++) {
        struct lng_prefetch_options options = make_options(corpus);
        options.threads = threads;
        options.no_shuffle = true;
        struct lng_prefetch *prefetch;
        check_ok(lng_prefetch_open(&options, &prefetch));
        struct lng_pair_batch batch;
        bool got;
        uint64_t pairs = 0;
        while (pairs < 300) {
            check_ok(lng_prefetch_next(prefetch, &batch, &got));
            pairs += (uint64_t)batch.count;
        }
        cr_assert(pairs == 300);
        for (int i = 0; i < 2; i++)
            check_fails(lng_prefetch_next(prefetch, &batch, &got), LNG_ERR_UNSUPPORTED,
                        "line 334 of");
        lng_prefetch_close(prefetch);
    }
    lng_corpus_close(corpus);
}

Test(prefetch, nothing_short_enough)
{
    struct lng_corpus *corpus;
    open_text("1 2 3 4 5\n1 2 3 4 5 6\n", "1\n2\n", &corpus);
    struct lng_prefetch_options options = make_options(corpus);
    options.batch.max_length = 4;
    options.epochs = 0;
    options.threads = 1;
    struct lng_prefetch *prefetch;
    check_ok(lng_prefetch_open(&options, &prefetch));
    struct lng_pair_batch batch;
    bool got;
    check_fails(lng_prefetch_next(prefetch, &batch, &got), LNG_ERR_RANGE, "none of 2 pairs");
    lng_prefetch_close(prefetch);
    lng_corpus_close(corpus);
}

Test(prefetch, windows_without_batches_are_passed_over)
{
    struct lng_corpus *corpus;
    open_text("1\n1 2 3 4\n1 2 3 4\n2\n1 2 3 4\n", "1\n1\n1\n2\n1\n", &corpus);
    struct lng_prefetch_options options = make_options(corpus);
    options.batch.max_length = 4;
    options.window_pairs = 1;
    options.no_shuffle = true;
    static uint64_t digests[MOST_BATCHES];
    static struct lng_data_position positions[MOST_BATCHES];
    for (int threads = 0; threads < 3; threads++) {
        options.threads = threads;
        cr_assert(run(&options, digests, positions) == 6);
    }
    cr_assert(positions[1].window == 1 && positions[2].window == 4 && positions[2].long_pairs == 2);
    cr_assert(positions[6].epoch == 2 && positions[6].window == 4 && positions[6].long_pairs == 2);
    lng_corpus_close(corpus);
}

/* Closed without reading, in the middle, and after the end: no thread hangs and nothing is
 * leaked. */
Test(prefetch, closed_at_any_time)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    options.epochs = 0;
    for (int batches = 0; batches < 60; batches++) {
        options.threads = batches % 5;
        struct lng_prefetch *prefetch;
        check_ok(lng_prefetch_open(&options, &prefetch));
        for (int i = 0; i < batches; i++) {
            struct lng_pair_batch batch;
            bool got = false;
            check_ok(lng_prefetch_next(prefetch, &batch, &got));
            cr_assert(got);
        }
        lng_prefetch_close(prefetch);
    }
    lng_corpus_close(corpus);
    lng_prefetch_close(NULL);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(prefetch, out_of_memory)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    options.epochs = 1;
    size_t live = lng_mem_get_stats().blocks_live, n = 0;
    enum lng_status status = LNG_ERR_MEMORY;
    for (n = 1; status != LNG_OK && n < 4000; n += 1 + n / 8) {
        struct lng_prefetch *prefetch = NULL;
        bool got = true;
        lng_mem_fail_nth(n, 1);
        status = lng_prefetch_open(&options, &prefetch);
        while (status == LNG_OK && got) {
            struct lng_pair_batch batch;
            status = lng_prefetch_next(prefetch, &batch, &got);
        }
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY, "%s", lng_error_message());
        lng_prefetch_close(prefetch);
        cr_assert(lng_mem_get_stats().blocks_live == live);
    }
    cr_assert(status == LNG_OK && n > 50);
    lng_corpus_close(corpus);
}

/* Two windows, however long the corpus is: 64 pairs of at most 2 * 25 tokens are 13 kB of ids in
 * a part, as much packed, twice; and slack. */
Test(prefetch, memory_is_that_of_two_windows)
{
    struct lng_corpus *corpus = make_corpus();
    struct lng_prefetch_options options = make_options(corpus);
    options.window_pairs = 64;
    options.threads = 2;
    lng_mem_set_limit(lng_mem_get_stats().bytes_live + 150000);
    static uint64_t digests[MOST_BATCHES];
    cr_assert(run(&options, digests, NULL) > 100);
    lng_mem_set_limit(0);
    lng_corpus_close(corpus);
}
