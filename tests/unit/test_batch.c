#include "host/data/batch.h"

#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "host/base/mem.h"
#include "host/data/evaluation_set.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/word_encoder.h"

static const struct lng_encoder ENCODER = {.encode = word_encode};

static struct lng_batch_options make_options(void)
{
    return (struct lng_batch_options){.max_tokens = 12,
                                      .max_length = 8,
                                      .source_eos = WORD_EOS,
                                      .target_eos = WORD_EOS,
                                      .source_unknown = WORD_UNKNOWN,
                                      .target_unknown = WORD_UNKNOWN};
}

static void add(struct lng_encoded *encoded, const struct lng_batch_options *options,
                const char *source, const char *target, uint32_t id)
{
    check_ok(lng_encoded_add(encoded, &ENCODER, options, lng_slice_of(source), lng_slice_of(target),
                             0, id));
}

static void expect_ids(const int32_t *got, const int32_t *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert(got[i] == want[i], "[%zu] is %d, expected %d", i, got[i], want[i]);
}

Test(batch, pairs_are_packed_with_eos)
{
    struct lng_encoded encoded = {0};
    struct lng_batch_options options = make_options();
    options.in_order = true;
    add(&encoded, &options, "1 2 3", "4 unk", 7);
    add(&encoded, &options, "unk 5", "6 7 8 9", 4);
    add(&encoded, &options, "10 11 12 13 14 15 16", "unk", 9);
    cr_assert(encoded.source_unknown == 1 && encoded.target_unknown == 2);
    struct lng_batch_window window = {0};
    check_ok(lng_batch_window_build(&window, &encoded, 1, &options, (struct lng_shuffle_key){0}));
    cr_assert(window.batch_count == 2);
    struct lng_pair_batch batch = lng_batch_window_get(&window, 0);
    cr_assert(batch.count == 2 && batch.source_tokens == 7 && batch.target_tokens == 8);
    cr_assert(batch.batch_index == 0 && batch.epoch == 0);
    expect_ids(batch.source_ids, (int32_t[]){17, 18, 19, 0, 1, 21, 0}, 7);
    expect_ids(batch.source_offsets, (int32_t[]){0, 4, 7}, 3);
    expect_ids(batch.target_ids, (int32_t[]){20, 1, 0, 22, 23, 24, 25, 0}, 8);
    expect_ids(batch.target_offsets, (int32_t[]){0, 3, 8}, 3);
    cr_assert(batch.sentence_ids[0] == 7 && batch.sentence_ids[1] == 4);
    batch = lng_batch_window_get(&window, 1);
    cr_assert(batch.count == 1 && batch.source_tokens == 8 && batch.target_tokens == 2);
    expect_ids(batch.source_ids, (int32_t[]){26, 27, 28, 29, 30, 31, 32, 0}, 8);
    expect_ids(batch.source_offsets, (int32_t[]){0, 8}, 2);
    expect_ids(batch.target_ids, (int32_t[]){1, 0}, 2);
    cr_assert(batch.sentence_ids[0] == 9 && batch.batch_index == 1);
    lng_batch_window_release(&window);
    lng_encoded_release(&encoded);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(batch, no_source_eos)
{
    struct lng_encoded encoded = {0};
    struct lng_batch_options options = make_options();
    options.source_eos = -1;
    add(&encoded, &options, "1 2 3 4 5 6 7 8", "1", 0);
    add(&encoded, &options, "~", "1", 1);
    add(&encoded, &options, "1 2 3 4 5 6 7 8 9", "1", 2);
    cr_assert(encoded.pair_count == 1 && encoded.pairs[0].source_tokens == 8);
    cr_assert(encoded.dropped_count == 2 && encoded.ids.count == 10);
    lng_encoded_release(&encoded);
}

Test(batch, long_and_empty_pairs)
{
    struct lng_encoded encoded = {0};
    struct lng_batch_options options = make_options();
    add(&encoded, &options, "1 2 3 4 5 6 7", "1 2 3 4 5 6 7", 0);
    add(&encoded, &options, "1 2 3 4 5 6 7 8", "1", 1);
    add(&encoded, &options, "1", "1 2 3 4 5 6 7 8 unk", 2);
    add(&encoded, &options, "~", "1", 3);
    add(&encoded, &options, "1", "~ ~", 4);
    cr_assert(encoded.pair_count == 1 && encoded.dropped_count == 4 && encoded.cropped == 0);
    cr_assert(encoded.target_unknown == 0);
    const uint64_t lengths[4][2] = {{9, 2}, {2, 10}, {1, 2}, {2, 1}};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(encoded.dropped[i].sentence_id == i + 1 &&
                  encoded.dropped[i].source_tokens == lengths[i][0] &&
                  encoded.dropped[i].target_tokens == lengths[i][1]);
    lng_encoded_clear(&encoded);
    cr_assert(encoded.pair_count == 0 && encoded.dropped_count == 0);

    options.crop = options.keep_empty = true;
    add(&encoded, &options, "1 2 3 4 5 6 7 8 9", "1", 5);
    add(&encoded, &options, "~", "", 6);
    cr_assert(encoded.pair_count == 2 && encoded.dropped_count == 0 && encoded.cropped == 1);
    cr_assert(encoded.pairs[0].source_tokens == 8 && encoded.pairs[1].source_tokens == 1);
    expect_ids(encoded.ids.data, (int32_t[]){17, 18, 19, 20, 21, 22, 23, 0, 17, 0, 0, 0}, 12);
    lng_encoded_release(&encoded);
}

/* 500 pairs of pseudo-random lengths in three parts; pair i holds the tokens i of its own. */
static void fill_parts(struct lng_encoded parts[3], const struct lng_batch_options *options)
{
    for (uint32_t i = 0; i < 500; i++) {
        char source[256] = "", target[256] = "";
        for (uint32_t k = 0; k < 1 + i * 7919 % 19; k++)
            sprintf(source + strlen(source), "%u ", i);
        for (uint32_t k = 0; k < 1 + i * 104729 % 23; k++)
            sprintf(target + strlen(target), "%u ", i);
        add(&parts[i * 3 / 500], options, source, target, i);
    }
}

static void check_batch(const struct lng_pair_batch *batch, const struct lng_batch_options *options,
                        unsigned char *seen)
{
    cr_assert(batch->count > 0 && batch->source_offsets[0] == 0 && batch->target_offsets[0] == 0);
    cr_assert(batch->source_offsets[batch->count] == batch->source_tokens);
    cr_assert(batch->target_offsets[batch->count] == batch->target_tokens);
    if (options->max_tokens > 0)
        cr_assert(batch->source_tokens <= options->max_tokens &&
                  batch->target_tokens <= options->max_tokens);
    if (options->max_sentences > 0)
        cr_assert(batch->count <= options->max_sentences);
    for (int64_t i = 0; i < batch->count; i++) {
        uint32_t id = batch->sentence_ids[i];
        cr_assert(id < 500 && !seen[id]);
        seen[id] = 1;
        int32_t source = batch->source_offsets[i + 1] - batch->source_offsets[i];
        int32_t target = batch->target_offsets[i + 1] - batch->target_offsets[i];
        cr_assert(source == (int32_t)(id * 7919 % 19) + 2 &&
                  target == (int32_t)(id * 104729 % 23) + 2);
        const int32_t *ids = batch->source_ids + batch->source_offsets[i];
        cr_assert(ids[0] == (int32_t)id + WORD_FIRST && ids[source - 1] == WORD_EOS);
        ids = batch->target_ids + batch->target_offsets[i];
        cr_assert(ids[target - 2] == (int32_t)id + WORD_FIRST && ids[target - 1] == WORD_EOS);
    }
}

/* Largest difference of target lengths inside a batch, averaged over the batches. */
static double check_window(const struct lng_batch_window *window,
                           const struct lng_batch_options *options)
{
    unsigned char seen[500] = {0};
    double spread = 0;
    for (size_t b = 0; b < window->batch_count; b++) {
        struct lng_pair_batch batch = lng_batch_window_get(window, b);
        check_batch(&batch, options, seen);
        int32_t low = INT32_MAX, high = 0;
        for (int64_t i = 0; i < batch.count; i++) {
            int32_t length = batch.target_offsets[i + 1] - batch.target_offsets[i];
            low = length < low ? length : low;
            high = length > high ? length : high;
        }
        spread += high - low;
    }
    for (size_t i = 0; i < 500; i++)
        cr_assert(seen[i], "pair %zu is lost", i);
    return spread / (double)window->batch_count;
}

Test(batch, budgets_hold_and_nothing_is_lost)
{
    struct lng_batch_options options = make_options();
    options.max_length = 30;
    struct lng_encoded parts[3] = {{.pair_count = 0}};
    fill_parts(parts, &options);
    const int64_t limits[][2] = {{30, 0},      {100, 0}, {100, 3}, {0, 7},
                                 {1000000, 0}, {0, 1},   {64, 64}};
    struct lng_batch_window window = {0};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        options.max_tokens = limits[i][0];
        options.max_sentences = limits[i][1];
        options.in_order = false;
        struct lng_shuffle_key key = {1, 2, 3};
        check_ok(lng_batch_window_build(&window, parts, 3, &options, key));
        double sorted = check_window(&window, &options);
        options.in_order = true;
        check_ok(lng_batch_window_build(&window, parts, 3, &options, key));
        double unsorted = check_window(&window, &options);
        bool one_each = window.batch_count == 500 || window.batch_count == 1;
        cr_assert(one_each || sorted < unsorted / 2, "%g against %g", sorted, unsorted);
    }
    lng_batch_window_release(&window);
    for (int i = 0; i < 3; i++)
        lng_encoded_release(&parts[i]);
}

