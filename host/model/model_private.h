/* Inside host/model: what models with and without training share. */
#ifndef LNG_HOST_MODEL_MODEL_PRIVATE_H
#define LNG_HOST_MODEL_MODEL_PRIVATE_H

#include "host/model/model.h"

enum { LNG_FIRST_POSITIONS = 512 }; /* rows of the sinusoid table to begin with */

/* Whether the parameter is the matrix of a product. */
bool lng_model_needs_weight(const struct lng_model *model, const struct lng_param *param);
/* Dtype of the caches of decoding. */
enum lng_dtype lng_model_cache_dtype(const struct lng_model *model);
/* Host floats -> device reals. */
LNG_MUST_CHECK enum lng_status lng_model_write_reals(struct lng_device *device, void *to,
                                                     const float *from, size_t count);

/* lng_model_release of a model by lng_model_share. */
void lng_model_release_shared(struct lng_model *model);

#endif
