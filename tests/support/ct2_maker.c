#include "tests/support/ct2_maker.h"

#include <stdio.h>
#include <string.h>

#include "host/base/bytes.h"
#include "host/store/numbers.h"
#include "tests/support/check.h"

struct ct2_made ct2_made;

static void put(const void *data, size_t size)
{
    cr_assert(ct2_made.size + size <= sizeof ct2_made.data);
    memcpy(ct2_made.data + ct2_made.size, data, size);
    ct2_made.size += size;
}
static void u8(unsigned value)
{
    put(&(unsigned char){(unsigned char)value}, 1);
}
static void u32(uint32_t value)
{
    unsigned char bytes[4];
    lng_store_u32(bytes, value);
    put(bytes, 4);
}
static void text(const char *value)
{
    size_t size = strlen(value) + 1;
    u8(size & 0xFF);
    u8((unsigned)(size >> 8));
    put(value, size);
}
void ct2_begin(uint32_t version, const char *spec, uint32_t revision)
{
    ct2_made.size = ct2_made.variables = 0;
    ct2_made.version = version;
    u32(version);
    if (version >= 2) {
        text(spec);
        u32(revision);
    }
    ct2_made.count_at = ct2_made.size;
    u32(0);
}
/* bytes: of the data; a code of LNG_CT2_TYPES. */
void ct2_variable(const char *name, int rank, uint32_t rows, uint32_t cols, enum lng_ct2_type type,
                  const void *data, size_t bytes)
{
    static const unsigned width[] = {4, 1, 2, 4, 2, 2};
    text(name);
    u8((unsigned)rank);
    if (rank == 2)
        u32(rows);
    if (rank > 0)
        u32(cols);
    u8(ct2_made.version >= 4 ? (unsigned)type : width[type]);
    u32((uint32_t)(ct2_made.version >= 4 ? bytes : bytes / width[type]));
    put(data, bytes);
    lng_store_u32(ct2_made.data + ct2_made.count_at, ++ct2_made.variables);
}
void ct2_flag(const char *name, int value)
{
    ct2_variable(name, 0, 0, 0, LNG_CT2_I8, &(int8_t){(int8_t)value}, 1);
}
void ct2_number(const char *name, float value)
{
    ct2_variable(name, 0, 0, 0, LNG_CT2_F32, &value, 4);
}
/* Pairs of alias and variable, then NULL; nothing before version 3. */
void ct2_finish(const char *const *aliases)
{
    uint32_t count = 0;
    while (aliases && aliases[2 * count])
        count++;
    if (ct2_made.version < 3)
        return;
    u32(count);
    for (uint32_t i = 0; i < 2 * count; i++)
        text(aliases[i]);
}

/* ---- a small model ---- */

enum { D = CT2_D, FE = CT2_FE, FD = CT2_FD, VS = CT2_VS, VT = CT2_VT };

#define E_(id, today, old, r, c)                                           \
    {                                                                      \
        LNG_PARAM_##id, "encoder/" today, "transformer/encoder/" old, r, c \
    }
#define D_(id, today, old, r, c)                                           \
    {                                                                      \
        LNG_PARAM_##id, "decoder/" today, "transformer/decoder/" old, r, c \
    }
