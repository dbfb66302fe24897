#include <math.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/hf.h"
#include "host/store/hf_internal.h"
#include "host/store/hparams_json.h"

enum { CONFIG_BYTES = 16 << 20, VOCABULARY_BYTES = 256 << 20, MOST_TOKENS = 1 << 24 };

/* An integer that config.json must hold. */
static enum lng_status need(const struct lng_hf_config *config, const char *key, int64_t low,
                            int64_t high, int32_t *field)
{
    int64_t value = 0;
    LNG_TRY(lng_json_get_int(config->root, config->path, key, low, high, &value));
    *field = (int32_t)value;
    return LNG_OK;
}

/* One that may be missing or null: *field then stays. */
static enum lng_status may(const struct lng_hf_config *config, const char *key, int64_t low,
                           int64_t high, int32_t *field)
{
    return lng_json_has(config->root, key) ? need(config, key, low, high, field) : LNG_OK;
}

static enum lng_status may_bool(const struct lng_hf_config *config, const char *key, bool *field)
{
    return lng_json_has(config->root, key)
               ? lng_json_get_bool(config->root, config->path, key, field)
               : LNG_OK;
}

static enum lng_status read_type(struct lng_hf_config *config)
{
    static const char *const names[] = {"marian", "m2m_100", "lingster"};
    const char *name;
    LNG_TRY(lng_json_get_string(config->root, config->path, "model_type", &name));
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            config->type = (enum lng_hf_type)i;
            return LNG_OK;
        }
    }
    char found[LNG_JSON_TEXT_BYTES];
    return lng_fail(
        LNG_ERR_UNSUPPORTED,
        "%s: key \"model_type\": expected marian (MarianMT, OPUS-MT), m2m_100 (M2M-100, "
        "NLLB) or lingster, found %s",
        config->path, lng_json_describe(json_object_get(config->root, "model_type"), found));
}

static enum lng_status read_sizes(struct lng_hf_config *config)
{
    struct lng_hparams *h = &config->hparams;
    const char *activation;
    LNG_TRY(need(config, "d_model", 2, 1 << 16, &h->dim));
    LNG_TRY(need(config, "encoder_layers", 1, 1000, &h->encoder_layers));
    LNG_TRY(need(config, "decoder_layers", 1, 1000, &h->decoder_layers));
    LNG_TRY(need(config, "encoder_attention_heads", 1, h->dim, &h->encoder_heads));
    LNG_TRY(need(config, "decoder_attention_heads", 1, h->dim, &h->decoder_heads));
    LNG_TRY(need(config, "encoder_ffn_dim", 1, 1 << 20, &h->encoder_ffn));
    LNG_TRY(need(config, "decoder_ffn_dim", 1, 1 << 20, &h->decoder_ffn));
    LNG_TRY(need(config, "vocab_size", 2, MOST_TOKENS, &h->source_vocab));
    h->target_vocab = h->source_vocab;
    LNG_TRY(need(config, "max_position_embeddings", 1, MOST_TOKENS, &h->max_positions));
    LNG_TRY(lng_json_get_string(config->root, config->path, "activation_function", &activation));
    LNG_FAIL_IF(!lng_activation_from_hf(activation, &h->activation), LNG_ERR_UNSUPPORTED,
                "%s: key \"activation_function\": expected relu, silu, swish, gelu, gelu_new or "
                "quick_gelu, found \"%s\"",
                config->path, activation);
    return may_bool(config, "scale_embedding", &h->scale_embedding);
}

static enum lng_status read_ties(struct lng_hf_config *config)
{
    struct lng_hparams *h = &config->hparams;
    bool shared = true, tied = true;
    LNG_TRY(may_bool(config, "tie_word_embeddings", &tied));
    if (config->type != LNG_HF_M2M)
        LNG_TRY(may_bool(config, "share_encoder_decoder_embeddings", &shared));
    if (!shared)
        LNG_TRY(may(config, "decoder_vocab_size", 2, MOST_TOKENS, &h->target_vocab));
    h->tie = !tied ? LNG_TIE_NONE : shared ? LNG_TIE_ALL : LNG_TIE_TARGET;
    config->shared_untied = shared && !tied;
    return LNG_OK;
}

/* Old configurations of the Marian class carry switches that its code no longer reads; a model that was
 * made with one of them on would be computed wrongly. */
static enum lng_status refuse_switches(const struct lng_hf_config *config)
{
    static const char *const off[] = {"normalize_before", "normalize_embedding",
                                      "add_final_layer_norm"};
    for (size_t i = 0; config->type == LNG_HF_MARIAN && i < sizeof off / sizeof off[0]; i++) {
        bool on = false;
        LNG_TRY(may_bool(config, off[i], &on));
        LNG_FAIL_IF(on, LNG_ERR_UNSUPPORTED,
                    "%s: key \"%s\": expected false for a marian model, found true", config->path,
                    off[i]);
    }
    return LNG_OK;
}

