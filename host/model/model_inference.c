/* Models that only infer: weights are made straight from where their values are read, and nothing else is kept of
 * matrices that are never asked for by row. */
#include "host/base/mem.h"
#include "host/model/model_private.h"

/* Whether the weight alone is kept. Of weights only int8 ones can be looked up in. */
static bool is_weight_alone(const struct lng_model *model, const struct lng_param *param)
{
    if (!lng_weight_takes_rows(model->device, model->compute))
        return false;
    if (model->compute == LNG_DTYPE_I8)
        return lng_param_is_embedding(param) || lng_model_needs_weight(model, param);
    return !lng_param_is_table(param) && lng_model_needs_weight(model, param);
}

static int64_t padded(const struct lng_param *param)
{
    enum { ALIGNMENT = 64 };
    return (param->rows * param->cols + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static enum lng_status open_values(struct lng_model *model)
{
    const enum lng_dtype real = lng_device_real(model->device);
    const size_t size = lng_dtype_size(real);
    int64_t total = 0, at = 0;
    for (size_t i = 0; i < model->params.count; i++)
        if (!is_weight_alone(model, &model->params.list[i]))
            total += padded(&model->params.list[i]);
    LNG_TRY(lng_device_alloc(model->device, (size_t)total * size, &model->values));
    for (size_t i = 0; i < model->params.count; i++) {
        const struct lng_param *param = &model->params.list[i];
        bool alone = is_weight_alone(model, param);
        model->tensors[i].value =
            lng_view_make(alone ? NULL : (char *)model->values + (size_t)at * size, real,
                          param->rows, param->cols);
        at += alone ? 0 : padded(param);
    }
    return LNG_OK;
}

/* int8 rows as what they stand for; the caller frees. */
static enum lng_status widen(const struct lng_weight_rows *rows, float **values)
{
    const int8_t *q = rows->values;
    float *wide = lng_alloc((size_t)(rows->rows * rows->cols), sizeof *wide);
    if (wide == NULL)
        return LNG_ERR_MEMORY;
    for (int64_t r = 0; r < rows->rows; r++)
        for (int64_t c = 0; c < rows->cols; c++)
            wide[r * rows->cols + c] = (float)q[r * rows->cols + c] * rows->scales[r];
    for (int64_t r = 0; rows->rest != NULL && r < rows->rows; r++)
        for (int64_t c = 0; c < rows->cols; c++)
            wide[r * rows->cols + c] +=
                (float)rows->rest[r * rows->cols + c] * rows->rest_scales[r];
    *values = wide;
    return LNG_OK;
}

static enum lng_status make_tensor(struct lng_model *model, const struct lng_param *param,
                                   const struct lng_weight_rows *rows, struct lng_tensor *tensor)
{
    if (tensor->value.data == NULL)
        return lng_weight_prepare_rows(model->device, rows, model->compute, &tensor->weight);
    LNG_TRY(lng_model_write_reals(model->device, tensor->value.data, rows->values,
                                  (size_t)(rows->rows * rows->cols)));
    if (!lng_model_needs_weight(model, param))
        return LNG_OK;
    return lng_weight_prepare(model->device, tensor->value, model->compute, LNG_WEIGHT_INFERENCE,
                              &tensor->weight);
}

static enum lng_status read_tensor(struct lng_model *model, size_t index,
                                   const struct lng_param_source *source)
{
    const struct lng_param *param = &model->params.list[index];
    struct lng_tensor *tensor = &model->tensors[index];
    struct lng_weight_rows rows;
    LNG_TRY(source->read(source->context, param, &rows));
    rows.table = lng_param_is_table(param);
    if (rows.dtype == LNG_DTYPE_F32 ||
        (tensor->value.data == NULL && model->compute == LNG_DTYPE_I8))
        return make_tensor(model, param, &rows, tensor);
    float *wide;
    LNG_TRY(widen(&rows, &wide));
    rows = (struct lng_weight_rows){
        .dtype = LNG_DTYPE_F32, .rows = rows.rows, .cols = rows.cols, .values = wide};
    enum lng_status status = make_tensor(model, param, &rows, tensor);
    lng_free(wide);
    return status;
}

static enum lng_status open_model(struct lng_model *model, const struct lng_param_source *source)
{
    LNG_TRY(lng_params_init(&model->params, &model->hparams));
    model->tensors = lng_alloc(model->params.count, sizeof *model->tensors);
    if (model->tensors == NULL)
        return LNG_ERR_MEMORY;
    LNG_TRY(open_values(model));
    for (size_t i = 0; i < model->params.count; i++)
        LNG_TRY(read_tensor(model, i, source));
    return lng_model_reserve_positions(model, LNG_FIRST_POSITIONS);
}

enum lng_status lng_model_init_inference(struct lng_model *model, struct lng_device *device,
                                         const struct lng_hparams *hparams, enum lng_dtype compute,
                                         const struct lng_param_source *source)
{
    struct lng_model result = {
        .hparams = *hparams, .device = device, .compute = compute, .inference_only = true};
    enum lng_status status;
    LNG_TRY_OR_FAIL(lng_device_supports(device, compute));
    result.activation = lng_device_activation(device, compute);
    result.cache = lng_model_cache_dtype(&result);
    LNG_TRY_OR_FAIL(open_model(&result, source));
    *model = result;
    return LNG_OK;
fail:
    lng_model_release(&result);
    return status;
}
