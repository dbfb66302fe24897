/* Which tensors of a model directory a parameter is made of, and their values: as floats, or int8 rows as they are. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

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

static void part_shape(const struct lng_param *param, int64_t *rows, int64_t *cols)
{
    bool vector = param->rows == 1;
    *rows = vector ? 1 : param->rows / param->parts;
    *cols = vector ? param->cols / param->parts : param->cols;
}

/* ---- int8 ---- */

/* The scales of an int8 tensor: "<name>_scale", F32 [rows]. */
static enum lng_status locate_scales(struct lng_hf_tensors *tensors,
                                     const struct lng_safetensors *file,
                                     const struct lng_safetensor *tensor,
                                     const struct lng_safetensors **scales_file,
                                     const struct lng_safetensor **scales)
{
    char found[LNG_SHAPE_TEXT_BYTES];
    char *name = lng_format("%s" LNG_HF_SCALE_SUFFIX, tensor->name);
    if (!name)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    const struct lng_safetensor *at = lng_hf_tensors_find(tensors, name, scales_file);
    LNG_GOTO_FAIL_IF(!at, LNG_ERR_FORMAT,
                     "%s: tensor \"%s\": it is int8, but its scales \"%s\" are missing",
                     file->blob.name, tensor->name, name);
    LNG_GOTO_FAIL_IF(at->type != LNG_SAFETENSORS_F32, LNG_ERR_DTYPE,
                     "%s: tensor \"%s\": expected scales in F32, found %s",
                     (*scales_file)->blob.name, name, lng_safetensors_type_name(at->type));
    LNG_GOTO_FAIL_IF(at->rank != 1 || at->shape[0] != tensor->shape[0], LNG_ERR_SHAPE,
                     "%s: tensor \"%s\": expected one scale for each of %" PRId64
                     " rows, found shape %s",
                     (*scales_file)->blob.name, name, tensor->shape[0],
                     lng_shape_text(at->shape, at->rank, found));
    *scales = at;
fail:
    lng_free(name);
    return status;
}

/* What rounding left of a table: "<name>_rest", int8 of the same shape with scales of its own; NULL: it is not there. */
static enum lng_status locate_rest(struct lng_hf_tensors *tensors, const struct lng_param *param,
                                   const struct lng_safetensor *tensor,
                                   const struct lng_safetensors **file,
                                   const struct lng_safetensor **rest)
{
    *rest = NULL;
    if (!lng_param_is_table(param))
        return LNG_OK;
    char found[LNG_SHAPE_TEXT_BYTES];
    char *name = lng_format("%s" LNG_HF_REST_SUFFIX, tensor->name);
    if (!name)
        return LNG_ERR_MEMORY;
    enum lng_status status = LNG_OK;
    const struct lng_safetensor *at = lng_hf_tensors_find(tensors, name, file);
    LNG_GOTO_FAIL_IF(at && at->type != LNG_SAFETENSORS_I8, LNG_ERR_DTYPE,
                     "%s: tensor \"%s\": expected dtype I8, found %s", (*file)->blob.name, name,
                     lng_safetensors_type_name(at->type));
    LNG_GOTO_FAIL_IF(at && !shape_fits(at, tensor->shape[0], tensor->shape[1]), LNG_ERR_SHAPE,
                     "%s: tensor \"%s\": expected the shape of \"%s\", found %s",
                     (*file)->blob.name, name, tensor->name,
                     lng_shape_text(at->shape, at->rank, found));
    *rest = at;
fail:
    lng_free(name);
    return status;
}

static enum lng_status check_int8(const struct lng_hf_config *config,
                                  struct lng_hf_tensors *tensors, const struct lng_param *param,
                                  const struct lng_safetensors *file,
                                  const struct lng_safetensor *tensor)
{
    const struct lng_safetensors *scales_file;
    const struct lng_safetensor *scales;
    LNG_FAIL_IF(!config->int8, LNG_ERR_DTYPE,
                "%s: tensor \"%s\": expected dtype F32, F16, BF16 or F64, found I8: %s has no "
                "\"quantization_config\" that would say what it means",
                file->blob.name, tensor->name, config->path);
    LNG_FAIL_IF(!lng_hf_param_in_int8(param), LNG_ERR_DTYPE,
                "%s: tensor \"%s\": expected floats, found I8: only weight matrices and embeddings "
                "can be int8",
                file->blob.name, tensor->name);
    LNG_TRY(locate_scales(tensors, file, tensor, &scales_file, &scales));
    const struct lng_safetensor *rest;
    LNG_TRY(locate_rest(tensors, param, tensor, &file, &rest));
    return rest ? locate_scales(tensors, file, rest, &scales_file, &scales) : LNG_OK;
}

