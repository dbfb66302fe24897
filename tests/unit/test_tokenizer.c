/* The tokenizer: both kinds, directories in Hugging Face's layout, sampling, odd text. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"
#include "tokenizer/segment.h"
#include "tokenizer/tokenizer.h"

/* An OPUS-like directory: two models, one vocabulary with ids of its own, language entries. */
static void write_directory(bool bpe)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_vocab *vocab;
    options.model_type = bpe ? LNG_SPM_BPE : LNG_SPM_UNIGRAM;
    scratch_make();
    check_ok(lng_vocab_open(&vocab));
    check_ok(lng_vocab_add(vocab, "</s>", 4, NULL));
    check_ok(lng_vocab_add(vocab, "<unk>", 5, NULL));
    check_ok(lng_vocab_add(vocab, ">>deu<<", 7, NULL));
    check_ok(lng_vocab_add(vocab, ">>fra<<", 7, NULL));
    static struct lng_buffer models[2][2]; /* trained once a process */
    for (int side = 1; side >= 0; side--) {
        if (models[bpe][side].data == NULL)
            models[bpe][side] = fixture_train(&options, side == 1);
        struct lng_buffer model = models[bpe][side];
        struct lng_spm *spm;
        scratch_write(side == 0 ? "source.spm" : "target.spm", model.data, model.length);
        check_ok(lng_spm_open(model.data, model.length, &spm));
        for (int32_t i = 2; i < lng_spm_get_info(spm)->pieces; i++) {
            size_t length;
            const char *piece = lng_spm_piece(spm, i, &length);
            if (lng_vocab_find(vocab, piece, length) < 0)
                check_ok(lng_vocab_add(vocab, piece, length, NULL));
        }
        lng_spm_close(spm);
    }
    check_ok(lng_vocab_add(vocab, "<pad>", 5, NULL));
    check_ok(lng_vocab_write_json(vocab, scratch_path("vocab.json")));
    lng_vocab_close(vocab);
}

static struct lng_tokenizer *open_scratch(void)
{
    struct lng_tokenizer *tokenizer = NULL;
    check_ok(lng_tokenizer_open_directory(scratch_path(""), &tokenizer));
    return tokenizer;
}

static struct lng_ids encode(const struct lng_tokenizer *tokenizer, enum lng_side side,
                             const char *text)
{
    struct lng_ids ids = {0};
    check_ok(lng_tokenizer_encode(tokenizer, side, text, strlen(text), &ids));
    return ids;
}

static void check_decoded(const struct lng_tokenizer *tokenizer, enum lng_side side,
                          const int32_t *ids, size_t count, const char *want)
{
    struct lng_buffer text = {0};
    check_ok(lng_tokenizer_decode(tokenizer, side, ids, count, &text));
    cr_assert(strcmp(text.data != NULL ? text.data : "", want) == 0, "'%s', not '%s'", text.data,
              want);
    lng_buffer_release(&text);
}

static void check_round_trip(const struct lng_tokenizer *tokenizer, enum lng_side side,
                             const char *text)
{
    struct lng_ids ids = encode(tokenizer, side, text);
    check_decoded(tokenizer, side, ids.data, ids.count, text);
    lng_ids_release(&ids);
}

static bool same_ids(const struct lng_ids *a, const struct lng_ids *b)
{
    return a->count == b->count && memcmp(a->data, b->data, a->count * sizeof *a->data) == 0;
}

