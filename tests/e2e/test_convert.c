/* lingster convert, from outside: the demo model through other toolkits' files and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include <criterion/criterion.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"
#include "tokenizer/tokenizer.h"

static void setup(void)
{
    scratch_make();
}
TestSuite(convert, .init = setup, .fini = scratch_remove, .timeout = 120);

static const char text[] = "Where is the station?\nI would like a cup of tea.\n\nTwo dogs.\n";

static const char *demo(void)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/configs/demo", getenv("LNG_TEST_ROOT"));
    return path;
}

/* `lingster convert FROM TO OPTION...`; options are separated by spaces. */
static int convert(const char *from, const char *to, const char *options, struct program *program)
{
    char words[9000];
    snprintf(words, sizeof words, "convert %s %s %s", from, to, options);
    program_run(program, words, NULL, 0, NULL);
    return program->status;
}

static void expect_converted(const char *from, const char *to, const char *options)
{
    struct program program;
    cr_assert(convert(from, to, options, &program) == 0, "%s", program.err);
    program_release(&program);
}

static void translate(const char *model, struct program *program)
{
    char words[4400];
    snprintf(words, sizeof words, "translate -q -m %s", model);
    program_run(program, words, text, strlen(text), NULL);
    cr_assert(program->status == 0, "%s", program->err);
}

static void expect_same_translations(const char *a, const char *b)
{
    struct program from_a, from_b;
    translate(a, &from_a);
    translate(b, &from_b);
    cr_assert_str_eq(from_a.out, from_b.out);
    program_release(&from_a);
    program_release(&from_b);
}

static char *in_scratch(const char *name)
{
    return strdup(scratch_path(name));
}

Test(convert, to_ctranslate2_and_back)
{
    char *there = in_scratch("ct2"), *back = in_scratch("back");
    struct program program;
    expect_converted(demo(), there, "--to ctranslate2");
    cr_assert(convert(there, back, "", &program) == 0, "%s", program.err);
    /* What was chosen, and why. */
    cr_assert(strstr(program.err, "positions: family B from 0: recognised in the stored table"),
              "%s", program.err);
    cr_assert(strstr(program.err, "read again: logits differ by 0 "), "%s", program.err);
    program_release(&program);
    expect_same_translations(demo(), back);
    free(there);
    free(back);
}

static uint64_t model_bytes(const char *options)
{
    struct lng_file_info info;
    char *there = in_scratch("ct2");
    expect_converted(demo(), there, options);
    char *file = lng_path_join(there, "model.bin");
    check_ok(lng_file_get_info(file, &info));
    lng_free(file);
    free(there);
    return info.size;
}

Test(convert, smaller_numbers)
{
    static const char *const types[] = {"bf16", "f16", "int16", "int8"};
    double whole = (double)model_bytes("-q --to ctranslate2");
    for (int i = 0; i < 4; i++) {
        char options[64];
        snprintf(options, sizeof options, "-q --overwrite --to ctranslate2 --save-dtype %s",
                 types[i]);
        double share = (double)model_bytes(options) / whole;
        cr_assert(share < (i < 3 ? 0.6 : 0.4), "%s: %g of f32", types[i], share);
    }
}

/* The demo model with the sinusoids that Marian has. */
static char *demo_of_marian(void)
{
    static const char *const names[] = {
        "model.safetensors",     "generation_config.json", "source.spm", "target.spm", "vocab.json",
        "tokenizer_config.json", "special_tokens_map.json"};
    char *folder = in_scratch("demo"), *from = lng_path_join(demo(), "config.json");
    struct lng_buffer config = {0};
    check_ok(lng_make_directories(folder));
    check_ok(lng_file_read(from, 1 << 20, &config));
    lng_free(from);
    char *said = strstr(config.data, "\"positions\": \"B\"");
    cr_assert(said != NULL);
    said[strlen("\"positions\": \"")] = 'A';
    scratch_write("demo/config.json", config.data, config.length);
    lng_buffer_release(&config);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *there = lng_path_join(demo(), names[i]), *here = lng_path_join(folder, names[i]);
        cr_assert(symlink(there, here) == 0);
        lng_free(there);
        lng_free(here);
    }
    return folder;
}

/* Another model's files as an OPUS-MT package. */
static char *make_package(const char *model)
{
    static const char *const names[] = {"model.npz", "decoder.yml", "vocab.yml", "src.yml",
                                        "trg.yml",   "source.spm",  "target.spm"};
    static const char script[] = "sed -e 's/\xEF\xBC\x8C/,/g' | perl -C -pe 's/\\p{C}/ /g'\n";
    char *folder = in_scratch("marian"), *path = in_scratch("opus.zip");
    expect_converted(model, folder, "-q --to marian");
    int code;
    zip_t *zip = zip_open(path, ZIP_CREATE, &code);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *file = lng_path_join(folder, names[i]), member[100];
        snprintf(member, sizeof member, "opus-2020-01-01/%s", names[i]);
        zip_source_t *source = lng_file_exists(file) ? zip_source_file(zip, file, 0, -1) : NULL;
        if (source != NULL) {
            zip_int64_t at = zip_file_add(zip, member, source, 0);
            cr_assert(at >= 0 &&
                      zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_DEFLATE, 1) == 0);
        }
        lng_free(file);
    }
    zip_source_t *source = zip_source_buffer(zip, script, sizeof script - 1, 0);
    cr_assert(zip_file_add(zip, "opus-2020-01-01/preprocess.sh", source, 0) >= 0);
    cr_assert(zip_close(zip) == 0);
    free(folder);
    return path;
}

