#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/marian_internal.h"
#include "host/store/numbers.h"
#include "host/store/safetensors.h"

enum {
    LISTED = 8, /* names in a message */
    CONFIG_BYTES = 1 << 20,
    ENCODER_TENSORS = 16, /* in each layer; one a norm less with RMS norm */
    DECODER_TENSORS = 26,
};

struct importing {
    struct lng_marian_files files;
    struct lng_npz npz;
    struct lng_marian_config config;
    struct lng_buffer text;            /* special:model.yml, to its first NUL */
    struct lng_params plain;           /* as in the file: without <pad> */
    struct lng_marian_tensor *tensors; /* [count] */
    size_t count;
    bool *used; /* [npz.count] */
    struct lng_import result;
};

/* ---- the configuration ---- */

static enum lng_status read_config(struct importing *in)
{
    const char *file = in->npz.blob.name;
    const struct lng_npz_member *member = lng_npz_find(&in->npz, LNG_MARIAN_CONFIG_NAME);
    LNG_FAIL_IF(!member, LNG_ERR_FORMAT,
                "%s: expected an array \"" LNG_MARIAN_CONFIG_NAME
                "\", which says what model it is, found none: this is no model of Marian, or one "
                "from before 2018",
                file);
    LNG_FAIL_IF(member->array.bytes != member->array.elements || member->array.bytes > CONFIG_BYTES,
                LNG_ERR_FORMAT,
                "%s: array \"" LNG_MARIAN_CONFIG_NAME
                "\": expected at most %d bytes of text, found %" PRIu64 " of %s",
                file, CONFIG_BYTES, member->array.bytes, lng_npy_type_name(member->array.type));
    LNG_TRY(lng_buffer_reserve(&in->text, (size_t)member->array.bytes));
    LNG_TRY(lng_npz_read_raw(&in->npz, member, in->text.data));
    in->text.length = strnlen(in->text.data, (size_t)member->array.bytes);
    in->text.data[in->text.length] = '\0';
    char *name = lng_format("%s: " LNG_MARIAN_CONFIG_NAME, file);
    enum lng_status status =
        name ? lng_marian_config_parse(name, in->text.data, in->text.length, &in->config)
             : LNG_ERR_MEMORY;
    lng_free(name);
    return status;
}

/* What the tensors decide. */
static enum lng_status settle(struct importing *in)
{
    struct lng_hparams *h = &in->config.hparams;
    const struct lng_npz_member *positions = lng_npz_find(&in->npz, "Wpos");
    bool said = h->positions == LNG_POSITIONS_LEARNED;
    in->config.old_output = h->tie == LNG_TIE_NONE &&
                            !lng_npz_find(&in->npz, "decoder_ff_logit_out_Wt") &&
                            lng_npz_find(&in->npz, "decoder_ff_logit_out_W");
    h->positions = positions ? LNG_POSITIONS_LEARNED : LNG_POSITIONS_A;
    h->scale_embedding = !positions;
    if (said != (positions != NULL))
        LNG_TRY(lng_buffer_append_format(
            &in->result.data.warnings,
            "%s: transformer-train-position-embeddings is %s, but there is %s tensor Wpos: %s\n",
            in->npz.blob.name, said ? "true" : "false", positions ? "a" : "no",
            positions ? "learned positions are used"
                      : "Marian ignored the option when it trained this, sinusoids are used"));
    if (!positions)
        return LNG_OK;
    int64_t rows = positions->array.rank == 2 ? positions->array.shape[0] : 0;
    LNG_FAIL_IF(rows < 1 || rows > 1 << 24, LNG_ERR_SHAPE,
                "%s: array \"Wpos\": expected shape [positions, %d]", in->npz.blob.name, h->dim);
    h->max_positions = (int32_t)rows;
    return LNG_OK;
}

/* ---- is everything there, and of the right shape? ---- */

