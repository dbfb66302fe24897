#include "host/store/ctranslate2.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/ctranslate2_internal.h"
#include "host/store/numbers.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/failing_memory.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(ctranslate2_write, .init = setup, .fini = scratch_remove);

enum { SOURCE = 11, TARGET = 13, LAST = TARGET - 1, ROWS = 2048 };

/* <unk>, </s>, <s>, letters; `pad` is called <pad>. */
static struct lng_vocab *words(int count, int pad)
{
    static const char *const special[] = {"<unk>", "</s>", "<s>"};
    struct lng_vocab *vocab;
    check_ok(lng_vocab_open(&vocab));
    for (int i = 0; i < count; i++) {
        char word[] = {(char)('a' + i), '"', 0};
        const char *entry = i < 3 ? special[i] : i == pad ? "<pad>" : word;
        check_ok(lng_vocab_add(vocab, entry, strlen(entry), NULL));
    }
    return vocab;
}

static struct lng_hparams small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = TARGET;
    h.dim = 8;
    h.encoder_layers = 2;
    h.decoder_layers = 1;
    h.encoder_heads = 2;
    h.decoder_heads = 4;
    h.encoder_ffn = 12;
    h.decoder_ffn = 10;
    h.max_positions = ROWS;
    h.unk = 0;
    h.eos = h.source_eos = 1;
    h.pad = LAST;
    return h;
}

/* What must come back as it was. Odd numbers have a source vocabulary of their own. */
static struct lng_hparams variant(int which)
{
    struct lng_hparams h = small();
    if (which & 1) {
        h.source_vocab = SOURCE;
        h.tie = which & 2 ? LNG_TIE_NONE : LNG_TIE_TARGET;
    } else if (which & 2) {
        h.tie = which & 4 ? LNG_TIE_NONE : LNG_TIE_TARGET;
    }
    h.activation = (enum lng_activation)(LNG_ACTIVATION_RELU + which % 5);
    h.positions = (enum lng_positions)(which % 4);
    h.pre_norm = which & 4;
    h.norm = which % 3 == 1 ? LNG_NORM_RMS : LNG_NORM_LAYER;
    h.position_offset = h.positions == LNG_POSITIONS_LEARNED ? 0 : which % 3;
    h.norm_epsilon = which & 8 ? 1e-6 : 3e-5;
    h.scale_embedding = which & 8;
    h.attention_scaled = which % 5 != 2;
    h.source_eos = which % 6 == 5 ? -1 : 1;
    h.decoder_start = which % 3 ? 2 : -1;
    if (h.positions == LNG_POSITIONS_LEARNED)
        h.max_positions = 37;
    if (which % 7 == 6)
        h.pad = 3;
    return h;
}
enum { VARIANTS = 24 };

static struct lng_model_data random_model(const struct lng_hparams *h, uint32_t seed)
{
    struct lng_model_data data = random_data(h, seed);
    const struct lng_param *output = lng_params_find(&data.params, LNG_PARAM_OUTPUT, -1),
                           *source = lng_params_find(&data.params, LNG_PARAM_SOURCE_EMBED, -1),
                           *bias = lng_params_find(&data.params, LNG_PARAM_OUTPUT_BIAS, -1);
    if (h->pad >= 0 && output)
        memset(data.values + output->offset + h->pad * h->dim, 0, (size_t)h->dim * sizeof(float));
    if (h->pad >= 0 && source && h->source_vocab == h->target_vocab)
        memset(data.values + source->offset + h->pad * h->dim, 0, (size_t)h->dim * sizeof(float));
    if (h->pad >= 0 && bias)
        data.values[bias->offset + h->pad] = LNG_IMPORT_NEVER;
    return data;
}