Test(batch, batches_are_shuffled_by_key)
{
    struct lng_batch_options options = make_options();
    options.max_length = 30;
    options.max_tokens = 60;
    struct lng_encoded parts[3] = {{.pair_count = 0}};
    fill_parts(parts, &options);
    struct lng_batch_window first = {0}, again = {0}, other = {0};
    check_ok(lng_batch_window_build(&first, parts, 3, &options, (struct lng_shuffle_key){1, 2, 3}));
    check_ok(lng_batch_window_build(&again, parts, 3, &options, (struct lng_shuffle_key){1, 2, 3}));
    check_ok(lng_batch_window_build(&other, parts, 3, &options, (struct lng_shuffle_key){1, 2, 4}));
    size_t tokens = first.starts[first.batch_count].source * sizeof(int32_t);
    cr_assert(memcmp(first.source_ids, again.source_ids, tokens) == 0);
    cr_assert(memcmp(first.source_ids, other.source_ids, tokens) != 0);
    cr_assert(first.batch_count == other.batch_count);
    int rising = 0;
    for (size_t b = 0; b + 1 < first.batch_count; b++)
        rising += lng_batch_window_get(&first, b).target_offsets[1] <=
                  lng_batch_window_get(&first, b + 1).target_offsets[1];
    cr_assert(rising > (int)first.batch_count / 4 && rising < (int)first.batch_count * 3 / 4);
    lng_batch_window_release(&first);
    lng_batch_window_release(&again);
    lng_batch_window_release(&other);
    for (int i = 0; i < 3; i++)
        lng_encoded_release(&parts[i]);
}

