/* OPUS-MT packages: what is unpacked and what is refused; the cleaning of text that their scripts do. */
#include <stdio.h>
#include <string.h>
#include <zip.h>

#include <criterion/criterion.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/opus_package.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"
#include "tests/support/spm_fixture.h"
#include "tokenizer/tokenizer.h"

static void setup(void)
{
    scratch_make();
}
TestSuite(opus_package, .init = setup, .fini = scratch_remove);

static const char script[] = "sed -e 's/\xEF\xBC\x8C/,/g' | perl -C -pe 's/(?!\\n)\\p{C}/ /g;' |\n"
                             "spm_encode --model $2\n";

/* ---- packages ---- */

static zip_t *make_zip(const char *path)
{
    int code;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    cr_assert(zip != NULL);
    return zip;
}

/* `data` must live until the file is closed. */
static zip_int64_t add(zip_t *zip, const char *name, const void *data, size_t size)
{
    zip_source_t *source = zip_source_buffer(zip, data, size, 0);
    zip_int64_t index = zip_file_add(zip, name, source, 0);
    cr_assert(source != NULL && index >= 0, "%s", zip_strerror(zip));
    return index;
}

static const char *make_folder(void)
{
    const char *path = scratch_path("unpacked");
    check_ok(lng_remove_tree(path));
    check_ok(lng_make_directories(path));
    return path;
}

static void expect_refused(const char *path, enum lng_status code, const char *part)
{
    check_fails(lng_opus_unpack(path, make_folder()), code, part);
    cr_assert(!lng_file_exists(scratch_path("evil.npz")));
}

Test(opus_package, unpacks_what_a_model_needs)
{
    const char *path = scratch_path("m.zip");
    zip_t *zip = make_zip(path);
    add(zip, "opus-2020/model.npz", "weights", 7);
    add(zip, "opus-2020/decoder.yml", "beam-size: 4\n", 13);
    add(zip, "opus-2020/source.spm", "", 0);
    add(zip, "opus-2020/preprocess.sh", script, sizeof script - 1);
    add(zip, "opus-2020/model.train1.log", "log", 3);
    cr_assert(zip_dir_add(zip, "opus-2020/logs", 0) >= 0);
    cr_assert(zip_close(zip) == 0);
    cr_assert(lng_opus_is_package(path));
    const char *folder = make_folder();
    check_ok(lng_opus_unpack(path, folder));
    struct lng_buffer content = {0};
    check_ok(lng_file_read(scratch_path("unpacked/model.npz"), 100, &content));
    cr_assert_str_eq(content.data, "weights");
    check_ok(lng_file_read(scratch_path("unpacked/decoder.yml"), 100, &content));
    cr_assert_str_eq(content.data, "beam-size: 4\n");
    cr_assert(lng_file_exists(scratch_path("unpacked/source.spm")));
    cr_assert(!lng_file_exists(scratch_path("unpacked/model.train1.log")));
    lng_buffer_release(&content);
}

Test(opus_package, names_that_lead_out)
{
    static const char *const names[] = {"../evil.npz",  "a/../../evil.npz", "/tmp/evil.npz",
                                        "..\\evil.npz", "C:evil.npz",       "evil\n.npz",
                                        "a/..",         "\xFF.npz"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = scratch_path("m.zip");
        zip_t *zip = make_zip(path);
        add(zip, names[i], "x", 1);
        cr_assert(zip_close(zip) == 0);
        expect_refused(path, LNG_ERR_FORMAT, "leads out of the package or cannot be shown");
    }
}