Test(tokenizer, marian_directory)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    int32_t size = lng_tokenizer_size(tokenizer, LNG_SIDE_SOURCE);
    cr_assert(lng_tokenizer_get_kind(tokenizer) == LNG_TOKENIZER_SPM);
    cr_assert(lng_tokenizer_is_shared(tokenizer) && size > 160);
    cr_assert(lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET) == size);
    cr_assert(lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET) == 0);
    cr_assert(lng_tokenizer_unk(tokenizer, LNG_SIDE_TARGET) == 1);
    cr_assert(lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET) == size - 1);
    for (int side = 0; side < 2; side++) {
        struct fixture_text from = {.seed = 3, .left = 50, .german = side == 1};
        const char *line;
        size_t length;
        bool got;
        while (fixture_next_line(&from, &line, &length, &got) == LNG_OK && got)
            check_round_trip(tokenizer, (enum lng_side)side, line);
    }
    /* The ids are the vocabulary's, not the model's. */
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, "the green tree");
    struct lng_slice first =
        lng_vocab_entry(lng_tokenizer_vocab(tokenizer, LNG_SIDE_SOURCE), ids.data[0]);
    cr_assert(memcmp(first.data, "\xE2\x96\x81t", 4) == 0, "%s", first.data);
    lng_ids_release(&ids);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, language_entries_are_taken_whole_at_the_start)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    struct lng_ids plain = encode(tokenizer, LNG_SIDE_SOURCE, "the tree");
    cr_assert_str_eq(lng_tokenizer_language(tokenizer, 0), ">>deu<<");
    cr_assert_str_eq(lng_tokenizer_language(tokenizer, 1), ">>fra<<");
    cr_assert(lng_tokenizer_language(tokenizer, 2) == NULL);
    static const struct {
        const char *text;
        int32_t first;
        size_t extra;
    } cases[] = {{">>fra<< the tree", 3, 1},
                 {">>deu<<the tree", 2, 1},
                 {">>xxx<<  the tree", 1, 1},
                 {">>fra<< >>deu<< the tree", 3, 2}};
    for (size_t i = 0; i < 4; i++) {
        struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, cases[i].text);
        cr_assert(ids.count == plain.count + cases[i].extra && ids.data[0] == cases[i].first, "%s",
                  cases[i].text);
        cr_assert(memcmp(ids.data + cases[i].extra, plain.data, plain.count * sizeof(int32_t)) ==
                  0);
        lng_ids_release(&ids);
    }
    static const char *const text_only[] = {
        "the >>fra<< tree", ">> fra<< tree", ">>fra", ">><<", ">>", " >>fra<< tree"};
    for (size_t i = 0; i < 6; i++) {
        struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, text_only[i]);
        for (size_t j = 0; j < ids.count; j++)
            cr_assert(ids.data[j] != 3, "%s", text_only[i]);
        lng_ids_release(&ids);
    }
    struct lng_ids target = encode(tokenizer, LNG_SIDE_TARGET, ">>fra<< Baum");
    for (size_t j = 0; j < target.count; j++)
        cr_assert(target.data[j] != 3);
    lng_ids_release(&target);
    lng_ids_release(&plain);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, unknown_text_and_special_names)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, "the \xE4\xB8\xAD </s> <pad> <unk>");
    size_t unknown = 0;
    for (size_t i = 0; i < ids.count; i++) {
        cr_assert(ids.data[i] != 0 && ids.data[i] != lng_tokenizer_pad(tokenizer, LNG_SIDE_SOURCE));
        unknown += ids.data[i] == 1;
    }
    cr_assert(unknown > 0);
    lng_ids_release(&ids);
    /* A character that only the other side's model has is an entry of the joint vocabulary. */
    ids = encode(tokenizer, LNG_SIDE_SOURCE, "\xC3\xBC");
    int32_t shared = lng_vocab_find(lng_tokenizer_vocab(tokenizer, 0), "\xC3\xBC", 2);
    cr_assert(shared > 1 && ids.data[ids.count - 1] == shared);
    lng_ids_release(&ids);
    const int32_t special[] = {lng_tokenizer_pad(tokenizer, 0), 1, 0, 1, 0};
    check_decoded(tokenizer, LNG_SIDE_TARGET, special, 1, "");
    check_decoded(tokenizer, LNG_SIDE_TARGET, special, 2, "\xE2\x81\x87");
    check_decoded(tokenizer, LNG_SIDE_TARGET, special, 5, "\xE2\x81\x87  \xE2\x81\x87");
    check_decoded(tokenizer, LNG_SIDE_TARGET, NULL, 0, "");
    struct lng_buffer text = {0};
    const int32_t bad[] = {2, -1, INT32_MAX};
    check_ok(lng_buffer_append_text(&text, "kept "));
    check_fails(lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, bad, 2, &text), LNG_ERR_RANGE,
                "position 1");
    check_fails(lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, bad + 2, 1, &text), LNG_ERR_RANGE,
                "token id");
    cr_assert_str_eq(text.data, "kept ");
    ids = encode(tokenizer, LNG_SIDE_TARGET, "der Baum");
    check_ok(lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, ids.data, ids.count, &text));
    cr_assert_str_eq(text.data, "kept der Baum");
    lng_ids_release(&ids);
    lng_buffer_release(&text);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, spans)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    static const char text[] = ">>deu<< the walked  tree\xFF";
    struct lng_token_spans spans = {0};
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, text);
    check_ok(lng_tokenizer_encode_spans(tokenizer, LNG_SIDE_SOURCE, text, sizeof text - 1, &spans));
    cr_assert(spans.count == ids.count && spans.data[0].id == 2);
    cr_assert(spans.data[0].begin == 0 && spans.data[0].end == 7 && spans.data[1].begin == 8);
    for (size_t i = 1; i < spans.count; i++)
        cr_assert(spans.data[i].id == ids.data[i] && spans.data[i].begin >= spans.data[i - 1].end &&
                  spans.data[i].end >= spans.data[i].begin);
    cr_assert(spans.data[spans.count - 1].end == sizeof text - 1);
    lng_token_spans_release(&spans);
    lng_ids_release(&ids);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, saved_directory_opens_the_same)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch(), *again = NULL;
    check_ok(lng_make_directories(scratch_path("copy")));
    check_ok(lng_tokenizer_save(tokenizer, scratch_path("copy")));
    check_ok(lng_tokenizer_open_directory(scratch_path("copy"), &again));
    cr_assert(lng_tokenizer_digest(tokenizer) == lng_tokenizer_digest(again));
    check_round_trip(again, LNG_SIDE_TARGET, "der Baum 12!");
    json_error_t error;
    json_t *config = json_load_file(scratch_path("copy/tokenizer_config.json"), 0, &error);
    cr_assert(config != NULL && json_is_false(json_object_get(config, "separate_vocabs")));
    cr_assert_str_eq(json_string_value(json_object_get(config, "tokenizer_class")),
                     "MarianTokenizer");
    json_decref(config);
    lng_tokenizer_close(again);
    check_fails(lng_tokenizer_save(tokenizer, scratch_path("absent")), LNG_ERR_IO, "absent");
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, separate_vocabularies_and_other_special_names)
{
    write_directory(true);
    static const char source[] = "{\"\\u2581\": 0, \"t\": 1, \"PAD\": 2, \"UNK\": 3, \"EOS\": 4}";
    static const char target[] = "{\"UNK\": 0, \"EOS\": 1, \"PAD\": 2, \"\\u2581\": 3}";
    static const char config[] = "{\"eos_token\": {\"content\": \"EOS\", \"lstrip\": false},"
                                 " \"unk_token\": \"UNK\", \"pad_token\": \"PAD\"}";
    scratch_write("vocab.json", source, sizeof source - 1);
    scratch_write("target_vocab.json", target, sizeof target - 1);
    scratch_write("tokenizer_config.json", config, sizeof config - 1);
    struct lng_tokenizer *tokenizer = open_scratch();
    cr_assert(!lng_tokenizer_is_shared(tokenizer));
    cr_assert(lng_tokenizer_size(tokenizer, LNG_SIDE_SOURCE) == 5 &&
              lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET) == 4);
    cr_assert(lng_tokenizer_eos(tokenizer, LNG_SIDE_SOURCE) == 4 &&
              lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET) == 1);
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, "t");
    for (size_t i = 0; i < ids.count; i++)
        cr_assert(ids.data[i] == 0 || ids.data[i] == 1 || ids.data[i] == 3);
    lng_ids_release(&ids);
    check_ok(lng_make_directories(scratch_path("copy")));
    check_ok(lng_tokenizer_save(tokenizer, scratch_path("copy")));
    struct lng_tokenizer *again = NULL;
    check_ok(lng_tokenizer_open_directory(scratch_path("copy"), &again));
    cr_assert(lng_tokenizer_digest(tokenizer) == lng_tokenizer_digest(again));
    lng_tokenizer_close(again);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, bad_directories_are_named)
{
    struct lng_tokenizer *tokenizer = NULL;
    static const struct {
        const char *name, *content, *word;
    } cases[] = {
        {"vocab.json", "{\"</s>\": 0, \"<unk>\": 1}", "'<pad>'"},
        {"vocab.json", "{\"<pad>\": 0, \"<unk>\": 1}", "'</s>'"},
        {"vocab.json", "{\"<pad>\": 0, \"</s>\": 1}", "'<unk>'"},
        {"vocab.json", "{\"<pad>\": 0, ", "vocab.json"},
        {"tokenizer_config.json", "{", "tokenizer_config.json"},
        {"tokenizer_config.json", "[]", "tokenizer_config.json"},
        {"tokenizer_config.json", "{\"separate_vocabs\": true}", "target_vocab.json"},
        {"tokenizer_config.json", "{\"lingster\": {\"kind\": \"odd\"}}", "newer"},
        {"tokenizer_config.json", "{\"unk_token\": \"</s>\"}", "the same"},
        {"source.spm", "", "source.spm"},
        {"source.spm", "<html>", "source side"},
        {"target.spm", "<html>", "target side"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_directory(false);
        scratch_write(cases[i].name, cases[i].content, strlen(cases[i].content));
        check_fails(lng_tokenizer_open_directory(scratch_path(""), &tokenizer), LNG_ERR_FORMAT,
                    cases[i].word);
        scratch_remove();
    }
    static const char *const needed[] = {"source.spm", "target.spm", "vocab.json"};
    for (size_t i = 0; i < 3; i++) {
        write_directory(false);
        cr_assert(remove(scratch_path(needed[i])) == 0);
        check_fails(lng_tokenizer_open_directory(scratch_path(""), &tokenizer), LNG_ERR_IO,
                    needed[i]);
        scratch_remove();
    }
    check_fails(lng_tokenizer_open_spm("/nonexistent.spm", NULL, &tokenizer), LNG_ERR_IO,
                "nonexistent");
    cr_assert(tokenizer == NULL);
}

Test(tokenizer, from_models_alone)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_tokenizer *tokenizer = NULL;
    options.byte_fallback = true;
    options.vocab_size = 400;
    options.hard_vocab_limit = false;
    struct lng_buffer source = fixture_train(&options, false),
                      target = fixture_train(&options, true);
    scratch_make();
    scratch_write("a.spm", source.data, source.length);
    scratch_write("b.spm", target.data, target.length);
    struct lng_spm *spm;
    check_ok(lng_spm_open(source.data, source.length, &spm));
    check_ok(lng_tokenizer_open_spm(scratch_path("a.spm"), NULL, &tokenizer));
    int32_t pieces = lng_spm_get_info(spm)->pieces;
    cr_assert(lng_tokenizer_is_shared(tokenizer) && lng_tokenizer_size(tokenizer, 0) == pieces + 1);
    cr_assert(lng_tokenizer_pad(tokenizer, 0) == pieces);
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_TARGET, "the tree \xE4\xB8\xAD"), own = {0};
    check_ok(lng_spm_encode(spm, "the tree \xE4\xB8\xAD", 12, &own));
    cr_assert(same_ids(&ids, &own), "ids of a Marian-style model are the model's own");
    check_decoded(tokenizer, LNG_SIDE_TARGET, ids.data, ids.count, "the tree \xE4\xB8\xAD");
    /* Bytes of control characters and padding are never produced; a newline would break a line. */
    size_t count;
    const int32_t *never = lng_tokenizer_never(tokenizer, &count);
    cr_assert(count == 33 && never[32] == pieces);
    int32_t newline = lng_vocab_find(lng_tokenizer_vocab(tokenizer, 1), "<0x0A>", 6);
    cr_assert(newline == never[10]);
    const int32_t two_lines[] = {ids.data[0], newline, ids.data[1]};
    struct lng_buffer text = {0};
    check_ok(lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, two_lines, 3, &text));
    cr_assert(strchr(text.data, '\n') == NULL && strchr(text.data, ' ') != NULL);
    lng_buffer_release(&text);
    uint64_t digest = lng_tokenizer_digest(tokenizer);
    lng_tokenizer_close(tokenizer);
    check_ok(lng_tokenizer_open_spm(scratch_path("a.spm"), scratch_path("b.spm"), &tokenizer));
    cr_assert(!lng_tokenizer_is_shared(tokenizer) && lng_tokenizer_digest(tokenizer) != digest);
    check_round_trip(tokenizer, LNG_SIDE_SOURCE, "the tree 7");
    check_round_trip(tokenizer, LNG_SIDE_TARGET, "der Baum 7");
    lng_tokenizer_close(tokenizer);
    lng_spm_close(spm);
    lng_ids_release(&ids);
    lng_ids_release(&own);
    lng_buffer_release(&source);
    lng_buffer_release(&target);
    scratch_remove();
}

