/* lingster convert: a model of one toolkit as a model of another, read again and compared before it is put in place. */
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/cli/convert_model.h"
#include "host/cli/output_folder.h"
#include "host/store/ctranslate2.h"
#include "host/store/hf.h"

/* By --save-dtype: what the formats call it, and how far logits may move, as a normalised mean squared difference: some
 * twenty times the worst that the demo model (width 256) and two small ones of Marian's and CTranslate2's showed. */
static const struct {
    bool hf;
    enum lng_dtype dtype;
    enum lng_ct2_type ct2;
    double limit;
} types[] = {
    [LNG_OPT_CONVERT_DTYPE_F32] = {true, LNG_DTYPE_F32, LNG_CT2_F32, 1e-9},
    [LNG_OPT_CONVERT_DTYPE_BF16] = {true, LNG_DTYPE_BF16, LNG_CT2_BF16, 1e-3},
    [LNG_OPT_CONVERT_DTYPE_F16] = {false, LNG_DTYPE_F32, LNG_CT2_F16, 1e-5},
    [LNG_OPT_CONVERT_DTYPE_INT16] = {false, LNG_DTYPE_F32, LNG_CT2_I16, 2e-4},
    [LNG_OPT_CONVERT_DTYPE_INT8] = {false, LNG_DTYPE_F32, LNG_CT2_I8, 5e-3},
};

static enum lng_status check_dtype(const struct lng_options *options)
{
    bool f32 = options->convert_dtype == LNG_OPT_CONVERT_DTYPE_F32;
    LNG_FAIL_IF(options->convert_to == LNG_OPT_CONVERT_TO_MARIAN && !f32, LNG_ERR_USAGE,
                "--save-dtype: Marian models are written in f32");
    LNG_FAIL_IF(options->convert_to == LNG_OPT_CONVERT_TO_HF && !types[options->convert_dtype].hf,
                LNG_ERR_USAGE, "--save-dtype: Hugging Face directories are written in f32 or bf16");
    return LNG_OK;
}

static void tell_lines(const struct lng_buffer *text, bool warnings)
{
    struct lng_slice rest = {text->data, text->length}, line;
    while (rest.data != NULL && lng_text_split(&rest, '\n', &line)) {
        if (line.length == 0)
            continue;
        if (warnings)
            lng_warn("%.*s", (int)line.length, line.data);
        else
            lng_info("  %.*s", (int)line.length, line.data);
    }
}

/* ---- writing ---- */

static enum lng_status write_hf(const struct lng_convert_model *model,
                                const struct lng_options *options, const char *directory)
{
    const struct lng_model_data *data = &model->data;
    char *own = NULL;
    enum lng_status status;
    const char *obstacle = lng_hf_obstacle(&data->hparams, &data->params, data->values);
    if (obstacle != NULL)
        lng_warn("transformers has no class for this model: %s. It is written as model_type "
                 "lingster, which only lingster reads",
                 obstacle);
    if (data->provenance == NULL) {
        own = lng_format("{\"converted_from\":\"%s\",\"lingster\":\"" LNG_VERSION "\"}",
                         model->toolkit);
        LNG_GOTO_FAIL_IF(own == NULL, LNG_ERR_MEMORY, "%s", lng_error_message());
    }
    LNG_TRY_OR_FAIL(lng_tokenizer_save(model->tokenizer, directory));
    LNG_TRY_OR_FAIL(lng_hf_save(&(struct lng_hf_save_args){
        .directory = directory,
        .hparams = &data->hparams,
        .params = &data->params,
        .values = data->values,
        .dtype = types[options->convert_dtype].dtype,
        .provenance = own != NULL ? own : data->provenance,
        .generation = data->generation,
    }));
fail:
    lng_free(own);
    return status;
}

static const struct lng_vocab *target_vocab(const struct lng_convert_model *model)
{
    return lng_tokenizer_is_shared(model->tokenizer)
               ? NULL
               : lng_tokenizer_vocab(model->tokenizer, LNG_SIDE_TARGET);
}