Test(opus_package, damaged_twice_encrypted_or_a_bomb)
{
    const char *path = scratch_path("m.zip");
    zip_t *zip = make_zip(path);
    add(zip, "a/model.npz", "one", 3);
    add(zip, "b/model.npz", "two", 3);
    cr_assert(zip_close(zip) == 0);
    expect_refused(path, LNG_ERR_FORMAT, "holds two files called model.npz");

    zip = make_zip(path);
    zip_int64_t index = add(zip, "model.npz", "one", 3);
    cr_assert(zip_file_set_encryption(zip, (zip_uint64_t)index, ZIP_EM_AES_256, "secret") == 0);
    cr_assert(zip_close(zip) == 0);
    expect_refused(path, LNG_ERR_UNSUPPORTED, "is encrypted");

    size_t size = 8 << 20;
    char *zeros = lng_alloc(size, 1);
    zip = make_zip(path);
    add(zip, "model.npz", zeros, size);
    cr_assert(zip_close(zip) == 0);
    expect_refused(path, LNG_ERR_RANGE, "no more than 20 times its size");
    lng_free(zeros);

    expect_refused(scratch_write("m.zip", "<html>", 6), LNG_ERR_FORMAT, "expected an OPUS-MT");
    cr_assert(!lng_opus_is_package(scratch_path("absent.zip")));
}

/* Every cut and every changed byte: refused, or what is unpacked is what was packed. */
Test(opus_package, cut_or_flipped_anywhere)
{
    const char *path = scratch_path("m.zip");
    zip_t *zip = make_zip(path);
    add(zip, "p/model.npz", "some weights", 12);
    add(zip, "p/decoder.yml", "beam-size: 4\n", 13);
    cr_assert(zip_close(zip) == 0);
    struct lng_buffer whole = {0}, content = {0};
    check_ok(lng_file_read(path, 1 << 16, &whole));
    for (size_t i = 0; i < whole.length; i++) {
        path = scratch_write("m.zip", whole.data, i);
        cr_assert(lng_opus_unpack(path, make_folder()) != LNG_OK, "cut at %zu", i);
    }
    for (size_t i = 0; i < whole.length; i++) {
        whole.data[i] ^= 0x41;
        path = scratch_write("m.zip", whole.data, whole.length);
        if (lng_opus_unpack(path, make_folder()) == LNG_OK &&
            lng_file_exists(scratch_path("unpacked/model.npz"))) {
            check_ok(lng_file_read(scratch_path("unpacked/model.npz"), 100, &content));
            cr_assert(content.length == 12 && memcmp(content.data, "some weights", 12) == 0,
                      "byte %zu", i);
        }
        whole.data[i] ^= 0x41;
    }
    lng_buffer_release(&whole);
    lng_buffer_release(&content);
}

/* ---- preprocess.sh ---- */

static enum lng_clean clean_of(const char *text, struct lng_buffer *warnings)
{
    enum lng_clean clean = LNG_CLEAN_NONE;
    scratch_write("preprocess.sh", text, strlen(text));
    check_ok(lng_opus_read_clean(scratch_path(""), &clean, warnings));
    return clean;
}

Test(opus_package, recognises_scripts)
{
    struct lng_buffer warnings = {0};
    enum lng_clean clean = LNG_CLEAN_OPUS_MT;
    check_ok(lng_opus_read_clean(scratch_path(""), &clean, &warnings));
    cr_assert(clean == LNG_CLEAN_NONE && warnings.length == 0);
    cr_assert(clean_of(script, &warnings) == LNG_CLEAN_OPUS_MT && warnings.length == 0);
    cr_assert(clean_of("tr a-z A-Z\n", &warnings) == LNG_CLEAN_NONE);
    cr_assert(strstr(warnings.data, "does something that is not known here") != NULL);
    scratch_write("preprocess.sh", "apply_bpe.py -c $2\n", 19);
    check_fails(lng_opus_read_clean(scratch_path(""), &clean, &warnings), LNG_ERR_UNSUPPORTED,
                "BPE codes");
    lng_buffer_release(&warnings);
}

/* ---- cleaning ---- */

static void expect_clean(const char *text, const char *expected)
{
    struct lng_clean_text clean = {0};
    check_ok(lng_clean_opus_mt(text, strlen(text), &clean));
    cr_assert(clean.text.length == strlen(expected) &&
                  memcmp(clean.text.data ? clean.text.data : "", expected, clean.text.length) == 0,
              "'%s': expected '%s', found '%s'", text, expected,
              clean.text.data ? clean.text.data : "");
    size_t last = 0;
    for (size_t i = 0; i <= clean.text.length; i++) { /* rising, inside the text */
        cr_assert(clean.origins[i] >= last && clean.origins[i] <= strlen(text));
        last = clean.origins[i];
    }
    lng_clean_text_release(&clean);
}