Test(tokenizer, symbols)
{
    static const char *const lines[] = {"a b c \xC3\xA9", "a b", "a \xEF\xBF\xBD", NULL};
    struct fixture_list list = {lines};
    struct lng_vocab *vocab = NULL;
    struct lng_tokenizer *tokenizer = NULL, *again = NULL;
    check_ok(lng_vocab_build_symbols(fixture_next_of_list, &list, 0, 1, &vocab));
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    cr_assert(lng_tokenizer_get_kind(tokenizer) == LNG_TOKENIZER_SYMBOLS);
    struct lng_ids ids = encode(tokenizer, LNG_SIDE_SOURCE, " a\tzz  \xC3\xA9 </s> \xFF\r");
    const int32_t accent = lng_vocab_find(vocab, "\xC3\xA9", 2);
    const int32_t replaced = lng_vocab_find(vocab, "\xEF\xBF\xBD", 3);
    const int32_t want[] = {2, 1, accent, 1, replaced};
    cr_assert(ids.count == 5 && memcmp(ids.data, want, sizeof want) == 0);
    check_decoded(tokenizer, LNG_SIDE_TARGET, ids.data, 3, "a \xE2\x81\x87 \xC3\xA9");
    struct lng_token_spans spans = {0};
    check_ok(lng_tokenizer_encode_spans(tokenizer, LNG_SIDE_SOURCE, "  b zz", 6, &spans));
    cr_assert(spans.count == 2 && spans.data[0].begin == 2 && spans.data[0].end == 3 &&
              spans.data[1].begin == 4 && spans.data[1].end == 6);
    lng_token_spans_release(&spans);
    check_fails(lng_tokenizer_can_sample(tokenizer, LNG_SIDE_SOURCE), LNG_ERR_UNSUPPORTED,
                "plain symbols");
    scratch_make();
    check_ok(lng_tokenizer_save(tokenizer, scratch_path("")));
    check_ok(lng_tokenizer_open_directory(scratch_path(""), &again));
    cr_assert(lng_tokenizer_get_kind(again) == LNG_TOKENIZER_SYMBOLS);
    cr_assert(lng_tokenizer_digest(tokenizer) == lng_tokenizer_digest(again));
    check_round_trip(again, LNG_SIDE_TARGET, "c b a");
    lng_ids_release(&ids);
    lng_tokenizer_close(again);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

/* The spans of a sample: its ids, one after the other without gaps but spaces, up to the end of the text. */
static void check_sampled_spans(const struct lng_tokenizer *tokenizer, const char *text,
                                const struct lng_tokenizer_sampling *sampling,
                                const struct lng_ids *ids)
{
    struct lng_token_spans spans = {0};
    size_t at = 0;
    check_ok(lng_tokenizer_sample_spans(tokenizer, LNG_SIDE_SOURCE, text, strlen(text), sampling,
                                        &spans));
    cr_assert(spans.count == ids->count);
    for (size_t i = 0; i < spans.count; i++) {
        while (at < spans.data[i].begin && text[at] == ' ')
            at++;
        cr_assert(spans.data[i].id == ids->data[i] && spans.data[i].begin == at);
        at = spans.data[i].end;
    }
    cr_assert(at == strlen(text));
    lng_token_spans_release(&spans);
}

Test(tokenizer, sampling_is_a_function_of_its_key)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    struct lng_tokenizer_sampling sampling = {.alpha = 0, .nbest = 4, .seed = 11};
    static const char text[] = ">>deu<< the walked trees";
    struct lng_ids best = encode(tokenizer, LNG_SIDE_SOURCE, text);
    size_t same = 0, repeats = 400;
    for (size_t line = 0; line < repeats; line++) {
        struct lng_ids first = {0}, second = {0};
        sampling.line = line;
        check_ok(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, text, sizeof text - 1,
                                              &sampling, &first));
        check_ok(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, text, sizeof text - 1,
                                              &sampling, &second));
        cr_assert(same_ids(&first, &second) && first.data[0] == 2);
        check_sampled_spans(tokenizer, text, &sampling, &first);
        same += same_ids(&first, &best);
        check_decoded(tokenizer, LNG_SIDE_SOURCE, first.data + 1, first.count - 1,
                      "the walked trees");
        lng_ids_release(&first);
        lng_ids_release(&second);
    }
    cr_assert(same > 60 && same < 140, "the best one %zu times of %zu", same, repeats);
    sampling.alpha = 100;
    for (sampling.epoch = 0; sampling.epoch < 20; sampling.epoch++) {
        struct lng_ids ids = {0};
        check_ok(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, text, sizeof text - 1,
                                              &sampling, &ids));
        cr_assert(same_ids(&ids, &best), "a large alpha takes the best");
        lng_ids_release(&ids);
    }
    struct lng_ids ids = {0};
    sampling.nbest = 0;
    check_fails(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, text, 5, &sampling, &ids),
                LNG_ERR_RANGE, "1 to 512");
    sampling.nbest = 5;
    sampling.alpha = -1;
    check_fails(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, text, 5, &sampling, &ids),
                LNG_ERR_RANGE, "alpha");
    lng_tokenizer_close(tokenizer);
    scratch_remove();
    write_directory(true);
    tokenizer = open_scratch();
    sampling.alpha = 0.5;
    check_fails(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_TARGET, text, 5, &sampling, &ids),
                LNG_ERR_UNSUPPORTED, "bpe");
    check_fails(lng_tokenizer_can_sample(tokenizer, LNG_SIDE_SOURCE), LNG_ERR_UNSUPPORTED,
                "unigram");
    cr_assert(ids.count == 0);
    lng_ids_release(&best);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, odd_texts_are_read)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    size_t size = 1 << 20, count = 0;
    char *line = lng_alloc(size, 1);
    struct lng_ids ids = {0};
    for (size_t i = 0; i < size; i++)
        line[i] = "walked under\0the \xFFtree "[i % 23];
    check_ok(lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, line, size, &ids));
    check_ok(lng_tokenizer_measure_source(tokenizer, line, size, &count));
    cr_assert(count == ids.count && count > size / 23 * 4);
    memset(line, ' ', size);
    check_ok(lng_tokenizer_measure_source(tokenizer, line, size, &count));
    cr_assert(count == 0);
    struct lng_tokenizer_sampling sampling = {.alpha = 0.3, .nbest = 16};
    ids.count = 0;
    check_ok(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, line, size, &sampling, &ids));
    check_ok(lng_tokenizer_encode_sampled(tokenizer, LNG_SIDE_SOURCE, "", 0, &sampling, &ids));
    check_ok(lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, "", 0, &ids));
    check_ok(lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, NULL, 0, &ids));
    cr_assert(ids.count == 0);
    lng_ids_release(&ids);
    lng_free(line);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, an_overlong_line_is_cut_to_what_the_model_takes)
{
    write_directory(false);
    struct lng_tokenizer *tokenizer = open_scratch();
    struct fixture_text from = {.seed = 4, .left = 3000};
    struct lng_segments segments = {0};
    struct lng_buffer text = {0};
    const char *line;
    size_t length, at = 0, cost, sentence_ends = 0, limit = 80;
    bool got;
    while (fixture_next_line(&from, &line, &length, &got) == LNG_OK && got) {
        check_ok(lng_buffer_append(&text, line, length));
        check_ok(lng_buffer_append_byte(&text, ' '));
    }
    cr_assert(text.length > 100000);
    check_ok(lng_segment_split(text.data, text.length, limit, lng_tokenizer_measure_source,
                               tokenizer, "en", &segments));
    for (size_t i = 0; i < segments.count; i++) {
        struct lng_segment segment = segments.data[i];
        check_ok(lng_tokenizer_measure_source(tokenizer, text.data + segment.begin,
                                              segment.end - segment.begin, &cost));
        cr_assert(segment.begin == at && segment.end > at && cost <= limit && cost > 0);
        at = segment.end;
        sentence_ends += strchr(".!?", text.data[at - 2]) != NULL;
    }
    cr_assert(at == text.length && sentence_ends > segments.count / 2, "%zu of %zu", sentence_ends,
              segments.count);
    lng_segments_release(&segments);
    lng_buffer_release(&text);
    lng_tokenizer_close(tokenizer);
    scratch_remove();
}

Test(tokenizer, survives_every_failed_allocation)
{
    write_directory(false);
    static const char directory_text[] = ">>deu<< the tree";
    for (size_t n = 1; n < 400; n += 1 + n / 12) {
        size_t before = lng_mem_get_stats().blocks_live;
        struct lng_tokenizer *tokenizer = NULL;
        struct lng_ids ids = {0};
        struct lng_buffer text = {0};
        lng_mem_fail_nth(n, 1);
        enum lng_status status = lng_tokenizer_open_directory(scratch_path(""), &tokenizer);
        if (status == LNG_OK)
            status = lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, directory_text,
                                          sizeof directory_text - 1, &ids);
        if (status == LNG_OK)
            status = lng_tokenizer_decode(tokenizer, LNG_SIDE_TARGET, ids.data, ids.count, &text);
        lng_mem_fail_nth(0, 0);
        cr_assert(status != LNG_OK || tokenizer != NULL);
        lng_buffer_release(&text);
        lng_ids_release(&ids);
        lng_tokenizer_close(tokenizer);
        cr_assert(lng_mem_get_stats().blocks_live == before, "after allocation %zu", n);
    }
    scratch_remove();
}
