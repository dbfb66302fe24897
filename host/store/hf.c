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

enum { NAMES = 5, LISTED = 8 }; /* names a tensor may go by; names in a message */

/* One part of a parameter and where its values are. */
struct source {
    const struct lng_param *param;
    int part;
    const char *names[NAMES]; /* any of them; those that are there must be equal, */
    bool first_counts;        /* or only the first of them is meant */
};

bool lng_hf_is_model_directory(const char *directory)
{
    /* Without the heap: running out of memory must not look like another kind of folder. */
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool found = folder >= 0 && faccessat(folder, "config.json", F_OK, 0) == 0;
    if (folder >= 0)
        close(folder);
    return found;
}

static struct source source_of(const struct lng_hf_config *config, const struct lng_param *param,
                               int part)
{
    static const char shared[] = "model.shared.weight", head[] = "lm_head.weight",
                      encoder[] = "model.encoder.embed_tokens.weight",
                      decoder[] = "model.decoder.embed_tokens.weight";
    struct source source = {.param = param, .part = part, .names = {param->hf[part]}};
    if (param->id == LNG_PARAM_SHARED) {
        source.names[1] = encoder;
        source.names[2] = decoder;
        source.names[3] = head;
    } else if (param->id == LNG_PARAM_TARGET_EMBED && config->hparams.tie == LNG_TIE_TARGET) {
        source.names[1] = head;
    } else if ((param->id == LNG_PARAM_TARGET_EMBED || param->id == LNG_PARAM_SOURCE_EMBED) &&
               config->shared_untied) {
        /* transformers looks up in the encoder's and the decoder's own where nothing is tied. */
        source.first_counts = true;
        source.names[1] = shared;
        source.names[2] = param->id == LNG_PARAM_TARGET_EMBED ? encoder : decoder;
    }
    return source;
}

/* Vectors may be stored as [n] or [1, n]; matrices as they are. */
static bool shape_fits(const struct lng_safetensor *tensor, int64_t rows, int64_t cols)
{
    if (tensor->rank == 2)
        return tensor->shape[0] == rows && tensor->shape[1] == cols;
    return tensor->rank == 1 && rows == 1 && tensor->shape[0] == cols;
}

static void part_shape(const struct source *source, int64_t *rows, int64_t *cols)
{
    const struct lng_param *param = source->param;
    bool vector = param->rows == 1;
    *rows = vector ? 1 : param->rows / param->parts;
    *cols = vector ? param->cols / param->parts : param->cols;
}

/* The first name that is there with a shape that fits, or NULL; a wrong shape is an error. */
static enum lng_status locate(struct lng_hf_tensors *tensors, const struct source *source, int name,
                              const struct lng_safetensors **file,
                              const struct lng_safetensor **tensor)
{
    char found[LNG_SHAPE_TEXT_BYTES], expected[LNG_SHAPE_TEXT_BYTES];
    int64_t shape[2];
    *tensor = NULL;
    if (!source->names[name])
        return LNG_OK;
    const struct lng_safetensor *at = lng_hf_tensors_find(tensors, source->names[name], file);
    part_shape(source, &shape[0], &shape[1]);
    LNG_FAIL_IF(at && !shape_fits(at, shape[0], shape[1]), LNG_ERR_SHAPE,
                "%s: tensor \"%s\": config.json makes it %s, found shape %s", (*file)->blob.name,
                source->names[name],
                lng_shape_text(shape[0] == 1 ? shape + 1 : shape, shape[0] == 1 ? 1 : 2, expected),
                lng_shape_text(at->shape, at->rank, found));
    *tensor = at;
    return LNG_OK;
}

/* Calls visit for every part of every parameter. */
typedef enum lng_status visitor(void *context, const struct source *source);
static enum lng_status each_source(const struct lng_hf_config *config,
                                   const struct lng_params *params, visitor *visit, void *context)
{
    for (size_t i = 0; i < params->count; i++) {
        for (int part = 0; part < params->list[i].parts; part++) {
            struct source source = source_of(config, &params->list[i], part);
            LNG_TRY(visit(context, &source));
        }
    }
    return LNG_OK;
}

/* ---- first pass: is everything there, and of the right shape? ---- */

struct inventory {
    struct lng_hf_tensors *tensors;
    struct lng_buffer missing;
    size_t missing_count;
};

static enum lng_status take_stock(void *context, const struct source *source)
{
    struct inventory *stock = context;
    bool found = false;
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *file;
        const struct lng_safetensor *tensor;
        LNG_TRY(locate(stock->tensors, source, i, &file, &tensor));
        found = found || tensor;
    }
    if (found)
        return LNG_OK;
    if (++stock->missing_count <= LISTED)
        LNG_TRY(lng_buffer_append_format(&stock->missing, "%s%s",
                                         stock->missing_count > 1 ? ", " : "", source->names[0]));
    return LNG_OK;
}

