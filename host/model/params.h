/* Which tensors a model has. One row per tensor in params.def; everything else (memory layout,
 * initialisation, file names, decay) is generated from it. */
#ifndef LNG_HOST_MODEL_PARAMS_H
#define LNG_HOST_MODEL_PARAMS_H

#include <stddef.h>

#include "host/model/hparams.h"

enum lng_param_id {
#define LNG_PARAM(id, scope, name, rows, cols, init, present, hf) LNG_PARAM_##id,
#include "host/model/params.def"
#undef LNG_PARAM
    LNG_PARAM_COUNT
};

enum lng_param_init {
    LNG_INIT_GLOROT, /* uniform, bound sqrt(6 / (in + out)); a stacked projection counts each part alone */
    LNG_INIT_EMBEDDING, /* uniform, bound sqrt(3 / D): variance 1 after the sqrt(D) scale */
    LNG_INIT_ZERO,
    LNG_INIT_ONE,
};

enum { LNG_PARAM_NAME_BYTES = 96, LNG_PARAM_PARTS = 3 };

struct lng_param {
    enum lng_param_id id;
    int layer; /* 0-based within its stack; -1 for tensors that belong to none */
    int64_t rows, cols;
    int64_t offset; /* first element in the flat buffer; multiples of 64 */
    enum lng_param_init init;
    bool decay; /* weight decay applies: matrices yes, vectors no */
    int parts;  /* 1..3 equal row blocks that are tensors of their own in files (q, k, v) */
    char name[LNG_PARAM_NAME_BYTES]; /* "decoder.2.cross_kv.weight" */
    char hf[LNG_PARAM_PARTS]
           [LNG_PARAM_NAME_BYTES]; /* Hugging Face name of each part, rows / parts rows */
};

struct lng_params {
    struct lng_param *list; /* owned; decayed tensors first */
    size_t count;
    int32_t *index; /* owned: place in list of (id, layer), -1 = absent */
    int32_t index_layers;
    int64_t total;   /* elements of the flat buffer, gaps included */
    int64_t decayed; /* elements [0, decayed) take weight decay */
};

LNG_MUST_CHECK enum lng_status lng_params_init(struct lng_params *params,
                                               const struct lng_hparams *hparams);
void lng_params_release(struct lng_params *params);

/* NULL when the model has no such tensor. */
/* Embeddings: matrices that are looked up in, a row a token. */
static inline bool lng_param_is_embedding(const struct lng_param *param)
{
    return param->id == LNG_PARAM_SHARED || param->id == LNG_PARAM_SOURCE_EMBED ||
           param->id == LNG_PARAM_TARGET_EMBED;
}
/* An output matrix is a table too, for those who ask for a few logits. */
static inline bool lng_param_is_table(const struct lng_param *param)
{
    return lng_param_is_embedding(param) || param->id == LNG_PARAM_OUTPUT;
}

const struct lng_param *lng_params_find(const struct lng_params *params, enum lng_param_id id,
                                        int layer);

#endif
