/* lingster info: what a model directory, a run or a checkpoint holds, as text or JSON. One report is
 * built as JSON; the text is the same, a line a value. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/cli/cmd.h"
#include "host/store/hf.h"
#include "host/store/hparams_json.h"
#include "host/store/model_dir.h"
#include "host/store/run_dir.h"
#include "tokenizer/tokenizer.h"

enum { PLAN_TOKENS = 4096, PLAN_SENTENCES = 256 };

/* ---- a model ---- */

static enum lng_status add_generation(json_t *report, const struct lng_generation *generation)
{
    json_t *object = json_object();
    LNG_TRY(lng_json_set(report, "generation", object));
    if (generation->beams > 0)
        LNG_TRY(lng_json_set(object, "beams", json_integer(generation->beams)));
    if (generation->max_length > 0)
        LNG_TRY(lng_json_set(object, "max_length", json_integer(generation->max_length)));
    if (isfinite(generation->length_penalty))
        LNG_TRY(lng_json_set(object, "length_penalty", json_real(generation->length_penalty)));
    if (generation->forced_bos >= 0)
        LNG_TRY(lng_json_set(object, "forced_bos", json_integer(generation->forced_bos)));
    return LNG_OK;
}

/* Trouble with the tokenizer is part of the report: the model may still be looked at. */
static enum lng_status add_tokenizer(json_t *report, const char *directory)
{
    struct lng_tokenizer *tokenizer;
    json_t *object = json_object();
    LNG_TRY(lng_json_set(report, "tokenizer", object));
    if (!directory)
        return lng_json_set(object, "error",
                            json_string("no folder with tokenizer files is known"));
    if (lng_tokenizer_open_directory(directory, &tokenizer) != LNG_OK)
        return lng_json_set(object, "error", json_string(lng_error_message()));
    bool symbols = lng_tokenizer_get_kind(tokenizer) == LNG_TOKENIZER_SYMBOLS;
    int32_t source = lng_tokenizer_size(tokenizer, LNG_SIDE_SOURCE);
    int32_t target = lng_tokenizer_size(tokenizer, LNG_SIDE_TARGET);
    bool shared = lng_tokenizer_is_shared(tokenizer);
    lng_tokenizer_close(tokenizer);
    LNG_TRY(lng_json_set(object, "kind", json_string(symbols ? "symbols" : "sentencepiece")));
    LNG_TRY(lng_json_set(object, "shared", json_boolean(shared)));
    LNG_TRY(lng_json_set(object, "source_entries", json_integer(source)));
    return lng_json_set(object, "target_entries", json_integer(target));
}

/* Bytes on a CPU, from a dry run of the code that lays memory out. */
static enum lng_status plan_memory(const struct lng_hparams *hparams, json_t *object)
{
    struct lng_device *device;
    struct lng_model model;
    struct lng_batch_limits limits = {
        .source_rows = PLAN_TOKENS, .target_rows = PLAN_TOKENS, .sentences = PLAN_SENTENCES};
    LNG_TRY(lng_device_open("cpu", NULL, &device));
    enum lng_status status = lng_model_init(&model, device, hparams, LNG_DTYPE_F32, false);
    if (status == LNG_OK) {
        size_t forward = lng_workspace_plan(&model, &limits);
        limits.backward = true;
        size_t backward = lng_workspace_plan(&model, &limits);
        /* weights, gradients and two moments */
        size_t state = 4 * (size_t)model.params.total * sizeof(float);
        status =
            lng_json_set(object, "forward_4096_tokens_bytes", json_integer((json_int_t)forward));
        if (status == LNG_OK)
            status = lng_json_set(object, "train_4096_tokens_bytes",
                                  json_integer((json_int_t)(backward + state)));
        lng_model_release(&model);
    }
    lng_device_close(device);
    return status;
}

static enum lng_status add_shape(json_t *report, const struct lng_hparams *hparams)
{
    struct lng_params params;
    int64_t count = 0;
    LNG_TRY(lng_params_init(&params, hparams));
    for (size_t i = 0; i < params.count; i++)
        count += params.list[i].rows * params.list[i].cols;
    const char *obstacle = lng_hf_obstacle(hparams, &params, NULL);
    size_t tensors = params.count, bytes = (size_t)params.total * sizeof(float);
    lng_params_release(&params);
    LNG_TRY(lng_json_set(report, "parameters", json_integer(count)));
    LNG_TRY(lng_json_set(report, "tensors", json_integer((json_int_t)tensors)));
    LNG_TRY(lng_json_set(report, "transformers", json_string(obstacle ? obstacle : "loads it")));
    json_t *shape = json_object();
    LNG_TRY(lng_json_set(report, "shape", shape));
    LNG_TRY(lng_hparams_to_json(hparams, LNG_HPARAMS_ALL, shape));
    json_t *memory = json_object();
    LNG_TRY(lng_json_set(report, "memory", memory));
    LNG_TRY(lng_json_set(memory, "weights_bytes", json_integer((json_int_t)bytes)));
    return plan_memory(hparams, memory);
}

static enum lng_status add_warnings(json_t *report, const struct lng_buffer *warnings)
{
    json_t *list = json_array();
    LNG_TRY(lng_json_set(report, "warnings", list));
    struct lng_slice rest = {warnings->data ? warnings->data : "", warnings->length}, line;
    while (lng_text_split(&rest, '\n', &line))
        if (line.length > 0 && lng_utf8_valid(line.data, line.length))
            (void)json_array_append_new(list, json_stringn(line.data, line.length));
    return LNG_OK;
}

