#include "host/store/ctranslate2.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/bytes.h"
#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/model/positions.h"
#include "host/store/ctranslate2_internal.h"
#include "host/store/numbers.h"
#include "tests/support/check.h"
#include "tests/support/ct2_maker.h"
#include "tests/support/scratch.h"

static void setup(void)
{
    scratch_make();
}

TestSuite(ctranslate2, .init = setup, .fini = scratch_remove);

/* ---- what is read ---- */

Test(ctranslate2, every_version_and_type)
{
    static const struct ct2_style styles[] = {
        {1, 1, "", LNG_CT2_F32, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {1, 1, "", LNG_CT2_I16, CT2_SCALE_NONE, 0, 0, 0, 0, 0},
        {1, 1, "", LNG_CT2_I8, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {2, 1, "TransformerBig", LNG_CT2_F32, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {2, 2, "TransformerBase", LNG_CT2_F32, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {2, 2, "TransformerBase", LNG_CT2_I16, CT2_SCALE_ONE, 0, 0, 0, 0, 0},
        {2, 2, "TransformerBig", LNG_CT2_I8, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {3, 3, "TransformerSpec", LNG_CT2_I8, CT2_SCALE_ONE, 0, 0, 0, 0, 0},
        {4, 4, "TransformerSpec", LNG_CT2_F16, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {5, 5, "TransformerSpec", LNG_CT2_BF16, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {5, 5, "TransformerSpec", LNG_CT2_I16, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {6, 6, "TransformerSpec", LNG_CT2_I8, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
        {6, 7, "TransformerSpec", LNG_CT2_F32, CT2_SCALE_ROWS, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        const struct ct2_style *style = &styles[i];
        struct lng_import import;
        ct2_model(style);
        check_ok(ct2_import(false, &import));
        ct2_check_values(style, &import);
        const struct lng_hparams *h = &import.data.hparams;
        int heads = style->revision >= 5                         ? 2
                    : style->revision >= 3                       ? 4
                    : strcmp(style->spec, "TransformerBig") == 0 ? 16
                                                                 : 8;
        cr_assert(h->encoder_heads == heads, "style %zu: %d heads", i, h->encoder_heads);
        cr_assert(h->decoder_heads == (style->revision >= 5 ? 4 : heads));
        cr_assert(h->dim == CT2_D && h->encoder_ffn == CT2_FE && h->decoder_ffn == CT2_FD);
        cr_assert(h->encoder_layers == 1 && h->decoder_layers == 1);
        cr_assert(h->source_vocab == CT2_VS && h->target_vocab == CT2_VT && h->tie == LNG_TIE_NONE);
        cr_assert(h->pre_norm && h->norm == LNG_NORM_LAYER && h->norm_epsilon == 1e-5);
        cr_assert(h->positions == LNG_POSITIONS_A && h->position_offset == 1);
        cr_assert(h->activation == LNG_ACTIVATION_RELU && h->scale_embedding && h->output_bias);
        cr_assert(h->pad == 0 && h->decoder_start == 1 && h->eos == 2 && h->unk == CT2_VT - 1);
        cr_assert(h->source_eos == -1 && h->attention_scaled);
        cr_assert_str_eq(import.pad, "<blank>");
        cr_assert_str_eq(import.eos, "</s>");
        cr_assert_str_eq(import.unk, "<unk>");
        lng_import_release(&import);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(ctranslate2, shapes)
{
    struct ct2_style style = ct2_modern;
    struct lng_import import;
    for (int i = 0; i < 32; i++) {
        style.post_norm = i & 1;
        style.rms = i & 2;
        style.no_bias = i & 4;
        style.version = i & 8 ? 2 : 6;
        style.revision = i & 8 ? 2 : 7;
        style.spec = i & 8 ? "TransformerBase" : "TransformerSpec";
        style.tie_target = i & 16;
        if (style.post_norm && style.version == 2)
            continue; /* nothing could say so then */
        ct2_model(&style);
        check_ok(ct2_import(false, &import));
        ct2_check_values(&style, &import);
        const struct lng_hparams *h = &import.data.hparams;
        cr_assert(h->pre_norm == !style.post_norm && h->output_bias == !style.no_bias);
        cr_assert(h->norm == (style.rms ? LNG_NORM_RMS : LNG_NORM_LAYER));
        cr_assert(h->norm_epsilon == (style.rms ? 1e-6 : 1e-5));
        cr_assert(h->tie == (style.tie_target ? LNG_TIE_TARGET : LNG_TIE_NONE));
        cr_assert((strstr(import.choices.data, "biases: ") != NULL) == style.no_bias);
        lng_import_release(&import);
    }
    /* integers are tied when their scales are too */
    style = ct2_modern;
    style.type = LNG_CT2_I8;
    style.tie_all = true;
    ct2_model(&style);
    check_ok(ct2_import(true, &import));
    ct2_check_values(&style, &import);
    cr_assert(import.data.hparams.tie == LNG_TIE_ALL && !import.target);
    cr_assert(lng_vocab_size(import.source) == CT2_VT);
    lng_import_release(&import);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

static void put_table(const char *name, const float *table, uint32_t count, enum lng_ct2_type type)
{
    static unsigned char data[64 * CT2_D * 4];
    for (size_t i = 0; i < (size_t)count * CT2_D; i++) {
        uint16_t half = type == LNG_CT2_F16 ? lng_f16_bits(table[i]) : lng_f32_to_bf16(table[i]);
        if (type == LNG_CT2_F32)
            memcpy(data + 4 * i, &table[i], 4);
        else
            memcpy(data + 2 * i, &half, 2);
    }
    ct2_variable(name, 2, count, CT2_D, type, data,
                 (size_t)count * CT2_D * (type == LNG_CT2_F32 ? 4 : 2));
}

static enum lng_status import_tables(const float *encoder, uint32_t encoder_rows,
                                     const float *decoder, uint32_t decoder_rows,
                                     enum lng_ct2_type type, struct lng_import *import)
{
    ct2_begin(6, "TransformerSpec", 7);
    ct2_tensors(&ct2_modern, NULL);
    if (encoder)
        put_table("encoder/position_encodings/encodings", encoder, encoder_rows, type);
    if (decoder)
        put_table("decoder/position_encodings/encodings", decoder, decoder_rows, type);
    ct2_finish(NULL);
    return ct2_import(false, import);
}

Test(ctranslate2, position_tables)
{
    static float table[64 * CT2_D], other[64 * CT2_D];
    static const enum lng_ct2_type types[] = {LNG_CT2_F32, LNG_CT2_F16, LNG_CT2_BF16};
    struct lng_import import;
    for (int i = 0; i < 3 * 4 * 3; i++) {
        enum lng_positions family = (enum lng_positions)(i % 3);
        int offset = i / 3 % 4;
        lng_positions_fill(table, 64, CT2_D, family);
        check_ok(import_tables(table + offset * CT2_D, 40, table + offset * CT2_D, 50,
                               types[i / 12], &import));
        const struct lng_hparams *h = &import.data.hparams;
        cr_assert(h->positions == family && h->position_offset == offset && h->max_positions == 40,
                  "family %d from %d: family %d from %d", (int)family, offset, (int)h->positions,
                  h->position_offset);
        lng_import_release(&import);
    }
    lng_positions_fill(table, 64, CT2_D, LNG_POSITIONS_A);
    check_ok(import_tables(table + CT2_D, 40, NULL, 0, LNG_CT2_F32, &import)); /* none: A from 1 */
    cr_assert(import.data.hparams.position_offset == 1);
    lng_import_release(&import);
    memcpy(other, table, sizeof table);
    other[5 * CT2_D + 3] += 0.01f;
    check_ok(import_tables(table, 40, other, 40, LNG_CT2_F32, &import));
    const struct lng_hparams *h = &import.data.hparams;
    cr_assert(h->positions == LNG_POSITIONS_LEARNED && h->max_positions == 40);
    const struct lng_param *encoder = lng_params_find(&import.data.params,
                                                      LNG_PARAM_ENCODER_POSITIONS, -1),
                           *decoder = lng_params_find(&import.data.params,
                                                      LNG_PARAM_DECODER_POSITIONS, -1);
    cr_assert(memcmp(import.data.values + encoder->offset, table, 40 * CT2_D * sizeof(float)) == 0);
    cr_assert(memcmp(import.data.values + decoder->offset, other, 40 * CT2_D * sizeof(float)) == 0);
    lng_import_release(&import);
    check_fails(import_tables(table, 40, NULL, 0, LNG_CT2_F32, &import), LNG_ERR_UNSUPPORTED,
                "learned positions must be stored for both stacks, equally many");
    check_fails(import_tables(other, 40, other, 39, LNG_CT2_F32, &import), LNG_ERR_UNSUPPORTED,
                "equally many");
    other[7] = NAN;
    check_fails(import_tables(other, 40, other, 40, LNG_CT2_F32, &import), LNG_ERR_RANGE,
                "expected finite values, found nan at element 7");
}

/* ---- settings ---- */

static const struct {
    const char *name;
    float value;
    bool real; /* else int8 */
    enum lng_status status;
    const char *part; /* of the message, or of the choices */
} settings[] = {
    {"encoder/activation", 0, false, LNG_OK, "activation: relu"},
    {"activation", 1, false, LNG_OK, "activation: gelu_new"},
    {"activation", 2, false, LNG_OK, "activation: silu"},
    {"activation", 3, false, LNG_OK, "activation: gelu:"},
    {"activation", 4, false, LNG_OK, "activation: quick_gelu"},
    {"activation", 5, false, LNG_ERR_UNSUPPORTED, "activation code 5"},
    {"decoder/activation", 1, false, LNG_ERR_UNSUPPORTED,
     "encoder/activation is 0 and decoder/activation 1"},
    {"encoder/scale_embeddings", 0, false, LNG_ERR_UNSUPPORTED, "one stack only"},
    {"encoder/scale_embeddings", 4, true, LNG_OK, ""},
    {"encoder/scale_embeddings", 3, true, LNG_ERR_UNSUPPORTED, "scaled by 3"},
    {"decoder/embeddings/multiply_by_sqrt_depth", 0, false, LNG_ERR_UNSUPPORTED, "one stack only"},
    {"encoder/embeddings/multiply_by_sqrt_depth", 1, false, LNG_OK, ""},
    {"decoder/start_from_zero_embedding", 1, false, LNG_OK, "decoder start: zero embedding"},
    {"decoder/start_from_zero_embedding", 1, false, LNG_OK, "source end: </s>"},
    {"with_source_eos", 1, false, LNG_OK, "source end: </s>"},
    {"with_source_bos", 1, false, LNG_ERR_UNSUPPORTED, "add_source_bos"},
    {"with_target_bos", 0, false, LNG_OK, "decoder start: </s>"},
    {"user_decoder_start_tokens", 1, false, LNG_ERR_UNSUPPORTED, "the user must give"},
    {"decoder/alignment_layer", -1, false, LNG_OK, ""},
    {"alignment_heads", 0, false, LNG_OK, ""},
    {"embeddings_merge", 1, false, LNG_OK, ""},
    {"encoder/multi_query_attention", 0, false, LNG_OK, ""},
    {"encoder/multi_query_attention", 1, false, LNG_ERR_UNSUPPORTED, "multi-query attention ("},
    {"decoder/alibi", 0, false, LNG_OK, ""},
    {"decoder/alibi", 1, false, LNG_ERR_UNSUPPORTED, "ALiBi"},
    {"decoder/scale_alibi", 1, false, LNG_OK, ""},
    {"with_relative_position", 0, false, LNG_OK, ""},
    {"with_relative_position", 1, false, LNG_ERR_UNSUPPORTED, "relative positions ("},
    {"encoder/layer_0/self_attention/num_heads_kv", 2, false, LNG_OK, ""},
    {"encoder/layer_0/self_attention/num_heads_kv", 1, false, LNG_ERR_UNSUPPORTED, "1 heads of"},
    {"encoder/layer_0/self_attention/head_dim", 8, false, LNG_OK, ""},
    {"encoder/layer_0/self_attention/head_dim", 4, false, LNG_ERR_UNSUPPORTED, "of width 4"},
    {"decoder/layer_0/attention/queries_scale", 0.5f, true, LNG_OK, ""},
    {"decoder/layer_0/attention/queries_scale", 1, true, LNG_ERR_UNSUPPORTED,
     "expected 0.5 in all"},
    {"decoder/layer_0/attention/queries_scale", 0.7f, true, LNG_ERR_UNSUPPORTED, "0.7, expected"},
    {"encoder/layer_0/self_attention/relative_position_keys", 1, true, LNG_ERR_UNSUPPORTED,
     "relative positions (encoder/layer_0"},
    {"decoder/layer_0/self_attention/relative_attention_bias", 1, true, LNG_ERR_UNSUPPORTED,
     "relative attention bias"},
    {"decoder/layer_0/self_attention/rotary_dim", 1, true, LNG_ERR_UNSUPPORTED, "rotary positions"},
    {"decoder/layer_0/ffn/linear_0_noact/weight", 1, true, LNG_ERR_UNSUPPORTED,
     "gated feed-forward layers"},
    {"encoder/layernorm_embedding/gamma", 1, true, LNG_ERR_UNSUPPORTED, "a norm of the embeddings"},
    {"encoder/embeddings_1/weight", 1, true, LNG_ERR_UNSUPPORTED, "source features"},
    {"decoder/project_in/weight", 1, true, LNG_ERR_UNSUPPORTED, "projections beside"},
    {"decoder/layer_0/self_attention/linear_0/weight_zero", 1, true, LNG_ERR_UNSUPPORTED, "AWQ"},
    {"decoder/layer_0/ffn/layer_norm/layer_norm_use_residual", 1, false, LNG_ERR_UNSUPPORTED,
     "1 + gamma"},
    {"decoder/scale_outputs", 2, true, LNG_ERR_UNSUPPORTED, "scaled outputs"},
    {"decoder/layer_0/brand_new", 1, true, LNG_ERR_UNSUPPORTED,
     "1 variables that lingster does not know: decoder/layer_0/brand_new"},
    {"encoder/layer_norm/gamma_scale", 1, true, LNG_ERR_UNSUPPORTED,
     "know: encoder/layer_norm/gamma_scale"},
    {"encoder/layer_7/ffn/linear_0/bias", 1, true, LNG_ERR_SHAPE,
     "56 variables are missing: encoder/layer_1/self_attention/linear_0/weight, "},
};

Test(ctranslate2, every_setting)
{
    struct lng_import import;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        ct2_begin(5, "TransformerSpec", 5);
        ct2_tensors(&(struct ct2_style){.version = 5, .revision = 5}, NULL);
        if (settings[i].real)
            ct2_number(settings[i].name, settings[i].value);
        else
            ct2_flag(settings[i].name, (int)settings[i].value);
        ct2_finish(NULL);
        enum lng_status status = ct2_import(false, &import);
        cr_assert(status == settings[i].status, "%s: %s: %s", settings[i].name,
                  lng_status_text(status), status == LNG_OK ? "" : lng_error_message());
        const char *said = status == LNG_OK ? import.choices.data : lng_error_message();
        cr_assert(strstr(said, settings[i].part), "%s: '%s' lacks '%s'", settings[i].name, said,
                  settings[i].part);
        if (status == LNG_OK)
            lng_import_release(&import);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "%s leaks", settings[i].name);
    }
}

Test(ctranslate2, all_obstacles_at_once)
{
    struct lng_import import;
    ct2_begin(6, "TransformerSpec", 7);
    ct2_tensors(&ct2_modern, "decoder/layer_0/ffn/linear_1/weight");
    ct2_number("encoder/layer_0/self_attention/relative_position_keys", 1);
    ct2_number("decoder/layer_0/self_attention/relative_position_keys", 1);
    ct2_number("encoder/layer_0/ffn/linear_0_noact/weight", 1);
    ct2_number("surprise", 1);
    ct2_flag("activation", 77);
    ct2_finish(NULL);
    check_fails(ct2_import(false, &import), LNG_ERR_UNSUPPORTED,
                "model.bin: cannot be imported, 5 problems");
    static const char *const parts[] = {
        "activation code 77", "are missing: decoder/layer_0/ffn/linear_1/weight",
        "gated feed-forward", "relative positions", "know: surprise"};
    for (int i = 0; i < 5; i++)
        cr_assert(strstr(lng_error_message(), parts[i]), "'%s' lacks '%s'", lng_error_message(),
                  parts[i]);
    ct2_begin(6, "WhisperSpec", 3);
    ct2_number("decoder/layer_0/self_attention/rotary_dim", 1);
    ct2_finish(NULL);
    check_fails(ct2_import(false, &import), LNG_ERR_UNSUPPORTED, "spec \"WhisperSpec\"");
    ct2_begin(6, "TransformerSpec", 8);
    ct2_finish(NULL);
    check_fails(ct2_import(false, &import), LNG_ERR_UNSUPPORTED,
                "revision 1 to 7 of the spec, found 8");
}

/* ---- bad files ---- */

/* One tensor, otherwise whole, left out or put in another way. */
static const struct {
    const char *name;
    int rank;
    uint32_t rows, cols;
    enum lng_ct2_type type;
    enum lng_status status;
    const char *part;
} tensors[] = {
    {"encoder/layer_norm/gamma", -1, 0, 0, 0, LNG_ERR_UNSUPPORTED, "without a final norm"},
    {"decoder/layer_norm/beta", -1, 0, 0, 0, LNG_ERR_FORMAT, "1 variables are missing: decoder/"},
    {"encoder/embeddings_0/weight", -1, 0, 0, 0, LNG_ERR_FORMAT, "_0/weight\" is missing"},
    {"decoder/embeddings/weight", -1, 0, 0, 0, LNG_ERR_FORMAT, "embeddings/weight\" is missing"},
    {"decoder/projection/weight", -1, 0, 0, 0, LNG_ERR_FORMAT, "projection/weight\" is missing"},
    {"encoder/layer_0/ffn/linear_0/weight", -1, 0, 0, 0, LNG_ERR_FORMAT, "is missing"},
    {"decoder/layer_0/attention/linear_1/weight", -1, 0, 0, 0, LNG_ERR_FORMAT, "are missing"},
    {"decoder/layer_0/ffn/linear_1/bias", -1, 0, 0, 0, LNG_OK, "biases: 1 are zero"},
    {"decoder/projection/bias", -1, 0, 0, 0, LNG_OK, "source end"},
    {"decoder/embeddings/weight", 1, 0, 144, 0, LNG_ERR_SHAPE, "a matrix, found shape [144]"},
    {"decoder/embeddings/weight", 2, 8, 16, 0, LNG_ERR_MISMATCH, "9 entries of the target"},
    {"encoder/embeddings_0/weight", 2, 9, 16, 0, LNG_ERR_MISMATCH, "8 entries of the source"},
    {"encoder/embeddings_0/weight", 2, 8, 14, 0, LNG_ERR_SHAPE, "[8, 16], found [8, 14]"},
    {"decoder/embeddings/weight", 2, 9, 15, 0, LNG_ERR_RANGE, "do not divide the width 15"},
    {"decoder/embeddings/weight", 2, 9, 4, 0, LNG_ERR_SHAPE, "expected shape [12, 4]"},
    {"encoder/layer_0/ffn/linear_0/weight", 2, 7, 16, 0, LNG_ERR_SHAPE, "[16, 7], found [16, 6]"},
    {"decoder/layer_0/self_attention/linear_0/weight", 2, 16, 48, 0, LNG_ERR_SHAPE,
     "expected shape [48, 16], found [16, 48]"},
    {"decoder/layer_0/self_attention/linear_0/bias", 2, 1, 48, 0, LNG_ERR_SHAPE,
     "expected shape [48], found [1, 48]"},
    {"decoder/layer_0/self_attention/linear_0/weight", 2, 48, 16, LNG_CT2_I8, LNG_ERR_FORMAT,
     "int8 needs a scale"},
    {"decoder/layer_0/self_attention/linear_0/weight", 2, 48, 16, LNG_CT2_I32, LNG_ERR_DTYPE,
     "a type for weights, found int32"},
    {"decoder/layer_0/self_attention/linear_0/weight", 2, 48, 16, LNG_CT2_I16, LNG_OK, ""},
};

Test(ctranslate2, every_tensor_is_checked)
{
    static unsigned char data[4 * 1024];
    static const unsigned width[] = {4, 1, 2, 4, 2, 2};
    struct lng_import import;
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        ct2_begin(6, "TransformerSpec", 7);
        ct2_tensors(&ct2_modern, tensors[i].name);
        size_t count = (tensors[i].rank == 2 ? tensors[i].rows : 1) * (size_t)tensors[i].cols;
        if (tensors[i].rank >= 0)
            ct2_variable(tensors[i].name, tensors[i].rank, tensors[i].rows, tensors[i].cols,
                         tensors[i].type, data, count * width[tensors[i].type]);
        ct2_finish(NULL);
        enum lng_status status = ct2_import(false, &import);
        cr_assert(status == tensors[i].status, "case %zu: %s: %s", i, lng_status_text(status),
                  lng_error_message());
        const char *said = status == LNG_OK ? import.choices.data : lng_error_message();
        cr_assert(strstr(said, tensors[i].part), "case %zu: '%s' lacks '%s'", i, said,
                  tensors[i].part);
        if (status == LNG_OK)
            lng_import_release(&import);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "case %zu leaks", i);
    }
}

Test(ctranslate2, scales_are_checked)
{
    static const struct {
        uint32_t count;
        float value;
        enum lng_status status;
        const char *part;
    } scales[] = {
        {1, 1, LNG_OK, ""},
        {48, 2, LNG_OK, ""},
        {48, 0, LNG_ERR_RANGE, "scales over 0, found 0 at element 47"},
        {48, -1, LNG_ERR_RANGE, "found -1"},
        {48, NAN, LNG_ERR_RANGE, "found nan"},
        {48, INFINITY, LNG_ERR_RANGE, "found inf"},
        {48, 1e-45f, LNG_ERR_RANGE, "expected finite values"},
        {47, 1, LNG_ERR_SHAPE, "one for each row, found shape [47]"},
    };
    static const char name[] = "encoder/layer_0/self_attention/linear_0/weight";
    static const char scale[] = "encoder/layer_0/self_attention/linear_0/weight_scale";
    int8_t data[48 * CT2_D];
    float values[48];
    struct lng_import import;
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        memset(data, 100, sizeof data);
        for (int n = 0; n < 48; n++)
            values[n] = n + 1 < (int)scales[i].count ? 1 : scales[i].value;
        ct2_begin(6, "TransformerSpec", 7);
        ct2_tensors(&ct2_modern, name);
        ct2_variable(name, 2, 48, CT2_D, LNG_CT2_I8, data, sizeof data);
        ct2_variable(scale, 1, 0, scales[i].count, LNG_CT2_F32, values, scales[i].count * 4);
        ct2_finish(NULL);
        enum lng_status status = ct2_import(false, &import);
        cr_assert(status == scales[i].status, "case %zu: %s", i, lng_error_message());
        if (status == LNG_OK)
            lng_import_release(&import);
        else
            cr_assert(strstr(lng_error_message(), scales[i].part), "%s", lng_error_message());
        cr_assert(lng_mem_get_stats().blocks_live == 0, "case %zu leaks", i);
    }
}

static void put_start(void)
{
    ct2_begin(6, "TransformerSpec", 7);
    ct2_number("a", 1);
    ct2_finish(NULL);
}

/* A file of one variable "a", four bytes at a place replaced. */
static const struct {
    size_t at;
    uint32_t value;
    enum lng_status status;
    const char *part;
} words[] = {
    {0, 0, LNG_ERR_FORMAT, "expected the binary version of a CTranslate2 model, found 0"},
    {0, 7, LNG_ERR_UNSUPPORTED, "binary version 1 to 6, found 7"},
    {0, 0x06000000, LNG_ERR_FORMAT, "found 100663296"}, /* the other byte order */
    {0, 3, LNG_ERR_FORMAT, "items of 1, 2 or 4 bytes, found 0"},
    {4, 0, LNG_ERR_FORMAT, "expected a name, found the length 0"},
    {4, 0xFFFF, LNG_ERR_FORMAT, "the length 65535"},
    {4, 0x54540010, LNG_OK, ""},
    {4, 0x54000010, LNG_ERR_FORMAT, "printable characters and a NUL, found byte 0x00"},
    {4, 0x1B540010, LNG_ERR_FORMAT, "found byte 0x1b"},
    {4, 0x5472000F, LNG_ERR_FORMAT, "found byte 0x63"},
    {26, UINT32_MAX, LNG_ERR_FORMAT, "expected a name"},
    {26, 0, LNG_ERR_FORMAT, "expected a name, found the length 0"}, /* read as an alias */
    {26, 2, LNG_ERR_FORMAT, "expected a name"},
    {34, 0x000400FF, LNG_ERR_FORMAT, "at most 4 dimensions, found 255"},
    {34, 0x00040001, LNG_ERR_FORMAT, "its shape has 1024 elements"},
    {34, 0x00000001, LNG_ERR_FORMAT, "over 0"},
    {35, 0x00000406, LNG_ERR_FORMAT, "0 to 5), found 6"},
    {35, 0x00000401, LNG_ERR_FORMAT, "its shape has 1 elements, its data 4 bytes of int8"},
    {36, 3, LNG_ERR_FORMAT, "its data 3 bytes of float32"},
    {36, UINT32_MAX, LNG_ERR_FORMAT, "1 elements, its data 4294967295 bytes"},
    {44, UINT32_MAX, LNG_ERR_FORMAT, "bytes at offset 48"},
};

Test(ctranslate2, every_field_is_checked)
{
    struct lng_ct2_file file;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        put_start();
        cr_assert(ct2_made.size == 48);
        lng_store_u32(ct2_made.data + words[i].at, words[i].value);
        enum lng_status status = lng_ct2_open_memory(&file, "m.bin", ct2_made.data, ct2_made.size);
        cr_assert(status == words[i].status, "case %zu: %s: %s", i, lng_status_text(status),
                  lng_error_message());
        if (status == LNG_OK)
            lng_ct2_close(&file);
        else
            cr_assert(strstr(lng_error_message(), words[i].part) &&
                          strstr(lng_error_message(), "m.bin"),
                      "case %zu: '%s' lacks '%s'", i, lng_error_message(), words[i].part);
        cr_assert(lng_mem_get_stats().blocks_live == 0, "case %zu leaks", i);
    }
}

static void open_fails(const char *part)
{
    struct lng_ct2_file file;
    check_fails(lng_ct2_open_memory(&file, "m.bin", ct2_made.data, ct2_made.size), LNG_ERR_FORMAT,
                part);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(ctranslate2, names_shapes_and_ends)
{
    static const char *const dangling[] = {"b", "c", NULL}, *const twice[] = {"a", "a", NULL},
                             *const chain[] = {"b", "a", "c", "b", NULL};
    float value = 1;
    put_start();
    ct2_made.data[ct2_made.size++] = 0;
    open_fails("its variables end at byte 48 of 49");
    ct2_begin(2, "TransformerSpec", 2);
    ct2_number("encoder/embeddings/weight", 1);
    ct2_number("encoder/embeddings_0/weight", 1);
    open_fails("\"encoder/embeddings_0/weight\" is there twice");
    ct2_begin(1, "", 1);
    ct2_number("transformer/encoder/w_embs:0", 1);
    ct2_number("encoder/w_embs", 1);
    open_fails("is there twice");
    for (int i = 0; i < 3; i++) {
        ct2_begin(6, "TransformerSpec", 7);
        ct2_number("a", 1);
        ct2_finish(i == 0 ? dangling : i == 1 ? twice : chain);
        open_fails(i == 0   ? "alias \"b\" stands for \"c\", which is not there"
                   : i == 1 ? "\"a\" is there twice"
                            : "alias \"c\" stands for \"b\"");
    }
    ct2_begin(6, "TransformerSpec", 7);
    ct2_variable("a", 2, UINT32_MAX, UINT32_MAX, LNG_CT2_F32, &value, 4);
    open_fails("its shape has 18446744065119617025 elements");
    ct2_begin(6, "TransformerSpec", 7);
    ct2_variable("a", 2, 0, 5, LNG_CT2_F32, &value, 0);
    open_fails("dimensions over 0");
    ct2_begin(2, "TransformerSpec", 7); /* 2^30 items of 4 bytes */
    ct2_variable("a", 1, 0, 1 << 30, LNG_CT2_F32, &value, 4);
    lng_store_u32(ct2_made.data + ct2_made.size - 8, 1 << 30);
    open_fails("expected 4294967296 bytes of data, but the file has only 4 left");
}

Test(ctranslate2, things_that_are_no_model)
{
    static const struct {
        const char *start, *part;
    } others[] = {
        {"version https://git-lfs", "git-lfs pointer"},
        {"<!DOCTYPE html>", "an HTML page"},
        {"PK\3\4aaaaaaaa", "a zip archive"},
        {"#!/bin/sh\necho\n", "expected the binary version"},
        {"", "expected 4 bytes at offset 0"},
        {"x", "expected 4 bytes at offset 0"},
    };
    struct lng_import import;
    check_ok(lng_make_directories(scratch_path("m")));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        scratch_write("m/model.bin", others[i].start, strlen(others[i].start));
        check_fails(lng_ct2_import(scratch_path("m"), &import), LNG_ERR_FORMAT, others[i].part);
        cr_assert(!lng_ct2_is_model_directory(scratch_path("m")));
    }
    check_ok(lng_remove_tree(scratch_path("m/model.bin")));
    check_fails(lng_ct2_import(scratch_path("m"), &import), LNG_ERR_IO, "model.bin");
    check_ok(lng_make_directories(scratch_path("m/model.bin")));
    check_fails(lng_ct2_import(scratch_path("m"), &import), LNG_ERR_IO, "a folder");
    check_ok(lng_remove_tree(scratch_path("m/model.bin")));
    cr_assert(mkfifo(scratch_path("m/model.bin"), 0600) == 0);
    check_fails(lng_ct2_import(scratch_path("m"), &import), LNG_ERR_IO, "a pipe");
    cr_assert(!lng_ct2_is_model_directory(scratch_path("m")));
    cr_assert(!lng_ct2_is_model_directory(scratch_path("none")));
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(ctranslate2, cut_anywhere)
{
    static const struct ct2_style old = {.version = 1, .revision = 1, .spec = ""};
    struct ct2_style style = ct2_modern;
    struct lng_import import;
    style.tie_target = true;
    for (int i = 0; i < 2; i++) {
        ct2_model(i ? &old : &style);
        size_t whole = ct2_made.size;
        for (size_t size = 0; size < whole; size++) {
            ct2_made.size = size;
            cr_assert(ct2_import(false, &import) == LNG_ERR_FORMAT, "cut at %zu: %s", size,
                      lng_error_message());
        }
        ct2_made.size = whole;
        check_ok(ct2_import(false, &import));
        lng_import_release(&import);
    }
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

Test(ctranslate2, flipped_anywhere)
{
    struct ct2_style style = ct2_modern;
    struct lng_import import;
    size_t refused = 0;
    style.type = LNG_CT2_I8;
    ct2_model(&style);
    for (size_t i = 0; i < ct2_made.size; i++) {
        static const unsigned char masks[] = {1, 0x80, 0xFF};
        for (int m = 0; m < 3; m++) {
            ct2_made.data[i] ^= masks[m];
            if (ct2_import(false, &import) == LNG_OK)
                lng_import_release(&import);
            else
                refused++;
            ct2_made.data[i] ^= masks[m];
            cr_assert(lng_mem_get_stats().blocks_live == 0, "byte %zu leaks", i);
        }
    }
    cr_assert(refused > 1000, "only %zu refused", refused);
}
