#include "host/store/ctranslate2.h"

#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/ct2_maker.h"
#include "tests/support/failing_memory.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(ctranslate2_folder, .init = setup, .fini = scratch_remove);

static const char *put_folder(const struct ct2_style *style)
{
    check_ok(lng_remove_tree(scratch_path("m")));
    check_ok(lng_make_directories(scratch_path("m")));
    ct2_model(style);
    scratch_write("m/model.bin", ct2_made.data, ct2_made.size);
    return scratch_path("m");
}
static void put_text(const char *name, const char *content)
{
    scratch_write(name, content, strlen(content));
}

#define SOURCE_LINES "<blank>\n<s>\n</s>\nd\ne\nf\ng\n"
#define TARGET_LINES "<blank>\n<s>\n</s>\nd\ne\nf\ng\nh\n"
#define TARGET_JSON "[\"<blank>\", \"<s>\", \"</s>\", \"d\", \"\\u00e9\", \"f\\\"\", \"g\", \"h\"]"

Test(ctranslate2_folder, folders)
{
    struct lng_import import;
    char path[512];
    snprintf(path, sizeof path, "%s", put_folder(&ct2_modern));
    cr_assert(lng_ct2_is_model_directory(path));
    check_fails(lng_ct2_import(path, &import), LNG_ERR_IO, "found no such vocabulary");
    put_text("m/source_vocabulary.txt", SOURCE_LINES);
    check_fails(lng_ct2_import(path, &import), LNG_ERR_IO, "found no target vocabulary");
    put_text("m/target_vocabulary.json", TARGET_JSON);
    check_ok(lng_ct2_import(path, &import)); /* <unk> is appended to both */
    cr_assert(lng_vocab_size(import.source) == CT2_VS && lng_vocab_size(import.target) == CT2_VT);
    cr_assert(lng_vocab_find(import.source, "<unk>", 5) == CT2_VS - 1);
    cr_assert(import.data.hparams.unk == CT2_VT - 1 && import.data.hparams.pad == 0);
    cr_assert(lng_slice_equals(lng_vocab_entry(import.target, 4), "\xC3\xA9"));
    cr_assert(import.text == LNG_IMPORT_SYMBOLS && !import.source_spm &&
              !import.data.warnings.data);
    lng_import_release(&import);
    put_text("m/source.spm", "");
    put_text("m/vmap.txt", "");
    check_ok(lng_ct2_import(path, &import));
    cr_assert(import.text == LNG_IMPORT_SYMBOLS && strstr(import.data.warnings.data, "vmap.txt"));
    lng_import_release(&import);
    put_text("m/target.spm", "");
    put_text("m/config.json",
             "{\"unk_token\": \"g\", \"bos_token\": \"d\", \"eos_token\": \"f\\\"\", "
             "\"decoder_start_token\": \"h\", \"add_source_eos\": false, "
             "\"layer_norm_epsilon\": 0.25, \"multi_query_attention\": false, \"more\": 1}");
    put_text("m/source_vocabulary.txt", SOURCE_LINES "h\n");
    put_text("m/target_vocabulary.txt", "not read: JSON goes first\n");
    put_text("m/target_vocabulary.json",
             "[\"a\", \"b\", \"c\", \"d\", \"<pad>\", \"f\\\"\", \"g\", \"h\", \"i\"]");
    check_ok(lng_ct2_import(path, &import));
    const struct lng_hparams *h = &import.data.hparams;
    cr_assert(h->unk == 6 && h->eos == 5 && h->decoder_start == 7 && h->source_eos == -1);
    cr_assert(h->pad == 4 && h->norm_epsilon == 0.25);
    cr_assert(import.text == LNG_IMPORT_SPM && strstr(import.target_spm, "m/target.spm"));
    cr_assert(strstr(import.data.warnings.data, "key \"more\" is not used"));
    lng_import_release(&import);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* <pad> is appended to the target, or to the one vocabulary: a zero row, and a bias that nothing beats. */
Test(ctranslate2_folder, padding_is_appended)
{
    struct ct2_style style = ct2_modern;
    struct lng_import import;
    style.tie_all = true;
    const char *path = put_folder(&style);
    put_text("m/shared_vocabulary.txt", "<s>\r\n</s>\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\n");
    check_ok(lng_ct2_import(path, &import)); /* with <unk>: 9 rows; with <pad>: 10 entries */
    const struct lng_hparams *h = &import.data.hparams;
    const struct lng_param *table = lng_params_find(&import.data.params, LNG_PARAM_SHARED, -1),
                           *bias = lng_params_find(&import.data.params, LNG_PARAM_OUTPUT_BIAS, -1);
    cr_assert(h->target_vocab == 10 && h->source_vocab == 10 && h->pad == 9 && h->unk == 8);
    cr_assert(lng_slice_equals(lng_vocab_entry(import.source, 1), "</s>"));
    cr_assert_str_eq(import.pad, "<pad>");
    for (int i = 0; i < CT2_D; i++)
        cr_assert(import.data.values[table->offset + 9 * CT2_D + i] == 0);
    cr_assert(bias && import.data.values[bias->offset + 9] == LNG_IMPORT_NEVER);
    cr_assert(strstr(import.choices.data, "padding: <pad>: appended"));
    lng_import_release(&import);
}

/* Separate vocabularies, as CTranslate2's own Marian converter writes them: both sides get one. */
Test(ctranslate2_folder, padding_is_appended_to_both_sides)
{
    struct lng_import import;
    const char *path = put_folder(&ct2_modern);
    put_text("m/source_vocabulary.txt", "<unk>\n<s>\n</s>\nd\ne\nf\ng\nh\n");
    put_text("m/target_vocabulary.txt", "<unk>\n<s>\n</s>\nd\ne\nf\ng\nh\ni\n");
    check_ok(lng_ct2_import(path, &import));
    const struct lng_hparams *h = &import.data.hparams;
    const struct lng_param *source =
        lng_params_find(&import.data.params, LNG_PARAM_SOURCE_EMBED, -1);
    cr_assert(h->source_vocab == CT2_VS + 1 && h->target_vocab == CT2_VT + 1 && h->pad == CT2_VT);
    cr_assert(lng_vocab_size(import.source) == CT2_VS + 1);
    cr_assert(lng_vocab_find(import.source, "<pad>", 5) == CT2_VS);
    cr_assert(lng_vocab_find(import.target, "<pad>", 5) == CT2_VT);
    for (int i = 0; i < CT2_D; i++)
        cr_assert(import.data.values[source->offset + CT2_VS * CT2_D + i] == 0);
    lng_import_release(&import);
}

/* How the usual ways of making such folders say where a source ends. */
Test(ctranslate2_folder, the_end_of_a_source)
{
    static const struct {
        const char *config;
        int zero, source_eos;
        const char *part;
    } ends[] = {
        {"{\"add_source_eos\": true}", 0, 2, "the model says"},
        {"{\"add_source_eos\": true}", 1, 2, "the model says"},
        {"{}", 0, -1, "none"},
        {"{}", 1, 2, "their tokenizer adds it"},
        {"{\"decoder_start_token\": \"</s>\"}", 0, 2, "their tokenizer adds it"},
        {"{\"lingster\": {}}", 1, -1, "none"},
    };
    struct lng_import import;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        put_folder(&ct2_modern);
        ct2_begin(6, "TransformerSpec", 7);
        ct2_tensors(&ct2_modern, NULL);
        ct2_flag("decoder/start_from_zero_embedding", ends[i].zero);
        ct2_finish(NULL);
        scratch_write("m/model.bin", ct2_made.data, ct2_made.size);
        put_text("m/source_vocabulary.txt", SOURCE_LINES);
        put_text("m/target_vocabulary.txt", TARGET_LINES);
        put_text("m/config.json", ends[i].config);
        check_ok(lng_ct2_import(scratch_path("m"), &import));
        cr_assert(import.data.hparams.source_eos == ends[i].source_eos, "case %zu", i);
        cr_assert((import.data.hparams.decoder_start == -1) == ends[i].zero);
        cr_assert(strstr(import.choices.data, ends[i].part), "%s", import.choices.data);
        lng_import_release(&import);
    }
}

