/* Other toolkits' decoding, whole: what --compat does beside the options of host/config/compat.def. */
#ifndef LNG_HOST_INFER_COMPAT_H
#define LNG_HOST_INFER_COMPAT_H

#include "host/config/options.h"
#include "host/infer/translate.h"
#include "host/store/hf_generation.h"
#include "host/store/model_data.h"

/* The weights as the toolkit would have them, before they go to a device:
 *   marian       a model that transformers' conversion made of Marian's gets Marian's positions (family A) and norm
 *                epsilon back, and <pad> goes out of the normaliser
 *   ctranslate2  a model of Marian's gets the positions (family B) and epsilon of CTranslate2's conversion; of a post-norm
 *                directory of transformers <pad> is left out
 *   hf           a model of Marian's gets the positions and epsilon of transformers' conversion, and its <pad> a logit of 0
 * choices is appended what was done, "name: value: why", one a line. */
LNG_MUST_CHECK enum lng_status lng_compat_model(enum lng_opt_compat compat,
                                                struct lng_model_data *data,
                                                struct lng_buffer *choices);

/* On the device: whether the decoder computes as Marian's does, see raw_decoder_keys. */
void lng_compat_decoder(enum lng_opt_compat compat, struct lng_model *model);

/* What the model itself says goes before the toolkit's defaults. `hf` is read for hf only; its list of banned tokens is
 * borrowed by `translate`. Beam size and length penalty stay where an option was given. */
void lng_compat_search(const struct lng_options *options, const struct lng_model_data *data,
                       const struct lng_hf_generation *hf, struct lng_translate_options *translate);

#endif