/* Finite and above 0. */
static enum lng_status read_scales(struct lng_hf_tensors *tensors,
                                   const struct lng_safetensors *file,
                                   const struct lng_safetensor *tensor, float *values)
{
    const struct lng_safetensors *scales_file;
    const struct lng_safetensor *scales;
    LNG_TRY(locate_scales(tensors, file, tensor, &scales_file, &scales));
    LNG_TRY(lng_safetensors_read_f32(scales_file, scales, values));
    for (int64_t i = 0; i < tensor->shape[0]; i++)
        LNG_FAIL_IF(!(values[i] > 0) || !isfinite(values[i]), LNG_ERR_RANGE,
                    "%s: tensor \"%s\": expected finite scales above 0, found %g for row %" PRId64,
                    scales_file->blob.name, scales->name, (double)values[i], i);
    return LNG_OK;
}

/* q [elements], scales [rows] */
static enum lng_status read_int8(struct lng_hf_tensors *tensors, const struct lng_safetensors *file,
                                 const struct lng_safetensor *tensor, int8_t *q, float *scales)
{
    LNG_TRY(read_scales(tensors, file, tensor, scales));
    LNG_TRY(lng_safetensors_read_raw(file, tensor, q));
    /* Products are made for magnitudes of 7 bits. */
    const int8_t *bad =
        tensor->elements > 0 ? memchr(q, INT8_MIN & 0xFF, (size_t)tensor->elements) : NULL;
    LNG_FAIL_IF(bad, LNG_ERR_RANGE,
                "%s: tensor \"%s\": expected values from -127 to 127, found -128 at element %td",
                file->blob.name, tensor->name, bad - q);
    return LNG_OK;
}

/* values += q * scale */
static enum lng_status add_int8(struct lng_hf_tensors *tensors, const struct lng_safetensors *file,
                                const struct lng_safetensor *tensor, float *values)
{
    const int64_t rows = tensor->shape[0], cols = tensor->shape[1];
    int8_t *q = lng_alloc((size_t)tensor->elements, 1);
    float *scales = lng_alloc((size_t)rows, sizeof *scales);
    enum lng_status status =
        q && scales ? read_int8(tensors, file, tensor, q, scales) : LNG_ERR_MEMORY;
    for (int64_t r = 0; status == LNG_OK && r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            values[r * cols + c] += (float)q[r * cols + c] * scales[r];
    lng_free(q);
    lng_free(scales);
    return status;
}

static enum lng_status read_int8_as_f32(struct lng_hf_tensors *tensors,
                                        const struct lng_param *param,
                                        const struct lng_safetensors *file,
                                        const struct lng_safetensor *tensor, float *values)
{
    const struct lng_safetensors *rest_file;
    const struct lng_safetensor *rest;
    memset(values, 0, (size_t)tensor->elements * sizeof *values);
    LNG_TRY(add_int8(tensors, file, tensor, values));
    LNG_TRY(locate_rest(tensors, param, tensor, &rest_file, &rest));
    return rest ? add_int8(tensors, rest_file, rest, values) : LNG_OK;
}

/* ---- where tensors are ---- */

/* The first name that is there with a shape and type that fit, or NULL; a wrong one is an error. */
static enum lng_status locate(const struct lng_hf_config *config, struct lng_hf_tensors *tensors,
                              const struct source *source, int name,
                              const struct lng_safetensors **file,
                              const struct lng_safetensor **tensor)
{
    char found[LNG_SHAPE_TEXT_BYTES], expected[LNG_SHAPE_TEXT_BYTES];
    int64_t shape[2];
    *tensor = NULL;
    if (!source->names[name])
        return LNG_OK;
    const struct lng_safetensor *at = lng_hf_tensors_find(tensors, source->names[name], file);
    part_shape(source->param, &shape[0], &shape[1]);
    LNG_FAIL_IF(at && !shape_fits(at, shape[0], shape[1]), LNG_ERR_SHAPE,
                "%s: tensor \"%s\": config.json makes it %s, found shape %s", (*file)->blob.name,
                source->names[name],
                lng_shape_text(shape[0] == 1 ? shape + 1 : shape, shape[0] == 1 ? 1 : 2, expected),
                lng_shape_text(at->shape, at->rank, found));
    if (at && at->type == LNG_SAFETENSORS_I8)
        LNG_TRY(check_int8(config, tensors, source->param, *file, at));
    *tensor = at;
    return LNG_OK;
}

struct inventory {
    struct lng_buffer missing;
    size_t missing_count;
};

static enum lng_status take_stock(const struct lng_hf_config *config,
                                  struct lng_hf_tensors *tensors, const struct source *source,
                                  struct inventory *stock)
{
    bool found = false;
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *file;
        const struct lng_safetensor *tensor;
        LNG_TRY(locate(config, tensors, source, i, &file, &tensor));
        found = found || tensor;
    }
    if (found)
        return LNG_OK;
    if (++stock->missing_count <= LISTED)
        LNG_TRY(lng_buffer_append_format(&stock->missing, "%s%s",
                                         stock->missing_count > 1 ? ", " : "", source->names[0]));
    return LNG_OK;
}

