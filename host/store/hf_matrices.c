/* Matrices of a model directory, read one at a time when a model is made. */
#include "host/base/mem.h"
#include "host/store/hf_internal.h"

/* Room for the largest so far. */
struct room {
    void *memory;
    size_t bytes;
};

struct lng_matrices {
    struct lng_hf_config config;
    struct lng_hf_tensors tensors;
    struct room values, scales, rest, rest_scales;
};

bool lng_hf_param_in_int8(const struct lng_param *param)
{
    return param->rows > 1 && param->id != LNG_PARAM_ENCODER_POSITIONS &&
           param->id != LNG_PARAM_DECODER_POSITIONS;
}

enum lng_status lng_hf_matrices_take(struct lng_hf_config *config, struct lng_hf_tensors *tensors,
                                     struct lng_matrices **matrices)
{
    struct lng_matrices *own = lng_alloc(1, sizeof *own);
    if (!own)
        return LNG_ERR_MEMORY;
    own->config = *config;
    own->tensors = *tensors;
    *config = (struct lng_hf_config){0};
    *tensors = (struct lng_hf_tensors){0};
    *matrices = own;
    return LNG_OK;
}

void lng_matrices_close(struct lng_matrices *matrices)
{
    if (!matrices)
        return;
    lng_hf_tensors_close(&matrices->tensors);
    lng_hf_config_close(&matrices->config);
    lng_free(matrices->values.memory);
    lng_free(matrices->scales.memory);
    lng_free(matrices->rest.memory);
    lng_free(matrices->rest_scales.memory);
    lng_free(matrices);
}

static enum lng_status reserve(struct room *room, size_t bytes)
{
    if (bytes <= room->bytes)
        return LNG_OK;
    lng_free(room->memory);
    room->bytes = 0;
    room->memory = lng_alloc(bytes, 1);
    if (!room->memory)
        return LNG_ERR_MEMORY;
    room->bytes = bytes;
    return LNG_OK;
}

static enum lng_status read_int8(struct lng_matrices *m, const struct lng_param *param, bool *found,
                                 bool *rest_found)
{
    const size_t count = (size_t)(param->rows * param->cols);
    const size_t scales = (size_t)param->rows * sizeof(float);
    LNG_TRY(reserve(&m->values, count));
    LNG_TRY(reserve(&m->scales, scales));
    if (lng_param_is_table(param)) {
        LNG_TRY(reserve(&m->rest, count));
        LNG_TRY(reserve(&m->rest_scales, scales));
    }
    return lng_hf_read_param_int8(&m->config, &m->tensors, param,
                                  &(struct lng_hf_int8){.q = m->values.memory,
                                                        .scales = m->scales.memory,
                                                        .rest = m->rest.memory,
                                                        .rest_scales = m->rest_scales.memory},
                                  found, rest_found);
}

enum lng_status lng_matrices_read(struct lng_matrices *m, const struct lng_param *param,
                                  struct lng_weight_rows *rows)
{
    bool int8 = false, rest = false;
    if (m->config.int8 && lng_hf_param_in_int8(param))
        LNG_TRY(read_int8(m, param, &int8, &rest));
    if (!int8) {
        LNG_TRY(reserve(&m->values, (size_t)(param->rows * param->cols) * sizeof(float)));
        LNG_TRY(lng_hf_read_param(&m->config, &m->tensors, param, m->values.memory));
    }
    *rows = (struct lng_weight_rows){
        .dtype = int8 ? LNG_DTYPE_I8 : LNG_DTYPE_F32,
        .rows = param->rows,
        .cols = param->cols,
        .values = m->values.memory,
        .scales = int8 ? m->scales.memory : NULL,
        .rest = rest ? m->rest.memory : NULL,
        .rest_scales = rest ? m->rest_scales.memory : NULL,
    };
    return LNG_OK;
}