static const struct {
    const char *file, *content;
    enum lng_status status;
    const char *part;
} texts[] = {
    {"m/target_vocabulary.txt", "", LNG_ERR_FORMAT, "target_vocabulary.txt: line 1: an empty"},
    {"m/target_vocabulary.txt", "a\n\nb\n", LNG_ERR_FORMAT, "line 2: an empty vocabulary entry"},
    {"m/target_vocabulary.txt", "a\na\n", LNG_ERR_FORMAT, "0 and 1 are both 'a'"},
    {"m/target_vocabulary.txt", "a\n\xFF\n", LNG_ERR_FORMAT, "not UTF-8"},
    {"m/target_vocabulary.txt", TARGET_LINES "i\n", LNG_ERR_MISMATCH,
     "the 10 entries of the target"},
    {"m/target_vocabulary.txt", SOURCE_LINES "i", LNG_OK, ""},
    {"m/target_vocabulary.txt", "a\nb\nc\nd\ne\nf\ng\nh\n", LNG_ERR_MISMATCH, "\"</s>\" is not in"},
    {"m/target_vocabulary.json", "", LNG_ERR_FORMAT, "target_vocabulary.json"},
    {"m/target_vocabulary.json", "{}", LNG_ERR_FORMAT, "an array of entries, found an object"},
    {"m/target_vocabulary.json", "[1]", LNG_ERR_FORMAT, "entry 0: expected a string, found 1"},
    {"m/target_vocabulary.json", "[\"a\", \"a\"]", LNG_ERR_FORMAT, "both 'a'"},
    {"m/target_vocabulary.json", "[\"a\\u0000b\"]", LNG_ERR_FORMAT, "target_vocabulary.json"},
    {"m/target_vocabulary.json", "[\"a\"", LNG_ERR_FORMAT, "target_vocabulary.json"},
    {"m/config.json", "[]", LNG_ERR_FORMAT, "config.json: expected an object, found an array"},
    {"m/config.json", "{\"eos_token\": 3}", LNG_ERR_FORMAT, "expected a string, found 3"},
    {"m/config.json", "{\"eos_token\": \"x\"}", LNG_ERR_MISMATCH, "end token \"x\" is not in"},
    {"m/config.json", "{\"decoder_start_token\": null}", LNG_ERR_UNSUPPORTED, "must give"},
    {"m/config.json", "{\"decoder_start_token\": \"x\"}", LNG_ERR_MISMATCH, "starts from \"x\""},
    {"m/config.json", "{\"unk_token\": \"x\"}", LNG_OK, ""},
    {"m/config.json", "{\"add_source_eos\": 1}", LNG_ERR_FORMAT, "true or false, found 1"},
    {"m/config.json", "{\"add_source_bos\": true}", LNG_ERR_UNSUPPORTED, "add_source_bos"},
    {"m/config.json", "{\"layer_norm_epsilon\": null}", LNG_OK, "norm epsilon: 1e-05: CTr"},
    {"m/config.json", "{\"layer_norm_epsilon\": 1e-6}", LNG_OK, "norm epsilon: 1e-06: config"},
    {"m/config.json", "{\"layer_norm_epsilon\": -1}", LNG_ERR_RANGE, "layer_norm_epsilon"},
    {"m/config.json", "{\"layer_norm_epsilon\": \"1\"}", LNG_ERR_FORMAT, "layer_norm_epsilon"},
    {"m/config.json", "{\"multi_query_attention\": true}", LNG_ERR_UNSUPPORTED, "multi-query"},
    {"m/config.json", "{\"quantization_type\": 1}", LNG_ERR_UNSUPPORTED, "AWQ"},
};

