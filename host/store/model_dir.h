/* Models by path, whatever lies there: the one way in for translate, score, train, compare. */
#ifndef LNG_HOST_STORE_MODEL_DIR_H
#define LNG_HOST_STORE_MODEL_DIR_H

#include "host/model/model.h"
#include "host/store/model_data.h"

/* `path` is
 *   a model directory (hf.h)
 *   a run directory: its exported model, or its newest whole checkpoint where it has none yet
 *   a checkpoint file: the moving average where the run kept one, else the parameters
 * data->directory is where the tokenizer's files are expected. Release with lng_model_data_release.
 * Errors name the file and say what was expected; LNG_ERR_IO when there is nothing of the kind. */
LNG_MUST_CHECK enum lng_status lng_model_data_open(const char *path, struct lng_model_data *data);

/* The same, but the matrices of a model directory stay in their file until lng_model_place reads them, one by one:
 * data->values holds only vectors. For inference. */
LNG_MUST_CHECK enum lng_status lng_model_data_open_lazily(const char *path,
                                                          struct lng_model_data *data);

/* The same, on a device: model holds the values and is the caller's (lng_model_release); data keeps all
 * but the values. compute as lng_model_init. */
LNG_MUST_CHECK enum lng_status lng_model_load(const char *path, struct lng_device *device,
                                              enum lng_dtype compute, bool training,
                                              struct lng_model *model, struct lng_model_data *data);

/* The second half of it: data's model onto a device, without training by lng_model_init_inference; data's values are given
 * back. */
LNG_MUST_CHECK enum lng_status lng_model_place(struct lng_model_data *data,
                                               struct lng_device *device, enum lng_dtype compute,
                                               bool training, struct lng_model *model);

/* The mean of several models (each as lng_model_data_open), summed in double in the order given. They
 * must agree in all hparams: LNG_ERR_MISMATCH names the first key that differs. What else data says
 * comes from the first. */
LNG_MUST_CHECK enum lng_status lng_model_average(const char *const *paths, size_t count,
                                                 struct lng_model_data *data);

/* LNG_ERR_MISMATCH naming the first field in which two models differ; the names are for the message. */
LNG_MUST_CHECK enum lng_status lng_hparams_agree(const struct lng_hparams *a, const char *a_name,
                                                 const struct lng_hparams *b, const char *b_name);

/* Copies the tokenizer's files (all regular files but those that lng_hf_save writes, and hidden ones) of
 * one model directory into another folder. */
LNG_MUST_CHECK enum lng_status lng_model_copy_tokenizer(const char *from, const char *to);

#endif
