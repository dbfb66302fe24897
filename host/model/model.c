#include "host/model/model_private.h"

#include <math.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/model/positions.h"

enum { REFRESHED = 64 }; /* weights at once */

static size_t real_size(const struct lng_model *model)
{
    return lng_dtype_size(lng_device_real(model->device));
}

static bool used_in_products(const struct lng_param *param)
{
    return param->rows > 1 && param->id != LNG_PARAM_SOURCE_EMBED &&
           param->id != LNG_PARAM_ENCODER_POSITIONS && param->id != LNG_PARAM_DECODER_POSITIONS;
}

/* Target embeddings are a product's weight only when tied to the output. */
bool lng_model_needs_weight(const struct lng_model *model, const struct lng_param *param)
{
    if (param->id == LNG_PARAM_TARGET_EMBED)
        return model->hparams.tie == LNG_TIE_TARGET;
    return used_in_products(param);
}

static enum lng_status open_tensors(struct lng_model *model)
{
    enum lng_dtype real = lng_device_real(model->device);
    size_t size = real_size(model);
    model->tensors = lng_alloc(model->params.count, sizeof *model->tensors);
    if (model->tensors == NULL)
        return LNG_ERR_MEMORY;
    size_t bytes = (size_t)model->params.total * size;
    LNG_TRY(lng_device_alloc(model->device, bytes, &model->values));
    if (model->training)
        LNG_TRY(lng_device_alloc(model->device, bytes, &model->gradients));
    for (size_t i = 0; i < model->params.count; i++) {
        const struct lng_param *param = &model->params.list[i];
        struct lng_tensor *tensor = &model->tensors[i];
        size_t at = (size_t)param->offset * size;
        tensor->value = lng_view_make((char *)model->values + at, real, param->rows, param->cols);
        if (model->training)
            tensor->gradient =
                lng_view_make((char *)model->gradients + at, real, param->rows, param->cols);
        if (lng_model_needs_weight(model, param))
            LNG_TRY(lng_weight_prepare(model->device, tensor->value, model->compute,
                                       model->training ? LNG_WEIGHT_BACKWARD : LNG_WEIGHT_INFERENCE,
                                       &tensor->weight));
    }
    return LNG_OK;
}

/* Products in less than f32 are worth no better caches, which decoding reads from memory at each step. The widths are those
 * that fast attention to such keys is made for. */
enum lng_dtype lng_model_cache_dtype(const struct lng_model *model)
{
    const struct lng_hparams *h = &model->hparams;
    bool rounds = model->compute != LNG_DTYPE_F32 && model->activation == LNG_DTYPE_F32 &&
                  h->attention_score == LNG_ATTENTION_DOT && h->dim / h->decoder_heads % 16 == 0;
    if (!rounds)
        return model->activation;
    return model->compute == LNG_DTYPE_I8 && lng_device_byte_caches(model->device) ? LNG_DTYPE_I8
                                                                                   : LNG_DTYPE_BF16;
}

enum lng_status lng_model_describe(struct lng_model *model, struct lng_device *device,
                                   const struct lng_hparams *hparams, enum lng_dtype compute,
                                   bool training)
{
    struct lng_model result = {
        .hparams = *hparams, .device = device, .compute = compute, .training = training};
    LNG_TRY(lng_device_supports(device, compute));
    result.activation = lng_device_activation(device, compute);
    result.cache = lng_model_cache_dtype(&result);
    LNG_TRY(lng_params_init(&result.params, hparams));
    *model = result;
    return LNG_OK;
}

enum lng_status lng_model_init(struct lng_model *model, struct lng_device *device,
                               const struct lng_hparams *hparams, enum lng_dtype compute,
                               bool training)
{
    struct lng_model result = {0};
    enum lng_status status;
    LNG_TRY(lng_model_describe(&result, device, hparams, compute, training));
    LNG_TRY_OR_FAIL(open_tensors(&result));
    LNG_TRY_OR_FAIL(lng_model_reserve_positions(&result, LNG_FIRST_POSITIONS));
    *model = result;
    return LNG_OK;
fail:
    lng_model_release(&result);
    return status;
}

