/* Tokenizer folders of M2M-100 and NLLB. */
#include "tokenizer/languages.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"
#include "tokenizer/spm.h"

static int32_t pieces; /* of the SentencePiece model */

static void setup(void)
{
    scratch_make();
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer model = fixture_train(&options, false);
    scratch_write("sentencepiece.bpe.model", model.data, model.length);
    struct lng_spm *spm;
    check_ok(lng_spm_open(model.data, model.length, &spm));
    pieces = lng_spm_get_info(spm)->pieces;
    lng_spm_close(spm);
    lng_buffer_release(&model);
}

TestSuite(languages, .init = setup, .fini = scratch_remove);

static void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

/* <s>, <pad>, </s>, <unk>, then the pieces, in the order of the model: what NLLB means without vocab.json. */
static void write_vocab(void)
{
    struct lng_tokenizer *tokenizer;
    struct lng_vocab *short_one;
    check_ok(lng_tokenizer_open_directory(scratch_path("."), &tokenizer));
    const struct lng_vocab *all = lng_tokenizer_vocab(tokenizer, LNG_SIDE_SOURCE);
    check_ok(lng_vocab_open(&short_one));
    for (int32_t i = 0; i < lng_tokenizer_languages(tokenizer)->begin; i++) {
        struct lng_slice entry = lng_vocab_entry(all, i);
        check_ok(lng_vocab_add(short_one, entry.data, entry.length, NULL));
    }
    check_ok(lng_vocab_write_json(short_one, scratch_path("vocab.json")));
    lng_vocab_close(short_one);
    lng_tokenizer_close(tokenizer);
}

static void check_language(const struct lng_tokenizer *tokenizer, const char *code, int32_t want)
{
    int32_t id = -1;
    check_ok(lng_tokenizer_find_language(tokenizer, code, &id));
    cr_assert(id == want, "%s: %d, expected %d", code, id, want);
}