/* Id of a piece in a vocabulary file, or -1 when file or piece are not there. */
static enum lng_status piece_id(const char *directory, const char *name, const char *piece,
                                int32_t size, int32_t *id)
{
    *id = -1;
    char *path = lng_path_join(directory, name);
    if (!path)
        return LNG_ERR_MEMORY;
    json_t *vocabulary = NULL;
    enum lng_status status = LNG_OK;
    if (lng_file_exists(path))
        status = lng_json_read_object(path, VOCABULARY_BYTES, &vocabulary);
    if (status == LNG_OK && lng_json_has(vocabulary, piece)) {
        int64_t value = -1;
        status = lng_json_get_int(vocabulary, path, piece, 0, (int64_t)size - 1, &value);
        *id = (int32_t)value;
    }
    json_decref(vocabulary);
    lng_free(path);
    return status;
}

static enum lng_status read_tokens(struct lng_hf_config *config, const char *directory)
{
    struct lng_hparams *h = &config->hparams;
    bool m2m = config->type == LNG_HF_M2M;
    bool separate = config->type != LNG_HF_M2M && h->tie != LNG_TIE_ALL && !config->shared_untied;
    LNG_TRY(need(config, "eos_token_id", 0, h->target_vocab - 1, &h->eos));
    h->pad = -1;
    if (config->type == LNG_HF_LINGSTER)
        LNG_TRY(may(config, "pad_token_id", 0, h->target_vocab - 1, &h->pad));
    else
        LNG_TRY(need(config, "pad_token_id", 0, h->target_vocab - 1, &h->pad));
    h->decoder_start = h->pad;
    if (config->type != LNG_HF_LINGSTER)
        LNG_TRY(need(config, "decoder_start_token_id", 0, h->target_vocab - 1, &h->decoder_start));
    h->source_eos = h->eos;
    h->unk = m2m ? 3 : 1;
    if (config->lingster) /* it says both */
        return LNG_OK;
    int32_t id = -1;
    const char *target = "vocab.json";
    if (separate) {
        target = "target_vocab.json";
        LNG_TRY(piece_id(directory, "vocab.json", "</s>", h->source_vocab, &id));
        if (id >= 0)
            h->source_eos = id;
    }
    LNG_TRY(piece_id(directory, target, "<unk>", h->target_vocab, &id));
    if (id >= 0)
        h->unk = id;
    else if (h->unk >= h->target_vocab)
        h->unk = -1;
    return LNG_OK;
}

static enum lng_status read_lingster(struct lng_hf_config *config)
{
    if (config->type == LNG_HF_LINGSTER || lng_json_has(config->root, "lingster"))
        LNG_TRY(lng_json_get_object(config->root, config->path, "lingster", &config->lingster));
    if (!config->lingster)
        return LNG_OK;
    int64_t version = 0;
    LNG_TRY(lng_json_get_int(config->lingster, config->path, "version", 1, INT32_MAX, &version));
    LNG_FAIL_IF(version > LNG_HF_VERSION, LNG_ERR_UNSUPPORTED,
                "%s: key \"lingster\": expected version %d, found %lld: the model was written by a "
                "newer lingster",
                config->path, LNG_HF_VERSION, (long long)version);
    return LNG_OK;
}

/* Lays the lingster key over what the model type implies. */
static enum lng_status apply_lingster(struct lng_hf_config *config)
{
    struct lng_hparams *h = &config->hparams;
    bool pre_norm = h->pre_norm;
    if (!config->lingster)
        return LNG_OK;
    LNG_TRY(lng_hparams_from_json(
        config->lingster, config->path,
        config->type == LNG_HF_LINGSTER ? LNG_HPARAMS_EXTRA : LNG_HPARAMS_NONE, h));
    LNG_FAIL_IF(config->type != LNG_HF_LINGSTER && h->pre_norm != pre_norm, LNG_ERR_MISMATCH,
                "%s: key \"lingster\": pre_norm does not fit the model_type", config->path);
    config->positions_said = lng_json_has(config->lingster, "positions");
    config->output_bias_said = lng_json_has(config->lingster, "output_bias");
    config->decoder_start_said = lng_json_has(config->lingster, "decoder_start");
    return LNG_OK;
}

/* Models quantised by others have tensors of other meanings. */
static enum lng_status read_quantization(struct lng_hf_config *config)
{
    json_t *object = NULL;
    const char *method = NULL;
    int64_t bits = 0;
    if (!lng_json_has(config->root, "quantization_config"))
        return LNG_OK;
    LNG_TRY(lng_json_get_object(config->root, config->path, "quantization_config", &object));
    LNG_TRY(lng_json_get_string(object, config->path, "quant_method", &method));
    LNG_FAIL_IF(strcmp(method, LNG_HF_QUANT_METHOD) != 0, LNG_ERR_UNSUPPORTED,
                "%s: key \"quantization_config\": expected quant_method \"" LNG_HF_QUANT_METHOD
                "\", found \"%s\"; quantise the original model with `lingster quantize`",
                config->path, method);
    LNG_TRY(lng_json_get_int(object, config->path, "bits", 8, 8, &bits));
    config->int8 = true;
    return LNG_OK;
}

