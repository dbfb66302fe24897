#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/model/positions.h"
#include "host/store/hf.h"
#include "host/store/hf_internal.h"
#include "host/store/hparams_json.h"
#include "host/store/int8_rows.h"
#include "host/store/listing.h"
#include "host/store/numbers.h"
#include "host/store/safetensors.h"

/* The matrix that decoder inputs are looked up in. */
static const struct lng_param *target_table(const struct lng_hparams *h,
                                            const struct lng_params *params)
{
    return lng_params_find(params,
                           h->tie == LNG_TIE_ALL ? LNG_PARAM_SHARED : LNG_PARAM_TARGET_EMBED, -1);
}

static bool all_zero(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static const char *pre_norm_obstacle(const struct lng_hparams *h, const struct lng_params *params,
                                     const float *values)
{
    const struct lng_param *bias = lng_params_find(params, LNG_PARAM_OUTPUT_BIAS, -1);
    if (h->tie != LNG_TIE_ALL)
        return "a pre-norm model must tie all embeddings";
    if (bias && (!values || !all_zero(values + bias->offset, bias->cols)))
        return "a pre-norm model must have no output bias";
    if (h->positions != LNG_POSITIONS_A || h->position_offset != h->pad + 1)
        return "a pre-norm model must have positions of family A that start at pad + 1";
    if (h->decoder_start < 0)
        return "a pre-norm model must start decoding from a token";
    return NULL;
}

static const char *post_norm_obstacle(const struct lng_hparams *h, const struct lng_params *params,
                                      const float *values)
{
    if (h->position_offset != 0)
        return "the positions of a post-norm model must start at 0";
    if (h->pad >= h->source_vocab)
        return "the pad id must lie in the source vocabulary too";
    if (h->decoder_start < 0 && values &&
        !all_zero(values + target_table(h, params)->offset + (int64_t)h->pad * h->dim, h->dim))
        return "the embedding of pad must be zero, since decoding starts from it";
    return NULL;
}

const char *lng_hf_obstacle(const struct lng_hparams *h, const struct lng_params *params,
                            const float *values)
{
    if (h->norm != LNG_NORM_LAYER)
        return "the norm must be layer norm";
    if (h->attention_score != LNG_ATTENTION_DOT || !h->attention_scaled)
        return "attention must be the scaled dot product";
    if (h->pad < 0)
        return "the vocabulary must have a pad token";
    return h->pre_norm ? pre_norm_obstacle(h, params, values)
                       : post_norm_obstacle(h, params, values);
}

/* ---- tensors ---- */

/* Writes a stored position table where the Marian class would compute another one. */
static bool stores_positions(const struct lng_hparams *h)
{
    return !h->pre_norm && h->position_offset == 0 &&
           (h->positions == LNG_POSITIONS_A || h->positions == LNG_POSITIONS_C);
}

static bool writes_zero_bias(const struct lng_hparams *h)
{
    return !h->pre_norm && !h->output_bias; /* transformers complains when it is missing */
}

/* An int8 tensor and, beside it, its scales. */
static enum lng_status declare_plane(struct lng_safetensors_writer *writer, const char *name,
                                     const int64_t shape[2])
{
    LNG_TRY(lng_safetensors_writer_declare(writer, name, LNG_SAFETENSORS_I8, shape, 2));
    char *scales = lng_format("%s" LNG_HF_SCALE_SUFFIX, name);
    if (!scales)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_safetensors_writer_declare(writer, scales, LNG_SAFETENSORS_F32, shape, 1);
    lng_free(scales);
    return status;
}

/* And of a table what that leaves. */
static enum lng_status declare_int8(struct lng_safetensors_writer *writer,
                                    const struct lng_param *param, int part, const int64_t shape[2])
{
    LNG_TRY(declare_plane(writer, param->hf[part], shape));
    if (!lng_param_is_table(param))
        return LNG_OK;
    char *rest = lng_format("%s" LNG_HF_REST_SUFFIX, param->hf[part]);
    if (!rest)
        return LNG_ERR_MEMORY;
    enum lng_status status = declare_plane(writer, rest, shape);
    lng_free(rest);
    return status;
}

/* left: NULL, or values less what they became. */
static enum lng_status add_plane(struct lng_safetensors_writer *writer, const float *values,
                                 int64_t rows, int64_t cols, float *left)
{
    int8_t *q = lng_alloc((size_t)(rows * cols), 1);
    float *scales = lng_alloc((size_t)rows, sizeof *scales);
    enum lng_status status = q && scales ? LNG_OK : LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(status);
    LNG_TRY_OR_FAIL(lng_int8_rows(values, rows, cols, q, scales));
    LNG_TRY_OR_FAIL(lng_safetensors_writer_add_raw(writer, q, (uint64_t)(rows * cols)));
    LNG_TRY_OR_FAIL(lng_safetensors_writer_add_f32(writer, scales, (uint64_t)rows));
    for (int64_t i = 0; left && i < rows * cols; i++)
        left[i] = values[i] - (float)q[i] * scales[i / cols];
fail:
    lng_free(q);
    lng_free(scales);
    return status;
}

static enum lng_status add_int8(struct lng_safetensors_writer *writer,
                                const struct lng_param *param, const float *values)
{
    const int64_t rows = param->rows / param->parts;
    if (!lng_param_is_table(param))
        return add_plane(writer, values, rows, param->cols, NULL);
    float *left = lng_alloc((size_t)(rows * param->cols), sizeof *left);
    if (!left)
        return LNG_ERR_MEMORY;
    enum lng_status status = add_plane(writer, values, rows, param->cols, left);
    if (status == LNG_OK)
        status = add_plane(writer, left, rows, param->cols, NULL);
    lng_free(left);
    return status;
}

static enum lng_status declare(struct lng_safetensors_writer *writer,
                               const struct lng_hf_save_args *args)
{
    const struct lng_hparams *h = args->hparams;
    enum lng_safetensors_type type =
        args->dtype == LNG_DTYPE_BF16 ? LNG_SAFETENSORS_BF16 : LNG_SAFETENSORS_F32;
    for (size_t i = 0; i < args->params->count; i++) {
        const struct lng_param *param = &args->params->list[i];
        bool vector = param->rows == 1 && param->id != LNG_PARAM_OUTPUT_BIAS;
        int64_t shape[2] = {param->rows / param->parts, param->cols};
        if (vector)
            shape[0] = param->cols / param->parts;
        else if (param->id == LNG_PARAM_OUTPUT_BIAS)
            shape[0] = 1;
        for (int part = 0; part < param->parts; part++)
            LNG_TRY(args->dtype == LNG_DTYPE_I8 && lng_hf_param_in_int8(param)
                        ? declare_int8(writer, param, part, shape)
                        : lng_safetensors_writer_declare(writer, param->hf[part], type, shape,
                                                         vector ? 1 : 2));
    }
    int64_t bias_shape[2] = {1, h->target_vocab}, table_shape[2] = {h->max_positions, h->dim};
    if (writes_zero_bias(h))
        LNG_TRY(lng_safetensors_writer_declare(writer, "final_logits_bias", type, bias_shape, 2));
    if (stores_positions(h)) {
        LNG_TRY(lng_safetensors_writer_declare(writer, "model.encoder.embed_positions.weight",
                                               LNG_SAFETENSORS_F32, table_shape, 2));
        LNG_TRY(lng_safetensors_writer_declare(writer, "model.decoder.embed_positions.weight",
                                               LNG_SAFETENSORS_F32, table_shape, 2));
    }
    return LNG_OK;
}

static enum lng_status add_extras(struct lng_safetensors_writer *writer,
                                  const struct lng_hparams *h)
{
    enum lng_status status = LNG_OK;
    int64_t table = stores_positions(h) ? (int64_t)h->max_positions * h->dim : 0;
    float *values =
        lng_alloc((size_t)(table > h->target_vocab ? table : h->target_vocab), sizeof *values);
    if (!values)
        return LNG_ERR_MEMORY;
    if (writes_zero_bias(h))
        LNG_TRY_OR_FAIL(lng_safetensors_writer_add_f32(writer, values, (uint64_t)h->target_vocab));
    if (table > 0) {
        lng_positions_fill(values, h->max_positions, h->dim, h->positions);
        LNG_TRY_OR_FAIL(lng_safetensors_writer_add_f32(writer, values, (uint64_t)table));
        LNG_TRY_OR_FAIL(lng_safetensors_writer_add_f32(writer, values, (uint64_t)table));
    }
fail:
    lng_free(values);
    return status;
}

static enum lng_status add_values(struct lng_safetensors_writer *writer,
                                  const struct lng_hf_save_args *args)
{
    for (size_t i = 0; i < args->params->count; i++) {
        const struct lng_param *param = &args->params->list[i];
        const float *values = args->values + param->offset;
        size_t count = (size_t)(param->rows * param->cols);
        size_t bad = lng_first_not_finite(values, count);
        LNG_FAIL_IF(
            bad < count, LNG_ERR_RANGE,
            "%s: parameter %s has the value %g at element %zu: a model that is not finite is "
            "not written",
            args->directory, param->name, (double)values[bad], bad);
        size_t part = count / (size_t)param->parts;
        for (int p = 0; p < param->parts; p++)
            LNG_TRY(args->dtype == LNG_DTYPE_I8 && lng_hf_param_in_int8(param)
                        ? add_int8(writer, param, values + (size_t)p * part)
                        : lng_safetensors_writer_add_f32(writer, values + (size_t)p * part, part));
    }
    return add_extras(writer, args->hparams);
}

static enum lng_status save_tensors(const struct lng_hf_save_args *args)
{
    enum lng_status status;
    struct lng_safetensors_writer writer = {.file.fd = -1};
    char *path = lng_path_join(args->directory, "model.safetensors");
    if (!path)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_safetensors_writer_open(&writer, path));
    LNG_TRY_OR_FAIL(declare(&writer, args));
    LNG_TRY_OR_FAIL(add_values(&writer, args));
    LNG_TRY_OR_FAIL(lng_safetensors_writer_commit(&writer, NULL, NULL));
fail:
    lng_safetensors_writer_discard(&writer);
    lng_free(path);
    return status;
}