Test(languages, nllb_numbers_pieces_by_itself)
{
    struct lng_tokenizer *tokenizer, *again;
    struct lng_ids ids = {0}, other = {0};
    int32_t id;
    write_text("tokenizer_config.json",
               "{\"additional_special_tokens\":[\"eng_Latn\",{\"content\":\"fra_Latn\"}],"
               "\"legacy_behaviour\":true,\"src_lang\":\"eng_Latn\",\"tgt_lang\":null,"
               "\"model_max_length\":1000000000000000019884624838656}");
    check_ok(lng_tokenizer_open_directory(scratch_path("."), &tokenizer));
    const struct lng_languages *l = lng_tokenizer_languages(tokenizer);
    cr_assert(lng_tokenizer_eos(tokenizer, LNG_SIDE_TARGET) == 2);
    cr_assert(lng_tokenizer_unk(tokenizer, LNG_SIDE_SOURCE) == 3);
    cr_assert(lng_tokenizer_pad(tokenizer, LNG_SIDE_TARGET) == 1);
    cr_assert(l->end - l->begin == 2 && l->last && strcmp(l->source, "eng_Latn") == 0 &&
              !l->target);
    check_language(tokenizer, "eng_Latn", l->begin);
    check_language(tokenizer, "fra_Latn", l->begin + 1);
    check_fails(lng_tokenizer_find_language(tokenizer, "deu_Latn", &id), LNG_ERR_USAGE,
                "expected one of eng_Latn fra_Latn");
    check_fails(lng_tokenizer_find_language(tokenizer, "</s>", &id), LNG_ERR_USAGE, "</s>");
    size_t count, languages = 0;
    const int32_t *never = lng_tokenizer_never(tokenizer, &count);
    for (size_t i = 0; i < count; i++)
        languages += never[i] >= l->begin && never[i] < l->end;
    cr_assert(languages == 2, "a translation holds no language token but the first");

    check_ok(lng_make_directories(scratch_path("saved")));
    check_ok(lng_tokenizer_save(tokenizer, scratch_path("saved")));
    check_ok(lng_tokenizer_open_directory(scratch_path("saved"), &again));
    cr_assert(lng_tokenizer_digest(again) == lng_tokenizer_digest(tokenizer));
    check_language(again, "fra_Latn", l->begin + 1);
    cr_assert(lng_tokenizer_languages(again)->last && !lng_tokenizer_languages(again)->target);
    static const char text[] = "the small house";
    check_ok(lng_tokenizer_encode(tokenizer, LNG_SIDE_SOURCE, text, strlen(text), &ids));
    check_ok(lng_tokenizer_encode(again, LNG_SIDE_TARGET, text, strlen(text), &other));
    cr_assert(ids.count > 0 && ids.count == other.count);
    for (size_t i = 0; i < ids.count; i++)
        cr_assert(ids.data[i] == other.data[i] && ids.data[i] > 2 && ids.data[i] < l->begin);
    lng_ids_release(&ids);
    lng_ids_release(&other);
    lng_tokenizer_close(again);
    lng_tokenizer_close(tokenizer);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Wherever a directory lists them; a mask behind them is no language. */
Test(languages, places_where_they_are_listed)
{
    char numbered[512], added[256];
    struct lng_tokenizer *tokenizer;
    write_text("tokenizer_config.json", "{\"additional_special_tokens\":[\"__en__\"]}");
    write_vocab();
    check_ok(lng_tokenizer_open_directory(scratch_path("."), &tokenizer));
    int32_t begin = lng_tokenizer_languages(tokenizer)->begin;
    lng_tokenizer_close(tokenizer);
    snprintf(
        numbered, sizeof numbered,
        "{\"added_tokens_decoder\":{\"%d\":{\"content\":\"<mask>\"},\"0\":{\"content\":\"<s>\"},"
        "\"%d\":{\"content\":\"__en__\"},\"%d\":{\"content\":\"__fr__\"}}}",
        begin + 2, begin, begin + 1);
    snprintf(added, sizeof added, "{\"__fr__\":%d,\"__en__\":%d}", begin + 1, begin);
    struct {
        const char *name, *text, *config;
    } places[] = {
        {"tokenizer_config.json", numbered, NULL},
        {"added_tokens.json", added, "{}"},
        {"special_tokens_map.json", "{\"additional_special_tokens\":[\"__en__\",\"__fr__\"]}",
         "{}"},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i].config != NULL)
            write_text("tokenizer_config.json", places[i].config);
        write_text(places[i].name, places[i].text);
        check_ok(lng_tokenizer_open_directory(scratch_path("."), &tokenizer));
        cr_assert(lng_tokenizer_languages(tokenizer)->end == begin + 2, "%s", places[i].name);
        check_language(tokenizer, "fr", begin + 1);
        check_language(tokenizer, "__en__", begin);
        lng_tokenizer_close(tokenizer);
        remove(scratch_path(places[i].name));
    }
    write_text("tokenizer_config.json", "{\"tokenizer_class\":\"M2M100Tokenizer\"}");
    check_ok(lng_tokenizer_open_directory(scratch_path("."), &tokenizer));
    cr_assert(lng_tokenizer_languages(tokenizer)->end == begin + 100);
    check_language(tokenizer, "af", begin);
    check_language(tokenizer, "zu", begin + 99);
    lng_tokenizer_close(tokenizer);
}

Test(languages, what_does_not_fit_is_named)
{
    struct lng_tokenizer *tokenizer;
    char gap[128];
    snprintf(gap, sizeof gap, "{\"added_tokens_decoder\":{\"%d\":{\"content\":\"__en__\"}}}",
             pieces + 50);
    struct {
        const char *config, *part;
    } cases[] = {
        {"{}", "expected language tokens"},
        {"{\"extra_special_tokens\":[1,null,\"<s>\"]}", "expected language tokens"},
        {"{\"added_tokens_decoder\":[]}", "expected language tokens"},
        {gap, "expected the added token of id"},
        {"{\"tokenizer_class\":\"M2M100Tokenizer\",\"language_codes\":\"other\"}",
         "expected language tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text("tokenizer_config.json", cases[i].config);
        check_fails(lng_tokenizer_open_directory(scratch_path("."), &tokenizer), LNG_ERR_FORMAT,
                    cases[i].part);
    }
    write_text("added_tokens.json", "[");
    check_fails(lng_tokenizer_open_directory(scratch_path("."), &tokenizer), LNG_ERR_FORMAT,
                "added_tokens.json");
    write_text("sentencepiece.bpe.model", "no model");
    check_fails(lng_tokenizer_open_directory(scratch_path("."), &tokenizer), LNG_ERR_FORMAT,
                "sentencepiece.bpe.model");
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}
