#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/json.h"
#include "host/store/marian_internal.h"
#include "host/store/numbers.h"

enum { CONFIG_STEP = 256 }; /* special:model.yml is filled up to a multiple of it */

struct exporting {
    const struct lng_marian_export_args *args;
    const struct lng_hparams *h;
    const struct lng_vocab *source, *target;
    bool drop_target_pad, drop_source_pad;
    struct lng_buffer problems;
    size_t problem_count;
    struct lng_marian_config
        config;              /* of what is written; its hparams have no <pad> that is dropped */
    struct lng_buffer text;  /* special:model.yml */
    struct lng_params plain; /* of config */
    struct lng_marian_tensor *tensors;
    size_t count;
};

static enum lng_status warn(const struct exporting *out, const char *text)
{
    return out->args->warnings ? lng_buffer_append_format(out->args->warnings, "%s: %s\n",
                                                          out->args->directory, text)
                               : LNG_OK;
}

static const float *values_of(const struct exporting *out, enum lng_param_id id)
{
    const struct lng_param *param = lng_params_find(out->args->params, id, -1);
    return param ? out->args->values + param->offset : NULL;
}

static bool all_zero(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] != 0)
            return false;
    return true;
}

static bool equal(const float *a, const float *b, int64_t count)
{
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* ---- what Marian cannot compute ---- */

static enum lng_status problem(struct exporting *out, bool there, const char *text)
{
    if (!there)
        return LNG_OK;
    return lng_buffer_append_format(&out->problems, "%s%s", out->problem_count++ > 0 ? "; " : "",
                                    text);
}

static bool starts_from_zero(const struct exporting *out)
{
    const struct lng_hparams *h = out->h;
    const float *table =
        values_of(out, h->tie == LNG_TIE_ALL ? LNG_PARAM_SHARED : LNG_PARAM_TARGET_EMBED);
    return h->decoder_start < 0 || all_zero(table + (int64_t)h->decoder_start * h->dim, h->dim);
}

static enum lng_status find_shape_problems(struct exporting *out)
{
    const struct lng_hparams *h = out->h;
    bool learned = h->positions == LNG_POSITIONS_LEARNED;
    LNG_TRY(problem(out, h->attention_score != LNG_ATTENTION_DOT || !h->attention_scaled,
                    "attention must be the scaled dot product"));
    LNG_TRY(problem(out, h->encoder_heads != h->decoder_heads,
                    "encoder and decoder must have the same number of heads"));
    LNG_TRY(problem(out, !learned && h->positions != LNG_POSITIONS_A,
                    "positions must be the sinusoids of family A, or learned"));
    LNG_TRY(problem(out, h->position_offset != 0, "positions must start at 0"));
    LNG_TRY(problem(out, h->scale_embedding == learned,
                    "embeddings must be scaled with sinusoids, and only with them"));
    LNG_TRY(problem(out,
                    learned && !equal(values_of(out, LNG_PARAM_ENCODER_POSITIONS),
                                      values_of(out, LNG_PARAM_DECODER_POSITIONS),
                                      (int64_t)h->max_positions * h->dim),
                    "encoder and decoder must have the same learned positions"));
    LNG_TRY(problem(out, !lng_marian_version_for(h->activation),
                    "the activation must be relu, swish, or gelu (erf or sigmoid form)"));
    return problem(out, !starts_from_zero(out),
                   "decoding must start from a zero embedding, not from a token of its own");
}

/* The entry of that name is this id, or there is none. */
static bool name_is_free(const struct lng_vocab *vocab, const char *name, int32_t id)
{
    int32_t found = lng_vocab_find(vocab, name, strlen(name));
    return found < 0 || found == id;
}

static int32_t source_unk(const struct exporting *out)
{
    return out->source == out->target
               ? out->h->unk
               : lng_vocab_find(out->source, LNG_UNK_TEXT, strlen(LNG_UNK_TEXT));
}

static enum lng_status find_vocab_problems(struct exporting *out)
{
    const struct lng_hparams *h = out->h;
    LNG_FAIL_IF(lng_vocab_size(out->source) != h->source_vocab ||
                    lng_vocab_size(out->target) != h->target_vocab,
                LNG_ERR_MISMATCH,
                "%s: expected vocabularies of %d and %d entries, as the model has, found %d and %d",
                out->args->directory, h->source_vocab, h->target_vocab, lng_vocab_size(out->source),
                lng_vocab_size(out->target));
    LNG_TRY(problem(out, h->unk < 0 || source_unk(out) < 0,
                    "both vocabularies must have an unknown entry (<unk>)"));
    LNG_TRY(problem(out, h->source_eos < 0, "the source must end in an end-of-sentence entry"));
    return problem(out,
                   !name_is_free(out->target, LNG_EOS_TEXT, h->eos) ||
                       !name_is_free(out->target, LNG_UNK_TEXT, h->unk) ||
                       !name_is_free(out->source, LNG_EOS_TEXT, h->source_eos),
                   "</s> and <unk> must be the end-of-sentence and the unknown entry");
}

static enum lng_status check(struct exporting *out)
{
    LNG_TRY(find_shape_problems(out));
    LNG_TRY(find_vocab_problems(out));
    LNG_FAIL_IF(out->problem_count > 0, LNG_ERR_UNSUPPORTED,
                "the model cannot be written for Marian: %s", out->problems.data);
    if (fabs(out->h->norm_epsilon - 1e-6) > 1e-9)
        LNG_TRY(warn(out, "Marian's norm epsilon is 1e-6, the model's another: small differences"));
    return LNG_OK;
}

/* ---- <pad> ---- */

/* Marian has none. Where it is the last entry, as all our vocabularies have it, nothing else moves without it. */
static enum lng_status plan_pad(struct exporting *out)
{
    const struct lng_hparams *h = out->h;
    if (h->pad < 0)
        return LNG_OK;
    if (h->pad != h->target_vocab - 1 || h->pad == h->eos || h->pad == h->unk)
        return warn(out, "<pad> is not the last entry and stays, as an ordinary one");
    struct lng_slice pad = lng_vocab_entry(out->target, h->pad);
    struct lng_slice last = lng_vocab_entry(out->source, h->source_vocab - 1);
    out->drop_target_pad = true;
    out->drop_source_pad = h->tie == LNG_TIE_ALL ||
                           (h->source_vocab - 1 != h->source_eos && pad.length == last.length &&
                            memcmp(pad.data, last.data, pad.length) == 0);
    const float *bias = values_of(out, LNG_PARAM_OUTPUT_BIAS);
    if (!bias || bias[h->pad] > LNG_IMPORT_NEVER / 10)
        return warn(out, "<pad> is left out: probabilities rise by what it had, words stay");
    return LNG_OK;
}

/* ---- the configuration ---- */

/* What an import left in the provenance; *text is NULL when there is nothing of it. Borrowed from *root. */
static enum lng_status read_provenance(const struct exporting *out, json_t **root,
                                       const char **text, bool *old_output)
{
    const char *provenance = out->args->provenance;
    *text = NULL;
    if (!provenance)
        return LNG_OK;
    LNG_TRY(lng_json_parse("provenance", provenance, strlen(provenance), root));
    const json_t *marian = json_object_get(*root, "marian");
    *text = json_string_value(json_object_get(marian, "model.yml"));
    *old_output = json_is_true(json_object_get(marian, "old_output"));
    return LNG_OK;
}

/* Both describe the same model, the version apart. */
static enum lng_status same_config(struct lng_marian_config a, struct lng_marian_config b,
                                   bool *same)
{
    struct lng_buffer first = {0}, second = {0};
    enum lng_status status;
    *a.version = *b.version = '\0';
    a.hparams.positions = b.hparams.positions; /* the tensors have the last word */
    LNG_TRY_OR_FAIL(lng_marian_config_format(&a, &first));
    LNG_TRY_OR_FAIL(lng_marian_config_format(&b, &second));
    *same = strcmp(first.data, second.data) == 0 && a.hparams.activation == b.hparams.activation;
fail:
    lng_buffer_release(&first);
    lng_buffer_release(&second);
    return status;
}

/* The text that the model came with, where it still describes it. */
static enum lng_status reuse_text(struct exporting *out, const char *text, bool old_output,
                                  bool *reused)
{
    struct lng_marian_config old, *config = &out->config;
    const struct lng_hparams *h = &config->hparams;
    *reused = false;
    enum lng_status status = lng_marian_config_parse("provenance", text, strlen(text), &old);
    if (status != LNG_OK) /* somebody else's text: no reason not to write the model */
        return status == LNG_ERR_MEMORY ? status : LNG_OK;
    if (old.omit_bias && h->output_bias &&
        all_zero(values_of(out, LNG_PARAM_OUTPUT_BIAS), h->target_vocab))
        config->omit_bias = true;
    config->same_embedding =
        old.same_embedding && h->tie == LNG_TIE_NONE && h->source_vocab == h->target_vocab &&
        equal(values_of(out, LNG_PARAM_SOURCE_EMBED), values_of(out, LNG_PARAM_TARGET_EMBED),
              (int64_t)h->target_vocab * h->dim);
    LNG_TRY(same_config(old, *config, reused));
    config->old_output = *reused && old_output && h->tie == LNG_TIE_NONE;
    return *reused ? lng_buffer_append_text(&out->text, text) : LNG_OK;
}

static enum lng_status plan_config(struct exporting *out)
{
    struct lng_marian_config *config = &out->config;
    json_t *root = NULL;
    const char *text;
    bool reused = false, old_output = false;
    config->hparams = *out->h;
    config->hparams.pad = -1;
    config->hparams.decoder_start = -1;
    config->hparams.source_vocab -= out->drop_source_pad;
    config->hparams.target_vocab -= out->drop_target_pad;
    config->omit_bias = !out->h->output_bias;
    enum lng_status status = read_provenance(out, &root, &text, &old_output);
    if (status == LNG_OK && text)
        status = reuse_text(out, text, old_output, &reused);
    json_decref(root);
    config->hparams.output_bias = !config->omit_bias;
    if (status == LNG_OK && !reused) {
        snprintf(config->version, sizeof config->version, "lingster " LNG_VERSION " for %s",
                 lng_marian_version_for(out->h->activation));
        if (out->h->activation == LNG_ACTIVATION_GELU_SIGMOID)
            LNG_TRY(warn(out, "Marian computes gelu as x sigmoid(1.702 x) up to 1.12.0 only, later "
                              "versions as the erf form"));
        status = lng_marian_config_format(config, &out->text);
    }
    return status;
}

/* ---- model.npz ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lng_marian_tensor *)a)->name,
                  ((const struct lng_marian_tensor *)b)->name);
}

static enum lng_status write_tensor(const struct exporting *out, struct lng_npz_writer *writer,
                                    const struct lng_marian_tensor *tensor)
{
    const struct lng_param *from =
        lng_params_find(out->args->params, tensor->param->id, tensor->param->layer);
    const float *values = out->args->values + from->offset + tensor->values_begin;
    size_t count = (size_t)(tensor->rows * tensor->cols);
    size_t bad = lng_first_not_finite(values, count);
    LNG_FAIL_IF(bad < count, LNG_ERR_RANGE,
                "%s: parameter %s has the value %g at element %zu: a model that is not finite is "
                "not written",
                writer->path, from->name, (double)values[bad], bad);
    if (tensor->layout != LNG_MARIAN_COLUMNS)
        return lng_npz_writer_add(writer, tensor->name, LNG_NPY_F32, tensor->shape, 2, values);
    float *turned = lng_alloc(count, sizeof *turned);
    if (!turned)
        return LNG_ERR_MEMORY;
    lng_marian_transpose(values, turned, tensor->cols, tensor->rows);
    enum lng_status status =
        lng_npz_writer_add(writer, tensor->name, LNG_NPY_F32, tensor->shape, 2, turned);
    lng_free(turned);
    return status;
}

/* NUL-terminated, and NULs to the next multiple of CONFIG_STEP. */
static enum lng_status write_text(struct exporting *out, struct lng_npz_writer *writer)
{
    do {
        LNG_TRY(lng_buffer_append_byte(&out->text, '\0'));
    } while (out->text.length % CONFIG_STEP != 0);
    int64_t shape[] = {(int64_t)out->text.length};
    return lng_npz_writer_add(writer, LNG_MARIAN_CONFIG_NAME, LNG_NPY_I8, shape, 1, out->text.data);
}

static enum lng_status write_model(struct exporting *out)
{
    struct lng_npz_writer writer = {.file.fd = -1};
    enum lng_status status;
    char *path = lng_path_join(out->args->directory, "model.npz");
    if (!path)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_params_init(&out->plain, &out->config.hparams));
    LNG_TRY_OR_FAIL(lng_marian_tensors(&out->config, &out->plain, &out->tensors, &out->count));
    qsort(out->tensors, out->count, sizeof *out->tensors, by_name);
    LNG_TRY_OR_FAIL(lng_npz_writer_open(&writer, path));
    for (size_t i = 0; i < out->count; i++)
        /* Equal tensors of one name were found equal before. */
        if (i == 0 || strcmp(out->tensors[i - 1].name, out->tensors[i].name) != 0)
            LNG_TRY_OR_FAIL(write_tensor(out, &writer, &out->tensors[i]));
    LNG_TRY_OR_FAIL(write_text(out, &writer));
    status = lng_npz_writer_commit(&writer);
fail:
    lng_npz_writer_discard(&writer);
    lng_free(path);
    return status;
}

