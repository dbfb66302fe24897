/* The SentencePiece wrapper: what it answers, and that nothing a caller does ends the process. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/spm_fixture.h"

static struct lng_ids encode(const struct lng_spm *spm, const char *text, size_t length)
{
    struct lng_ids ids = {0};
    check_ok(lng_spm_encode(spm, text, length, &ids));
    return ids;
}

static void check_round_trip(const struct lng_spm *spm, const char *text)
{
    struct lng_ids ids = encode(spm, text, strlen(text));
    struct lng_buffer back = {0};
    check_ok(lng_spm_decode(spm, ids.data, ids.count, &back));
    cr_assert(strcmp(back.data, text) == 0, "'%s' came back as '%s'", text, back.data);
    lng_ids_release(&ids);
    lng_buffer_release(&back);
}

Test(spm, trained_models_have_marian_ids_and_round_trip)
{
    for (int type = LNG_SPM_UNIGRAM; type <= LNG_SPM_CHAR; type++) {
        struct lng_spm_train_options options = fixture_options();
        options.model_type = (enum lng_spm_model_type)type;
        options.vocab_size = type == LNG_SPM_WORD ? 40 : type == LNG_SPM_CHAR ? 60 : 150;
        options.num_threads = 3;
        struct lng_spm *spm = fixture_spm(&options, false);
        const struct lng_spm_info *info = lng_spm_get_info(spm);
        size_t length;
        cr_assert(info->model_type == options.model_type);
        cr_assert(info->pieces <= options.vocab_size && info->pieces > 20, "%d", info->pieces);
        cr_assert(info->unknown_id == 1 && info->num_threads == 3 && !info->byte_fallback);
        cr_assert_str_eq(lng_spm_piece(spm, 0, &length), "</s>");
        cr_assert(length == 4 && lng_spm_piece_kind(spm, 0) == LNG_SPM_CONTROL);
        cr_assert_str_eq(lng_spm_piece(spm, 1, NULL), "<unk>");
        cr_assert(lng_spm_piece_kind(spm, 1) == LNG_SPM_UNKNOWN);
        cr_assert(lng_spm_piece_kind(spm, 2) == LNG_SPM_NORMAL);
        struct fixture_text text = {.seed = 99, .left = 40};
        const char *line;
        bool got;
        while (type != LNG_SPM_WORD && fixture_next_line(&text, &line, &length, &got) == LNG_OK &&
               got)
            check_round_trip(spm, line);
        lng_spm_close(spm);
    }
}

Test(spm, training_is_reproducible)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer first = fixture_train(&options, false),
                      second = fixture_train(&options, false);
    cr_assert(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    lng_buffer_release(&first);
    lng_buffer_release(&second);
}

Test(spm, ids_out_of_range_are_refused)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    const int32_t bad[] = {-1, 150, INT32_MAX, INT32_MIN};
    struct lng_buffer text = {0};
    check_ok(lng_buffer_append_text(&text, "kept"));
    for (size_t i = 0; i < 4; i++) {
        size_t length = 77;
        cr_assert(lng_spm_piece(spm, bad[i], &length) == NULL && length == 0);
        cr_assert((int)lng_spm_piece_kind(spm, bad[i]) == 0);
        const int32_t ids[] = {2, bad[i]};
        check_fails(lng_spm_decode(spm, ids, 2, &text), LNG_ERR_RANGE, "position 1");
    }
    cr_assert_str_eq(text.data, "kept");
    cr_assert(lng_spm_id(spm, "</s>", 4) == 0 && lng_spm_id(spm, "<unk>", 5) == 1);
    cr_assert(lng_spm_id(spm, "zzzzz", 5) == -1 && lng_spm_id(spm, "", 0) == -1);
    cr_assert(lng_spm_id(spm, "</s>\0", 5) == -1);
    lng_buffer_release(&text);
    lng_spm_close(spm);
}

struct seen {
    const char *text;
    size_t length, at, count, unknown;
    int32_t unknown_id;
};

static enum lng_status look(void *context, const struct lng_spm_token *piece)
{
    struct seen *seen = context;
    cr_assert(piece->begin == seen->at && piece->end >= piece->begin && piece->end <= seen->length,
              "%zu to %zu after %zu", piece->begin, piece->end, seen->at);
    if (piece->id == seen->unknown_id) {
        seen->unknown++;
        cr_assert(piece->name.length == piece->end - piece->begin &&
                  memcmp(piece->name.data, seen->text + piece->begin, piece->name.length) == 0);
    }
    seen->at = piece->end;
    seen->count++;
    return LNG_OK;
}

static enum lng_status stop(void *context, const struct lng_spm_token *piece)
{
    (void)context;
    (void)piece;
    return lng_fail(LNG_ERR_INTERRUPTED, "enough");
}

Test(spm, spans_are_bytes_of_the_text)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, true);
    static const char text[] = "der grüne \xE4\xB8\xAD\xE6\x96\x87 Baum";
    struct seen seen = {.text = text, .length = sizeof text - 1, .unknown_id = 1};
    check_ok(lng_spm_encode_pieces(spm, text, sizeof text - 1, look, &seen));
    cr_assert(seen.at == sizeof text - 1 && seen.count >= 4);
    cr_assert(seen.unknown == 1, "a run of unknown characters is one piece, got %zu", seen.unknown);
    check_fails(lng_spm_encode_pieces(spm, text, sizeof text - 1, stop, NULL), LNG_ERR_INTERRUPTED,
                "enough");
    lng_spm_close(spm);
}

Test(spm, byte_fallback_and_user_symbols)
{
    static const char *const symbols[] = {">>de<<", "a,b", "q\"q"};
    struct lng_spm_train_options options = fixture_options();
    options.vocab_size = 420;
    options.byte_fallback = true;
    options.hard_vocab_limit = false;
    options.split_digits = true;
    options.user_defined_symbols = symbols;
    options.user_defined_symbol_count = 3;
    struct lng_spm *spm = fixture_spm(&options, false);
    cr_assert(lng_spm_get_info(spm)->byte_fallback);
    check_round_trip(spm, "walked \xF0\x9F\x98\x80 \xE4\xB8\xAD 1234");
    for (size_t i = 0; i < 3; i++) {
        int32_t id = lng_spm_id(spm, symbols[i], strlen(symbols[i]));
        cr_assert(id >= 0, "%s", symbols[i]);
        char text[64];
        snprintf(text, sizeof text, "walk%ss", symbols[i]);
        struct lng_ids ids = encode(spm, text, strlen(text));
        size_t found = 0;
        for (size_t j = 0; j < ids.count; j++)
            found += ids.data[j] == id;
        cr_assert(found == 1, "%s", text);
        lng_ids_release(&ids);
    }
    for (int32_t id = 0; id < lng_spm_get_info(spm)->pieces; id++) {
        size_t length, digits = 0;
        const char *piece = lng_spm_piece(spm, id, &length);
        for (size_t i = 0; i < length; i++)
            digits += piece[i] >= '0' && piece[i] <= '9';
        cr_assert(digits <= 1 || lng_spm_piece_kind(spm, id) == LNG_SPM_BYTE, "'%s'", piece);
    }
    lng_spm_close(spm);
}

Test(spm, special_names_in_a_text_are_only_text)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    struct lng_ids ids = encode(spm, "walk </s> talk", 14);
    for (size_t i = 0; i < ids.count; i++)
        cr_assert(ids.data[i] != 0);
    lng_ids_release(&ids);
    lng_spm_close(spm);
}

Test(spm, odd_texts)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    struct lng_ids ids = encode(spm, "", 0);
    cr_assert(ids.count == 0);
    check_ok(lng_spm_encode(spm, NULL, 0, &ids));
    check_ok(lng_spm_encode(spm, "   \t ", 5, &ids));
    cr_assert(ids.count == 0);
    check_ok(lng_spm_encode(spm, "a\0b", 3, &ids));
    check_ok(lng_spm_encode(spm, "\xFF\xC3(\xED\xA0\x80\xF0\x9F", 8, &ids));
    size_t big = 1 << 20;
    char *line = lng_alloc(big, 1);
    for (size_t i = 0; i < big; i++)
        line[i] = "walked under the green tree "[i % 28];
    lng_ids_clear(&ids);
    check_ok(lng_spm_encode(spm, line, big, &ids));
    cr_assert(ids.count > big / 28 * 5);
    memset(line, 0xE4, big);
    check_ok(lng_spm_encode(spm, line, big, &ids));
    check_fails(lng_spm_encode(spm, line, (size_t)LNG_SPM_MAX_TEXT_BYTES + 1, &ids), LNG_ERR_RANGE,
                "split it");
    lng_free(line);
    lng_ids_release(&ids);
    lng_spm_close(spm);
}

Test(spm, a_long_text_gives_the_ids_of_its_words)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    struct fixture_text from = {.seed = 5, .left = 2000};
    struct lng_buffer text = {0};
    struct lng_ids by_word = {0};
    struct lng_slice rest, word;
    const char *line;
    size_t length;
    bool got;
    while (fixture_next_line(&from, &line, &length, &got) == LNG_OK && got) {
        check_ok(lng_buffer_append(&text, line, length));
        check_ok(lng_buffer_append_byte(&text, ' '));
    }
    cr_assert(text.length > 3 * (size_t)LNG_SPM_CHUNK_BYTES);
    struct lng_ids ids = encode(spm, text.data, text.length);
    rest = (struct lng_slice){text.data, text.length};
    while (lng_text_next_word(&rest, &word))
        check_ok(lng_spm_encode(spm, word.data, word.length, &by_word));
    cr_assert(ids.count == by_word.count &&
              memcmp(ids.data, by_word.data, ids.count * sizeof *ids.data) == 0);
    struct seen seen = {.text = text.data, .length = text.length, .unknown_id = 1};
    check_ok(lng_spm_encode_pieces(spm, text.data, text.length - 1, look, &seen));
    cr_assert(seen.at == text.length - 1 && seen.count == ids.count);
    lng_ids_release(&ids);
    lng_ids_release(&by_word);
    lng_buffer_release(&text);
    lng_spm_close(spm);
}

static enum lng_status collect(void *context, const struct lng_spm_token *piece)
{
    return lng_ids_push(context, piece->id);
}

Test(spm, nbest_falls_and_starts_with_the_best)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    static const char text[] = "walked under trees";
    struct lng_spm_nbest *nbest = NULL;
    check_ok(lng_spm_nbest_open(spm, text, sizeof text - 1, 20, &nbest));
    size_t count = lng_spm_nbest_count(nbest);
    cr_assert(count > 5 && count <= 20);
    for (size_t i = 0; i < count; i++) {
        double score = lng_spm_nbest_score(nbest, i);
        cr_assert(isfinite(score) && score < 0);
        cr_assert(i == 0 || score <= lng_spm_nbest_score(nbest, i - 1));
        struct lng_ids ids = {0};
        struct lng_buffer back = {0};
        check_ok(lng_spm_nbest_pieces(nbest, i, collect, &ids));
        check_ok(lng_spm_decode(spm, ids.data, ids.count, &back));
        cr_assert_str_eq(back.data, text);
        if (i == 0) {
            struct lng_ids best = encode(spm, text, sizeof text - 1);
            cr_assert(best.count == ids.count &&
                      memcmp(best.data, ids.data, ids.count * sizeof *ids.data) == 0);
            lng_ids_release(&best);
        }
        lng_ids_release(&ids);
        lng_buffer_release(&back);
    }
    cr_assert(lng_spm_nbest_score(nbest, count) == -INFINITY);
    check_fails(lng_spm_nbest_pieces(nbest, count, collect, NULL), LNG_ERR_RANGE, "segmentation");
    lng_spm_nbest_close(nbest);
    check_ok(lng_spm_nbest_open(spm, "", 0, 5, &nbest));
    lng_spm_nbest_close(nbest);
    check_fails(lng_spm_nbest_open(spm, text, 3, 0, &nbest), LNG_ERR_RANGE, "1 to 512");
    check_fails(lng_spm_nbest_open(spm, text, 3, 513, &nbest), LNG_ERR_RANGE, "1 to 512");
    lng_spm_close(spm);
    options.model_type = LNG_SPM_BPE;
    spm = fixture_spm(&options, false);
    check_fails(lng_spm_nbest_open(spm, text, 3, 5, &nbest), LNG_ERR_UNSUPPORTED, "unigram");
    lng_spm_close(spm);
}

Test(spm, decodes_piece_texts)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    const struct lng_slice pieces[] = {lng_slice_of("\xE2\x96\x81"),
                                       lng_slice_of("t"),
                                       lng_slice_of("zz"),
                                       lng_slice_of("<unk>"),
                                       {NULL, 0}};
    struct lng_buffer text = {0};
    check_ok(lng_spm_decode_pieces(spm, pieces, 5, &text));
    cr_assert_str_eq(text.data, "tzz \xE2\x81\x87 ");
    lng_buffer_release(&text);
    lng_spm_close(spm);
}

Test(spm, a_size_that_does_not_fit_names_one_that_does)
{
    struct lng_spm_train_options options = fixture_options();
    struct fixture_text text = {.seed = 7, .left = 600};
    struct lng_spm_train_report report;
    struct lng_buffer model = {0};
    options.vocab_size = 5000;
    check_fails(lng_spm_train(&options, fixture_next_line, &text, &model, &report), LNG_ERR_RANGE,
                "or less");
    cr_assert(report.largest_vocab_size > 100 && report.largest_vocab_size < 5000 &&
              report.used == 600 && model.length == 0);
    char number[16];
    snprintf(number, sizeof number, "%d", report.largest_vocab_size);
    cr_assert(strstr(lng_error_message(), number) != NULL);
    options.vocab_size = report.largest_vocab_size;
    text = (struct fixture_text){.seed = 7, .left = 600};
    check_ok(lng_spm_train(&options, fixture_next_line, &text, &model, &report));
    cr_assert(report.largest_vocab_size == 0 && model.length > 0);
    options.vocab_size = 10;
    text = (struct fixture_text){.seed = 7, .left = 600};
    check_fails(lng_spm_train(&options, fixture_next_line, &text, &model, &report), LNG_ERR_RANGE,
                "coverage");
    cr_assert(report.smallest_vocab_size > 10);
    lng_buffer_release(&model);
}

struct mixed {
    int at;
};

static enum lng_status next_mixed(void *context, const char **text, size_t *length, bool *got)
{
    static char longest[6000];
    static const struct {
        const char *text;
        size_t length;
    } lines[] = {{"", 0},
                 {" \t", 2},
                 {"a\0b", 3},
                 {"bad \xFF", 5},
                 {"\xE2\x96\x85", 3},
                 {longest, 6000},
                 {"\xE2\x80\x8B", 3},
                 {"\xEF\xBF\xBD", 3}};
    struct mixed *mixed = context;
    memset(longest, 'a', sizeof longest);
    *got = mixed->at < 8;
    if (*got) {
        *text = lines[mixed->at].text;
        *length = lines[mixed->at++].length;
    }
    return LNG_OK;
}

static enum lng_status next_broken(void *context, const char **text, size_t *length, bool *got)
{
    struct fixture_text *from = context;
    if (from->left == 1)
        return lng_fail(LNG_ERR_IO, "the disk went away");
    return fixture_next_line(context, text, length, got);
}

Test(spm, lines_left_out_are_counted)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm_train_report report;
    struct lng_buffer model = {0};
    struct mixed mixed = {0};
    check_fails(lng_spm_train(&options, next_mixed, &mixed, &model, &report), LNG_ERR_FORMAT,
                "no usable line");
    cr_assert(report.lines == 8 && report.used == 0 && report.empty == 4 && report.too_long == 1);
    cr_assert(report.with_nul == 1 && report.invalid_utf8 == 1 && report.reserved == 1);
    struct fixture_text text = {.seed = 1, .left = 50};
    check_fails(lng_spm_train(&options, next_broken, &text, &model, NULL), LNG_ERR_IO,
                "the disk went away");
    text.left = 1;
    check_fails(lng_spm_train(&options, next_broken, &text, &model, NULL), LNG_ERR_IO,
                "the disk went away");
    cr_assert(model.length == 0);
}

Test(spm, bad_options_are_named)
{
    static const char *const empty_symbol[] = {""}, *const tab[] = {"a\tb"};
    for (int i = 0; i < 15; i++) {
        struct lng_spm_train_options options = fixture_options();
        const char *word = "expected";
        options.vocab_size = i == 0 ? 2 : i == 1 ? 1 << 30 : 150;
        options.model_type = i == 2 ? (enum lng_spm_model_type)5 : LNG_SPM_UNIGRAM;
        options.character_coverage = i == 3 ? 0.5 : i == 4 ? NAN : 1.0;
        options.num_threads = i == 5 ? 0 : 1;
        options.max_line_bytes = i == 6 ? 0 : 4192;
        options.max_piece_characters = i == 7 ? 4096 : 16;
        options.self_test_samples = i == 8 ? -1 : 3;
        options.unk_id = i == 9 ? -1 : 1;
        options.eos_id = i == 10 ? 1 : 0;
        options.bos_id = i == 11 ? 150 : -1;
        options.input_sentence_size = i == 12 ? 5 : 0;
        options.user_defined_symbols = i == 13 ? empty_symbol : tab;
        options.user_defined_symbol_count = i >= 13;
        struct fixture_text text = {.seed = 7, .left = 20};
        struct lng_buffer model = {0};
        if (i == 10)
            word = "same id";
        enum lng_status status = lng_spm_train(&options, fixture_next_line, &text, &model, NULL);
        cr_assert(status == LNG_ERR_RANGE || status == LNG_ERR_FORMAT, "case %d: %d", i, status);
        cr_assert(strstr(lng_error_message(), word) != NULL, "case %d: %s", i, lng_error_message());
    }
    struct lng_spm_train_options options = fixture_options();
    struct fixture_text text = {.seed = 7, .left = 20};
    struct lng_buffer model = {0};
    options.normalization = "no such rule";
    cr_assert(lng_spm_train(&options, fixture_next_line, &text, &model, NULL) != LNG_OK);
    options = fixture_options();
    options.byte_fallback = true;
    check_fails(lng_spm_train(&options, fixture_next_line, &text, &model, NULL), LNG_ERR_RANGE,
                "no room");
    enum lng_spm_model_type type = LNG_SPM_CHAR;
    check_ok(lng_spm_model_type_parse("bpe", &type));
    cr_assert(type == LNG_SPM_BPE);
    check_fails(lng_spm_model_type_parse("BPE", &type), LNG_ERR_USAGE, "unigram");
    cr_assert_str_eq(lng_spm_model_type_name((enum lng_spm_model_type)9), "unknown");
}

Test(spm, survives_every_failed_allocation)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer model = fixture_train(&options, false);
    for (size_t n = 1; n < 40; n++) {
        size_t before = lng_mem_get_stats().blocks_live;
        struct lng_spm *spm = NULL;
        struct lng_ids ids = {0};
        lng_mem_fail_nth(n, 1);
        enum lng_status status = lng_spm_open(model.data, model.length, &spm);
        if (status == LNG_OK)
            status = lng_spm_encode(spm, "walk", 4, &ids);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY || status == LNG_ERR_FORMAT,
                  "%zu: %s", n, lng_error_message());
        lng_ids_release(&ids);
        lng_spm_close(spm);
        cr_assert(lng_mem_get_stats().blocks_live == before);
    }
    lng_buffer_release(&model);
}

static void *encode_many(void *context)
{
    static char failed[] = "failed";
    const struct lng_spm *spm = context;
    for (int round = 0; round < 200; round++) {
        struct lng_ids ids = {0};
        struct lng_buffer back = {0};
        bool good = lng_spm_encode(spm, "the walked tree 12", 18, &ids) == LNG_OK &&
                    lng_spm_decode(spm, ids.data, ids.count, &back) == LNG_OK &&
                    strcmp(back.data, "the walked tree 12") == 0;
        lng_ids_release(&ids);
        lng_buffer_release(&back);
        if (!good)
            return failed;
    }
    return NULL;
}

Test(spm, one_model_serves_many_threads)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_spm *spm = fixture_spm(&options, false);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert(pthread_create(&threads[i], NULL, encode_many, spm) == 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        cr_assert(pthread_join(threads[i], &result) == 0 && result == NULL);
    }
    lng_spm_close(spm);
}
