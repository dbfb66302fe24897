#include "host/store/marian.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/hf.h"
#include "host/store/model_dir.h"
#include "tests/support/check.h"
#include "tests/support/marian_fixture.h"
#include "tests/support/npz_fixture.h"
#include "tests/support/random_data.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(marian, .init = setup, .fini = scratch_remove);

enum { VARIANTS = 20 };

static struct marian_fixture variant(int which)
{
    struct marian_fixture f = marian_small();
    struct lng_hparams *h = &f.hparams;
    switch (which) {
    case 0: /* as it is */
        break;
    case 1:
        h->tie = LNG_TIE_TARGET;
        h->source_vocab = 13;
        h->decoder_ffn = 20;
        break;
    case 2:
        h->tie = LNG_TIE_NONE;
        h->pre_norm = true;
        h->activation = LNG_ACTIVATION_SWISH;
        h->target_vocab = 14;
        break;
    case 3:
        h->norm = LNG_NORM_RMS;
        break;
    case 4:
        h->norm = LNG_NORM_RMS;
        h->pre_norm = true;
        h->decoder_layers = 3;
        break;
    case 5:
        h->tie = LNG_TIE_NONE;
        f.same_embedding = true;
        break;
    case 6:
        f.tied_by_source = true;
        break;
    case 7:
        h->tie = LNG_TIE_NONE;
        f.old_output = true;
        break;
    case 8:
        h->positions = LNG_POSITIONS_LEARNED;
        h->max_positions = 21;
        h->scale_embedding = false;
        break;
    case 9:
        f.omit_bias = true;
        h->tie = LNG_TIE_TARGET;
        break;
    case 10:
        h->activation = LNG_ACTIVATION_GELU;
        break;
    case 11:
        h->activation = LNG_ACTIVATION_GELU_SIGMOID;
        f.version = "v1.9.0 ba94c5b9 2020-05-17 10:42:17 +0100";
        break;
    case 12:
        h->activation = LNG_ACTIVATION_GELU_SIGMOID;
        f.version = "somebody's";
        f.more = "transformer-depth-scaling: true\ninput-types:\n  - sequence\n  - sequence\n";
        break;
    case 13:
        f.kind = NPZ_DEFLATED;
        break;
    case 14:
        f.kind = NPZ_ZIP64;
        f.half = true;
        break;
    case 15:
        f.flat_vectors = true;
        break;
    case 16: /* a deep encoder and one decoder layer */
        h->encoder_layers = 6;
        h->decoder_layers = 1;
        h->encoder_ffn = 24;
        h->activation = LNG_ACTIVATION_SWISH;
        break;
    case 17: /* pre-norm, all tied, learned positions, no bias */
        h->pre_norm = true;
        h->positions = LNG_POSITIONS_LEARNED;
        h->max_positions = 9;
        h->scale_embedding = false;
        f.omit_bias = true;
        break;
    case 18: /* separate vocabularies, one head, in f16 */
        h->tie = LNG_TIE_TARGET;
        h->source_vocab = 17;
        h->encoder_heads = h->decoder_heads = 1;
        h->norm = LNG_NORM_RMS;
        f.half = true;
        break;
    default: /* the same steps, with dropout elsewhere */
        f.more = "transformer-postprocess-emb: dd\ntransformer-tied-layers:\n  "
                 "[]\nlemma-dependency: \"\"\n";
        break;
    }
    return f;
}

/* What an import makes of it: <pad> is the last id on both sides, and has a bias. */
static struct lng_hparams imported(const struct marian_fixture *fixture)
{
    struct lng_hparams h = fixture->hparams;
    h.pad = h.target_vocab++;
    h.source_vocab++;
    h.output_bias = true;
    return h;
}

