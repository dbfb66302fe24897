/* The checker of SentencePiece models: sound models pass, and nothing else reaches the library. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/spm_fixture.h"

/* ---- a writer of model files, good and bad ---- */

static void put(struct lng_buffer *to, const void *bytes, size_t size)
{
    check_ok(lng_buffer_append(to, bytes, size));
}

static void put_varint(struct lng_buffer *to, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        put(to, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_bytes(struct lng_buffer *to, unsigned field, const void *bytes, size_t size)
{
    put_varint(to, field << 3 | 2);
    put_varint(to, size);
    put(to, bytes, size);
}

static void put_piece(struct lng_buffer *to, const char *text, size_t length, float score, int type)
{
    struct lng_buffer piece = {0};
    put_bytes(&piece, 1, text, length);
    put_varint(&piece, 2 << 3 | 5);
    put(&piece, &score, sizeof score);
    put_varint(&piece, 3 << 3);
    put_varint(&piece, (uint64_t)(int64_t)type);
    put_bytes(to, 1, piece.data, piece.length);
    lng_buffer_release(&piece);
}

static void put_trainer(struct lng_buffer *to, int model_type, int byte_fallback)
{
    struct lng_buffer trainer = {0};
    put_varint(&trainer, 3 << 3);
    put_varint(&trainer, (uint64_t)(int64_t)model_type);
    put_varint(&trainer, 35 << 3);
    put_varint(&trainer, (uint64_t)byte_fallback);
    put_bytes(to, 2, trainer.data, trainer.length);
    lng_buffer_release(&trainer);
}

static void put_normalizer(struct lng_buffer *to, const void *charsmap, size_t size)
{
    struct lng_buffer normalizer = {0};
    put_bytes(&normalizer, 1, "own", 3);
    if (size > 0)
        put_bytes(&normalizer, 2, charsmap, size);
    put_bytes(to, 3, normalizer.data, normalizer.length);
    lng_buffer_release(&normalizer);
}

static void put_basics(struct lng_buffer *to)
{
    put_piece(to, "</s>", 4, 0, 3);
    put_piece(to, "<unk>", 5, 0, 2);
    put_piece(to, "\xE2\x96\x81", 3, -1, 1);
    put_piece(to, "a", 1, -2, 1);
}

static void refused(struct lng_buffer *model, const char *word)
{
    struct lng_spm *spm = NULL;
    check_fails(lng_spm_open(model->data, model->length, &spm), LNG_ERR_FORMAT, word);
    cr_assert(spm == NULL);
    lng_buffer_release(model);
}

/* Loads what the checker lets through, and works it: nothing may crash. */
static bool exercise(const void *bytes, size_t size)
{
    static const char text[] = "the walked tree, \xEF\xBC\xA1\xC2\xBD 12! \xFF</s>";
    struct lng_spm *spm = NULL;
    struct lng_ids ids = {0};
    struct lng_buffer back = {0};
    struct lng_spm_nbest *nbest = NULL;
    if (lng_spm_open(bytes, size, &spm) != LNG_OK) {
        cr_assert(strlen(lng_error_message()) > 10);
        return false;
    }
    if (lng_spm_encode(spm, text, sizeof text - 1, &ids) == LNG_OK)
        cr_assert(lng_spm_decode(spm, ids.data, ids.count, &back) == LNG_OK ||
                  strlen(lng_error_message()) > 10);
    if (lng_spm_nbest_open(spm, text, 10, 4, &nbest) == LNG_OK)
        lng_spm_nbest_close(nbest);
    lng_ids_release(&ids);
    lng_buffer_release(&back);
    lng_spm_close(spm);
    return true;
}

Test(spm_check, sound_models_pass)
{
    for (int type = LNG_SPM_UNIGRAM; type <= LNG_SPM_CHAR; type++) {
        struct lng_spm_train_options options = fixture_options();
        struct lng_spm_info info = {0};
        options.model_type = (enum lng_spm_model_type)type;
        options.vocab_size = type == LNG_SPM_WORD ? 40 : type == LNG_SPM_CHAR ? 60 : 150;
        options.normalization = type == LNG_SPM_BPE ? "identity" : "nmt_nfkc";
        struct lng_buffer model = fixture_train(&options, false);
        check_ok(lng_spm_check(model.data, model.length, &info));
        cr_assert(info.model_type == options.model_type && info.pieces <= options.vocab_size);
        cr_assert(info.checksum == lng_checksum(model.data, model.length));
        cr_assert(exercise(model.data, model.length));
        lng_buffer_release(&model);
    }
    struct lng_buffer made = {0};
    put_basics(&made);
    put_trainer(&made, LNG_SPM_UNIGRAM, 0);
    put_normalizer(&made, NULL, 0);
    cr_assert(exercise(made.data, made.length), "%s", lng_error_message());
    lng_buffer_release(&made);
}

Test(spm_check, what_is_no_model_is_refused)
{
    static const char *const texts[] = {
        "<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 798293\n", "{}", "\n"};
    struct lng_buffer model = {0};
    check_fails(lng_spm_check("", 0, NULL), LNG_ERR_FORMAT, "empty");
    check_fails(lng_spm_check("", (size_t)LNG_SPM_MAX_BYTES + 1, NULL), LNG_ERR_FORMAT, "at most");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_ok(lng_buffer_append_text(&model, texts[i]));
        refused(&model, "SentencePiece model");
    }
    check_ok(lng_buffer_reserve(&model, 5000));
    memset(model.data, 0, model.length = 5000);
    refused(&model, "SentencePiece model");
}

Test(spm_check, bad_pieces_are_refused)
{
    static char longest[1 << 20];
    memset(longest, 'b', sizeof longest);
    const struct {
        const char *text;
        size_t length;
        float score;
        int type;
        const char *word;
    } cases[] = {
        {"", 0, 0, 1, "0 bytes"},
        {"b\0c", 3, 0, 1, "NUL"},
        {"\0", 1, 0, 1, "NUL"},
        {"\xC3(", 2, 0, 1, "UTF-8"},
        {"\xED\xA0\x80", 3, 0, 1, "UTF-8"},
        {longest, 1025, 0, 1, "1025 bytes"},
        {longest, 10000, 0, 1, "10000 bytes"},
        {longest, sizeof longest, 0, 1, "1048576 bytes"},
        {"b", 1, NAN, 1, "score"},
        {"b", 1, INFINITY, 1, "score"},
        {"b", 1, -INFINITY, 1, "score"},
        {"b", 1, 3e38f, 1, "score"},
        {"b", 1, 0, 0, "type"},
        {"b", 1, 0, 7, "type"},
        {"b", 1, 0, 99, "type"},
        {"b", 1, 0, -1, "type"},
        {"b", 1, 0, 2, "UNKNOWN"},
        {"<0x41>", 6, 0, 6, "byte"},
        {"<0x-1>", 6, 0, 6, "byte"},
        {"a", 1, 0, 1, "already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_buffer model = {0};
        put_basics(&model);
        put_piece(&model, cases[i].text, cases[i].length, cases[i].score, cases[i].type);
        put_trainer(&model, LNG_SPM_UNIGRAM, 0);
        put_normalizer(&model, NULL, 0);
        refused(&model, cases[i].word);
    }
}

Test(spm_check, bad_sections_are_refused)
{
    struct lng_buffer model = {0};
    put_basics(&model);
    put_trainer(&model, 1, 0);
    refused(&model, "normalizer section is missing");
    put_basics(&model);
    put_normalizer(&model, NULL, 0);
    refused(&model, "trainer section is missing");
    for (int type = -1; type < 100; type += type == 0 ? 5 : type < 0 ? 1 : 36) {
        put_basics(&model);
        put_trainer(&model, type, 0);
        put_normalizer(&model, NULL, 0);
        refused(&model, "model type");
    }
    put_piece(&model, "<unk>", 5, 0, 2);
    put_trainer(&model, 1, 0);
    put_normalizer(&model, NULL, 0);
    refused(&model, "1 pieces");
    put_piece(&model, "a", 1, 0, 1);
    put_piece(&model, "b", 1, 0, 1);
    put_piece(&model, "c", 1, 0, 1);
    put_trainer(&model, 1, 0);
    put_normalizer(&model, NULL, 0);
    refused(&model, "no piece is of type UNKNOWN");
    put_basics(&model);
    put_trainer(&model, 1, 1);
    put_normalizer(&model, NULL, 0);
    refused(&model, "0 byte pieces");
    /* Fields without number or with no content, over and over: bounded memory, a message. */
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < 3000000; i++)
            put(&model, kind == 0 ? "\x0A\x00" : "\x78\x01", 2);
        refused(&model, "SentencePiece model");
    }
}