static enum lng_status check_inventory(const struct lng_hf_config *config,
                                       const struct lng_params *params,
                                       struct lng_hf_tensors *tensors)
{
    struct inventory stock = {.tensors = tensors};
    enum lng_status status = each_source(config, params, take_stock, &stock);
    if (status == LNG_OK && stock.missing_count > 0)
        status = lng_fail(LNG_ERR_FORMAT, "%s: %zu tensors that %s asks for are missing: %s%s",
                          tensors->count > 0 ? tensors->files[0].blob.name : config->path,
                          stock.missing_count, config->path, stock.missing.data,
                          stock.missing_count > LISTED ? ", ..." : "");
    lng_buffer_release(&stock.missing);
    return status;
}

/* ---- second pass: the values ---- */

struct loading {
    struct lng_hf_tensors *tensors;
    float *values;
};

static enum lng_status read_values(const struct lng_safetensors *file,
                                   const struct lng_safetensor *tensor, float *values)
{
    LNG_TRY(lng_safetensors_read_f32(file, tensor, values));
    size_t bad = lng_first_not_finite(values, (size_t)tensor->elements);
    LNG_FAIL_IF(bad < tensor->elements, LNG_ERR_RANGE,
                "%s: tensor \"%s\": expected finite values, found %g at element %zu",
                file->blob.name, tensor->name, (double)values[bad], bad);
    return LNG_OK;
}

static enum lng_status check_equal(const struct lng_safetensors *file,
                                   const struct lng_safetensor *tensor, const char *first,
                                   const float *values)
{
    float *other = lng_alloc((size_t)tensor->elements, sizeof *other);
    if (!other)
        return LNG_ERR_MEMORY;
    enum lng_status status = read_values(file, tensor, other);
    if (status == LNG_OK && memcmp(other, values, (size_t)tensor->elements * sizeof *values) != 0)
        status =
            lng_fail(LNG_ERR_MISMATCH,
                     "%s: tensors \"%s\" and \"%s\" are tied by config.json and must be equal, "
                     "but they differ",
                     file->blob.name, first, tensor->name);
    lng_free(other);
    return status;
}

static enum lng_status load_source(void *context, const struct source *source)
{
    struct loading *loading = context;
    const char *first = NULL;
    int64_t rows, cols;
    part_shape(source, &rows, &cols);
    float *values = loading->values + source->param->offset + source->part * rows * cols;
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *file;
        const struct lng_safetensor *tensor;
        LNG_TRY(locate(loading->tensors, source, i, &file, &tensor));
        if (!tensor)
            continue;
        if (first && source->first_counts)
            continue;
        if (first)
            LNG_TRY(check_equal(file, tensor, first, values));
        else
            LNG_TRY(read_values(file, tensor, values));
        first = first ? first : tensor->name;
    }
    return LNG_OK;
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
static void settle_decoder_start(const struct lng_hf_config *config, struct lng_model_data *data)
{
    struct lng_hparams *h = &data->hparams;
    if (config->decoder_start_said || config->type != LNG_HF_MARIAN || h->decoder_start != h->pad)
        return;
    const struct lng_param *table = lng_params_find(
        &data->params, h->tie == LNG_TIE_ALL ? LNG_PARAM_SHARED : LNG_PARAM_TARGET_EMBED, -1);
    const float *row = data->values + table->offset + (int64_t)h->pad * h->dim;
    for (int32_t i = 0; i < h->dim; i++)
        if (row[i] != 0)
            return;
    h->decoder_start = -1;
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

static enum lng_status load(const char *directory, bool with_values, struct lng_hf_config *config,
                            struct lng_hf_tensors *tensors, struct lng_model_data *data)
{
    struct lng_params params = {0};
    LNG_TRY(lng_hf_config_open(config, directory));
    LNG_TRY(lng_hf_tensors_open(tensors, directory));
    LNG_TRY(lng_hf_settle_positions(config, tensors));
    LNG_TRY(settle_output_bias(config, tensors));
    LNG_TRY(lng_params_init(&params, &config->hparams));
    enum lng_status status = check_inventory(config, &params, tensors);
    lng_params_release(&params);
    if (status != LNG_OK)
        return status;
    LNG_TRY(lng_model_data_init(data, &config->hparams));
    LNG_TRY(lng_hf_read_generation(config, directory, &data->generation));
    LNG_TRY(check_files(config, directory, &data->warnings));
    LNG_TRY(read_provenance(config, data));
    LNG_TRY(warn_unused(tensors, &data->warnings));
    struct loading loading = {tensors, data->values};
    LNG_TRY(each_source(config, &data->params, load_source, &loading));
    settle_decoder_start(config, data);
    data->directory = lng_strdup(directory);
    if (!data->directory)
        return LNG_ERR_MEMORY;
    if (!with_values) {
        lng_free(data->values);
        data->values = NULL;
    }
    return LNG_OK;
}

static enum lng_status load_directory(const char *directory, bool with_values,
                                      struct lng_model_data *data)
{
    struct lng_hf_config config = {0};
    struct lng_hf_tensors tensors = {0};
    struct lng_model_data fresh = {0};
    enum lng_status status = load(directory, with_values, &config, &tensors, &fresh);
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
    return load_directory(directory, true, data);
}

enum lng_status lng_hf_load_shape(const char *directory, struct lng_model_data *data)
{
    return load_directory(directory, false, data);
}
