#include "host/store/model_data.h"

#include <math.h>

#include "host/base/mem.h"

enum lng_status lng_model_data_init(struct lng_model_data *data, const struct lng_hparams *hparams)
{
    struct lng_model_data fresh = {
        .hparams = *hparams,
        .generation = {.length_penalty = NAN, .forced_bos = -1},
    };
    LNG_TRY(lng_params_init(&fresh.params, hparams));
    fresh.values = lng_alloc((size_t)fresh.params.total, sizeof *fresh.values);
    if (!fresh.values) {
        lng_model_data_release(&fresh);
        return LNG_ERR_MEMORY;
    }
    *data = fresh;
    return LNG_OK;
}

void lng_model_data_release(struct lng_model_data *data)
{
    lng_params_release(&data->params);
    lng_free(data->values);
    lng_matrices_close(data->matrices);
    lng_free(data->directory);
    lng_free(data->provenance);
    lng_buffer_release(&data->warnings);
    *data = (struct lng_model_data){0};
}