/* Vectors may be stored as [n] or [1, n]. */
static bool shape_fits(const struct lng_npy *array, const struct lng_marian_tensor *tensor)
{
    if (array->rank == 2)
        return array->shape[0] == tensor->shape[0] && array->shape[1] == tensor->shape[1];
    return array->rank == 1 && tensor->shape[0] == 1 && array->shape[0] == tensor->shape[1];
}

static enum lng_status check_tensor(const struct importing *in,
                                    const struct lng_marian_tensor *tensor,
                                    struct lng_buffer *missing, size_t *missing_count)
{
    char found[LNG_SHAPE_TEXT_BYTES], expected[LNG_SHAPE_TEXT_BYTES];
    const struct lng_npz_member *member = lng_npz_find(&in->npz, tensor->name);
    if (member)
        in->used[member - in->npz.list] = true;
    else if (++*missing_count <= LISTED)
        LNG_TRY(lng_buffer_append_format(missing, "%s%s", *missing_count > 1 ? ", " : "",
                                         tensor->name));
    LNG_FAIL_IF(member && !shape_fits(&member->array, tensor), LNG_ERR_SHAPE,
                "%s: array \"%s\": " LNG_MARIAN_CONFIG_NAME " makes it %s, found shape %s",
                in->npz.blob.name, tensor->name, lng_shape_text(tensor->shape, 2, expected),
                lng_shape_text(member->array.shape, member->array.rank, found));
    return LNG_OK;
}

static enum lng_status check_inventory(const struct importing *in)
{
    struct lng_buffer missing = {0};
    size_t count = 0;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < in->count && status == LNG_OK; i++)
        status = check_tensor(in, &in->tensors[i], &missing, &count);
    if (status == LNG_OK && count > 0)
        status =
            lng_fail(LNG_ERR_FORMAT,
                     "%s: %zu arrays that " LNG_MARIAN_CONFIG_NAME " asks for are missing: %s%s",
                     in->npz.blob.name, count, missing.data, count > LISTED ? ", ..." : "");
    lng_buffer_release(&missing);
    return status;
}

/* Arrays of names that no option of ours explains belong to something that would have to be computed; those that
 * Marian has in other models are left over from an earlier training. */
static enum lng_status check_surplus(struct importing *in)
{
    struct lng_buffer strange = {0};
    size_t count = 0;
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < in->npz.count && status == LNG_OK; i++) {
        const char *name = in->npz.list[i].name;
        if (in->used[i] || strncmp(name, "special:", 8) == 0)
            continue;
        if (lng_marian_knows_name(name))
            status =
                lng_buffer_append_format(&in->result.data.warnings,
                                         "%s: array \"%s\" is not used\n", in->npz.blob.name, name);
        else if (++count <= LISTED)
            status = lng_buffer_append_format(&strange, "%s%.100s", count > 1 ? ", " : "", name);
    }
    if (status == LNG_OK && count > 0)
        status = lng_fail(LNG_ERR_UNSUPPORTED,
                          "%s: %zu arrays belong to parts of Marian that are not supported: %s%s",
                          in->npz.blob.name, count, strange.data, count > LISTED ? ", ..." : "");
    lng_buffer_release(&strange);
    return status;
}

static enum lng_status take_stock(struct importing *in)
{
    const struct lng_hparams *h = &in->config.hparams;
    int norm = h->norm == LNG_NORM_RMS;
    int64_t least = (int64_t)h->encoder_layers * (ENCODER_TENSORS - 2 * norm) +
                    (int64_t)h->decoder_layers * (DECODER_TENSORS - 3 * norm);
    /* Before anything is allocated for layers that a lying configuration has. */
    LNG_FAIL_IF(least > (int64_t)in->npz.count, LNG_ERR_FORMAT,
                "%s: expected at least %" PRId64 " arrays for %d encoder and %d decoder layers, "
                "found %zu",
                in->npz.blob.name, least, h->encoder_layers, h->decoder_layers, in->npz.count);
    LNG_TRY(lng_params_init(&in->plain, h));
    LNG_TRY(lng_marian_tensors(&in->config, &in->plain, &in->tensors, &in->count));
    in->used = lng_alloc(in->npz.count, sizeof *in->used);
    if (!in->used)
        return LNG_ERR_MEMORY;
    LNG_TRY(check_inventory(in));
    return check_surplus(in);
}