enum lng_status lng_hf_check_inventory(const struct lng_hf_config *config,
                                       const struct lng_params *params,
                                       struct lng_hf_tensors *tensors)
{
    struct inventory stock = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < params->count; i++) {
        for (int part = 0; part < params->list[i].parts && status == LNG_OK; part++) {
            struct source source = source_of(config, &params->list[i], part);
            status = take_stock(config, tensors, &source, &stock);
        }
    }
    if (status == LNG_OK && stock.missing_count > 0)
        status = lng_fail(LNG_ERR_FORMAT, "%s: %zu tensors that %s asks for are missing: %s%s",
                          tensors->count > 0 ? tensors->files[0].blob.name : config->path,
                          stock.missing_count, config->path, stock.missing.data,
                          stock.missing_count > LISTED ? ", ..." : "");
    lng_buffer_release(&stock.missing);
    return status;
}

/* ---- values ---- */

static enum lng_status read_values(struct lng_hf_tensors *tensors, const struct lng_param *param,
                                   const struct lng_safetensors *file,
                                   const struct lng_safetensor *tensor, float *values)
{
    if (tensor->type == LNG_SAFETENSORS_I8)
        LNG_TRY(read_int8_as_f32(tensors, param, file, tensor, values));
    else
        LNG_TRY(lng_safetensors_read_f32(file, tensor, values));
    size_t bad = lng_first_not_finite(values, (size_t)tensor->elements);
    LNG_FAIL_IF(bad < tensor->elements, LNG_ERR_RANGE,
                "%s: tensor \"%s\": expected finite values, found %g at element %zu",
                file->blob.name, tensor->name, (double)values[bad], bad);
    return LNG_OK;
}

static enum lng_status check_equal(struct lng_hf_tensors *tensors, const struct lng_param *param,
                                   const struct lng_safetensors *file,
                                   const struct lng_safetensor *tensor, const char *first,
                                   const float *values)
{
    float *other = lng_alloc((size_t)tensor->elements, sizeof *other);
    if (!other)
        return LNG_ERR_MEMORY;
    enum lng_status status = read_values(tensors, param, file, tensor, other);
    if (status == LNG_OK && memcmp(other, values, (size_t)tensor->elements * sizeof *values) != 0)
        status =
            lng_fail(LNG_ERR_MISMATCH,
                     "%s: tensors \"%s\" and \"%s\" are tied by config.json and must be equal, "
                     "but they differ",
                     file->blob.name, first, tensor->name);
    lng_free(other);
    return status;
}

