/* Hyper-parameters as a JSON object: whole in checkpoints; in a model directory only what Hugging Face's
 * config.json has no key for (the `lingster` key). */
#ifndef LNG_HOST_STORE_HPARAMS_JSON_H
#define LNG_HOST_STORE_HPARAMS_JSON_H

#include "host/model/hparams.h"
#include "host/store/json.h"

enum lng_hparams_keys {
    LNG_HPARAMS_NONE,
    LNG_HPARAMS_EXTRA, /* those that Hugging Face lacks */
    LNG_HPARAMS_ALL,
};

/* Sets one member for each of the fields. */
LNG_MUST_CHECK enum lng_status lng_hparams_to_json(const struct lng_hparams *hparams,
                                                   enum lng_hparams_keys which, json_t *object);
/* Reads the members that are there into *hparams; those `needed` must be. Does not check how they
 * fit together (lng_hparams_check). LNG_ERR_FORMAT, LNG_ERR_RANGE naming file and key. */
LNG_MUST_CHECK enum lng_status lng_hparams_from_json(const json_t *object, const char *file,
                                                     enum lng_hparams_keys needed,
                                                     struct lng_hparams *hparams);

/* Hugging Face's name of an activation ("relu", "silu", ...). */
const char *lng_activation_hf_name(enum lng_activation activation);
/* False for a name that is none of theirs (or that lingster lacks). */
bool lng_activation_from_hf(const char *name, enum lng_activation *activation);

#endif
