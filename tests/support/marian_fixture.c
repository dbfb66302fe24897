#include "tests/support/marian_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/npz_fixture.h"
#include "tests/support/random_data.h"

struct marian_fixture marian_small(void)
{
    struct lng_hparams h = lng_hparams_default();
    h.source_vocab = h.target_vocab = 11;
    h.dim = 8;
    h.encoder_layers = 2;
    h.decoder_layers = 1;
    h.encoder_heads = h.decoder_heads = 2;
    h.encoder_ffn = h.decoder_ffn = 12;
    h.positions = LNG_POSITIONS_A;
    h.norm_epsilon = 1e-6;
    return (struct marian_fixture){.hparams = h, .version = "v1.12.43 c9f287db"};
}

static float *values_of(const struct lng_model_data *data, enum lng_param_id id, int layer)
{
    const struct lng_param *param = lng_params_find(&data->params, id, layer);
    cr_assert(param != NULL, "parameter %d of layer %d", (int)id, layer);
    return data->values + param->offset;
}

struct lng_model_data marian_values(const struct marian_fixture *fixture, uint32_t seed)
{
    const struct lng_hparams *h = &fixture->hparams;
    struct lng_model_data data = random_data(h, seed);
    for (int64_t i = 0; i < data.params.total; i++)
        data.values[i] = roundf(data.values[i] * 256) / 256;
    if (h->positions == LNG_POSITIONS_LEARNED)
        memcpy(values_of(&data, LNG_PARAM_DECODER_POSITIONS, -1),
               values_of(&data, LNG_PARAM_ENCODER_POSITIONS, -1),
               (size_t)(h->max_positions * h->dim) * sizeof(float));
    if (fixture->same_embedding)
        memcpy(values_of(&data, LNG_PARAM_TARGET_EMBED, -1),
               values_of(&data, LNG_PARAM_SOURCE_EMBED, -1),
               (size_t)(h->target_vocab * h->dim) * sizeof(float));
    return data;
}

/* ---- tensors ---- */

struct bag {
    const struct marian_fixture *fixture;
    const struct lng_model_data *data;
    struct item {
        char name[64];
        int64_t rows, cols;
        float *values;
    } items[200];
    size_t count;
};

static float *put(struct bag *bag, const char *name, int64_t rows, int64_t cols)
{
    struct item *item = &bag->items[bag->count++];
    cr_assert(bag->count < 200);
    snprintf(item->name, sizeof item->name, "%s", name);
    item->rows = rows;
    item->cols = cols;
    item->values = lng_alloc((size_t)(rows * cols), sizeof *item->values);
    return item->values;
}

static void put_rows(struct bag *bag, const char *name, enum lng_param_id id, int64_t rows,
                     int64_t cols)
{
    memcpy(put(bag, name, rows, cols), values_of(bag->data, id, -1),
           (size_t)(rows * cols) * sizeof(float));
}

/* Part `part` of y = W x + b as Marian keeps it: x W^T of shape [in, out], and [1, out]. */
static void put_linear(struct bag *bag, const char *prefix, const char *which,
                       enum lng_param_id weight, enum lng_param_id bias, int layer, int part,
                       int64_t in, int64_t out)
{
    char name[96];
    const float *w = values_of(bag->data, weight, layer) + part * in * out;
    const float *b = values_of(bag->data, bias, layer) + part * out;
    snprintf(name, sizeof name, "%s_W%s", prefix, which);
    float *to = put(bag, name, in, out);
    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++)
            to[i * out + o] = w[o * in + i];
    snprintf(name, sizeof name, "%s_b%s", prefix, which);
    memcpy(put(bag, name, 1, out), b, (size_t)out * sizeof *b);
}

/* after: "" or "_pre" */
static void put_norm(struct bag *bag, const char *prefix, const char *after,
                     enum lng_param_id gamma, int layer)
{
    const struct lng_hparams *h = &bag->fixture->hparams;
    bool rms = h->norm == LNG_NORM_RMS;
    size_t bytes = (size_t)h->dim * sizeof(float);
    char name[96];
    snprintf(name, sizeof name, "%s_%s_scale%s", prefix, rms ? "rms" : "ln", after);
    memcpy(put(bag, name, 1, h->dim), values_of(bag->data, gamma, layer), bytes);
    if (rms)
        return;
    snprintf(name, sizeof name, "%s_ln_bias%s", prefix, after);
    memcpy(put(bag, name, 1, h->dim), values_of(bag->data, gamma + 1, layer), bytes);
}

