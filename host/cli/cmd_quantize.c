/* lingster quantize: a model with smaller numbers, and a report of what that changed. */
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/cli/output_folder.h"
#include "host/cli/quantize_report.h"
#include "host/store/hf.h"
#include "host/store/model_dir.h"

/* The provenance the model had, and {"quantized": type} added. */
static enum lng_status add_provenance(const char *old, const char *type, char **text)
{
    struct lng_buffer buffer = {0};
    json_t *root = NULL;
    enum lng_status status = LNG_OK;
    if (old != NULL)
        status = lng_json_parse("provenance", old, strlen(old), &root);
    else if ((root = json_object()) == NULL)
        status = LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(status);
    LNG_TRY_OR_FAIL(lng_json_set(root, "quantized", json_string(type)));
    LNG_TRY_OR_FAIL(lng_json_print_compact(root, &buffer));
    *text = buffer.data;
    buffer = (struct lng_buffer){0};
fail:
    json_decref(root);
    lng_buffer_release(&buffer);
    return status;
}

static enum lng_status save(const struct lng_options *options, const struct lng_model_data *data,
                            const char *directory)
{
    bool int8 = options->quantize_dtype == LNG_OPT_QUANTIZE_DTYPE_INT8;
    char *provenance = NULL;
    LNG_TRY(add_provenance(data->provenance,
                           lng_choice_word(LNG_CHOICES_quantize_dtype, options->quantize_dtype),
                           &provenance));
    enum lng_status status = LNG_OK;
    if (data->directory)
        status = lng_model_copy_tokenizer(data->directory, directory);
    else
        lng_warn("%s will have no tokenizer: %s has none to copy", options->output, options->model);
    if (status == LNG_OK)
        status = lng_hf_save(&(struct lng_hf_save_args){
            .directory = directory,
            .hparams = &data->hparams,
            .params = &data->params,
            .values = data->values,
            .dtype = int8 ? LNG_DTYPE_I8 : LNG_DTYPE_BF16,
            .provenance = provenance,
            .generation = data->generation,
        });
    lng_free(provenance);
    return status;
}

static enum lng_status print_report(const struct lng_options *options, const json_t *report)
{
    struct lng_buffer text = {0};
    enum lng_status status =
        options->json
            ? lng_json_print(report, &text)
            : lng_quantize_report_text(
                  report, lng_choice_word(LNG_CHOICES_quantize_dtype, options->quantize_dtype),
                  &text);
    if (status == LNG_OK)
        fwrite(text.data, 1, text.length, stdout);
    lng_buffer_release(&text);
    return status;
}

/* Writes the model into `directory`, reads it again, and says how it differs. */
static enum lng_status quantize(const struct lng_options *options, const char *directory)
{
    enum lng_status status;
    struct lng_model_data before = {0}, after = {0};
    struct lng_quantize_texts texts = {0};
    json_t *report = NULL;
    LNG_TRY_OR_FAIL(lng_model_data_open(options->model, &before));
    if (before.warnings.length > 0)
        lng_warn("%s", before.warnings.data);
    LNG_GOTO_FAIL_IF(before.stored == LNG_DTYPE_I8, LNG_ERR_USAGE,
                     "%s is int8 already; quantise the model that it was made from",
                     options->model);
    LNG_TRY_OR_FAIL(save(options, &before, directory));
    LNG_TRY_OR_FAIL(lng_model_data_open(directory, &after));
    if (options->quantize_input != NULL)
        LNG_TRY_OR_FAIL(lng_quantize_compare_texts(options, directory, &texts));
    LNG_TRY_OR_FAIL(lng_quantize_report(&before, &after, &texts, &report));
    LNG_TRY_OR_FAIL(print_report(options, report));
fail:
    json_decref(report);
    lng_model_data_release(&before);
    lng_model_data_release(&after);
    return status;
}

enum lng_status lng_cmd_quantize(const struct lng_options *options)
{
    struct lng_atomic_directory directory;
    LNG_FAIL_IF(options->quantize_reference != NULL && options->quantize_input == NULL,
                LNG_ERR_USAGE, "--reference needs --input: the text that it translates");
    LNG_TRY(lng_output_folder_check(options->output, &options->model, 1, options->overwrite));
    LNG_TRY(lng_atomic_directory_open(&directory, options->output));
    enum lng_status status = quantize(options, directory.temporary);
    if (status == LNG_OK)
        status = lng_atomic_directory_commit(&directory);
    else
        lng_atomic_directory_discard(&directory);
    if (status == LNG_OK)
        lng_info("wrote %s", options->output);
    return status;
}