Test(opus_package, cleans_as_the_scripts_do)
{
    expect_clean("", "");
    expect_clean(" \t ", "");
    expect_clean("  a   b\tc  ", "a b c");
    expect_clean("\xE3\x80\x8C\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x8D\xE3\x80\x82  x",
                 "\"\xE4\xBD\xA0\xE5\xA5\xBD\". x");
    expect_clean("end\xE3\x80\x82", "end.");
    expect_clean("\xEF\xBC\x91\xEF\xBC\x92", "\"2"); /* as the scripts have it */
    expect_clean("it\xE2\x80\x99s\xE2\x80\xA6", "it's...");
    expect_clean("a\xE2\x80\x8B"
                 "b\xEF\xBB\xBF",
                 "a b"); /* format characters */
    expect_clean("a\xFF\xC3"
                 "b",
                 "a\xFF\xC3"
                 "b"); /* not UTF-8: left to others */
    expect_clean("\xC3\xA9\xC2\xA0x", "\xC3\xA9\xC2\xA0x");
}

Test(opus_package, tokenizer_cleans_and_knows_where)
{
    struct lng_spm_train_options options = fixture_options();
    struct lng_buffer spm = fixture_train(&options, false);
    const char *path = scratch_write("m.spm", spm.data, spm.length);
    struct lng_tokenizer *plain, *cleaning, *again;
    struct lng_vocab *vocab;
    check_ok(lng_tokenizer_open_spm(path, NULL, &plain));
    check_ok(lng_vocab_copy(lng_tokenizer_vocab(plain, LNG_SIDE_SOURCE), &vocab));
    check_ok(lng_tokenizer_open_parts(&(struct lng_tokenizer_parts){.source_spm = spm.data,
                                                                    .source_spm_size = spm.length,
                                                                    .source_vocab = vocab,
                                                                    .clean = LNG_CLEAN_OPUS_MT},
                                      &cleaning));
    cr_assert(lng_tokenizer_digest(plain) != lng_tokenizer_digest(cleaning));
    check_ok(lng_make_directories(scratch_path("saved")));
    check_ok(lng_tokenizer_save(cleaning, scratch_path("saved")));
    check_ok(lng_tokenizer_open_directory(scratch_path("saved"), &again));
    cr_assert(lng_tokenizer_get_clean(again) == LNG_CLEAN_OPUS_MT);
    cr_assert(lng_tokenizer_digest(again) == lng_tokenizer_digest(cleaning));

    static const char rough[] = "the\xE2\x80\x8B  dog\xE3\x80\x82", clean[] = "the dog.";
    struct lng_ids a = {0}, b = {0};
    check_ok(lng_tokenizer_encode(plain, LNG_SIDE_SOURCE, clean, strlen(clean), &a));
    check_ok(lng_tokenizer_encode(again, LNG_SIDE_SOURCE, rough, strlen(rough), &b));
    cr_assert(a.count == b.count && memcmp(a.data, b.data, a.count * sizeof *a.data) == 0);
    struct lng_token_spans spans = {0};
    check_ok(lng_tokenizer_encode_spans(again, LNG_SIDE_SOURCE, rough, strlen(rough), &spans));
    cr_assert(spans.count == b.count && spans.data[0].begin == 0);
    cr_assert(spans.data[spans.count - 1].end == strlen(rough));
    /* Targets are not cleaned. */
    b.count = 0;
    check_ok(lng_tokenizer_encode(again, LNG_SIDE_TARGET, rough, strlen(rough), &b));
    cr_assert(a.count != b.count || memcmp(a.data, b.data, a.count * sizeof *a.data) != 0);
    lng_ids_release(&a);
    lng_ids_release(&b);
    lng_token_spans_release(&spans);
    lng_tokenizer_close(plain);
    lng_tokenizer_close(cleaning);
    lng_tokenizer_close(again);
    lng_buffer_release(&spm);
}