static void put_encoder_layer(struct bag *bag, int layer, const char *after)
{
    const struct lng_hparams *h = &bag->fixture->hparams;
    char self[64], ffn[64], name[80];
    snprintf(self, sizeof self, "encoder_l%d_self", layer + 1);
    snprintf(ffn, sizeof ffn, "encoder_l%d_ffn", layer + 1);
    for (int part = 0; part < 3; part++)
        put_linear(bag, self, (const char *[]){"q", "k", "v"}[part], LNG_PARAM_ENC_QKV_W,
                   LNG_PARAM_ENC_QKV_B, layer, part, h->dim, h->dim);
    put_linear(bag, self, "o", LNG_PARAM_ENC_OUT_W, LNG_PARAM_ENC_OUT_B, layer, 0, h->dim, h->dim);
    snprintf(name, sizeof name, "%s_Wo", self);
    put_norm(bag, name, after, LNG_PARAM_ENC_SELF_NORM_GAMMA, layer);
    put_linear(bag, ffn, "1", LNG_PARAM_ENC_FFN_IN_W, LNG_PARAM_ENC_FFN_IN_B, layer, 0, h->dim,
               h->encoder_ffn);
    put_linear(bag, ffn, "2", LNG_PARAM_ENC_FFN_OUT_W, LNG_PARAM_ENC_FFN_OUT_B, layer, 0,
               h->encoder_ffn, h->dim);
    snprintf(name, sizeof name, "%s_ffn", ffn);
    put_norm(bag, name, after, LNG_PARAM_ENC_FFN_NORM_GAMMA, layer);
}

static void put_decoder_layer(struct bag *bag, int layer, const char *after)
{
    const struct lng_hparams *h = &bag->fixture->hparams;
    char self[64], cross[64], ffn[64], name[80];
    snprintf(self, sizeof self, "decoder_l%d_self", layer + 1);
    snprintf(cross, sizeof cross, "decoder_l%d_context", layer + 1);
    snprintf(ffn, sizeof ffn, "decoder_l%d_ffn", layer + 1);
    for (int part = 0; part < 3; part++)
        put_linear(bag, self, (const char *[]){"q", "k", "v"}[part], LNG_PARAM_DEC_QKV_W,
                   LNG_PARAM_DEC_QKV_B, layer, part, h->dim, h->dim);
    put_linear(bag, self, "o", LNG_PARAM_DEC_OUT_W, LNG_PARAM_DEC_OUT_B, layer, 0, h->dim, h->dim);
    snprintf(name, sizeof name, "%s_Wo", self);
    put_norm(bag, name, after, LNG_PARAM_DEC_SELF_NORM_GAMMA, layer);
    put_linear(bag, cross, "q", LNG_PARAM_DEC_CROSS_Q_W, LNG_PARAM_DEC_CROSS_Q_B, layer, 0, h->dim,
               h->dim);
    put_linear(bag, cross, "k", LNG_PARAM_DEC_CROSS_KV_W, LNG_PARAM_DEC_CROSS_KV_B, layer, 0,
               h->dim, h->dim);
    put_linear(bag, cross, "v", LNG_PARAM_DEC_CROSS_KV_W, LNG_PARAM_DEC_CROSS_KV_B, layer, 1,
               h->dim, h->dim);
    put_linear(bag, cross, "o", LNG_PARAM_DEC_CROSS_OUT_W, LNG_PARAM_DEC_CROSS_OUT_B, layer, 0,
               h->dim, h->dim);
    snprintf(name, sizeof name, "%s_Wo", cross);
    put_norm(bag, name, after, LNG_PARAM_DEC_CROSS_NORM_GAMMA, layer);
    put_linear(bag, ffn, "1", LNG_PARAM_DEC_FFN_IN_W, LNG_PARAM_DEC_FFN_IN_B, layer, 0, h->dim,
               h->decoder_ffn);
    put_linear(bag, ffn, "2", LNG_PARAM_DEC_FFN_OUT_W, LNG_PARAM_DEC_FFN_OUT_B, layer, 0,
               h->decoder_ffn, h->dim);
    snprintf(name, sizeof name, "%s_ffn", ffn);
    put_norm(bag, name, after, LNG_PARAM_DEC_FFN_NORM_GAMMA, layer);
}

