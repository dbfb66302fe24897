#include "host/store/hf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "host/store/hf_internal.h"
#include "host/store/numbers.h"

bool lng_hf_is_model_directory(const char *directory)
{
    /* Without the heap: running out of memory must not look like another kind of folder. */
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool found = folder >= 0 && faccessat(folder, "config.json", F_OK, 0) == 0;
    if (folder >= 0)
        close(folder);
    return found;
}

/* ---- what the tensors settle ---- */

/* final_logits_bias may be missing (zero); a model without output bias carries a zero one for the sake of
 * transformers. */
static enum lng_status settle_output_bias(struct lng_hf_config *config,
                                          struct lng_hf_tensors *tensors)
{
    struct lng_hparams *h = &config->hparams;
    const struct lng_safetensors *file = NULL;
    if (config->type == LNG_HF_M2M || (config->output_bias_said && h->output_bias))
        return LNG_OK;
    const struct lng_safetensor *bias = lng_hf_tensors_find(tensors, "final_logits_bias", &file);
    if (!config->output_bias_said || !bias) {
        h->output_bias = bias != NULL;
        return LNG_OK;
    }
    enum lng_status status = LNG_OK;
    float *values = lng_alloc((size_t)bias->elements, sizeof *values);
    if (!values)
        return LNG_ERR_MEMORY;
    LNG_TRY_OR_FAIL(lng_safetensors_read_f32(file, bias, values));
    for (uint64_t i = 0; i < bias->elements; i++)
        LNG_GOTO_FAIL_IF(values[i] != 0, LNG_ERR_MISMATCH,
                         "%s: tensor \"final_logits_bias\": config.json says that the model has no "
                         "output bias, found %g at element %" PRIu64,
                         file->blob.name, (double)values[i], i);
fail:
    lng_free(values);
    return status;
}

/* Marian starts from a zero embedding, which transformers writes as a pad row of zeros. */
static enum lng_status settle_decoder_start(const struct lng_hf_config *config,
                                            struct lng_hf_tensors *tensors,
                                            struct lng_model_data *data)
{
    struct lng_hparams *h = &data->hparams;
    if (config->decoder_start_said || config->type != LNG_HF_MARIAN || h->decoder_start != h->pad)
        return LNG_OK;
    const struct lng_param *table = lng_params_find(
        &data->params, h->tie == LNG_TIE_ALL ? LNG_PARAM_SHARED : LNG_PARAM_TARGET_EMBED, -1);
    float *row = lng_alloc((size_t)h->dim, sizeof *row);
    if (!row)
        return LNG_ERR_MEMORY;
    enum lng_status status = lng_hf_read_row(config, tensors, table, h->pad, row);
    bool zero = true;
    for (int32_t i = 0; i < h->dim; i++)
        zero = zero && row[i] == 0;
    lng_free(row);
    if (status == LNG_OK && zero)
        h->decoder_start = -1;
    return status;
}

static enum lng_status warn_unused(const struct lng_hf_tensors *tensors,
                                   struct lng_buffer *warnings)
{
    for (size_t i = 0; i < tensors->count; i++)
        for (size_t j = 0; j < tensors->files[i].count; j++)
            if (!tensors->used[i][j])
                LNG_TRY(lng_buffer_append_format(warnings, "%s: tensor \"%s\" is not used\n",
                                                 tensors->files[i].blob.name,
                                                 tensors->files[i].list[j].name));
    return LNG_OK;
}

/* ---- checksums ---- */

static enum lng_status check_file(const struct lng_hf_config *config, const char *directory,
                                  const char *name, const json_t *entry,
                                  struct lng_buffer *warnings)
{
    const char *expected;
    uint64_t found = 0;
    struct lng_blob blob = {.fd = -1};
    LNG_TRY(lng_json_get_string(entry, config->path, "xxh3", &expected));
    LNG_FAIL_IF(
        *name == '\0' || strchr(name, '/'), LNG_ERR_FORMAT,
        "%s: key \"lingster\": expected the name of a file in the same folder, found \"%s\"",
        config->path, name);
    char *path = lng_path_join(directory, name);
    enum lng_status status = path ? lng_blob_open(&blob, path) : LNG_ERR_MEMORY;
    if (status == LNG_OK)
        status = lng_blob_checksum(&blob, 0, blob.size, &found);
    if (status == LNG_OK) {
        char text[24];
        snprintf(text, sizeof text, "%016" PRIx64, found);
        bool same = strcmp(text, expected) == 0;
        if (!same && config->saved_by_others)
            status = lng_buffer_append_format(
                warnings, "%s: was changed by another program since lingster wrote it\n", path);
        else if (!same)
            status =
                lng_fail(LNG_ERR_MISMATCH,
                         "%s: expected checksum %s (config.json, lingster.files), found %s: the "
                         "file is damaged; if it was changed on purpose, remove \"files\" from "
                         "the lingster key",
                         path, expected, text);
    }
    lng_blob_close(&blob);
    lng_free(path);
    return status;
}

