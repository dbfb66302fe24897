#include "host/store/model_dir.h"

#include <string.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/checkpoint.h"
#include "host/store/hf.h"
#include "host/store/hparams_json.h"
#include "host/store/listing.h"
#include "host/store/run_dir.h"

/* ---- loading ---- */

static enum lng_status read_checkpoint(const struct lng_checkpoint *checkpoint,
                                       struct lng_model_data *data)
{
    struct lng_hparams hparams;
    LNG_TRY(lng_checkpoint_read_hparams(checkpoint, &hparams));
    /* The section must be as long as the shape says before that much memory is taken. */
    struct lng_params params;
    LNG_TRY(lng_params_init(&params, &hparams));
    uint64_t expected = (uint64_t)params.total * sizeof(float);
    lng_params_release(&params);
    bool average = lng_checkpoint_find(checkpoint, LNG_SECTION_EMA) != NULL;
    const char *name = average ? LNG_SECTION_EMA : LNG_SECTION_PARAMETERS;
    const struct lng_checkpoint_section *section = lng_checkpoint_find(checkpoint, name);
    LNG_FAIL_IF(!section || section->length != expected, LNG_ERR_MISMATCH,
                "%s: expected a section \"%s\" of %llu bytes, found %llu", checkpoint->blob.name,
                name, (unsigned long long)expected,
                (unsigned long long)(section ? section->length : 0));
    LNG_TRY(lng_model_data_init(data, &hparams));
    return lng_checkpoint_read_f32(checkpoint, name, data->values, (size_t)data->params.total);
}

/* The run that a checkpoint file belongs to is two folders up. */
static char *run_of(const char *checkpoint_path)
{
    char *folder = lng_path_parent(checkpoint_path);
    char *run = folder ? lng_path_join(folder, "..") : NULL;
    lng_free(folder);
    return run;
}

static enum lng_status set_run_directory(const char *run_dir, struct lng_model_data *data)
{
    char *model = run_dir ? lng_run_model_path(run_dir) : NULL;
    if (!model)
        return LNG_ERR_MEMORY;
    if (lng_directory_exists(model))
        data->directory = model;
    else
        lng_free(model);
    return LNG_OK;
}

static enum lng_status open_checkpoint_file(const char *path, struct lng_model_data *data)
{
    struct lng_checkpoint checkpoint;
    LNG_TRY(lng_checkpoint_open(&checkpoint, path));
    char *run = run_of(path);
    enum lng_status status = read_checkpoint(&checkpoint, data);
    if (status == LNG_OK)
        status = set_run_directory(run, data);
    lng_free(run);
    lng_checkpoint_close(&checkpoint);
    return status;
}

static enum lng_status open_newest(const char *run_dir, struct lng_model_data *data)
{
    struct lng_checkpoint checkpoint;
    struct lng_buffer warnings = {0};
    bool found = false;
    enum lng_status status =
        lng_checkpoint_open_latest(run_dir, &checkpoint, NULL, &found, &warnings);
    if (status == LNG_OK && !found)
        status = lng_fail(LNG_ERR_IO,
                          "%s: expected a model directory (with config.json) or a run directory "
                          "(with model/ or checkpoints/), found neither",
                          run_dir);
    if (found) {
        status = read_checkpoint(&checkpoint, data);
        if (status == LNG_OK)
            status = set_run_directory(run_dir, data);
        lng_checkpoint_close(&checkpoint);
    }
    if (status == LNG_OK) {
        lng_buffer_release(&data->warnings);
        data->warnings = warnings;
        warnings = (struct lng_buffer){0};
    }
    lng_buffer_release(&warnings);
    return status;
}

/* How a model directory is read: lng_hf_load or lng_hf_load_vectors. */
typedef enum lng_status directory_loader(const char *directory, struct lng_model_data *data);

static enum lng_status open_directory(const char *path, directory_loader *load,
                                      struct lng_model_data *data)
{
    if (lng_hf_is_model_directory(path))
        return load(path, data);
    char *model = lng_run_model_path(path);
    if (!model)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_hf_is_model_directory(model) ? load(model, data) : open_newest(path, data);
    lng_free(model);
    return status;
}

static enum lng_status open_path(const char *path, directory_loader *load,
                                 struct lng_model_data *data)
{
    struct lng_model_data fresh = {0};
    enum lng_status status;
    if (lng_directory_exists(path))
        status = open_directory(path, load, &fresh);
    else if (lng_file_exists(path) && !lng_checkpoint_is_file(path))
        status = lng_fail(LNG_ERR_FORMAT,
                          "%s: expected a model directory, a run directory or a lingster "
                          "checkpoint, found another file; other toolkits' models are read by "
                          "`lingster convert`",
                          path);
    else
        status = open_checkpoint_file(path, &fresh);
    if (status == LNG_OK)
        *data = fresh;
    else
        lng_model_data_release(&fresh);
    return status;
}

enum lng_status lng_model_data_open(const char *path, struct lng_model_data *data)
{
    return open_path(path, lng_hf_load, data);
}

enum lng_status lng_model_data_open_lazily(const char *path, struct lng_model_data *data)
{
    return open_path(path, lng_hf_load_vectors, data);
}

static enum lng_status read_param(void *context, const struct lng_param *param,
                                  struct lng_weight_rows *rows)
{
    struct lng_model_data *data = context;
    if (data->matrices && param->rows > 1)
        return lng_matrices_read(data->matrices, param, rows);
    *rows = (struct lng_weight_rows){.dtype = LNG_DTYPE_F32,
                                     .rows = param->rows,
                                     .cols = param->cols,
                                     .values = data->values + param->offset};
    return LNG_OK;
}