static void put_output(struct bag *bag)
{
    const struct lng_hparams *h = &bag->fixture->hparams;
    int64_t v = h->target_vocab, d = h->dim;
    const float *w = values_of(bag->data, LNG_PARAM_OUTPUT, -1);
    if (!bag->fixture->old_output) {
        put_rows(bag, "decoder_ff_logit_out_Wt", LNG_PARAM_OUTPUT, v, d);
        return;
    }
    float *to = put(bag, "decoder_ff_logit_out_W", d, v);
    for (int64_t i = 0; i < d; i++)
        for (int64_t o = 0; o < v; o++)
            to[i * v + o] = w[o * d + i];
}

static void fill(struct bag *bag)
{
    const struct lng_hparams *h = &bag->fixture->hparams;
    const char *after = h->pre_norm ? "_pre" : "";
    if (h->tie == LNG_TIE_ALL) {
        put_rows(bag, "Wemb", LNG_PARAM_SHARED, h->target_vocab, h->dim);
    } else if (bag->fixture->same_embedding) {
        put_rows(bag, "Wemb", LNG_PARAM_SOURCE_EMBED, h->source_vocab, h->dim);
    } else {
        put_rows(bag, "encoder_Wemb", LNG_PARAM_SOURCE_EMBED, h->source_vocab, h->dim);
        put_rows(bag, "decoder_Wemb", LNG_PARAM_TARGET_EMBED, h->target_vocab, h->dim);
    }
    if (h->tie == LNG_TIE_NONE)
        put_output(bag);
    if (!bag->fixture->omit_bias)
        put_rows(bag, "decoder_ff_logit_out_b", LNG_PARAM_OUTPUT_BIAS, 1, h->target_vocab);
    if (h->positions == LNG_POSITIONS_LEARNED)
        put_rows(bag, "Wpos", LNG_PARAM_ENCODER_POSITIONS, h->max_positions, h->dim);
    if (h->pre_norm) {
        put_norm(bag, "encoder_top", "", LNG_PARAM_ENCODER_NORM_GAMMA, -1);
        put_norm(bag, "decoder_top", "", LNG_PARAM_DECODER_NORM_GAMMA, -1);
    }
    for (int layer = 0; layer < h->encoder_layers; layer++)
        put_encoder_layer(bag, layer, after);
    for (int layer = 0; layer < h->decoder_layers; layer++)
        put_decoder_layer(bag, layer, after);
    if (bag->fixture->extra)
        put(bag, bag->fixture->extra, 1, 2);
}

/* ---- files ---- */

const char *marian_yaml(const struct marian_fixture *fixture)
{
    static char text[4096];
    static const char *const steps[2][2][3] = {{{"\"\"", "dan", "\"\""}, {"\"\"", "dar", "\"\""}},
                                               {{"n", "da", "n"}, {"r", "da", "r"}}};
    const struct lng_hparams *h = &fixture->hparams;
    const char *const *step = steps[h->pre_norm][h->norm == LNG_NORM_RMS];
    bool all = h->tie == LNG_TIE_ALL, by_source = fixture->tied_by_source;
    const char *activation = h->activation == LNG_ACTIVATION_RELU    ? "relu"
                             : h->activation == LNG_ACTIVATION_SWISH ? "swish"
                                                                     : "gelu";
    snprintf(text, sizeof text,
             "type: transformer\ndim-vocabs:\n  - %d\n  - %d\ndim-emb: %d\nenc-depth: %d\n"
             "dec-depth: %d\ntransformer-heads: %d\ntransformer-dim-ffn: %d\n"
             "transformer-decoder-dim-ffn: %d\ntransformer-ffn-activation: %s\n"
             "transformer-preprocess: %s\ntransformer-postprocess: %s\n"
             "transformer-postprocess-top: %s\ntied-embeddings: %s\ntied-embeddings-all: %s\n"
             "tied-embeddings-src: %s\noutput-omit-bias: %s\n"
             "transformer-train-position-embeddings: %s\nsome-new-key: [1, 2]\n%sversion: %s",
             h->source_vocab, h->target_vocab, h->dim, h->encoder_layers, h->decoder_layers,
             h->encoder_heads, h->encoder_ffn,
             h->decoder_ffn == h->encoder_ffn ? 0 : h->decoder_ffn, activation, step[0], step[1],
             step[2], h->tie == LNG_TIE_TARGET || by_source ? "true" : "false",
             all && !by_source ? "true" : "false",
             fixture->same_embedding || by_source ? "true" : "false",
             fixture->omit_bias ? "true" : "false",
             h->positions == LNG_POSITIONS_LEARNED && !fixture->positions_unsaid ? "true" : "false",
             fixture->more ? fixture->more : "", fixture->version);
    return text;
}