static enum lng_status read_config(struct lng_hf_config *config, const char *directory)
{
    struct lng_hparams *h = &config->hparams;
    *h = lng_hparams_default();
    h->norm_epsilon = 1e-5; /* both classes take nn.LayerNorm as it is */
    LNG_TRY(read_type(config));
    bool m2m = config->type == LNG_HF_M2M;
    h->pre_norm = m2m;
    h->scale_embedding = m2m; /* the classes' defaults */
    h->positions = m2m ? LNG_POSITIONS_A : LNG_POSITIONS_B;
    h->output_bias = !m2m;
    LNG_TRY(read_lingster(config));
    LNG_TRY(refuse_switches(config));
    LNG_TRY(read_sizes(config));
    LNG_TRY(read_ties(config));
    LNG_TRY(read_quantization(config));
    LNG_TRY(read_tokens(config, directory));
    h->position_offset = m2m ? h->pad + 1 : 0;
    LNG_TRY(apply_lingster(config));
    config->saved_by_others = lng_json_has(config->root, "transformers_version");
    enum lng_status status = lng_hparams_check(h);
    return status == LNG_OK ? LNG_OK : lng_fail_context(status, "%s", config->path);
}

/* Takes `root` over. */
static enum lng_status open_root(struct lng_hf_config *config, const char *directory, json_t *root)
{
    struct lng_hf_config fresh = {.path = lng_path_join(directory, "config.json"), .root = root};
    enum lng_status status = fresh.path ? read_config(&fresh, directory) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        *config = fresh;
    else
        lng_hf_config_close(&fresh);
    return status;
}

enum lng_status lng_hf_config_open(struct lng_hf_config *config, const char *directory)
{
    json_t *root = NULL;
    char *path = lng_path_join(directory, "config.json");
    enum lng_status status =
        path ? lng_json_read_object(path, CONFIG_BYTES, &root) : LNG_ERR_MEMORY;
    lng_free(path);
    return status == LNG_OK ? open_root(config, directory, root) : status;
}

enum lng_status lng_hf_config_parse(struct lng_hf_config *config, const char *directory,
                                    const char *text, size_t size)
{
    json_t *root = NULL;
    LNG_TRY(lng_json_parse("config.json", text, size, &root));
    return open_root(config, directory, root);
}

void lng_hf_config_close(struct lng_hf_config *config)
{
    json_decref(config->root);
    lng_free(config->path);
    *config = (struct lng_hf_config){0};
}

static enum lng_status read_generation(const json_t *object, const char *file,
                                       const struct lng_hparams *h,
                                       struct lng_generation *generation)
{
    int64_t value;
    if (lng_json_has(object, "num_beams")) {
        LNG_TRY(lng_json_get_int(object, file, "num_beams", 1, 1 << 16, &value));
        generation->beams = (int32_t)value;
    }
    if (lng_json_has(object, "max_length")) {
        LNG_TRY(lng_json_get_int(object, file, "max_length", 1, MOST_TOKENS, &value));
        generation->max_length = (int32_t)value;
    }
    if (lng_json_has(object, "length_penalty"))
        LNG_TRY(lng_json_get_double(object, file, "length_penalty", -1e3, 1e3,
                                    &generation->length_penalty));
    if (lng_json_has(object, "forced_bos_token_id")) {
        LNG_TRY(
            lng_json_get_int(object, file, "forced_bos_token_id", 0, h->target_vocab - 1, &value));
        generation->forced_bos = (int32_t)value;
    }
    return LNG_OK;
}

enum lng_status lng_hf_read_generation(const struct lng_hf_config *config, const char *directory,
                                       struct lng_generation *generation)
{
    /* Older models keep these in config.json itself; the newer file has the last word. */
    *generation = (struct lng_generation){.length_penalty = NAN, .forced_bos = -1};
    LNG_TRY(read_generation(config->root, config->path, &config->hparams, generation));
    char *path = lng_path_join(directory, "generation_config.json");
    if (!path)
        return LNG_ERR_MEMORY;
    json_t *root = NULL;
    enum lng_status status = LNG_OK;
    if (lng_file_exists(path)) {
        status = lng_json_read_object(path, CONFIG_BYTES, &root);
        if (status == LNG_OK)
            status = read_generation(root, path, &config->hparams, generation);
    }
    json_decref(root);
    lng_free(path);
    return status;
}