enum lng_status lng_model_place(struct lng_model_data *data, struct lng_device *device,
                                enum lng_dtype compute, bool training, struct lng_model *model)
{
    struct lng_model made;
    if (training) {
        LNG_FAIL_IF(data->matrices, LNG_ERR_INTERNAL, "a model to train must be read whole");
        LNG_TRY(lng_model_init(&made, device, &data->hparams, compute, training));
        enum lng_status status = lng_model_set_values(&made, data->values);
        if (status != LNG_OK) {
            lng_model_release(&made);
            return status;
        }
    } else {
        struct lng_param_source source = {data, read_param};
        LNG_TRY(lng_model_init_inference(&made, device, &data->hparams, compute, &source));
    }
    lng_free(data->values);
    data->values = NULL;
    lng_matrices_close(data->matrices);
    data->matrices = NULL;
    *model = made;
    return LNG_OK;
}

enum lng_status lng_model_load(const char *path, struct lng_device *device, enum lng_dtype compute,
                               bool training, struct lng_model *model, struct lng_model_data *data)
{
    struct lng_model_data fresh;
    LNG_TRY(training ? lng_model_data_open(path, &fresh)
                     : lng_model_data_open_lazily(path, &fresh));
    enum lng_status status = lng_model_place(&fresh, device, compute, training, model);
    if (status != LNG_OK) {
        lng_model_data_release(&fresh);
        return lng_fail_context(status, "%s", path);
    }
    *data = fresh;
    return LNG_OK;
}

/* ---- averaging ---- */

enum lng_status lng_hparams_agree(const struct lng_hparams *a, const char *a_name,
                                  const struct lng_hparams *b, const char *b_name)
{
    enum lng_status status = LNG_OK;
    json_t *left = json_object(), *right = json_object(), *value;
    const char *key;
    char left_text[LNG_JSON_TEXT_BYTES], right_text[LNG_JSON_TEXT_BYTES];
    LNG_GOTO_FAIL_IF(!left || !right, LNG_ERR_MEMORY, "out of memory");
    struct lng_hparams shape_a = *a, shape_b = *b;
    shape_a.alignment_layer = shape_b.alignment_layer = -1; /* says nothing of the shape */
    LNG_TRY_OR_FAIL(lng_hparams_to_json(&shape_a, LNG_HPARAMS_ALL, left));
    LNG_TRY_OR_FAIL(lng_hparams_to_json(&shape_b, LNG_HPARAMS_ALL, right));
    json_object_foreach(left, key, value)
    {
        const json_t *other = json_object_get(right, key);
        LNG_GOTO_FAIL_IF(!json_equal(value, other), LNG_ERR_MISMATCH,
                         "the models differ in shape: %s is %s in %s and %s in %s", key,
                         lng_json_describe(value, left_text), a_name,
                         lng_json_describe(other, right_text), b_name);
    }
fail:
    json_decref(left);
    json_decref(right);
    return status;
}

static enum lng_status add_model(const char *first_name, const struct lng_hparams *hparams,
                                 const char *path, double *sums)
{
    struct lng_model_data data;
    LNG_TRY(lng_model_data_open(path, &data));
    enum lng_status status = lng_hparams_agree(hparams, first_name, &data.hparams, path);
    for (int64_t i = 0; status == LNG_OK && i < data.params.total; i++)
        sums[i] += data.values[i];
    lng_model_data_release(&data);
    return status;
}

enum lng_status lng_model_average(const char *const *paths, size_t count,
                                  struct lng_model_data *data)
{
    struct lng_model_data fresh;
    double *sums = NULL;
    LNG_FAIL_IF(count == 0, LNG_ERR_USAGE, "expected at least one model to average, found none");
    LNG_TRY(lng_model_data_open(paths[0], &fresh));
    enum lng_status status = LNG_OK;
    sums = lng_alloc((size_t)fresh.params.total, sizeof *sums);
    LNG_GOTO_FAIL_IF(!sums, LNG_ERR_MEMORY, "%s: out of memory for an average", paths[0]);
    for (int64_t i = 0; i < fresh.params.total; i++)
        sums[i] = fresh.values[i];
    for (size_t i = 1; i < count; i++)
        LNG_TRY_OR_FAIL(add_model(paths[0], &fresh.hparams, paths[i], sums));
    for (int64_t i = 0; i < fresh.params.total; i++)
        fresh.values[i] = (float)(sums[i] / (double)count);
    lng_free(sums);
    *data = fresh;
    return LNG_OK;
fail:
    lng_free(sums);
    lng_model_data_release(&fresh);
    return status;
}

/* ---- the tokenizer's files ---- */

static bool is_tokenizer_file(const char *name)
{
    size_t length = strlen(name);
    static const char *const models[] = {"config.json", "generation_config.json",
                                         "pytorch_model.bin", "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcmp(name, models[i]) == 0)
            return false;
    return length < 12 || strcmp(name + length - 12, ".safetensors") != 0;
}

static enum lng_status copy_file(const char *from, const char *to, const char *name)
{
    enum { LIMIT = 1 << 30 };
    struct lng_buffer content = {0};
    char *source = lng_path_join(from, name), *target = lng_path_join(to, name);
    enum lng_status status =
        source && target ? lng_file_read(source, LIMIT, &content) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = lng_file_write(target, content.data ? content.data : "", content.length);
    lng_buffer_release(&content);
    lng_free(source);
    lng_free(target);
    return status;
}

enum lng_status lng_model_copy_tokenizer(const char *from, const char *to)
{
    struct lng_listing listing;
    LNG_TRY(lng_listing_make(&listing, from));
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < listing.count && status == LNG_OK; i++)
        if (is_tokenizer_file(listing.names[i]))
            status = copy_file(from, to, listing.names[i]);
    lng_listing_release(&listing);
    return status;
}