Test(convert, opus_mt_package)
{
    char *demo_model = demo_of_marian(), *model = in_scratch("from-opus");
    char *package = make_package(demo_model);
    struct program program;
    cr_assert(convert(package, model, "", &program) == 0, "%s", program.err);
    cr_assert(strstr(program.err, "source text: cleaned (opus-mt)"), "%s", program.err);
    program_release(&program);
    expect_same_translations(demo_model, model);
    /* The package's cleaning is part of the model. */
    char words[4400];
    static const char rough[] = "Where  is\xE2\x80\x8Bthe station\xEF\xBC\x9F\n",
                      clean[] = "Where is the station?\n";
    struct program a, b;
    snprintf(words, sizeof words, "translate -q -m %s", model);
    program_run(&a, words, rough, strlen(rough), NULL);
    program_run(&b, words, clean, strlen(clean), NULL);
    cr_assert(a.status == 0 && b.status == 0, "%s%s", a.err, b.err);
    cr_assert_str_eq(a.out, b.out);
    program_release(&a);
    program_release(&b);
    free(package);
    free(model);
    free(demo_model);
}

/* A model of the shapes that Marian has: positions of family A, no start symbol. */
static char *marian_like(const char *name)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 12;
    h.dim = 16;
    h.encoder_layers = h.decoder_layers = 2;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 24;
    h.positions = LNG_POSITIONS_A;
    h.norm_epsilon = 1e-6;
    h.tie = LNG_TIE_ALL;
    h.output_bias = true;
    h.pad = 11;
    h.decoder_start = -1;
    struct lng_model_data data = random_data(&h, 3);
    const struct lng_param *table = lng_params_find(&data.params, LNG_PARAM_SHARED, -1);
    memset(data.values + table->offset + 11 * h.dim, 0, (size_t)h.dim * sizeof(float));
    char *path = in_scratch(name);
    save_data(path, &data, LNG_DTYPE_F32);
    lng_model_data_release(&data);
    static const char vocabulary[] =
        "{\"</s>\":0,\"<unk>\":1,\"a\":2,\"b\":3,\"c\":4,\"d\":5,\"e\":6,\"f\":7,\"g\":8,\"h\":9,"
        "\"i\":10,\"<pad>\":11}";
    struct lng_vocab *vocab;
    struct lng_tokenizer *tokenizer;
    check_ok(lng_vocab_parse_json(vocabulary, sizeof vocabulary - 1, &vocab));
    check_ok(lng_tokenizer_open_symbols(vocab, NULL, &tokenizer));
    check_ok(lng_tokenizer_save(tokenizer, path));
    lng_tokenizer_close(tokenizer);
    return path;
}

Test(convert, to_marian_and_back)
{
    char *model = marian_like("model"), *there = in_scratch("marian"), *back = in_scratch("back"),
         *again = in_scratch("again");
    expect_converted(model, there, "--to marian");
    expect_converted(there, back, "");
    expect_converted(back, again, "--to marian");
    struct lng_buffer first = {0}, second = {0};
    char *file = lng_path_join(there, "model.npz"), *other = lng_path_join(again, "model.npz");
    check_ok(lng_file_read(file, 1 << 20, &first));
    check_ok(lng_file_read(other, 1 << 20, &second));
    cr_assert(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    lng_buffer_release(&first);
    lng_buffer_release(&second);
    lng_free(file);
    lng_free(other);
    free(model);
    free(there);
    free(back);
    free(again);
}

/* What cannot be said in the other format is refused by name, and nothing is left behind. */
Test(convert, refuses_what_does_not_fit)
{
    struct program program;
    char *there = in_scratch("marian");
    cr_assert(convert(demo(), there, "--to marian", &program) == 1);
    cr_assert(strstr(program.err, "positions must be the sinusoids of family A"), "%s",
              program.err);
    cr_assert(!lng_directory_exists(there));
    program_release(&program);
    free(there);
}

/* A folder with something in it is replaced when asked for, and the input's own never. */
Test(convert, keeps_what_is_there)
{
    struct program program;
    char *there = in_scratch("there"), *kept;
    check_ok(lng_make_directories(there));
    kept = lng_path_join(there, "letter.txt");
    check_ok(lng_file_write(kept, "kept", 4));
    cr_assert(convert(demo(), there, "-q", &program) == 2);
    cr_assert(strstr(program.err, "--overwrite to replace it"), "%s", program.err);
    program_release(&program);
    cr_assert(lng_file_exists(kept));
    cr_assert(convert(demo(), kept, "-q", &program) == 2 && strstr(program.err, "is a file"));
    program_release(&program);
    expect_converted(demo(), there, "-q --overwrite");
    cr_assert(!lng_file_exists(kept));
    cr_assert(convert(there, there, "-q --overwrite", &program) == 2);
    cr_assert(strstr(program.err, "holds the input"), "%s", program.err);
    program_release(&program);
    expect_same_translations(demo(), there);
    lng_free(kept);
    free(there);
}

Test(convert, wrong_usage)
{
    static const struct {
        const char *from, *options, *part;
        int status;
    } bad[] = {
        {"/nonexistent", "", "/nonexistent", 1},
        {NULL, "--to onnx", "expected one of hf, marian, ctranslate2", 2},
        {NULL, "--to marian --save-dtype int8", "Marian models are written in f32", 2},
        {NULL, "--save-dtype int8", "written in f32 or bf16", 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct program program;
        int status = convert(bad[i].from ? bad[i].from : demo(), scratch_path("to"), bad[i].options,
                             &program);
        cr_assert(status == bad[i].status && strstr(program.err, bad[i].part), "%zu: %d: %s", i,
                  status, program.err);
        program_release(&program);
    }
    cr_assert(!lng_directory_exists(scratch_path("to")));
}
