/* A model in host memory, whatever file it came from: shape, parameters, and what was said beside them. */
#ifndef LNG_HOST_STORE_MODEL_DATA_H
#define LNG_HOST_STORE_MODEL_DATA_H

#include "host/base/text.h"
#include "host/model/params.h"
#include "kernels/device.h"

/* What generation_config.json may say. */
struct lng_generation {
    int32_t beams, max_length; /* 0 = not said */
    double length_penalty;     /* NaN = not said */
    int32_t forced_bos;        /* first output token of models for many languages; -1 = none */
};

/* Whose training the weights are from, as far as the files say. */
enum lng_origin {
    LNG_ORIGIN_LINGSTER,
    LNG_ORIGIN_MARIAN,       /* imported from Marian's own files */
    LNG_ORIGIN_TRANSFORMERS, /* a directory of transformers that lingster never wrote */
};

/* Matrices that are still in their files. */
struct lng_matrices;
void lng_matrices_close(struct lng_matrices *matrices); /* NULL is fine */
/* A matrix as it is stored, int8 or else as floats; *rows is good until the next call. Errors as lng_hf_load. */
LNG_MUST_CHECK enum lng_status lng_matrices_read(struct lng_matrices *matrices,
                                                 const struct lng_param *param,
                                                 struct lng_weight_rows *rows);

struct lng_model_data {
    struct lng_hparams hparams;
    struct lng_params params;
    float *values;                 /* [params.total], owned; zeros where matrices has them */
    struct lng_matrices *matrices; /* owned; NULL: everything is in values */
    enum lng_dtype stored; /* I8: an int8 model, values are what its rows stand for; else F32 */
    struct lng_generation generation;
    enum lng_origin origin;
    char *directory;  /* where the tokenizer's files lie; NULL when that is not known. Owned */
    char *provenance; /* JSON text of an object, or NULL. Owned */
    struct lng_buffer warnings; /* one a line; data NULL when there are none */
};

/* Layout and zeroed values for these hparams. Release with lng_model_data_release. */
LNG_MUST_CHECK enum lng_status lng_model_data_init(struct lng_model_data *data,
                                                   const struct lng_hparams *hparams);
/* Fine on a zeroed or released one. */
void lng_model_data_release(struct lng_model_data *data);

#endif