static enum lng_status read_part(const struct lng_hf_config *config, struct lng_hf_tensors *tensors,
                                 const struct source *source, float *values)
{
    const char *first = NULL;
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *file;
        const struct lng_safetensor *tensor;
        LNG_TRY(locate(config, tensors, source, i, &file, &tensor));
        if (!tensor)
            continue;
        if (first && source->first_counts)
            continue;
        if (first)
            LNG_TRY(check_equal(tensors, source->param, file, tensor, first, values));
        else
            LNG_TRY(read_values(tensors, source->param, file, tensor, values));
        first = first ? first : tensor->name;
    }
    return LNG_OK;
}

enum lng_status lng_hf_read_param(const struct lng_hf_config *config,
                                  struct lng_hf_tensors *tensors, const struct lng_param *param,
                                  float *values)
{
    int64_t rows, cols;
    part_shape(param, &rows, &cols);
    for (int part = 0; part < param->parts; part++) {
        struct source source = source_of(config, param, part);
        LNG_TRY(read_part(config, tensors, &source, values + part * rows * cols));
    }
    return LNG_OK;
}

/* The one tensor of a part if it is int8 and goes by one name only, else NULL. */
static enum lng_status lone_int8(const struct lng_hf_config *config, struct lng_hf_tensors *tensors,
                                 const struct source *source, const struct lng_safetensors **file,
                                 const struct lng_safetensor **tensor)
{
    *tensor = NULL;
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *at_file;
        const struct lng_safetensor *at;
        LNG_TRY(locate(config, tensors, source, i, &at_file, &at));
        if (at && (*tensor || at->type != LNG_SAFETENSORS_I8)) {
            *tensor = NULL;
            return LNG_OK;
        }
        if (at) {
            *file = at_file;
            *tensor = at;
        }
    }
    return LNG_OK;
}

enum lng_status lng_hf_read_param_int8(const struct lng_hf_config *config,
                                       struct lng_hf_tensors *tensors,
                                       const struct lng_param *param, const struct lng_hf_int8 *to,
                                       bool *found, bool *rest_found)
{
    int64_t rows, cols;
    part_shape(param, &rows, &cols);
    *found = *rest_found = false;
    for (int part = 0; part < param->parts; part++) {
        struct source source = source_of(config, param, part);
        const struct lng_safetensors *file = NULL;
        const struct lng_safetensor *tensor = NULL, *rest;
        LNG_TRY(lone_int8(config, tensors, &source, &file, &tensor));
        if (!tensor)
            return LNG_OK;
        LNG_TRY(
            read_int8(tensors, file, tensor, to->q + part * rows * cols, to->scales + part * rows));
        LNG_TRY(locate_rest(tensors, param, tensor, &file,
                            &rest)); /* of tables, that is, of one part */
        if (rest)
            LNG_TRY(read_int8(tensors, file, rest, to->rest, to->rest_scales));
        *rest_found = rest != NULL;
    }
    *found = true;
    return LNG_OK;
}

enum lng_status lng_hf_read_row(const struct lng_hf_config *config, struct lng_hf_tensors *tensors,
                                const struct lng_param *param, int64_t row, float *values)
{
    struct source source = source_of(config, param, 0);
    for (int i = 0; i < NAMES; i++) {
        const struct lng_safetensors *file;
        const struct lng_safetensor *tensor;
        LNG_TRY(locate(config, tensors, &source, i, &file, &tensor));
        if (!tensor)
            continue;
        struct lng_safetensor part = *tensor;
        part.elements = (uint64_t)param->cols;
        part.bytes = tensor->bytes / (uint64_t)param->rows;
        part.offset += part.bytes * (uint64_t)row;
        if (tensor->type != LNG_SAFETENSORS_I8)
            return lng_safetensors_read_f32(file, &part, values);
        int8_t *q = (int8_t *)values; /* zero or not is all that counts */
        LNG_TRY(lng_safetensors_read_raw(file, &part, q));
        for (int64_t c = param->cols - 1; c >= 0; c--)
            values[c] = (float)q[c];
        return LNG_OK;
    }
    return LNG_OK;
}