static void check_values(const struct marian_fixture *fixture, const struct lng_model_data *want,
                         const struct lng_model_data *got, int which)
{
    for (size_t i = 0; i < want->params.count; i++) {
        const struct lng_param *a = &want->params.list[i];
        const struct lng_param *b = lng_params_find(&got->params, a->id, a->layer);
        const float *values = got->values + b->offset, *expected = want->values + a->offset;
        int64_t count = a->rows * a->cols, more = b->rows * b->cols;
        bool bias = a->id == LNG_PARAM_OUTPUT_BIAS;
        for (int64_t k = 0; k < more; k++) {
            float value = k >= count                   ? (bias ? LNG_IMPORT_NEVER : 0)
                          : bias && fixture->omit_bias ? 0
                                                       : expected[k];
            cr_assert(values[k] == value, "variant %d, %s, element %d: %g, expected %g", which,
                      a->name, (int)k, (double)values[k], (double)value);
        }
    }
}

static void export_to(const char *directory, const struct lng_import *import,
                      const char *provenance, struct lng_buffer *warnings)
{
    check_ok(lng_make_directories(directory));
    check_ok(lng_marian_export(&(struct lng_marian_export_args){
        .directory = directory,
        .hparams = &import->data.hparams,
        .params = &import->data.params,
        .values = import->data.values,
        .source = import->source,
        .target = import->target,
        .provenance = provenance,
        .generation = import->data.generation,
        .warnings = warnings,
    }));
}

static bool same_file(const char *a, const char *b, const char *name)
{
    struct lng_buffer first = {0}, second = {0};
    char *left = lng_path_join(a, name), *right = lng_path_join(b, name);
    check_ok(lng_file_read(left, 1 << 20, &first));
    check_ok(lng_file_read(right, 1 << 20, &second));
    bool same = first.length == second.length && memcmp(first.data, second.data, first.length) == 0;
    lng_buffer_release(&first);
    lng_buffer_release(&second);
    lng_free(left);
    lng_free(right);
    return same;
}