Test(ctranslate2_folder, every_text_is_checked)
{
    struct lng_import import;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *path = put_folder(&ct2_modern);
        put_text("m/source_vocabulary.txt", SOURCE_LINES);
        put_text("m/target_vocabulary.txt", TARGET_LINES);
        put_text(texts[i].file, texts[i].content);
        enum lng_status status = lng_ct2_import(path, &import);
        cr_assert(status == texts[i].status, "case %zu: %s: %s", i, lng_status_text(status),
                  lng_error_message());
        const char *said = status == LNG_OK ? import.choices.data : lng_error_message();
        cr_assert(strstr(said, texts[i].part), "case %zu: '%s' lacks '%s'", i, said, texts[i].part);
        if (status == LNG_OK)
            lng_import_release(&import);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "case %zu leaks", i);
    }
    /* tokens of older files are variables */
    ct2_begin(5, "TransformerSpec", 5);
    ct2_tensors(&(struct ct2_style){.version = 5, .revision = 5}, NULL);
    ct2_variable("eos_token", 1, 0, 1, LNG_CT2_I8, "e", 1);
    ct2_variable("bos_token", 1, 0, 1, LNG_CT2_I8, "d", 1);
    ct2_finish(NULL);
    check_ok(ct2_import(false, &import));
    cr_assert(import.data.hparams.eos == 4 && import.data.hparams.decoder_start == 3);
    lng_import_release(&import);
}

Test(ctranslate2_folder, memory_may_run_out_anywhere)
{
    struct ct2_style style = ct2_modern;
    struct lng_import import;
    style.type = LNG_CT2_I8;
    style.tie_target = true;
    const char *path = put_folder(&style);
    put_text("m/source_vocabulary.txt", SOURCE_LINES);
    put_text("m/target_vocabulary.json", TARGET_JSON);
    put_text("m/config.json", "{\"unk_token\": \"<unk>\"}");
    struct failing_memory memory = {0};
    while (failing_memory_try(&memory))
        failing_memory_check(&memory, lng_ct2_import(path, &import));
    cr_assert(memory.tries > 100, "only %zu allocations", memory.tries);
    lng_import_release(&import);
}