static enum lng_status write_marian(const struct lng_convert_model *model, const char *directory)
{
    struct lng_buffer warnings = {0};
    const struct lng_model_data *data = &model->data;
    enum lng_status status = lng_marian_export(&(struct lng_marian_export_args){
        .directory = directory,
        .hparams = &data->hparams,
        .params = &data->params,
        .values = data->values,
        .source = lng_tokenizer_vocab(model->tokenizer, LNG_SIDE_SOURCE),
        .target = target_vocab(model),
        .provenance = data->provenance,
        .generation = data->generation,
        .warnings = &warnings,
    });
    tell_lines(&warnings, true);
    lng_buffer_release(&warnings);
    return status;
}

static enum lng_status write_ct2(const struct lng_convert_model *model,
                                 const struct lng_options *options, const char *directory)
{
    return lng_ct2_export(&(struct lng_ct2_export_args){
        .directory = directory,
        .data = &model->data,
        .source = lng_tokenizer_vocab(model->tokenizer, LNG_SIDE_SOURCE),
        .target = target_vocab(model),
        .type = types[options->convert_dtype].ct2,
    });
}

/* The SentencePiece models that other toolkits' users keep beside the model. */
static enum lng_status write_model(const struct lng_convert_model *model,
                                   const struct lng_options *options, const char *directory)
{
    if (options->convert_to == LNG_OPT_CONVERT_TO_HF)
        return write_hf(model, options, directory);
    if (lng_tokenizer_get_kind(model->tokenizer) == LNG_TOKENIZER_SPM)
        LNG_TRY(lng_tokenizer_save(model->tokenizer, directory));
    if (options->convert_to == LNG_OPT_CONVERT_TO_MARIAN)
        return write_marian(model, directory);
    return write_ct2(model, options, directory);
}

/* ---- checking what was written ---- */

static enum lng_status check_written(const struct lng_convert_model *model,
                                     const struct lng_options *options, const char *directory)
{
    struct lng_convert_model again = {0};
    double difference = 0, limit = types[options->convert_dtype].limit;
    enum lng_status status = lng_convert_model_open(directory, NULL, &again);
    if (status == LNG_OK)
        status = lng_convert_difference(&model->data, &again.data, &difference);
    lng_convert_model_close(&again);
    if (status != LNG_OK)
        return lng_fail_context(status, "the converted model was not kept, since it fails to load");
    LNG_FAIL_IF(!(difference <= limit), LNG_ERR_MISMATCH,
                "the converted model was not kept: its logits differ by %.3g (normalised mean "
                "squared difference), expected at most %.3g; please report this",
                difference, limit);
    lng_info("read again: logits differ by %.3g (normalised mean squared difference; at most %.3g)",
             difference, limit);
    return LNG_OK;
}

static enum lng_status write_checked(const struct lng_convert_model *model,
                                     const struct lng_options *options, const char *path)
{
    struct lng_atomic_directory directory;
    LNG_TRY(lng_atomic_directory_open(&directory, path));
    enum lng_status status = write_model(model, options, directory.temporary);
    if (status == LNG_OK)
        status = check_written(model, options, directory.temporary);
    if (status == LNG_OK)
        status = lng_atomic_directory_commit(&directory);
    else
        lng_atomic_directory_discard(&directory);
    return status;
}

enum lng_status lng_cmd_convert(const struct lng_options *options)
{
    const char *from = options->arguments.items[0], *to = options->arguments.items[1];
    struct lng_marian_import_args vocabularies = {options->source_vocab, options->target_vocab};
    struct lng_convert_model model = {0};
    LNG_TRY(check_dtype(options));
    LNG_TRY(lng_output_folder_check(to, &from, 1, options->overwrite));
    enum lng_status status = lng_convert_model_open(from, &vocabularies, &model);
    if (status == LNG_OK) {
        const struct lng_hparams *h = &model.data.hparams;
        lng_info("%s: %s, %d + %d layers of width %d, vocabularies of %d and %d", from,
                 model.toolkit, h->encoder_layers, h->decoder_layers, h->dim, h->source_vocab,
                 h->target_vocab);
        tell_lines(&model.choices, false);
        tell_lines(&model.data.warnings, true);
        status = write_checked(&model, options, to);
    }
    if (status == LNG_OK)
        lng_info("wrote %s", to);
    lng_convert_model_close(&model);
    return status;
}