Test(batch, nothing_gives_no_batches)
{
    struct lng_batch_options options = make_options();
    struct lng_encoded empty = {0};
    struct lng_batch_window window = {0};
    check_ok(lng_batch_window_build(&window, &empty, 1, &options, (struct lng_shuffle_key){0}));
    cr_assert(window.batch_count == 0);
    check_ok(lng_batch_window_build(&window, NULL, 0, &options, (struct lng_shuffle_key){0}));
    cr_assert(window.batch_count == 0);
    lng_batch_window_release(&window);
}

Test(batch, bad_options)
{
    struct lng_batch_options options = make_options();
    check_ok(lng_batch_options_check(&options));
    options.max_tokens = 7;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "up to 8 tokens");
    options.max_tokens = 0;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "limit above 0");
    options.max_sentences = -1;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "-1");
    options.max_sentences = INT32_MAX;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "too large");
    options.max_sentences = 4;
    options.max_length = 1;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "maximum length of 1");
    options.max_length = 2;
    options.target_eos = -1;
    check_fails(lng_batch_options_check(&options), LNG_ERR_RANGE, "end-of-sentence");
}

Test(batch, encoder_failure_and_memory)
{
    struct lng_batch_options options = make_options();
    struct lng_encoded encoded = {0};
    check_fails(lng_encoded_add(&encoded, &ENCODER, &options, lng_slice_of("1 FAIL"),
                                lng_slice_of("1"), 0, 0),
                LNG_ERR_UNSUPPORTED, "FAIL");
    lng_encoded_clear(&encoded);
    add(&encoded, &options, "1 2", "3", 0);
    struct lng_batch_window window = {0};
    enum lng_status status = LNG_ERR_MEMORY;
    size_t n = 0, live = lng_mem_get_stats().blocks_live;
    while (status == LNG_ERR_MEMORY && n < 30) {
        cr_assert(lng_mem_get_stats().blocks_live == live);
        lng_mem_fail_nth(++n, 1);
        status =
            lng_batch_window_build(&window, &encoded, 1, &options, (struct lng_shuffle_key){0});
        lng_mem_fail_nth(0, 0);
    }
    cr_assert(status == LNG_OK && n > 5);
    lng_batch_window_release(&window);
    lng_encoded_release(&encoded);
}

/* ---- evaluation sets ---- */

static void setup(void)
{
    scratch_make();
}

