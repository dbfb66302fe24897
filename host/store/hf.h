/* Model directories: a folder as Hugging Face transformers writes and reads it, config.json and
 * model.safetensors beside the tokenizer's files.
 *
 *   model_type marian     MarianMTModel: post-norm. Positions of family B, or those of a stored table
 *   model_type m2m_100    M2M100ForConditionalGeneration: pre-norm, family A from pad + 1
 *   model_type lingster   what neither class can express; same keys and tensor names, read by lingster only
 *
 * An int8 model ("quantization_config" of config.json: quant_method "lingster", bits 8) has matrices and embeddings as
 * I8 [rows, cols] of -127 to 127, each with an F32 tensor [rows] beside it, named as it and "_scale": a value is q times
 * the scale of its row. What that leaves of embeddings and of an output matrix is kept the same way in "_rest" and
 * "_rest_scale" (or is not there) and added where single rows are read. Vectors and learned positions are floats. transformers refuses such a directory.
 *
 * What transformers has no key for is under the key `lingster` of config.json: the fields of hparams_json.h
 * marked extra, `version`, `provenance`, and `files`, size and checksum of every file. transformers keeps
 * that key when it saves a model again; the checksums then only warn. */
#ifndef LNG_HOST_STORE_HF_H
#define LNG_HOST_STORE_HF_H

#include "host/store/model_data.h"
#include "kernels/device.h"

enum { LNG_HF_VERSION = 1 };

/* The folder holds a config.json. */
bool lng_hf_is_model_directory(const char *directory);

/* Everything but the values (data->values stays NULL): hparams, generation, provenance, warnings. */
LNG_MUST_CHECK enum lng_status lng_hf_load_shape(const char *directory,
                                                 struct lng_model_data *data);
/* The whole model; release with lng_model_data_release. LNG_ERR_FORMAT, LNG_ERR_RANGE, LNG_ERR_SHAPE,
 * LNG_ERR_MISMATCH (tied tensors that differ, checksums), LNG_ERR_UNSUPPORTED, LNG_ERR_IO: file, key or
 * tensor, expected, found. Values that are not finite are refused. Nothing is allocated for tensors
 * before the shapes in the file are known to fit. */
LNG_MUST_CHECK enum lng_status lng_hf_load(const char *directory, struct lng_model_data *data);

/* The whole but for matrices, which stay in their file (data->matrices) until lng_model_place asks for them, one by
 * one; what is wrong with their values is found out then. */
LNG_MUST_CHECK enum lng_status lng_hf_load_vectors(const char *directory,
                                                   struct lng_model_data *data);

/* Why transformers cannot compute this model, or NULL when it can. values [params.total] or NULL (then
 * only the shape is judged). A norm epsilon other than its 1e-5 is no obstacle, only a small difference. */
const char *lng_hf_obstacle(const struct lng_hparams *hparams, const struct lng_params *params,
                            const float *values);

struct lng_hf_save_args {
    const char
        *directory; /* exists, usually lng_atomic_directory.temporary; the tokenizer's files are in
                            * it already when they are to be covered by the checksums */
    const struct lng_hparams *hparams;
    const struct lng_params *params;
    const float *values;    /* [params->total] */
    enum lng_dtype dtype;   /* F32, BF16 or I8 in the file */
    const char *provenance; /* JSON text of an object, or NULL */
    struct lng_generation generation;
};
/* Writes model.safetensors, generation_config.json and, last, config.json. LNG_ERR_RANGE when a value is
 * not finite. */
LNG_MUST_CHECK enum lng_status lng_hf_save(const struct lng_hf_save_args *args);

#endif