/* Written to the folder "m", and read. */
static enum lng_status round_trip(const struct lng_model_data *data, enum lng_ct2_type type,
                                  struct lng_import *import)
{
    const struct lng_hparams *h = &data->hparams;
    bool shared = h->source_vocab == h->target_vocab;
    struct lng_vocab *target = words(h->target_vocab, h->pad),
                     *source = shared ? NULL : words(h->source_vocab, h->source_vocab - 1);
    check_ok(lng_make_directories(scratch_path("m")));
    enum lng_status status = lng_ct2_export(&(struct lng_ct2_export_args){
        .directory = scratch_path("m"),
        .data = data,
        .source = shared ? target : source,
        .target = shared ? NULL : target,
        .type = type,
    });
    if (status == LNG_OK)
        status = lng_ct2_import(scratch_path("m"), import);
    for (int32_t i = 0; status == LNG_OK && i < h->target_vocab; i++) {
        struct lng_slice got = lng_vocab_entry(shared ? import->source : import->target, i);
        cr_assert(lng_slice_equals(got, lng_vocab_entry(target, i).data), "entry %d", i);
    }
    lng_vocab_close(source);
    lng_vocab_close(target);
    return status;
}

Test(ctranslate2_write, models_come_back)
{
    struct lng_import import;
    for (int i = 0; i < VARIANTS; i++) {
        struct lng_hparams h = variant(i);
        struct lng_model_data data = random_model(&h, (uint32_t)i);
        check_ok(lng_hparams_check(&h));
        check_ok(round_trip(&data, LNG_CT2_F32, &import));
        if (h.positions == LNG_POSITIONS_A && h.position_offset == 1)
            h.max_positions = import.data.hparams.max_positions; /* no table is stored */
        check_ok(lng_hparams_agree(&h, "written", &import.data.hparams, "read"));
        cr_assert(data_distance(&data, &import.data) == 0, "variant %d", i);
        cr_assert(!import.data.warnings.data, "variant %d: %s", i, import.data.warnings.data);
        cr_assert(lng_ct2_is_model_directory(scratch_path("m")));
        lng_import_release(&import);
        lng_model_data_release(&data);
        check_ok(lng_remove_tree(scratch_path("m")));
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Half of what lies between two values of the type, relative to the greatest of the group. */
Test(ctranslate2_write, smaller_types)
{
    static const struct {
        enum lng_ct2_type type;
        double
            limit; /* of |error|, relative to the value, or to the greatest of its row or matrix */
        bool row, matrix;
    } types[] = {
        {LNG_CT2_F16, 0x1p-11, false, false},
        {LNG_CT2_BF16, 0x1p-8, false, false},
        {LNG_CT2_I16, 0.5 / 1024 + 1e-6, false, true},
        {LNG_CT2_I8, 0.5 / 127 + 1e-6, true, false},
    };
    struct lng_hparams h = variant(3);
    struct lng_model_data data = random_model(&h, 5);
    struct lng_import import;
    for (int t = 0; t < 4; t++) {
        check_ok(round_trip(&data, types[t].type, &import));
        for (size_t p = 0; p < data.params.count; p++) {
            const struct lng_param *param = &data.params.list[p];
            const float *a = data.values + param->offset, *b = import.data.values + param->offset;
            bool exact = t > 1 && param->rows == 1;
            int64_t group = types[t].row      ? param->cols
                            : types[t].matrix ? param->rows * param->cols
                                              : 1;
            for (int64_t i = 0; i < param->rows * param->cols; i++) {
                double most = 0;
                for (int64_t k = i / group * group; k < i / group * group + group; k++)
                    most = fmax(most, fabs((double)a[k]));
                cr_assert(exact || a[i] == LNG_IMPORT_NEVER
                              ? a[i] == b[i] || b[i] <= -65504
                              : fabs((double)a[i] - (double)b[i]) <= types[t].limit * most + 1e-7,
                          "type %d, %s: %g against %g", t, param->name, (double)b[i], (double)a[i]);
            }
        }
        lng_import_release(&import);
    }
    lng_model_data_release(&data);
}

/* ---- what CTranslate2 would choose ---- */

static float bias_of_pad(const struct lng_import *import)
{
    const struct lng_param *bias = lng_params_find(&import->data.params, LNG_PARAM_OUTPUT_BIAS, -1);
    cr_assert(bias != NULL);
    return import->data.values[bias->offset + import->data.hparams.pad];
}

static int stored_entries(void)
{
    struct lng_ct2_file file;
    check_ok(lng_ct2_open(&file, scratch_path("m/model.bin")));
    const struct lng_ct2_variable *table = lng_ct2_find(&file, "decoder/embeddings/weight");
    int count = (int)table->shape[0];
    lng_ct2_close(&file);
    return count;
}

Test(ctranslate2_write, padding_is_never_chosen)
{
    struct lng_import import;
    for (int bias = 0; bias < 2; bias++) {
        struct lng_hparams h = small();
        h.output_bias = bias;
        struct lng_model_data data = random_data(&h, 1);
        check_ok(round_trip(&data, LNG_CT2_F32, &import)); /* the last: left out */
        cr_assert(stored_entries() == TARGET - 1 && bias_of_pad(&import) == LNG_IMPORT_NEVER);
        cr_assert(import.data.hparams.pad == LAST && import.data.hparams.output_bias);
        lng_import_release(&import);
        lng_model_data_release(&data);
        h.pad = 4;
        data = random_data(&h, 1);
        check_ok(round_trip(&data, LNG_CT2_F32, &import)); /* in the middle: never chosen */
        cr_assert(stored_entries() == TARGET && bias_of_pad(&import) == LNG_IMPORT_NEVER);
        cr_assert(import.data.hparams.pad == 4);
        lng_import_release(&import);
        const struct lng_param *table = lng_params_find(&data.params, LNG_PARAM_SHARED, -1);
        data.values[table->offset + 4 * h.dim] = 1; /* an entry like any other */
        check_ok(round_trip(&data, LNG_CT2_F32, &import));
        cr_assert(import.data.hparams.output_bias == bias);
        cr_assert(!bias || bias_of_pad(&import) != LNG_IMPORT_NEVER);
        lng_import_release(&import);
        lng_model_data_release(&data);
    }
    /* transformers' way to start from zero: the pad row */
    struct lng_hparams h = small();
    h.decoder_start = LAST;
    struct lng_model_data data = random_data(&h, 1);
    check_ok(round_trip(&data, LNG_CT2_F32, &import));
    cr_assert(import.data.hparams.decoder_start == -1 && stored_entries() == TARGET - 1);
    lng_import_release(&import);
    data.values[lng_params_find(&data.params, LNG_PARAM_SHARED, -1)->offset + LAST * h.dim] = 1;
    check_ok(round_trip(&data, LNG_CT2_F32, &import));
    cr_assert(import.data.hparams.decoder_start == LAST && stored_entries() == TARGET);
    lng_import_release(&import);
    lng_model_data_release(&data);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* ---- refusals ---- */

Test(ctranslate2_write, what_cannot_be_written)
{
    static const struct {
        int field;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {0, LNG_ERR_UNSUPPORTED, "no additive attention"},
        {1, LNG_ERR_UNSUPPORTED, "an entry for unknown words"},
        {2, LNG_ERR_MISMATCH, "the same entry, found \"<s>\" and \"</s>\""},
        {3, LNG_ERR_RANGE, "\"decoder/layer_0/ffn/linear_1/bias\": expected finite values"},
        {4, LNG_ERR_RANGE, "finite values of float16, found 70000 at element 2"},
        {5, LNG_ERR_DTYPE, "int16 or int8"},
        {6, LNG_ERR_RANGE, "no position of the learned table"},
    };
    struct lng_import import;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_hparams h = small();
        int field = cases[i].field;
        if (field == 0)
            h.attention_score = LNG_ATTENTION_ADDITIVE;
        if (field == 1)
            h.unk = -1;
        if (field == 2)
            h.source_eos = 2;
        if (field == 6) {
            h.positions = LNG_POSITIONS_LEARNED;
            h.position_offset = h.max_positions = 9;
        }
        struct lng_model_data data = random_data(&h, 1);
        float *bias =
            data.values + lng_params_find(&data.params, LNG_PARAM_DEC_FFN_OUT_B, 0)->offset;
        if (field == 3)
            bias[1] = INFINITY;
        if (field == 4)
            bias[2] = 70000;
        enum lng_ct2_type type = field == 4 ? LNG_CT2_F16 : field == 5 ? LNG_CT2_I32 : LNG_CT2_F32;
        check_fails(round_trip(&data, type, &import), cases[i].status, cases[i].part);
        cr_assert(!lng_file_exists(scratch_path("m/model.bin")), "case %zu", i);
        lng_model_data_release(&data);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "case %zu leaks", i);
    }
}

Test(ctranslate2_write, vocabularies_must_fit)
{
    struct lng_hparams h = small();
    struct lng_model_data data = random_data(&h, 1);
    struct lng_vocab *target = words(TARGET, LAST), *few = words(TARGET - 1, -1), *other;
    check_ok(lng_vocab_open(&other));
    for (char c = 'a'; c < 'a' + TARGET; c++)
        check_ok(lng_vocab_add(other, &c, 1, NULL));
    struct lng_ct2_export_args args = {scratch_path(""), &data, few, NULL, LNG_CT2_F32};
    check_fails(lng_ct2_export(&args), LNG_ERR_MISMATCH, "of 13 and 13 entries, found 12 and 12");
    args.source = other;
    args.target = target;
    check_fails(lng_ct2_export(&args), LNG_ERR_MISMATCH, "\"<unk>\" in the source vocabulary too");
    args.directory = scratch_path("none");
    check_ok(lng_make_directories(args.directory));
    args.source = target;
    check_ok(lng_ct2_export(&args)); /* one matrix for two vocabularies keeps every row */
    struct lng_import import;
    check_ok(lng_ct2_import(args.directory, &import));
    cr_assert(lng_vocab_size(import.source) == TARGET && import.data.hparams.pad == LAST);
    lng_import_release(&import);
    check_ok(lng_remove_tree(args.directory));
    check_fails(lng_ct2_export(&args), LNG_ERR_IO, "none");
    lng_vocab_close(target);
    lng_vocab_close(few);
    lng_vocab_close(other);
    lng_model_data_release(&data);
    cr_assert(scratch_count() == 0);
}

Test(ctranslate2_write, memory_may_run_out_anywhere)
{
    struct lng_hparams h = small();
    h.pad = 4;
    h.max_positions = 8;
    struct lng_model_data data = random_data(&h, 1);
    struct lng_vocab *vocab = words(TARGET, 4);
    struct lng_ct2_export_args args = {scratch_path("m"), &data, vocab, NULL, LNG_CT2_I8};
    check_ok(lng_make_directories(args.directory));
    struct failing_memory memory = {0};
    while (failing_memory_try(&memory))
        failing_memory_check(&memory, lng_ct2_export(&args));
    cr_assert(memory.tries > 15, "only %zu allocations", memory.tries);
    lng_vocab_close(vocab);
    lng_model_data_release(&data);
}

/* Every half-precision number, and the roundings between two of them. */
Test(ctranslate2_write, half_precision)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = lng_f16_value((uint16_t)bits);
        uint16_t back = lng_f16_bits(value);
        cr_assert(isnan(value) ? isnan(lng_f16_value(back)) : back == bits, "%04x: %04x", bits,
                  back);
    }
    for (uint32_t bits = 0; bits < 0x7BFF; bits++) {
        float low = lng_f16_value((uint16_t)bits), high = lng_f16_value((uint16_t)(bits + 1));
        float middle = (low + high) / 2;
        uint16_t even = (uint16_t)(bits + (bits & 1));
        cr_assert(lng_f16_bits(middle) == even && lng_f16_bits(-middle) == (even | 0x8000));
        cr_assert(lng_f16_bits(nextafterf(middle, 0)) == bits);
        cr_assert(lng_f16_bits(nextafterf(middle, INFINITY)) == bits + 1);
    }
    cr_assert(lng_f16_bits(65519.996f) == 0x7BFF && lng_f16_bits(65520) == 0x7C00);
    cr_assert(lng_f16_bits(-1e30f) == 0xFC00 && lng_f16_bits(1e-30f) == 0);
}