static uint16_t half(float value)
{
    int exponent;
    if (value == 0)
        return 0;
    float mantissa = frexpf(fabsf(value), &exponent);
    return (uint16_t)((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 |
                      (int)((mantissa * 2 - 1) * 1024));
}

static void write_item(struct npz_fixture *npz, const struct marian_fixture *fixture,
                       struct item *item)
{
    char shape[64];
    bool misshapen = fixture->misshapen && strcmp(fixture->misshapen, item->name) == 0;
    size_t count = (size_t)(item->rows * item->cols);
    if (misshapen)
        snprintf(shape, sizeof shape, "(%d, 1, %d)", (int)item->rows, (int)item->cols);
    else if (fixture->flat_vectors && item->rows == 1)
        snprintf(shape, sizeof shape, "(%d,)", (int)item->cols);
    else
        snprintf(shape, sizeof shape, "(%d, %d)", (int)item->rows, (int)item->cols);
    if (!fixture->half) {
        npz_fixture_array(npz, item->name, "<f4", shape, item->values, count * 4, fixture->kind);
        return;
    }
    uint16_t *halves = lng_alloc(count, sizeof *halves);
    for (size_t i = 0; i < count; i++)
        halves[i] = half(item->values[i]);
    npz_fixture_array(npz, item->name, "<f2", shape, halves, count * 2, fixture->kind);
    lng_free(halves);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char *path = lng_path_join(directory, name);
    check_ok(lng_file_write(path, text, strlen(text)));
    lng_free(path);
}

static void write_vocab(const char *directory, const char *name, const char *prefix, int32_t size)
{
    char text[1024] = "</s>: 0\n<unk>: 1\n";
    for (int32_t id = 2; id < size; id++)
        snprintf(text + strlen(text), 32, "\"%s%d\": %d\n", prefix, id, id);
    write_text(directory, name, text);
}

void marian_save(const struct marian_fixture *fixture, const struct lng_model_data *data,
                 const char *directory)
{
    static struct bag bag;
    char padded[4096] = {0}, shape[32];
    struct npz_fixture npz = {0};
    const struct lng_hparams *h = &fixture->hparams;
    const char *yaml = marian_yaml(fixture);
    size_t length = (strlen(yaml) / 256 + 1) * 256;
    bag = (struct bag){.fixture = fixture, .data = data};
    fill(&bag);
    qsort(bag.items, bag.count, sizeof bag.items[0], by_name);
    for (size_t i = 0; i < bag.count; i++) {
        if (!fixture->left_out || strcmp(fixture->left_out, bag.items[i].name) != 0)
            write_item(&npz, fixture, &bag.items[i]);
        lng_free(bag.items[i].values);
    }
    memcpy(padded, yaml, strlen(yaml));
    snprintf(shape, sizeof shape, "(%zu,)", length);
    npz_fixture_array(&npz, "special:model.yml", fixture->kind ? "|i1" : "<i1", shape, padded,
                      length, fixture->kind);
    npz_fixture_end(&npz);
    check_ok(lng_make_directories(directory));
    char *path = lng_path_join(directory, "model.npz");
    check_ok(lng_file_write(path, npz.file.data, npz.file.length));
    lng_free(path);
    npz_fixture_release(&npz);
    bool shared = h->tie == LNG_TIE_ALL;
    write_vocab(directory, shared ? "vocab.yml" : "src.yml", shared ? "w" : "s", h->source_vocab);
    if (!shared)
        write_vocab(directory, "trg.yml", "t", h->target_vocab);
    write_text(directory, "decoder.yml",
               shared ? "relative-paths: true\nmodels:\n  - model.npz\nvocabs:\n  - vocab.yml\n"
                        "  - vocab.yml\nbeam-size: 6\nnormalize: 0.6\n"
                      : "relative-paths: true\nmodels:\n  - model.npz\nvocabs:\n  - src.yml\n"
                        "  - trg.yml\nbeam-size: 6\nnormalize: 0.6\n");
}