TestSuite(evaluation_set, .init = setup, .fini = scratch_remove);

static const char *put(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

static void expect_line(const struct lng_evaluation_set *set, enum lng_side side, size_t i,
                        const char *want)
{
    struct lng_slice got = lng_evaluation_set_line(set, side, i);
    cr_assert(lng_slice_equals(got, want), "'%.*s', expected '%s'", (int)got.length, got.data,
              want);
}

Test(evaluation_set, all_lines_in_order)
{
    struct lng_corpus_files files = {put("s", "\xEF\xBB\xBF"
                                              "1 2\r\n\n3 4 5 6 7 8 9 10 11\n~"),
                                     put("t", "unk\n5\n6 7 8 9\n\xFF")};
    struct lng_evaluation_set set;
    check_ok(lng_evaluation_set_open(&set, &files));
    cr_assert(set.count == 4);
    expect_line(&set, LNG_SIDE_SOURCE, 0, "1 2");
    expect_line(&set, LNG_SIDE_SOURCE, 1, "");
    expect_line(&set, LNG_SIDE_SOURCE, 3, "~");
    expect_line(&set, LNG_SIDE_TARGET, 0, "unk");
    expect_line(&set, LNG_SIDE_TARGET, 3, "\xFF");
    struct lng_batch_options options = make_options();
    struct lng_batch_window window = {0};
    uint64_t cropped = 99;
    check_ok(lng_evaluation_set_encode(&set, &ENCODER, &options, &window, &cropped));
    cr_assert(window.batch_count == 2 && cropped == 1);
    struct lng_pair_batch batch = lng_batch_window_get(&window, 0);
    cr_assert(batch.count == 3 && batch.source_tokens == 12 && batch.target_tokens == 9);
    expect_ids(batch.source_ids, (int32_t[]){17, 18, 0, 0, 19, 20, 21, 22, 23, 24, 25, 0}, 12);
    expect_ids(batch.target_ids, (int32_t[]){1, 0, 21, 0, 22, 23, 24, 25, 0}, 9);
    cr_assert(batch.sentence_ids[0] == 0 && batch.sentence_ids[2] == 2);
    batch = lng_batch_window_get(&window, 1);
    cr_assert(batch.count == 1 && batch.sentence_ids[0] == 3);
    lng_batch_window_release(&window);
    lng_evaluation_set_close(&set);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(evaluation_set, gzip_and_tabs)
{
    gzFile file = gzopen(scratch_path("v.gz"), "wb");
    cr_assert(gzputs(file, "a b\tc\td\r\n\te\n") > 0 && gzclose(file) == Z_OK);
    struct lng_corpus_files files = {scratch_path("v.gz"), NULL};
    struct lng_evaluation_set set;
    check_ok(lng_evaluation_set_open(&set, &files));
    cr_assert(set.count == 2);
    expect_line(&set, LNG_SIDE_SOURCE, 0, "a b");
    expect_line(&set, LNG_SIDE_TARGET, 0, "c");
    expect_line(&set, LNG_SIDE_SOURCE, 1, "");
    expect_line(&set, LNG_SIDE_TARGET, 1, "e");
    lng_evaluation_set_close(&set);
}

Test(evaluation_set, bad_files)
{
    struct lng_evaluation_set set = {.count = 5};
    struct lng_corpus_files files = {put("s", "a\nb\n"), put("t", "c\n")};
    check_fails(lng_evaluation_set_open(&set, &files), LNG_ERR_MISMATCH, "/s has 2 lines but");
    files.target = NULL;
    check_fails(lng_evaluation_set_open(&set, &files), LNG_ERR_FORMAT, "line 1");
    files.source = put("e", "");
    check_fails(lng_evaluation_set_open(&set, &files), LNG_ERR_FORMAT, "no line");
    files.source = scratch_path("missing");
    check_fails(lng_evaluation_set_open(&set, &files), LNG_ERR_IO, "missing");
    cr_assert(set.count == 5 && lng_mem_get_stats().blocks_live == 0);
    files = (struct lng_corpus_files){put("s", "a\nFAIL\n"), put("t", "b\nc\n")};
    check_ok(lng_evaluation_set_open(&set, &files));
    struct lng_batch_options options = make_options();
    struct lng_batch_window window = {0};
    check_fails(lng_evaluation_set_encode(&set, &ENCODER, &options, &window, NULL),
                LNG_ERR_UNSUPPORTED, "line 2");
    options.max_length = 0;
    check_fails(lng_evaluation_set_encode(&set, &ENCODER, &options, &window, NULL), LNG_ERR_RANGE,
                "");
    lng_evaluation_set_close(&set);
}