Test(spm_check, byte_alphabet_is_whole_or_absent)
{
    for (int skip = -1; skip <= 255; skip += 64) {
        struct lng_buffer model = {0};
        put_basics(&model);
        for (int byte = 0; byte < 256; byte++) {
            char name[8];
            snprintf(name, sizeof name, "<0x%02X>", byte == skip ? 0x41 : byte);
            put_piece(&model, name, 6, 0, 6);
        }
        put_trainer(&model, LNG_SPM_BPE, 1);
        put_normalizer(&model, NULL, 0);
        if (skip >= 0 && skip != 0x41) {
            refused(&model, "byte piece");
        } else {
            cr_assert(exercise(model.data, model.length), "%s", lng_error_message());
            lng_buffer_release(&model);
        }
    }
}

/* A trie of 512 units that maps "A" to the text at `value`: root -> base 256, child 'A', leaf. */
static size_t make_charsmap(unsigned char *table, const char *texts, size_t texts_size,
                            uint32_t value)
{
    memset(table, 0, 4 + 2048);
    lng_store_u32(table, 2048);
    unsigned char *units = table + 4;
    lng_store_u32(units, 256u << 10); /* root: offset 256 */
    lng_store_u32(units + 4 * (256 ^ 'A'), ((256u ^ 'A') << 10) | 1u << 8 | 'A'); /* its leaf: 0 */
    lng_store_u32(units + 4 * 0, (256u << 10));
    lng_store_u32(units + 4 * (256 ^ 'A'), (1u << 8 | 'A') | ((256u ^ 'A' ^ 300u) << 10));
    lng_store_u32(units + 4 * 300, 1u << 31 | value);
    memcpy(table + 4 + 2048, texts, texts_size);
    return 4 + 2048 + texts_size;
}