/* ---- vocabularies ---- */

/* Appends <pad>, or the first <padN> that is no entry yet; its text is *pad. */
static enum lng_status append_pad(struct lng_vocab *source, struct lng_vocab *target, char **pad)
{
    char text[32] = LNG_PAD_TEXT;
    for (int i = 2; lng_vocab_find(source, text, strlen(text)) >= 0 ||
                    (target && lng_vocab_find(target, text, strlen(text)) >= 0);
         i++)
        snprintf(text, sizeof text, "<pad%d>", i);
    LNG_TRY(lng_vocab_add(source, text, strlen(text), NULL));
    if (target)
        LNG_TRY(lng_vocab_add(target, text, strlen(text), NULL));
    *pad = lng_strdup(text);
    return *pad ? LNG_OK : LNG_ERR_MEMORY;
}

static enum lng_status check_same(const struct importing *in, const struct lng_vocab *source,
                                  const struct lng_vocab *target)
{
    int32_t id = lng_vocab_first_difference(source, target);
    LNG_FAIL_IF(id >= 0, LNG_ERR_MISMATCH,
                "%s and %s: expected one vocabulary, since all embeddings are tied, found another "
                "entry %d",
                in->files.source_vocab, in->files.target_vocab, id);
    return LNG_OK;
}

static int32_t id_of(const struct lng_vocab *vocab, const char *text)
{
    return lng_vocab_find(vocab, text, strlen(text));
}

static enum lng_status read_vocabs(struct importing *in)
{
    struct lng_hparams *h = &in->config.hparams;
    struct lng_import *result = &in->result;
    struct lng_buffer *warnings = &result->data.warnings;
    const struct lng_marian_files *files = &in->files;
    bool one_file = strcmp(files->source_vocab, files->target_vocab) == 0;
    bool shared = h->tie == LNG_TIE_ALL;
    LNG_TRY(lng_marian_vocab_read(files->source_vocab, h->source_vocab, &result->source, warnings));
    if (!shared || !one_file) {
        LNG_TRY(
            lng_marian_vocab_read(files->target_vocab, h->target_vocab, &result->target, warnings));
        if (shared)
            LNG_TRY(check_same(in, result->source, result->target));
    }
    if (shared) {
        lng_vocab_close(result->target);
        result->target = NULL;
    }
    const struct lng_vocab *target = shared ? result->source : result->target;
    result->eos = lng_strdup(LNG_EOS_TEXT);
    result->unk = lng_strdup(LNG_UNK_TEXT);
    if (!result->eos || !result->unk)
        return LNG_ERR_MEMORY;
    h->source_eos = id_of(result->source, LNG_EOS_TEXT);
    h->eos = id_of(target, LNG_EOS_TEXT);
    h->unk = id_of(target, LNG_UNK_TEXT);
    h->decoder_start = -1;
    return append_pad(result->source, result->target, &result->pad);
}

/* ---- the values ---- */

static enum lng_status read_tensor(const struct importing *in,
                                   const struct lng_marian_tensor *tensor, float *values)
{
    const struct lng_npz_member *member = lng_npz_find(&in->npz, tensor->name);
    bool turned = tensor->layout == LNG_MARIAN_COLUMNS;
    size_t count = (size_t)member->array.elements;
    float *stored = turned ? lng_alloc(count, sizeof *stored) : values;
    if (!stored)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_npz_read_f32(&in->npz, member, stored);
    size_t bad = status == LNG_OK ? lng_first_not_finite(stored, count) : count;
    if (bad < count)
        status = lng_fail(LNG_ERR_RANGE,
                          "%s: array \"%s\": expected finite values, found %g at element %zu",
                          in->npz.blob.name, tensor->name, (double)stored[bad], bad);
    if (status == LNG_OK && turned)
        lng_marian_transpose(stored, values, tensor->rows, tensor->cols);
    if (turned)
        lng_free(stored);
    return status;
}