/* ---- what lies beside it ---- */

static enum lng_status write_file(const struct exporting *out, const char *name,
                                  const struct lng_buffer *text)
{
    char *path = lng_path_join(out->args->directory, name);
    enum lng_status status = path ? lng_file_write(path, text->data, text->length) : LNG_ERR_MEMORY;
    lng_free(path);
    return status;
}

static enum lng_status write_vocab(const struct exporting *out, const char *name, bool source)
{
    struct lng_buffer yaml = {0};
    const struct lng_hparams *plain = &out->config.hparams;
    enum lng_status status = lng_marian_vocab_format(
        source ? out->source : out->target, source ? plain->source_vocab : plain->target_vocab,
        source ? plain->source_eos : plain->eos, source ? source_unk(out) : plain->unk, &yaml);
    if (status == LNG_OK)
        status = write_file(out, name, &yaml);
    lng_buffer_release(&yaml);
    return status;
}

static enum lng_status write_settings(const struct exporting *out, const char *source,
                                      const char *target)
{
    const struct lng_generation *generation = &out->args->generation;
    struct lng_buffer text = {0};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_buffer_append_format(
        &text, "relative-paths: true\nmodels:\n  - model.npz\nvocabs:\n  - %s\n  - %s\n", source,
        target));
    if (generation->beams > 0)
        LNG_TRY_OR_FAIL(lng_buffer_append_format(&text, "beam-size: %d\n", generation->beams));
    if (isfinite(generation->length_penalty))
        LNG_TRY_OR_FAIL(
            lng_buffer_append_format(&text, "normalize: %g\n", generation->length_penalty));
    status = write_file(out, "decoder.yml", &text);
fail:
    lng_buffer_release(&text);
    return status;
}

static enum lng_status export_model(struct exporting *out)
{
    const char *source = out->args->target ? "src.yml" : "vocab.yml";
    const char *target = out->args->target ? "trg.yml" : "vocab.yml";
    LNG_TRY(lng_hparams_check(out->h));
    LNG_TRY(check(out));
    LNG_TRY(plan_pad(out));
    LNG_TRY(plan_config(out));
    LNG_TRY(write_model(out));
    LNG_TRY(write_vocab(out, source, true));
    if (out->args->target)
        LNG_TRY(write_vocab(out, target, false));
    return write_settings(out, source, target);
}

enum lng_status lng_marian_export(const struct lng_marian_export_args *args)
{
    struct exporting out = {
        .args = args,
        .h = args->hparams,
        .source = args->source,
        .target = args->target ? args->target : args->source,
    };
    enum lng_status status = export_model(&out);
    lng_buffer_release(&out.problems);
    lng_buffer_release(&out.text);
    lng_params_release(&out.plain);
    lng_free(out.tensors);
    return status;
}