void lng_model_release(struct lng_model *model)
{
    if (model->shared != NULL) {
        lng_model_release_shared(model);
        return;
    }
    for (size_t i = 0; model->tensors != NULL && i < model->params.count; i++)
        if (model->tensors[i].weight != NULL)
            lng_weight_release(model->device, model->tensors[i].weight);
    lng_free(model->tensors);
    if (model->device != NULL) {
        lng_device_free(model->device, model->values);
        lng_device_free(model->device, model->gradients);
        lng_device_free(model->device, model->position_memory);
    }
    lng_params_release(&model->params);
    *model = (struct lng_model){0};
}

size_t lng_model_bytes(const struct lng_model *model)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model->params.count; i++) {
        const struct lng_tensor *tensor = &model->tensors[i];
        const int64_t count = tensor->value.rows * tensor->value.cols;
        bytes += tensor->value.data != NULL ? (size_t)count * real_size(model) : 0;
        bytes += tensor->gradient.data != NULL ? (size_t)count * real_size(model) : 0;
        bytes += tensor->weight != NULL ? lng_weight_bytes(tensor->weight) : 0;
    }
    return bytes;
}

enum lng_status lng_model_write_reals(struct lng_device *device, void *to, const float *from,
                                      size_t count)
{
    if (lng_device_real(device) == LNG_DTYPE_F32)
        return lng_device_write(device, to, from, count * sizeof *from);
    double *wide = lng_alloc(count, sizeof *wide);
    if (wide == NULL)
        return LNG_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)from[i];
    enum lng_status status = lng_device_write(device, to, wide, count * sizeof *wide);
    lng_free(wide);
    return status;
}

static enum lng_status check_whole(const struct lng_model *model)
{
    LNG_FAIL_IF(model->inference_only, LNG_ERR_USAGE,
                "this model was opened for inference: its parameters cannot be read or changed");
    return LNG_OK;
}

enum lng_status lng_model_set_values(struct lng_model *model, const float *values)
{
    LNG_TRY(check_whole(model));
    LNG_TRY(
        lng_model_write_reals(model->device, model->values, values, (size_t)model->params.total));
    return lng_model_refresh(model);
}