static enum lng_status add_model(json_t *report, const struct lng_model_data *data)
{
    json_t *provenance = NULL;
    LNG_TRY(add_shape(report, &data->hparams));
    if (data->stored == LNG_DTYPE_I8)
        LNG_TRY(lng_json_set(report, "matrices", json_string("int8")));
    LNG_TRY(add_generation(report, &data->generation));
    LNG_TRY(add_tokenizer(report, data->directory));
    if (data->provenance) {
        LNG_TRY(
            lng_json_parse("provenance", data->provenance, strlen(data->provenance), &provenance));
        LNG_TRY(lng_json_set(report, "provenance", provenance));
    }
    return add_warnings(report, &data->warnings);
}

static enum lng_status report_model(json_t *report, const char *path)
{
    struct lng_model_data data;
    LNG_TRY(lng_model_data_open(path, &data));
    enum lng_status status = add_model(report, &data);
    lng_model_data_release(&data);
    return status;
}

/* ---- checkpoints and runs ---- */

static enum lng_status report_checkpoint(json_t *report, const char *path)
{
    struct lng_checkpoint checkpoint;
    json_t *sections = json_object();
    LNG_TRY(lng_json_set(report, "sections", sections));
    LNG_TRY(lng_checkpoint_open(&checkpoint, path));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < checkpoint.count && status == LNG_OK; i++)
        status = lng_json_set(sections, checkpoint.list[i].name,
                              json_integer((json_int_t)checkpoint.list[i].length));
    lng_checkpoint_close(&checkpoint);
    return status == LNG_OK ? report_model(report, path) : status;
}

/* {"update": n, "bytes": n, "state": "whole" or what is wrong with it} */
static enum lng_status add_checkpoint(json_t *list, const char *run_dir, uint64_t update)
{
    struct lng_checkpoint checkpoint;
    char *path = lng_checkpoint_path(run_dir, update);
    if (!path)
        return LNG_ERR_MEMORY;
    json_int_t bytes = 0;
    bool whole = lng_checkpoint_open(&checkpoint, path) == LNG_OK;
    const char *state = whole ? "whole" : lng_error_message();
    lng_free(path);
    if (whole)
        bytes = (json_int_t)checkpoint.blob.size;
    json_t *entry =
        json_pack("{s:I, s:I, s:s}", "update", (json_int_t)update, "bytes", bytes, "state", state);
    if (whole)
        lng_checkpoint_close(&checkpoint);
    LNG_FAIL_IF(json_array_append_new(list, entry) != 0, LNG_ERR_MEMORY, "out of memory");
    return LNG_OK;
}

static enum lng_status report_run(json_t *report, const char *path)
{
    uint64_t *updates;
    size_t count;
    json_t *list = json_array();
    LNG_TRY(lng_json_set(report, "checkpoints", list));
    LNG_TRY(lng_checkpoint_list(path, &updates, &count));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < count && status == LNG_OK; i++)
        status = add_checkpoint(list, path, updates[i]);
    lng_free(updates);
    return status == LNG_OK ? report_model(report, path) : status;
}

static enum lng_status fill_report(json_t *report, const char *path)
{
    bool text = lng_utf8_valid(path, strlen(path));
    LNG_TRY(lng_json_set(report, "path", json_string(text ? path : "(not UTF-8)")));
    bool directory = lng_directory_exists(path), model = lng_hf_is_model_directory(path);
    const char *kind = model ? "model directory" : directory ? "run directory" : "checkpoint";
    LNG_TRY(lng_json_set(report, "kind", json_string(kind)));
    if (model)
        return report_model(report, path);
    if (directory)
        return report_run(report, path);
    return lng_checkpoint_is_file(path) ? report_checkpoint(report, path)
                                        : report_model(report, path);
}

/* ---- printing ---- */

static enum lng_status print_text(const json_t *value, const char *name, struct lng_buffer *text);

static enum lng_status print_members(const json_t *value, const char *name, struct lng_buffer *text)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        char *inner = *name ? lng_format("%s.%s", name, key) : lng_strdup(key);
        enum lng_status status = inner ? print_text(member, inner, text) : LNG_ERR_MEMORY;
        lng_free(inner);
        LNG_TRY(status);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        LNG_TRY(print_text(json_array_get(value, i), name, text));
    return LNG_OK;
}

/* "name: value", the members of objects as name.member, of arrays one line each. */
static enum lng_status print_text(const json_t *value, const char *name, struct lng_buffer *text)
{
    if (json_is_object(value) || json_is_array(value))
        return print_members(value, name, text);
    LNG_TRY(lng_buffer_append_format(text, "%s: ", name));
    if (json_is_string(value))
        return lng_buffer_append_format(text, "%s\n", json_string_value(value));
    return lng_json_print(value, text);
}

enum lng_status lng_cmd_info(const struct lng_options *options)
{
    enum lng_status status;
    struct lng_buffer text = {0};
    json_t *report = json_object();
    LNG_GOTO_FAIL_IF(!report, LNG_ERR_MEMORY, "out of memory");
    LNG_TRY_OR_FAIL(fill_report(report, options->arguments.items[0]));
    LNG_TRY_OR_FAIL(options->json ? lng_json_print(report, &text) : print_text(report, "", &text));
    fwrite(text.data, 1, text.length, stdout);
fail:
    json_decref(report);
    lng_buffer_release(&text);
    return status;
}
