/* One model on several devices: with the same parameters, or with a copy of them. */
#include <string.h>

#include "host/base/mem.h"
#include "host/model/model_private.h"

/* Only the handles of weights may differ. */
static enum lng_status share_tensors(struct lng_model *model)
{
    const struct lng_tensor *from = model->shared;
    const size_t count = model->params.count;
    model->tensors = lng_alloc(count, sizeof *model->tensors);
    if (model->tensors == NULL)
        return LNG_ERR_MEMORY;
    memcpy(model->tensors, from, count * sizeof *from);
    for (size_t i = 0; i < count; i++)
        if (from[i].weight != NULL)
            LNG_TRY(lng_weight_share(model->device, from[i].weight, &model->tensors[i].weight));
    return LNG_OK;
}

enum lng_status lng_model_share(const struct lng_model *model, struct lng_device *device,
                                struct lng_model *shared)
{
    struct lng_model result = *model;
    result.device = device;
    result.shared = model->tensors;
    result.training = false;
    result.gradients = NULL;
    result.positions = (struct lng_view){0};
    result.position_memory = NULL;
    LNG_TRY(lng_device_sync(model->device)); /* the other device does not wait for this one */
    enum lng_status status = share_tensors(&result);
    if (status != LNG_OK) {
        lng_model_release_shared(&result);
        return status;
    }
    *shared = result;
    return LNG_OK;
}

void lng_model_release_shared(struct lng_model *model)
{
    for (size_t i = 0; model->tensors != NULL && i < model->params.count; i++)
        if (model->tensors[i].weight != model->shared[i].weight)
            lng_weight_release(model->device, model->tensors[i].weight);
    lng_free(model->tensors);
    lng_device_free(model->device, model->position_memory);
    *model = (struct lng_model){0};
}

/* What a copy reads its parameters from. */
struct origin {
    const struct lng_model *model;
    float *values; /* [of the largest parameter] */
};

static enum lng_status read_values(void *context, const struct lng_param *param,
                                   struct lng_weight_rows *rows)
{
    struct origin *origin = context;
    const struct lng_model *model = origin->model;
    const struct lng_tensor *tensor = lng_model_tensor(model, param->id, param->layer);
    LNG_FAIL_IF(tensor == NULL || tensor->value.data == NULL, LNG_ERR_UNSUPPORTED,
                "device %s keeps no parameters that another could be given",
                lng_device_name(model->device));
    LNG_TRY(lng_device_read(model->device, origin->values, tensor->value.data,
                            (size_t)(param->rows * param->cols) * sizeof *origin->values));
    *rows = (struct lng_weight_rows){
        .dtype = LNG_DTYPE_F32, .rows = param->rows, .cols = param->cols, .values = origin->values};
    return LNG_OK;
}

enum lng_status lng_model_copy(const struct lng_model *model, struct lng_device *device,
                               struct lng_model *copy)
{
    struct origin origin = {.model = model};
    struct lng_param_source source = {&origin, read_values};
    struct lng_model made;
    int64_t most = 0;
    LNG_FAIL_IF(lng_device_real(model->device) != LNG_DTYPE_F32, LNG_ERR_UNSUPPORTED,
                "device %s: only parameters in f32 are copied", lng_device_name(model->device));
    for (size_t i = 0; i < model->params.count; i++) {
        const int64_t size = model->params.list[i].rows * model->params.list[i].cols;
        most = size > most ? size : most;
    }
    origin.values = lng_alloc((size_t)most, sizeof *origin.values);
    if (origin.values == NULL)
        return LNG_ERR_MEMORY;
    enum lng_status status =
        lng_model_init_inference(&made, device, &model->hparams, model->compute, &source);
    lng_free(origin.values);
    LNG_TRY(status);
    made.raw_decoder_keys = model->raw_decoder_keys;
    *copy = made;
    return LNG_OK;
}