/* The model gets a row more, for <pad>, in all that has the size of a vocabulary; the others' values stay where they are,
 * since that row is the last. */
static enum lng_status read_values(struct importing *in)
{
    struct lng_model_data *data = &in->result.data, fresh;
    struct lng_hparams h = in->config.hparams;
    h.pad = h.target_vocab;
    h.source_vocab++;
    h.target_vocab++;
    h.output_bias = true;
    LNG_TRY(lng_model_data_init(&fresh, &h));
    fresh.warnings = data->warnings;
    fresh.generation = in->files.generation;
    *data = fresh;
    for (size_t i = 0; i < in->count; i++) {
        const struct lng_marian_tensor *tensor = &in->tensors[i];
        const struct lng_param *to =
            lng_params_find(&data->params, tensor->param->id, tensor->param->layer);
        LNG_TRY(read_tensor(in, tensor, data->values + to->offset + tensor->values_begin));
    }
    const struct lng_param *bias = lng_params_find(&data->params, LNG_PARAM_OUTPUT_BIAS, -1);
    data->values[bias->offset + h.pad] = LNG_IMPORT_NEVER;
    return LNG_OK;
}

/* ---- what the user and later exports are told ---- */

static const char *activation_text(enum lng_activation activation)
{
    return activation == LNG_ACTIVATION_RELU    ? "relu: "
           : activation == LNG_ACTIVATION_SWISH ? "swish: "
           : activation == LNG_ACTIVATION_GELU
               ? "gelu (erf): so since Marian 1.12.1; "
               : "gelu as x sigmoid(1.702 x): so up to Marian 1.12.0; ";
}

static enum lng_status describe(struct importing *in)
{
    const struct lng_marian_config *config = &in->config;
    const struct lng_hparams *h = &config->hparams;
    struct lng_buffer *to = &in->result.choices;
    bool learned = h->positions == LNG_POSITIONS_LEARNED;
    LNG_TRY(lng_buffer_append_format(
        to,
        learned ? "positions: learned (%d): the model has a tensor Wpos\n"
                : "positions: sinusoids of family A: Marian's own, from position 0\n",
        h->max_positions));
    LNG_TRY(lng_buffer_append_format(to, "norm epsilon: %g: fixed in Marian's code\n",
                                     h->norm_epsilon));
    LNG_TRY(lng_buffer_append_format(
        to, "norm: %s-norm, %s norm: %s\n", h->pre_norm ? "pre" : "post",
        h->norm == LNG_NORM_RMS ? "RMS" : "layer",
        h->pre_norm ? "computed as trained; Marian's decoder differs, it takes "
                      "unnormalised keys and values from the second step on"
                    : "transformer-postprocess"));
    LNG_TRY(lng_buffer_append_format(to, "activation: %stransformer-ffn-activation, version '%s'\n",
                                     activation_text(h->activation), config->version));
    LNG_TRY(lng_buffer_append_format(to,
                                     "decoder start: zero embedding: Marian has no start symbol\n"
                                     "end of sentence: " LNG_EOS_TEXT
                                     " (%d), unknown: " LNG_UNK_TEXT
                                     " (%d): looked up in the vocabulary\n"
                                     "padding: %s (%d): appended, it can never be produced\n",
                                     h->eos, h->unk, in->result.pad, in->result.data.hparams.pad));
    if (config->omit_bias)
        LNG_TRY(lng_buffer_append_text(to, "output bias: zeros: the model has none, <pad> needs "
                                           "one\n"));
    if (config->same_embedding)
        LNG_TRY(lng_buffer_append_text(to, "embeddings: two copies of one matrix: "
                                           "tied-embeddings-src\n"));
    LNG_TRY(lng_buffer_append_format(
        to, "vocabularies: %s, %s: %s\n", lng_path_name(in->files.source_vocab),
        lng_path_name(in->files.target_vocab), in->files.vocab_reason));
    if (in->files.clean != LNG_CLEAN_NONE)
        LNG_TRY(lng_buffer_append_format(
            to, "source text: cleaned (%s): as the package's preprocess.sh does\n",
            lng_clean_name(in->files.clean)));
    return lng_buffer_append_text(
        to, in->files.source_spm ? "text: cut by SentencePiece: its models lie beside\n"
                                 : "text: cut at spaces: no SentencePiece models lie beside\n");
}