Test(spm_check, charsmap_sound)
{
    unsigned char table[4096];
    size_t size = make_charsmap(table, "b\0a", 4, 2);
    check_ok(lng_spm_check_charsmap(table, size));
    check_ok(lng_spm_check_charsmap(table, 0));
    struct lng_buffer model = {0};
    struct lng_spm *spm = NULL;
    struct lng_ids ids = {0};
    put_basics(&model);
    put_trainer(&model, LNG_SPM_CHAR, 0);
    put_normalizer(&model, table, size);
    check_ok(lng_spm_open(model.data, model.length, &spm));
    check_ok(lng_spm_encode(spm, "A", 1, &ids));
    cr_assert(ids.count == 2 && ids.data[0] == 2 && ids.data[1] == 3,
              "'A' was not normalised to 'a'");
    lng_ids_release(&ids);
    lng_spm_close(spm);
    lng_buffer_release(&model);
}

Test(spm_check, charsmap_bad)
{
    unsigned char table[4096], bad[4096];
    size_t size = make_charsmap(table, "b\0\xC3\xA9", 5, 2);
    check_ok(lng_spm_check_charsmap(table, size));
    const struct {
        size_t at;
        uint32_t word;
        size_t cut; /* bytes kept; 0 = all */
        const char *message;
    } cases[] = {
        {0, 2048, 1, "4"},
        {0, 2048, 3, "4"},
        {0, 0, 0, "multiple of 4"},
        {0, 3, 0, "multiple of 4"},
        {0, 4, 0, "multiple of 4"},
        {0, 1020, 0, "multiple of 4"},
        {0, 2049, 0, "multiple of 4"},
        {0, 0xFFFFFFFC, 0, "multiple of 4"},
        {0, 2056, 0, "claims"},
        {0, 4000, 0, "claims"},
        {4, 0xFFFFFFFF & ~(1u << 8), 0, "points at unit"},
        {4, 512u << 10, 0, "points at unit"},
        {4 + 4 * (256 ^ 'A'), 0x7FFFFC00 | 'A', 0, "points at unit"},
        {4 + 4 * 300, 1u << 31 | 5, 0, "replacements"},
        {4 + 4 * 300, 0xFFFFFFFF, 0, "replacements"},
        {4 + 4 * 300, 1u << 31 | 3, 0, "inside a character"},
        {4 + 2048, 0x000000FF, 0, "not UTF-8"},
        {0, 2048, 4 + 2048 + 4, "NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bad, table, size);
        lng_store_u32(bad + cases[i].at, cases[i].word);
        size_t kept = cases[i].cut > 0 ? cases[i].cut : size;
        check_fails(lng_spm_check_charsmap(bad, kept), LNG_ERR_FORMAT, cases[i].message);
        struct lng_buffer model = {0};
        put_basics(&model);
        put_trainer(&model, LNG_SPM_UNIGRAM, 0);
        put_normalizer(&model, bad, kept);
        refused(&model, "SentencePiece model");
    }
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

Test(spm_check, random_tries_never_crash)
{
    unsigned char table[4 + 2048 + 16];
    for (uint32_t seed = 1; seed <= 500; seed++) {
        uint32_t state = seed;
        size_t size = make_charsmap(table, "ab\0c", 5, 0);
        uint32_t changes = seed % 3 == 0 ? 512 : 1 + draw(&state, 20);
        for (uint32_t i = 0; i < changes; i++)
            lng_store_u32(table + 4 + 4 * draw(&state, 512),
                          draw(&state, 512) << 10 | draw(&state, 1024));
        struct lng_buffer model = {0};
        put_basics(&model);
        put_trainer(&model, LNG_SPM_UNIGRAM, 0);
        put_normalizer(&model, table, size);
        (void)exercise(model.data, model.length);
        lng_buffer_release(&model);
    }
}

Test(spm_check, truncated_models_are_refused)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer model = fixture_train(&options, false);
    size_t accepted = 0, tried = 0;
    size_t tail = model.length - 600, step = model.length / 150;
    for (size_t cut = 0; cut < model.length; cut += cut < 300 || cut >= tail ? 1
                                                    : step < tail - cut      ? step
                                                                             : tail - cut) {
        /* A copy of just that size, so that a sanitizer sees a read past the end. */
        char *copy = lng_alloc(cut, 1);
        memcpy(copy, model.data, cut);
        accepted += exercise(copy, cut);
        tried++;
        lng_free(copy);
    }
    /* Only a cut between the last sections leaves a whole model (without its self-test). */
    cr_assert(tried > 900 && accepted <= 2, "%zu of %zu accepted", accepted, tried);
    check_fails(lng_spm_check(model.data, 1000, NULL), LNG_ERR_FORMAT, "SentencePiece model");
    lng_buffer_release(&model);
}

static void flip_bytes(bool with_charsmap, uint32_t seeds)
{
    struct lng_spm_train_options options = fixture_options();
    options.normalization = with_charsmap ? "nmt_nfkc" : "identity";
    struct lng_buffer model = fixture_train(&options, false);
    char *copy = lng_alloc(model.length, 1);
    uint32_t refusals = 0;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        uint32_t state = seed * 7919, flips = 1 + draw(&state, 3);
        memcpy(copy, model.data, model.length);
        for (uint32_t i = 0; i < flips; i++)
            copy[draw(&state, (uint32_t)model.length)] ^= (char)(1 + draw(&state, 255));
        refusals += !exercise(copy, model.length);
    }
    cr_assert(refusals > seeds / 10, "only %u of %u refused", refusals, seeds);
    lng_free(copy);
    lng_buffer_release(&model);
}

Test(spm_check, flipped_bytes_never_crash)
{
    flip_bytes(false, 1500);
    flip_bytes(true, 300);
}