/* Names of today and of revision 1; rows 0: a vector. One layer each. */
static const struct row {
    enum lng_param_id id;
    const char *today, *old;
    uint32_t rows, cols;
} rows[] = {
    E_(SOURCE_EMBED, "embeddings_0/weight", "w_embs:0", VS, D),
    E_(ENC_SELF_NORM_BETA, "layer_0/self_attention/layer_norm/beta",
       "layer_0/multi_head/LayerNorm/beta:0", 0, D),
    E_(ENC_SELF_NORM_GAMMA, "layer_0/self_attention/layer_norm/gamma",
       "layer_0/multi_head/LayerNorm/gamma:0", 0, D),
    E_(ENC_QKV_W, "layer_0/self_attention/linear_0/weight", "layer_0/multi_head/conv1d/kernel:0",
       3 * D, D),
    E_(ENC_QKV_B, "layer_0/self_attention/linear_0/bias", "layer_0/multi_head/conv1d/bias:0", 0,
       3 * D),
    E_(ENC_OUT_W, "layer_0/self_attention/linear_1/weight", "layer_0/multi_head/conv1d_1/kernel:0",
       D, D),
    E_(ENC_OUT_B, "layer_0/self_attention/linear_1/bias", "layer_0/multi_head/conv1d_1/bias:0", 0,
       D),
    E_(ENC_FFN_NORM_BETA, "layer_0/ffn/layer_norm/beta", "layer_0/ffn/LayerNorm/beta:0", 0, D),
    E_(ENC_FFN_NORM_GAMMA, "layer_0/ffn/layer_norm/gamma", "layer_0/ffn/LayerNorm/gamma:0", 0, D),
    E_(ENC_FFN_IN_W, "layer_0/ffn/linear_0/weight", "layer_0/ffn/conv1d/kernel:0", FE, D),
    E_(ENC_FFN_IN_B, "layer_0/ffn/linear_0/bias", "layer_0/ffn/conv1d/bias:0", 0, FE),
    E_(ENC_FFN_OUT_W, "layer_0/ffn/linear_1/weight", "layer_0/ffn/conv1d_1/kernel:0", D, FE),
    E_(ENC_FFN_OUT_B, "layer_0/ffn/linear_1/bias", "layer_0/ffn/conv1d_1/bias:0", 0, D),
    E_(ENCODER_NORM_BETA, "layer_norm/beta", "LayerNorm/beta:0", 0, D),
    E_(ENCODER_NORM_GAMMA, "layer_norm/gamma", "LayerNorm/gamma:0", 0, D),
    D_(TARGET_EMBED, "embeddings/weight", "w_embs:0", VT, D),
    D_(OUTPUT, "projection/weight", "dense/kernel:0", VT, D),
    D_(OUTPUT_BIAS, "projection/bias", "dense/bias:0", 0, VT),
    D_(DEC_SELF_NORM_BETA, "layer_0/self_attention/layer_norm/beta",
       "layer_0/masked_multi_head/LayerNorm/beta:0", 0, D),
    D_(DEC_SELF_NORM_GAMMA, "layer_0/self_attention/layer_norm/gamma",
       "layer_0/masked_multi_head/LayerNorm/gamma:0", 0, D),
    D_(DEC_QKV_W, "layer_0/self_attention/linear_0/weight",
       "layer_0/masked_multi_head/conv1d/kernel:0", 3 * D, D),
    D_(DEC_QKV_B, "layer_0/self_attention/linear_0/bias", "layer_0/masked_multi_head/conv1d/bias:0",
       0, 3 * D),
    D_(DEC_OUT_W, "layer_0/self_attention/linear_1/weight",
       "layer_0/masked_multi_head/conv1d_1/kernel:0", D, D),
    D_(DEC_OUT_B, "layer_0/self_attention/linear_1/bias",
       "layer_0/masked_multi_head/conv1d_1/bias:0", 0, D),
    D_(DEC_CROSS_NORM_BETA, "layer_0/attention/layer_norm/beta",
       "layer_0/multi_head/LayerNorm/beta:0", 0, D),
    D_(DEC_CROSS_NORM_GAMMA, "layer_0/attention/layer_norm/gamma",
       "layer_0/multi_head/LayerNorm/gamma:0", 0, D),
    D_(DEC_CROSS_Q_W, "layer_0/attention/linear_0/weight", "layer_0/multi_head/conv1d/kernel:0", D,
       D),
    D_(DEC_CROSS_Q_B, "layer_0/attention/linear_0/bias", "layer_0/multi_head/conv1d/bias:0", 0, D),
    D_(DEC_CROSS_KV_W, "layer_0/attention/linear_1/weight", "layer_0/multi_head/conv1d_1/kernel:0",
       2 * D, D),
    D_(DEC_CROSS_KV_B, "layer_0/attention/linear_1/bias", "layer_0/multi_head/conv1d_1/bias:0", 0,
       2 * D),
    D_(DEC_CROSS_OUT_W, "layer_0/attention/linear_2/weight", "layer_0/multi_head/conv1d_2/kernel:0",
       D, D),
    D_(DEC_CROSS_OUT_B, "layer_0/attention/linear_2/bias", "layer_0/multi_head/conv1d_2/bias:0", 0,
       D),
    D_(DEC_FFN_NORM_BETA, "layer_0/ffn/layer_norm/beta", "layer_0/ffn/LayerNorm/beta:0", 0, D),
    D_(DEC_FFN_NORM_GAMMA, "layer_0/ffn/layer_norm/gamma", "layer_0/ffn/LayerNorm/gamma:0", 0, D),
    D_(DEC_FFN_IN_W, "layer_0/ffn/linear_0/weight", "layer_0/ffn/conv1d/kernel:0", FD, D),
    D_(DEC_FFN_IN_B, "layer_0/ffn/linear_0/bias", "layer_0/ffn/conv1d/bias:0", 0, FD),
    D_(DEC_FFN_OUT_W, "layer_0/ffn/linear_1/weight", "layer_0/ffn/conv1d_1/kernel:0", D, FD),
    D_(DEC_FFN_OUT_B, "layer_0/ffn/linear_1/bias", "layer_0/ffn/conv1d_1/bias:0", 0, D),
    D_(DECODER_NORM_BETA, "layer_norm/beta", "LayerNorm/beta:0", 0, D),
    D_(DECODER_NORM_GAMMA, "layer_norm/gamma", "LayerNorm/gamma:0", 0, D),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* Small integers: exact in every type, and no two tensors alike. */
static int integer(size_t row, size_t i)
{
    return (int)((i * 37 + row * 11 + i / 7) % 121) - 60;
}

const struct ct2_style ct2_modern = {.version = 6, .revision = 7, .spec = "TransformerSpec"};

static float scale_of(const struct ct2_style *style, size_t row)
{
    return style->scale == CT2_SCALE_NONE ? 1000.0f : (float)(row + 2);
}
static bool is_integer(enum lng_ct2_type type)
{
    return type == LNG_CT2_I8 || type == LNG_CT2_I16;
}
static float value_of(const struct ct2_style *style, const struct row *row, size_t i)
{
    float value = (float)integer((size_t)(row - rows), i);
    if (row->rows == 0 || !is_integer(style->type))
        return value / 16;
    return value / scale_of(style, style->scale == CT2_SCALE_ROWS ? i / row->cols : 0);
}

static size_t encode(enum lng_ct2_type type, size_t row, size_t count, unsigned char *to)
{
    static const unsigned width[] = {4, 1, 2, 4, 2, 2};
    for (size_t i = 0; i < count; i++) {
        int q = integer(row, i);
        float value = (float)q / 16;
        uint16_t half = type == LNG_CT2_I16   ? (uint16_t)(int16_t)q
                        : type == LNG_CT2_F16 ? lng_f16_bits(value)
                                              : lng_f32_to_bf16(value);
        if (type == LNG_CT2_I8)
            to[i] = (unsigned char)(int8_t)q;
        else if (type == LNG_CT2_F32)
            memcpy(to + 4 * i, &value, 4);
        else
            memcpy(to + 2 * i, &half, 2);
    }
    return count * width[type];
}

static void put_row(const struct ct2_style *style, const struct row *row, const char *name,
                    size_t like)
{
    static unsigned char data[3 * D * D * 4];
    float scales[64];
    char scale_name[128];
    enum lng_ct2_type type = row->rows ? style->type : LNG_CT2_F32;
    size_t bytes = encode(type, like, (row->rows ? row->rows : 1) * (size_t)row->cols, data);
    ct2_variable(name, row->rows ? 2 : 1, row->rows, row->cols, type, data, bytes);
    if (!row->rows || !is_integer(style->type) || style->scale == CT2_SCALE_NONE)
        return;
    for (size_t i = 0; i < row->rows; i++)
        scales[i] = scale_of(style, i);
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    if (style->scale == CT2_SCALE_ROWS)
        ct2_variable(scale_name, 1, 0, row->rows, LNG_CT2_F32, scales, row->rows * 4);
    else
        ct2_variable(scale_name, 0, 0, 0, LNG_CT2_F32, scales, 4);
}

static bool has_row(const struct ct2_style *style, const struct row *row)
{
    size_t length = strlen(row->today);
    if (style->post_norm && strstr(row->today + 8, "layer_norm/") == row->today + 8)
        return false;
    if (style->rms && strcmp(row->today + length - 4, "beta") == 0)
        return false;
    return !(style->no_bias && strcmp(row->today + length - 4, "bias") == 0);
}

/* All tensors; `without` (a name of today, or NULL) is left out. */
void ct2_tensors(const struct ct2_style *style, const char *without)
{
    for (size_t i = 0; i < ROWS; i++) {
        bool tied = (rows[i].id == LNG_PARAM_OUTPUT && (style->tie_target || style->tie_all)) ||
                    (rows[i].id == LNG_PARAM_SOURCE_EMBED && style->tie_all);
        struct row row = rows[i];
        const char *name = style->revision <= 1 ? row.old : row.today;
        if (!has_row(style, &row) || (without && strcmp(row.today, without) == 0) ||
            (tied && style->version >= 3))
            continue;
        if (style->revision > 1 && style->revision < 4 && row.id == LNG_PARAM_SOURCE_EMBED)
            name = "encoder/embeddings/weight";
        row.rows = tied ? VT : row.rows;
        put_row(style, &row, name, tied ? 15 : i); /* 15: the target's embedding */
    }
    if (style->revision >= 5) {
        ct2_flag("encoder/num_heads", 2);
        ct2_variable("decoder/num_heads", 0, 0, 0, LNG_CT2_I16, &(int16_t){4}, 2);
        ct2_flag("encoder/pre_norm", !style->post_norm);
        ct2_flag("decoder/pre_norm", !style->post_norm);
    } else if (style->revision >= 3) {
        ct2_flag("num_heads", 4);
        ct2_flag("pre_norm", !style->post_norm);
    }
}

static void put_aliases(const struct ct2_style *style)
{
    static const char *const target[] = {"decoder/projection/weight", "decoder/embeddings/weight",
                                         NULL};
    static const char *const all[] = {"decoder/projection/weight", "decoder/embeddings/weight",
                                      "encoder/embeddings_0/weight", "decoder/embeddings/weight",
                                      NULL};
    ct2_finish(style->tie_all ? all : style->tie_target ? target : NULL);
}

void ct2_model(const struct ct2_style *style)
{
    ct2_begin(style->version, style->spec, style->revision);
    ct2_tensors(style, NULL);
    put_aliases(style);
}

struct lng_vocab *ct2_words(int count)
{
    static const char *const special[] = {"<blank>", "<s>", "</s>"};
    struct lng_vocab *vocab;
    check_ok(lng_vocab_open(&vocab));
    for (int i = 0; i < count; i++) {
        char word[2] = {(char)('a' + i), 0};
        const char *entry = i < 3 ? special[i] : i == count - 1 ? "<unk>" : word;
        check_ok(lng_vocab_add(vocab, entry, strlen(entry), NULL));
    }
    return vocab;
}

/* The file in memory, with vocabularies of VS and VT entries, or one of VT. */
enum lng_status ct2_import(bool shared, struct lng_import *import)
{
    struct lng_ct2_file file;
    struct lng_ct2_config config;
    LNG_TRY(lng_ct2_open_memory(&file, "model.bin", ct2_made.data, ct2_made.size));
    enum lng_status status = lng_ct2_config_read(&config, NULL, &file, NULL);
    if (status == LNG_OK) {
        status = lng_ct2_import_file(&file, &config, ct2_words(shared ? VT : VS),
                                     shared ? NULL : ct2_words(VT), import);
        lng_ct2_config_release(&config);
    }
    lng_ct2_close(&file);
    return status;
}

void ct2_check_values(const struct ct2_style *style, const struct lng_import *import)
{
    for (size_t r = 0; r < ROWS; r++) {
        bool global = strstr(rows[r].today, "layer_0") == NULL;
        const struct lng_param *param =
            lng_params_find(&import->data.params, rows[r].id, global ? -1 : 0);
        if (!has_row(style, &rows[r]))
            continue;
        if (!param) { /* tied */
            cr_assert(rows[r].id <= LNG_PARAM_OUTPUT, "%s", rows[r].today);
            continue;
        }
        size_t count = (rows[r].rows ? rows[r].rows : 1) * (size_t)rows[r].cols;
        for (size_t i = 0; i < count; i++) {
            float got = import->data.values[param->offset + (int64_t)i],
                  want = value_of(style, &rows[r], i);
            cr_assert(got == want, "version %u, %s: %g at %zu, want %g", style->version,
                      rows[r].today, (double)got, i, (double)want);
        }
    }
}