/* Pre-norm Transformers of older versions were trained with unnormalised keys and values. */
static enum lng_status warn_old_pre_norm(struct importing *in)
{
    if (!in->config.hparams.pre_norm || lng_marian_version_after(&in->config, 1, 9, 0xFFFF))
        return LNG_OK;
    return lng_buffer_append_format(
        &in->result.data.warnings,
        "%s: a pre-norm model of version '%s': before 1.10 Marian trained these with unnormalised "
        "keys and values, which is not supported; compare its scores of known pairs\n",
        in->npz.blob.name, in->config.version);
}

/* The configuration as it is, so that an export can write it again. */
static enum lng_status keep_provenance(struct importing *in)
{
    struct lng_buffer text = {0};
    json_t *root = json_object(), *marian = json_object();
    enum lng_status status = lng_json_set(root, "imported_from", json_string("Marian"));
    if (status != LNG_OK) {
        json_decref(marian);
        goto fail;
    }
    LNG_TRY_OR_FAIL(lng_json_set(root, "marian", marian));
    LNG_TRY_OR_FAIL(lng_json_set(marian, "model.yml", json_string(in->text.data)));
    LNG_TRY_OR_FAIL(lng_json_set(marian, "old_output", json_boolean(in->config.old_output)));
    LNG_TRY_OR_FAIL(lng_json_print_compact(root, &text));
    in->result.data.provenance = lng_strdup(text.data);
    status = in->result.data.provenance ? LNG_OK : LNG_ERR_MEMORY;
fail:
    json_decref(root);
    lng_buffer_release(&text);
    return status;
}

static enum lng_status import_model(struct importing *in, const char *path,
                                    const struct lng_marian_import_args *args)
{
    /* First what the user named: a page of HTML has no vocabularies beside it, and they are not what is wrong. */
    bool named = lng_text_ends_in(path, ".npz");
    if (named)
        LNG_TRY(lng_npz_open(&in->npz, path));
    LNG_TRY(lng_marian_files_find(&in->files, path, args));
    if (!named)
        LNG_TRY(lng_npz_open(&in->npz, in->files.model));
    LNG_TRY(read_config(in));
    LNG_TRY(settle(in));
    LNG_TRY(take_stock(in));
    LNG_TRY(read_vocabs(in));
    LNG_TRY(read_values(in));
    LNG_TRY(describe(in));
    LNG_TRY(keep_provenance(in));
    LNG_TRY(warn_old_pre_norm(in));
    if (in->files.warnings.length > 0)
        LNG_TRY(lng_buffer_append(&in->result.data.warnings, in->files.warnings.data,
                                  in->files.warnings.length));
    in->result.text = in->files.source_spm ? LNG_IMPORT_SPM : LNG_IMPORT_SYMBOLS;
    in->result.clean = in->files.source_spm ? in->files.clean : LNG_CLEAN_NONE;
    in->result.source_spm = in->files.source_spm;
    in->result.target_spm = in->files.target_spm;
    in->files.source_spm = in->files.target_spm = NULL;
    return LNG_OK;
}

enum lng_status lng_marian_import(const char *path, const struct lng_marian_import_args *args,
                                  struct lng_import *import)
{
    struct importing in = {.npz.blob.fd = -1};
    enum lng_status status = import_model(&in, path, args);
    if (status == LNG_OK)
        *import = in.result;
    else
        lng_import_release(&in.result);
    lng_npz_close(&in.npz);
    lng_marian_files_release(&in.files);
    lng_buffer_release(&in.text);
    lng_params_release(&in.plain);
    lng_free(in.tensors);
    lng_free(in.used);
    return status;
}