enum lng_status lng_model_get_values(const struct lng_model *model, float *values)
{
    LNG_TRY(check_whole(model));
    size_t count = (size_t)model->params.total;
    if (lng_device_real(model->device) == LNG_DTYPE_F32)
        return lng_device_read(model->device, values, model->values, count * sizeof *values);
    double *wide = lng_alloc(count, sizeof *wide);
    if (wide == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_device_read(model->device, wide, model->values, count * sizeof *wide);
    for (size_t i = 0; status == LNG_OK && i < count; i++)
        values[i] = (float)wide[i];
    lng_free(wide);
    return status;
}

enum lng_status lng_model_refresh(struct lng_model *model)
{
    LNG_TRY(check_whole(model));
    struct lng_weight *some[REFRESHED];
    size_t count = 0;
    for (size_t i = 0; i < model->params.count; i++) {
        if (model->tensors[i].weight == NULL)
            continue;
        some[count++] = model->tensors[i].weight;
        if (count == REFRESHED) {
            LNG_TRY(lng_weights_refresh(model->device, some, count));
            count = 0;
        }
    }
    return lng_weights_refresh(model->device, some, count);
}

struct lng_tensor *lng_model_tensor(const struct lng_model *model, enum lng_param_id id, int layer)
{
    const struct lng_param *param = lng_params_find(&model->params, id, layer);
    return param ? &model->tensors[param - model->params.list] : NULL;
}

/* Bound of the uniform distribution of a tensor. */
static double init_bound(const struct lng_param *param, const struct lng_hparams *hparams,
                         bool depth_scaled)
{
    double bound = param->init == LNG_INIT_EMBEDDING
                       ? sqrt(3.0 / hparams->dim)
                       : sqrt(6.0 / (double)(param->cols + param->rows / param->parts));
    if (depth_scaled && param->layer >= 0 && param->init == LNG_INIT_GLOROT)
        bound /= sqrt(param->layer + 1.0);
    return bound;
}

static void init_tensor(const struct lng_param *param, size_t index, double bound, uint64_t seed,
                        float *values)
{
    int64_t count = param->rows * param->cols;
    struct lng_rng_site rng = {.seed = seed, .update = UINT32_MAX, .site = 0};
    for (int64_t i = 0; i < count; i++) {
        if (param->init == LNG_INIT_ONE || param->init == LNG_INIT_ZERO) {
            values[i] = param->init == LNG_INIT_ONE;
            continue;
        }
        struct lng_philox block =
            lng_rng_block(rng, (uint32_t)index, (uint32_t)(i >> 2), (uint32_t)(i >> 34), 0);
        values[i] = (float)((2.0 * lng_philox_uniform(block.word[i & 3]) - 1.0) * bound);
    }
}

enum lng_status lng_model_randomize(struct lng_model *model, uint64_t seed, bool depth_scaled)
{
    float *values = lng_alloc((size_t)model->params.total, sizeof *values);
    if (values == NULL)
        return LNG_ERR_MEMORY;
    const struct lng_hparams *h = &model->hparams;
    for (size_t i = 0; i < model->params.count; i++) {
        const struct lng_param *param = &model->params.list[i];
        float *tensor = values + param->offset;
        init_tensor(param, i, init_bound(param, h, depth_scaled), seed, tensor);
        bool embeds_target = param->id == LNG_PARAM_SHARED || param->id == LNG_PARAM_TARGET_EMBED ||
                             param->id == LNG_PARAM_OUTPUT;
        if (embeds_target && h->pad >= 0)
            memset(tensor + (int64_t)h->pad * h->dim, 0, (size_t)h->dim * sizeof *tensor);
    }
    enum lng_status status = lng_model_set_values(model, values);
    lng_free(values);
    return status;
}

enum lng_status lng_model_reserve_positions(struct lng_model *model, int64_t count)
{
    const struct lng_hparams *h = &model->hparams;
    if (h->positions == LNG_POSITIONS_LEARNED ||
        count + h->position_offset <= model->positions.rows)
        return LNG_OK;
    int64_t rows = model->positions.rows > 0 ? model->positions.rows : LNG_FIRST_POSITIONS;
    while (rows < count + h->position_offset)
        rows *= 2;
    size_t elements = (size_t)rows * (size_t)h->dim;
    float *table = lng_alloc(elements, sizeof *table);
    if (table == NULL)
        return LNG_ERR_MEMORY;
    lng_positions_fill(table, rows, h->dim, h->positions);
    void *memory = NULL;
    enum lng_status status = lng_device_alloc(model->device, elements * real_size(model), &memory);
    if (status == LNG_OK)
        status = lng_model_write_reals(model->device, memory, table, elements);
    lng_free(table);
    if (status != LNG_OK) {
        lng_device_free(model->device, memory);
        return status;
    }
    lng_device_free(model->device, model->position_memory);
    model->position_memory = memory;
    model->positions = lng_view_make(memory, lng_device_real(model->device), rows, h->dim);
    return LNG_OK;
}

enum lng_status lng_model_zero_gradients(struct lng_model *model)
{
    LNG_FAIL_IF(model->gradients == NULL, LNG_ERR_USAGE,
                "this model was opened without training: it has no gradients");
    return lng_fill(
        model->device,
        &(struct lng_fill_args){.y = lng_view_make(model->gradients, lng_device_real(model->device),
                                                   1, model->params.total)});
}