Test(marian, every_variant_comes_in_and_goes_out)
{
    for (int i = 0; i < VARIANTS; i++) {
        char in[16], out[16], plain[16];
        snprintf(in, sizeof in, "in%d", i);
        snprintf(out, sizeof out, "out%d", i);
        snprintf(plain, sizeof plain, "plain%d", i);
        struct marian_fixture f = variant(i);
        struct lng_model_data data = marian_values(&f, (uint32_t)i);
        struct lng_hparams h = imported(&f);
        struct lng_import import, again;
        marian_save(&f, &data, scratch_path(in));
        enum lng_status status = lng_marian_import(scratch_path(in), NULL, &import);
        cr_assert(status == LNG_OK, "variant %d: %s", i, lng_error_message());
        check_ok(lng_hparams_agree(&h, "made", &import.data.hparams, "imported"));
        check_values(&f, &data, &import.data, i);
        cr_assert(import.data.warnings.length == 0, "variant %d: %s", i, import.data.warnings.data);

        /* as it came */
        export_to(scratch_path(out), &import, import.data.provenance, NULL);
        bool bytes = f.kind == NPZ_MARIAN && !f.half && !f.flat_vectors;
        cr_assert(same_file(scratch_path(in), scratch_path(out), "model.npz") == bytes,
                  "variant %d", i);
        cr_assert(same_file(scratch_path(in), scratch_path(out), "decoder.yml"));
        cr_assert(same_file(scratch_path(in), scratch_path(out),
                            import.target ? "trg.yml" : "vocab.yml"));
        /* as a model of ours */
        struct lng_buffer warnings = {0};
        export_to(scratch_path(plain), &import, NULL, &warnings);
        cr_assert((warnings.length > 0) == (h.activation == LNG_ACTIVATION_GELU_SIGMOID));
        check_ok(lng_marian_import(scratch_path(plain), NULL, &again));
        check_ok(lng_hparams_agree(&h, "made", &again.data.hparams, "again"));
        cr_assert(data_distance(&import.data, &again.data) == 0, "variant %d", i);
        cr_assert(strstr(again.data.provenance, "lingster"));
        lng_buffer_release(&warnings);
        lng_import_release(&import);
        lng_import_release(&again);
        lng_model_data_release(&data);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian, what_comes_with_an_import)
{
    struct marian_fixture f = variant(1);
    struct lng_model_data data = marian_values(&f, 1);
    struct lng_import import;
    marian_save(&f, &data, scratch_path("m"));
    check_ok(lng_marian_import(scratch_path("m"), NULL, &import));
    cr_assert_str_eq(import.eos, "</s>");
    cr_assert_str_eq(import.unk, "<unk>");
    cr_assert_str_eq(import.pad, "<pad>");
    cr_assert(lng_vocab_size(import.source) == 14 && lng_vocab_size(import.target) == 12);
    cr_assert(lng_vocab_find(import.source, "<pad>", 5) == 13);
    cr_assert(lng_vocab_find(import.target, "<pad>", 5) == 11);
    cr_assert(lng_vocab_find(import.source, "s2", 2) == 2);
    cr_assert(lng_vocab_find(import.target, "t10", 3) == 10);
    cr_assert(import.text == LNG_IMPORT_SYMBOLS && !import.source_spm && !import.target_spm);
    cr_assert(import.data.generation.beams == 6);
    cr_assert(import.data.generation.length_penalty == 0.6);
    cr_assert(!import.data.directory);
    static const char *const told[] = {"positions: sinusoids of family A",
                                       "norm epsilon: 1e-06",
                                       "decoder start: zero embedding",
                                       "activation: relu",
                                       "named by decoder.yml",
                                       "post-norm, layer norm"};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        cr_assert(strstr(import.choices.data, told[i]), "'%s' lacks '%s'", import.choices.data,
                  told[i]);
    lng_import_release(&import);
    lng_model_data_release(&data);
    /* pre-norm, and from when it was another thing */
    f = variant(2);
    f.version = "v1.9.0";
    data = marian_values(&f, 1);
    marian_save(&f, &data, scratch_path("p"));
    check_ok(lng_marian_import(scratch_path("p"), NULL, &import));
    cr_assert(strstr(import.choices.data, "computed as trained"));
    cr_assert(strstr(import.data.warnings.data, "before 1.10 Marian trained these"));
    lng_import_release(&import);
    lng_model_data_release(&data);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Through a model directory, and after training on: what the model came with is written again only where it still
 * describes it. */
Test(marian, provenance_that_no_longer_fits)
{
    struct marian_fixture f = variant(5);
    struct lng_model_data data = marian_values(&f, 1), loaded;
    struct lng_import import, again;
    marian_save(&f, &data, scratch_path("m"));
    check_ok(lng_marian_import(scratch_path("m"), NULL, &import));
    save_data(scratch_path("hf"), &import.data, LNG_DTYPE_F32);
    check_ok(lng_hf_load(scratch_path("hf"), &loaded));
    export_to(scratch_path("a"), &import, loaded.provenance, NULL);
    cr_assert(same_file(scratch_path("m"), scratch_path("a"), "model.npz"));
    const struct lng_param *target =
        lng_params_find(&import.data.params, LNG_PARAM_TARGET_EMBED, -1);
    import.data.values[target->offset + 3] += 1; /* source and target are no longer the same */
    export_to(scratch_path("b"), &import, loaded.provenance, NULL);
    check_ok(lng_marian_import(scratch_path("b"), NULL, &again));
    cr_assert(data_distance(&import.data, &again.data) == 0);
    cr_assert(strstr(again.data.provenance, "tied-embeddings-src: false"));
    lng_import_release(&again);
    for (int i = 0; i < 3; i++) {
        static const char *const others[] = {"{}", "{\"marian\": {\"model.yml\": \"type: s2s\"}}",
                                             "{\"marian\": [1], \"trained_by\": \"lingster\"}"};
        export_to(scratch_path("c"), &import, others[i], NULL);
        cr_assert(same_file(scratch_path("b"), scratch_path("c"), "model.npz"));
    }
    lng_import_release(&import);
    lng_model_data_release(&loaded);
    lng_model_data_release(&data);
}

/* ---- bad models ---- */

Test(marian, tensors_that_do_not_fit)
{
    static const struct {
        int variant;
        const char *left_out, *extra, *misshapen;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {0, "Wemb", NULL, NULL, LNG_ERR_FORMAT,
         "1 arrays that special:model.yml asks for are missing: Wemb"},
        {0, "encoder_l2_self_bq", NULL, NULL, LNG_ERR_FORMAT, "missing: encoder_l2_self_bq"},
        {0, "decoder_ff_logit_out_b", NULL, NULL, LNG_ERR_FORMAT, "decoder_ff_logit_out_b"},
        {2, "decoder_ff_logit_out_Wt", NULL, NULL, LNG_ERR_FORMAT, "decoder_ff_logit_out_Wt"},
        {2, "decoder_top_ln_scale", NULL, NULL, LNG_ERR_FORMAT, "decoder_top_ln_scale"},
        {0, NULL, "encoder_l1_self_Wx", NULL, LNG_ERR_UNSUPPORTED,
         "not supported: encoder_l1_self_Wx"},
        {0, NULL, "decoder_l1_context_enc2_Wq", NULL, LNG_ERR_UNSUPPORTED, "context_enc2_Wq"},
        {0, NULL, "encoder_emb_ln_scale_pre", NULL, LNG_ERR_UNSUPPORTED,
         "encoder_emb_ln_scale_pre"},
        {0, NULL, "decoder_l1_rnn_W", NULL, LNG_ERR_UNSUPPORTED, "decoder_l1_rnn_W"},
        {0, NULL, "encoder_l3_self_Wq", NULL, LNG_OK, "\"encoder_l3_self_Wq\" is not used"},
        {0, NULL, "encoder_l1_self_Wo_rms_scale", NULL, LNG_OK, "is not used"},
        {1, NULL, "decoder_ff_logit_out_Wt", NULL, LNG_OK, "is not used"},
        {0, NULL, "special:else", NULL, LNG_OK, NULL},
        {0, NULL, "Wpos", NULL, LNG_ERR_SHAPE, "makes it [1, 8], found shape [1, 2]"},
        {0, NULL, NULL, "encoder_l1_self_Wq", LNG_ERR_SHAPE,
         "makes it [8, 8], found shape [8, 1, 8]"},
        {0, NULL, NULL, "encoder_l1_ffn_b1", LNG_ERR_SHAPE,
         "makes it [1, 12], found shape [1, 1, 12]"},
        {8, NULL, NULL, "Wpos", LNG_ERR_SHAPE, "expected shape [positions, 8]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct marian_fixture f = variant(cases[i].variant);
        struct lng_model_data data = marian_values(&f, 1);
        struct lng_import import;
        f.left_out = cases[i].left_out;
        f.extra = cases[i].extra;
        f.misshapen = cases[i].misshapen;
        marian_save(&f, &data, scratch_path("m"));
        enum lng_status status = lng_marian_import(scratch_path("m"), NULL, &import);
        cr_assert(status == cases[i].status, "case %zu: got '%s': %s", i, lng_status_text(status),
                  lng_error_message());
        const char *told = status == LNG_OK ? import.data.warnings.data : lng_error_message();
        cr_assert(cases[i].part ? told && strstr(told, cases[i].part) : !told, "case %zu: '%s'", i,
                  told ? told : "");
        if (status == LNG_OK)
            lng_import_release(&import);
        lng_model_data_release(&data);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* Options that do not fit the tensors, and positions that two places disagree about. */
Test(marian, configurations_that_do_not_fit)
{
    static const struct {
        const char *more;
        enum lng_status status;
        const char *part;
    } cases[] = {
        {"transformer-ffn-depth: 2\n", LNG_OK, NULL},
        {"transformer-ffn-depth: 3\n", LNG_ERR_UNSUPPORTED, "transformer-ffn-depth"},
        {"type: s2s\n", LNG_ERR_FORMAT, "duplicate key 'type'"},
        {"a: *b\n", LNG_ERR_FORMAT, "aliases are not supported"},
        {"a: &x 1\n", LNG_ERR_FORMAT, "anchors and tags"},
        {"a: !!python/object:os.system x\n", LNG_ERR_FORMAT, "anchors and tags"},
        {"a:\n  b:\n    c: 1\n", LNG_ERR_FORMAT, "nested"},
    };
    struct lng_model_data data;
    struct lng_import import;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct marian_fixture f = variant(0);
        f.more = cases[i].more;
        data = marian_values(&f, 1);
        marian_save(&f, &data, scratch_path("m"));
        enum lng_status status = lng_marian_import(scratch_path("m"), NULL, &import);
        cr_assert(status == cases[i].status, "case %zu: %s", i, lng_error_message());
        if (status == LNG_OK)
            lng_import_release(&import);
        else
            cr_assert(strstr(lng_error_message(), cases[i].part) &&
                          strstr(lng_error_message(), "m/model.npz: special:model.yml"),
                      "case %zu: %s", i, lng_error_message());
        lng_model_data_release(&data);
    }
    /* Wpos decides, whatever is said */
    for (int i = 0; i < 2; i++) {
        struct marian_fixture f = variant(8);
        if (i == 0)
            f.left_out = "Wpos";
        else
            f.positions_unsaid = true;
        data = marian_values(&f, 1);
        marian_save(&f, &data, scratch_path("m"));
        check_ok(lng_marian_import(scratch_path("m"), NULL, &import));
        bool learned = import.data.hparams.positions == LNG_POSITIONS_LEARNED;
        cr_assert(learned == (i == 1) && import.data.hparams.scale_embedding == (i == 0));
        cr_assert(strstr(import.data.warnings.data,
                         learned ? "there is a tensor Wpos" : "there is no tensor Wpos"));
        export_to(scratch_path("o"), &import, import.data.provenance, NULL);
        cr_assert(same_file(scratch_path("m"), scratch_path("o"), "model.npz"));
        lng_import_release(&import);
        lng_model_data_release(&data);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* An npz with this configuration and nothing else. */
static const char *save_text(const char *text, size_t size, const char *descr, const char *name)
{
    char shape[32];
    struct npz_fixture npz = {0};
    snprintf(shape, sizeof shape, "(%zu,)", size);
    npz_fixture_array(&npz, name, descr, shape, text, size, NPZ_MARIAN);
    npz_fixture_end(&npz);
    check_ok(lng_make_directories(scratch_path("t")));
    const char *path = scratch_write("t/model.npz", npz.file.data, npz.file.length);
    scratch_write("t/vocab.yml", "</s>: 0\n<unk>: 1\n", 17);
    npz_fixture_release(&npz);
    return path;
}

Test(marian, models_of_nothing)
{
    struct lng_import import;
    struct marian_fixture f = marian_small();
    f.hparams.encoder_layers = 1000;
    f.hparams.decoder_layers = 1000;
    const char *yaml = marian_yaml(&f);
    check_fails(
        lng_marian_import(save_text(yaml, strlen(yaml), "|i1", "special:model.yml"), NULL, &import),
        LNG_ERR_FORMAT, "expected at least 42000 arrays for 1000 encoder and 1000 decoder");
    check_fails(lng_marian_import(save_text(yaml, strlen(yaml), "|i1", "special:x"), NULL, &import),
                LNG_ERR_FORMAT, "expected an array \"special:model.yml\"");
    check_fails(
        lng_marian_import(save_text("abcdefgh", 8, "<i1", "special:model.yml"), NULL, &import),
        LNG_ERR_FORMAT, "lines of the form 'key: value'");
    check_fails(
        lng_marian_import(save_text("\0a: 1", 5, "<i1", "special:model.yml"), NULL, &import),
        LNG_ERR_UNSUPPORTED, "type: is missing");
    struct npz_fixture npz = {0};
    npz_fixture_array(&npz, "special:model.yml", "<f4", "(2,)", "abcdefgh", 8, NPZ_MARIAN);
    npz_fixture_end(&npz);
    check_fails(lng_marian_import(scratch_write("t/model.npz", npz.file.data, npz.file.length),
                                  NULL, &import),
                LNG_ERR_FORMAT, "bytes of text, found 8 of F32");
    npz_fixture_release(&npz);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian, damaged_and_not_finite)
{
    struct marian_fixture f = variant(2);
    struct lng_model_data data = marian_values(&f, 1);
    struct lng_buffer content = {0};
    struct lng_import import;
    int noticed = 0;
    data.values[data.params.list[5].offset + 3] = NAN;
    marian_save(&f, &data, scratch_path("m"));
    check_fails(lng_marian_import(scratch_path("m"), NULL, &import), LNG_ERR_RANGE,
                "expected finite values, found nan");
    data.values[data.params.list[5].offset + 3] = 0;
    marian_save(&f, &data, scratch_path("m"));
    check_ok(lng_file_read(scratch_path("m/model.npz"), 1 << 20, &content));
    for (size_t at = 20; at < content.length; at += content.length / 97) {
        content.data[at] ^= 0x55;
        scratch_write("m/model.npz", content.data, content.length);
        enum lng_status status = lng_marian_import(scratch_path("m"), NULL, &import);
        if (status == LNG_OK) { /* a field without meaning */
            check_values(&f, &data, &import.data, 2);
            lng_import_release(&import);
        } else {
            cr_assert(strstr(lng_error_message(), "model.npz"), "%s", lng_error_message());
        }
        noticed += status != LNG_OK;
        content.data[at] ^= 0x55;
    }
    cr_assert(noticed > 80, "%d", noticed);
    for (size_t size = 0; size < content.length; size += content.length / 41) {
        scratch_write("m/model.npz", content.data, size);
        check_fails(lng_marian_import(scratch_path("m"), NULL, &import), LNG_ERR_FORMAT,
                    "model.npz");
    }
    lng_buffer_release(&content);
    lng_model_data_release(&data);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(marian, out_of_memory)
{
    struct marian_fixture f = variant(1);
    struct lng_model_data data = marian_values(&f, 1);
    struct lng_import import;
    enum lng_status status = LNG_ERR_MEMORY;
    size_t n = 0, live = lng_mem_get_stats().blocks_live;
    f.kind = NPZ_DEFLATED;
    marian_save(&f, &data, scratch_path("m"));
    while (status != LNG_OK && n < 10000) {
        n += 1 + n / 50; /* all of the first ones, then a sample */
        lng_mem_fail_nth(n, 1);
        status = lng_marian_import(scratch_path("m"), NULL, &import);
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY, "%zu: %s", n, lng_error_message());
        cr_assert(status == LNG_OK || lng_mem_get_stats().blocks_live == live, "leak at %zu", n);
    }
    cr_assert(status == LNG_OK && n > 100);
    check_ok(lng_make_directories(scratch_path("o")));
    for (n = 1, status = LNG_ERR_MEMORY; status != LNG_OK && n < 5000; n++) {
        live = lng_mem_get_stats().blocks_live;
        lng_mem_fail_nth(n, 1);
        status = lng_marian_export(&(struct lng_marian_export_args){
            .directory = scratch_path("o"),
            .hparams = &import.data.hparams,
            .params = &import.data.params,
            .values = import.data.values,
            .source = import.source,
            .target = import.target,
            .provenance = import.data.provenance,
            .generation = import.data.generation,
        });
        lng_mem_fail_nth(0, 0);
        cr_assert(status == LNG_OK || status == LNG_ERR_MEMORY, "%zu: %s", n, lng_error_message());
        cr_assert(lng_mem_get_stats().blocks_live == live, "leak at %zu", n);
    }
    cr_assert(status == LNG_OK && n > 50);
    lng_import_release(&import);
    lng_model_data_release(&data);
}

/* ---- what cannot be written ---- */

Test(marian, exports_say_all_that_marian_cannot_do)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 5;
    h.dim = 8;
    h.encoder_heads = 2;
    h.decoder_heads = 4;
    h.encoder_layers = h.decoder_layers = 1;
    h.encoder_ffn = h.decoder_ffn = 4;
    h.positions = LNG_POSITIONS_B;
    h.position_offset = 2;
    h.scale_embedding = false;
    h.attention_scaled = false;
    h.activation = LNG_ACTIVATION_GELU_TANH;
    h.decoder_start = 2;
    h.source_eos = -1;
    h.unk = -1;
    struct lng_model_data data = random_data(&h, 1);
    struct lng_vocab *vocab, *small;
    check_ok(lng_vocab_parse_lines("</s>\n<unk>\na\nb\nc\n", 17, &vocab));
    check_ok(lng_vocab_parse_lines("a\nb\n", 4, &small));
    check_ok(lng_make_directories(scratch_path("o")));
    struct lng_marian_export_args args = {.directory = scratch_path("o"),
                                          .hparams = &h,
                                          .params = &data.params,
                                          .values = data.values,
                                          .source = vocab};
    static const char *const parts[] = {
        "scaled dot product", "same number of heads", "family A, or learned", "start at 0",
        "must be scaled",     "the activation must",  "zero embedding",       "(<unk>)",
        "the source must end"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        check_fails(lng_marian_export(&args), LNG_ERR_UNSUPPORTED, parts[i]);
    args.target = small;
    check_fails(lng_marian_export(&args), LNG_ERR_MISMATCH,
                "vocabularies of 5 and 5 entries, as the model has, found 5 and 2");
    args.target = NULL;
    h.unk = 2; /* and <unk> is another entry */
    check_fails(lng_marian_export(&args), LNG_ERR_UNSUPPORTED, "</s> and <unk> must be");
    cr_assert(!lng_file_exists(scratch_path("o/model.npz")));
    lng_vocab_close(vocab);
    lng_vocab_close(small);
    lng_model_data_release(&data);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

/* A model as lingster trains them: <pad> last, decoding starts from its zero row. */
Test(marian, models_of_ours_lose_their_pad)
{
    struct lng_hparams h = marian_small().hparams;
    h.tie = LNG_TIE_TARGET;
    h.pad = h.decoder_start = 10;
    h.norm_epsilon = 1e-5;
    struct lng_model_data data = random_data(&h, 1);
    struct lng_vocab *source, *target;
    struct lng_buffer warnings = {0};
    struct lng_import import;
    check_ok(lng_vocab_parse_lines("</s>\n<unk>\n2\n3\n4\n5\n6\n7\n8\n9\n<pad>\n", 33, &source));
    check_ok(lng_vocab_parse_lines("</s>\n<unk>\na\nb\nc\nd\ne\nf\ng\nh\n<pad>\n", 33, &target));
    struct lng_import ours = {.data = data, .source = source, .target = target};
    export_to(scratch_path("m"), &ours, NULL, &warnings);
    cr_assert(strstr(warnings.data, "<pad> is left out"));
    cr_assert(strstr(warnings.data, "norm epsilon"));
    check_ok(lng_marian_import(scratch_path("m"), NULL, &import));
    cr_assert(import.data.hparams.pad == 10 && import.data.hparams.source_vocab == 11);
    const struct lng_param *table = lng_params_find(&data.params, LNG_PARAM_TARGET_EMBED, -1);
    cr_assert(memcmp(import.data.values + table->offset, data.values + table->offset,
                     11 * 8 * sizeof(float)) == 0);
    lng_import_release(&import);
    lng_buffer_clear(&warnings);
    /* in the middle it stays */
    ours.data.hparams.pad = 7;
    ours.data.hparams.decoder_start = -1;
    export_to(scratch_path("n"), &ours, NULL, &warnings);
    cr_assert(strstr(warnings.data, "stays, as an ordinary one"));
    check_ok(lng_marian_import(scratch_path("n"), NULL, &import));
    cr_assert(import.data.hparams.pad == 11 && lng_vocab_size(import.target) == 12);
    cr_assert_str_eq(import.pad, "<pad2>");
    lng_import_release(&import);
    lng_buffer_release(&warnings);
    lng_vocab_close(source);
    lng_vocab_close(target);
    lng_model_data_release(&data);
}