static enum lng_status check_files(const struct lng_hf_config *config, const char *directory,
                                   struct lng_buffer *warnings)
{
    json_t *files = NULL, *entry;
    const char *name;
    if (!config->lingster || !lng_json_has(config->lingster, "files"))
        return LNG_OK;
    LNG_TRY(lng_json_get_object(config->lingster, config->path, "files", &files));
    json_object_foreach(files, name, entry)
        LNG_TRY(check_file(config, directory, name, entry, warnings));
    return LNG_OK;
}

/* ---- the whole ---- */

static enum lng_status read_provenance(const struct lng_hf_config *config,
                                       struct lng_model_data *data)
{
    json_t *provenance = NULL;
    data->origin = config->lingster ? LNG_ORIGIN_LINGSTER : LNG_ORIGIN_TRANSFORMERS;
    if (!config->lingster || !lng_json_has(config->lingster, "provenance"))
        return LNG_OK;
    LNG_TRY(lng_json_get_object(config->lingster, config->path, "provenance", &provenance));
    const char *from = json_string_value(json_object_get(provenance, "imported_from"));
    if (from && strcmp(from, "Marian") == 0)
        data->origin = LNG_ORIGIN_MARIAN;
    struct lng_buffer text = {0};
    enum lng_status status = lng_json_print(provenance, &text);
    if (status == LNG_OK)
        data->provenance = lng_strdup(text.data);
    lng_buffer_release(&text);
    return status == LNG_OK && !data->provenance ? LNG_ERR_MEMORY : status;
}

enum extent { SHAPE, WHOLE, VECTORS };

static enum lng_status load_values(const struct lng_hf_config *config,
                                   struct lng_hf_tensors *tensors, enum extent extent,
                                   struct lng_model_data *data)
{
    for (size_t i = 0; i < data->params.count; i++) {
        const struct lng_param *param = &data->params.list[i];
        if (extent != VECTORS || param->rows == 1)
            LNG_TRY(lng_hf_read_param(config, tensors, param, data->values + param->offset));
    }
    return LNG_OK;
}

static enum lng_status load(const char *directory, enum extent extent, struct lng_hf_config *config,
                            struct lng_hf_tensors *tensors, struct lng_model_data *data)
{
    struct lng_params params = {0};
    LNG_TRY(lng_hf_config_open(config, directory));
    LNG_TRY(lng_hf_tensors_open(tensors, directory));
    LNG_TRY(lng_hf_settle_positions(config, tensors));
    LNG_TRY(settle_output_bias(config, tensors));
    LNG_TRY(lng_params_init(&params, &config->hparams));
    enum lng_status status = lng_hf_check_inventory(config, &params, tensors);
    lng_params_release(&params);
    if (status != LNG_OK)
        return status;
    LNG_TRY(lng_model_data_init(data, &config->hparams));
    data->stored = config->int8 ? LNG_DTYPE_I8 : LNG_DTYPE_F32;
    LNG_TRY(lng_hf_read_generation(config, directory, &data->generation));
    LNG_TRY(check_files(config, directory, &data->warnings));
    LNG_TRY(read_provenance(config, data));
    LNG_TRY(warn_unused(tensors, &data->warnings));
    LNG_TRY(load_values(config, tensors, extent, data));
    if (extent == WHOLE && config->int8)
        LNG_TRY(lng_buffer_append_format(&data->warnings,
                                         "%s: its matrices are int8; they are taken as the floats "
                                         "that their rows and scales stand for\n",
                                         directory));
    LNG_TRY(settle_decoder_start(config, tensors, data));
    data->directory = lng_strdup(directory);
    if (!data->directory)
        return LNG_ERR_MEMORY;
    if (extent == SHAPE) {
        lng_free(data->values);
        data->values = NULL;
    }
    return LNG_OK;
}

static enum lng_status load_directory(const char *directory, enum extent extent,
                                      struct lng_model_data *data)
{
    struct lng_hf_config config = {0};
    struct lng_hf_tensors tensors = {0};
    struct lng_model_data fresh = {0};
    enum lng_status status = load(directory, extent, &config, &tensors, &fresh);
    if (status == LNG_OK && extent == VECTORS)
        status = lng_hf_matrices_take(&config, &tensors, &fresh.matrices);
    lng_hf_tensors_close(&tensors);
    lng_hf_config_close(&config);
    if (status == LNG_OK)
        *data = fresh;
    else
        lng_model_data_release(&fresh);
    return status;
}

enum lng_status lng_hf_load(const char *directory, struct lng_model_data *data)
{
    return load_directory(directory, WHOLE, data);
}

enum lng_status lng_hf_load_shape(const char *directory, struct lng_model_data *data)
{
    return load_directory(directory, SHAPE, data);
}

enum lng_status lng_hf_load_vectors(const char *directory, struct lng_model_data *data)
{
    return load_directory(directory, VECTORS, data);
}