/* ---- generation_config.json ---- */

static json_t *id_or_null(int32_t id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

static int32_t start_id(const struct lng_hparams *h)
{
    return h->decoder_start >= 0 ? h->decoder_start : h->pad;
}

static enum lng_status fill_generation(const struct lng_hf_save_args *args, json_t *root)
{
    const struct lng_hparams *h = args->hparams;
    const struct lng_generation *g = &args->generation;
    int32_t length = g->max_length > 0 ? g->max_length : h->max_positions;
    LNG_TRY(lng_json_set(root, "num_beams", json_integer(g->beams > 0 ? g->beams : 4)));
    LNG_TRY(lng_json_set(root, "max_length", json_integer(length)));
    if (isfinite(g->length_penalty))
        LNG_TRY(lng_json_set(root, "length_penalty", json_real(g->length_penalty)));
    if (h->pad >= 0)
        LNG_TRY(lng_json_set(root, "bad_words_ids", json_pack("[[i]]", (int)h->pad)));
    if (g->forced_bos >= 0)
        LNG_TRY(lng_json_set(root, "forced_bos_token_id", json_integer(g->forced_bos)));
    LNG_TRY(lng_json_set(root, "decoder_start_token_id", id_or_null(start_id(h))));
    LNG_TRY(lng_json_set(root, "eos_token_id", json_integer(h->eos)));
    LNG_TRY(lng_json_set(root, "forced_eos_token_id", json_integer(h->eos)));
    return lng_json_set(root, "pad_token_id", id_or_null(h->pad));
}

typedef enum lng_status filler(const struct lng_hf_save_args *args, json_t *root);
static enum lng_status write_object(const struct lng_hf_save_args *args, const char *name,
                                    filler *fill)
{
    enum lng_status status;
    json_t *root = json_object();
    char *path = lng_path_join(args->directory, name);
    LNG_GOTO_FAIL_IF(!root || !path, LNG_ERR_MEMORY, "%s: out of memory", name);
    LNG_TRY_OR_FAIL(fill(args, root));
    status = lng_json_write(path, root);
fail:
    json_decref(root);
    lng_free(path);
    return status;
}

/* ---- config.json ---- */

static enum lng_status fill_sizes(const struct lng_hparams *h, json_t *root)
{
    const struct {
        const char *key;
        int32_t value;
    } sizes[] = {
        {"vocab_size", h->source_vocab},
        {"decoder_vocab_size", h->target_vocab},
        {"d_model", h->dim},
        {"num_hidden_layers", h->encoder_layers},
        {"encoder_layers", h->encoder_layers},
        {"decoder_layers", h->decoder_layers},
        {"encoder_attention_heads", h->encoder_heads},
        {"decoder_attention_heads", h->decoder_heads},
        {"encoder_ffn_dim", h->encoder_ffn},
        {"decoder_ffn_dim", h->decoder_ffn},
        {"max_position_embeddings", h->max_positions},
        {"encoder_layerdrop", 0},
        {"decoder_layerdrop", 0},
        {"eos_token_id", h->eos},
        {"forced_eos_token_id", h->eos},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        LNG_TRY(lng_json_set(root, sizes[i].key, json_integer(sizes[i].value)));
    LNG_TRY(lng_json_set(root, "bos_token_id", json_null()));
    LNG_TRY(lng_json_set(root, "pad_token_id", id_or_null(h->pad)));
    LNG_TRY(lng_json_set(root, "decoder_start_token_id", id_or_null(start_id(h))));
    LNG_TRY(lng_json_set(root, "activation_function",
                         json_string(lng_activation_hf_name(h->activation))));
    LNG_TRY(lng_json_set(root, "scale_embedding", json_boolean(h->scale_embedding)));
    LNG_TRY(lng_json_set(root, "share_encoder_decoder_embeddings",
                         json_boolean(h->tie == LNG_TIE_ALL)));
    LNG_TRY(lng_json_set(root, "tie_word_embeddings", json_boolean(h->tie != LNG_TIE_NONE)));
    LNG_TRY(lng_json_set(root, "static_position_embeddings",
                         json_boolean(h->positions != LNG_POSITIONS_LEARNED)));
    LNG_TRY(lng_json_set(root, "is_encoder_decoder", json_true()));
    return lng_json_set(root, "use_cache", json_true());
}

static enum lng_status add_checksum(const char *directory, const char *name, json_t *files)
{
    struct lng_blob blob = {.fd = -1};
    uint64_t checksum = 0;
    char text[24];
    char *path = lng_path_join(directory, name);
    enum lng_status status = path ? lng_blob_open(&blob, path) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = lng_blob_checksum(&blob, 0, blob.size, &checksum);
    snprintf(text, sizeof text, "%016" PRIx64, checksum);
    if (status == LNG_OK)
        status = lng_json_set(
            files, name, json_pack("{s:I, s:s}", "bytes", (json_int_t)blob.size, "xxh3", text));
    lng_blob_close(&blob);
    lng_free(path);
    return status;
}

/* Every file of the folder but config.json. */
static enum lng_status fill_files(const char *directory, json_t *files)
{
    struct lng_listing listing;
    LNG_TRY(lng_listing_make(&listing, directory));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < listing.count && status == LNG_OK; i++)
        if (strcmp(listing.names[i], "config.json") != 0)
            status = add_checksum(directory, listing.names[i], files);
    lng_listing_release(&listing);
    return status;
}

static enum lng_status fill_lingster(const struct lng_hf_save_args *args, const char *obstacle,
                                     json_t *lingster)
{
    LNG_TRY(lng_json_set(lingster, "version", json_integer(LNG_HF_VERSION)));
    LNG_TRY(lng_hparams_to_json(args->hparams, LNG_HPARAMS_EXTRA, lingster));
    if (obstacle)
        LNG_TRY(lng_json_set(lingster, "not_in_transformers", json_string(obstacle)));
    if (args->provenance) {
        json_t *provenance = NULL;
        LNG_TRY(
            lng_json_parse("provenance", args->provenance, strlen(args->provenance), &provenance));
        LNG_TRY(lng_json_set(lingster, "provenance", provenance));
    }
    json_t *files = json_object();
    LNG_TRY(lng_json_set(lingster, "files", files));
    return fill_files(args->directory, files);
}

static enum lng_status fill_config(const struct lng_hf_save_args *args, json_t *root)
{
    const struct lng_hparams *h = args->hparams;
    const char *obstacle = lng_hf_obstacle(h, args->params, args->values);
    const char *type = obstacle ? "lingster" : h->pre_norm ? "m2m_100" : "marian";
    const char *class = obstacle      ? "LingsterModel"
                        : h->pre_norm ? "M2M100ForConditionalGeneration"
                                      : "MarianMTModel";
    LNG_TRY(lng_json_set(root, "model_type", json_string(type)));
    LNG_TRY(lng_json_set(root, "architectures", json_pack("[s]", class)));
    LNG_TRY(lng_json_set(root, "torch_dtype",
                         json_string(args->dtype == LNG_DTYPE_BF16 ? "bfloat16" : "float32")));
    LNG_TRY(fill_sizes(h, root));
    if (args->dtype == LNG_DTYPE_I8)
        LNG_TRY(lng_json_set(root, "quantization_config",
                             json_pack("{s:s, s:i, s:s}", "quant_method", LNG_HF_QUANT_METHOD,
                                       "bits", 8, "scales", "row")));
    json_t *lingster = json_object();
    LNG_TRY(lng_json_set(root, "lingster", lingster));
    return fill_lingster(args, obstacle, lingster);
}

enum lng_status lng_hf_save(const struct lng_hf_save_args *args)
{
    LNG_FAIL_IF(args->dtype != LNG_DTYPE_F32 && args->dtype != LNG_DTYPE_BF16 &&
                    args->dtype != LNG_DTYPE_I8,
                LNG_ERR_DTYPE, "%s: models are written in f32, bf16 or int8, not %s",
                args->directory, lng_dtype_name(args->dtype));
    LNG_TRY(lng_hparams_check(args->hparams));
    LNG_TRY(save_tensors(args));
    LNG_TRY(write_object(args, "generation_config.json", fill_generation));
    return write_object(args, "config.json", fill_config);
}
