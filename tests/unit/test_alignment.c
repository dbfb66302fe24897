/* Word alignments: reading them, spreading them over tokens, and their files beside a corpus. */
#include "host/data/alignment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "host/base/log.h"
#include "host/data/prefetch.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"
#include "tests/support/word_encoder.h"

static void setup(void)
{
    scratch_make();
    lng_log_set_level(LNG_LOG_ERROR);
}

TestSuite(alignment, .init = setup, .fini = scratch_remove);

static enum lng_status read_line(struct lng_alignment_room *room, const char *line, size_t length)
{
    return lng_alignment_read(room, (struct lng_slice){line, length}, lng_slice_of("a b  c\td "),
                              lng_slice_of("x y\xC2\xA0z"));
}

Test(alignment, links_are_read)
{
    struct lng_alignment_room room = {0};
    check_ok(read_line(&room, " 3-2\t0-0 0-1  00-0 ", 19));
    cr_assert(room.link_count == 4);
    cr_assert(room.links[0].source == 3 && room.links[0].target == 2);
    cr_assert(room.links[2].source == 0 && room.links[2].target == 1);
    check_ok(read_line(&room, "", 0));
    cr_assert(room.link_count == 0);
    static const struct {
        const char *line;
        size_t length;
        enum lng_status code;
        const char *what;
    } bad[] = {
        {"0-0 1:1", 7, LNG_ERR_FORMAT, "expected links such as 0-0 1-2, found \"1:1\""},
        {"0-", 2, LNG_ERR_FORMAT, "\"0-\""},
        {"-0", 2, LNG_ERR_FORMAT, "\"-0\""},
        {"0", 1, LNG_ERR_FORMAT, "\"0\""},
        {"0-0-0", 5, LNG_ERR_FORMAT, "\"0-0-0\""},
        {"0--1", 4, LNG_ERR_FORMAT, "\"0--1\""},
        {"+0-0", 4, LNG_ERR_FORMAT, "\"+0-0\""},
        {"0-0:0.97", 8, LNG_ERR_FORMAT, "\"0-0:0.97\""},
        {"1.5-0", 5, LNG_ERR_FORMAT, "\"1.5-0\""},
        {"0-000000000", 11, LNG_ERR_FORMAT, "\"0-000000000\""},
        {"4294967296-0", 12, LNG_ERR_FORMAT, "\"4294967296-0\""},
        {"0-\0"
         "0",
         4, LNG_ERR_FORMAT, "a NUL byte"},
        {"\xFF\x01-0", 4, LNG_ERR_FORMAT, "\"?\?-0\""},
        {"0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, LNG_ERR_FORMAT, "..."},
        {"4-0", 3, LNG_ERR_RANGE, "link 4-0: expected a source word from 0 to 3, found 4"},
        {"0-0 0-3", 7, LNG_ERR_RANGE, "link 0-3: expected a target word from 0 to 2, found 3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(read_line(&room, bad[i].line, bad[i].length), bad[i].code, bad[i].what);
    lng_alignment_room_release(&room);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* ---- words and tokens ---- */

static void set_tokens(struct lng_alignment_room *room, enum lng_side side,
                       const size_t (*spans)[2], size_t count)
{
    room->tokens[side].count = 0;
    for (size_t i = 0; i < count; i++)
        check_ok(lng_text_spans_push(&room->tokens[side], spans[i][0], spans[i][1]));
}

static void expect_spread(struct lng_alignment_room *room, const char *line, size_t sources,
                          size_t targets, const int32_t *want, size_t count)
{
    struct lng_slice source = lng_slice_of("unhappy cats sleep"),
                     target = lng_slice_of("un chat dort");
    struct lng_ids out = {0};
    size_t links;
    check_ok(lng_ids_push(&out, 77)); /* what is there stays */
    check_ok(lng_alignment_read(room, lng_slice_of(line), source, target));
    check_ok(lng_alignment_spread(room, source, target, sources, targets, &out, &links));
    cr_assert(out.count == 1 + count && links == count - targets, "%s: %zu numbers, %zu links",
              line, out.count - 1, links);
    for (size_t i = 0; i < count; i++)
        cr_assert(out.data[i + 1] == want[i], "%s: [%zu] is %d, expected %d", line, i,
                  out.data[i + 1], want[i]);
    lng_ids_release(&out);
}

/* un|happy| cats| |sleep against un| c|hat do|rt: a token of nothing but space stands for the next, and one that lies
 * in two words has the links of both. */
Test(alignment, tokens_have_the_links_of_their_words)
{
    static const size_t sources[][2] = {{0, 2}, {2, 7}, {7, 12}, {12, 13}, {13, 18}};
    static const size_t targets[][2] = {{0, 2}, {2, 4}, {4, 10}, {10, 12}};
    struct lng_alignment_room room = {0};
    set_tokens(&room, LNG_SIDE_SOURCE, sources, 5);
    set_tokens(&room, LNG_SIDE_TARGET, targets, 4);
    expect_spread(&room, "", 5, 4, (int32_t[]){0, 0, 0, 0}, 4);
    expect_spread(&room, "0-1", 5, 4, (int32_t[]){0, 2, 2, 0, 0, 1, 0, 1}, 8);
    expect_spread(&room, "2-2 0-0 2-2", 5, 4, (int32_t[]){2, 0, 2, 2, 0, 1, 3, 4, 3, 4}, 10);
    expect_spread(&room, "1-1 2-2", 5, 4, (int32_t[]){0, 1, 3, 2, 2, 2, 3, 4, 3, 4}, 10);
    /* cut off: the last source tokens, then the last target tokens */
    expect_spread(&room, "1-1 2-2", 3, 4, (int32_t[]){0, 1, 1, 0, 2, 2}, 6);
    expect_spread(&room, "1-1 2-2", 5, 2, (int32_t[]){0, 1, 2}, 3);
    lng_alignment_room_release(&room);
}

/* The word that byte `at` lies in, by counting; spaces belong to the word behind them. */
static size_t word_at(const char *text, size_t at)
{
    size_t words = 0;
    while (text[at] == ' ')
        at++;
    for (size_t i = 1; i <= at; i++)
        words += text[i] != ' ' && text[i - 1] == ' ';
    return words;
}

/* Pieces of SentencePiece never lie in two words: each has exactly the links of its own, in both directions. */
static void check_pieces(enum lng_spm_model_type type)
{
    struct lng_spm_train_options options = fixture_options();
    options.model_type = type;
    options.hard_vocab_limit = false;
    struct lng_buffer model = fixture_train(&options, false);
    struct lng_tokenizer *tokenizer;
    check_ok(
        lng_tokenizer_open_spm(scratch_write("m.spm", model.data, model.length), NULL, &tokenizer));
    lng_buffer_release(&model);
    static const char *const texts[2] = {"the walked trees of walking", "some  jumping cat"};
    struct lng_slice slices[2] = {lng_slice_of(texts[0]), lng_slice_of(texts[1])};
    struct lng_alignment_room room = {0};
    for (int side = 0; side < 2; side++) {
        struct lng_token_spans found = {0};
        check_ok(lng_tokenizer_encode_spans(tokenizer, (enum lng_side)side, slices[side].data,
                                            slices[side].length, &found));
        for (size_t i = 0; i < found.count; i++)
            check_ok(
                lng_text_spans_push(&room.tokens[side], found.data[i].begin, found.data[i].end));
        lng_token_spans_release(&found);
    }
    static const bool linked[3][5] = {
        {false, true, false, false, true}, {0}, {true, true, true, 0, 0}};
    check_ok(lng_alignment_read(&room, lng_slice_of("1-0 4-0 2-2 1-2 0-2"), slices[0], slices[1]));
    size_t sources = room.tokens[0].count, targets = room.tokens[1].count, links;
    struct lng_ids out = {0};
    check_ok(lng_alignment_spread(&room, slices[0], slices[1], sources, targets, &out, &links));
    size_t next = targets;
    cr_assert(sources > 5 && targets > 3);
    for (size_t t = 0; t < targets; t++) {
        size_t row = word_at(texts[1], room.tokens[1].data[t].begin), before = next;
        for (size_t s = 0; s < sources; s++)
            if (linked[row][word_at(texts[0], room.tokens[0].data[s].begin)])
                cr_assert(next < out.count && out.data[next++] == (int32_t)s, "%zu %zu", t, s);
        cr_assert(out.data[t] == (int32_t)(next - before));
    }
    cr_assert(next == out.count && links == next - targets);
    lng_ids_release(&out);
    lng_alignment_room_release(&room);
    lng_tokenizer_close(tokenizer);
}

Test(alignment, pieces_of_unigram_models)
{
    check_pieces(LNG_SPM_UNIGRAM);
}
Test(alignment, pieces_that_are_characters)
{
    check_pieces(LNG_SPM_CHAR);
}

/* ---- files ---- */

static const char *put(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

static enum lng_status open_corpus(const char *source, const char *target, const char *alignments,
                                   struct lng_corpus **corpus)
{
    struct lng_corpus_files files = {source, target};
    struct lng_corpus_options options = {
        .files = &files, .file_count = 1, .alignments = &alignments, .max_length_ratio = 3};
    return lng_corpus_open(&options, corpus);
}

static void expect_line(const struct lng_corpus *corpus, uint64_t pair, const char *want)
{
    struct lng_buffer text = {0};
    check_ok(lng_corpus_read_alignment(corpus, pair, &text));
    cr_assert_str_eq(text.data, want);
    lng_buffer_release(&text);
}

/* Lines of pairs that are left out are not looked at. */
Test(alignment, lines_go_with_their_pairs)
{
    struct lng_corpus *corpus;
    const char *source = put("s", "a b\n\nc\nd d d d d d d d\ne f\n"),
               *target = put("t", "x\ny\nz w\nv\nu");
    check_ok(open_corpus(source, target,
                         put("a", "\xEF\xBB\xBF"
                                  "0-0 1-0\r\nnonsense\n\n9-9\n1-0"),
                         &corpus));
    cr_assert(lng_corpus_count(corpus) == 3 && lng_corpus_is_aligned(corpus));
    expect_line(corpus, 0, "0-0 1-0");
    expect_line(corpus, 1, "");
    expect_line(corpus, 2, "1-0");
    uint64_t digest = lng_corpus_digest(corpus);
    lng_corpus_close(corpus);
    check_ok(open_corpus(source, target, put("a", "0-0 1-0\n\n\n\n0-0\n"), &corpus));
    cr_assert(lng_corpus_digest(corpus) != digest);
    /* A file that is cut while it is in use. */
    put("a", "0-0");
    struct lng_buffer text = {0};
    check_fails(lng_corpus_read_alignment(corpus, 2, &text), LNG_ERR_MISMATCH, "line 5 of");
    lng_buffer_release(&text);
    lng_corpus_close(corpus);
    check_ok(open_corpus(put("tsv", "a b\tx\nc\tz w\n"), NULL, put("a", "1-0\n0-1\n"), &corpus));
    expect_line(corpus, 1, "0-1");
    lng_corpus_close(corpus);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(alignment, packed_files)
{
    static const char text[] = "0-0\n0-1\n";
    const char *source = put("s", "a b\nc\n"), *target = put("t", "x\nz w\n");
    const char *gzip = scratch_path("a.gz");
    gzFile file = gzopen(gzip, "wb");
    cr_assert(gzwrite(file, text, sizeof text - 1) == sizeof text - 1 && gzclose(file) == Z_OK);
    char packed[256];
    size_t size = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 3);
    const char *const paths[] = {gzip, scratch_write("a.zst", packed, size)};
    for (int i = 0; i < 2; i++) {
        struct lng_corpus *corpus;
        check_ok(open_corpus(source, target, paths[i], &corpus));
        expect_line(corpus, 1, "0-1");
        lng_corpus_close(corpus);
    }
}

Test(alignment, bad_files_are_refused)
{
    struct lng_corpus *corpus;
    char source[256], target[256]; /* longer than scratch_path keeps them */
    snprintf(source, sizeof source, "%s", put("s", "a b\nc\nd\n"));
    snprintf(target, sizeof target, "%s", put("t", "x\ny z\nw\n"));
    static const struct {
        const char *text;
        enum lng_status code;
        const char *what;
    } cases[] = {
        {"0-0\n0-1\n", LNG_ERR_MISMATCH, "a has 2 lines but"},
        {"0-0\n0-1\n0-0\n\n", LNG_ERR_MISMATCH, "a has 4 lines but"},
        {"", LNG_ERR_MISMATCH, "has 0 lines but"},
        {"0-0\n0 1\n0-0\n", LNG_ERR_FORMAT, "a: expected links such as 0-0 1-2, found \"0\""},
        {"0-0\n1-0\n0-0\n", LNG_ERR_RANGE,
         "a: link 1-0: expected a source word from 0 to 0, found 1"},
        {"0-0\n0-2\n0-0\n", LNG_ERR_RANGE,
         "a: link 0-2: expected a target word from 0 to 1, found 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = put("a", cases[i].text);
        check_fails(open_corpus(source, target, path, &corpus), cases[i].code, cases[i].what);
        if (cases[i].code != LNG_ERR_MISMATCH)
            cr_assert(strncmp(lng_error_message(), "line 2 of ", 10) == 0);
        else
            cr_assert(strstr(lng_error_message(), "s has 3") != NULL);
    }
    const char *nul = scratch_write("a", "0-0\n0\0-0\n0-0\n", 13);
    check_fails(open_corpus(source, target, nul, &corpus), LNG_ERR_FORMAT, "found a NUL byte");
    check_fails(open_corpus(source, target, scratch_path("none"), &corpus), LNG_ERR_IO, "none");
    size_t size = (1 << 22) + 100;
    char *much = lng_alloc(size, 1);
    memset(much, ' ', size);
    memcpy(much, "0-0\n\n", 5);
    const char *path = scratch_write("a", much, size);
    lng_free(much);
    check_fails(open_corpus(source, target, path, &corpus), LNG_ERR_FORMAT, "more than 4194304");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* ---- into batches ---- */

/* A word is a token, of the word_encoder; what it leaves out has no place either. */
static enum lng_status locate(void *sampling, enum lng_side side, const char *text, size_t length,
                              uint64_t epoch, uint32_t sentence_id, struct lng_token_spans *spans)
{
    struct lng_slice rest = {text, length}, word;
    while (lng_text_next_word(&rest, &word)) {
        struct lng_ids ids = {0};
        LNG_TRY(word_encode(sampling, side, word.data, word.length, epoch, sentence_id, &ids));
        size_t begin = (size_t)(word.data - text);
        LNG_TRY(lng_grow(&spans->data, &spans->capacity, spans->count + 1, sizeof *spans->data));
        spans->data[spans->count++] =
            (struct lng_token_span){ids.data[0], begin, begin + word.length};
        lng_ids_release(&ids);
    }
    return LNG_OK;
}

enum { LINES = 400 };

/* Line i has i % 9 + 1 source words and i % 7 + 1 target words; word k of a target is linked to source words
 * k - i % 3 .. k as far as there are such. All words are the number i. */
static struct lng_corpus *make_corpus(void)
{
    FILE *files[3] = {fopen(scratch_path("s"), "w"), fopen(scratch_path("t"), "w"),
                      fopen(scratch_path("a"), "w")};
    for (int i = 0; i < LINES; i++) {
        for (int k = 0; k < i % 9 + 1; k++)
            fprintf(files[0], "%d ", i);
        for (int k = 0; k < i % 7 + 1; k++) {
            fprintf(files[1], "%d ", i);
            for (int s = k; s >= 0 && s >= k - i % 3; s--)
                if (s < i % 9 + 1)
                    fprintf(files[2], "%d-%d ", s, k);
        }
        for (int f = 0; f < 3; f++)
            fprintf(files[f], "\n");
    }
    for (int f = 0; f < 3; f++)
        fclose(files[f]);
    struct lng_corpus *corpus;
    check_ok(open_corpus(scratch_path("s"), scratch_path("t"), scratch_path("a"), &corpus));
    return corpus;
}

static void check_batch(const struct lng_pair_batch *batch, int crop)
{
    cr_assert(batch->link_offsets[0] == 0);
    for (int64_t b = 0; b < batch->count; b++) {
        int i = (int)batch->sentence_ids[b], sources = i % 9 + 1, targets = i % 7 + 1;
        int32_t first = batch->target_offsets[b], rows = batch->target_offsets[b + 1] - first;
        sources = sources < crop ? sources : crop;
        cr_assert(rows == (targets < crop ? targets : crop) + 1);
        for (int32_t k = 0; k < rows; k++) {
            const int32_t *link = batch->link_sources + batch->link_offsets[first + k];
            const int32_t *end = batch->link_sources + batch->link_offsets[first + k + 1];
            int s = k - i % 3 > 0 ? k - i % 3 : 0;
            for (; k < rows - 1 && s <= k && s < sources; s++)
                cr_assert(link < end && *link++ == s, "line %d, target word %d", i, k);
            cr_assert(link == end, "line %d, target word %d", i, k);
        }
    }
}

/* Two epochs, shuffled, from any number of threads; sides are cut to 5 tokens and the end. */
static uint64_t walk(const struct lng_corpus *corpus, int threads)
{
    struct lng_prefetch_options options = {
        .corpus = corpus,
        .encoder = {.encode = word_encode, .locate = locate, .digest = 1},
        .batch = {.max_tokens = 60,
                  .max_length = 6,
                  .crop = true,
                  .aligned = true,
                  .source_eos = WORD_EOS,
                  .target_eos = WORD_EOS,
                  .source_unknown = -1,
                  .target_unknown = -1},
        .seed = 5,
        .threads = threads,
        .window_pairs = 130,
        .epochs = 2,
    };
    struct lng_prefetch *prefetch;
    struct lng_pair_batch batch;
    struct lng_hash *hash;
    bool got;
    int64_t pairs = 0;
    check_ok(lng_hash_open(&hash));
    check_ok(lng_prefetch_open(&options, &prefetch));
    for (;;) {
        check_ok(lng_prefetch_next(prefetch, &batch, &got));
        if (!got)
            break;
        check_batch(&batch, 5);
        pairs += batch.count;
        size_t links = (size_t)batch.link_offsets[batch.target_tokens];
        lng_hash_add(hash, batch.link_offsets, (size_t)batch.target_tokens * 4);
        lng_hash_add(hash, batch.link_sources, links * 4);
    }
    cr_assert(pairs == 2 * (int64_t)lng_corpus_count(corpus) && pairs > LINES);
    uint64_t value = lng_hash_value(hash);
    lng_hash_close(hash);
    lng_prefetch_close(prefetch);
    return value;
}

Test(alignment, batches_carry_the_links_of_their_pairs)
{
    struct lng_corpus *corpus = make_corpus();
    uint64_t none = walk(corpus, 0);
    cr_assert(walk(corpus, 3) == none);
    lng_corpus_close(corpus);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
